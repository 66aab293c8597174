// SPDX-License-Identifier: MIT
/*
 * daemon/policy.c by tables: levels, amounts, order, hysteresis, decay, sharing; and all small inputs against the promises of
 * its header. Models no machine: sizes are chosen so that one percent is one chunk.
 */
#include "daemon/policy.h"

#include <inttypes.h>

#include "tests/daemon/tap.h"

#define C POLICY_CHUNK_BYTES
#define S POLICY_NS_PER_S

static const struct policy_config config = {
	.min_percent = 5,
	.low_percent = 10,
	.high_percent = 15,
	.pool_keep_percent = 5,
	.hold_ns = 5 * S,
	.decay_ns = 60 * S,
};

/* In chunks and seconds; 100 chunks of memory in all, so a chunk is a percent. */
struct row {
	const char *name;
	enum policy_level level;
	unsigned int nr_alarms;		/* before */
	uint64_t alarm_age_s;
	bool is_trigger;
	uint64_t available, pool, kept, cached, budget;
	enum policy_level want_level;
	enum policy_rule want_rule;
	uint64_t want_pool, want_kept, want_cached;
};

static const struct row rows[] = {
	{ "calm and rich: nothing", POLICY_CALM, 0, 0, false, 50, 20, 9, 9, 9, POLICY_CALM, POLICY_RULE_NONE, 0, 0, 0 },
	{ "at low: still calm", POLICY_CALM, 0, 0, false, 10, 20, 9, 9, 9, POLICY_CALM, POLICY_RULE_NONE, 0, 0, 0 },
	{ "below low: the deficit to high", POLICY_CALM, 0, 0, false, 9, 20, 9, 9, 99, POLICY_LOW, POLICY_RULE_LOW, 6, 0, 0 },
	{ "low: within the budget", POLICY_LOW, 0, 0, false, 9, 20, 9, 9, 2, POLICY_LOW, POLICY_RULE_LOW, 2, 0, 0 },
	{ "low: kept when the pool is used up", POLICY_LOW, 0, 0, false, 9, 2, 3, 9, 99, POLICY_LOW, POLICY_RULE_LOW, 2, 3, 1 },
	{ "low: stays until high", POLICY_LOW, 0, 0, false, 14, 20, 9, 9, 9, POLICY_LOW, POLICY_RULE_LOW, 1, 0, 0 },
	{ "low: ends at high", POLICY_LOW, 0, 0, false, 15, 20, 9, 9, 9, POLICY_CALM, POLICY_RULE_CALMED, 0, 0, 0 },
	{ "low without anything to give", POLICY_LOW, 0, 0, false, 9, 0, 0, 0, 9, POLICY_LOW, POLICY_RULE_NONE, 0, 0, 0 },
	{ "trigger: all of a small pool", POLICY_CALM, 0, 0, true, 50, 10, 9, 9, 0, POLICY_EMERGENCY, POLICY_RULE_PSI, 10, 0, 0 },
	{ "trigger: spares five percent", POLICY_CALM, 0, 0, true, 50, 40, 9, 9, 0, POLICY_EMERGENCY, POLICY_RULE_PSI, 38, 0, 0 },
	{ "trigger without a pool: said nevertheless", POLICY_CALM, 0, 0, true, 50, 0, 0, 0, 0, POLICY_EMERGENCY,
	  POLICY_RULE_PSI, 0, 0, 0 },
	{ "trigger in need: kept after the pool", POLICY_CALM, 0, 0, true, 1, 10, 9, 9, 0, POLICY_EMERGENCY, POLICY_RULE_PSI,
	  10, 4, 0 },
	{ "trigger in need: cached after kept", POLICY_CALM, 0, 0, true, 1, 2, 3, 20, 0, POLICY_EMERGENCY, POLICY_RULE_PSI, 2, 3, 9 },
	{ "second trigger: a quarter", POLICY_EMERGENCY, 1, 1, true, 50, 0, 0, 40, 0, POLICY_EMERGENCY, POLICY_RULE_PSI_AGAIN,
	  0, 0, 10 },
	{ "third trigger: half, kept first", POLICY_EMERGENCY, 2, 1, true, 50, 0, 10, 30, 0, POLICY_EMERGENCY,
	  POLICY_RULE_PSI_AGAIN, 0, 10, 10 },
	{ "fourth trigger: everything", POLICY_EMERGENCY, 3, 1, true, 50, 4, 10, 30, 0, POLICY_EMERGENCY, POLICY_RULE_PSI_AGAIN,
	  4, 10, 30 },
	{ "below min: an alarm without a trigger", POLICY_LOW, 0, 0, false, 4, 20, 9, 9, 0, POLICY_EMERGENCY, POLICY_RULE_MIN,
	  19, 0, 0 },
	/* 5 % of 20 chunks is one chunk. */
	{ "hold: what became idle, within the budget", POLICY_EMERGENCY, 1, 1, false, 50, 7, 9, 9, 3, POLICY_EMERGENCY,
	  POLICY_RULE_HOLD, 3, 0, 0 },
	{ "hold below min: all, and the deficit", POLICY_EMERGENCY, 1, 1, false, 4, 7, 9, 9, 0, POLICY_EMERGENCY,
	  POLICY_RULE_HOLD, 7, 4, 0 },
	{ "hold: not over before its time", POLICY_EMERGENCY, 1, 4, false, 50, 0, 9, 9, 9, POLICY_EMERGENCY, POLICY_RULE_NONE, 0, 0,
	  0 },
	{ "hold: over", POLICY_EMERGENCY, 1, 5, false, 50, 0, 9, 9, 9, POLICY_CALM, POLICY_RULE_CALMED, 0, 0, 0 },
	{ "hold: over, but below high", POLICY_EMERGENCY, 1, 5, false, 12, 0, 0, 0, 9, POLICY_LOW, POLICY_RULE_CALMED, 0, 0, 0 },
	{ "hold: not over while below low", POLICY_EMERGENCY, 1, 99, false, 9, 0, 9, 9, 9, POLICY_EMERGENCY, POLICY_RULE_NONE, 0, 0,
	  0 },
};

