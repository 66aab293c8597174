// SPDX-License-Identifier: MIT
/*
 * The module's lists of idle chunks, against a model that is an array in the order of arrival. The same walk
 * runs in the kernel as a KUnit test (kmod/test/idle_test.c); here it runs under the sanitizers. What needs locks, real
 * memory or the clearing threads is in kmod/test/pool_test.c.
 */
#include "kmod/test/idle_walk.h"
#include "tests/harness.h"

TEST(sequences, "pool/every sequence of six events")
{
	struct idle_walk walk = { 0 };
	unsigned int sequence;

	for (sequence = 0; sequence < IDLE_WALK_SEQUENCES; sequence++)
		idle_walk_sequence(&walk, sequence);
	CHECK_EQ(walk.nr_events, IDLE_WALK_EVENTS);
	CHECK_EQ(walk.nr_wrong, 0);
}

TEST(window, "pool/the highest of those that have been idle for longest goes first")
{
	struct idle_walk walk = { 0 };

	CHECK_EQ(idle_walk_window(&walk, true), 0);
	CHECK_EQ(idle_walk_window(&walk, false), 0);
}

TEST(surplus, "pool/what is too much goes, and no more than one has")
{
	CHECK_EQ(idle_walk_surplus(), 0);
}
