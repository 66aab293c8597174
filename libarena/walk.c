// SPDX-License-Identifier: MIT
/*
 * Walking a heap: its live objects, found by the records of its pages, and what lies between them.
 *
 * No lock is held while the caller looks at an object, so that it may free that one. What is needed of a span is copied before its first
 * object is shown. Records are never unmapped, and what is read of one is bounded before it is used: threads that allocate and free
 * meanwhile may make the walk miss objects or show stale ones, but not read where nothing is.
 */
#include "walk.h"

#include <string.h>

#include "checked.h"
#include "loan.h"
#include "supplied.h"

/* A span of slots as it was when the walk came to it. */
struct view {
	uintptr_t base;
	unsigned int class;
	uint64_t used[SPAN_WORDS];
};

/* What others have freed is free, although the owner has not taken it in yet; so is what lies ready for the next allocations. */
static void look(struct view *view, const struct region *region, uint32_t page)
{
	const struct span *span = &region->spans[page];
	const struct span_remote *remote = &region->remotes[page];
	/* Where the program supplies the memory nothing is sampled, nor is the owner a cache of those that span_owner() finds. */
	const struct cache *owner = region == heap_region() ? span_owner(span) : NULL;

	view->class = span->class < NR_CLASSES ? span->class : CLASS_NONE;
	view->base = region_address(region, page) + size_classes[view->class].first_bytes;
	for (unsigned int w = 0; w < SPAN_WORDS; w++)
		view->used[w] = ~(atomic_load_relaxed(&span->free[w]) | atomic_load_relaxed(&remote->freed[w]) |
				  loan_lent(owner, view->class, &span->free[w]));
}

/* Who is shown the objects; or the slots without one are counted, by class. */
struct walk {
	struct heap *heap;
	heap_visit *visit;	/* NULL: count */
	void *context;
	uint64_t *nr_free;
};

static bool has_memory(const struct heap *heap, uintptr_t address)
{
	const struct chunk_info *chunk = &heap->pages.region->chunks[(address - heap->pages.region->base) / CHUNK_BYTES];

	return atomic_load_relaxed(&chunk->pages) == &heap->pages && chunk->is_backed && chunk->nr_free < PAGES_PER_CHUNK;
}

/* Objects that rest are free for the program. What says so lies behind the object: while the heap is locked no chunk of its memory is given back. */
static bool is_live(struct heap *heap, const void *object, size_t *bytes)
{
	bool is_live;

	lock_acquire(&heap->lock);
	is_live = has_memory(heap, (uintptr_t)object + *bytes - 1) && checked_is_live(object, *bytes, bytes);
	lock_release(&heap->lock);
	return is_live;
}

static bool show(void *object, size_t bytes, const struct walk *walk)
{
	if (!walk->visit)
		return true;
	if (checked_is_on() && !supplied_heap_of(object) && !is_live(walk->heap, object, &bytes))
		return true;
	return walk->visit(walk->context, object, bytes);
}

static bool show_slots(const struct view *view, const struct walk *walk)
{
	size_t bytes = size_classes[view->class].bytes;

	for (unsigned int slot = 0; bytes && slot < class_slots(view->class); slot++)
		if (!(view->used[slot / 64] >> slot % 64 & 1))
			walk->nr_free[view->class]++;
		else if (!show((void *)(view->base + slot * bytes), bytes, walk))
			return false;
	return true;
}

/*
 * What is at a page. Under the lock, because the library itself takes in or gives back what was freed of threads that ended or sleep: of that all
 * is seen, or nothing.
 */
static enum span_state look_at_page(struct heap *heap, struct view *view, uint32_t page)
{
	const struct region *region = heap->pages.region;
	enum span_state state;

	lock_acquire(&heap->news);
	state = span_state(&region->spans[page]);
	if (state == SPAN_CURRENT || state == SPAN_PARTIAL || state == SPAN_FULL)
		look(view, region, page);
	lock_release(&heap->news);
	return state;
}

/* The span or object that begins at a page; *@next is the page behind it. */
static bool show_page(struct heap *heap, uint32_t page, uint32_t *next, const struct walk *walk)
{
	const struct region *region = heap->pages.region;
	const struct span *span = &region->spans[page];
	uint32_t nr;
	struct view view = { .class = CLASS_NONE };

	*next = page + 1;
	switch (look_at_page(heap, &view, page)) {
	case SPAN_CURRENT:
	case SPAN_PARTIAL:
	case SPAN_FULL:
		*next = page + (uint32_t)size_max(size_classes[view.class].pages, 1);
		return show_slots(&view, walk);
	case SPAN_LARGE:
		nr = (uint32_t)size_max(span->large_pages, 1);
		*next = page + (uint32_t)size_min(nr, (uint32_t)(region->bytes / PAGE_BYTES) - page);
		return show((void *)region_address(region, page), nr * PAGE_BYTES, walk);
	case SPAN_NONE:
	case SPAN_INSIDE:
		break;
	}
	return true;
}

static bool walk_pages(struct heap *heap, const struct walk *walk)
{
	const struct region *region = heap->pages.region;
	/* Pairs with open_tables() of region.c. Chunks that come later are not looked at. */
	uint32_t limit = atomic_load_acquire(&region->nr_open) * (uint32_t)PAGES_PER_CHUNK;

	for (uint32_t page = 0; page < limit;) {
		uint32_t chunk = page / (uint32_t)PAGES_PER_CHUNK;

		if (atomic_load_relaxed(&region->chunks[chunk].pages) != &heap->pages)
			page = (chunk + 1) * (uint32_t)PAGES_PER_CHUNK;
		else if (!show_page(heap, page, &page, walk))
			return false;
	}
	return true;
}

bool heap_walk(struct heap *heap, heap_visit *visit, void *context)
{
	uint64_t nr_free[NR_CLASSES] = { 0 }; /* of no interest */

	return walk_pages(heap, &(struct walk){ .heap = heap, .visit = visit, .context = context, .nr_free = nr_free });
}

void heap_count_free(struct heap *heap, uint64_t nr_free[NR_CLASSES])
{
	memset(nr_free, 0, NR_CLASSES * sizeof(*nr_free));
	walk_pages(heap, &(struct walk){ .heap = heap, .nr_free = nr_free });
}
