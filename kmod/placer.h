/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whose policies decide where the chunks of a call come from: those of the caller's mapping of a
 * slot (mbind), else the caller's own (set_mempolicy); within what his cpuset and the space allow.
 */
#ifndef ARENA_PLACER_H
#define ARENA_PLACER_H

#include <linux/mm_types.h>
#include <linux/types.h>

#include "place.h"

struct address_space;
struct mempolicy;

/**
 * struct placer - on the stack of one call
 * @space_nodes: what the space allows
 * @allowed: what space and cpuset allow and what has memory
 * @mems_cookie: says whether the cpuset has changed since @allowed was read
 * @policy: the caller's
 * @fault_policy: that of the mapping that faulted, which the fault keeps; or NULL
 * @local: the caller's node when the call began
 * @is_run: the chunks are to be one contiguous run, all placed as the first
 * @mapping: where to look for the caller's mappings, under his mmap lock; or NULL
 */
struct placer {
	u64 space_nodes;
	u64 allowed;
	unsigned int mems_cookie;
	struct place_policy policy;
	struct mempolicy *fault_policy;
	int local;
	bool is_run;
	struct address_space *mapping;
};

/** All nodes that are in @node_mask (0: all) are online, and some of them have memory. */
bool placer_can_use(u64 node_mask);
/** The caller's own policy; for callers who hold the mmap lock, or no mapping is concerned. */
void placer_init(struct placer *placer, u64 node_mask);
/** The policy of @vma, whose fault this is; else the caller's own. */
void placer_init_fault(struct placer *placer, u64 node_mask, struct vm_area_struct *vma);
/**
 * The policies of the caller's mappings of @mapping, where they have any, else his own; his own
 * alone when it is NULL. With a @mapping takes his mmap lock, which placer_unlock() drops. 0 or
 * -EINTR.
 */
int placer_lock(struct placer *placer, u64 node_mask, struct address_space *mapping);
void placer_unlock(struct placer *placer);

/**
 * Where a chunk for slot @slot comes from; the same holds for all slots up to *@end, which may be
 * made smaller.
 */
struct placement placer_slot(struct placer *placer, unsigned long slot, unsigned long *end);
/**
 * After a failure: true when the cpuset has changed meanwhile, so that it makes sense to try again.
 */
bool placer_is_stale(struct placer *placer);

/** For ->get_policy: @vma's own, or one that keeps NUMA balancing away: chunks cannot move. */
struct mempolicy *placer_vma_policy(struct vm_area_struct *vma);

/** Distances of nodes, as a function. */
int placer_distance(int from, int to);

#endif /* ARENA_PLACER_H */
