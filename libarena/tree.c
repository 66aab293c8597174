// SPDX-License-Identifier: MIT
/*
 * Finding is first fit. It walks entries in the order of addresses and keeps the free run that reaches up to the one looked at; when run
 * and entry together are long enough the answer begins in the run, which may span any number of entries. When an entry's own longest
 * run is enough the search goes on among its children, and behind the last of siblings among those of their parent.
 *
 * It begins where a run may begin at all. What was found last says so, for runs of that length and longer, until pages are freed below;
 * one such hint for all lengths would be lost each time that a short run is asked for, so there are a few.
 */
#include "tree.h"

#include "panic.h"

/* Each entry of a level stands for 2^shift pages. */
static unsigned int level_shift(unsigned int level)
{
	return BITS_LEAF_SHIFT + (TREE_LEVELS - 1 - level) * TREE_FANOUT_SHIFT;
}

static size_t level_used(size_t nr_leaves, unsigned int level)
{
	return (nr_leaves * BITS_PER_LEAF + ((size_t)1 << level_shift(level)) - 1) >> level_shift(level);
}

size_t tree_level_entries(size_t nr_leaves, unsigned int level)
{
	size_t nr = level_used(nr_leaves, level);

	return level ? align_up(nr, TREE_FANOUT) : nr;
}

/* The entries [*first, *last] of @level from those of the level below; true when one has changed. */
static bool merge_level(struct tree *tree, unsigned int level, size_t *first, size_t *last)
{
	bool changed = false;

	*first >>= TREE_FANOUT_SHIFT;
	*last >>= TREE_FANOUT_SHIFT;
	for (size_t i = *first; i <= *last; i++) {
		uint64_t sum = sum_merge(&tree->level[level + 1][i << TREE_FANOUT_SHIFT], TREE_FANOUT,
					 1u << level_shift(level + 1));

		changed |= tree->level[level][i] != sum;
		tree->level[level][i] = sum;
	}
	return changed;
}

/* Leaf @i has changed: up to the first entry that says the same as before. */
static inline void update_one(struct tree *tree, size_t i, bool is_freed)
{
	uint64_t sum = sum_pack(bits_runs(&tree->leaves[i]));
	unsigned int pages = BITS_PER_LEAF;

	for (unsigned int level = TREE_LEVELS - 1;; level--) {
		unsigned int at = i % TREE_FANOUT;
		uint64_t *row = &tree->level[level][i - at], old = row[at];

		row[at] = sum;
		if (sum == old || !level)
			return;
		i /= TREE_FANOUT;
		sum = tree->level[level - 1][i];
		sum = is_freed ? sum_grow(sum, row, TREE_FANOUT, pages, at) : sum_shrink(sum, row, TREE_FANOUT, pages);
		pages *= TREE_FANOUT;
	}
}

static void update_many(struct tree *tree, size_t first, size_t last)
{
	bool changed = true;

	for (size_t i = first; i <= last; i++)
		tree->level[TREE_LEVELS - 1][i] = sum_pack(bits_runs(&tree->leaves[i]));
	for (unsigned int level = TREE_LEVELS - 1; level-- && changed;)
		changed = merge_level(tree, level, &first, &last);
}

/* Leaves that were touched are looked at: before a search, and before one of them changes in a way that is known. */
static __attribute__((noinline)) void settle(struct tree *tree)
{
	for (unsigned int i = 0; i < tree->nr_touched; i++)
		update_many(tree, tree->touched[i], tree->touched[i]);
	tree->nr_touched = 0;
}

bool tree_is_touched(const struct tree *tree, size_t leaf)
{
	unsigned int i = 0;

	while (i < tree->nr_touched && tree->touched[i] != leaf)
		i++;
	return i < tree->nr_touched;
}

static inline void update(struct tree *tree, size_t page, size_t nr_pages, bool is_freed)
{
	size_t first = page / BITS_PER_LEAF, last = (page + nr_pages - 1) / BITS_PER_LEAF;

	check(first <= last && last < tree->nr_leaves);
	if (unlikely(tree->nr_touched))
		settle(tree);
	if (first == last)
		update_one(tree, first, is_freed);
	else
		update_many(tree, first, last);
}

