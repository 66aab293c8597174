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

/*
 * While a heap has no more than its first chunk, of ordinary pages, each of its threads gets no more at a time than its share of half of what is left of it:
 * many threads that allocate little would together pay for a huge page.
 */
static unsigned int group_share(const struct heap *heap, unsigned int nr)
{
	const struct palloc *pages = &heap->pages;
	uint64_t left, share, nr_threads = size_max(heap->nr_caches - heap->nr_parked, 1);

	if (!pages->starts_small || palloc_held(pages) > 1)
		return nr;
	left = PAGES_PER_CHUNK - pages->used_pages;
	share = left / nr_threads / 2;
	return (unsigned int)size_min(nr, size_max(share, 1));
}

uint64_t heap_take_group(struct heap *heap, unsigned int nr, uint32_t *first)
{
	uint64_t group;

	heap_lock(heap);
	group = palloc_take_group(&heap->pages, group_share(heap, nr), first);
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

/* The chunk of small pages, if it is due, once; PAGE_NONE. */
static uint32_t take_rest(struct heap *heap)
{
	uint32_t chunk = CHUNK_NONE;

	heap_lock(heap);
	if (is_rest_due(&heap->pages)) {
		chunk = heap->pages.small_chunk;
		heap->pages.small_chunk = CHUNK_NONE;
	}
	heap_unlock(heap);
	return chunk == CHUNK_NONE ? PAGE_NONE : chunk * (uint32_t)PAGES_PER_CHUNK;
}

/* As many idle chunks as are wanted; false when there is no room for them. Then the one that is idle is left for who needs it. */
static bool grow_ahead(struct palloc *pages)
{
	while (pages->nr_idle < NEXT_CHUNKS && !palloc_excess(pages, 1) && palloc_grow(pages))
		;
	return pages->nr_idle >= NEXT_CHUNKS;
}

/* A chunk out of others' reach, or PAGE_NONE; false when there was no room for one that is due. */
static bool take_next(struct heap *heap)
{
	bool is_zero, has_room = true;

	heap_lock(heap);
	if (is_next_due(&heap->pages)) {
		if (grow_ahead(&heap->pages))
			heap->touched = palloc_run(&heap->pages, PAGES_PER_CHUNK, 1, &is_zero);
		has_room = heap->touched != PAGE_NONE;
	}
	heap_unlock(heap);
	return has_room;
}

void heap_give_touched(struct heap *heap)
{
	heap_lock(heap);
	if (heap->touched != PAGE_NONE)
		palloc_free(&heap->pages, heap->touched, PAGES_PER_CHUNK);
	heap->touched = PAGE_NONE;
	/* A limit may have been set meanwhile. */
	palloc_scavenge(&heap->pages, 0, palloc_excess(&heap->pages, 0));
	heap_unlock(heap);
}

/*
 * For lack of memory it may fail; then whoever needs it touches it. No contents change: a chunk of small pages that has gone meanwhile, and what is there in its
 * place, is touched in vain.
 */
static void touch(const struct heap *heap, uint32_t page)
{
	if (page != PAGE_NONE)
		os_populate((void *)region_address(heap->pages.region, page), CHUNK_BYTES);
}

bool heap_prepare(struct heap *heap)
{
	touch(heap, take_rest(heap));
	if (!take_next(heap))
		return false;
	if (heap->touched != PAGE_NONE) {
		touch(heap, heap->touched);
		heap_give_touched(heap);
	}
	return true;
}
