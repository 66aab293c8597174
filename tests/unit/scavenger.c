// SPDX-License-Identifier: MIT
/* The thread that gives memory back while the program sleeps: when there is one, and what is done in the child of a fork, which has none. */
#include <string.h>
#include <unistd.h>

#include "checked.h"
#include "heap.h"
#include "pace.h"
#include "scavenger.h"
#include "tests/harness.h"

/* Below the number of chunks from which one heap has a scavenger; and of so many of them. */
#define SMALL_CHUNKS (SCAVENGER_LEAST_CHUNKS - 2)
#define SMALL_HEAPS 4

static uint64_t idle_chunks(struct heap *heap)
{
	uint64_t nr;

	lock_acquire(&heap->lock);
	nr = heap->pages.nr_idle;
	lock_release(&heap->lock);
	return nr;
}

static bool is_back(struct heap *heap, double seconds)
{
	double end = harness_seconds() + seconds;

	while (idle_chunks(heap) > PACE_KEEP_CHUNKS && harness_seconds() < end)
		usleep(10000);
	return idle_chunks(heap) <= PACE_KEEP_CHUNKS;
}

/* Objects in a list through themselves: the first. */
static void *fill(struct heap *heap, size_t bytes, size_t each)
{
	void *first = NULL;

	for (size_t have = 0; have < bytes; have += each) {
		void *object = heap_alloc(heap, each);

		CHECK(object);
		memset(object, 1, each);
		*(void **)object = first;
		first = object;
	}
	return first;
}

static void free_all(struct heap *heap, void *first)
{
	while (first) {
		void *object = first;

		first = *(void **)object;
		heap_free(heap, object);
	}
}

/* ---------------------------------------------------------------- when there is one */

TEST(together, "scavenger/heaps that are each small give back by themselves when they are much together")
{
	struct heap *heaps[SMALL_HEAPS];
	void *objects[SMALL_HEAPS];

	for (size_t i = 0; i < SMALL_HEAPS; i++) {
		heaps[i] = heap_create(ARENA_SOURCE_PAGES);
		CHECK(heaps[i]);
		objects[i] = fill(heaps[i], SMALL_CHUNKS * CHUNK_BYTES, CHUNK_BYTES);
		CHECK(heaps[i]->pages.most_held < SCAVENGER_LEAST_CHUNKS);
		/* The first alone needs none. */
		CHECK(i || !scavenger_is_made());
	}
	for (size_t i = 0; i < SMALL_HEAPS; i++)
		free_all(heaps[i], objects[i]);
	for (size_t i = 0; i < SMALL_HEAPS; i++)
		CHECK(is_back(heaps[i], 60));
}

/* ---------------------------------------------------------------- in the child of a fork */

static struct heap *parents_heap;

/* Neither a thread nor an allocation: what is freed goes back all the same. */
static void only_free(void *objects)
{
	CHECK(!scavenger_is_made());
	free_all(parents_heap, objects);
	CHECK(is_back(parents_heap, 5));
	CHECK(!scavenger_is_made());
	CHECK(parents_heap->pages.returned);
	heap_validate(parents_heap);
}

/* From its first growth on it has a scavenger as its parent has. */
static void free_and_allocate(void *objects)
{
	free_all(parents_heap, objects);
	free_all(parents_heap, fill(parents_heap, 64 * MiB, 4000));
	CHECK(scavenger_is_made());
	CHECK(is_back(parents_heap, 60));
	heap_validate(parents_heap);
}

static void fork_with(void (*in_child)(void *objects), size_t each)
{
	struct death death;
	void *objects;

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	parents_heap = heap_create(ARENA_SOURCE_PAGES);
	CHECK(parents_heap);
	objects = fill(parents_heap, 64 * MiB, each);
	CHECK(scavenger_is_made());
	harness_child(&death, in_child, objects);
	if (death.signal || death.status)
		harness_fail(__FILE__, __LINE__, "signal %d, status %d: %s", death.signal, death.status, death.text);
	free_all(parents_heap, objects);
	CHECK(is_back(parents_heap, 60));
}

TEST(child_frees, "scavenger/a child of a fork that only frees, and sleeps, gives back what it frees")
{
	fork_with(only_free, 4000);
}

TEST(child_frees_large, "scavenger/so does one that frees large objects")
{
	fork_with(only_free, 3 * CHUNK_BYTES);
}

TEST(child_allocates, "scavenger/a child that allocates has a scavenger again")
{
	fork_with(free_and_allocate, 4000);
}
