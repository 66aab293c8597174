/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory errors. A chunk with a bad page is never cleared, pooled or freed again: its last
 * reference is kept for ever, so nobody can get it.
 */
#ifndef ARENA_POISON_H
#define ARENA_POISON_H

#include <linux/mm.h>
#include <linux/types.h>

/**
 * Whether a memory error hit any page of @chunk. Costs one load while the chunk's node has had
 * none, else a look at every page until one is found; what was found is remembered in the folio,
 * so that the core maps the rest of it page by page.
 */
bool chunk_is_poisoned(struct folio *chunk);
/**
 * Whether a memory error hit @page of @chunk. Does not ask the node's count, which comes
 * milliseconds after the mark: the core acts on the mark, and takes the folio for a file's.
 */
static inline bool page_is_poisoned(struct folio *chunk, struct page *page)
{
	if (likely(!PageHWPoison(page)))
		return false;
	folio_set_has_hwpoisoned(chunk);
	return true;
}

/** Count @chunk as out of use; the caller's reference is never dropped. */
void chunk_retire(struct folio *chunk);
/** Chunks out of use since load. */
unsigned long poisoned_chunks(void);

#endif /* ARENA_POISON_H */
