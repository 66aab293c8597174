// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lists of idle chunks, enumerated; what the walk does is in idle_walk.h.
 */
#include <kunit/test.h>
#include <linux/sched.h>

#include "idle_walk.h"
#include "suites.h"

static struct idle_walk *walk_make(struct kunit *test)
{
	struct idle_walk *walk = kunit_kzalloc(test, sizeof(*walk), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, walk);
	return walk;
}

static void idle_test_sequences(struct kunit *test)
{
	struct idle_walk *walk = walk_make(test);
	unsigned int sequence;

	for (sequence = 0; sequence < IDLE_WALK_SEQUENCES; sequence++) {
		idle_walk_sequence(walk, sequence);
		cond_resched();
	}
	KUNIT_EXPECT_EQ(test, walk->nr_events, IDLE_WALK_EVENTS);
	KUNIT_EXPECT_EQ(test, walk->nr_wrong, 0UL);
}

static void idle_test_window(struct kunit *test)
{
	struct idle_walk *walk = walk_make(test);

	KUNIT_EXPECT_EQ(test, idle_walk_window(walk, true), 0UL);
	KUNIT_EXPECT_EQ(test, idle_walk_window(walk, false), 0UL);
}

static void idle_test_surplus(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, idle_walk_surplus(), 0UL);
}

static struct kunit_case idle_cases[] = {
	KUNIT_CASE(idle_test_sequences),
	KUNIT_CASE(idle_test_window),
	KUNIT_CASE(idle_test_surplus),
	{}
};

struct kunit_suite idle_suite = {
	.name = "arena-idle",
	.test_cases = idle_cases,
};
