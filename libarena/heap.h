/* SPDX-License-Identifier: MIT */
/*
 * Heaps: page allocator, caches of threads and large objects together. All heaps of a process share one region.
 */
#ifndef LIBARENA_HEAP_H
#define LIBARENA_HEAP_H

#include "arena/heap.h"
#include "cache.h"
#include "lock.h"
#include "palloc.h"

/* Each thread has a pointer to its cache for each. */
#define HEAPS_MAX 64

/* What the program wants to be called, and with what. */
struct heap_callback {
	arena_pressure_fn *function; /* or NULL */
	void *context;
};

/* What the collector says of a heap that has one, after each cycle. */
struct heap_collected {
	bool is_there;		/* else the rest means nothing */
	uint64_t nr_cycles, live_bytes, goal_bytes;
};

struct heap {
	struct lock lock;	/* guards pages, and caches of threads that have ended */
	struct palloc pages;
	uint32_t id;		/* fixed */
	bool is_live;		/* guarded by lock_setup */
	uint32_t nr_parked;	/* parked caches. Atomic; relaxed: a hint whether it is worth to look for more */
	struct cache *parked;	/* caches whose threads have ended; guarded by lock. Of one in the program's memory: empty, of a heap before it */
	/*
	 * Those of them that have something, so that nobody goes through all. Both lists are only added to when a cache has something, and who comes to one
	 * that has nothing any more, or is not parked any more, takes it off. Guarded by lock, but the first ones are read without it (atomic; relaxed: hints).
	 */
	struct cache *left[NR_CLASSES]; /* by class: caches with spans on their lists */
	struct cache *noted, *noted_last; /* a queue of caches with news: others have freed of them, or full spans of theirs wait */
	uint32_t first_place;	/* places in that queue are counted on as caches come and go: of the first; guarded by lock */
	uint32_t end_place;	/* and behind the last. Atomic; relaxed: how far who looks at all has to go */
	struct lock news;	/* held by who has a parked cache for himself, to take in what others have freed of it: */
	struct cache *being_read; /* this one, or NULL; guarded by lock, and a hint as well */
	struct cache *caches;	/* all; guarded by lock, as is how many: */
	uint32_t nr_caches;
	struct supplied *supplied; /* of a heap in the program's memory (supplied.c), else NULL; fixed while it is live */
	struct arena_shared_heap *shared; /* where its numbers are published; NULL = nowhere. Guarded by lock */
	struct heap_collected collected; /* guarded by lock */
	struct heap_callback callback; /* guarded by lock */
	uint32_t touched;	/* a chunk out of reach, that heap_prepare() touches: its first page, or PAGE_NONE. Guarded by lock; written by who prepares */
	bool is_due;		/* atomic; relaxed: a hint that it has grown to where relief_settle() has something to do */
	bool is_low;		/* atomic; relaxed: a hint that heap_prepare() has something to do */
};

/** The region of all heaps; fixed once the first heap is there. */
struct region *heap_region(void);
/** Bytes of the region whose records may be read; more may come any time. */
size_t heap_open_bytes(void);
/** The same as struct cache has it. */
uint64_t heap_open_mask(void);
/** The caches of this thread, by heap; cache_none where there is none yet. */
extern __thread struct cache *heap_caches[HEAPS_MAX] __attribute__((tls_model("initial-exec")));

/** The same where no fast path sees them, when objects are looked after (checked.h); NULL otherwise. */
extern __thread struct cache **heap_hidden_caches __attribute__((tls_model("initial-exec")));

/** This thread's cache of the heap of that number; NULL or cache_none when there is none. */
static inline struct cache *heap_own_cache(uint32_t id)
{
	return unlikely(heap_hidden_caches) ? heap_hidden_caches[id] : heap_caches[id];
}

/** The heap that malloc() is; NULL when there is no memory for it. Started by the first call. */
struct heap *heap_main(void);
/** A new heap, or NULL. AUTO takes the first source that works for heaps. */
struct heap *heap_create(enum arena_source source);
/** The same in a region of its own, which @supplied has to do with. */
struct heap *heap_create_in(struct region *own, struct supplied *supplied);
/** What a heap may hold from now on; idle chunks beyond the soft limit go back. */
void heap_set_limit(struct heap *heap, struct limit limit);
/** The same for all heaps together: 0, or -ENOMEM when there is no memory for the first. */
int heap_set_process_limit(struct limit limit);
/** Everything in it is gone; no other thread may use it any more. O(chunks). */
void heap_destroy(struct heap *heap);

