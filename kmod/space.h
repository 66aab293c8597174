/* SPDX-License-Identifier: GPL-2.0-only */
/* A space: an array of slots, who pays for its chunks, and the two ways to change a slot. */
#ifndef ARENA_SPACE_H
#define ARENA_SPACE_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/types.h>

#include "charge.h"
#include "range.h"
#include "slot.h"

#define LEAF_SHIFT 9	/* slots per leaf: one page of words, which spans 1 GiB of memory */
#define LEAF_SLOTS (1UL << LEAF_SHIFT)

/**
 * struct arena_space - slots and their chunks
 * @ref: the inode, quarantined chunks, and whoever looks at it from @link
 * @id: never used twice while the module is loaded
 * @lock: guards @map, @dead and the filling and emptying of slots
 * @map: which slots are reserved, which of those kept
 * @dead: the inode is gone; nothing may be reserved any more
 * @mapping: the inode's; valid until @dead
 * @flags: ARENA_CREATE_*; fixed
 * @nr_slots: length; fixed
 * @max_chunks: most chunks at a time; fixed
 * @leaves: slot words by LEAF_SLOTS; a leaf is published with release under @lock (acquire in
 * space_slot())
 * @nr_pages: of tables, charged to @user; guard @lock
 * @nr_live: touched slots; atomic
 * @nr_quarantined: chunks held back; atomic
 * @user: who pays; fixed
 * @uid: the same, for showing; fixed
 * @pid: who created it; fixed
 * @comm: his command name; fixed
 * @link: in the list of all spaces; guard spaces_lock
 */
struct arena_space {
	struct kref ref;
	u64 id;
	struct mutex lock;
	struct range_map map;
	bool dead;
	struct address_space *mapping;
	u32 flags;
	unsigned long nr_slots;
	unsigned long max_chunks;
	unsigned long **leaves;
	unsigned long nr_pages;
	atomic_long_t nr_live;
	atomic_long_t nr_quarantined;
	struct charge_user *user;
	kuid_t uid;
	struct pid *pid;
	char comm[TASK_COMM_LEN];
	struct list_head link;
};

/**
 * A space for the current user. 0 slots or chunks mean the most allowed. ERR_PTR(-EINVAL,
 * -ENOMEM).
 */
struct arena_space *space_create(u32 flags, u64 nr_slots, u64 max_chunks);
struct arena_space *space_get(struct arena_space *space);
void space_put(struct arena_space *space);

/** The word of slot @i, or NULL while its leaf does not exist (then the slot is EMPTY). */
unsigned long *space_slot(struct arena_space *space, unsigned long i);
/** Make the leaves of [@first, @end) exist. Caller holds @lock. 0 or -ENOMEM. */
int space_make_leaves(struct arena_space *space, unsigned long first, unsigned long end);

/**
 * Apply a transition of slot.h atomically; false when it does not apply. The word before it is in
 * *@was.
 */
static __always_inline bool
space_slot_apply(unsigned long *slot, bool (*transition)(unsigned long *word), unsigned long *was)
{
	unsigned long new;

	*was = READ_ONCE(*slot);
	do {
		new = *was;
		if (!transition(&new))
			return false;
	} while (!try_cmpxchg(slot, was, new));
	return true;
}

/** struct space_totals - of all spaces, for statistics */
struct space_totals {
	u64 nr_spaces;
	u64 reserved_chunks;
	u64 kept_chunks;
};

void space_totals(struct space_totals *totals);
/**
 * The space with the smallest id above @id for which @want is true, with a reference; NULL at the
 * end.
 */
struct arena_space *space_next(u64 id, bool (*want)(struct arena_space *space));

#endif /* ARENA_SPACE_H */
