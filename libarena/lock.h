/* SPDX-License-Identifier: MIT */
/*
 * A mutex on one futex word, with a rank. A thread may only take a lock of a higher rank than
 * those it holds; builds with ARENA_DEBUG check that at each acquire.
 *
 * No pthread mutex, because the library's locks must be usable below everything, cost one word and be
 * reinitialized in a forked child.
 */
#ifndef LIBARENA_LOCK_H
#define LIBARENA_LOCK_H

#include "atomic.h"
#include "os.h"
#include "panic.h"

/* Ranks, outermost first. */
enum lock_rank {
	LOCK_SETUP = 1,	/* the start of the library and of sources */
	LOCK_GC_STOPPING,	/* which collected heap's threads are stopped */
	LOCK_GC_THREADS,	/* the mutators of a collected heap */
	LOCK_GC_WHOLE,	/* what a fork must not find half done */
	LOCK_GC,	/* its types, roots and tables */
	LOCK_GC_STACKS,	/* the list of coroutines' stacks of a collected heap */
	LOCK_GC_STACK,	/* one of them */
	LOCK_GC_KIND,	/* the spans of one kind; one kind at a time */
	LOCK_GC_EPHEMERONS,	/* which of them wait for their keys */
	LOCK_GC_QUEUE,	/* what is to be marked */
	LOCK_GC_DRIVE,	/* the pacing of a collected heap */
	LOCK_NEWS,	/* what was freed of ended threads, while it is read; one heap at a time */
	LOCK_INBOX,	/* what others have freed of a thread, while it is taken in or given back; one thread at a time */
	LOCK_SUPPLIED,	/* the cache of a heap in the program's memory; one heap at a time */
	LOCK_HEAP,	/* a heap's page allocator and its parked caches; one heap at a time */
	LOCK_REGION,	/* the addresses of heaps */
	LOCK_WINDOW,	/* a window and its tables; one window at a time */
	LOCK_META,	/* names of arenas */
	LOCK_GUARD,	/* places of guarded objects */
	LOCK_PROFILE,	/* sites and samples */
	LOCK_GC_EVENT,	/* rings of a collected heap, or the file of timelines */
};

/* word: 0 free, 1 held, 2 held and somebody may wait. */
struct lock {
	uint32_t word;
	uint32_t rank; /* fixed after initialization */
};

#define LOCK_INIT(r) { .word = 0, .rank = (r) }

/* Guards the start of every part of the library. One for all, so that fork() can hold it: a child never sees half a start. */
extern struct lock lock_setup;

#ifdef ARENA_DEBUG
extern __thread uint32_t lock_ranks_held; /* bit r: a lock of rank r is held by this thread */
static inline void lock_rank_enter(const struct lock *lock)
{
	check(lock_ranks_held >> lock->rank == 0);
	lock_ranks_held |= 1u << lock->rank;
}
static inline void lock_rank_leave(const struct lock *lock)
{
	lock_ranks_held &= ~(1u << lock->rank);
}
#else
static inline void lock_rank_enter(const struct lock *lock)
{
	(void)lock;
}
static inline void lock_rank_leave(const struct lock *lock)
{
	(void)lock;
}
#endif

/** It was not free: look for a moment whether it becomes so, then sleep. */
void lock_await(struct lock *lock);

/* Without the check of ranks: for fork(), which takes all locks of a rank. Pairs with lock_release_nested(). */
static inline void lock_acquire_nested(struct lock *lock)
{
	uint32_t expected = 0;

	if (unlikely(!atomic_cas_acquire(&lock->word, &expected, 1u)))
		lock_await(lock);
}

/* The release pairs with the acquires in lock_acquire_nested() and lock_await(). */
static inline void lock_release_nested(struct lock *lock)
{
	if (unlikely(atomic_swap_release(&lock->word, 0u) == 2))
		os_futex_wake(&lock->word);
}

static inline void lock_acquire(struct lock *lock)
{
	lock_rank_enter(lock);
	lock_acquire_nested(lock);
}

/** Whether it was free; then it is held now. */
static inline bool lock_try(struct lock *lock)
{
	uint32_t expected = 0;

	if (!atomic_cas_acquire(&lock->word, &expected, 1u))
		return false;
	lock_rank_enter(lock);
	return true;
}

static inline void lock_release(struct lock *lock)
{
	lock_rank_leave(lock);
	lock_release_nested(lock);
}

/** Release it for who waits: the thread that is woken finds it held again when this one takes it at once, and so it sleeps for a moment then. */
void lock_pass(struct lock *lock);

#endif /* LIBARENA_LOCK_H */
