/* SPDX-License-Identifier: GPL-2.0-only */
/* Filling slots with chunks. */
#ifndef ARENA_RESERVE_H
#define ARENA_RESERVE_H

#include <linux/gfp.h>
#include <linux/types.h>

struct arena_space;

/** struct reserved - what a reservation found, in chunks */
struct reserved {
	u64 fresh_chunks;
	u64 kept_chunks;
};

/**
 * Make every slot of [@first, @end) hold a chunk; with @clear, new ones are zeroed now. All or
 * nothing. Costs the number of new chunks; constant when there are none. May sleep. 0, -ENOMEM (a
 * cap, or no memory), -EINTR (fatal signal), -ENODEV (the space is gone).
 */
int space_reserve(struct arena_space *space, unsigned long first, unsigned long end, bool clear,
		  gfp_t gfp, struct reserved *reserved);

#endif /* ARENA_RESERVE_H */
