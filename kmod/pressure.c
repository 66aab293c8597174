// SPDX-License-Identifier: GPL-2.0-only
/*
 * The shrinker, aware of nodes and memory cgroups: it counts in pages, as the core expects, and
 * frees whole idle chunks: those in CPU slots and dirty ones first, the work of zeroing them is not
 * done yet. It runs inside somebody's allocation, so it only ever tries locks.
 *
 * A module finds the pools of the cgroup that is short of memory in one way only: a list_lru, whose
 * lists the core keeps by cgroup and node, and moves to the parent when a cgroup goes. So every
 * pool is an object charged to its cgroup, and lies in that list from its first to its last day: it
 * then moves along with the charges of its chunks. On the way the core remembers by itself on which
 * node the object lies; that is the pool's own node unless that had no memory for it.
 *
 * Kept chunks are asked for (discard.c): they come later, after a notice to their owners. That they
 * are counted is what makes the core ask at all. Before the OOM killer takes somebody's life for
 * the whole system the notifier waits for them, but never for long: the allocation may hold what
 * freeing them needs.
 */
#include <linux/memcontrol.h>
#include <linux/moduleparam.h>
#include <linux/notifier.h>
#include <linux/oom.h>
#include <linux/swap.h>

#include "compat.h"
#include "cpu_slot.h"
#include "discard.h"
#include "group.h"
#include "pool.h"
#include "pressure.h"
#include "reclaim.h"
#include "trace.h"

static bool shrinker_enabled = true;
module_param_named(shrinker, shrinker_enabled, bool, 0444);
MODULE_PARM_DESC(
	shrinker,
	"Give idle and kept chunks back when the system is short of memory (default: yes)");

static struct compat_shrinker shrinker;
static struct list_lru pools;	/* all pools, by cgroup and node */
static bool pools_ready;	/* set once; release in shrinker_init(), acquire in visit_pools() */

bool pressure_is_on(void)
{
	return shrinker_enabled;
}

struct list_lru *pressure_lru(void)
{
	return shrinker_enabled ? &pools : NULL;
}

void pressure_add_pool(struct pool *pool)
{
	if (shrinker_enabled)
		compat_list_lru_add_obj(&pools, &pool->shrink);
}

void pressure_remove_pool(struct pool *pool)
{
	if (shrinker_enabled)
		compat_list_lru_del_obj(&pools, &pool->shrink);
}

/* Calls @visit for every pool that the core asks about, under the list's lock. */
static void visit_pools(struct shrink_control *sc, list_lru_walk_cb visit, void *arg)
{
	unsigned long all = ULONG_MAX;

	/* Pairs with the release in shrinker_init(): the list is initialized. */
	if (smp_load_acquire(&pools_ready))
		list_lru_walk_one(&pools, sc->nid, sc->memcg, visit, arg, &all);
}

static enum lru_status count_pool(struct list_head *item, struct list_lru_one *list,
				  spinlock_t *lock, void *arg)
{
	struct pool *pool = container_of(item, struct pool, shrink);
	unsigned long *nr = arg;

	*nr += pool_nr_idle(pool) + cpu_slot_nr(pool) + atomic_long_read(&pool->group->nr_kept);
	return LRU_SKIP;
}

/*
 * Never SHRINK_EMPTY: the core would ask this cgroup again only when another pool came, not when
 * chunks do.
 */
static unsigned long count_pages(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long nr = 0;

	visit_pools(sc, count_pool, &nr);
	return nr * CHUNK_PAGES;
}

/** struct scan - one call of the shrinker */
struct scan {
	unsigned long want_chunks;
	unsigned long nr_chunks;	/* in @chunks */
	struct list_head chunks;
	struct pool_group *due;		/* its kept chunks are taken; with a reference, or NULL */
	unsigned long due_freed;	/* nr_freed of @due before it was asked */
};

/*
 * A cgroup's own reclaim looks like that of the system, but for the thread of the latter. So it is
 * asked whether a limit is near: a cgroup kills only when what is charged does not fit, and that is
 * a chunk at most. Taking the system's reclaim for that of a full cgroup costs owners a part of
 * their grace; the reverse would cost a life.
 */
static enum grace_need scan_need(struct pool_group *group)
{
	return !current_is_kswapd() && compat_memcg_is_full(group->memcg, CHUNK_PAGES) ?
		       GRACE_LIMIT : GRACE_RECLAIM;
}

