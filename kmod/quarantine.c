// SPDX-License-Identifier: GPL-2.0-only
/*
 * A list and a worker that looks at it. The reference count is the test, not the pin count: a
 * page spliced into a pipe is referenced without being pinned. Nobody tells when a reference goes,
 * so the worker polls while the list is not empty.
 */
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "pool.h"
#include "quarantine.h"
#include "space.h"
#include "trace.h"

/* Short against a user's patience, long against the cost of one look. */
#define POLL_JIFFIES max(1UL, (unsigned long)HZ / 20)

static DEFINE_SPINLOCK(quarantine_lock);
/* folio->private = its space, with a reference; guard quarantine_lock */
static LIST_HEAD(quarantined);
static atomic_long_t nr_quarantined[MAX_NUMNODES];

static void quarantine_poll(struct work_struct *work);
static DECLARE_DELAYED_WORK(poll_work, quarantine_poll);

static bool chunk_is_ours_alone(struct folio *chunk)
{
	if (folio_ref_count(chunk) != 1)
		return false;
	/*
	 * Whoever dropped the last foreign reference (an atomic with full order) is done with the
	 * bytes.
	 */
	smp_mb();
	return true;
}

static void chunk_discharge(struct arena_space *space, int nid)
{
	uncharge_chunks(space->user, 1);
	atomic_long_dec(&space->nr_quarantined);
	atomic_long_dec(&nr_quarantined[nid]);
	space_put(space);
}

/* Back to the group of its space; one by one, because they are few. */
static void chunk_release(struct folio *chunk)
{
	struct arena_space *space = chunk->private;
	int nid = folio_nid(chunk);
	LIST_HEAD(chunks);

	list_move(&chunk->lru, &chunks);
	chunk_set_uncleared(chunk, true);
	pool_give(space->group, &chunks);
	chunk_discharge(space, nid);
}

static void list_take_all(struct list_head *chunks)
{
	spin_lock(&quarantine_lock);
	list_splice_init(&quarantined, chunks);
	spin_unlock(&quarantine_lock);
}

static bool list_give_back(struct list_head *chunks)
{
	bool more;

	spin_lock(&quarantine_lock);
	list_splice(chunks, &quarantined);
	more = !list_empty(&quarantined);
	spin_unlock(&quarantine_lock);
	return more;
}

static void quarantine_poll(struct work_struct *work)
{
	struct folio *chunk, *next;
	LIST_HEAD(waiting);

	list_take_all(&waiting);
	list_for_each_entry_safe(chunk, next, &waiting, lru)
		if (chunk_is_ours_alone(chunk))
			chunk_release(chunk);
	if (list_give_back(&waiting))
		schedule_delayed_work(&poll_work, POLL_JIFFIES);
}

void quarantine_add(struct arena_space *space, struct list_head *chunks, unsigned long nr)
{
	struct folio *chunk;

	if (!nr)
		return;
	list_for_each_entry(chunk, chunks, lru) {
		chunk->private = space_get(space);
		atomic_long_inc(&nr_quarantined[folio_nid(chunk)]);
	}
	atomic_long_add(nr, &space->nr_quarantined);
	trace_quarantine(space->id, nr);
	spin_lock(&quarantine_lock);
	list_splice_init(chunks, &quarantined);
	spin_unlock(&quarantine_lock);
	schedule_delayed_work(&poll_work, POLL_JIFFIES);
}

unsigned long quarantine_chunks(int nid)
{
	unsigned long nr = 0;
	int n;

	for_each_node(n)
		if (nid == NUMA_NO_NODE || nid == n)
			nr += atomic_long_read(&nr_quarantined[n]);
	return nr;
}

void quarantine_exit(void)
{
	struct folio *chunk;
	LIST_HEAD(chunks);

	cancel_delayed_work_sync(&poll_work);
	list_take_all(&chunks);
	list_for_each_entry(chunk, &chunks, lru)
		chunk_discharge(chunk->private, folio_nid(chunk));
	pool_return(&chunks);
}
