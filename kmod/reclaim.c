// SPDX-License-Identifier: GPL-2.0-only
/*
 * KEEP, ZAP and discard.
 *
 * The order of a zap, and why no fault can slip through:
 *
 *	zap					fault
 *	slot: RESERVED/LIVE -> DETACHING	lock chunk
 *	lock chunk, unlock chunk		slot: -> LIVE, fails when DETACHING
 *	unmap the range, flush			core installs the PMD
 *	look at the references			unlock chunk
 *
 * A fault whose transition came first still holds the chunk's lock, so the zap waits until its PMD
 * is there and unmaps it. A fault whose transition comes later fails. Only after the flush does the
 * chunk change hands.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

#include "cow.h"
#include "group.h"
#include "pool.h"
#include "quarantine.h"
#include "reclaim.h"
#include "space.h"
#include "trace.h"
#include "view.h"

#include "uapi/arena.h"

static atomic_long_t nr_discarded;
static atomic_long_t nr_freed;

unsigned long discarded_chunks(void)
{
	return atomic_long_read(&nr_discarded);
}

unsigned long freed_chunks(void)
{
	return atomic_long_read(&nr_freed);
}

/** struct detached - chunks on their way out of a space */
struct detached {
	struct list_head chunks;	/* ours alone */
	struct list_head referenced;	/* somebody else refers to them */
	unsigned long nr_chunks;
	unsigned long nr_referenced;
	unsigned long nr_shared;	/* still in slots of other views: not on a list */
	unsigned long nr_live;
	bool unmapped;			/* already, by the core, with a flush */
	unsigned long first;		/* what has to be unmapped: [first, end) */
	unsigned long end;
};

/* Returns whether the slot was live. A LOST one has nothing to detach. */
static bool slot_begin_detach(unsigned long *slot)
{
	unsigned long was;
	struct folio *chunk;

	if (!view_slot_apply(slot, slot_detach, &was)) {
		WARN_ON_ONCE(!slot_is_lost(was));
		return false;
	}
	chunk = (struct folio *)slot_chunk(was);
	folio_lock(chunk);
	folio_unlock(chunk);
	return slot_state(was) == SLOT_LIVE;
}

static void slot_end_detach(struct arena_space *space, unsigned long *slot,
			    struct detached *detached)
{
	unsigned long was;
	struct folio *chunk;

	WARN_ON_ONCE(!view_slot_apply(slot, slot_empty, &was));
	if (slot_is_lost(was))
		return;
	chunk = (struct folio *)slot_chunk(was);
	if (space_is_cow(space) && !chunk_leave(chunk)) {
		detached->nr_shared++;
		return;
	}
	chunk_set_uncleared(chunk, slot_is_uncleared(was));
	if (folio_ref_count(chunk) == 1) {
		/*
		 * Pairs with the full order of whoever dropped a reference before: his accesses are
		 * over.
		 */
		smp_mb();
		list_add_tail(&chunk->lru, &detached->chunks);
		detached->nr_chunks++;
	} else {
		list_add_tail(&chunk->lru, &detached->referenced);
		detached->nr_referenced++;
	}
}

static void begin_detach(struct view *view, unsigned long first, unsigned long end,
			 struct detached *detached)
{
	unsigned long i;

	for (i = first; i < end; i++) {
		detached->nr_live += slot_begin_detach(view_slot(view, i));
		cond_resched();
	}
	/*
	 * The stretch that has to be unmapped, from the first to the last slot that held something.
	 */
	detached->first = min(detached->first, first);
	detached->end = max(detached->end, end);
}

static void end_detach(struct view *view, unsigned long first, unsigned long end,
		       struct detached *detached)
{
	unsigned long i;

	for (i = first; i < end; i++)
		slot_end_detach(view->space, view_slot(view, i), detached);
}

/*
 * Unmap and empty [first, end) under the view's lock. The chunks are in @detached, not yet
 * uncharged.
 */
static void detach_locked(struct view *view, unsigned long first, unsigned long end,
			  struct range_spares *spares, struct detached *detached)
{
	unsigned long at, stop;

