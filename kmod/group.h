/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A group: the spaces created in one memory cgroup, and the idle chunks that are charged to it. A
 * chunk is charged to its group from allocation to free, so it only ever goes back to that group's
 * pools: nobody gains memory that somebody else pays for, and no byte that he wrote.
 */
#ifndef ARENA_GROUP_H
#define ARENA_GROUP_H

#include <linux/atomic.h>
#include <linux/gfp.h>
#include <linux/list.h>

#include "notice.h"

struct mem_cgroup;
struct pool;

/**
 * struct pool_group - pools of those who pay together
 * @link: in the list of all groups; guard groups_lock
 * @refs: of spaces, queued pools and whoever walks the list; atomic. From 0 it rises only under
 *	groups_lock
 * @memcg: who is charged, with a reference; the root cgroup and NULL (there are none): nobody.
 *	Fixed
 * @nr_kept: slots of its spaces whose contents are discardable; atomic
 * @nr_freed: chunks that went to the system because they were kept, ever; atomic
 * @vain_until: in jiffies: until then nobody waits for discards (discard_wait()); racy, which costs
 *	a wait more or less
 * @notice: that kept slots are wanted
 * @pools: by node, made when the first chunk of that node comes; published by cmpxchg, then fixed
 */
struct pool_group {
	struct list_head link;
	atomic_long_t refs;
	struct mem_cgroup *memcg;
	atomic_long_t nr_kept;
	atomic_long_t nr_freed;
	unsigned long vain_until;
	struct notice notice;
	struct pool *pools[];
};

int group_init(void);
/** No space is left, and no shrinker runs. All idle chunks go to the system. */
void group_exit(void);

/**
 * The group of the current process, with a reference; NULL when out of memory. May sleep. One group
 * serves everybody whose kernel memory is not charged to a cgroup.
 */
struct pool_group *group_get_current(void);
void group_get(struct pool_group *group);
/** For who finds it by a pool; false when nobody else has one, it may be about to end. */
bool group_try_get(struct pool_group *group);
void group_put(struct pool_group *group);

/**
 * Walk all groups: NULL gives the first, the last gives NULL. Takes a reference to what it returns
 * and puts the one to @group; who leaves the walk early puts the last.
 */
struct pool_group *group_next(struct pool_group *group);

/** Whether chunks of cgroups are charged to them on this machine. */
bool group_is_charging(void);

/** Idle chunks came: make sure that they are looked at by time. */
void group_watch_idle(void);

/** Kept slots of all groups. Racy. */
unsigned long group_kept_slots(void);

/** A group that is in no list, for tests. */
struct pool_group *group_create(struct mem_cgroup *memcg, gfp_t gfp);
void group_destroy(struct pool_group *group);

#endif /* ARENA_GROUP_H */
