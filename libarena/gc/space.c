// SPDX-License-Identifier: MIT
/*
 * Pages of collected heaps, from the page allocator and back.
 *
 * The tables reserve addresses for all of the region and get memory as the region does: a record is looked at only after the map
 * has led to it, and entries of the map that were never written are zero.
 */
#include "gc/space.h"

#include <errno.h>
#include <string.h>

#include "annotate.h"
#include "os.h"
#include "relief.h"

/* Pages that a mutator has at hand at most: enough that the heap's lock is seldom asked for, and little beside the least heap. */
#define PAGES_AT_ONCE 16u

static size_t span_table_bytes(size_t pages)
{
	return align_up(pages * sizeof(struct gc_span), PAGE_BYTES);
}

static size_t map_bytes(size_t pages)
{
	return align_up(pages * sizeof(uint32_t), PAGE_BYTES);
}

int gc_space_init(struct gc_space *space, enum arena_source source, struct lock *lock)
{
	*space = (struct gc_space){ .lock = lock, .heap = heap_create(source) };
	if (!space->heap)
		return -ENOMEM;
	space->base = heap_region()->base;
	space->max_pages = heap_region()->max_chunks * PAGES_PER_CHUNK;
	space->spans = os_reserve_table(span_table_bytes(space->max_pages));
	space->map = os_reserve_table(map_bytes(space->max_pages));
	if (space->spans && space->map)
		return 0;
	gc_space_fini(space);
	return -ENOMEM;
}

void gc_space_fini(struct gc_space *space)
{
	if (space->spans)
		os_unreserve(space->spans, span_table_bytes(space->max_pages));
	if (space->map)
		os_unreserve(space->map, map_bytes(space->max_pages));
	heap_destroy(space->heap);
}

/* Entries [first, limit) of a table, whose ends may share pages with what is open. */
static int open_part(void *table, size_t bytes, size_t first, size_t limit)
{
	uintptr_t from = ((uintptr_t)table + first * bytes) & ~(PAGE_BYTES - 1), to = align_up((uintptr_t)table + limit * bytes, PAGE_BYTES);

	return os_open_table((void *)from, to - from);
}

/* As far as the region has opened its own tables, which is twice as far each time. */
static int open_tables(struct gc_space *space, size_t limit)
{
	size_t first, open = size_min(heap_open_bytes() >> PAGE_SHIFT, space->max_pages);
	int error = 0;

	if (likely(limit << PAGE_SHIFT <= atomic_load_acquire(&space->open_bytes)))
		return 0;
	lock_acquire(space->lock);
	first = space->open_bytes >> PAGE_SHIFT;
	if (limit > first) {
		error = open_part(space->spans, sizeof(*space->spans), first, open);
		if (!error)
			error = open_part(space->map, sizeof(*space->map), first, open);
		/* The release pairs with gc_find(). */
		if (!error)
			atomic_store_release(&space->open_bytes, open << PAGE_SHIFT);
	}
	lock_release(space->lock);
	return error;
}

/* ---------------------------------------------------------------- pages */

static bool fill(struct gc_space *space, struct gc_pages *pages)
{
	uint32_t first;
	uint64_t group;

	/* One at first: of threads that take no more there may be many. */
	pages->nr_taken = pages->nr_taken ? (uint32_t)size_min(2 * pages->nr_taken, PAGES_AT_ONCE) : 1;
	group = heap_take_group(space->heap, pages->nr_taken, &first);
	if (!group)
		return false;
	pages->first = first;
	atomic_store_release(&pages->group, group); /* what a fork sees has its first page */
	return true;
}

static uint32_t take_page(struct gc_space *space, struct gc_pages *pages)
{
	uint64_t group;

	if (!pages->group && !fill(space, pages))
		return PAGE_NONE;
	group = pages->group;
	atomic_store_release(&pages->group, group & (group - 1)); /* before it is used: a fork may lose it, and never has it twice */
	return pages->first + (uint32_t)word_lowest(group);
}

void gc_pages_flush(struct gc_space *space, struct gc_pages *pages)
{
	uint64_t group = pages->group;

	pages->group = 0;
	pages->nr_taken = 0;
	if (group)
		heap_give_group(space->heap, pages->first, group);
}

static void give_page(struct gc_space *space, struct gc_pages *pages, uint32_t page)
{
	uint32_t first = page & ~63u;

	if (pages->first != first)
		gc_pages_flush(space, pages);
	pages->first = first;
	/* What a fork sees has its first page, and is not in the map. */
	atomic_store_release(&pages->group, pages->group | (uint64_t)1 << page % 64);
}

/* ---------------------------------------------------------------- spans */

static uint32_t take_run(struct gc_space *space, struct gc_pages *pages, uint32_t nr, bool *is_zero)
{
	*is_zero = false;
	return nr == 1 && pages ? take_page(space, pages) : heap_take_run(space->heap, nr, is_zero);
}

struct gc_span *gc_space_take(struct gc_space *space, struct gc_pages *pages, uint32_t nr)
{
	bool is_zero;
	uint32_t page = take_run(space, pages, nr, &is_zero);
	struct gc_span *span;

	if (unlikely(heap_is_due(space->heap)))
		relief_settle(space->heap);
	if (page == PAGE_NONE)
		return NULL;
	if (open_tables(space, (size_t)page + nr)) {
		heap_give_pages(space->heap, page, nr);
		return NULL;
	}
	annotate_object(space->base + page * PAGE_BYTES, space->base + (page + (size_t)nr) * PAGE_BYTES);
	annotate_open(space->base + page * PAGE_BYTES, space->base + (page + (size_t)nr) * PAGE_BYTES);
	span = &space->spans[page];
	memset(span, 0, sizeof(*span));
	span->pages = nr;
	span->is_fresh = is_zero;
	return span;
}

bool gc_space_prepare(struct gc_space *space)
{
	bool is_there = heap_prepare(space->heap);

	if (heap_is_due(space->heap))
		relief_settle(space->heap);
	return is_there;
}

void gc_space_publish(struct gc_space *space, const struct gc_span *span)
{
	uint32_t page = gc_page(space, span);

	/* The release pairs with gc_find(). */
	for (uint32_t i = page; i < page + span->pages; i++)
		atomic_store_release(&space->map[i], page + 1);
}

void gc_space_give(struct gc_space *space, struct gc_pages *pages, struct gc_span *span)
{
	uint32_t page = gc_page(space, span), nr = span->pages;

	/* Nothing leads here but a weak read that is late. The release pairs with gc_find() there: who finds nothing finds cleared what led here. */
	for (uint32_t i = page; i < page + nr; i++)
		atomic_store_release(&space->map[i], GC_NONE);
	annotate_forbid(space->base + page * PAGE_BYTES, space->base + (page + (size_t)nr) * PAGE_BYTES);
	if (nr == 1)
		give_page(space, pages, page);
	else
		heap_give_pages(space->heap, page, nr);
}
