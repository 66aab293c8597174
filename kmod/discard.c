// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worker behind notices. Kept chunks have to be unmapped before they can be freed, which may
 * sleep, and their owners have to be told, which wakes tasks: neither can be done inside the
 * allocation that asks. The worker tells at once, comes back when the grace is over, and takes what
 * is wanted still. It serves everybody, so it never waits for a view in which its owner works: a
 * RESERVE there may last for seconds. It looks again soon.
 */
#include <linux/jiffies.h>
#include <linux/sched/mm.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "discard.h"
#include "group.h"
#include "notice.h"
#include "reclaim.h"
#include "space.h"
#include "trace.h"
#include "view.h"

#include "uapi/arena.h"

/* Its rescuer works when no memory is left; fixed after init. */
static struct workqueue_struct *discard_queue;
static DECLARE_WAIT_QUEUE_HEAD(discard_done);

static void discard_worker(struct work_struct *work);
static DECLARE_DELAYED_WORK(discard_work, discard_worker);

static bool has_kept(struct arena_space *space)
{
	return view_totals(space).nr_kept;
}

static void tell_owners(struct pool_group *group)
{
	struct notice_state state = notice_state(&group->notice);
	struct arena_space *space = NULL;

	trace_notice(state.level, state.wanted_chunks, state.grace_ns);
	while ((space = space_next(space, has_kept))) {
		if (space->group == group)
			notice_ear_signal(&space->ear);
	}
}

/* Often enough for discard_wait(), seldom enough for a view that is busy for seconds. */
#define BUSY_NS (10 * NSEC_PER_MSEC)

/* So many at a time, 64 MiB: those who wait for memory hear of the first ones at once. */
#define TAKE_CHUNKS 32ULL

static u64 take_batches(struct pool_group *group, u64 due, bool *busy)
{
	u64 taken = 0, nr = 1;

	while (nr && taken < due) {
		nr = discard_kept(group, min(due - taken, TAKE_CHUNKS), busy);
		taken += nr;
		wake_up_all(&discard_done);
	}
	return taken;
}

static void take_due(struct pool_group *group)
{
	u64 due = notice_due_chunks(&group->notice), taken;
	bool busy = false;

	if (!due)
		return;
	taken = take_batches(group, due, &busy);
	/* Somebody reserved them again, or they are in quarantine: waiting brings nothing. */
	if (taken < due && !busy)
		notice_settle(&group->notice, due - taken);
}

/* Returns in how many ns to look again; U64_MAX: when asked. */
static u64 look_after(struct pool_group *group)
{
	struct notice_state state;

	if (notice_take_news(&group->notice))
		tell_owners(group);
	take_due(group);
	state = notice_state(&group->notice);
	return state.wanted_chunks ? max_t(u64, state.grace_ns, BUSY_NS) : U64_MAX;
}

/* Passes of the worker, of which there is one at a time. */
static atomic_t passes_begun, passes_done;
static bool pass_follows;	/* after the last one that ended; written by the worker */

static bool pass_is_over(int pass)
{
	return atomic_read_acquire(&passes_done) - pass >= 0;
}

/*
 * What it allocates it gives back many times over, and those who are out of memory wait for it: so
 * it may use the reserves, and neither reclaims nor runs the OOM killer.
 */
static void discard_worker(struct work_struct *work)
{
	unsigned int flags = memalloc_noreclaim_save();
	int pass = atomic_inc_return(&passes_begun);
	struct pool_group *group = NULL;
	u64 next_ns = U64_MAX;

	while ((group = group_next(group)))
		next_ns = min(next_ns, look_after(group));
	memalloc_noreclaim_restore(flags);
	WRITE_ONCE(pass_follows, next_ns != U64_MAX);
	/* Pairs with the acquire in pass_is_over(). */
	atomic_set_release(&passes_done, pass);
	wake_up_all(&discard_done);
	if (next_ns != U64_MAX)
		queue_delayed_work(discard_queue, &discard_work, nsecs_to_jiffies(next_ns) + 1);
}

void discard_later(struct pool_group *group, unsigned long nr, enum grace_need need)
{
	if (notice_ask(&group->notice, nr, atomic_long_read(&group->nr_kept), need))
		mod_delayed_work(discard_queue, &discard_work, 0);
}

/*
 * Longer than discarding takes, short enough when the worker waits for a lock of the very task that
 * is out of memory.
 */
#define OOM_WAIT_JIFFIES (HZ / 5)
/* So that such a task loses no more than a fifth of its time. */
#define VAIN_JIFFIES HZ

static unsigned long nr_freed(struct pool_group *group)
{
	return atomic_long_read(&group->nr_freed);
}

unsigned long discard_wait(struct pool_group *group, unsigned long before)
{
	if (time_before(jiffies, READ_ONCE(group->vain_until)))
		return 0;
	if (wait_event_killable_timeout(discard_done, nr_freed(group) != before,
					OOM_WAIT_JIFFIES) == 0)
		WRITE_ONCE(group->vain_until, jiffies + VAIN_JIFFIES);
	return nr_freed(group) - before;
}

/*
 * A machine that is out of memory may be slow to run a worker, and who is killed meanwhile is
 * killed in vain: so one whole pass is waited for, within reason, and then a while for views that
 * were busy.
 */
#define PASS_WAIT_JIFFIES (2 * HZ)

unsigned long discard_soon(unsigned long nr)
{
	unsigned long before = freed_chunks();
	struct pool_group *group = NULL;
	int pass;

	/* All of it of each: who is busy, or gives nothing, must not cost a life. */
	while ((group = group_next(group)))
		discard_later(group, nr, GRACE_OOM);
	/* One that is on its way may have been past some group: there is another in any case. */
	pass = atomic_read(&passes_begun) + 1;
	mod_delayed_work(discard_queue, &discard_work, 0);
	wait_event_timeout(discard_done, freed_chunks() != before || pass_is_over(pass),
			   PASS_WAIT_JIFFIES);
	wait_event_timeout(discard_done, freed_chunks() != before || !READ_ONCE(pass_follows),
			   OOM_WAIT_JIFFIES);
	return freed_chunks() - before;
}

__poll_t discard_poll(struct arena_space *space, struct file *file, poll_table *table)
{
	poll_wait(file, &space->ear.wait, table);
	return has_kept(space) && notice_state(&space->group->notice).wanted_chunks ? EPOLLPRI : 0;
}

int discard_init(void)
{
	discard_queue = alloc_workqueue("arena_discard", WQ_UNBOUND | WQ_MEM_RECLAIM, 1);
	return discard_queue ? 0 : -ENOMEM;
}

/* Nobody asks any more, and the worker comes back only while something is wanted. */
void discard_exit(void)
{
	cancel_delayed_work_sync(&discard_work);
	destroy_workqueue(discard_queue);
}
