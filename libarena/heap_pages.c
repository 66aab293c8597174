// SPDX-License-Identifier: MIT
/*
 * Pages of a heap, for whatever lies on them. They come and go under its lock. What a growth entails waits for the end of the allocation (relief.h): it may
 * allocate.
 */
#include "heap.h"

#include "os.h"
#include "publish.h"
#include "scavenger.h"

/* A heap of so many pages is likely to fill its first chunk, and one that has half of a chunk to need the next. Smaller ones stay as small as they are. */
#define REST_LEAST_PAGES 32u
#define NEXT_LEAST_PAGES (PAGES_PER_CHUNK / 2)
/* Idle: one that has been touched, and one that is mapped for whoever is faster. To map it he would wait for the lock that touching holds. */
#define NEXT_CHUNKS 2

static bool is_rest_due(const struct palloc *pages)
{
	return pages->small_chunk != CHUNK_NONE && pages->used_pages >= REST_LEAST_PAGES;
}

static bool is_next_due(const struct palloc *pages)
{
	return pages->nr_idle < NEXT_CHUNKS && pages->used_pages >= NEXT_LEAST_PAGES;
}

void heap_lock(struct heap *heap)
{
	lock_acquire(&heap->lock);
}

void heap_unlock(struct heap *heap)
{
	bool is_big = heap->pages.mapped >= SCAVENGER_LEAST_CHUNKS, has_idle = heap->pages.nr_idle > 0;
	bool is_tight = heap->pages.has_grown && palloc_excess(&heap->pages, 0), is_low = is_next_due(&heap->pages) || is_rest_due(&heap->pages);

	heap->pages.has_grown = false;
	if (is_low != atomic_load_relaxed(&heap->is_low))
		atomic_store_relaxed(&heap->is_low, is_low);
	publish(heap);
	lock_release(&heap->lock);
	if (unlikely(is_tight || (is_big && !scavenger_is_made())))
		atomic_store_relaxed(&heap->is_due, true);
	if (has_idle)
		scavenger_kick();
}

uint64_t heap_take_group(struct heap *heap, unsigned int nr, uint32_t *first)
{
	uint64_t group;

	heap_lock(heap);
	group = palloc_take_group(&heap->pages, nr, first);
	heap_unlock(heap);
	return group;
}

void heap_give_group(struct heap *heap, uint32_t first, uint64_t group)
{
	if (!group)
		return;
	heap_lock(heap);
	palloc_give_group(&heap->pages, first, group);
	heap_unlock(heap);
}

uint32_t heap_take_run(struct heap *heap, uint32_t nr, bool *is_zero)
{
	uint32_t page;

	heap_lock(heap);
	page = palloc_run(&heap->pages, nr, 1, is_zero);
	heap_unlock(heap);
	return page;
}

uint32_t heap_take_pages(struct heap *heap, uint32_t nr)
{
	bool is_zero;

	return heap_take_run(heap, nr, &is_zero);
}

void heap_give_pages(struct heap *heap, uint32_t page, uint32_t nr)
{
	heap_lock(heap);
	palloc_free(&heap->pages, page, nr);
	heap_unlock(heap);
}

/* ---------------------------------------------------------------- before they are needed */

/* A chunk to be touched, out of others' reach until it is given back; PAGE_NONE when there is none. *@has_room: there was room for all that are wanted. */
static uint32_t take_next(struct palloc *pages, bool *has_room)
{
	bool is_zero;

	while (pages->nr_idle < NEXT_CHUNKS && !palloc_excess(pages, 1) && palloc_grow(pages))
		;
	*has_room = pages->nr_idle >= NEXT_CHUNKS;
	return pages->nr_idle ? palloc_run(pages, PAGES_PER_CHUNK, 1, &is_zero) : PAGE_NONE;
}

static uint32_t take_rest(struct palloc *pages)
{
	uint32_t chunk = pages->small_chunk;

	pages->small_chunk = CHUNK_NONE;
	return chunk * (uint32_t)PAGES_PER_CHUNK;
}

/* For lack of memory it may fail; then whoever needs it touches it. Of a chunk that has gone to the system or to somebody else nothing is changed. */
static void touch(const struct heap *heap, uint32_t page)
{
	if (page != PAGE_NONE)
		os_populate((void *)region_address(heap->pages.region, page), CHUNK_BYTES);
}

bool heap_prepare(struct heap *heap)
{
	uint32_t rest = PAGE_NONE, next = PAGE_NONE;
	bool has_room = true;

	heap_lock(heap);
	if (is_rest_due(&heap->pages))
		rest = take_rest(&heap->pages);
	if (is_next_due(&heap->pages))
		next = take_next(&heap->pages, &has_room);
	heap_unlock(heap);
	touch(heap, rest);
	touch(heap, next);
	if (next != PAGE_NONE)
		heap_give_pages(heap, next, PAGES_PER_CHUNK);
	return has_room;
}