static void run_row(const struct row *row)
{
	const uint64_t now_ns = 1000 * S;
	struct policy_state state = { .level = row->level, .nr_alarms = row->nr_alarms,
				      .last_alarm_ns = now_ns - row->alarm_age_s * S };
	const struct policy_input in = {
		.now_ns = now_ns, .is_trigger = row->is_trigger, .total_bytes = 100 * C, .available_bytes = row->available * C,
		.pool_bytes = row->pool * C, .kept_bytes = row->kept * C, .cached_bytes = row->cached * C,
		.budget_bytes = row->budget * C,
	};
	struct policy_output out;

	policy_decide(&config, &state, &in, &out);
	CHECK(state.level == row->want_level, "%s: level %s", row->name, policy_level_name(state.level));
	CHECK(out.rule == row->want_rule, "%s: rule %s", row->name, policy_rule_name(out.rule));
	CHECK(out.pool_bytes == row->want_pool * C, "%s: pool %" PRIu64, row->name, out.pool_bytes / C);
	CHECK(out.kept_bytes == row->want_kept * C, "%s: kept %" PRIu64, row->name, out.kept_bytes / C);
	CHECK(out.cached_bytes == row->want_cached * C, "%s: cached %" PRIu64, row->name, out.cached_bytes / C);
}

static void table(void)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		run_row(&rows[i]);
}

static void check_promises(enum policy_level level, unsigned int nr_alarms, const struct policy_input *in)
{
	struct policy_state state = { .level = level, .nr_alarms = nr_alarms, .last_alarm_ns = in->now_ns - S };
	struct policy_output out;

	policy_decide(&config, &state, in, &out);
	CHECK(out.pool_bytes <= in->pool_bytes && out.kept_bytes <= in->kept_bytes && out.cached_bytes <= in->cached_bytes,
	      "more than there is");
	CHECK(!in->is_trigger || out.pool_bytes * 10 >= in->pool_bytes * 9, "a trigger gives 90 %% of the pool");
	CHECK(!in->is_trigger || state.level == POLICY_EMERGENCY, "a trigger is an emergency");
	CHECK(!out.kept_bytes || out.pool_bytes * 10 >= in->pool_bytes * 9, "the pool goes before kept chunks");
	CHECK(!out.cached_bytes || out.kept_bytes == in->kept_bytes, "kept chunks go before cached ones");
	CHECK(state.level != POLICY_CALM || (!out.kept_bytes && !out.cached_bytes), "calm takes from nobody");
	CHECK(out.pool_bytes % C == 0, "whole chunks");
}

