/* SPDX-License-Identifier: GPL-2.0-only */
/* Filling slots with chunks. */
#ifndef ARENA_RESERVE_H
#define ARENA_RESERVE_H

#include <linux/gfp.h>
#include <linux/types.h>

struct arena_space;
struct placer;
struct view;

/** struct reserved - what a reservation found, in chunks */
struct reserved {
	u64 fresh_chunks;
	u64 kept_chunks;
};

/**
 * Make every slot of [@first, @end) hold a chunk, from where @placer says; with @clear, new ones
 * are zeroed now. All or nothing. Costs the number of new chunks; constant when there are none. May
 * sleep. 0, -ENOMEM (a cap, or no memory), -EINTR (fatal signal), -ENODEV (the space is gone),
 * -ENXIO (the view is); for a run also -EBUSY (a slot is reserved) and -ENOSPC.
 */
int view_reserve(struct view *view, unsigned long first, unsigned long end, bool clear, gfp_t gfp,
		 struct placer *placer, struct reserved *reserved);

/**
 * Have chunks made ready in the background for the slots of [@first, @end) that hold none, where
 * @placer says. 0 or -EINTR.
 */
int view_reserve_ahead(struct view *view, unsigned long first, unsigned long end,
		       struct placer *placer);

/** The same for the current process's view of @space; -ENXIO when it has none. */
int space_reserve(struct arena_space *space, unsigned long first, unsigned long end, bool clear,
		  gfp_t gfp, struct placer *placer, struct reserved *reserved);
int space_reserve_ahead(struct arena_space *space, unsigned long first, unsigned long end,
			struct placer *placer);

#endif /* ARENA_RESERVE_H */
