/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Giving slots back: keep (contents discardable), zap (unmapped, revoked, emptied), discard (of
 * what was kept).
 */
#ifndef ARENA_RECLAIM_H
#define ARENA_RECLAIM_H

#include <linux/types.h>

struct arena_space;

/** struct reclaimed - in chunks */
struct reclaimed {
	u64 nr_chunks;
	u64 nr_quarantined;
};

/** Constant in chunks. 0, -ENXIO when a slot is not reserved, -ENOMEM, -EINTR. */
int space_keep(struct arena_space *space, unsigned long first, unsigned long end,
	       struct reclaimed *reclaimed);
/** Linear in reserved chunks; one call into the core and one flush. 0, -ENOMEM, -EINTR. */
int space_zap(struct arena_space *space, unsigned long first, unsigned long end,
	      struct reclaimed *reclaimed);
/**
 * Give up to @max kept chunks of all spaces to the system, oldest first within a space. Returns
 * how many.
 */
unsigned long discard_kept(unsigned long max);
unsigned long discarded_chunks(void);
/**
 * The end of a space: everything goes, nothing may come. For the inode's eviction: no mapping is
 * left.
 */
void space_kill(struct arena_space *space);

#endif /* ARENA_RECLAIM_H */
