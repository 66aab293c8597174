// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs are found, not made: chunks are taken until enough of them happen to lie side by side, then
 * the others go back. The page allocator hands out neighbors as long as it has larger free blocks,
 * so on a machine that is not fragmented the first chunks already are a run.
 *
 * Nothing is moved for a run. All chunks that the search holds count against the caps of the user
 * and the limit of the memory cgroup, so it cannot take more than its caller might.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "charge.h"
#include "placer.h"
#include "pool.h"
#include "run.h"
#include "space.h"

/**
 * struct run_search - the chunks at hand on one node
 * @space: for whom
 * @found: sorted by address
 * @nr_found: of those
 * @nr_charged: beyond what the caller has charged
 * @nr_wanted: length of the run
 * @step: how many to take at a time
 */
struct run_search {
	struct arena_space *space;
	struct folio **found;
	unsigned long nr_found;
	unsigned long nr_charged;
	unsigned long nr_wanted;
	unsigned long step;
};

/* How many chunks may be looked at for a run of @nr: enough to skip a few that are in use. */
static unsigned long run_most_chunks(unsigned long nr)
{
	return 2 * nr + 64;
}

static int chunk_compare(const void *a, const void *b)
{
	unsigned long left = folio_pfn(*(struct folio **)a), right = folio_pfn(*(struct folio **)b);

	return left < right ? -1 : left > right;
}

/* Index of the first chunk of a run, or -1. */
static long run_find(struct run_search *search)
{
	unsigned long i, length = 0;

	for (i = 0; i < search->nr_found; i++) {
		if (length && folio_pfn(search->found[i]) ==
				      folio_pfn(search->found[i - 1]) + CHUNK_PAGES)
			length++;
		else
			length = 1;
		if (length == search->nr_wanted)
			return i + 1 - length;
	}
	return -1;
}

/* @nr more chunks from node @nid. */
static int run_collect(struct run_search *search, int nid, unsigned long nr, gfp_t gfp)
{
	struct placement place = { .first = 1ULL << nid, .near = nid };
	struct folio *chunk, *next;
	LIST_HEAD(chunks);
	int err = pool_take(search->space->group, &place, &chunks, nr, gfp);

	if (err)
		return err;
	list_for_each_entry_safe(chunk, next, &chunks, lru) {
		list_del(&chunk->lru);
		search->found[search->nr_found++] = chunk;
	}
	sort(search->found, search->nr_found, sizeof(*search->found), chunk_compare, NULL);
	return 0;
}

/* @nr more than the caller has charged: they are charged here. */
static int run_collect_charged(struct run_search *search, int nid, unsigned long nr, gfp_t gfp)
{
	int err = charge_chunks(search->space->user, nr);

	if (err)
		return err;
	err = run_collect(search, nid, nr, gfp);
	if (err)
		uncharge_chunks(search->space->user, nr);
	else
		search->nr_charged += nr;
	return err;
}

/* As many again, in steps, as may be looked at; near a limit in ever smaller ones, up to it. */
static int run_collect_more(struct run_search *search, int nid, gfp_t gfp)
{
	unsigned long most = run_most_chunks(search->nr_wanted), nr;
	int err;

	for (;;) {
		nr = min(search->step, most - search->nr_found);
		err = nr ? run_collect_charged(search, nid, nr, gfp) : -ENOMEM;
		if (!nr || err != -ENOMEM)
			return err;
		search->step = nr / 2;
	}
}

/* All that is at hand but the run of @first goes back; the run goes to @chunks. */
static void run_settle(struct run_search *search, long first, struct list_head *chunks)
{
	unsigned long i;
	LIST_HEAD(rest);

	for (i = 0; i < search->nr_found; i++) {
		if (first >= 0 && i - first < search->nr_wanted)
			list_add_tail(&search->found[i]->lru, chunks);
		else
			list_add_tail(&search->found[i]->lru, &rest);
	}
	pool_give(search->space->group, &rest);
	if (search->nr_charged)
		uncharge_chunks(search->space->user, search->nr_charged);
	search->nr_found = 0;
	search->nr_charged = 0;
}

static int run_take_node(struct run_search *search, int nid, struct list_head *chunks, gfp_t gfp)
{
	int err = run_collect(search, nid, search->nr_wanted, gfp);
	long first = -1;

	search->step = max(search->nr_wanted / 4, 8UL);
	while (!err) {
		first = run_find(search);
		if (first >= 0)
			break;
		/* Somebody else's memory is not pushed out for what may not help. */
		err = run_collect_more(search, nid, (gfp & ~__GFP_RETRY_MAYFAIL) | __GFP_NORETRY);
	}
	run_settle(search, first, chunks);
	return err;
}

int run_take(struct arena_space *space, const struct placement *place, struct list_head *chunks,
	     unsigned long nr, gfp_t gfp)
{
	struct run_search search = { .space = space, .nr_wanted = nr };
	int nid, err = -ENOMEM;
	u64 tried = 0;

	search.found = kvmalloc_array(run_most_chunks(nr), sizeof(*search.found),
				      GFP_KERNEL_ACCOUNT);
	if (!search.found)
		return -ENOMEM;
	while (err == -ENOMEM && (nid = place_next(place, tried, placer_distance)) >= 0) {
		tried |= 1ULL << nid;
		err = run_take_node(&search, nid, chunks, gfp);
	}
	kvfree(search.found);
	return err == -ENOMEM ? -ENOSPC : err;
}
