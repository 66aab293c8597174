// SPDX-License-Identifier: MIT
/*
 * Who may share a chunk and who may write to it, which is plain functions on a plain word, against a model that
 * knows whose every reference is. The same walk runs in the kernel as a KUnit test (kmod/test/view_test.c); here it
 * runs under the sanitizers.
 */
#include "kmod/test/share_walk.h"
#include "tests/harness.h"

TEST(sequences, "share/every sequence of eight events among three processes")
{
	struct share_walk walk = { 0 };

	share_walk(&walk, share_walk_start(), SHARE_WALK_DEPTH);
	CHECK_EQ(walk.nr_events, SHARE_WALK_EVENTS);
	CHECK_EQ(walk.nr_leaks, 0);
	CHECK_EQ(walk.nr_timid, 0);
	CHECK_EQ(walk.nr_wrong, 0);
	CHECK(walk.nr_in_place && walk.nr_copies);
}

TEST(uncleared, "share/uncleared until one has zeroed it for all")
{
	unsigned long word = share_first(true);

	CHECK(share_is_uncleared(word) && share_is_exclusive(word));
	CHECK(share_add(&word, 0) && share_is_uncleared(word));
	word = share_clear(word);
	CHECK(!share_is_uncleared(word));
	CHECK_EQ(share_slots(word), 2);
}

TEST(misfits, "share/a chunk in no slot is not shared and not left")
{
	unsigned long word = 0;

	CHECK(!share_add(&word, 0) && !share_remove(&word) && !share_own(&word, 0));
	CHECK_EQ(word, 0);
}
