// SPDX-License-Identifier: GPL-2.0-only
/*
 * RESERVE: first everything that can fail (nodes, leaves, charge, chunks), then the change itself,
 * which cannot. Ranges say which slots lack a chunk, so nothing is done for those that have one.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>

#include "clear.h"
#include "cow.h"
#include "placer.h"
#include "pool.h"
#include "reserve.h"
#include "run.h"
#include "space.h"
#include "trace.h"
#include "view.h"

#include "uapi/arena.h"

static int make_gap_leaves(struct view *view, unsigned long first, unsigned long end)
{
	unsigned long gap = first, gap_end;
	int err = 0;

	while (!err && (gap_end = range_next_gap(&view->map, &gap, end)) > gap) {
		err = view_make_leaves(view, gap, gap_end);
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

/* Chunks for [@gap, @gap_end), one stretch of equal placement after the other. */
static int take_gap(struct pool_group *group, struct placer *placer, unsigned long gap,
		    unsigned long gap_end, struct list_head *chunks, gfp_t gfp)
{
	struct placement place;
	unsigned long stop;
	LIST_HEAD(stretch);
	int err = 0;

	for (; !err && gap < gap_end; gap = stop) {
		stop = gap_end;
		place = placer_slot(placer, gap, &stop);
		err = pool_take(group, &place, &stretch, stop - gap, gfp);
		list_splice_tail_init(&stretch, chunks);
	}
	return err;
}

/* In the order of the slots. What was taken before an error is in @chunks as well. */
static int take_gaps(struct view *view, unsigned long first, unsigned long end,
		     struct placer *placer, struct list_head *chunks, gfp_t gfp)
{
	unsigned long gap = first, gap_end;
	int err = 0;

	while (!err && (gap_end = range_next_gap(&view->map, &gap, end)) > gap) {
		err = take_gap(view->space->group, placer, gap, gap_end, chunks, gfp);
		gap = gap_end;
	}
	return err;
}

/* All of [@first, @end), which has no slot that is reserved. */
static int take_run(struct view *view, unsigned long first, unsigned long end,
		    struct placer *placer, struct list_head *chunks, gfp_t gfp)
{
	unsigned long stop = end;
	struct placement place = placer_slot(placer, first, &stop);

	return run_take(view->space, &place, chunks, end - first, gfp);
}

static int get_chunks(struct view *view, unsigned long first, unsigned long end, bool clear,
		      gfp_t gfp, struct placer *placer, struct list_head *chunks)
{
	struct pool_group *group = view->space->group;
	int err;

	for (;;) {
		if (placer->is_run)
			err = take_run(view, first, end, placer, chunks, gfp);
		else
			err = take_gaps(view, first, end, placer, chunks, gfp);
		if (!err && clear)
			err = clear_chunks(chunks);
		if (!err)
			return 0;
		pool_give(group, chunks);
		if (err != -ENOMEM || !placer_is_stale(placer))
			return err;
	}
}

static void fill_slot(struct view *view, unsigned long i, struct folio *chunk)
{
	unsigned long word = 0;

	WARN_ON_ONCE(!slot_fill(&word, (unsigned long)chunk, chunk_is_uncleared(chunk)));
	chunk_enter(view->space, chunk);
	/*
	 * Newer kernels map no PMD for a folio beyond the end of its file; what an earlier user
	 * left here may be.
	 */
	chunk->index = i << CHUNK_ORDER;
	/*
	 * Pairs with the READ_ONCE() and folio_try_get() of a fault: the chunk's contents come
	 * before its address.
	 */
	smp_store_release(view_slot(view, i), word);
}

static void fill_gaps(struct view *view, unsigned long first, unsigned long end,
		      struct list_head *chunks)
{
	unsigned long gap = first, gap_end;
	struct folio *chunk;

	while ((gap_end = range_next_gap(&view->map, &gap, end)) > gap) {
		for (; gap < gap_end; gap++) {
			chunk = list_first_entry(chunks, struct folio, lru);
			list_del(&chunk->lru);
			space_count_entry(view->space, chunk);
			fill_slot(view, gap, chunk);
		}
	}
}

static int reserve_gaps_locked(struct view *view, unsigned long first, unsigned long end,
			       unsigned long nr, bool clear, gfp_t gfp, struct placer *placer)
{
	LIST_HEAD(chunks);
	/* The caps first: what they refuse must not cost anything. */
	int err = space_charge(view->space, nr);

	if (err)
		return err;
	err = make_gap_leaves(view, first, end);
	if (!err)
		err = get_chunks(view, first, end, clear, gfp, placer, &chunks);
	if (err)
		space_uncharge(view->space, nr);
	else
		fill_gaps(view, first, end, &chunks);
	return err;
}

