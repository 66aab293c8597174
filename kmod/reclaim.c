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

#include "pool.h"
#include "quarantine.h"
#include "reclaim.h"
#include "space.h"
#include "trace.h"

#include "uapi/arena.h"

static atomic_long_t nr_discarded;

unsigned long discarded_chunks(void)
{
	return atomic_long_read(&nr_discarded);
}

/** struct detached - chunks on their way out of a space */
struct detached {
	struct list_head chunks;	/* ours alone */
	struct list_head referenced;	/* somebody else refers to them */
	unsigned long nr_chunks;
	unsigned long nr_referenced;
	unsigned long nr_live;
	unsigned long first;		/* what has to be unmapped: [first, end) */
	unsigned long end;
};

/* Returns whether the slot was live. */
static bool slot_begin_detach(unsigned long *slot)
{
	unsigned long was;
	struct folio *chunk;

	WARN_ON_ONCE(!space_slot_apply(slot, slot_detach, &was));
	chunk = (struct folio *)slot_chunk(was);
	folio_lock(chunk);
	folio_unlock(chunk);
	return slot_state(was) == SLOT_LIVE;
}

static void slot_end_detach(unsigned long *slot, struct detached *detached)
{
	unsigned long was;
	struct folio *chunk;

	WARN_ON_ONCE(!space_slot_apply(slot, slot_empty, &was));
	chunk = (struct folio *)slot_chunk(was);
	chunk_set_uncleared(chunk, slot_is_uncleared(was));
	if (folio_ref_count(chunk) == 1 && !folio_test_has_hwpoisoned(chunk)) {
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

static void begin_detach(struct arena_space *space, unsigned long first, unsigned long end,
			 struct detached *detached)
{
	unsigned long i;

	for (i = first; i < end; i++) {
		detached->nr_live += slot_begin_detach(space_slot(space, i));
		cond_resched();
	}
	/*
	 * The stretch that has to be unmapped, from the first to the last slot that held something.
	 */
	detached->first = min(detached->first, first);
	detached->end = max(detached->end, end);
}

static void end_detach(struct arena_space *space, unsigned long first, unsigned long end,
		       struct detached *detached)
{
	unsigned long i;

	for (i = first; i < end; i++)
		slot_end_detach(space_slot(space, i), detached);
}

/*
 * Unmap and empty [first, end) under the space's lock. The chunks are in @detached, not yet
 * uncharged.
 */
static void detach_locked(struct arena_space *space, unsigned long first, unsigned long end,
			  struct range_spares *spares, struct detached *detached)
{
	unsigned long at, stop;

	for (at = first; (stop = range_next_reserved(&space->map, &at, end)) > at; at = stop)
		begin_detach(space, at, stop, detached);
	if (detached->first >= detached->end)
		return;
	if (detached->nr_live)
		unmap_mapping_range(space->mapping, (loff_t)detached->first << CHUNK_SHIFT,
				    (loff_t)(detached->end - detached->first) << CHUNK_SHIFT, 1);
	for (at = first; (stop = range_next_reserved(&space->map, &at, end)) > at; at = stop)
		end_detach(space, at, stop, detached);
	range_set(&space->map, first, end, RANGE_NONE, spares);
	atomic_long_sub(detached->nr_live, &space->nr_live);
}

static void detached_init(struct detached *detached)
{
	*detached = (struct detached) { .first = ULONG_MAX };
	INIT_LIST_HEAD(&detached->chunks);
	INIT_LIST_HEAD(&detached->referenced);
}

/* What somebody refers to stays charged and waits; the rest changes hands. */
static void detached_settle(struct arena_space *space, struct detached *detached)
{
	quarantine_add(space, &detached->referenced, detached->nr_referenced);
	if (detached->nr_chunks)
		uncharge_chunks(space->user, detached->nr_chunks);
}

static int lock_with_spares(struct arena_space *space, struct range_spares *spares)
{
	int err = range_spares_get(spares);

	if (!err) {
		err = mutex_lock_killable(&space->lock);
		if (err)
			range_spares_put(spares);
	}
	return err;
}

static void unlock_with_spares(struct arena_space *space, struct range_spares *spares)
{
	mutex_unlock(&space->lock);
	range_spares_put(spares);
}

int space_zap(struct arena_space *space, unsigned long first, unsigned long end,
	      struct reclaimed *reclaimed)
{
	struct detached detached;
	struct range_spares spares;
	int err = lock_with_spares(space, &spares);

	if (err)
		return err;
	detached_init(&detached);
	detach_locked(space, first, end, &spares, &detached);
	unlock_with_spares(space, &spares);

	detached_settle(space, &detached);
	pool_give(&detached.chunks);
	reclaimed->nr_chunks = detached.nr_chunks + detached.nr_referenced;
	reclaimed->nr_quarantined = detached.nr_referenced;
	trace_arena_zap(space->id, first, end - first, reclaimed->nr_chunks);
	return 0;
}

int space_keep(struct arena_space *space, unsigned long first, unsigned long end,
	       struct reclaimed *reclaimed)
{
	struct range_spares spares;
	int err = lock_with_spares(space, &spares);

	if (err)
		return err;
	if (range_count(&space->map, first, end).none)
		err = -ENXIO;
	else
		range_set(&space->map, first, end, RANGE_KEPT, &spares);
	unlock_with_spares(space, &spares);
	if (err)
		return err;
	reclaimed->nr_chunks = end - first;
	trace_arena_keep(space->id, first, end - first, end - first);
	return 0;
}

static bool has_kept(struct arena_space *space)
{
	return READ_ONCE(space->map.nr_kept);
}

/*
 * The tail of the oldest kept range: what is left of it keeps its age. False when nothing was kept.
 */
static bool discard_oldest_locked(struct arena_space *space, unsigned long max,
				  struct range_spares *spares, struct detached *detached)
{
	struct slot_range *oldest =
		list_first_entry_or_null(&space->map.kept, struct slot_range, kept);
	unsigned long nr;

	if (!oldest)
		return false;
	nr = min(oldest->end - oldest->first, max);
	detach_locked(space, oldest->end - nr, oldest->end, spares, detached);
	return true;
}

/* Returns how many went to the system; *@more says whether it makes sense to ask again. */
static unsigned long discard_some(struct arena_space *space, unsigned long max, bool *more)
{
	struct detached detached;
	struct range_spares spares;

	*more = !lock_with_spares(space, &spares);
	if (!*more)
		return 0;
	detached_init(&detached);
	*more = discard_oldest_locked(space, max, &spares, &detached);
	unlock_with_spares(space, &spares);

	detached_settle(space, &detached);
	atomic_long_add(detached.nr_chunks + detached.nr_referenced, &nr_discarded);
	return pool_return(&detached.chunks);
}

unsigned long discard_kept(unsigned long max)
{
	struct arena_space *space;
	unsigned long nr = 0;
	u64 id = 0;
	bool more;

	while (nr < max && (space = space_next(id, has_kept))) {
		id = space->id;
		do
			nr += discard_some(space, max - nr, &more);
		while (more && nr < max);
		space_put(space);
	}
	return nr;
}

void space_kill(struct arena_space *space)
{
	struct range_spares none = { .nr = 0 };
	struct detached detached;

	detached_init(&detached);
	mutex_lock(&space->lock);
	WRITE_ONCE(space->dead, true);
	/* The whole space: no range is split, so no spare is needed. */
	detach_locked(space, 0, space->nr_slots, &none, &detached);
	mutex_unlock(&space->lock);
	detached_settle(space, &detached);
	pool_give(&detached.chunks);
}
