/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The lists of idle chunks of one pool: in which order they come, go and are given back, and what
 * is too much. No locks and no policy: pool.c has both. A host test and KUnit enumerate it; on a
 * host the includer brings lists and a stand-in for folios (test/idle_host.h).
 */
#ifndef ARENA_IDLE_H
#define ARENA_IDLE_H

#ifdef __KERNEL__
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/types.h>
#endif

/*
 * Chunks looked at to find the highest: giving back from the top leaves runs of free memory below,
 * and looking at all of them under the lock would take too long.
 */
#define IDLE_HIGHEST_OF 16

/**
 * struct idle - idle chunks; written under the lock of whoever has it
 * @clean: zeroed chunks, the last that came first
 * @dirty: chunks that wait for the clearing thread, likewise
 * @nr_clean: length of @clean
 * @nr_dirty: length of @dirty, plus the one that is being cleared
 */
struct idle {
	struct list_head clean;
	struct list_head dirty;
	unsigned long nr_clean;
	unsigned long nr_dirty;
};

static inline bool chunk_is_uncleared(struct folio *chunk)
{
	return chunk->private;
}

static inline void chunk_set_uncleared(struct folio *chunk, bool uncleared)
{
	chunk->private = (void *)(unsigned long)uncleared;
}

static inline void idle_init(struct idle *idle)
{
	INIT_LIST_HEAD(&idle->clean);
	INIT_LIST_HEAD(&idle->dirty);
	idle->nr_clean = 0;
	idle->nr_dirty = 0;
}

static inline void idle_push(struct idle *idle, struct folio *chunk)
{
	if (chunk_is_uncleared(chunk)) {
		list_add(&chunk->lru, &idle->dirty);
		WRITE_ONCE(idle->nr_dirty, idle->nr_dirty + 1);
	} else {
		list_add(&chunk->lru, &idle->clean);
		WRITE_ONCE(idle->nr_clean, idle->nr_clean + 1);
	}
}

static inline struct folio *idle_unlink(struct folio *chunk, unsigned long *nr)
{
	if (chunk) {
		list_del(&chunk->lru);
		WRITE_ONCE(*nr, *nr - 1);
	}
	return chunk;
}

/** The one that came last, its cache lines may still be warm; NULL when there is none. */
static inline struct folio *idle_pop_clean(struct idle *idle)
{
	return idle_unlink(list_first_entry_or_null(&idle->clean, struct folio, lru),
			   &idle->nr_clean);
}

static inline struct folio *idle_pop_dirty(struct idle *idle)
{
	return idle_unlink(list_first_entry_or_null(&idle->dirty, struct folio, lru),
			   &idle->nr_dirty);
}

/** For an owner: a clean one if there is one. */
static inline struct folio *idle_pop(struct idle *idle)
{
	return idle_pop_clean(idle) ?: idle_pop_dirty(idle);
}

/* The highest of those that have been idle for longest. */
static inline struct folio *idle_highest(struct list_head *list)
{
	struct folio *chunk, *highest = NULL;
	int seen = 0;

	list_for_each_entry_reverse(chunk, list, lru) {
		if (!highest || folio_pfn(chunk) > folio_pfn(highest))
			highest = chunk;
		if (++seen == IDLE_HIGHEST_OF)
			break;
	}
	return highest;
}

/** For the system: dirty ones first, nobody has spent time on them. */
static inline struct folio *idle_pop_reclaim(struct idle *idle)
{
	struct folio *chunk = idle_unlink(idle_highest(&idle->dirty), &idle->nr_dirty);

	return chunk ?: idle_unlink(idle_highest(&idle->clean), &idle->nr_clean);
}

/** A dirty chunk was popped to be cleared. It stays counted, so that no chunk ever is not. */
static inline void idle_clear_begin(struct idle *idle)
{
	WRITE_ONCE(idle->nr_dirty, idle->nr_dirty + 1);
}

/** Before it is pushed, clean by then. */
static inline void idle_clear_end(struct idle *idle)
{
	WRITE_ONCE(idle->nr_dirty, idle->nr_dirty - 1);
}

/** What a pool of @own chunks has to give back when all have @all and may have @most. */
static inline unsigned long idle_surplus(unsigned long all, unsigned long most, unsigned long own)
{
	if (all <= most)
		return 0;
	return all - most < own ? all - most : own;
}

#endif /* ARENA_IDLE_H */
