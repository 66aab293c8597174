/* SPDX-License-Identifier: GPL-2.0-only */
/* Looking at page tables, to see how a chunk is mapped. */
#ifndef ARENA_WALK_H
#define ARENA_WALK_H

struct mm_struct;

/** How the 2 MiB around an address are mapped. */
enum walk_result {
	WALK_NONE,	/* not at all */
	WALK_PAGES,	/* by a table of single pages, some of which may be absent */
	WALK_PMD,	/* by one PMD */
};

/**
 * How @addr is mapped in @mm. Caller holds its mmap lock, which keeps the tables in place; the
 * answer may be old when it arrives.
 */
enum walk_result walk_pmd(struct mm_struct *mm, unsigned long addr);

#endif /* ARENA_WALK_H */
