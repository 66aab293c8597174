// SPDX-License-Identifier: MIT
/*
 * The module's slot machine, which is plain functions on a plain word, against a naive reference:
 * every sequence of six events from every state that can be reached. The same walk runs in the kernel
 * as a KUnit test (kmod/test/slot_test.c); here it runs under the sanitizers.
 */
#include "kmod/test/slot_walk.h"
#include "tests/harness.h"

TEST(sequences, "slot/every sequence of six events")
{
	struct slot_walk walk = { 0 };

	slot_walk(&walk, 0, (struct slot_model){ 0 }, SLOT_WALK_DEPTH);
	CHECK_EQ(walk.nr_events, SLOT_WALK_EVENTS);
	CHECK_EQ(walk.nr_wrong, 0);
	CHECK_EQ(walk.wrong_event, 0);
	CHECK_EQ(walk.wrong_word, 0);
}

TEST(misfits, "slot/a chunk that is none is refused")
{
	unsigned long word = 0;

	CHECK(!slot_fill(&word, 0, false));
	for (unsigned long flag = 1; flag <= SLOT_FLAGS; flag++)
		CHECK(!slot_fill(&word, SLOT_CHUNK_A | flag, false));
	CHECK_EQ(word, 0);
}
