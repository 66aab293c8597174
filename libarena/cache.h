/* SPDX-License-Identifier: MIT */
/*
 * A thread's cache of a heap: allocating and freeing small objects without locks.
 *
 * Each size class has a current span, and of it a current word of 64 slots: allocating clears the lowest set bit of that word, freeing sets
 * the slot's bit. There are no lists of free objects, so nothing of the allocator is in the objects' memory, a slot that is freed twice is
 * noticed by its bit, and any address that is not a slot's by the product that tells which slot it is (span.h). So an address is not looked
 * at before its record is: a mask leads every address to some record. (Go allocates by bitmaps as well, but frees by sweeping; the test
 * for divisibility is that of T. Granlund and P. Montgomery, "Division by invariant integers using multiplication", 1994, section 9.)
 *
 * Objects of other threads' spans are freed by setting a bit in the span's remote record; the first to do so
 * puts the span into its owner's inbox. The owner looks there when nothing is at hand, and after 128 spans at the latest.
 */
#ifndef LIBARENA_CACHE_H
#define LIBARENA_CACHE_H

#include "atomic.h"
#include "bits.h"
#include "classes.h"
#include "lock.h"
#include "span.h"

struct heap;
struct loans;

/*
 * What objects of one size are allocated from. Classes beyond 256 bytes are wider than a step of sizes: their fronts say the same, so that the
 * size alone leads to one, without a table.
 */
struct front {
	uint64_t *word;		/* the free slots looked at now; a word of zeros when there is no current span */
	uintptr_t base;		/* of the slot that bit 0 of *word stands for */
	uint64_t bytes;		/* of a slot; fixed */
	struct cache *next_left; /* the class's own front: see struct heap; NULL when on no list, cache_none behind the last. Guarded by the heap's lock */
};

struct bin {
	uint32_t current;	/* page of the current span of the class, or PAGE_NONE */
	uint32_t partial;	/* list of its spans with free slots, or PAGE_NONE */
};

/* Which full spans of a parked cache wait though slots of theirs are free. */
enum parked_waits {
	WAITS_NONE,		/* none */
	WAITS_FEW,		/* those that were looked for and not found (cache_end_some_waits()) */
	WAITS_MANY,		/* nobody has looked */
	WAITS_SOUGHT,		/* whoever goes through the heap's records will find all (cache_end_waits()) */
};

/* Belongs to its thread; while parked (its thread has ended) to who holds the heap's lock. Never unmapped. */
struct cache {
	struct front fronts[NR_FRONTS];
	struct span *spans;	/* of the region, and */
	uint64_t mask;		/* which of them may be looked at, in bytes, as far as this cache has heard; cache_none: a record of its own */
	struct span_remote *remotes; /* of the region; NULL where no other thread frees */
	uintptr_t base;		/* of the region */
	struct heap *heap;	/* fixed */
	struct loans *loans;	/* atomic: see loan.h, per class; NULL while there was no sampling */
	uint64_t group;		/* pages that are at hand: bits */
	uint32_t group_first;	/* of these 64 pages */
	uint16_t group_shift;	/* of the next group: so many pages are asked for, as a power of two */
	uint16_t patience;	/* so many spans more come from what is at hand before the inbox is looked at; cache_none: none */
	struct bin bins[NR_CLASSES];
	uint64_t apart;		/* pages that came back and are not of those 64: bits */
	uint32_t apart_first;	/* of 64 as well */
	uint32_t nr_pages;	/* of its spans, and at hand */
	uint16_t wait_shift;	/* a full span waits for so many free slots: its slots >> wait_shift, and one; */
	uint16_t wait_few;	/* where half of its slots are more than that, for so many, but not for more than half */
	uint32_t hurry;		/* memory was short: they wait for one until so many pages, or full spans with a free slot, have come */
	/* What other threads write has a line of its own: all above is read at every call. */
	_Alignas(64) uint32_t inbox; /* atomic: page of a span in which others have freed, plus 1; 0 = none */
	uint32_t nr_given;	/* atomic: pages in nr_pages that were given back while the thread slept (asleep.c) */
	uint32_t nr_reads;	/* atomic, relaxed: how often the thread has looked into the inbox, and */
	uint32_t nr_reads_seen;	/* what that was at the last look of asleep.c; guarded by the lock of news */
	struct lock reading;	/* of the inbox: what is in it, and the bits that it leads to */
	struct cache *next;	/* in the heap's list of all caches; fixed */
	struct cache *next_parked; /* guarded by the heap's lock, as are these: */
	struct cache *next_noted;
	bool is_parked;		/* written atomically: see inbox_push() */
	bool is_noted;		/* so is this: in the heap's queue of caches with news */
	uint8_t waits;		/* parked: enum parked_waits */
};

/*
 * A thread's first group is of 8 pages, each next one twice as long, up to a word of bits: with that many at once a few threads would hold
 * all of a heap's first chunk, which is of ordinary pages, and a small program pay for a huge one.
 */
