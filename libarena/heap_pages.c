// SPDX-License-Identifier: MIT
/*
 * Pages of a heap, for whatever lies on them. They come and go under its lock. What a growth entails waits for the end of the allocation (relief.h): it may
 * allocate.
 */
#include "heap.h"

#include "os.h"
#include "publish.h"
#include "scavenger.h"

void heap_lock(struct heap *heap)
{
	lock_acquire(&heap->lock);
}

void heap_unlock(struct heap *heap)
{
	bool is_big = heap->pages.mapped >= SCAVENGER_LEAST_CHUNKS, has_idle = heap->pages.nr_idle > 0;
	bool is_tight = heap->pages.has_grown && palloc_excess(&heap->pages, 0), is_low = is_big && !has_idle;

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

/* Unless there is one (*@has_idle), or no room. */
static uint32_t take_chunk(struct heap *heap, bool *has_idle)
{
	bool is_zero;
	uint32_t page = PAGE_NONE;

	heap_lock(heap);
	*has_idle = heap->pages.nr_idle;
	if (!*has_idle && !palloc_excess(&heap->pages, 1))
		page = palloc_run(&heap->pages, PAGES_PER_CHUNK, 1, &is_zero);
	heap_unlock(heap);
	return page;
}

/* Out of others' reach while it is touched, which takes long. What is not touched, for lack of memory, whoever needs it will. */
bool heap_prepare(struct heap *heap)
{
	bool has_idle;
	uint32_t page = take_chunk(heap, &has_idle);

	if (page == PAGE_NONE)
		return has_idle;
	os_populate((void *)region_address(heap->pages.region, page), CHUNK_BYTES);
	heap_give_pages(heap, page, PAGES_PER_CHUNK);
	return true;
}
