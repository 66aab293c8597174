// SPDX-License-Identifier: MIT
/*
 * The end of waiting. A full span waits for some free slots before it is allocated from again (cache.h), and is on no list meanwhile. Where its few
 * free slots are wanted the records of the heap's chunks are gone through.
 */
#include "heap.h"
#include "panic.h"
#include "spans.h"
#include "supplied.h"

void cache_set_wait(struct cache *cache)
{
	bool is_small = !cache->hurry && cache->nr_pages <= WAIT_FEW_PAGES;

	cache->wait_shift = cache->hurry ? WAIT_SHIFT_NONE : is_small ? WAIT_SHIFT_FEW : WAIT_SHIFT_MANY;
	cache->wait_few = is_small ? WAIT_FEW_SLOTS - 1 : 0;
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
	for (const struct cache *cache = heap_parked(heap); cache; cache = cache->next_parked)
		if (cache->waits != WAITS_NONE)
			return false;
	return !own || own->hurry;
}

/* Records looked at: as many pages or spans as that is worth come before the next time. */
static void start_hurry(struct cache *cache, const struct heap *heap)
{
	cache->hurry = (uint32_t)size_max(heap->pages.mapped * PAGES_PER_CHUNK / BITS_PER_WORD, HURRY_LEAST);
	cache_set_wait(cache);
}

/* Parked caches are the caller's, and that of a heap in memory of the program. */
static void hold(struct heap *heap)
{
	if (heap->supplied)
		supplied_hold(heap);
	lock_acquire(&heap->lock);
}

static void pass(struct heap *heap)
{
	if (!heap->supplied) {
		lock_pass(&heap->lock);
		return;
	}
	lock_release(&heap->lock);
	supplied_pass(heap);
}

/* False when nothing waits. What becomes full from now on does not, where others go on with @own between two parts. */
static bool start_search(struct heap *heap, struct cache *own)
{
	bool wanted;

	hold(heap);
	wanted = !is_in_hurry(heap, own);
	if (wanted && own)
		start_hurry(own, heap);
	for (struct cache *cache = heap_parked(heap); wanted && cache; cache = cache->next_parked)
		cache->waits = WAITS_SOUGHT;
	pass(heap);
	return wanted;
}

/* Of the heap's chunks among some of the region. */
static void search_part(struct heap *heap, struct cache *own, uint32_t chunk, uint32_t limit)
{
	hold(heap);
	for (; chunk < limit; chunk++) {
		struct span *span = records_of(heap, chunk);

		for (size_t i = 0; span && i < PAGES_PER_CHUNK; i++) {
			struct cache *owner = span_state(&span[i]) == SPAN_FULL ? owner_at_rest(heap, &span[i], own) : NULL;

			if (!owner)
				continue;
			end_wait(owner, &span[i], true);
			if (owner->is_parked)
				heap_note_left(owner, span[i].class);
		}
	}
	pass(heap);
}

/* Those that were parked meanwhile had spans where the search had been already. */
static void end_search(struct heap *heap)
{
	hold(heap);
	for (struct cache *cache = heap_parked(heap); cache; cache = cache->next_parked) {
		if (cache->waits != WAITS_SOUGHT)
			continue;
		start_hurry(cache, heap);
		cache->waits = WAITS_NONE;
	}
	pass(heap);
}

void cache_end_waits(struct heap *heap, struct cache *own)
{
	uint32_t nr_open = atomic_load_acquire(&heap->pages.region->nr_open); /* pairs with open_tables() of region.c */

	if (!start_search(heap, own))
		return;
	for (uint32_t chunk = 0; chunk < nr_open; chunk++) {
		if (!records_of(heap, chunk))
			continue;
		search_part(heap, own, chunk, (uint32_t)size_min(chunk + HEAP_PART_CHUNKS, nr_open));
		chunk += HEAP_PART_CHUNKS - 1;
	}
	end_search(heap);
}

/* Of a full span, which is on no list. */
static void validate_full(const struct heap *heap, const struct span *span)
{
	check(span->left > 0 && (int32_t)nr_free(span) == (int32_t)span->prev - span->left);
	check(heap->supplied || (span_owner(span) && span_owner(span)->heap == heap));
}

void cache_validate_waits(const struct heap *heap)
{
	uint32_t nr_open = atomic_load_acquire(&heap->pages.region->nr_open); /* pairs with open_tables() of region.c */

	for (uint32_t chunk = 0; chunk < nr_open; chunk++) {
		const struct span *span = records_of(heap, chunk);

		for (size_t i = 0; span && i < PAGES_PER_CHUNK; i++)
			if (span[i].state == SPAN_FULL)
				validate_full(heap, &span[i]);
	}
}
