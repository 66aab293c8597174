/* SPDX-License-Identifier: MIT */
/*
 * A thread's cache of a heap: allocating and freeing small objects without locks.
 *
 * Each size class has a current span, and of it a current word of 64 slots: allocating clears the lowest set bit of that word, freeing sets
 * the slot's bit. There are no lists of free objects, so nothing of the allocator is in the objects' memory, a slot that is freed twice is
 * noticed by its bit, and a pointer into the middle of an object by the remainder of a multiplication. (Go allocates by bitmaps as well, but
 * frees by sweeping; M. Lelbach, D. Lemire et al., "Faster remainder by direct computation", 2019, is the test for divisibility.)
 *
 * Objects of other threads' spans are freed by setting a bit in the span's remote record; the first to do so
 * puts the span into its owner's inbox. The owner looks there before it takes new memory.
 */
#ifndef LIBARENA_CACHE_H
#define LIBARENA_CACHE_H

#include "atomic.h"
#include "bits.h"
#include "classes.h"
#include "span.h"

struct heap;

/* What one class is allocated from. */
struct bin {
	uint64_t *word;		/* the free slots looked at now; a word of zeros when there is no current span */
	uintptr_t base;		/* of the slot that bit 0 of *word stands for */
	uint32_t bytes;		/* of a slot; fixed */
	uint32_t current;	/* page of the current span, or PAGE_NONE */
	uint32_t partial;	/* list of spans with free slots, or PAGE_NONE */
	uint32_t unused;
};

/* Belongs to its thread; while parked (its thread has ended) to who holds the heap's lock. Never unmapped. */
struct cache {
	uintptr_t base;		/* of the region */
	size_t bytes;		/* of it that have records, as far as this cache has heard; 0 in cache_none */
	struct span *spans;
	struct bin bins[NR_CLASSES];
	uint64_t group;		/* pages that are at hand: bits */
	uint32_t group_first;	/* of these 64 pages */
	uint32_t inbox;		/* atomic: page of a span in which others have freed, plus 1; 0 = none */
	struct heap *heap;	/* fixed */
	struct cache *next;	/* in the heap's list of all caches; fixed */
	struct cache *next_parked; /* guarded by the heap's lock */
};

/** Stands for "no cache yet": nothing is in it, so that fast paths need no test for it. */
extern struct cache cache_none;

/** Slow paths; @cache may be cache_none. */
void *cache_alloc_slow(struct cache *cache, unsigned int class, struct heap *heap) __attribute__((noinline));
void cache_free_slow(void *object) __attribute__((noinline));
/** An object that is slot @slot of @span, if that is a span of slots at all; its owner is another cache. */
void cache_free_foreign(struct span *span, unsigned int slot, void *object) __attribute__((noinline));
/** The last counted free of a span: it changes its state. */
void cache_free_event(struct cache *cache, struct span *span) __attribute__((noinline));

/** Make a cache empty, whatever was in it: a new one, or one whose heap is destroyed. */
void cache_reset(struct cache *cache);
/** Take in what others have freed. */
void cache_drain(struct cache *cache);
/** Leave only spans with objects behind; the pages at hand are the caller's to give back. */
void cache_clean(struct cache *cache);
/** Panics when the spans of a cache contradict each other. Its thread's, or while parked. */
void cache_validate(const struct cache *cache);

/** Free a slot whose owner is another cache, or nobody the caller knows. Any thread. */
void cache_free_remote(struct span *span, uint32_t page, unsigned int slot);

static inline struct cache *span_owner(const struct span *span)
{
	return (struct cache *)((uintptr_t)atomic_load_relaxed(&span->owner) & ~SPAN_WIDE);
}

/** @nr_pages of the span are given, because a fresh record does not say so yet. */
static inline void span_set_owner(struct span *span, struct cache *owner, uint32_t nr_pages)
{
	uintptr_t word = (uintptr_t)owner | (owner && nr_pages > 1 ? SPAN_WIDE : 0);

	atomic_store_relaxed(&span->owner, (struct cache *)word);
}

static inline enum span_state span_state(const struct span *span)
{
	return (enum span_state)atomic_load_relaxed(&span->state);
}

static inline void span_set_state(struct span *span, enum span_state state)
{
	atomic_store_relaxed(&span->state, (uint8_t)state);
}

/* ------------------------------------------------------------------ fast paths */

/** An object of the bin's class; NULL when the bin has none at hand. */
static inline void *bin_alloc(struct bin *bin)
{
	uint64_t *at = bin->word, word = *at;

	if (unlikely(!word))
		return NULL;
	atomic_store_relaxed(at, word & (word - 1));
	return (void *)(bin->base + (uint64_t)(unsigned int)__builtin_ctzll(word) * bin->bytes);
}

/** An object of a class, from this thread's cache of @heap; NULL when out of memory. */
static inline void *cache_alloc(struct cache *cache, unsigned int class, struct heap *heap)
{
	void *object = bin_alloc(&cache->bins[class]);

	return likely(object) ? object : cache_alloc_slow(cache, class, heap);
}

/** Free an object of any kind, of any heap of the region; NULL is allowed. */
static inline void cache_free(struct cache *cache, void *object)
{
	uintptr_t offset = (uintptr_t)object - cache->base;
	uint64_t product, word, *at;
	struct span *span;

	if (unlikely(offset >= cache->bytes))
		goto slow;
	span = &cache->spans[offset >> PAGE_SHIFT];
	/* The product's high half is the slot; its low half tells whether there is a remainder. */
	product = (offset & (PAGE_BYTES - 1)) * span->reciprocal;
	if (unlikely((uint32_t)product >= span->reciprocal || (uint8_t)(product >> 32) > span->nr_slots_1))
		goto slow;
	if (unlikely(atomic_load_relaxed(&span->owner) != cache)) {
		cache_free_foreign(span, (unsigned int)(product >> 32), object);
		return;
	}
	at = &span->free[product >> 38];
	word = *at;
	if (unlikely(word_set_bit(&word, product >> 32)))
		goto slow;
	atomic_store_relaxed(at, word);
	if (unlikely(--span->left == 0))
		cache_free_event(cache, span);
	return;
slow:
	cache_free_slow(object);
}

#endif /* LIBARENA_CACHE_H */
