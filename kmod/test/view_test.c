// SPDX-License-Identifier: GPL-2.0-only
/*
 * Views that share a chunk, enumerated; what the walk does is in share_walk.h.
 */
#include <kunit/test.h>

#include "share_walk.h"
#include "suites.h"

static void view_test_sequences(struct kunit *test)
{
	struct share_walk walk = {};

	share_walk(&walk, share_walk_start(), SHARE_WALK_DEPTH);
	KUNIT_EXPECT_EQ(test, walk.nr_events, SHARE_WALK_EVENTS);
	KUNIT_EXPECT_EQ(test, walk.nr_leaks, 0UL);
	KUNIT_EXPECT_EQ(test, walk.nr_timid, 0UL);
	KUNIT_EXPECT_EQ(test, walk.nr_wrong, 0UL);
}

static void view_test_uncleared(struct kunit *test)
{
	unsigned long word = share_first(true);

	KUNIT_EXPECT_TRUE(test, share_is_uncleared(word) && share_is_exclusive(word));
	KUNIT_EXPECT_TRUE(test, share_add(&word, 0) && share_is_uncleared(word));
	word = share_clear(word);
	KUNIT_EXPECT_FALSE(test, share_is_uncleared(word));
	KUNIT_EXPECT_EQ(test, share_slots(word), 2UL);
}

static struct kunit_case view_cases[] = {
	KUNIT_CASE(view_test_sequences),
	KUNIT_CASE(view_test_uncleared),
	{}
};

struct kunit_suite view_suite = {
	.name = "arena-view",
	.test_cases = view_cases,
};
