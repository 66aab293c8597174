// SPDX-License-Identifier: MIT
/*
 * The end of waiting. A full span waits for some free slots before it is allocated from again (cache.h), and is on no list meanwhile. Where its few
 * free slots are wanted the records of the heap's chunks are gone through.
 */
#include "heap.h"
#include "spans.h"

void cache_set_wait(struct cache *cache)
{
	cache->wait_shift = cache->hurry ? WAIT_SHIFT_NONE : cache->nr_pages <= WAIT_FEW_PAGES ? WAIT_SHIFT_FEW : WAIT_SHIFT_MANY;
}

/* Of a full span. @is_last: if no slot of it is free, it waits for one. */
static void end_wait(struct cache *cache, struct span *span, bool is_last)
{
	if (nr_free(span)) {
		span->left = (int16_t)nr_used(span);
		partial_push(cache, span);
	} else if (is_last) {
		span->prev = 1;
		span->left = 1;
	}
}

/* The first of the records of a chunk of the heap; NULL when it is not the heap's. */
static struct span *records_of(const struct heap *heap, uint32_t chunk)
{
	const struct region *region = heap->pages.region;

	return atomic_load_relaxed(&region->chunks[chunk].pages) == &heap->pages ? &region->spans[chunk * PAGES_PER_CHUNK] : NULL;
}

/* How many pages of the cache's spans begin there: those of a span may go beyond the chunk. */
static uint32_t end_waits_in_chunk(struct cache *cache, struct span *span)
{
	uint32_t nr = 0;

	for (const struct span *limit = span + PAGES_PER_CHUNK; span < limit; span++) {
		if ((atomic_load_relaxed(&span->owner) & ~SPAN_WIDE) != cache_name(cache))
			continue;
		nr += size_classes[span->class].pages;
		if (span_state(span) == SPAN_FULL)
			end_wait(cache, span, false);
	}
	return nr;
}

void cache_end_some_waits(struct cache *cache)
{
	uint32_t nr_open = atomic_load_acquire(&cache->heap->pages.region->nr_open); /* pairs with open_tables() of region.c */
	uint32_t nr_pages = cache->nr_pages, nr_chunks = nr_pages / WAIT_PAGES_PER_CHUNK + 1;
	uint32_t chunk = cache->group_first / PAGES_PER_CHUNK;

	/* From its last group down, and on from the end. */
	for (uint32_t i = 0; nr_pages && nr_chunks && i < nr_open; i++, chunk = (chunk ? chunk : nr_open) - 1) {
		struct span *records = records_of(cache->heap, chunk);

		if (!records)
			continue;
		nr_pages -= (uint32_t)size_min(end_waits_in_chunk(cache, records), nr_pages);
		nr_chunks--;
	}
}

/* Whose span may be taken by who holds the heap's lock and has the cache @own; NULL when it is another thread's. */
static struct cache *owner_at_rest(const struct heap *heap, const struct span *span, struct cache *own)
{
	struct cache *owner;

	if (own && (atomic_load_relaxed(&span->owner) & ~SPAN_WIDE) == cache_name(own))
		return own;
	/* The cache of a heap in memory of the program is none that span_owner() finds, and there is no other. */
	owner = heap->supplied ? NULL : span_owner(span);
	return owner && owner->is_parked ? owner : NULL;
}

/* Nothing waits that has a free slot. */
static bool is_in_hurry(const struct heap *heap, const struct cache *own)
{
	for (const struct cache *cache = heap->parked; cache; cache = cache->next_parked)
		if (cache->waits != WAITS_NONE)
			return false;
	return !own || own->hurry;
}

/* Records looked at: as many pages or spans as that is worth come before the next time. */
static void start_hurry(struct cache *cache, uint32_t nr_records)
{
	cache->hurry = nr_records / BITS_PER_WORD;
	cache_set_wait(cache);
}

void cache_end_waits(struct heap *heap, struct cache *own)
{
	uint32_t nr_open = atomic_load_acquire(&heap->pages.region->nr_open), nr = 0; /* pairs with open_tables() of region.c */

	if (is_in_hurry(heap, own))
		return;
	for (uint32_t chunk = 0; chunk < nr_open; chunk++) {
		struct span *span = records_of(heap, chunk);

		for (size_t i = 0; span && i < PAGES_PER_CHUNK; i++, nr++) {
			struct cache *owner = span_state(&span[i]) == SPAN_FULL ? owner_at_rest(heap, &span[i], own) : NULL;

			if (owner)
				end_wait(owner, &span[i], true);
		}
	}
	if (own)
		start_hurry(own, nr);
	for (struct cache *cache = heap->parked; cache; cache = cache->next_parked) {
		start_hurry(cache, nr);
		cache->waits = WAITS_NONE;
	}
}
