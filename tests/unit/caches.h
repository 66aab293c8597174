/* SPDX-License-Identifier: MIT */
/* What tests of caches of threads begin with: a heap of their own, many small objects of it, and other threads that free them. */
#ifndef TESTS_UNIT_CACHES_H
#define TESTS_UNIT_CACHES_H

#include <pthread.h>

#include "cache.h"
#include "checked.h"
#include "heap.h"
#include "tests/harness.h"

enum { BYTES = 64, SLOTS = PAGE_BYTES / BYTES };

/* One in FEW of many objects. */
enum { FEW = 20 };

static inline struct heap *fresh_heap(void)
{
	struct heap *heap = heap_create(ARENA_SOURCE_THP);

	CHECK(heap);
	if (checked_is_on())
		harness_skip("no cache is at hand where objects are looked after");
	return heap;
}

static inline struct span *span_of(const void *object)
{
	uint32_t page;

	return heap_find_span(object, &page, "test");
}

static inline void take(struct heap *heap, void **objects, size_t nr, size_t bytes)
{
	for (size_t i = 0; i < nr; i++) {
		objects[i] = heap_alloc(heap, bytes);
		CHECK(objects[i]);
	}
}

static inline void give(struct heap *heap, void **objects, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		heap_free(heap, objects[i]);
}

/* The same by another thread, which has ended when this returns. */
struct gift {
	struct heap *heap;
	void **objects;
	size_t nr;
};

static inline void *give_gift(void *argument)
{
	const struct gift *gift = argument;

	give(gift->heap, gift->objects, gift->nr);
	return NULL;
}

static inline void give_elsewhere(struct heap *heap, void **objects, size_t nr)
{
	struct gift gift = { heap, objects, nr };
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, give_gift, &gift));
	CHECK(!pthread_join(thread, NULL));
}

/* All pages of caches, which are all that is in use while there are no large objects. */
static inline uint64_t cached_pages(const struct heap *heap)
{
	uint64_t nr = 0;

	for (const struct cache *cache = heap->caches; cache; cache = cache->next)
		nr += cache->nr_pages;
	return nr;
}

/* As it were if a slot had been freed before it began to wait for that. */
static inline void make_wait(struct span *span)
{
	CHECK_EQ(span->state, SPAN_FULL);
	span->free[0] |= 1;
	span->left--;
}

#endif /* TESTS_UNIT_CACHES_H */
