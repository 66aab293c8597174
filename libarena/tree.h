/* SPDX-License-Identifier: MIT */
/*
 * A radix tree of summaries over a row of leaves: where the first run of so many free pages is, without looking at leaves
 * that have none. Pages and leaves are numbers here; what they are the caller knows. The caller's lock guards the tree.
 *
 *	level 0    one summary for 2^21 pages (8 GiB), at most TREE_ROOTS of them
 *	levels 1-3 eight children each: one cache line
 *	level 4    one summary for a leaf of 512 pages
 *
 * Finding is O(TREE_ROOTS + 8 * levels) in the worst case, and mostly a few loads, because nothing is free below a hint that rises
 * with each first fit and falls with each free. Changing a leaf costs one merge of eight words a level. The design is
 * that of Go's page allocator (M. Knyszek, proposal 35112).
 */
#ifndef LIBARENA_TREE_H
#define LIBARENA_TREE_H

#include "sums.h"

#define TREE_LEVELS 5
#define TREE_FANOUT_SHIFT 3
#define TREE_FANOUT (1u << TREE_FANOUT_SHIFT)
#define TREE_ROOTS 128
#define TREE_LEAVES ((size_t)TREE_ROOTS << (TREE_LEVELS - 1) * TREE_FANOUT_SHIFT)
#define TREE_NONE SIZE_MAX

/** struct tree - levels of summaries; all zeros means that everything is in use */
struct tree {
	uint64_t *level[TREE_LEVELS];	/* tree_level_entries() words each, zeroed, from the caller */
	const struct bits *leaves;	/* nr_leaves of them */
	size_t nr_leaves;
	size_t first_free;		/* no page below is free */
};

/** Words that level @level of a tree over @nr_leaves needs: whole groups of children, so that merging reads no other's. */
size_t tree_level_entries(size_t nr_leaves, unsigned int level);

/** Leaves [@first, @first + @nr) have changed: O(@nr + levels). */
void tree_update(struct tree *tree, size_t first, size_t nr);
/** The same, and pages from @page on were freed: the hint falls. */
void tree_freed(struct tree *tree, size_t page, size_t nr_pages);
/** The lowest page where @nr_pages free ones begin; TREE_NONE when there is none. The caller marks them and calls tree_update(). */
size_t tree_find(struct tree *tree, size_t nr_pages);

#endif /* LIBARENA_TREE_H */