/* Every level, alarm count and trigger against every amount of a small machine. */
static void every_small_input_keeps_the_promises(void)
{
	const uint64_t amounts[] = { 0, 1, 2, 5, 19, 20, 41, 100 };
	const size_t nr = sizeof(amounts) / sizeof(amounts[0]);
	unsigned int count = 0;

	for (int level = 0; level < POLICY_NR_LEVELS; level++)
		for (unsigned int alarms = 0; alarms < 5; alarms++)
			for (size_t i = 0; i < nr * nr * nr * nr * 2 * 2; i++, count++) {
				size_t rest = i / 4;
				const struct policy_input in = {
					.now_ns = 1000 * S, .is_trigger = i & 1, .budget_bytes = (i & 2) * 4 * C,
					.total_bytes = 100 * C, .available_bytes = amounts[rest % nr] * C,
					.pool_bytes = amounts[rest / nr % nr] * C,
					.kept_bytes = amounts[rest / nr / nr % nr] * C,
					.cached_bytes = amounts[rest / nr / nr / nr % nr] * C,
				};

				check_promises((enum policy_level)level, alarms, &in);
			}
	CHECK(count == 3 * 5 * 8 * 8 * 8 * 8 * 4, "enumerated %u", count);
}

static void hysteresis_does_not_flap(void)
{
	struct policy_state state = { .level = POLICY_CALM };
	struct policy_output out;
	unsigned int nr_changes = 0;

	/* Swings across low, but never up to high: enters LOW once and stays. */
	for (uint64_t t = 1; t <= 100; t++) {
		enum policy_level before = state.level;
		const struct policy_input in = { .now_ns = t * S, .total_bytes = 100 * C,
						 .available_bytes = (t % 2 ? 9 : 13) * C };

		policy_decide(&config, &state, &in, &out);
		nr_changes += state.level != before;
	}
	CHECK(nr_changes == 1, "%u changes of level", nr_changes);
}

static void alarms_count_anew_in_each_emergency(void)
{
	struct policy_state state = { .level = POLICY_CALM };
	struct policy_input in = { .is_trigger = true, .total_bytes = 100 * C, .available_bytes = 50 * C,
				   .cached_bytes = 40 * C };
	struct policy_output out;

	in.now_ns = 100 * S;
	policy_decide(&config, &state, &in, &out);
	in.now_ns = 101 * S;
	policy_decide(&config, &state, &in, &out);
	CHECK(out.cached_bytes == 10 * C, "second alarm asks %" PRIu64, out.cached_bytes / C);
	in.is_trigger = false;
	in.now_ns = 110 * S;
	policy_decide(&config, &state, &in, &out);
	CHECK(state.level == POLICY_CALM, "level %s", policy_level_name(state.level));
	in.is_trigger = true;
	in.now_ns = 111 * S;
	policy_decide(&config, &state, &in, &out);
	CHECK(out.rule == POLICY_RULE_PSI && out.cached_bytes == 0, "rule %s", policy_rule_name(out.rule));
}

static uint64_t idle_for(struct policy_state *state, uint64_t from_s, uint64_t to_s, uint64_t pool_bytes, uint64_t budget)
{
	uint64_t gave_bytes = 0;

	for (uint64_t t = from_s; t < to_s; t++) {
		const struct policy_input in = { .now_ns = t * S, .total_bytes = 1000 * C, .available_bytes = 500 * C,
						 .pool_bytes = pool_bytes - gave_bytes, .budget_bytes = budget * C };
		struct policy_output out;

		policy_decide(&config, state, &in, &out);
		gave_bytes += out.pool_bytes;
	}
	return gave_bytes;
}

/* Falls by so many chunks in a quarter of a second, with the min watermark at 5 chunks. */
static void a_fast_fall_is_an_alarm(void)
{
	static const struct { uint64_t from, to; bool is_alarm; } cases[] = {
		{ 90, 80, false }, { 90, 74, false }, { 90, 72, true }, { 40, 30, true }, { 40, 35, false }, { 20, 15, true },
		{ 20, 20, false }, { 20, 60, false },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy_state state = { .level = POLICY_CALM };
		struct policy_input in = { .now_ns = 100 * S, .total_bytes = 100 * C, .available_bytes = cases[i].from * C,
					   .pool_bytes = 10 * C };
		struct policy_output out;

		policy_decide(&config, &state, &in, &out);
		in.now_ns += S / 4;
		in.available_bytes = cases[i].to * C;
		policy_decide(&config, &state, &in, &out);
		CHECK((out.rule == POLICY_RULE_FALLING) == cases[i].is_alarm && (out.pool_bytes == 10 * C) == cases[i].is_alarm,
		      "case %zu: rule %s", i, policy_rule_name(out.rule));
	}
}

