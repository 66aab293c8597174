/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which nodes a chunk may come from, and in which order: plain functions on plain data. Where
 * policies and limits are read from is placer.c's business, and a host test enumerates small
 * machines (tests/unit/place.c).
 *
 * Sets of nodes are words: bit N is node N. Nodes above 63 are never chosen.
 */
#ifndef ARENA_PLACE_H
#define ARENA_PLACE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdint.h>
typedef uint64_t u64;
#endif

#define PLACE_NODES 64

enum place_mode {
	PLACE_LOCAL,		/* the nearest node */
	PLACE_PREFER,		/* these nodes if they have memory, else others */
	PLACE_BIND,		/* these nodes and no others */
	PLACE_INTERLEAVE,	/* these nodes in turn, by slot, else others */
};

/**
 * struct place_policy - what was asked for
 * @mode: how @nodes are meant
 * @home: the node to be near to, or -1 for where the caller runs
 * @nodes: not for PLACE_LOCAL
 */
struct place_policy {
	enum place_mode mode;
	int home;
	u64 nodes;
};

/**
 * struct placement - nodes for one chunk; @first and @rest are disjoint
 * @first: these, the nearest to @near before the others
 * @rest: then these in the same order; none when the policy is strict
 * @near: need not be in either
 */
struct placement {
	u64 first;
	u64 rest;
	int near;
};

/** Node number @i (from 0) of @nodes, taken as a ring; @nodes is not empty. */
static inline int place_nth(u64 nodes, unsigned long i)
{
	u64 left = nodes, nr = 0;

	for (; left; left &= left - 1)
		nr++;
	for (i %= nr; i; i--)
		nodes &= nodes - 1;
	return __builtin_ctzll(nodes);
}

/**
 * The placement of slot @slot for somebody who runs near node @local and may use @allowed. With
 * nothing left to use both sets are empty.
 */
static inline struct placement place_slot(const struct place_policy *policy, u64 allowed,
					  unsigned long slot, int local)
{
	struct placement place = { .first = policy->nodes & allowed, .near = local };

	if (policy->home >= 0)
		place.near = policy->home;
	if (policy->mode == PLACE_BIND)
		return place;
	if (policy->mode == PLACE_LOCAL)
		place.first = allowed;
	if (policy->mode == PLACE_INTERLEAVE && place.first) {
		place.near = place_nth(place.first, slot);
		place.first = 1ULL << place.near;
	}
	place.rest = allowed & ~place.first;
	return place;
}

static inline int place_nearest(u64 nodes, int near, int (*distance)(int from, int to))
{
	int best = -1, nid;

	for (; nodes; nodes &= nodes - 1) {
		nid = __builtin_ctzll(nodes);
		if (nid == near)
			return nid;
		if (best < 0 || distance(near, nid) < distance(near, best))
			best = nid;
	}
	return best;
}

/** The node to try when those in @tried had nothing; -1 at the end. */
static inline int place_next(const struct placement *place, u64 tried,
			     int (*distance)(int from, int to))
{
	int nid = place_nearest(place->first & ~tried, place->near, distance);

	return nid < 0 ? place_nearest(place->rest & ~tried, place->near, distance) : nid;
}

#endif /* ARENA_PLACE_H */