#define GROUP_LEAST_SHIFT 3u
#define GROUP_MOST_SHIFT 6u

/*
 * So many slots of a full span are to be free before it is allocated from again. With the first one it would be current and full again
 * at the next allocation, and every pair of calls a slow one. Waiting costs memory, so the spans of a cache that holds much wait for an eighth, of one
 * that holds at most 4 MiB for a quarter: a cache of the processor does not hold more, and misses would cost more than slow calls.
 */
#define WAIT_SHIFT_FEW 2u
#define WAIT_SHIFT_MANY 3u
#define WAIT_FEW_PAGES (4 * MiB / PAGE_BYTES)
/*
 * A quarter of few slots are fewer still: of 256 bytes 4, so that every fifth call was a slow one, and foreseen by no processor. In a cache that holds at most
 * 4 MiB they wait for 16, or half of them.
 */
#define WAIT_FEW_SLOTS 16u
/* When its thread has ended, one chunk's records are looked at for so many pages of a cache. */
#define WAIT_PAGES_PER_CHUNK 16u
/* Where memory was short they wait for one, whatever that costs; in a small heap until so many have come, since a search is more than its records. */
#define WAIT_SHIFT_NONE 31u
#define HURRY_LEAST 256u

/*
 * What others free is taken in after so many spans at the latest. Pages that a thread's own frees bring back may serve it for ever, and so may its
 * spans: without a number a busy thread would hold without bound what others gave back.
 */
#define PATIENCE_SPANS 128u

/* Caches lie within 4 GiB from here: a span names its owner by the lower half of the address. Fixed before there is one. */
extern uintptr_t cache_area;

/** Stands for "no cache yet": nothing is in it, so that fast paths need no test for it. */
extern struct cache cache_none;

/** Slow paths; @cache may be cache_none. The first: after front_take() had nothing. */
void *cache_alloc_slow(struct cache *cache, unsigned int class, struct heap *heap) __attribute__((noinline));
void cache_free_slow(void *object) __attribute__((noinline));
/** The same when nobody looks after objects (checked.h), or has done so. */
void cache_free_any(void *object);
/** An object that is slot @slot of @span, if that is a span of slots at all; its owner is another cache, or it has several pages. */
void cache_free_foreign(struct cache *cache, struct span *span, unsigned int slot, void *object) __attribute__((noinline));
/** Free slot @slot of a span that the cache owns. */
void cache_free_slot(struct cache *cache, struct span *span, unsigned int slot, const void *object);
/** The last counted free of a span: it changes its state. */
void cache_free_event(struct cache *cache, struct span *span) __attribute__((noinline));

/** Make a cache empty, whatever was in it: a new one, or one whose heap is destroyed. */
void cache_reset(struct cache *cache);
/** Pages at hand go back. */
void cache_give_pages(struct cache *cache);
/** Take in what others have freed. */
void cache_drain(struct cache *cache);
/** The same of a cache whose thread has ended: no full span waits for more, and pages at hand go back. */
void cache_drain_parked(struct cache *cache);
/**
 * Give back the pages of full spans of which others have freed every object, without their thread; returns how many. The caller holds the lock of news.
 * O(spans in the inbox).
 */
uint64_t cache_give_asleep(struct cache *cache);
/** Whether others have freed of its objects, and the thread has not looked since this was asked last. The caller holds the lock of news. */
bool cache_is_asleep(struct cache *cache);
/** Tell the owner of a span that others have freed of it, unless somebody has. */
void cache_notify(struct span *span, struct span_remote *remote) __attribute__((noinline));

/** Leave only spans with objects behind; the pages at hand are the caller's to give back. */
void cache_clean(struct cache *cache);
/**
 * For a cache whose thread has ended: full spans wait no longer that have free slots. Of those that lie far apart some are not found. O(pages of the
 * cache), at most 32 records for each and a chunk's, and a look at each chunk of the region.
 */
void cache_end_some_waits(struct cache *cache);
/**
 * When memory is short: none of @own's full spans with a free slot waits any more, nor one of a parked cache, and those that become full wait for
 * one for a while. @own is the caller's, or that of a heap in memory of the program, or NULL. The caller holds the lock of the heap's news. Unless
 * nothing waits, O(pages of the heap + chunks of the region + ended threads); the heap's lock is held for 16 chunks at a time.
 */
void cache_end_waits(struct heap *heap, struct cache *own);
/** For how many free slots a span waits that becomes full now: by the pages of the cache, and whether it is in a hurry. */
void cache_set_wait(struct cache *cache);
/** Panics when the spans of a cache contradict each other. Its thread's, or while parked. */
void cache_validate(const struct cache *cache);
/** The same of the full spans of all caches, which no cache lists. O(pages of the heap + chunks of the region). */
void cache_validate_waits(const struct heap *heap);

static inline uint32_t cache_name(const struct cache *cache)
{
	return (uint32_t)(uintptr_t)cache;
}