static void idle_pool_halves_per_window(void)
{
	struct policy_state state = { .level = POLICY_CALM };
	uint64_t gave_bytes = idle_for(&state, 1, 61, 64 * C, 1000);

	CHECK(gave_bytes == 0, "gave %" PRIu64 " before a window was over", gave_bytes / C);
	gave_bytes = idle_for(&state, 61, 62, 64 * C, 1000);
	CHECK(gave_bytes == 32 * C, "gave %" PRIu64, gave_bytes / C);
	gave_bytes = idle_for(&state, 62, 500, 32 * C, 1000);
	CHECK(gave_bytes == 32 * C, "in the end all of it goes: %" PRIu64, gave_bytes / C);
}

static void decay_spares_what_was_used(void)
{
	struct policy_state state = { .level = POLICY_CALM };

	idle_for(&state, 1, 30, 64 * C, 1000);
	idle_for(&state, 30, 31, 0, 1000);	/* all of the pool was needed for a moment */
	CHECK(idle_for(&state, 31, 62, 64 * C, 1000) == 0, "gave what was needed half a minute ago");
}

static void decay_keeps_within_the_budget(void)
{
	struct policy_state state = { .level = POLICY_CALM };

	idle_for(&state, 1, 61, 64 * C, 3);
	CHECK(idle_for(&state, 61, 62, 64 * C, 3) == 3 * C, "one step");
	CHECK(idle_for(&state, 62, 64, 61 * C, 3) == 6 * C, "the rest follows");
}

static void share_takes_from_the_richest(void)
{
	const uint64_t cached[] = { 3 * C, 10 * C, 0, 5 * C, C - 1 };
	uint64_t ask[5];

	CHECK(policy_share(12 * C, cached, ask, 5) == 12 * C, "sum");
	CHECK(ask[0] == 0 && ask[1] == 10 * C && ask[2] == 0 && ask[3] == 2 * C && ask[4] == 0, "who");
	CHECK(policy_share(1, cached, ask, 5) == C && ask[1] == C, "rounds up to a chunk");
	CHECK(policy_share(1000 * C, cached, ask, 5) == 18 * C, "no more than there is");
	CHECK(policy_share(0, cached, ask, 5) == 0, "nothing wanted");
	CHECK(policy_share(UINT64_MAX, cached, ask, 0) == 0, "nobody there");
}

static void share_is_exact_for_all_small_cases(void)
{
	for (uint64_t i = 0; i < 5 * 5 * 5 * 16; i++) {
		const uint64_t cached[] = { i % 5 * C + 7, i / 5 % 5 * C, i / 25 % 5 * C + C / 2 };
		uint64_t want = i / 125 * C, all = (i % 5 + i / 5 % 5 + i / 25 % 5) * C, ask[3];
		uint64_t sum = policy_share(want, cached, ask, 3);

		CHECK(sum == (want < all ? want : all), "want %" PRIu64 " of %" PRIu64 ", got %" PRIu64, want / C, all / C, sum / C);
		CHECK(sum == ask[0] + ask[1] + ask[2], "sum");
		CHECK(ask[0] <= cached[0] && ask[1] <= cached[1] && ask[2] <= cached[2], "more than it has");
	}
}

/* Whoever gives, gives whole chunks: a deficit of less is one, not a decision to do nothing at each step. */
static void low_by_less_than_a_chunk_gives_one(void)
{
	struct policy_input in = { .now_ns = S, .total_bytes = 100 * C, .available_bytes = 15 * C - 1, .pool_bytes = 9 * C,
				   .kept_bytes = 9 * C, .budget_bytes = 9 * C };
	struct policy_state state = { .level = POLICY_LOW };
	struct policy_output out;

	policy_decide(&config, &state, &in, &out);
	CHECK(out.pool_bytes == C && !out.kept_bytes, "pool %" PRIu64 ", kept %" PRIu64, out.pool_bytes, out.kept_bytes);
	in.pool_bytes = 0;
	state = (struct policy_state){ .level = POLICY_LOW };
	policy_decide(&config, &state, &in, &out);
	CHECK(out.kept_bytes == C, "kept %" PRIu64, out.kept_bytes);
}

int main(void)
{
	RUN(table);
	RUN(every_small_input_keeps_the_promises);
	RUN(hysteresis_does_not_flap);
	RUN(a_fast_fall_is_an_alarm);
	RUN(alarms_count_anew_in_each_emergency);
	RUN(idle_pool_halves_per_window);
	RUN(decay_spares_what_was_used);
	RUN(low_by_less_than_a_chunk_gives_one);
	RUN(decay_keeps_within_the_budget);
	RUN(share_takes_from_the_richest);
	RUN(share_is_exact_for_all_small_cases);
	return tap_end();
}
