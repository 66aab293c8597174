// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics. taken = returned + handed + clean + dirty + quarantined, in chunks, while nothing is
 * in flight; each term is counted where the chunk moves, none is computed from the others.
 */
#include <linux/cred.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/pid.h>
#include <linux/seq_file.h>

#include "clear.h"
#include "fault.h"
#include "poison.h"
#include "pool.h"
#include "quarantine.h"
#include "reclaim.h"
#include "space.h"
#include "stats.h"
#include "stats_node.h"
#include "view.h"

#include "uapi/arena.h"

void stats_module(struct arena_stat *stat)
{
	struct space_totals spaces;
	struct clear_stats clearing = clear_stats(NUMA_NO_NODE);
	struct pool_stats pool;

	space_totals(&spaces);
	pool_stats(NUMA_NO_NODE, &pool);
	stat->taken_chunks = pool.taken_chunks;
	stat->returned_chunks = pool.returned_chunks;
	stat->handed_chunks = spaces.reserved_chunks;
	stat->kept_chunks = spaces.kept_chunks;
	stat->clean_chunks = pool.clean_chunks;
	stat->dirty_chunks = pool.dirty_chunks;
	stat->quarantined_chunks = quarantine_chunks(NUMA_NO_NODE);
	stat->discarded_chunks = discarded_chunks();
	stat->cleared_chunks = clearing.cleared_chunks;
	stat->clearing_ns = clearing.clearing_ns;
	stat->cleared_at_touch_chunks = cleared_at_touch_chunks();
	stat->fault_count = fault_count();
	stat->nr_spaces = spaces.nr_spaces;
}

void stats_space(struct arena_space *space, struct arena_space_stat *stat)
{
	struct view_totals slots = view_totals(space);

	stat->id = space->id;
	stat->uid = from_kuid_munged(current_user_ns(), space->uid);
	stat->pid = pid_vnr(space->pid);
	stat->nr_slots = space->nr_slots;
	stat->reserved_chunks = atomic_long_read(&space->nr_chunks);
	stat->live_chunks = slots.nr_live;
	stat->kept_chunks = slots.nr_kept;
	stat->quarantined_chunks = atomic_long_read(&space->nr_quarantined);
	memcpy(stat->comm, space->comm, sizeof(stat->comm));
}

void stats_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct arena_space *space = file_space(file);
	struct view_totals slots = view_totals(space);
	int nid;

	seq_printf(m, "arena-space-id:\t%llu\n", space->id);
	seq_printf(m, "arena-slots:\t%lu chunks\n", space->nr_slots);
	seq_printf(m, "arena-reserved:\t%ld chunks\n", atomic_long_read(&space->nr_chunks));
	seq_printf(m, "arena-live:\t%lu chunks\n", slots.nr_live);
	seq_printf(m, "arena-kept:\t%lu chunks\n", slots.nr_kept);
	seq_printf(m, "arena-quarantined:\t%ld chunks\n", atomic_long_read(&space->nr_quarantined));
	for_each_node_state(nid, N_MEMORY)
		seq_printf(m, "arena-node%d:\t%ld chunks\n", nid,
			   atomic_long_read(&space->nr_on_node[nid]));
}

#define STATS_ATTRIBUTE(name)								\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf)	\
{											\
	struct arena_stat stat;								\
											\
	stats_module(&stat);								\
	return sysfs_emit(buf, "%llu\n", stat.name);					\
}											\
static DEVICE_ATTR_RO(name)

STATS_ATTRIBUTE(taken_chunks);
STATS_ATTRIBUTE(returned_chunks);
STATS_ATTRIBUTE(handed_chunks);
STATS_ATTRIBUTE(kept_chunks);
STATS_ATTRIBUTE(clean_chunks);
STATS_ATTRIBUTE(dirty_chunks);
STATS_ATTRIBUTE(quarantined_chunks);
STATS_ATTRIBUTE(discarded_chunks);
STATS_ATTRIBUTE(cleared_chunks);
STATS_ATTRIBUTE(clearing_ns);
STATS_ATTRIBUTE(cleared_at_touch_chunks);
STATS_ATTRIBUTE(fault_count);
STATS_ATTRIBUTE(nr_spaces);

static ssize_t poisoned_chunks_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%lu\n", poisoned_chunks());
}
static DEVICE_ATTR_RO(poisoned_chunks);

static struct attribute *stats_attrs[] = {
	&dev_attr_taken_chunks.attr,
	&dev_attr_returned_chunks.attr,
	&dev_attr_handed_chunks.attr,
	&dev_attr_kept_chunks.attr,
	&dev_attr_clean_chunks.attr,
	&dev_attr_dirty_chunks.attr,
	&dev_attr_quarantined_chunks.attr,
	&dev_attr_discarded_chunks.attr,
	&dev_attr_cleared_chunks.attr,
	&dev_attr_clearing_ns.attr,
	&dev_attr_cleared_at_touch_chunks.attr,
	&dev_attr_fault_count.attr,
	&dev_attr_nr_spaces.attr,
	&dev_attr_poisoned_chunks.attr,
	NULL,
};

static const struct attribute_group stats_group = { .attrs = stats_attrs };

/* The device's own, those of the nodes, and the end. */
const struct attribute_group *stats_groups[1 + MAX_NUMNODES + 1] = { &stats_group };

int stats_init(void)
{
	return stats_node_init(&stats_groups[1]);
}

void stats_exit(void)
{
	stats_node_exit();
}
