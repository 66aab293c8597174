// SPDX-License-Identifier: GPL-2.0-only
/*
 * RESERVE: first everything that can fail (nodes, leaves, charge, chunks), then the change itself,
 * which cannot. Ranges say which slots lack a chunk, so nothing is done for those that have one.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "pool.h"
#include "reserve.h"
#include "space.h"
#include "trace.h"

#include "uapi/arena.h"

static int charge_space(struct arena_space *space, unsigned long nr)
{
	/* Both terms are at most nr_slots, so the sum does not wrap. */
	if (space->map.nr_slots + nr > space->max_chunks)
		return -ENOMEM;
	return charge_chunks(space->user, nr);
}

static int make_gap_leaves(struct arena_space *space, unsigned long first, unsigned long end)
{
	unsigned long gap = first, gap_end;
	int err = 0;

	while (!err && (gap_end = range_next_gap(&space->map, &gap, end)) > gap) {
		err = space_make_leaves(space, gap, gap_end);
		gap = gap_end;
	}
	return err;
}

static int clear_chunks(struct list_head *chunks)
{
	struct folio *chunk;

	list_for_each_entry(chunk, chunks, lru) {
		if (fatal_signal_pending(current))
			return -EINTR;
		if (chunk_is_uncleared(chunk))
			chunk_clear_now(chunk);
		cond_resched();
	}
	return 0;
}

static int get_chunks(struct list_head *chunks, unsigned long nr, bool clear, gfp_t gfp)
{
	int err = pool_take(chunks, nr, gfp);

	if (!err && clear)
		err = clear_chunks(chunks);
	if (err)
		pool_give(chunks);
	return err;
}

static void fill_slot(struct arena_space *space, unsigned long i, struct folio *chunk)
{
	unsigned long word = 0;

	WARN_ON_ONCE(!slot_fill(&word, (unsigned long)chunk, chunk_is_uncleared(chunk)));
	chunk_set_uncleared(chunk, false);
	/*
	 * Newer kernels map no PMD for a folio beyond the end of its file; what an earlier user
	 * left here may be.
	 */
	chunk->index = i << CHUNK_ORDER;
	/*
	 * Pairs with the READ_ONCE() and folio_try_get() of a fault: the chunk's contents come
	 * before its address.
	 */
	smp_store_release(space_slot(space, i), word);
}

static void fill_gaps(struct arena_space *space, unsigned long first, unsigned long end,
		      struct list_head *chunks)
{
	unsigned long gap = first, gap_end;
	struct folio *chunk;

	while ((gap_end = range_next_gap(&space->map, &gap, end)) > gap) {
		for (; gap < gap_end; gap++) {
			chunk = list_first_entry(chunks, struct folio, lru);
			list_del(&chunk->lru);
			fill_slot(space, gap, chunk);
		}
	}
}

static int reserve_gaps_locked(struct arena_space *space, unsigned long first, unsigned long end,
			       unsigned long nr, bool clear, gfp_t gfp)
{
	LIST_HEAD(chunks);
	/* The caps first: what they refuse must not cost anything. */
	int err = charge_space(space, nr);

	if (err)
		return err;
	err = make_gap_leaves(space, first, end);
	if (!err)
		err = get_chunks(&chunks, nr, clear, gfp);
	if (err)
		uncharge_chunks(space->user, nr);
	else
		fill_gaps(space, first, end, &chunks);
	return err;
}

static int reserve_locked(struct arena_space *space, unsigned long first, unsigned long end,
			  bool clear, gfp_t gfp, struct range_spares *spares,
			  struct reserved *reserved)
{
	struct range_count count = range_count(&space->map, first, end);
	int err = 0;

	if (space->dead)
		return -ENODEV;
	if (count.none)
		err = reserve_gaps_locked(space, first, end, count.none, clear, gfp);
	if (err)
		return err;
	if (count.none || count.kept)
		range_set(&space->map, first, end, RANGE_HELD, spares);
	reserved->fresh_chunks = count.none;
	reserved->kept_chunks = count.kept;
	return 0;
}

int space_reserve(struct arena_space *space, unsigned long first, unsigned long end, bool clear,
		  gfp_t gfp, struct reserved *reserved)
{
	struct range_spares spares;
	int err = range_spares_get(&spares);

	if (err)
		return err;
	err = mutex_lock_killable(&space->lock);
	if (!err) {
		err = reserve_locked(space, first, end, clear, gfp, &spares, reserved);
		mutex_unlock(&space->lock);
	}
	range_spares_put(&spares);
	if (!err)
		trace_arena_reserve(space->id, first, end - first, reserved->fresh_chunks);
	return err;
}
