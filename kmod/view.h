/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A view: the slots of a space as one process sees them. Most spaces have one view, their base,
 * that all mappings share. In a space with ARENA_CREATE_FORK_COW each process has one of its own:
 * the creator has the base, a child gets a copy of its parent's at fork, anybody else an empty one
 * at mmap. A view holds chunks as long as its process has a mapping.
 */
#ifndef ARENA_VIEW_H
#define ARENA_VIEW_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/types.h>

#include "range.h"
#include "slot.h"

#define LEAF_SHIFT 9	/* slots per leaf: one page of words, which spans 1 GiB of memory */
#define LEAF_SLOTS (1UL << LEAF_SHIFT)

struct arena_space;
struct mm_struct;

/**
 * struct view - slots and their chunks
 * @space: whose; outlives the view; fixed
 * @mm: whose view it is, where each process has its own (a reference that keeps the pointer from
 * being used again, not the memory); else NULL; fixed
 * @id: rises with each view of the space; fixed
 * @ref: @link, and whoever looks at it from there
 * @link: in space.views; guard space.views_lock
 * @nr_vmas: mappings, if there is an @mm; atomic, and 0 only changes to 1 under the mmap lock
 * @lock: guards @map, @dead and the filling and emptying of slots; a parent's before its child's
 * @map: which slots are reserved, which of those kept
 * @dead: nothing may be reserved any more
 * @lossy: some slot lost what it should have inherited; set without a lock, never cleared
 * @leaves: slot words by LEAF_SLOTS; a leaf is published with release under @lock (acquire in
 * view_slot())
 * @nr_pages: of tables, charged to the space's user; guard @lock
 * @nr_live: touched slots; atomic
 */
struct view {
	struct arena_space *space;
	struct mm_struct *mm;
	u64 id;
	struct kref ref;
	struct list_head link;
	atomic_long_t nr_vmas;
	struct mutex lock;
	struct range_map map;
	bool dead;
	bool lossy;
	unsigned long **leaves;
	unsigned long nr_pages;
	atomic_long_t nr_live;
};

/** An empty view of @space, in its list, with a reference for that; NULL when out of memory. */
struct view *view_create(struct arena_space *space, struct mm_struct *mm);
/** Take it off the list, and drop the reference for that. */
void view_remove(struct view *view);
struct view *view_get(struct view *view);
/** With the last reference no slot holds a chunk any more. */
void view_put(struct view *view);

/** The view of @mm, or the only one, with a reference; or NULL. */
struct view *view_get_of(struct arena_space *space, struct mm_struct *mm);
/** The view that calls of the current process on @space mean, with a reference; or NULL. */
struct view *view_get_current(struct arena_space *space);
/** The next view of @space after the one with @id with kept slots, with a reference; or NULL. */
struct view *view_get_kept(struct arena_space *space, u64 id);

/** struct view_totals - of all views of a space, in slots */
struct view_totals {
	unsigned long nr_live;
	unsigned long nr_kept;
};

struct view_totals view_totals(struct arena_space *space);

/** The word of slot @i, or NULL while its leaf does not exist (then the slot is EMPTY). */
unsigned long *view_slot(struct view *view, unsigned long i);
/** Make the leaves of [@first, @end) exist. Caller holds @lock. 0 or -ENOMEM. */
int view_make_leaves(struct view *view, unsigned long first, unsigned long end);

/**
 * Apply a transition of slot.h atomically; false when it does not apply. The word before it is in
 * *@was.
 */
static __always_inline bool
view_slot_apply(unsigned long *slot, bool (*transition)(unsigned long *word), unsigned long *was)
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

/** The chunk in @slot with a reference, or NULL when there is none. Needs no lock. */
static __always_inline struct folio *view_slot_get_chunk(unsigned long *slot)
{
	unsigned long word;
	struct folio *chunk;

	for (;;) {
		word = READ_ONCE(*slot);
		if (!slot_is_held(word))
			return NULL;
		chunk = (struct folio *)slot_chunk(word);
		if (!folio_try_get(chunk))
			continue;
		if (slot_chunk(READ_ONCE(*slot)) == slot_chunk(word))
			return chunk;
		folio_put(chunk);
	}
}

#endif /* ARENA_VIEW_H */
