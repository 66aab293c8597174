/* SPDX-License-Identifier: GPL-2.0-only */
/* A space: what all views of an array of slots share, and who pays for the chunks in them. */
#ifndef ARENA_SPACE_H
#define ARENA_SPACE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "charge.h"
#include "notice.h"
#include "group.h"

#include "uapi/arena.h"

struct view;

/**
 * struct arena_space - an array of slots
 * @ref: the inode, quarantined chunks, and whoever looks at it from @link
 * @id: never used twice while the module is loaded
 * @mapping: the inode's; valid until the base view is dead
 * @flags: ARENA_CREATE_*; fixed
 * @nr_slots: length; fixed
 * @max_chunks: most chunks at a time; fixed
 * @nr_chunks: in slots, one that several views share counted once; atomic
 * @nr_quarantined: chunks held back; atomic
 * @user: who pays; fixed
 * @uid: the same, for showing; fixed
 * @node_mask: nodes that chunks may come from; 0 = all; fixed
 * @has_policies: a mapping had a memory policy once; set under that mapping's mmap lock, read
 * without: who sets a policy and reserves then does so in order
 * @group: whose idle chunks it shares; fixed
 * @pid: who created it; fixed
 * @comm: his command name; fixed
 * @base: the view of the creator; fixed
 * @views_lock: guards @views and @last_view_id
 * @views: of all processes, by rising id; @base is in it until the inode is gone
 * @last_view_id: never used twice
 * @link: in the list of all spaces; guard spaces_lock
 * @ear: who hears that kept chunks are wanted
 * @nr_on_node: of @nr_chunks, those on each node; atomic
 */
struct arena_space {
	struct kref ref;
	u64 id;
	struct address_space *mapping;
	u32 flags;
	unsigned long nr_slots;
	unsigned long max_chunks;
	atomic_long_t nr_chunks;
	atomic_long_t nr_quarantined;
	struct charge_user *user;
	struct pool_group *group;
	u64 node_mask;
	bool has_policies;
	kuid_t uid;
	struct pid *pid;
	char comm[TASK_COMM_LEN];
	struct view *base;
	spinlock_t views_lock;
	struct list_head views;
	u64 last_view_id;
	struct list_head link;
	struct notice_ear ear;
	atomic_long_t nr_on_node[];
};

/** @chunk has entered a slot; or left the last one that held it. */
static inline void space_count_entry(struct arena_space *space, struct folio *chunk)
{
	atomic_long_inc(&space->nr_on_node[folio_nid(chunk)]);
}

static inline void space_count_exit(struct arena_space *space, struct folio *chunk)
{
	atomic_long_dec(&space->nr_on_node[folio_nid(chunk)]);
}

/** Each process has a view of its own. */
static inline bool space_is_cow(struct arena_space *space)
{
	return space->flags & ARENA_CREATE_FORK_COW;
}

/**
 * A space for the current user. 0 slots or chunks mean the most allowed. ERR_PTR(-EINVAL,
 * -ENOMEM).
 */
struct arena_space *space_create(u32 flags, u64 nr_slots, u64 max_chunks, u64 node_mask);
struct arena_space *space_get(struct arena_space *space);
void space_put(struct arena_space *space);

/**
 * Charge @nr chunks that are about to enter slots: 0, or -ENOMEM over a cap. What leaves the slots
 * is counted by space_drop(); who quarantines it lets its user pay on.
 */
int space_charge(struct arena_space *space, unsigned long nr);
void space_uncharge(struct arena_space *space, unsigned long nr);
void space_drop(struct arena_space *space, unsigned long nr);

/** Where to look for memory policies of mappings; NULL when no mapping ever had one. */
static inline struct address_space *space_policies(struct arena_space *space)
{
	return READ_ONCE(space->has_policies) ? space->mapping : NULL;
}

/** struct space_totals - of all spaces, for statistics */
struct space_totals {
	u64 nr_spaces;
	u64 reserved_chunks;
	u64 kept_chunks;
};

void space_totals(struct space_totals *totals);
/** Chunks on node @nid in slots of all spaces. */
u64 space_chunks_on_node(int nid);
/**
 * The space with the smallest id above @id for which @want is true, with a reference; NULL at the
 * end. A walk that may stop at any id and go on later looks at each space before it again.
 */
struct arena_space *space_after_id(u64 id, bool (*want)(struct arena_space *space));
/**
 * Walk the spaces for which @want is true: NULL gives the first, the last gives NULL. Takes a
 * reference to what it returns and puts the one to @space; who leaves the walk early puts the last.
 */
struct arena_space *space_next(struct arena_space *space, bool (*want)(struct arena_space *space));

#endif /* ARENA_SPACE_H */
