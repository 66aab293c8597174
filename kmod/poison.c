// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core handles errors in the memory of processes and of the page cache. A chunk is neither to
 * it: it marks the one page as bad, and, on one of its two ways only, the folio too. So the
 * pages themselves must be asked. To keep that off every path on machines without memory errors,
 * the node's count of them is asked first.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/mm.h>
#include <linux/page-flags.h>

#include "compat.h"
#include "poison.h"

static atomic_long_t nr_poisoned;

#ifdef CONFIG_MEMORY_FAILURE
static bool chunk_has_bad_page(struct folio *chunk)
{
	long i;

	for (i = 0; i < folio_nr_pages(chunk); i++)
		if (PageHWPoison(folio_page(chunk, i)))
			return true;
	return false;
}

bool chunk_is_poisoned(struct folio *chunk)
{
	if (folio_test_has_hwpoisoned(chunk))
		return true;
	if (!compat_node_had_memory_failure(folio_nid(chunk)) || !chunk_has_bad_page(chunk))
		return false;
	folio_set_has_hwpoisoned(chunk);
	return true;
}
#else
bool chunk_is_poisoned(struct folio *chunk)
{
	return false;
}
#endif

void chunk_retire(struct folio *chunk)
{
	atomic_long_inc(&nr_poisoned);
	pr_warn("a chunk with a memory error on node %d is out of use\n", folio_nid(chunk));
}

unsigned long poisoned_chunks(void)
{
	return atomic_long_read(&nr_poisoned);
}