void tree_used(struct tree *tree, size_t page, size_t nr_pages)
{
	update(tree, page, nr_pages, false);
}

void tree_freed(struct tree *tree, size_t page, size_t nr_pages)
{
	update(tree, page, nr_pages, true);
	tree->freed = size_min(tree->freed, page);
}

void tree_touch(struct tree *tree, size_t page, bool is_freed)
{
	size_t leaf = page / BITS_PER_LEAF;

	check(leaf < tree->nr_leaves);
	if (is_freed)
		tree->freed = size_min(tree->freed, page);
	if (tree_is_touched(tree, leaf))
		return;
	if (tree->nr_touched == TREE_TOUCHED)
		settle(tree);
	tree->touched[tree->nr_touched++] = leaf;
}

unsigned int tree_longest(struct tree *tree, size_t leaf)
{
	if (tree->nr_touched)
		settle(tree);
	return sum_max(tree->level[TREE_LEVELS - 1][leaf]);
}

/* The first fit from page @from on, which is in the tree, when no run so long begins below. Entries that have no leaves are in use. */
static size_t search(const struct tree *tree, size_t nr_pages, size_t from)
{
	unsigned int level = TREE_LEVELS - 2, shift = level_shift(level);
	/* The entry looked at, and the free pages directly below it. */
	size_t at = from >> shift, run = 0, page;

	for (;;) {
		uint64_t sum = tree->level[level][at];
		unsigned int max = sum_max(sum);

		if (run + sum_start(sum) >= nr_pages)
			return (at << shift) - run;
		if (max >= nr_pages) {
			if (level == TREE_LEVELS - 1)
				break;
			level++;
			shift -= TREE_FANOUT_SHIFT;
			at = size_max(at * TREE_FANOUT, from >> shift);
			continue;
		}
		/* The bit says that all of it is free. */
		run = max >> shift & 1 ? run + max : sum_end(sum);
		for (at++; level && at % TREE_FANOUT == 0; at /= TREE_FANOUT, shift += TREE_FANOUT_SHIFT)
			level--;
		if (!level && at == level_used(tree->nr_leaves, 0))
			return TREE_NONE;
	}
	page = at << shift;
	return page + bits_find(&tree->leaves[at], (unsigned int)nr_pages, from > page ? (unsigned int)(from - page) / BITS_PER_WORD : 0);
}

/* For runs of less than 16, 64 and 256 pages, and more. */
static struct tree_hint *hint_of(struct tree *tree, size_t nr_pages)
{
	unsigned int log2 = 63 - (unsigned int)__builtin_clzll(nr_pages | 8);

	return &tree->hints[size_min(log2 / 2 - 1, TREE_HINTS - 1)];
}

/* A run that became long enough begins at most so much below what was freed. */
static void lower_hints(struct tree *tree)
{
	for (struct tree_hint *hint = tree->hints; hint < tree->hints + TREE_HINTS; hint++)
		hint->page = size_min(hint->page, tree->freed - size_min(tree->freed, hint->nr_pages));
	tree->freed = SIZE_MAX;
}

size_t tree_find(struct tree *tree, size_t nr_pages)
{
	struct tree_hint *own = hint_of(tree, nr_pages), *hint = own;
	size_t from, page;

	check(nr_pages);
	if (unlikely(tree->nr_touched))
		settle(tree);
	if (tree->freed != SIZE_MAX)
		lower_hints(tree);
	/* Where no shorter run begins no longer one does. */
	while (hint->nr_pages > nr_pages && hint > tree->hints)
		hint--;
	from = hint->nr_pages <= nr_pages ? hint->page : 0;
	page = from < tree->nr_leaves * BITS_PER_LEAF ? search(tree, nr_pages, from) : TREE_NONE;
	*own = (struct tree_hint){ nr_pages, size_min(page, tree->nr_leaves * BITS_PER_LEAF) };
	return page;
}
