/* SPDX-License-Identifier: MIT */
/*
 * Spans of a cache: their records, what is free of them, and the lists of those that wait for their turn. For the cache's thread, or who has it while
 * it is parked.
 */
#ifndef LIBARENA_SPANS_H
#define LIBARENA_SPANS_H

#include "heap.h"

static inline struct span *span_at(const struct cache *cache, uint32_t page)
{
	return &cache->spans[page];
}

static inline uint32_t page_of(const struct cache *cache, const struct span *span)
{
	return (uint32_t)(span - cache->spans);
}

/** Of those that say which slots are free. */
static inline unsigned int nr_words(const struct span *span)
{
	return size_classes[span->class].last_slot / 64u + 1;
}

/** Slots; what others have freed and the owner has not taken in counts as used. */
static inline unsigned int nr_free(const struct span *span)
{
	unsigned int nr = 0;

	for (unsigned int w = 0; w < nr_words(span); w++)
		nr += (unsigned int)__builtin_popcountll(span->free[w]);
	return nr;
}

static inline int32_t nr_used(const struct span *span)
{
	return (int32_t)(class_slots(span->class) - nr_free(span));
}

/** How many slots of a span are to be free before it is allocated from again, when it becomes full now. */
static inline uint32_t span_waits_for(const struct cache *cache, unsigned int class)
{
	uint32_t last = size_classes[class].last_slot;

	return (uint32_t)size_max(last >> cache->wait_shift, size_min(last >> 1, cache->wait_few)) + 1;
}

/** No slots are here any more. */
static inline void forget_record(struct span *span)
{
	span_set_owner(span, NULL, 1);
	span_set_state(span, SPAN_NONE);
}

/**
 * Whose next belongs to the caller. Who parks the owner, or is about to read its inbox, says so first and then looks there; here it is the other way
 * round, all sequentially consistent: so the entry is seen there, or noted here.
 */
static inline void inbox_push(struct cache *owner, struct span_remote *remote, uint32_t page)
{
	uint32_t head = atomic_load_relaxed(&owner->inbox);

	do {
		remote->next = head;
		/* Its release pairs with the acquires of who empties it: drain() of cache.c, and asleep.c. */
	} while (!atomic_cas_seq_cst(&owner->inbox, &head, page + 1));
	if (unlikely(atomic_load_seq_cst(&owner->is_parked)) && !atomic_load_seq_cst(&owner->is_noted))
		heap_note_news(owner);
}

static inline bool has_freed(const struct span_remote *remote)
{
	uint64_t any = 0;

	for (unsigned int w = 0; w < SPAN_WORDS; w++)
		any |= atomic_load_seq_cst(&remote->freed[w]);
	return any;
}

/** Not this cache's any more: who else is to be told, by the entry that is taken out of its inbox, and that nobody has put in again. */
static inline void inbox_pass_on(struct span *span, struct span_remote *remote)
{
	if (has_freed(remote) && !atomic_load_seq_cst(&remote->is_queued))
		cache_notify(span, remote);
}

/** A span with free slots and used ones, on no list, waits for its turn to be allocated from. */
static inline void partial_push(struct cache *cache, struct span *span)
{
	struct bin *bin = &cache->bins[span->class];
	uint32_t page = page_of(cache, span);

	span->next = bin->partial;
	if (span->next != PAGE_NONE)
		span_at(cache, span->next)->prev = page;
	bin->partial = page;
	span_set_state(span, SPAN_PARTIAL);
}

/** Its state is the caller's to set. */
static inline void partial_remove(struct cache *cache, struct span *span)
{
	struct bin *bin = &cache->bins[span->class];

	if (span->next != PAGE_NONE)
		span_at(cache, span->next)->prev = span->prev;
	if (bin->partial == page_of(cache, span))
		bin->partial = span->next;
	else
		span_at(cache, span->prev)->next = span->next;
}

#endif /* LIBARENA_SPANS_H */
