/* SPDX-License-Identifier: GPL-2.0-only */
/* Physically contiguous runs of chunks. */
#ifndef ARENA_RUN_H
#define ARENA_RUN_H

#include <linux/gfp.h>
#include <linux/list.h>

struct arena_space;
struct placement;

/* 1 GiB: what one entry of the next level of page tables maps. */
#define RUN_MAX_CHUNKS 512

/**
 * Take @nr (at most RUN_MAX_CHUNKS) chunks for @space, which are charged already, onto @chunks, by
 * rising address and without a gap, all from one node of @place. Best effort; what is looked at on
 * the way is charged meanwhile. 0, -ENOSPC (no such run was found), -ENOMEM (for the search
 * itself), or -EINTR on a fatal signal. Sleeps.
 */
int run_take(struct arena_space *space, const struct placement *place, struct list_head *chunks,
	     unsigned long nr, gfp_t gfp);

#endif /* ARENA_RUN_H */
