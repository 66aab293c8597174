/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Giving slots back: keep (contents discardable), zap (unmapped, revoked, emptied), discard (of
 * what was kept).
 */
#ifndef ARENA_RECLAIM_H
#define ARENA_RECLAIM_H

#include <linux/types.h>

struct arena_space;
struct view;
struct pool_group;

/** struct reclaimed - in chunks */
struct reclaimed {
	u64 nr_chunks;
	u64 nr_quarantined;
};

/** Constant in chunks. 0, -ENXIO when a slot is not reserved, -ENOMEM, -EINTR. */
int view_keep(struct view *view, unsigned long first, unsigned long end,
	      struct reclaimed *reclaimed);
/** Linear in reserved chunks; one call into the core and one flush. 0, -ENOMEM, -EINTR. */
int view_zap(struct view *view, unsigned long first, unsigned long end,
	     struct reclaimed *reclaimed);
/** The same for the current process's view of @space; -ENXIO when it has none. */
int space_keep(struct arena_space *space, unsigned long first, unsigned long end,
	       struct reclaimed *reclaimed);
int space_zap(struct arena_space *space, unsigned long first, unsigned long end,
	      struct reclaimed *reclaimed);
/**
 * Give up to @max kept chunks of the spaces of @group (NULL: of all) to the system, oldest first
 * within a space; no more than were kept at first, and nothing after a fatal signal. Returns how
 * many. With @busy it waits for no view that somebody works in: it skips that one and sets
 * *@busy.
 */
unsigned long discard_kept(struct pool_group *group, unsigned long max, bool *busy);
/** Kept chunks that lost their slots, ever. */
unsigned long discarded_chunks(void);
/** Those of them that went to the system: not what somebody else still refers to or shares. */
unsigned long freed_chunks(void);
/** Every slot goes, and none may come. No mapping of the view is left. */
void view_kill(struct view *view);
/** Every slot goes. No mapping of the view is left. */
void view_clear(struct view *view);

#endif /* ARENA_RECLAIM_H */
