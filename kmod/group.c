// SPDX-License-Identifier: GPL-2.0-only
/*
 * Groups, found by memory cgroup. Nobody tells a module that a cgroup was removed, so a worker
 * looks twice a second, while there is something to look at: it drains pools that nobody used for
 * pool_idle_s, drains those of removed cgroups at once, and ends groups that nobody refers to. A
 * group that still has spaces when its cgroup is removed lives on; the core then charges the
 * parent.
 */
#include <linux/jiffies.h>
#include <linux/memcontrol.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "clear.h"
#include "compat.h"
#include "cpu_slot.h"
#include "group.h"
#include "pool.h"
#include "pressure.h"

static DEFINE_SPINLOCK(groups_lock);
static LIST_HEAD(groups);	/* guard groups_lock */
static struct pool_group *root;	/* of those who are not charged; fixed after init */
static struct kmem_cache *group_cache;

static unsigned int pool_idle_s = 60;

#define MAX_IDLE_S 86400 /* a day */

static int pool_idle_set(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, MAX_IDLE_S);
}

static const struct kernel_param_ops pool_idle_ops = {
	.set = pool_idle_set,
	.get = param_get_uint,
};

module_param_cb(pool_idle_s, &pool_idle_ops, &pool_idle_s, 0644);
MODULE_PARM_DESC(pool_idle_s,
		 "Seconds after which idle chunks nobody takes go back to the system (0 to 86400; "
		 "0 = never; default: 60)");

/* Often enough to be done well within two seconds of a cgroup's end. */
#define TICK_JIFFIES max(1UL, (unsigned long)HZ / 2)

static void tick(struct work_struct *work);
static DECLARE_DELAYED_WORK(tick_work, tick);
static bool tick_armed;		/* racy: set again by whoever brings work */
static bool tick_stopped;	/* set once, at exit */

void group_watch_idle(void)
{
	/*
	 * What the caller brought comes before the look at the tick. Pairs with the barrier in
	 * tick(): either it finds what was brought, or this finds it unarmed.
	 */
	smp_mb();
	if (READ_ONCE(tick_armed) || READ_ONCE(tick_stopped))
		return;
	WRITE_ONCE(tick_armed, true);
	queue_delayed_work(system_unbound_wq, &tick_work, TICK_JIFFIES);
}

bool group_is_charging(void)
{
	return compat_memcg_charges();
}

struct pool_group *group_create(struct mem_cgroup *memcg, gfp_t gfp)
{
	struct mem_cgroup *old = set_active_memcg(memcg);
	struct pool_group *group;

	/*
	 * This also makes the cgroup's list of the shrinker, which nothing else a module may
	 * call does.
	 */
	group = kmem_cache_alloc_lru(group_cache, pressure_lru(), gfp | __GFP_ZERO);
	set_active_memcg(old);
	if (!group)
		return NULL;
	INIT_LIST_HEAD(&group->link);
	group->memcg = memcg;
	/* Not 0, which is minutes ahead at boot. */
	group->vain_until = jiffies;
	notice_init(&group->notice);
	return group;
}

/* Nobody refers to it and it is in no list. */
void group_destroy(struct pool_group *group)
{
	LIST_HEAD(chunks);
	int nid;

	cpu_slot_drain(group, NUMA_NO_NODE, ULONG_MAX, &chunks, false);
	pool_return(&chunks);
	for_each_node(nid)
		if (group->pools[nid])
			pool_destroy(group->pools[nid]);
	mem_cgroup_put(group->memcg);
	kmem_cache_free(group_cache, group);
}

static struct pool_group *group_find_locked(struct mem_cgroup *memcg)
{
	struct pool_group *group;

	list_for_each_entry(group, &groups, link)
		if (group->memcg == memcg)
			return group;
	return NULL;
}

/* The group of @memcg if there is one, else @fresh if there is one of those; with a reference. */
static struct pool_group *group_find(struct mem_cgroup *memcg, struct pool_group *fresh)
{
	struct pool_group *group;

	spin_lock(&groups_lock);
	group = group_find_locked(memcg);
	if (!group && fresh) {
		list_add_tail(&fresh->link, &groups);
		group = fresh;
	}
	if (group)
		atomic_long_inc(&group->refs);
	spin_unlock(&groups_lock);
	return group;
}

struct pool_group *group_get_current(void)
{
	struct mem_cgroup *memcg = compat_memcg_get_current();
	struct pool_group *group = group_find(memcg, NULL), *fresh;

	if (group) {
		mem_cgroup_put(memcg);
		return group;
	}
	fresh = group_create(memcg, GFP_KERNEL);
	if (!fresh) {
		mem_cgroup_put(memcg);
		return NULL;
	}
	group = group_find(memcg, fresh);
	if (group != fresh)
		group_destroy(fresh);
	return group;
}