	for (at = first; (stop = range_next_reserved(&view->map, &at, end)) > at; at = stop)
		begin_detach(view, at, stop, detached);
	if (detached->first >= detached->end)
		return;
	if (detached->nr_live && !detached->unmapped)
		unmap_mapping_range(view->space->mapping, (loff_t)detached->first << CHUNK_SHIFT,
				    (loff_t)(detached->end - detached->first) << CHUNK_SHIFT, 1);
	for (at = first; (stop = range_next_reserved(&view->map, &at, end)) > at; at = stop)
		end_detach(view, at, stop, detached);
	range_set(&view->map, first, end, RANGE_NONE, spares);
	atomic_long_sub(detached->nr_live, &view->nr_live);
}

static void detached_init(struct detached *detached)
{
	*detached = (struct detached) { .first = ULONG_MAX };
	INIT_LIST_HEAD(&detached->chunks);
	INIT_LIST_HEAD(&detached->referenced);
}

static void count_exits(struct arena_space *space, struct list_head *chunks)
{
	struct folio *chunk;

	list_for_each_entry(chunk, chunks, lru)
		space_count_exit(space, chunk);
}

/* What somebody refers to stays charged and waits; the rest changes hands. */
static void detached_settle(struct view *view, struct detached *detached)
{
	count_exits(view->space, &detached->chunks);
	count_exits(view->space, &detached->referenced);
	notice_settle(&view->space->group->notice, detached->nr_chunks);
	space_drop(view->space, detached->nr_chunks + detached->nr_referenced);
	quarantine_add(view->space, &detached->referenced, detached->nr_referenced);
	if (detached->nr_chunks)
		uncharge_chunks(view->space->user, detached->nr_chunks);
}

static unsigned long detached_slots(struct detached *detached)
{
	return detached->nr_chunks + detached->nr_referenced + detached->nr_shared;
}

static int lock_with_spares(struct view *view, struct range_spares *spares)
{
	int err = range_spares_get(spares);

	if (!err) {
		err = mutex_lock_killable(&view->lock);
		if (err)
			range_spares_put(spares);
	}
	return err;
}

/* The same without waiting: -EBUSY when somebody works in the view. */
static int trylock_with_spares(struct view *view, struct range_spares *spares)
{
	int err = range_spares_get(spares);

	if (!err && !mutex_trylock(&view->lock)) {
		range_spares_put(spares);
		err = -EBUSY;
	}
	return err;
}

static void unlock_with_spares(struct view *view, struct range_spares *spares)
{
	mutex_unlock(&view->lock);
	range_spares_put(spares);
}

int view_zap(struct view *view, unsigned long first, unsigned long end,
	     struct reclaimed *reclaimed)
{
	struct detached detached;
	struct range_spares spares;
	int err = lock_with_spares(view, &spares);

	if (err)
		return err;
	detached_init(&detached);
	detach_locked(view, first, end, &spares, &detached);
	unlock_with_spares(view, &spares);

	detached_settle(view, &detached);
	pool_give(view->space->group, &detached.chunks);
	reclaimed->nr_chunks = detached_slots(&detached);
	reclaimed->nr_quarantined = detached.nr_referenced;
	trace_reclaim(view->space->id, TRACE_ZAP, first, end - first, reclaimed->nr_chunks);
	return 0;
}

/* Whoever kept nothing when the others were told is told now. */
static void tell_owner(struct arena_space *space)
{
	/* Pairs with queueing the worker: it sees what is kept, or the notice is seen here. */
	smp_mb();
	if (notice_is_wanting(&space->group->notice))
		notice_ear_signal(&space->ear);
}

int view_keep(struct view *view, unsigned long first, unsigned long end,
	      struct reclaimed *reclaimed)
{
	struct range_spares spares;
	int err = lock_with_spares(view, &spares);

	if (err)
		return err;
	if (range_count(&view->map, first, end).none)
		err = -ENXIO;
	else
		range_set(&view->map, first, end, RANGE_KEPT, &spares);
	unlock_with_spares(view, &spares);
	if (err)
		return err;
	tell_owner(view->space);
	reclaimed->nr_chunks = end - first;
	trace_reclaim(view->space->id, TRACE_KEEP, first, end - first, end - first);
	return 0;
}

int space_zap(struct arena_space *space, unsigned long first, unsigned long end,
	      struct reclaimed *reclaimed)
{
	struct view *view = view_get_current(space);
	int err;

	if (!view)
		return -ENXIO;
	err = view_zap(view, first, end, reclaimed);
	view_put(view);
	return err;
}