static void scan_ask(struct scan *scan, struct pool_group *group, unsigned long nr)
{
	unsigned long freed = atomic_long_read(&group->nr_freed);
	enum grace_need need = scan_need(group);

	discard_later(group, nr, need);
	/* There may be several: the kernel moves those of removed cgroups to the parent. */
	if (need == GRACE_LIMIT && !scan->due && notice_due_chunks(&group->notice) &&
	    group_try_get(group)) {
		scan->due = group;
		scan->due_freed = freed;
	}
}

static enum lru_status scan_pool(struct list_head *item, struct list_lru_one *list,
				 spinlock_t *lock, void *arg)
{
	struct pool *pool = container_of(item, struct pool, shrink);
	struct scan *scan = arg;
	unsigned long want = scan->want_chunks - scan->nr_chunks;
	unsigned long nr = cpu_slot_drain(pool->group, pool->nid, want, &scan->chunks, true);

	nr += pool_try_isolate(pool, want - nr, &scan->chunks);
	scan->nr_chunks += nr;
	if (nr < want && atomic_long_read(&pool->group->nr_kept))
		scan_ask(scan, pool->group, want - nr);
	return LRU_SKIP;
}

/*
 * A cgroup kills as soon as some rounds of reclaim have brought nothing, which is sooner than a
 * worker gets a busy CPU, and no notifier asks before. So whoever allocates waits for it, unless he
 * may hold locks of a file system, or is a thread of the kernel, perhaps that very worker.
 */
static bool may_wait(struct shrink_control *sc)
{
	return sc->gfp_mask & __GFP_FS && !(current->flags & PF_KTHREAD);
}

/* Asked for N pages, free the chunks that hold them, at least one. */
static unsigned long scan_pages(struct shrinker *s, struct shrink_control *sc)
{
	struct scan scan = { .want_chunks = DIV_ROUND_UP(sc->nr_to_scan, CHUNK_PAGES) };
	unsigned long nr;

	INIT_LIST_HEAD(&scan.chunks);
	visit_pools(sc, scan_pool, &scan);
	trace_pressure(sc->nid, scan.want_chunks);
	nr = pool_return(&scan.chunks);
	if (!nr && scan.due && may_wait(sc))
		nr = discard_wait(scan.due, scan.due_freed);
	if (scan.due)
		group_put(scan.due);
	sc->nr_scanned = max(nr * CHUNK_PAGES, sc->nr_to_scan);
	return nr ? nr * CHUNK_PAGES : SHRINK_STOP;
}

/* What is freed before a kill is reconsidered: enough to go on, and soon. */
#define OOM_CHUNKS 32UL

static int oom_notify(struct notifier_block *block, unsigned long unused, void *freed_pages)
{
	unsigned long nr = pool_trim(NULL, NUMA_NO_NODE, OOM_CHUNKS);

	/* Owners who give by themselves, because they were told or die, give to the pools. */
	if (!nr && group_kept_slots())
		nr = discard_soon(OOM_CHUNKS) ?: pool_trim(NULL, NUMA_NO_NODE, OOM_CHUNKS);
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
	/* Older kernels know the shrinker's number only when it is registered already. */
	err = compat_shrinker_register(&shrinker);
	if (err)
		return err;
	err = list_lru_init_memcg(&pools, compat_shrinker_callbacks(&shrinker));
	if (err)
		compat_shrinker_fini(&shrinker);
	else
		/* Pairs with the acquire in visit_pools(). */
		smp_store_release(&pools_ready, true);
	return err;
}

int pressure_init(void)
{
	int err;

	if (!shrinker_enabled)
		return 0;
	err = discard_init();
	if (err)
		return err;
	err = register_oom_notifier(&oom_block);
	if (err)
		goto exit_discard;
	err = shrinker_init();
	if (err)
		goto unregister_notifier;
	return 0;

unregister_notifier:
	unregister_oom_notifier(&oom_block);
exit_discard:
	discard_exit();
	return err;
}

void pressure_stop(void)
{
	if (!shrinker_enabled)
		return;
	unregister_oom_notifier(&oom_block);
	compat_shrinker_fini(&shrinker);
	discard_exit();
}

void pressure_exit(void)
{
	if (shrinker_enabled)
		list_lru_destroy(&pools);
}