/** Addresses for caches, and what ends them with their threads: 0 or -ENOMEM. Once, after the region. */
int heap_start_threads(void);
/** This thread's cache, made or taken over now when there is none; NULL when out of memory, and when the thread has all but ended. */
struct cache *heap_cache_get(struct heap *heap);

/**
 * The first of the parked caches that may have something for the heap; the caller holds its lock. A heap in memory of the program has none: its threads
 * share a cache, and what an ordinary heap of its number left is empty.
 */
static inline struct cache *heap_parked(const struct heap *heap)
{
	return heap->supplied ? NULL : heap->parked;
}

/** Others have freed of a cache, which may be parked. Takes the heap's lock. */
void heap_note_news(struct cache *cache) __attribute__((noinline, cold));
/** In the child of a fork, which came between a free by another thread and its note: all that have something in their inboxes. The caller holds the lock. */
void heap_note_all_news(struct heap *heap);
/** A parked cache has a span of that class on its list; the caller holds its heap's lock. */
void heap_note_left(struct cache *cache, unsigned int class);
/** Panics when one of the heap's parked caches has something that nobody would find. The caller holds the locks of the heap and of its news. */
void heap_validate_parked(const struct heap *heap);

/** Whether this thread has a cache of the heap of that number. */
bool heap_has_cache(uint32_t id);

/** Whether relief_settle() is to be called. */
static inline bool heap_is_due(const struct heap *heap)
{
	return atomic_load_relaxed(&heap->is_due);
}

/** Whether heap_prepare() has something to do: pages are in use, and the next ones may have no memory yet. A hint. */
static inline bool heap_is_low(const struct heap *heap)
{
	return atomic_load_relaxed(&heap->is_low);
}

/**
 * Touch memory that is likely to be needed: all of the first chunk, when some of it is in use, and one more, when half a chunk is. Behind that one another is
 * mapped. False when there is no room for one. Linear in the chunk's bytes. One thread of a heap's at a time.
 */
bool heap_prepare(struct heap *heap);
/** Undo what a thread has begun that is no more: in the child of a fork. */
void heap_give_touched(struct heap *heap);

/**
 * Give back what this thread's cache has at hand: pages without objects, and those of ended threads. O(classes), and what others have freed of theirs;
 * waits as heap_read_all_news().
 */
void heap_flush(struct heap *heap);

/**
 * What is free in spans of this thread, and of those that have ended, can be allocated: none waits until more of it is free. Before a refusal.
 * As cache_end_waits(); may wait for who does the same, or reads news.
 */
void heap_end_waits(struct heap *heap);

/**
 * Take in what was freed of one thread that has ended; false when there is none with such, or somebody else does, or searches. O(classes), and
 * what was freed.
 */
bool heap_read_news(struct heap *heap);
/** The same of each thread that has ended by now: waits for who does, or searches. O(classes) for each with news, and what was freed. */
void heap_read_all_news(struct heap *heap);
/** The same, but what somebody else sees to is left to him. For who holds the heap, so that all threads that need lock_setup would wait as well. */
void heap_try_all_news(struct heap *heap);

/**
 * Give back the pages of objects that others have freed of threads that have not noticed: spans that are wholly free but for what their threads know.
 * Returns how many pages. O(threads), and the spans in their inboxes.
 */
uint64_t heap_give_asleep(struct heap *heap);
/**
 * The same for who holds the heap: nothing while somebody reads news, or searches. @all: also of threads that have looked into their inboxes
 * since the last time.
 */
uint64_t heap_try_asleep(struct heap *heap, bool all);

/** Its pages may change from here to heap_unlock(), which says what is due then. */
void heap_lock(struct heap *heap);
void heap_unlock(struct heap *heap);

/** Pages for caches: at most @nr, as bits; see palloc_take_group(). */
uint64_t heap_take_group(struct heap *heap, unsigned int nr, uint32_t *first);
void heap_give_group(struct heap *heap, uint32_t first, uint64_t group);
uint32_t heap_take_pages(struct heap *heap, uint32_t nr);
/** The same; *@is_zero: they are known to hold zeros. */
uint32_t heap_take_run(struct heap *heap, uint32_t nr, bool *is_zero);
void heap_give_pages(struct heap *heap, uint32_t page, uint32_t nr);
/**
 * A partly used span of a class that an ended thread left, now @cache's: its page, or PAGE_NONE. O(1), but for caches on lists that have nothing any
 * more, each of which is taken off there once, and for one with news, O(classes) and what was freed of it; while somebody else reads that it is left to
 * him, unless this thread is about to be refused.
 */
