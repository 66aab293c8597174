// SPDX-License-Identifier: MIT
/*
 * Finding goes down from the roots. At each level it walks the entries in order and keeps the free run that reaches up to the one looked
 * at; when run and entry together are long enough the answer begins in the run, which may span any number of entries. When an
 * entry's own longest run is enough the search goes on among its children.
 */
#include "tree.h"

#include "panic.h"

static size_t level_leaves_shift(unsigned int level)
{
	return (TREE_LEVELS - 1 - level) * TREE_FANOUT_SHIFT;
}

/* Pages that one entry of a level stands for. */
static size_t level_pages(unsigned int level)
{
	return (size_t)BITS_PER_LEAF << level_leaves_shift(level);
}

static size_t level_used(size_t nr_leaves, unsigned int level)
{
	size_t shift = level_leaves_shift(level);

	return (nr_leaves + ((size_t)1 << shift) - 1) >> shift;
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
					 (unsigned int)level_pages(level + 1));

		changed |= tree->level[level][i] != sum;
		tree->level[level][i] = sum;
	}
	return changed;
}

void tree_update(struct tree *tree, size_t first, size_t nr)
{
	size_t last = first + nr - 1;
	bool changed = true;

	check(nr && first < tree->nr_leaves && nr <= tree->nr_leaves - first);
	for (size_t i = first; i <= last; i++)
		tree->level[TREE_LEVELS - 1][i] = sum_pack(bits_runs(&tree->leaves[i]));
	for (unsigned int level = TREE_LEVELS - 1; level-- && changed;)
		changed = merge_level(tree, level, &first, &last);
}

void tree_freed(struct tree *tree, size_t page, size_t nr_pages)
{
	size_t first = page / BITS_PER_LEAF, last = (page + nr_pages - 1) / BITS_PER_LEAF;

	tree_update(tree, first, last - first + 1);
	if (page < tree->first_free)
		tree->first_free = page;
}

/* What a walk over the entries of one level came to. */
struct walk {
	size_t page;	/* the answer, TREE_NONE included, or where the entry begins whose children hold it */
	bool descend;
};

/* Entries [at, end) of @level: a run that spans entries, or the first entry that holds one. */
static struct walk walk_level(const struct tree *tree, unsigned int level, size_t at, size_t end, size_t nr_pages)
{
	size_t pages = level_pages(level), run = 0;

	for (; at < end; at++) {
		uint64_t sum = tree->level[level][at];

		if (!sum) {
			run = 0;
			continue;
		}
		if (run + sum_start(sum) >= nr_pages)
			return (struct walk){ .page = at * pages - run };
		if (sum_max(sum) >= nr_pages)
			return (struct walk){ .page = at * pages, .descend = true };
		run = sum_start(sum) == pages ? run + pages : sum_end(sum);
	}
	return (struct walk){ .page = TREE_NONE };
}

static size_t search(const struct tree *tree, size_t nr_pages)
{
	size_t at = tree->first_free / level_pages(0), end = level_used(tree->nr_leaves, 0);

	for (unsigned int level = 0; level < TREE_LEVELS; level++) {
		struct walk walk = walk_level(tree, level, at, end, nr_pages);

		if (!walk.descend)
			return walk.page;
		if (level == TREE_LEVELS - 1)
			return walk.page + bits_find(&tree->leaves[walk.page / BITS_PER_LEAF],
						     (unsigned int)nr_pages, 0);
		at = walk.page / level_pages(level + 1);
		end = at + TREE_FANOUT;
	}
	return TREE_NONE;
}

size_t tree_find(struct tree *tree, size_t nr_pages)
{
	size_t page;

	check(nr_pages);
	page = search(tree, nr_pages);
	/* A single page is the first that is free at all; a longer run says nothing about what is below it. */
	if (nr_pages == 1)
		tree->first_free = page == TREE_NONE ? tree->nr_leaves * BITS_PER_LEAF : page;
	return page;
}