static inline struct cache *span_owner(const struct span *span)
{
	uint32_t name = atomic_load_relaxed(&span->owner) & ~SPAN_WIDE;

	return name ? (struct cache *)(cache_area + (uint32_t)(name - (uint32_t)cache_area)) : NULL;
}

/** @nr_pages of the span are given, because a fresh record does not say so yet. */
static inline void span_set_owner(struct span *span, const struct cache *owner, uint32_t nr_pages)
{
	atomic_store_relaxed(&span->owner, cache_name(owner) | (owner && nr_pages > 1 ? SPAN_WIDE : 0));
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

/** An object of the front's size; false when none is at hand. */
static inline bool front_take(struct front *front, void **object)
{
	uint64_t *at = front->word, word = *at;

	if (unlikely(!word))
		return false;
	atomic_store_relaxed(at, word & (word - 1));
	*object = (void *)(front->base + word_lowest(word) * front->bytes);
	return true;
}

_Static_assert(sizeof(struct front) == 2 * FRONT_BYTES && offsetof(struct cache, fronts) == 0, "cache_take() finds fronts by the size");

/* So many bytes of sizes from the first front. Compilers are not to see that it is the same one: each access's address has room for the sum. */
static inline struct front *front_after(struct cache *cache, size_t *bytes)
{
	__asm__("" : "+r"(*bytes));
	return (struct front *)((uintptr_t)cache + 2 * *bytes);
}

/** An object of 1 to CLASS_LOOKUP_BYTES bytes: front_take() of its front. */
static inline bool cache_take(struct cache *cache, size_t bytes, void **object)
{
	size_t after = (bytes - 1) & ~(size_t)(FRONT_BYTES - 1);
	uint64_t *at = front_after(cache, &after)->word, word = *at, distance;

	if (unlikely(!word))
		return false;
	atomic_store_relaxed(at, word & (word - 1));
	distance = word_lowest(word) * front_after(cache, &after)->bytes;
	*object = (void *)(front_after(cache, &after)->base + distance);
	return true;
}

/** Whether the owner of a span is exactly this cache: as span_owner() with nothing else. */
static inline bool span_is_of(const struct span *span, const struct cache *cache)
{
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
	bool is;

	/* Compilers load what is atomic first. */
	__asm__("cmpl %2, %1" : "=@cce"(is) : "m"(span->owner), "r"(cache_name(cache)));
	return is;
#else
	return atomic_load_relaxed(&span->owner) == cache_name(cache);
#endif
}

/** An object of a class, from this thread's cache of @heap; NULL when out of memory. */
static inline void *cache_alloc(struct cache *cache, unsigned int class, struct heap *heap)
{
	void *object;

	return likely(front_take(&cache->fronts[size_classes[class].front], &object)) ? object : cache_alloc_slow(cache, class, heap);
}

/** The record that an address leads to, and the number that tells which slot of it that is: SPAN_MAX_SLOTS or more when it is none. */
static inline struct span *cache_find(const struct cache *cache, const void *object, uint64_t *slot)
{
	uint64_t at = (uintptr_t)object >> (PAGE_SHIFT - SPAN_SHIFT) & cache->mask;
	struct span *span = (struct span *)((uintptr_t)cache->spans + at);

	/*
	 * Rotated, so that what is no multiple is large: one comparison tells a slot from any other address. Such an address (NULL is one) may lead to
	 * a record that its owner is just making.
	 */
	*slot = word_rotate_right((uintptr_t)object * load_racing(&span->inverse) - load_racing(&span->bias), SLOT_SHIFT);
	return span;
}

/** Bytes of an object's slot, if it is in use and of this cache; 0 when more is to be looked at. */
static inline size_t cache_slot_bytes(const struct cache *cache, const void *object)
{
	uint64_t slot;
	const struct span *span = cache_find(cache, object, &slot);

	if ((SEEKS_MISUSE && unlikely(slot >= SPAN_MAX_SLOTS)) || unlikely(!span_is_of(span, cache)) ||
	    (SEEKS_MISUSE && unlikely(span->free[slot / 64] >> slot % 64 & 1)))
		return 0;
	return size_classes[span->class].bytes;
}

/** Free an object of any kind, of any heap of the region; NULL is allowed. */
static inline void cache_free(struct cache *cache, void *object)
{
	uint64_t slot;
	struct span *span = cache_find(cache, object, &slot);

	if (SEEKS_MISUSE && unlikely(slot >= SPAN_MAX_SLOTS))
		goto slow;
	if (unlikely(!span_is_of(span, cache))) {
		cache_free_foreign(cache, span, (unsigned int)slot, object);
		return;
	}
	if (unlikely(words_set_bit(span->free, slot)) && SEEKS_MISUSE)
		goto slow;
	if (unlikely(--span->left == 0))
		cache_free_event(cache, span);
	return;
slow:
	cache_free_slow(object);
}

#endif /* LIBARENA_CACHE_H */
