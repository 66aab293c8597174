// SPDX-License-Identifier: MIT
/*
 * Windows: rotation, resting, and the count of mappings against brute force. Works on addresses that are never
 * mapped: the tables are told what the kernel would have been told.
 */
#include "window.h"

#include <string.h>

#include "tests/harness.h"

static struct window *make(size_t units, size_t soft)
{
	const struct window_options options = {
		.want_units = units, .least_units = units, .soft_units = soft, .step_units = 4,
		.unit_shift = CHUNK_SHIFT, .pages = OS_PAGES_SMALL,
	};
	struct window *window = window_create(&options);

	CHECK(window && window->nr_units == units);
	return window;
}

static size_t take(struct window *window, size_t nr)
{
	size_t unit = window_take_locked(window, nr, 1);

	/* As if opened and, when it rests, closed: validate wants live units open. */
	if (unit != UNIT_NONE)
		window_set_kind_locked(window, unit, nr, KIND_OPEN);
	return unit;
}

static void give(struct window *window, size_t unit, size_t nr)
{
	window_set_kind_locked(window, unit, nr, KIND_CLOSED);
	window_rest_locked(window, unit, nr);
}

TEST(rotation, "window/addresses go round")
{
	struct window *window = make(64, 0);

	CHECK_EQ(window->rest_units, 16);
	for (size_t i = 0; i < 200; i++) {
		size_t unit = take(window, 1);

		CHECK_EQ(unit, i % 64);
		give(window, unit, 1);
		window_validate(window);
	}
	CHECK_EQ(window->nr_resting, 64);
}

TEST(rests, "window/an address rests until rest_units others were freed")
{
	struct window *window = make(64, 0);
	size_t units[64];

	for (size_t i = 0; i < 64; i++)
		units[i] = take(window, 1);
	CHECK_EQ(take(window, 1), UNIT_NONE);
	for (size_t i = 0; i < 16; i++) {
		give(window, units[40 + i], 1);
		CHECK_EQ(take(window, 1), UNIT_NONE);
	}
	give(window, units[3], 1);
	CHECK_EQ(take(window, 1), units[40]);
	CHECK_EQ(take(window, 1), UNIT_NONE);
	window_validate(window);
}

TEST(runs, "window/runs do not split, wrap or overlap")
{
	struct window *window = make(64, 0);

	CHECK_EQ(take(window, 60), 0);
	CHECK_EQ(take(window, 5), UNIT_NONE);
	CHECK_EQ(take(window, 4), 60);
	give(window, 0, 30);
	give(window, 30, 30);
	/* 16 more must be freed before the first 30 may be used: 30 were. */
	CHECK_EQ(take(window, 31), 0);
	CHECK_EQ(take(window, 0), UNIT_NONE);
	CHECK_EQ(take(window, 65), UNIT_NONE);
	window_validate(window);
}

TEST(at, "window/taking a certain place")
{
	struct window *window = make(64, 0);

	CHECK_EQ(take(window, 2), 0);
	CHECK(!window_take_at_locked(window, 1, 1, 1));
	CHECK(!window_take_at_locked(window, 62, 3, 1));
	CHECK(!window_take_at_locked(window, 64, 1, 1));
	CHECK(window_take_at_locked(window, 2, 3, 7));
	window_set_kind_locked(window, 2, 3, KIND_OPEN);
	CHECK_EQ(window_owner(window, 4), 7);
	CHECK_EQ(take(window, 1), 5);
	window_validate(window);
	window_set_kind_locked(window, 2, 3, KIND_CLOSED);
	window_untake_locked(window, 2, 3);
	CHECK_EQ(window_owner(window, 4), OWNER_NONE);
	window_validate(window);
}

TEST(soft, "window/more addresses join when all are used up")
{
	struct window *window = make(64, 8);

	CHECK_EQ(window->rest_units, 4);
	for (size_t i = 0; i < 20; i++) {
		size_t unit = take(window, 1);

		CHECK(unit < 8);
		give(window, unit, 1);
	}
	for (size_t i = 0; i < 40; i++)
		CHECK(take(window, 1) != UNIT_NONE);
	CHECK_EQ(window->soft_units, 64);
	window_validate(window);
}

/* Every sequence of kinds over 6 units, and every change of every range: 4^6 * 21 * 4. */
TEST(costs, "window/cost of a kind, enumerated")
{
	struct window *window = make(6, 0);
	size_t nr = 0;

	for (size_t code = 0; code < 4096; code++)
		for (size_t unit = 0; unit < 6; unit++)
			for (size_t count = 1; unit + count <= 6; count++)
				for (int kind = KIND_CLOSED; kind <= KIND_OWN; kind++) {
					long before, cost;

					for (size_t i = 0; i < 6; i++)
						window_set_kind_locked(window, i, 1, (enum unit_kind)(code >> 2 * i & 3));
					before = window_mappings();
					cost = window_kind_cost_locked(window, unit, count, (enum unit_kind)kind);
					window_set_kind_locked(window, unit, count, (enum unit_kind)kind);
					CHECK(window_mappings() - before == cost);
					nr++;
				}
	CHECK_EQ(nr, 4096 * 21 * 4);
	window_set_kind_locked(window, 0, 6, KIND_CLOSED);
	CHECK_EQ(window_mappings(), 0);
}

TEST(lookup, "window/lookup")
{
	struct window *window = make(6, 0);

	CHECK(!window_lookup(window->base));
	CHECK(window_publish(window));
	CHECK(window_lookup(window->base) == window);
	CHECK(window_lookup(window->base + 6 * CHUNK_BYTES - 1) == window);
	CHECK(!window_lookup(window->base - 1) && !window_lookup(window->base + 6 * CHUNK_BYTES));
	CHECK(!window_lookup(0) && !window_lookup(UINTPTR_MAX));
	CHECK_EQ(window_unit(window, window_address(window, 5) + 77), 5);
}