uint32_t heap_adopt(struct heap *heap, struct cache *cache, unsigned int class);

/** Objects of any size; aligned to 16 bytes, as far as they are that long. NULL when out of memory. */
static inline void *heap_alloc(struct heap *heap, size_t bytes);
/** As heap_alloc(), zeroed. */
void *heap_calloc(struct heap *heap, size_t bytes);
/** @align_bytes is a power of two. */
void *heap_alloc_aligned(struct heap *heap, size_t bytes, size_t align_bytes);
void *heap_realloc(struct heap *heap, void *object, size_t bytes);
/** Bytes that may be used of an object; panics when it is none. */
size_t heap_usable_bytes(const void *object);
/** The heap that an address is in, or NULL. */
struct heap *heap_of(const void *object);

/** What heap_alloc() does when nothing is at hand. */
void *heap_alloc_slow(struct heap *heap, size_t bytes) __attribute__((noinline));
/** What it does beyond small sizes. */
void *heap_alloc_large(struct heap *heap, size_t bytes, size_t align_bytes, bool *is_zero);
/** An object of a class on pages of its own, for a thread that gets no cache. */
static inline void *heap_alloc_alone(struct heap *heap, unsigned int class)
{
	bool is_zero;

	return heap_alloc_large(heap, size_classes[class].bytes, 1, &is_zero);
}

/** What the calling thread asks for now, where that is known better than by its class; 0 = not known. Forgotten where other code is called. */
extern __thread size_t heap_request_bytes __attribute__((tls_model("initial-exec")));
/** An object of a size class that is sampled: on pages of its own, so that free() meets it on a slow path. NULL when out of memory. */
void *heap_alloc_sampled(struct heap *heap, size_t bytes, uint64_t mean_bytes);
void heap_free_large(struct span *span, uint32_t page, const void *object);
/** Where a slot of a span begins. */
uintptr_t heap_slot_address(const struct span *span, uint32_t page, unsigned int slot);
/** The slot that an address is, in its span; panics, naming @what, when no object begins there. */
unsigned int heap_find_slot(const struct span *span, const void *object, const char *what);
/** What an address is: its span and page, from the records. Panics, naming @what, when no object begins or lies there. */
struct span *heap_find_span(const void *object, uint32_t *page, const char *what);
/** The first class from @class on whose slots are all so aligned; CLASS_NONE when there is none. */
unsigned int heap_aligned_class(unsigned int class, size_t align_bytes);
/** Bytes of what an object lies in, of whatever size it was asked for; panics, naming @what, when no object begins there. */
size_t heap_slot_bytes(const void *object, const char *what);
/** Misuse: says so and ends. */
void heap_misuse(const char *what, const void *object, const char *why) __attribute__((noreturn, cold));

/** The @i-th heap, or NULL when there is none; the caller holds lock_setup. */
struct heap *heap_at(size_t i);
/** The @i-th heap, held: it cannot be destroyed until heap_unhold(). NULL, and nothing held, when there is none. */
struct heap *heap_hold(size_t i);
/** The same when its memory is the system's, who gets what is given back: not for one in memory of the program. */
struct heap *heap_hold_system(size_t i);
void heap_unhold(void);
/* Chunks that go back under one hold of a lock: who allocates meanwhile waits for so many system calls, and no more. */
#define HEAP_PART_CHUNKS 16
/** Give idle chunks back, highest first, all but @keep and at most @max, in parts between which other threads have their turn; returns how many. */
uint64_t heap_scavenge(struct heap *heap, uint64_t keep, uint64_t max);
/** Panics when the heap's tables contradict each other; no other thread may use it meanwhile. */
void heap_validate(struct heap *heap);

/* fork(): all locks are held across it, after lock_setup. */
void heap_fork_prepare(void);
void heap_fork_done(void);
void heap_fork_child(void);

static inline void *heap_alloc(struct heap *heap, size_t bytes)
{
	void *object;

	if (likely(bytes - 1 < CLASS_LOOKUP_BYTES) && likely(cache_take(heap_caches[heap->id], bytes, &object)))
		return object;
	return heap_alloc_slow(heap, bytes);
}

static inline void heap_free(struct heap *heap, void *object)
{
	cache_free(heap_caches[heap->id], object);
}

#endif /* LIBARENA_HEAP_H */
