// SPDX-License-Identifier: MIT
/*
 * Which node a chunk comes from, against a naive reference, for every machine of four nodes: each mode, set
 * of nodes asked for, set allowed, home, caller's node and a few slots. Distances are those of a ring,
 * so that ties occur.
 */
#include "kmod/place.h"
#include "tests/harness.h"

#define NODES 4
#define SETS (1U << NODES)
#define SLOTS 9

static int ring_distance(int from, int to)
{
	int d = from < to ? to - from : from - to;

	return 10 + (d > NODES / 2 ? NODES - d : d);
}

static bool has(u64 set, int nid)
{
	return set >> nid & 1;
}

/* All nodes of @set from the nearest to @near on, appended to @order. */
static int order_append(u64 set, int near, int *order, int nr)
{
	for (int distance = 10; distance <= 10 + NODES; distance++)
		for (int nid = 0; nid < NODES; nid++)
			if (has(set, nid) && ring_distance(near, nid) == distance)
				order[nr++] = nid;
	return nr;
}

static int interleave_target(u64 set, unsigned long slot)
{
	int ring[NODES], nr = 0;

	for (int nid = 0; nid < NODES; nid++)
		if (has(set, nid))
			ring[nr++] = nid;
	return ring[slot % (unsigned long)nr];
}

static int reference_order(const struct place_policy *policy, u64 allowed, unsigned long slot, int local, int *order)
{
	int near = policy->home < 0 ? local : policy->home, nr;
	u64 wanted = policy->nodes & allowed;

	switch (policy->mode) {
	case PLACE_LOCAL:
		return order_append(allowed, near, order, 0);
	case PLACE_BIND:
		return order_append(wanted, near, order, 0);
	case PLACE_INTERLEAVE:
		if (!wanted)
			return order_append(allowed, near, order, 0);
		near = interleave_target(wanted, slot);
		return order_append(allowed, near, order, 0);
	case PLACE_PREFER:
		break;
	}
	nr = order_append(wanted, near, order, 0);
	return order_append(allowed & ~wanted, near, order, nr);
}

static void check_one(const struct place_policy *policy, u64 allowed, unsigned long slot, int local)
{
	struct placement place = place_slot(policy, allowed, slot, local);
	int order[NODES], nr = reference_order(policy, allowed, slot, local, order);
	u64 tried = 0;

	CHECK(!(place.first & place.rest));
	for (int i = 0; i < nr; i++) {
		int nid = place_next(&place, tried, ring_distance);

		CHECK_EQ(nid, order[i]);
		tried |= 1ULL << nid;
	}
	CHECK_EQ(place_next(&place, tried, ring_distance), -1);
	CHECK_EQ(place.first | place.rest, tried);
}

static size_t check_policy(const struct place_policy *policy)
{
	size_t nr = 0;

	for (u64 allowed = 0; allowed < SETS; allowed++)
		for (int local = 0; local < NODES; local++)
			for (unsigned long slot = 0; slot < SLOTS; slot++, nr++)
				check_one(policy, allowed, slot, local);
	return nr;
}

TEST(enumerated, "place/every machine of four nodes")
{
	size_t nr = 0;

	for (int mode = PLACE_LOCAL; mode <= PLACE_INTERLEAVE; mode++) {
		for (int home = -1; home < NODES; home++) {
			for (u64 nodes = 0; nodes < SETS; nodes++) {
				struct place_policy policy = { (enum place_mode)mode, home, nodes };

				nr += check_policy(&policy);
			}
		}
	}
	CHECK_EQ(nr, (size_t)4 * 5 * SETS * SETS * NODES * SLOTS);
}

/* The last bit of the word is a node like any other. */
TEST(highest, "place/the highest node is like any other")
{
	struct place_policy policy = { PLACE_BIND, -1, 1ULL << 63 };
	struct placement place = place_slot(&policy, ~0ULL, 7, 3);

	CHECK_EQ(place_next(&place, 0, ring_distance), 63);
	CHECK_EQ(place_next(&place, 1ULL << 63, ring_distance), -1);
	policy.mode = PLACE_INTERLEAVE;
	policy.nodes = 1ULL << 63 | 1;
	CHECK_EQ(place_slot(&policy, ~0ULL, 7, 3).near, 63);
	CHECK_EQ(place_slot(&policy, ~0ULL, 8, 3).near, 0);
}
