// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shrinker. It counts in pages, as the core expects, and frees whole idle chunks: dirty ones first, the
 * work of zeroing them is not done yet. It runs inside somebody's allocation, so it only ever tries locks. Kept
 * chunks have to be unmapped first, which may sleep: that is left to a worker.
 */
#include <linux/atomic.h>
#include <linux/moduleparam.h>
#include <linux/workqueue.h>

#include "compat.h"
#include "pool.h"
#include "pressure.h"
#include "range.h"
#include "reclaim.h"
#include "trace.h"

static bool shrinker_enabled = true;
module_param_named(shrinker, shrinker_enabled, bool, 0444);
MODULE_PARM_DESC(shrinker, "Give idle and kept chunks back when the system is short of memory (default: yes)");

static struct compat_shrinker shrinker;
static atomic_long_t wanted;	/* kept chunks the worker shall discard */

static void discard_worker(struct work_struct *work)
{
	discard_kept(atomic_long_xchg(&wanted, 0));
}
static DECLARE_WORK(discard_work, discard_worker);

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
	if (nr < want && range_kept_slots()) {
		atomic_long_add(want - nr, &wanted);
		queue_work(system_unbound_wq, &discard_work);
	}
	sc->nr_scanned = max(nr * CHUNK_PAGES, sc->nr_to_scan);
	return nr ? nr * CHUNK_PAGES : SHRINK_STOP;
}

int pressure_init(void)
{
	struct shrinker *callbacks;
	int err;

	if (!shrinker_enabled)
		return 0;
	err = compat_shrinker_init(&shrinker);
	if (err)
		return err;
	callbacks = compat_shrinker_callbacks(&shrinker);
	callbacks->count_objects = count_pages;
	callbacks->scan_objects = scan_pages;
	callbacks->seeks = DEFAULT_SEEKS;
	return compat_shrinker_register(&shrinker);
}

void pressure_exit(void)
{
	if (shrinker_enabled)
		compat_shrinker_fini(&shrinker);
	cancel_work_sync(&discard_work);
}
