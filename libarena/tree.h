/* SPDX-License-Identifier: MIT */
/*
 * A radix tree of summaries over a row of leaves: where the first run of so many free pages is, without looking at leaves
 * that have none. Pages and leaves are numbers here; what they are the caller knows. The caller's lock guards the tree.
 *
 *	level 0    one summary for 2^21 pages (8 GiB), at most TREE_ROOTS of them
 *	levels 1-3 eight children each: one cache line
 *	level 4    one summary for a leaf of 512 pages
 *
 * Finding is O(TREE_ROOTS + 8 * levels) in the worst case, and mostly some loads from two levels, because it begins where the last run of
 * about this length was found. Changing a leaf costs a few loads for each level up to the first that says the same as before. The
 * design is that of Go's page allocator (M. Knyszek, proposal 35112), but for the hints, and for what is not merged again.
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
#define TREE_HINTS 4 /* tree.c says of which lengths */
#define TREE_TOUCHED 8 /* more than a few threads use at a time; each is compared with at every touch */

/* No free run of @nr_pages or more begins below @page. */
struct tree_hint {
	size_t nr_pages, page;
};

/** struct tree - levels of summaries; all zeros means that everything is in use */
struct tree {
	uint64_t *level[TREE_LEVELS];	/* tree_level_entries() words each, zeroed, from the caller */
	const struct bits *leaves;	/* nr_leaves of them */
	size_t nr_leaves;
	struct tree_hint hints[TREE_HINTS];	/* what was found last, by length, but for what was freed since then */
	size_t freed;			/* from here on */
	size_t touched[TREE_TOUCHED];	/* leaves whose summaries are of before they were touched */
	unsigned int nr_touched;
};

/** Words that level @level of a tree over @nr_leaves needs: whole groups of children, so that merging reads no other's. */
size_t tree_level_entries(size_t nr_leaves, unsigned int level);

/** Pages of [@page, @page + @nr_pages), which are some leaves, are in use now that were free: O(leaves + levels). */
void tree_used(struct tree *tree, size_t page, size_t nr_pages);
/** Pages of them are free now that were in use. */
void tree_freed(struct tree *tree, size_t page, size_t nr_pages);
/**
 * Pages of one leaf, none below @page, were freed or used: the summaries learn of it when somebody asks next. A few instructions where no search looks at
 * what comes and goes. For any change of a leaf, also some of both kinds.
 */
void tree_touch(struct tree *tree, size_t page, bool is_freed);
/** Whether the summaries of a leaf are still those of before. */
bool tree_is_touched(const struct tree *tree, size_t leaf);
/** Pages of the longest free run in a leaf. */
unsigned int tree_longest(struct tree *tree, size_t leaf);
/** The lowest page where @nr_pages free ones begin; TREE_NONE when there is none. The caller marks them and calls tree_used(). */
size_t tree_find(struct tree *tree, size_t nr_pages);

#endif /* LIBARENA_TREE_H */
