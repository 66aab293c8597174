/* SPDX-License-Identifier: GPL-2.0-only */
/* The books of each node, one value per file: nodeN/ under the device in sysfs. */
#ifndef ARENA_STATS_NODE_H
#define ARENA_STATS_NODE_H

#include <linux/types.h>

struct attribute_group;

/**
 * struct stats_node - in chunks; taken = returned + handed + clean + dirty + quarantined while
 * nothing is in flight
 */
struct stats_node {
	u64 taken_chunks;
	u64 returned_chunks;
	u64 handed_chunks;
	u64 clean_chunks;
	u64 dirty_chunks;
	u64 quarantined_chunks;
};

void stats_node(int nid, struct stats_node *stat);

/** Put a group for each node at @groups, and NULL behind the last. 0 or -ENOMEM. */
int stats_node_init(const struct attribute_group **groups);
/** The device is gone. */
void stats_node_exit(void);

#endif /* ARENA_STATS_NODE_H */
