/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Idle chunks, by group and node: clean ones are zeroed, dirty ones are not. Knows no files, users
 * or spaces.
 *
 * A chunk outside the pools carries one mark: chunk_is_uncleared(). It lives in folio->private
 * while the chunk is on a list, and in the slot word while it is in a slot.
 */
#ifndef ARENA_POOL_H
#define ARENA_POOL_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "idle.h"

#define CHUNK_ORDER	HPAGE_PMD_ORDER
#define CHUNK_SHIFT	HPAGE_PMD_SHIFT
#define CHUNK_BYTES	(1UL << CHUNK_SHIFT)
#define CHUNK_PAGES	(1UL << CHUNK_ORDER)

struct placement;
struct pool_group;

/**
 * struct pool - idle chunks of one group on one node
 * @group: fixed
 * @nid: fixed
 * @lock: guards @idle and @nr_ahead
 * @idle: the chunks; the counts are also read without the lock
 * @nr_ahead: idle chunks that somebody wants soon; 0 when there are or cannot be so many
 * @hand_lock: held while some of @in_hand is zeroed; innermost
 * @in_hand: the chunk that the clearing thread zeroes, on no list; guard @lock, and @hand_lock
 *	for who takes it
 * @is_busy: the clearing thread may be getting chunks, or returning some, that are on no list;
 *	written by it alone, release after they are on a list or uncharged, acquire by who waits
 * @used_jiffies: when somebody took or gave last; racy
 * @queue: in the queue of the clearing thread; guard clearer.lock
 * @is_queued: in that queue, or being served; guard clearer.lock
 * @shrink: in the shrinker's list of its cgroup, from first to last
 */
struct pool {
	struct pool_group *group;
	int nid;
	spinlock_t lock;
	struct idle idle;
	unsigned long nr_ahead;
	raw_spinlock_t hand_lock;
	struct folio *in_hand;
	bool is_busy;
	unsigned long used_jiffies;
	struct list_head queue;
	bool is_queued;
	struct list_head shrink;
};

int pool_init(void);
/** No pool is left. */
void pool_exit(void);

/**
 * Take @nr chunks of @group onto @chunks (linked by folio->lru), from the nodes of @place and in
 * their order: clean, else dirty, else new from the system. Before it gives up it looks in the
 * slots of all CPUs and, if it is the system that has none, takes idle chunks of other groups away.
 * All or nothing: 0, -ENOMEM, or -EINTR on a fatal signal. May sleep when @gfp allows it.
 */
int pool_take(struct pool_group *group, const struct placement *place, struct list_head *chunks,
	      unsigned long nr, gfp_t gfp);
/**
 * Give all of @chunks back to @group, from which they came; the list is empty afterwards. What is
 * more than pool_max_chunks goes to the system soon.
 */
void pool_give(struct pool_group *group, struct list_head *chunks);
/** Give all of @chunks to the system, past the pools. Returns how many. */
unsigned long pool_return(struct list_head *chunks);

/** Have @nr idle chunks made ready on @nid, soon; best effort, at most pool_max_chunks. */
void pool_ahead(struct pool_group *group, int nid, unsigned long nr);

/** Idle chunks in @pool. Racy. */
static inline unsigned long pool_nr_idle(struct pool *pool)
{
	return READ_ONCE(pool->idle.nr_clean) + READ_ONCE(pool->idle.nr_dirty);
}

/**
 * Give up to @max idle chunks of @group (NULL: of all) on @nid (NUMA_NO_NODE: on all) back to the
 * system: those in CPU slots first, then dirty ones. Returns how many.
 */
unsigned long pool_trim(struct pool_group *group, int nid, unsigned long max);
/** The same for one pool, without CPU slots. */
unsigned long pool_trim_one(struct pool *pool, unsigned long max);
/** Move up to @max idle chunks of @pool to @chunks, dirty ones first, as far as locks are free. */
unsigned long pool_try_isolate(struct pool *pool, unsigned long max, struct list_head *chunks);

/** Frees its chunks; the group's slots are drained and nobody refers to the group. */
void pool_destroy(struct pool *pool);

/* For the CPU slots, whose chunks are out of the lists but not in anybody's hands. */
void pool_push(struct pool *pool, struct folio *chunk);

/* For the clearing threads. */
bool pool_has_work(struct pool *pool);
/** A dirty chunk to zero with hand_lock held as long as it is in_hand; NULL when there is none. */
struct folio *pool_clear_begin(struct pool *pool);
/** It is zeroed, or was taken away. */
void pool_clear_end(struct pool *pool);
void pool_return_surplus(struct pool *pool);
/** One chunk for pool_ahead(); false when there is none to get. */
bool pool_get_ahead(struct pool *pool);

/** struct pool_stats - in chunks; taken = returned + outside + clean + dirty */
struct pool_stats {
	u64 taken_chunks;
	u64 returned_chunks;
	u64 clean_chunks;
	u64 dirty_chunks;
};

/** Of @nid; of all nodes for NUMA_NO_NODE. */
void pool_stats(int nid, struct pool_stats *stats);

/* Locks shared between CPUs that were taken, counted for the unit tests. */
#ifdef ARENA_KUNIT
extern atomic_long_t pool_locks;
static inline void pool_lock_note(void)
{
	atomic_long_inc(&pool_locks);
}
#else
static inline void pool_lock_note(void)
{
}
#endif

#endif /* ARENA_POOL_H */
