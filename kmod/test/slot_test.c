// SPDX-License-Identifier: GPL-2.0-only
/*
 * The slot machine, enumerated; what the walk does is in slot_walk.h.
 */
#include <kunit/test.h>

#include "slot_walk.h"
#include "suites.h"

static void slot_test_sequences(struct kunit *test)
{
	struct slot_walk walk = {};

	slot_walk(&walk, 0, (struct slot_model){}, SLOT_WALK_DEPTH);
	KUNIT_EXPECT_EQ(test, walk.nr_events, SLOT_WALK_EVENTS);
	KUNIT_EXPECT_EQ_MSG(test, walk.nr_wrong, 0UL, "first: event %d led to %lx",
			    walk.wrong_event, walk.wrong_word);
}

static void slot_test_misfits(struct kunit *test)
{
	unsigned long word = 0, flag;

	KUNIT_EXPECT_FALSE(test, slot_fill(&word, 0, false));
	for (flag = 1; flag <= SLOT_FLAGS; flag++)
		KUNIT_EXPECT_FALSE(test, slot_fill(&word, SLOT_CHUNK_A | flag, false));
	KUNIT_EXPECT_EQ(test, word, 0UL);
}

static struct kunit_case slot_cases[] = {
	KUNIT_CASE(slot_test_sequences),
	KUNIT_CASE(slot_test_misfits),
	{}
};

struct kunit_suite slot_suite = {
	.name = "arena-slot",
	.test_cases = slot_cases,
};