/* Ranges that were inherited, but not all of what they held: what was lost becomes a gap again. */
static int forget_lost_locked(struct view *view, unsigned long first, unsigned long end)
{
	struct range_spares spares;
	unsigned long i, was;
	int err;

	for (i = first; i < end; i++) {
		unsigned long *slot = view_slot(view, i);

		if (!slot || !slot_is_lost(READ_ONCE(*slot)))
			continue;
		err = range_spares_get(&spares);
		if (err)
			return err;
		range_set(&view->map, i, i + 1, RANGE_NONE, &spares);
		range_spares_put(&spares);
		view_slot_apply(slot, slot_empty, &was);
	}
	return 0;
}

static int reserve_locked(struct view *view, unsigned long first, unsigned long end,
			  bool clear, gfp_t gfp, struct placer *placer,
			  struct range_spares *spares, struct reserved *reserved)
{
	struct range_count count;
	int err = 0;

	if (view->dead)
		return view->mm ? -ENXIO : -ENODEV;
	/* Callers have looked; what is written beyond the table would be somebody else's. */
	if (WARN_ON_ONCE(end > view->space->nr_slots))
		return -EINVAL;
	if (READ_ONCE(view->lossy))
		err = forget_lost_locked(view, first, end);
	if (err)
		return err;
	count = range_count(&view->map, first, end);
	if (placer->is_run && count.none != end - first)
		return -EBUSY;
	if (count.none)
		err = reserve_gaps_locked(view, first, end, count.none, clear, gfp, placer);
	if (err)
		return err;
	if (count.none || count.kept)
		range_set(&view->map, first, end, RANGE_HELD, spares);
	reserved->fresh_chunks = count.none;
	reserved->kept_chunks = count.kept;
	return 0;
}

int view_reserve(struct view *view, unsigned long first, unsigned long end, bool clear, gfp_t gfp,
		 struct placer *placer, struct reserved *reserved)
{
	struct range_spares spares;
	int err = range_spares_get(&spares);

	if (err)
		return err;
	err = mutex_lock_killable(&view->lock);
	if (!err) {
		err = reserve_locked(view, first, end, clear, gfp, placer, &spares, reserved);
		mutex_unlock(&view->lock);
	}
	range_spares_put(&spares);
	if (!err)
		trace_reserve(view->space->id, first, end - first, reserved->fresh_chunks);
	return err;
}

/** struct ahead - chunks to be made ready, by node */
struct ahead {
	unsigned long nr[PLACE_NODES];
};

/* Where a RESERVE would look first for [@gap, @gap_end). */
static void ahead_add_gap(struct ahead *ahead, struct placer *placer, unsigned long gap,
			  unsigned long gap_end)
{
	struct placement place;
	unsigned long stop;
	int nid;

	for (; gap < gap_end; gap = stop) {
		stop = gap_end;
		place = placer_slot(placer, gap, &stop);
		nid = place_next(&place, 0, placer_distance);
		if (nid >= 0)
			ahead->nr[nid] += stop - gap;
		cond_resched();
	}
}

int view_reserve_ahead(struct view *view, unsigned long first, unsigned long end,
		       struct placer *placer)
{
	unsigned long gap = first, gap_end;
	struct ahead ahead = {};
	int nid, err = mutex_lock_killable(&view->lock);

	if (err)
		return err;
	while ((gap_end = range_next_gap(&view->map, &gap, end)) > gap) {
		ahead_add_gap(&ahead, placer, gap, gap_end);
		gap = gap_end;
	}
	mutex_unlock(&view->lock);
	for (nid = 0; nid < PLACE_NODES; nid++)
		if (ahead.nr[nid])
			pool_ahead(view->space->group, nid, ahead.nr[nid]);
	return 0;
}

int space_reserve(struct arena_space *space, unsigned long first, unsigned long end, bool clear,
		  gfp_t gfp, struct placer *placer, struct reserved *reserved)
{
	struct view *view = view_get_current(space);
	int err;

	if (!view)
		return -ENXIO;
	err = view_reserve(view, first, end, clear, gfp, placer, reserved);
	view_put(view);
	return err;
}

int space_reserve_ahead(struct arena_space *space, unsigned long first, unsigned long end,
			struct placer *placer)
{
	struct view *view = view_get_current(space);
	int err;

	if (!view)
		return -ENXIO;
	err = view_reserve_ahead(view, first, end, placer);
	view_put(view);
	return err;
}
