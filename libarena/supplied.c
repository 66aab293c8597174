// SPDX-License-Identifier: MIT
/*
 * At the front of the memory are the region's records and one cache, behind it whole chunks. All threads share that cache under a lock of
 * its own: fast paths find objects by the one region that they know, so that every call for these heaps is a slow one anyway, and a cache
 * for each thread would cost the program's memory.
 *
 * Nothing but the tree of summaries, a few pages, is taken from the system. Chunks that are given back are free parts of the
 * memory again. Objects here are not looked after (checked.h).
 *
 * Limit: TREE_LEAVES chunks of the memory are used.
 */
#include "supplied.h"

#include <string.h>

#include "panic.h"
#include "relief.h"
#include "tree.h"

struct supplied {
	struct lock lock;	/* guards cache; taken before the heap's */
	struct region region;
	struct cache cache;
};

static uint32_t nr_supplied;	/* atomic, relaxed: whether it is worth to look; written under lock_setup */

/*
 * Where heaps are in memory, by number. Apart from their records, which are in that memory: a thread that frees an object of another heap looks here
 * while such a heap is destroyed and its memory unmapped. One word, so that no thread meets the base of one heap and the length of the next.
 */
static struct {
	struct heap *heap;	/* atomic, relaxed: always the same once it is set */
	uint64_t memory;	/* its first chunk's address and, where that is 0, how many there are; 0 = none. Atomic; released last */
} places[HEAPS_MAX];
_Static_assert(TREE_LEAVES < CHUNK_BYTES, "a number of chunks fits below the address of one");

/* ---------------------------------------------------------------- life */

static int take_nothing(void *context, void *address, size_t bytes)
{
	(void)context;
	(void)address;
	(void)bytes;
	return 0;
}

static void start_cache(struct supplied *supplied, struct heap *heap)
{
	supplied->lock = (struct lock)LOCK_INIT(LOCK_SUPPLIED);
	supplied->cache = (struct cache){ .base = supplied->region.base, .spans = supplied->region.spans, .heap = heap };
	cache_reset(&supplied->cache);
}

static void note_place(struct heap *heap)
{
	const struct region *region = heap->pages.region;

	atomic_store_relaxed(&places[heap->id].heap, heap);
	/* The release pairs with supplied_heap_of(). */
	atomic_store_release(&places[heap->id].memory, region->base | region->nr_chunks);
}

void supplied_start(struct heap *heap)
{
	const struct palloc_place place = { .take = take_nothing, .node = -1 };

	start_cache(heap->supplied, heap);
	if (palloc_set_place(&heap->pages, &place))
		panic("broken invariant: a heap without chunks cannot be placed");
	atomic_store_relaxed(&nr_supplied, nr_supplied + 1);
	note_place(heap);
}

struct heap *supplied_create(void *memory, size_t bytes)
{
	uintptr_t base = align_up((uintptr_t)memory, PAGE_BYTES);
	struct supplied *supplied = (struct supplied *)base;
	size_t header = base - (uintptr_t)memory + align_up(sizeof(*supplied), PAGE_BYTES);

	if (bytes < header + CHUNK_BYTES)
		return NULL;
	memset(supplied, 0, sizeof(*supplied));
	if (region_init_in(&supplied->region, (uintptr_t)memory + header, size_min(bytes - header, TREE_LEAVES * CHUNK_BYTES)))
		return NULL;
	return heap_create_in(&supplied->region, supplied);
}

void supplied_forget(struct heap *heap)
{
	atomic_store_relaxed(&places[heap->id].memory, 0u);
	atomic_store_relaxed(&nr_supplied, nr_supplied - 1);
}

struct heap *supplied_heap_of(const void *object)
{
	struct heap *heap = NULL;
	uintptr_t innermost = 0;

	if (likely(!atomic_load_relaxed(&nr_supplied)))
		return NULL;
	for (size_t i = 0; i < HEAPS_MAX; i++) {
		uint64_t memory = atomic_load_acquire(&places[i].memory); /* pairs with note_place() */
		uintptr_t base = memory & ~(CHUNK_BYTES - 1);

		/* An object of one such heap may be the memory of another. */
		if (base > innermost && (uintptr_t)object - base < (memory - base) * CHUNK_BYTES) {
			innermost = base;
			heap = atomic_load_relaxed(&places[i].heap);
		}
	}
	return heap;
}

/* ---------------------------------------------------------------- objects */

void supplied_lock(struct heap *heap)
{
	lock_acquire_nested(&heap->supplied->lock);
}

void supplied_unlock(struct heap *heap)
{
	lock_release_nested(&heap->supplied->lock);
}

void *supplied_alloc(struct heap *heap, size_t bytes, size_t align_bytes)
{
	struct supplied *supplied = heap->supplied;
	unsigned int class = CLASS_NONE;
	bool is_zero;
	void *object;

	if (bytes <= CLASS_MAX_BYTES && align_bytes <= PAGE_BYTES)
		class = heap_aligned_class(class_of(bytes), align_bytes);
	if (class == CLASS_NONE)
		return heap_alloc_large(heap, bytes, align_bytes, &is_zero);
	lock_acquire(&supplied->lock);
	object = cache_alloc(&supplied->cache, class, heap);
	lock_release(&supplied->lock);
	/* With no lock held, as cache_alloc_slow() does it for other heaps. */
	if (unlikely(heap_is_due(heap)))
		relief_settle(heap);
	return likely(object) ? object : relief_alloc(heap, class);
}

void supplied_free(struct heap *heap, void *object)
{
	struct supplied *supplied = heap->supplied;
	struct span *span;
	uint32_t page;

	lock_acquire(&supplied->lock);
	/* What begins here, and is no free slot; or the end. */
	heap_slot_bytes(object, "free()");
	span = heap_find_span(object, &page, "free()");
	if (span_state(span) == SPAN_LARGE)
		heap_free_large(span, page, object);
	else
		cache_free_slot(&supplied->cache, span, heap_find_slot(span, object, "free()"), object);
	lock_release(&supplied->lock);
}

void supplied_flush(struct heap *heap)
{
	struct supplied *supplied = heap->supplied;

	lock_acquire(&supplied->lock);
	cache_clean(&supplied->cache);
	cache_give_pages(&supplied->cache);
	lock_release(&supplied->lock);
}

struct cache *supplied_cache(struct heap *heap)
{
	return &heap->supplied->cache;
}

void supplied_hold(struct heap *heap)
{
	lock_acquire(&heap->supplied->lock);
}

void supplied_pass(struct heap *heap)
{
	lock_pass(&heap->supplied->lock);
}
