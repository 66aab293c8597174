/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Idle chunks, per node: clean ones are zeroed, dirty ones are not. Knows no files, users or
 * spaces.
 *
 * A chunk outside the pool carries one mark: chunk_is_uncleared(). It lives in folio->private
 * while the chunk is on a list, and in the slot word while it is in a slot.
 */
#ifndef ARENA_POOL_H
#define ARENA_POOL_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/types.h>

#define CHUNK_ORDER	HPAGE_PMD_ORDER
#define CHUNK_SHIFT	HPAGE_PMD_SHIFT
#define CHUNK_BYTES	(1UL << CHUNK_SHIFT)
#define CHUNK_PAGES	(1UL << CHUNK_ORDER)

static inline bool chunk_is_uncleared(struct folio *chunk)
{
	return chunk->private;
}

static inline void chunk_set_uncleared(struct folio *chunk, bool uncleared)
{
	chunk->private = (void *)(unsigned long)uncleared;
}

/** struct pool_stats - in chunks; taken = returned + outside + clean + dirty */
struct pool_stats {
	u64 taken_chunks;
	u64 returned_chunks;
	u64 clean_chunks;
	u64 dirty_chunks;
	u64 cleared_chunks;
	u64 cleared_at_touch_chunks;
	u64 clearing_ns;
};

int pool_init(void);
/** No chunk may be outside any more, or it stays with whoever refers to it. */
void pool_exit(void);

/**
 * Take @nr chunks onto @chunks (linked by folio->lru), from the nearest node: clean, else dirty,
 * else new from the system. All or nothing: 0, -ENOMEM, or -EINTR on a fatal signal. May sleep when
 * @gfp allows it.
 */
int pool_take(struct list_head *chunks, unsigned long nr, gfp_t gfp);
/**
 * Give all of @chunks back; the list is empty afterwards. What is more than pool_max_chunks goes
 * to the system soon.
 */
void pool_give(struct list_head *chunks);
/** Give all of @chunks to the system, past the pool. Returns how many. */
unsigned long pool_return(struct list_head *chunks);

/** Zero @chunk for somebody who waits for it. */
void chunk_clear_now(struct folio *chunk);

/** Idle chunks on @nid, or everywhere for NUMA_NO_NODE. Racy. */
unsigned long pool_idle_chunks(int nid);
/**
 * Give up to @max idle chunks back to the system, dirty first; never waits for a lock with @try.
 * Returns how many.
 */
unsigned long pool_trim(int nid, unsigned long max, bool try);
void pool_stats(struct pool_stats *stats);

#endif /* ARENA_POOL_H */