/* For who has a reference already. */
void group_get(struct pool_group *group)
{
	atomic_long_inc(&group->refs);
}

bool group_try_get(struct pool_group *group)
{
	return atomic_long_inc_not_zero(&group->refs);
}

void group_put(struct pool_group *group)
{
	/*
	 * Full order: whoever ends the group sees what was done to it (pairs with the acquire in
	 * group_is_over()). It may be gone after this.
	 */
	if (atomic_long_dec_and_test(&group->refs))
		group_watch_idle();
}

struct pool_group *group_next(struct pool_group *group)
{
	struct pool_group *next;

	spin_lock(&groups_lock);
	next = group ? list_next_entry(group, link)
		     : list_first_entry(&groups, struct pool_group, link);
	if (list_entry_is_head(next, &groups, link))
		next = NULL;
	else
		atomic_long_inc(&next->refs);
	spin_unlock(&groups_lock);
	if (group)
		group_put(group);
	return next;
}

unsigned long group_kept_slots(void)
{
	struct pool_group *group = NULL;
	unsigned long nr = 0;

	while ((group = group_next(group)))
		nr += atomic_long_read(&group->nr_kept);
	return nr;
}

static bool pool_is_stale(struct pool *pool)
{
	unsigned long idle_s = READ_ONCE(pool_idle_s);

	if (!mem_cgroup_online(pool->group->memcg))
		return true;
	return idle_s && time_after(jiffies, READ_ONCE(pool->used_jiffies) + idle_s * HZ);
}

/* Drain what is stale; returns what stays idle. */
static unsigned long group_age(struct pool_group *group)
{
	unsigned long nr = 0;
	int nid;

	for_each_node(nid) {
		struct pool *pool = READ_ONCE(group->pools[nid]);

		if (!pool)
			continue;
		if (pool_nr_idle(pool) && pool_is_stale(pool))
			pool_trim_one(pool, ULONG_MAX);
		/* The bound of all pools may be lower than when its chunks came. */
		if (pool_has_work(pool))
			clear_queue(pool);
		nr += pool_nr_idle(pool);
	}
	return nr;
}

/* Nobody can bring chunks to a group without references, and nobody finds one under the lock. */
static bool group_is_over(struct pool_group *group)
{
	int nid;

	if (group == root)
		return false;
	/* Pairs with the full order of group_put(): what was done to the group is seen. */
	if (atomic_long_read_acquire(&group->refs))
		return false;
	for_each_node(nid)
		if (group->pools[nid] && pool_nr_idle(group->pools[nid]))
			return false;
	return true;
}

static void groups_end_unused(void)
{
	struct pool_group *group, *next;
	LIST_HEAD(over);

	spin_lock(&groups_lock);
	list_for_each_entry_safe(group, next, &groups, link)
		if (group_is_over(group))
			list_move(&group->link, &over);
	spin_unlock(&groups_lock);
	list_for_each_entry_safe(group, next, &over, link)
		group_destroy(group);
}

static void tick(struct work_struct *work)
{
	struct pool_group *group = NULL;
	unsigned long idle;

	if (READ_ONCE(tick_stopped))
		return;
	WRITE_ONCE(tick_armed, false);
	/* What comes from now on arms it again. Pairs with the barrier in group_watch_idle(). */
	smp_mb();
	idle = cpu_slots_age();
	while ((group = group_next(group)))
		idle += group_age(group);
	groups_end_unused();
	if (idle)
		group_watch_idle();
}

int group_init(void)
{
	size_t bytes = sizeof(*root) + nr_node_ids * sizeof(root->pools[0]);
	int err;

	group_cache = kmem_cache_create("arena_group", bytes, 0, SLAB_ACCOUNT, NULL);
	if (!group_cache)
		return -ENOMEM;
	err = clear_init();
	if (err)
		goto destroy_cache;
	root = group_create(compat_memcg_root(), GFP_KERNEL);
	if (!root) {
		err = -ENOMEM;
		goto exit_clear;
	}
	/* Never put: it stays. */
	atomic_long_set(&root->refs, 1);
	list_add(&root->link, &groups);
	return 0;

exit_clear:
	clear_exit();
destroy_cache:
	kmem_cache_destroy(group_cache);
	return err;
}

/* First who brings chunks to pools of his own accord, then the pools. */
void group_exit(void)
{
	struct pool_group *group, *next;

	WRITE_ONCE(tick_stopped, true);
	cancel_delayed_work_sync(&tick_work);
	clear_exit();
	/* A clearing thread may have seen it not stopped, and armed it only after the first. */
	cancel_delayed_work_sync(&tick_work);
	list_for_each_entry_safe(group, next, &groups, link) {
		WARN_ON_ONCE(atomic_long_read(&group->refs) != (group == root));
		list_del(&group->link);
		group_destroy(group);
	}
	kmem_cache_destroy(group_cache);
}
