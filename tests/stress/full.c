// SPDX-License-Identifier: MIT
/*
 * Heaps at their limit: whatever threads have left and freed before, what is refused does not fit. Threads allocate, free each other's objects and
 * end; then one fills the heap with objects of one size until it is refused, and the books must say that nothing of that size was free.
 */
#include <pthread.h>
#include <string.h>

#include "checked.h"
#include "heap.h"
#include "supplied.h"
#include "tests/harness.h"
#include "walk.h"

enum { FULL_CHUNKS = 6, NR_OBJECTS = 2000000, THREADS = 4, PARTS = 4, PART = 10000, ROUNDS = 60 };

static struct heap *heap;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *objects[NR_OBJECTS]; /* [0, nr), guarded by lock */
static size_t nr;

static size_t random_bytes(struct random *random)
{
	switch (random_below(random, 12)) {
	case 0: return 1 + random_below(random, CLASS_MAX_BYTES);
	case 1: return 1 + random_below(random, PAGE_BYTES);
	default: return 8 + random_below(random, 300);
	}
}

static void put(void *object)
{
	pthread_mutex_lock(&lock);
	CHECK(nr < NR_OBJECTS);
	objects[nr++] = object;
	pthread_mutex_unlock(&lock);
}

/* Any; NULL when there is none. */
static void *get(struct random *random)
{
	void *object = NULL;

	pthread_mutex_lock(&lock);
	if (nr) {
		size_t at = random_below(random, nr);

		object = objects[at];
		objects[at] = objects[--nr];
	}
	pthread_mutex_unlock(&lock);
	return object;
}

/* Runs of one size, or of a few. */
static void take_some(size_t most, struct random *random)
{
	size_t bytes = random_bytes(random);
	void *object;

	while (most-- && (object = heap_alloc(heap, bytes))) {
		put(object);
		if (!random_below(random, 100))
			bytes = random_bytes(random);
	}
}

static void free_some(size_t most, struct random *random)
{
	void *object;

	while (most-- && (object = get(random)))
		heap_free(heap, object);
}

static void *work(void *seed)
{
	struct random random = { .state = (uintptr_t)seed };

	for (int i = 0; i < PARTS; i++)
		(random_below(&random, 2) ? take_some : free_some)(random_below(&random, PART), &random);
	return NULL;
}

/* By some threads, which have ended then, and this one. */
static void work_together(struct random *random)
{
	size_t nr_threads = 1 + random_below(random, THREADS);
	pthread_t threads[THREADS];

	for (size_t i = 0; i < nr_threads; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)random_next(random)));
	work((void *)(uintptr_t)random_next(random));
	for (size_t i = 0; i < nr_threads; i++)
		CHECK(!pthread_join(threads[i], NULL));
	free_some(random_below(random, 1 + nr / 4), random);
}

/* With objects of one size, until one is refused. */
static void fill_slots(struct random *random)
{
	size_t bytes = random_bytes(random);
	unsigned int class = class_of(bytes);
	uint64_t nr_free[NR_CLASSES];
	void *object;

	while ((object = heap_alloc(heap, bytes)))
		put(object);
	heap_count_free(heap, nr_free);
	CHECK_EQ(nr_free[class], 0);
	CHECK_EQ(tree_find(&heap->pages.tree, size_classes[class].pages), TREE_NONE);
	CHECK_EQ(heap->pages.nr_idle, 0);
}

static void fill_pages(struct random *random)
{
	size_t nr_pages = 1 + random_below(random, random_below(random, 2) ? 20 : 1200);
	bool is_zero;
	void *object;

	while ((object = heap_alloc_large(heap, nr_pages * PAGE_BYTES, 1, &is_zero)))
		put(object);
	CHECK_EQ(tree_find(&heap->pages.tree, nr_pages), TREE_NONE);
	CHECK_EQ(heap->pages.nr_idle, 0);
}

static void empty(struct random *random)
{
	free_some(nr, random);
	heap_flush(heap);
	heap_scavenge(heap, 0, UINT64_MAX);
	CHECK_EQ(heap->pages.used_pages, 0);
	heap_validate(heap);
}

static void check_full(void)
{
	struct random random = { .state = harness_seed() };
	int rounds = harness_sanitized() ? ROUNDS / 20 : ROUNDS;

	CHECK(heap);
	if (checked_is_on())
		harness_skip("objects that were freed rest where objects are looked after");
	for (int i = 0; i < rounds; i++) {
		work_together(&random);
		(random_below(&random, 3) ? fill_slots : fill_pages)(&random);
		heap_validate(heap);
		if (!random_below(&random, 5))
			empty(&random);
	}
	empty(&random);
}

TEST(full, "stress/full: what a heap at its limit refuses does not fit, whatever ended threads have left")
{
	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(heap);
	heap_set_limit(heap, limit_from_bytes(FULL_CHUNKS * CHUNK_BYTES));
	check_full();
}

TEST(full_supplied, "stress/full: the same in memory of the program")
{
	static _Alignas(CHUNK_BYTES) char memory[(FULL_CHUNKS + 1) * CHUNK_BYTES];

	heap = supplied_create(memory, sizeof(memory));
	check_full();
}
