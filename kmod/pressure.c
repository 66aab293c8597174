// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shrinker. It counts in pages, as the core expects, and frees whole idle chunks: dirty ones
 * first, the work of zeroing them is not done yet. It runs inside somebody's allocation, so it only
 * ever tries locks. Kept chunks have to be unmapped first, which may sleep: that is left to a
 * worker. Before the OOM killer takes somebody's life the notifier waits for that worker, but never
 * for long: the allocation may hold what the worker needs.
 */
#include <linux/atomic.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "pool.h"
#include "pressure.h"
#include "range.h"
#include "reclaim.h"
#include "trace.h"

static bool shrinker_enabled = true;
module_param_named(shrinker, shrinker_enabled, bool, 0444);
MODULE_PARM_DESC(
	shrinker,
	"Give idle and kept chunks back when the system is short of memory (default: yes)");

static struct compat_shrinker shrinker;
static atomic_long_t wanted;	/* kept chunks the worker shall discard */

static struct workqueue_struct
	*discard_queue; /* its rescuer works when no memory is left; fixed after init */
static DECLARE_WAIT_QUEUE_HEAD(discard_done);

static void discard_worker(struct work_struct *work)
{
	discard_kept(atomic_long_xchg(&wanted, 0));
	wake_up_all(&discard_done);
}
static DECLARE_WORK(discard_work, discard_worker);

static void discard_later(unsigned long nr)
{
	atomic_long_add(nr, &wanted);
	queue_work(discard_queue, &discard_work);
}

static unsigned long count_pages(struct shrinker *s, struct shrink_control *sc)
{
	return (pool_idle_chunks(sc->nid) + range_kept_slots()) * CHUNK_PAGES ?: SHRINK_EMPTY;
}

/* Asked for N pages, free the chunks that hold them, at least one. */
static unsigned long scan_pages(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long want = DIV_ROUND_UP(sc->nr_to_scan, CHUNK_PAGES);
	unsigned long nr = pool_trim(sc->nid, want, true);

	trace_arena_pressure(sc->nid, want);
	if (nr < want && range_kept_slots())
		discard_later(want - nr);
	sc->nr_scanned = max(nr * CHUNK_PAGES, sc->nr_to_scan);
	return nr ? nr * CHUNK_PAGES : SHRINK_STOP;
}

/* What is freed before a kill is reconsidered: enough to go on, and soon. */
#define OOM_CHUNKS 32UL
/*
 * Longer than discarding takes, short enough when the worker waits for a lock of the very task that
 * is out of memory.
 */
#define OOM_WAIT_JIFFIES (HZ / 5)

static unsigned long discard_and_wait(unsigned long nr)
{
	unsigned long before = discarded_chunks();

	discard_later(nr);
	wait_event_timeout(discard_done, discarded_chunks() != before, OOM_WAIT_JIFFIES);
	return discarded_chunks() - before;
}

static int oom_notify(struct notifier_block *block, unsigned long unused, void *freed_pages)
{
	unsigned long nr = pool_trim(NUMA_NO_NODE, OOM_CHUNKS, false);

	if (!nr && range_kept_slots())
		nr = discard_and_wait(OOM_CHUNKS);
	*(unsigned long *)freed_pages += nr * CHUNK_PAGES;
	return NOTIFY_OK;
}

static struct notifier_block oom_block = { .notifier_call = oom_notify };

static int shrinker_init(void)
{
	struct shrinker *callbacks;
	int err = compat_shrinker_init(&shrinker);

	if (err)
		return err;
	callbacks = compat_shrinker_callbacks(&shrinker);
	callbacks->count_objects = count_pages;
	callbacks->scan_objects = scan_pages;
	callbacks->seeks = DEFAULT_SEEKS;
	return compat_shrinker_register(&shrinker);
}

int pressure_init(void)
{
	int err;

	if (!shrinker_enabled)
		return 0;
	discard_queue = alloc_workqueue("arena_discard", WQ_UNBOUND | WQ_MEM_RECLAIM, 1);
	if (!discard_queue)
		return -ENOMEM;
	err = register_oom_notifier(&oom_block);
	if (err)
		goto destroy_queue;
	err = shrinker_init();
	if (err)
		goto unregister_notifier;
	return 0;

unregister_notifier:
	unregister_oom_notifier(&oom_block);
destroy_queue:
	destroy_workqueue(discard_queue);
	return err;
}

void pressure_exit(void)
{
	if (!shrinker_enabled)
		return;
	unregister_oom_notifier(&oom_block);
	compat_shrinker_fini(&shrinker);
	destroy_workqueue(discard_queue);
}
