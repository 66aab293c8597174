// SPDX-License-Identifier: MIT
/* The thread that gives memory back while the program sleeps: when there is one, and what is done in the child of a fork, which has none. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
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

/* ---------------------------------------------------------------- how soon, and for how much */

TEST(comes_back, "scavenger/a heap that is freed goes back by itself while the program sleeps, 90 % of it within 2 s")
{
	enum { CHUNKS = 64, ROUNDS = 5 };
	struct heap *heap = heap_create(ARENA_SOURCE_THP);
	double least = 60;

	CHECK(heap);
	/* One round that is in time will do: what else the machine has to do may make others late. */
	for (int i = 0; i < ROUNDS && least > 2; i++) {
		double begin;

		free_all(heap, fill(heap, CHUNKS * CHUNK_BYTES, 4000));
		CHECK(heap->pages.handed >= CHUNKS);
		begin = harness_seconds();
		while (idle_chunks(heap) > CHUNKS / 10 && harness_seconds() < begin + 60)
			usleep(10000);
		least = harness_seconds() - begin < least ? harness_seconds() - begin : least;
		CHECK(is_back(heap, 60));
	}
	harness_note("%.2f s", least);
	CHECK(least <= 2 || harness_sanitized());
	heap_validate(heap);
}

/* CPU time of all threads but this one, in ns; 0 where the kernel does not count it. */
static uint64_t others_ns(void)
{
	DIR *tasks = opendir("/proc/self/task");
	uint64_t sum = 0;

	CHECK(tasks);
	for (struct dirent *task = readdir(tasks); task; task = readdir(tasks)) {
		char path[300];
		unsigned long ns;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", task->d_name);
		file = strtol(task->d_name, NULL, 10) > 0 && strtol(task->d_name, NULL, 10) != gettid() ? fopen(path, "r") : NULL;
		if (!file)
			continue;
		if (fscanf(file, "%lu", &ns) == 1)
			sum += ns;
		fclose(file);
	}
	closedir(tasks);
	return sum;
}

enum { IDLE_CHUNKS = 64 };

/* A heap has many idle chunks, which cost little to make: few of their pages are touched. */
static void make_idle(struct heap *heap)
{
	char *objects[IDLE_CHUNKS];

	for (size_t i = 0; i < IDLE_CHUNKS; i++) {
		objects[i] = heap_alloc(heap, CHUNK_BYTES);
		CHECK(objects[i]);
		for (size_t at = 0; at < CHUNK_BYTES; at += 64 * KiB)
			objects[i][at] = 1;
	}
	for (size_t i = 0; i < IDLE_CHUNKS; i++)
		heap_free(heap, objects[i]);
}

static void make_idle_for(struct heap **heaps, size_t nr, double seconds)
{
	double end = harness_seconds() + seconds;

	for (size_t i = 0; harness_seconds() < end; i = (i + 1) % nr)
		make_idle(heaps[i]);
}

static uint64_t returned_chunks(struct heap **heaps, size_t nr)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < nr; i++)
		sum += heaps[i]->pages.returned;
	return sum;
}

/*
 * What a busy machine does to this is that there is less to give, and more time for it. Twice the share, because what one chunk costs is known only when
 * it has been paid; each heap alone would take eight times as much.
 */
TEST(share, "scavenger/its thread takes 1 % of a CPU where heaps have more to give than that pays for, however many they are")
{
	enum { HEAPS = 8 };
	struct heap *heaps[HEAPS];
	double begin, wall;
	uint64_t before;

	for (size_t i = 0; i < HEAPS; i++) {
		heaps[i] = heap_create(ARENA_SOURCE_PAGES);
		CHECK(heaps[i] && heap_alloc(heaps[i], 100));
	}
	make_idle_for(heaps, HEAPS, 0.5);
	before = others_ns();
	if (!before)
		harness_skip("this kernel does not count the time of threads");
	begin = harness_seconds();
	make_idle_for(heaps, HEAPS, 3);
	wall = harness_seconds() - begin;
	before = others_ns() - before;
	harness_note("%.1f ms in %.1f s, %lu chunks", (double)before / 1e6, wall, (unsigned long)returned_chunks(heaps, HEAPS));
	CHECK(returned_chunks(heaps, HEAPS));
	CHECK((double)before <= wall * 2e7 + 2e7);
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