int space_keep(struct arena_space *space, unsigned long first, unsigned long end,
	       struct reclaimed *reclaimed)
{
	struct view *view = view_get_current(space);
	int err;

	if (!view)
		return -ENXIO;
	err = view_keep(view, first, end, reclaimed);
	view_put(view);
	return err;
}

static bool has_kept(struct arena_space *space)
{
	return view_totals(space).nr_kept;
}

/** struct discard - kept chunks that are being taken */
struct discard {
	unsigned long nr_wanted;	/* chunks that have yet to go to the system */
	unsigned long nr_slots;		/* that may yet be emptied: as many as were kept at first */
	bool try;			/* not to wait for a view's lock */
	bool is_busy;			/* so that a view was passed over */
};

/* Whoever keeps the same chunks again and again must not hold up whoever takes them. */
static bool discard_is_over(struct discard *discard)
{
	return !discard->nr_wanted || !discard->nr_slots || fatal_signal_pending(current);
}

static bool discard_lock(struct view *view, struct range_spares *spares, struct discard *discard)
{
	int err = discard->try ? trylock_with_spares(view, spares) : lock_with_spares(view, spares);

	discard->is_busy |= discard->try && err;
	return !err;
}

/*
 * The tail of the oldest kept range: what is left of it keeps its age. Returns how many slots; 0
 * when nothing was kept.
 */
static unsigned long discard_oldest_locked(struct view *view, unsigned long max,
					   struct range_spares *spares, struct detached *detached)
{
	struct slot_range *oldest =
		list_first_entry_or_null(&view->map.kept, struct slot_range, kept);
	unsigned long nr;

	if (!oldest)
		return 0;
	nr = min(oldest->end - oldest->first, max);
	trace_reclaim(view->space->id, TRACE_DISCARD, oldest->end - nr, nr, nr);
	detach_locked(view, oldest->end - nr, oldest->end, spares, detached);
	return nr;
}

/* Whether it makes sense to ask again. */
static bool discard_some(struct view *view, struct discard *discard)
{
	struct detached detached;
	struct range_spares spares;
	unsigned long nr_slots, nr;

	if (!discard_lock(view, &spares, discard))
		return false;
	detached_init(&detached);
	nr_slots = discard_oldest_locked(view, min(discard->nr_wanted, discard->nr_slots), &spares,
					 &detached);
	unlock_with_spares(view, &spares);

	detached_settle(view, &detached);
	atomic_long_add(detached_slots(&detached), &nr_discarded);
	nr = pool_return(&detached.chunks);
	atomic_long_add(nr, &view->space->group->nr_freed);
	atomic_long_add(nr, &nr_freed);
	discard->nr_wanted -= nr;
	discard->nr_slots -= nr_slots;
	return nr_slots;
}

static void discard_of_space(struct arena_space *space, struct discard *discard)
{
	struct view *view;
	u64 done = 0;

	while (!discard_is_over(discard) && (view = view_get_kept(space, done))) {
		if (!discard_some(view, discard))
			done = view->id;
		view_put(view);
	}
}

unsigned long discard_kept(struct pool_group *group, unsigned long max, bool *busy)
{
	struct discard discard = {
		.nr_wanted = max,
		.nr_slots = group ? atomic_long_read(&group->nr_kept) : group_kept_slots(),
		.try = busy,
	};
	struct arena_space *space = NULL;

	while ((space = space_next(space, has_kept))) {
		if (!group || space->group == group)
			discard_of_space(space, &discard);
		if (discard_is_over(&discard))
			break;
	}
	if (space)
		space_put(space);
	if (busy)
		*busy = discard.is_busy;
	return max - discard.nr_wanted;
}

static void detach_all(struct view *view, bool dead)
{
	struct range_spares none = { .nr = 0 };
	struct detached detached;

	detached_init(&detached);
	detached.unmapped = true;
	mutex_lock(&view->lock);
	if (dead)
		WRITE_ONCE(view->dead, true);
	/* All slots: no range is split, so no spare is needed. */
	detach_locked(view, 0, view->space->nr_slots, &none, &detached);
	mutex_unlock(&view->lock);
	detached_settle(view, &detached);
	pool_give(view->space->group, &detached.chunks);
}

void view_kill(struct view *view)
{
	detach_all(view, true);
}

void view_clear(struct view *view)
{
	detach_all(view, false);
}
