// SPDX-License-Identifier: MIT
/* Each rule of the collector's pacing by itself, with numbers worked out by hand; verdicts at the limit enumerated. tests/model/gc_pace.c runs them together. */
#include "gc/pace.h"

#include "tests/harness.h"

#define MS ((uint64_t)1000 * 1000)
#define SECOND (1000 * MS)

static struct gc_pace fresh(uint32_t nr_cpus)
{
	struct gc_pace pace;

	gc_pace_init(&pace, nr_cpus);
	gc_pace_validate(&pace);
	return pace;
}

/* A cycle on one CPU in which workers had a quarter: per second of it 250 ms of marking and 750 ms of mutators. */
static void cycle(struct gc_pace *pace, uint64_t live, uint64_t roots, uint64_t allocated)
{
	uint64_t wall = SECOND;

	gc_pace_begin(pace, live, live + roots);
	gc_pace_end(pace, &(struct gc_pace_cycle){ .live_bytes = live, .heap_work = live, .roots_work = roots, .allocated_bytes = allocated,
		    .heap_bytes = live, .wall_ns = wall, .worker_ns = wall / 4 });
	gc_pace_validate(pace);
}

static uint64_t way_up(const struct gc_pace *pace, uint64_t percent)
{
	return pace->live_bytes + (pace->goal_bytes - pace->live_bytes) * percent / 100;
}

/* ---------------------------------------------------------------- goal, trigger, ceiling */

TEST(saturates, "gc_pace/arithmetic: what is too large is the largest")
{
	CHECK_EQ(gc_pace_scale(UINT64_MAX, 3, 4), UINT64_MAX / 4 * 3 + 2);
	CHECK_EQ(gc_pace_scale(UINT64_MAX, 3, 2), UINT64_MAX);
	CHECK_EQ(gc_pace_scale(1, 1, 0), UINT64_MAX);
	CHECK_EQ(gc_pace_sum(UINT64_MAX, 1), UINT64_MAX);
	CHECK_EQ(gc_pace_over(1, 2), 0);
}

TEST(goals, "gc_pace/goal: what lives, and a percentage of it and of roots; not below 4 MiB by that percentage")
{
	static const struct {
		uint64_t live, roots;
		uint32_t percent;
		uint64_t goal;
	} cases[] = {
		{ 0, 0, 100, 4 * MiB },
		{ 0, 0, 200, 8 * MiB },
		{ 0, 0, 50, 2 * MiB },
		{ 1 * MiB, 0, 100, 4 * MiB },
		{ 1 * MiB, 4 * MiB, 100, 6 * MiB },
		{ 100 * MiB, 0, 100, 200 * MiB },
		{ 100 * MiB, 20 * MiB, 100, 220 * MiB },
		{ 100 * MiB, 20 * MiB, 50, 160 * MiB },
		{ 100 * MiB, 0, 0, 100 * MiB + 64 * KiB },
		{ UINT64_MAX / 2, UINT64_MAX / 2, 1000, UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gc_pace pace = fresh(1);

		gc_pace_set_percent(&pace, cases[i].percent);
		cycle(&pace, cases[i].live, cases[i].roots, 0);
		CHECK_EQ(pace.goal_bytes, cases[i].goal);
		CHECK(!pace.limited);
	}
}

TEST(black, "gc_pace/goal: what was allocated black is there, but nothing is allowed for it")
{
	struct gc_pace pace = fresh(1);

	gc_pace_begin(&pace, 150 * MiB, 150 * MiB);
	gc_pace_end(&pace, &(struct gc_pace_cycle){ .live_bytes = 130 * MiB, .black_bytes = 30 * MiB, .heap_work = 100 * MiB, .roots_work = 10 * MiB });
	CHECK_EQ(pace.goal_bytes, 240 * MiB);
}

TEST(off, "gc_pace/goal: off and without a limit no cycle is ever due")
{
	struct gc_pace pace = fresh(1);

	gc_pace_set_percent(&pace, GC_PACE_OFF);
	CHECK_EQ(pace.goal_bytes, UINT64_MAX);
	CHECK(!gc_pace_is_due(&pace, UINT64_MAX - 1));
	cycle(&pace, 100 * MiB, 0, 10 * MiB);
	CHECK_EQ(pace.trigger_bytes, UINT64_MAX);
	gc_pace_set_percent(&pace, 100);
	CHECK_EQ(pace.goal_bytes, 200 * MiB);
}

TEST(limits, "gc_pace/limit: lowers the goal by overhead, twice the excess and headroom; never below what lives")
{
	static const struct {
		uint64_t live, heap, overhead, limit, goal;
	} cases[] = {
		/* 3 % are 3 MiB; what is 99 % of the headroom's reason is to be seen at the byte. */
		{ 60 * MiB, 60 * MiB, 0, 100 * MiB, 97 * MiB },
		{ 60 * MiB, 60 * MiB, 5 * MiB, 100 * MiB, 92 * MiB },
		/* Heap and overhead are 10 MiB over: that much less. */
		{ 60 * MiB, 90 * MiB, 20 * MiB, 100 * MiB, 67 * MiB },
		/* 1 MiB where that is more than 3 %, an eighth where that is less. */
		{ 14 * MiB, 14 * MiB, 0, 20 * MiB, 19 * MiB },
		{ 3 * MiB, 3 * MiB, 0, 4 * MiB, 4 * MiB - 512 * KiB },
		{ 99 * MiB, 99 * MiB, 0, 100 * MiB, 99 * MiB + 64 * KiB },
		{ 150 * MiB, 150 * MiB, 10 * MiB, 100 * MiB, 150 * MiB + 64 * KiB },
		/* The percentage is less. */
		{ 10 * MiB, 10 * MiB, 0, 100 * MiB, 20 * MiB },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct gc_pace pace = fresh(1);

		cycle(&pace, cases[i].live, 0, 0);
		gc_pace_set_limit(&pace, cases[i].limit, GC_PACE_POLICY_FAIL);
		gc_pace_memory(&pace, cases[i].heap, cases[i].overhead);
		gc_pace_validate(&pace);
		CHECK_EQ(pace.goal_bytes, cases[i].goal);
		CHECK_EQ(pace.limited, cases[i].goal != 20 * MiB);
	}
}

TEST(off_limit, "gc_pace/limit: with off it alone makes the goal, and a cycle's end forgets the excess that it removed")
{
	struct gc_pace pace = fresh(1);

	gc_pace_set_percent(&pace, GC_PACE_OFF);
	gc_pace_set_limit(&pace, 200 * MiB, GC_PACE_POLICY_OVERSHOOT);
	CHECK_EQ(pace.goal_bytes, 194 * MiB);
	gc_pace_memory(&pace, 220 * MiB, 0);
	CHECK_EQ(pace.goal_bytes, 174 * MiB);
	cycle(&pace, 10 * MiB, 0, 0);
	CHECK_EQ(pace.goal_bytes, 194 * MiB);
}

TEST(ceilings, "gc_pace/ceiling: a quarter of the way beyond the goal, but not beyond the limit")
{
	struct gc_pace pace = fresh(1);

	cycle(&pace, 100 * MiB, 0, 0);
	CHECK_EQ(pace.ceiling_bytes, 225 * MiB);
	gc_pace_set_limit(&pace, 220 * MiB, GC_PACE_POLICY_FAIL);
	gc_pace_memory(&pace, 100 * MiB, 10 * MiB);
	CHECK_EQ(pace.ceiling_bytes, 210 * MiB);
	gc_pace_set_limit(&pace, 50 * MiB, GC_PACE_POLICY_FAIL);
	CHECK_EQ(pace.ceiling_bytes, pace.goal_bytes);
}

TEST(triggers, "gc_pace/trigger: goal - runway, between 60 % and 95 % of the way; 60 % before anything is known")
{
	struct gc_pace pace = fresh(1);

	CHECK_EQ(pace.trigger_bytes, 4 * MiB * 60 / 100);
	/* 100 + 20 MiB of work took 1 s, in which 24 MiB were allocated: so the next ones will. */
	cycle(&pace, 100 * MiB, 20 * MiB, 24 * MiB);
	CHECK_EQ(pace.goal_bytes, 220 * MiB);
	CHECK(pace.trigger_bytes >= 196 * MiB && pace.trigger_bytes < 196 * MiB + 64 * KiB);
	/* Half the share: twice the time, in which mutators have 7/6 of the CPU that they had. */
	gc_pace_set_share(&pace, 10);
	CHECK_EQ(pace.trigger_bytes, way_up(&pace, 60));
	gc_pace_set_share(&pace, 40);
	CHECK(pace.trigger_bytes > 207 * MiB && pace.trigger_bytes < 209 * MiB);
	gc_pace_set_share(&pace, 25);
	cycle(&pace, 100 * MiB, 20 * MiB, 90 * MiB);
	CHECK_EQ(pace.trigger_bytes, way_up(&pace, 60));
	pace = fresh(1);
	cycle(&pace, 100 * MiB, 0, 4 * KiB);
	CHECK_EQ(pace.trigger_bytes, way_up(&pace, 95));
}

TEST(due, "gc_pace/trigger: a cycle is due from it on, and not while one runs")
{
	struct gc_pace pace = fresh(1);

	CHECK(!gc_pace_is_due(&pace, pace.trigger_bytes - 1));
	CHECK(gc_pace_is_due(&pace, pace.trigger_bytes));
	gc_pace_begin(&pace, pace.trigger_bytes, 1 * MiB);
	CHECK(!gc_pace_is_due(&pace, UINT64_MAX));
}

TEST(history, "gc_pace/runway: the fastest of the last four cycles counts, one without any allocation does not")
{
	struct gc_pace pace = fresh(1);
	uint64_t after_burst;

	cycle(&pace, 100 * MiB, 0, 20 * MiB);
	after_burst = pace.trigger_bytes;
	for (int i = 0; i < 3; i++) {
		cycle(&pace, 100 * MiB, 0, 8 * MiB);
		CHECK_EQ(pace.trigger_bytes, after_burst);
	}
	cycle(&pace, 100 * MiB, 0, 8 * MiB);
	CHECK(pace.trigger_bytes > after_burst + 11 * MiB);
	after_burst = pace.trigger_bytes;
	for (int i = 0; i < 8; i++)
		cycle(&pace, 100 * MiB, 0, 0);
	CHECK_EQ(pace.trigger_bytes, after_burst);
}

/* The trigger after a cycle in which 100 MiB were marked, and 12 MiB allocated if nothing else is said. */
static uint64_t trigger_after(struct gc_pace_cycle times)
{
	struct gc_pace pace = fresh(2);

	times.live_bytes = times.heap_work = 100 * MiB;
	times.allocated_bytes = times.allocated_bytes ? times.allocated_bytes : 12 * MiB;
	gc_pace_begin(&pace, 100 * MiB, 100 * MiB);
	gc_pace_end(&pace, &times);
	return pace.trigger_bytes / MiB;
}

TEST(division, "gc_pace/runway: how the CPU was divided cancels out: assists, idle CPUs, hardly any mutator")
{
	CHECK_EQ(trigger_after((struct gc_pace_cycle){ .wall_ns = SECOND, .worker_ns = SECOND / 2 }), 188);
	/* With assists half of the CPU was the collector's: alone in its quarter it would take twice as long, and mutators would get half as much more. */
	CHECK_EQ(trigger_after((struct gc_pace_cycle){ .wall_ns = SECOND, .worker_ns = SECOND / 2, .assist_ns = SECOND / 2 }), 164);
	CHECK_EQ(trigger_after((struct gc_pace_cycle){ .wall_ns = 2 * SECOND, .worker_ns = SECOND / 2 }), 194);
	/* Idle CPUs made the cycle shorter; the next may find none. */
	CHECK_EQ(trigger_after((struct gc_pace_cycle){ .wall_ns = SECOND, .worker_ns = SECOND / 2, .idle_ns = SECOND / 2 }), 176);
	CHECK_EQ(trigger_after((struct gc_pace_cycle){ .wall_ns = SECOND, .worker_ns = 3 * SECOND }), 160);
	/* A twentieth of the CPU is the least that is thought to have been mutators'. */
	CHECK_EQ(trigger_after((struct gc_pace_cycle){ .wall_ns = SECOND, .worker_ns = 3 * SECOND, .allocated_bytes = 100 * KiB }), 191);
	CHECK_EQ(trigger_after((struct gc_pace_cycle){ 0 }), 195);
}

/* ---------------------------------------------------------------- ratio and assists */

/* 100 MiB live, goal 200, trigger about 180: 20 MiB of way. */
static struct gc_pace running(void)
{
	struct gc_pace pace = fresh(4);

	cycle(&pace, 100 * MiB, 0, 10 * MiB);
	gc_pace_begin(&pace, 180 * MiB, 180 * MiB);
	return pace;
}

static uint64_t ratio_percent(const struct gc_pace *pace)
{
	return (pace->ratio * 100 + GC_PACE_ONE / 2) / GC_PACE_ONE;
}

TEST(ratios, "gc_pace/ratio: work that is left over way that is left")
{
	struct gc_pace pace = running();

	CHECK_EQ(ratio_percent(&pace), 500);
	gc_pace_revise(&pace, 190 * MiB, 50 * MiB);
	CHECK_EQ(ratio_percent(&pace), 500);
	gc_pace_revise(&pace, 190 * MiB, 80 * MiB);
	CHECK_EQ(ratio_percent(&pace), 200);
	gc_pace_revise(&pace, 195 * MiB, 50 * MiB);
	CHECK_EQ(ratio_percent(&pace), 1000);
	/* Never nothing, and near the goal not without bound: a sixteenth of the way is the least. */
	gc_pace_revise(&pace, 190 * MiB, 100 * MiB);
	CHECK(pace.ratio > 0);
	gc_pace_revise(&pace, 200 * MiB, 95 * MiB);
	CHECK_EQ(ratio_percent(&pace), 400);
	gc_pace_revise(&pace, 300 * MiB, 95 * MiB);
	CHECK_EQ(ratio_percent(&pace), 400);
}

TEST(grows, "gc_pace/ratio: who finds more work than expected may go to the ceiling, which what is found lifts, but not under a limit")
{
	struct gc_pace pace = running();

	/* 80 MiB may be left, and the ceiling is 225 MiB. */
	gc_pace_revise(&pace, 196 * MiB, 100 * MiB + 4 * KiB);
	CHECK_EQ(ratio_percent(&pace), 276);
	/* 150 MiB are alive: the next goal is 300 at least. */
	gc_pace_revise(&pace, 200 * MiB, 150 * MiB);
	CHECK_EQ(pace.ceiling_bytes, 300 * MiB);
	CHECK_EQ(ratio_percent(&pace), 30);
	gc_pace_validate(&pace);
	/* A limit that did not make the goal. */
	gc_pace_set_limit(&pace, 260 * MiB, GC_PACE_POLICY_FAIL);
	gc_pace_revise(&pace, 200 * MiB, 150 * MiB);
	CHECK(!pace.limited);
	CHECK_EQ(pace.ceiling_bytes, 260 * MiB);
	CHECK_EQ(ratio_percent(&pace), 50);
	/* And one that did. */
	gc_pace_set_percent(&pace, GC_PACE_OFF);
	gc_pace_set_limit(&pace, 205 * MiB, GC_PACE_POLICY_FAIL);
	gc_pace_memory(&pace, 190 * MiB, 0);
	pace.worst_work = 180 * MiB;
	gc_pace_revise(&pace, 190 * MiB, 120 * MiB);
	CHECK(ratio_percent(&pace) > 60 * 100 / 9 && ratio_percent(&pace) < 60 * 100 / 8);
}

TEST(next_goal, "gc_pace/ceiling: lifted by what is found it never passes the goal that follows, roots or not")
{
	struct gc_pace pace = fresh(2);

	gc_pace_set_percent(&pace, 50);
	cycle(&pace, 10 * MiB, 8 * MiB, 0);
	gc_pace_begin(&pace, 41 * MiB, 60 * MiB);
	gc_pace_revise(&pace, 42 * MiB, 48 * MiB);
	CHECK_EQ(pace.ceiling_bytes, 60 * MiB);
	/* More than there was is roots, or what mutators have noted. */
	gc_pace_revise(&pace, 42 * MiB, 100 * MiB);
	CHECK_EQ(pace.ceiling_bytes, 41 * MiB * 3 / 2);
	gc_pace_drop(&pace);
	CHECK(pace.ceiling_bytes < 30 * MiB);
	gc_pace_begin(&pace, 41 * MiB, 60 * MiB);
	gc_pace_end(&pace, &(struct gc_pace_cycle){ .live_bytes = 42 * MiB, .black_bytes = 2 * MiB, .heap_work = 40 * MiB, .roots_work = 8 * MiB });
	CHECK_EQ(pace.goal_bytes, 66 * MiB);
	CHECK_EQ(pace.ceiling_bytes, 72 * MiB);
}

TEST(shrinks, "gc_pace/ratio: expects no more work than there can be, and all of it in the first cycle")
{
	struct gc_pace pace = fresh(1);

	gc_pace_begin(&pace, 2 * MiB, 3 * MiB);
	CHECK_EQ(ratio_percent(&pace), 150);
	pace = fresh(1);
	cycle(&pace, 100 * MiB, 0, 10 * MiB);
	gc_pace_begin(&pace, 180 * MiB, 20 * MiB);
	CHECK_EQ(ratio_percent(&pace), 100);
}

TEST(lead, "gc_pace/credit: what workers do in 5 ms is there from the begin, if a cycle has eight times as much work")
{
	struct gc_pace pace = running();

	/* One CPU of four, at the first guess of the rate. */
	CHECK_EQ(pace.credit_work, 5 * GC_PACE_FIRST_RATE);
	gc_pace_end(&pace, &(struct gc_pace_cycle){ .live_bytes = 4 * MiB, .heap_work = 4 * MiB });
	CHECK_EQ(pace.credit_work, 0);
	gc_pace_begin(&pace, 7 * MiB, 7 * MiB);
	CHECK_EQ(pace.credit_work, 512 * KiB);
	pace = fresh(4);
	gc_pace_set_share(&pace, 50);
	gc_pace_begin(&pace, 180 * MiB, 180 * MiB);
	CHECK_EQ(pace.credit_work, 10 * GC_PACE_FIRST_RATE);
}

TEST(debts, "gc_pace/assist: an allocation owes by the ratio; credit pays first; nothing between cycles")
{
	struct gc_pace pace = running();
	struct gc_debt debt = { 0 };

	CHECK_EQ(gc_pace_owe(&pace, &debt, 1000), 5000);
	CHECK_EQ(gc_pace_owe(&pace, &debt, 1000), 10000);
	gc_pace_paid(&debt, 4000);
	CHECK_EQ(debt.work, 6000);
	gc_pace_paid(&debt, 7000);
	CHECK_EQ(debt.work, 0);
	pace.credit_work = 100;
	gc_pace_give_credit(&pace, 50);
	CHECK_EQ(gc_pace_take_credit(&pace, 120), 120);
	CHECK_EQ(gc_pace_take_credit(&pace, 120), 30);
	CHECK_EQ(pace.credit_work, 0);
	debt.work = 5000;
	pace.capped = true;
	CHECK_EQ(gc_pace_owe(&pace, &debt, 1000), 0);
	pace.capped = false;
	debt.work = 5000;
	gc_pace_end(&pace, &(struct gc_pace_cycle){ .live_bytes = 100 * MiB });
	CHECK_EQ(gc_pace_owe(&pace, &debt, 1000), 0);
}

static uint64_t due_work(const struct gc_pace *pace, uint64_t owed, uint64_t bytes, uint64_t heap)
{
	struct gc_debt debt = { owed };

	return gc_pace_due_work(pace, &debt, bytes, heap);
}

TEST(dropped, "gc_pace/a cycle that will not end is as if it had not begun")
{
	struct gc_pace pace = running();
	uint64_t trigger = pace.trigger_bytes;
	struct gc_debt debt = { 0 };

	gc_pace_drop(&pace);
	gc_pace_validate(&pace);
	CHECK(gc_pace_is_due(&pace, trigger) && !gc_pace_owe(&pace, &debt, 1000) && !pace.credit_work);
	gc_pace_drop(&pace);
	gc_pace_begin(&pace, trigger, trigger);
	CHECK_EQ(pace.nr_begun, 2);
}

TEST(slices, "gc_pace/assist: one slice up to the goal, 13 at the ceiling; nothing for less than a quarter; a large object by its pieces")
{
	struct gc_pace pace = running();
	uint64_t slice = gc_pace_slice_work(&pace), much = 1000 * slice;
	struct gc_debt debt = { much };

	/* 20 us at the first guess. */
	CHECK_EQ(slice, GC_PACE_FIRST_RATE * 198 / 10000);
	CHECK_EQ(due_work(&pace, slice / 4 - 1, 4096, 190 * MiB), 0);
	CHECK_EQ(due_work(&pace, slice / 4, 4096, 190 * MiB), slice / 4);
	CHECK_EQ(due_work(&pace, much, 4096, 200 * MiB), slice);
	CHECK_EQ(due_work(&pace, much, 4096, 200 * MiB + 1), slice);
	CHECK_EQ(due_work(&pace, much, 4096, 204 * MiB), 2 * slice);
	CHECK_EQ(due_work(&pace, much, 4096, 225 * MiB), 13 * slice);
	CHECK_EQ(due_work(&pace, much, 4096, 900 * MiB), 13 * slice);
	CHECK_EQ(due_work(&pace, much, 640 * KiB, 190 * MiB), 11 * slice);
	gc_pace_due_work(&pace, &debt, 4096, 190 * MiB);
	CHECK_EQ(debt.work, 17 * slice);
}

TEST(rates, "gc_pace/slice: as much work as takes two thirds of 30 us at the rate that was measured lately")
{
	struct gc_pace pace = fresh(1);

	for (int i = 0; i < 200; i++)
		gc_pace_measured(&pace, 1000 * 1000, MS);
	CHECK(gc_pace_slice_work(&pace) > 19500 && gc_pace_slice_work(&pace) <= 19800);
	for (int i = 0; i < 30; i++)
		gc_pace_measured(&pace, 100 * 1000, MS);
	CHECK(gc_pace_slice_work(&pace) < 6000);
	for (int i = 0; i < 200; i++)
		gc_pace_measured(&pace, 0, MS);
	CHECK_EQ(gc_pace_slice_work(&pace), 256);
}

/* ---------------------------------------------------------------- workers */

TEST(workers, "gc_pace/workers: their share is exact for every number of CPUs and every share")
{
	for (uint32_t nr_cpus = 1; nr_cpus <= 512; nr_cpus++)
		for (uint32_t share = 1; share <= GC_PACE_MOST_SHARE_PERCENT; share++) {
			struct gc_pace pace = fresh(nr_cpus);
			uint32_t nr, percent;

			gc_pace_set_share(&pace, share);
			percent = gc_pace_workers(&pace, &nr);
			CHECK(percent < 100);
			CHECK_EQ(nr * 100 + percent, nr_cpus * share);
		}
}

TEST(settings, "gc_pace/workers: a share of nothing is 1 %, one of everything 50 %; no CPU is one")
{
	struct gc_pace pace = fresh(0);

	CHECK_EQ(pace.nr_cpus, 1);
	CHECK_EQ(pace.share_percent, 25);
	gc_pace_set_share(&pace, 0);
	CHECK_EQ(pace.share_percent, 1);
	gc_pace_set_share(&pace, 100);
	CHECK_EQ(pace.share_percent, 50);
}

/* Runs turns of 1 ms, each rest @late_ns too long; returns per mille of the time that was run. */
static uint64_t duty_share(uint32_t percent, uint64_t late_ns)
{
	struct gc_duty duty = { 0 };
	uint64_t ran = 0, rested = 0, last = 0;

	for (int i = 0; i < 1000; i++) {
		uint64_t rest = gc_duty_rest(&duty, percent, MS, last);

		last = rest ? rest + late_ns : 0;
		ran += MS;
		rested += last;
	}
	return ran * 1000 / (ran + rested);
}

TEST(duty, "gc_pace/workers: a worker's duty is exact to 1 %, however late it is woken")
{
	for (uint32_t percent = 1; percent < 100; percent++)
		for (uint64_t late_ns = 0; late_ns <= 800 * 1000; late_ns += 100 * 1000) {
			uint64_t share = duty_share(percent, late_ns);

			CHECK(share + 10 >= percent * 10 && share <= percent * 10 + 10);
		}
}

TEST(starved, "gc_pace/workers: one that has rested too long forgets all but 10 ms of it, and so does one that ran long")
{
	struct gc_duty duty = { 0 };
	uint64_t streak_ns = 0;

	gc_duty_rest(&duty, 50, MS, 5 * SECOND);
	while (!gc_duty_rest(&duty, 50, MS, 0))
		streak_ns += MS;
	CHECK_EQ(streak_ns, 10 * MS);
	duty = (struct gc_duty){ 0 };
	CHECK_EQ(gc_duty_rest(&duty, 25, 5 * SECOND, 0), 30 * MS);
	CHECK_EQ(gc_duty_rest(&duty, 25, MS, 30 * MS), 3 * MS);
	for (int i = 0; i < 100; i++)
		CHECK(gc_duty_rest(&duty, 25, 5 * SECOND, 0) <= 30 * MS);
}

/* ---------------------------------------------------------------- bounds */

TEST(bucket, "gc_pace/cap: full when the collector has had a second of each CPU more than mutators; nothing is saved up")
{
	struct gc_pace pace = fresh(2);

	gc_pace_cpu(&pace, 0, 1000 * SECOND);
	for (int i = 0; i < 199; i++)
		gc_pace_cpu(&pace, 20 * MS, 10 * MS);
	CHECK(!pace.capped);
	gc_pace_cpu(&pace, 20 * MS, 10 * MS);
	CHECK(pace.capped);
	gc_pace_cpu(&pace, 10 * MS, 10 * MS);
	CHECK_EQ(pace.nr_capped, 1);
	gc_pace_cpu(&pace, 5 * MS, 15 * MS);
	CHECK(!pace.capped);
	gc_pace_cpu(&pace, 100 * SECOND, 0);
	CHECK_EQ(pace.nr_capped, 2);
	gc_pace_validate(&pace);
	/* Also the longest stretch is worked off: twice the bucket is all that is remembered. */
	for (int i = 0; i < 200; i++)
		gc_pace_cpu(&pace, 5 * MS, 15 * MS);
	CHECK(pace.capped);
	gc_pace_cpu(&pace, 5 * MS, 15 * MS);
	CHECK(!pace.capped);
}

TEST(brim, "gc_pace/cap: a collector that takes all it gets has half of the CPU in the mean")
{
	struct gc_pace pace = fresh(4);
	uint64_t collector = 0, all = 0;

	for (int i = 0; i < 100000; i++) {
		uint64_t now = (pace.capped ? 10 : 40) * MS;

		gc_pace_cpu(&pace, now, 40 * MS - now);
		collector += now;
		all += 40 * MS;
	}
	CHECK(collector * 1000 / all >= 499 && collector * 1000 / all <= 502);
}

TEST(late, "gc_pace/goal: cycles that end beyond it are counted, with the worst")
{
	struct gc_pace pace = fresh(1);
	static const uint64_t ends[] = { 200, 205, 230, 201, 150 };

	cycle(&pace, 100 * MiB, 0, 10 * MiB);
	pace.nr_late = pace.late_bytes = 0;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		gc_pace_begin(&pace, 190 * MiB, 190 * MiB);
		gc_pace_end(&pace, &(struct gc_pace_cycle){ .live_bytes = 100 * MiB, .heap_work = 100 * MiB, .heap_bytes = ends[i] * MiB });
	}
	CHECK_EQ(pace.nr_late, 3);
	CHECK_EQ(pace.late_bytes, 30 * MiB);
}

/* What two allocations see at a limit of 100 MiB. */
struct world {
	struct gc_pace pace;
	struct {
		struct gc_wait wait;
		bool asked;
		uint64_t begun;	/* cycles, when it asked first */
	} asks[2];
	uint64_t told_begun, nr_told;
	bool told;
	size_t seen[GC_PACE_OVERSHOOT + 1];
};

static bool live_fits(const struct world *world)
{
	return world->pace.live_bytes <= 95 * MiB;
}

/* 101 MiB are wanted. Checks that the verdict is one that the contract allows. */
static void ask(struct world *world, size_t which)
{
	bool overshoots = world->pace.policy == GC_PACE_POLICY_OVERSHOOT;
	uint64_t ended = world->pace.nr_ended;
	enum gc_pace_verdict verdict;

	if (!world->asks[which].asked)
		world->asks[which].begun = world->pace.nr_begun;
	world->asks[which].asked = true;
	verdict = gc_pace_verdict(&world->pace, &world->asks[which].wait, 99 * MiB, 2 * MiB);
	world->seen[verdict]++;
	CHECK(verdict != GC_PACE_GO);
	CHECK(verdict != GC_PACE_FAIL || (!overshoots && world->told && ended > world->told_begun && ended > world->asks[which].begun));
	CHECK(verdict != GC_PACE_OVERSHOOT ||
	      (overshoots && ((world->told && ended > world->told_begun) || (world->pace.capped && !live_fits(world)))));
	CHECK(verdict == GC_PACE_OVERSHOOT || !(overshoots && world->pace.capped && !live_fits(world)));
	CHECK(verdict != GC_PACE_TELL || (!world->told && ended > world->asks[which].begun));
	/* Who has waited enough gets an answer. */
	CHECK(verdict != GC_PACE_COLLECT || ended <= world->asks[which].begun + 1 || world->told);
	if (verdict == GC_PACE_TELL) {
		world->told = true;
		world->told_begun = world->asks[which].begun = world->pace.nr_begun;
		world->nr_told++;
	}
	if (verdict >= GC_PACE_FAIL) {
		world->asks[which].asked = false;
		world->asks[which].wait = (struct gc_wait){ 0 };
	}
}

static void event(struct world *world, unsigned int which)
{
	uint64_t live = which == 3 ? 95 * MiB : 96 * MiB;

	if (which < 2) {
		ask(world, which);
	} else if (which < 4) {
		if (!gc_pace_is_running(&world->pace))
			gc_pace_begin(&world->pace, 99 * MiB, 99 * MiB);
		else {
			gc_pace_end(&world->pace, &(struct gc_pace_cycle){ .live_bytes = live, .heap_work = live });
			world->told = world->told && which == 2;
		}
	} else {
		world->pace.capped = !world->pace.capped;
	}
}

static size_t walk(const struct world *world, int depth)
{
	size_t nr = 1;

	for (unsigned int which = 0; depth && which < 5; which++) {
		struct world next = *world;

		event(&next, which);
		nr += walk(&next, depth - 1);
	}
	return nr;
}

TEST(verdicts, "gc_pace/limit: every order of nine events of two allocations, cycles that find room or none, and the cap: each verdict is allowed")
{
	for (int policy = GC_PACE_POLICY_OVERSHOOT; policy <= GC_PACE_POLICY_FAIL; policy++) {
		struct world world = { .pace = fresh(1) };

		gc_pace_set_limit(&world.pace, 100 * MiB, (enum gc_pace_policy)policy);
		CHECK_EQ(walk(&world, harness_sanitized() ? 8 : 9), harness_sanitized() ? 488281 : 2441406);
	}
}

#define ANSWERS_MAX 30

/* A request on its own: asks, and does what it is told to, until the verdict is no longer to wait. */
static const char *answers(struct gc_pace *pace, uint64_t live, char *text)
{
	struct gc_wait wait = { 0 };
	char *at = text;

	*at = 0;
	for (int i = 0; i < ANSWERS_MAX; i++) {
		enum gc_pace_verdict verdict = gc_pace_verdict(pace, &wait, 99 * MiB, 2 * MiB);

		*at++ = "gctafo"[verdict];
		*at = 0;
		if (verdict == GC_PACE_COLLECT || verdict == GC_PACE_ALONE)
			cycle(pace, live, 0, 0);
		else if (verdict != GC_PACE_TELL)
			break;
	}
	return text;
}

TEST(requests, "gc_pace/limit: collect, tell, collect, then the policy; told once until what lives fits again")
{
	struct gc_pace pace = fresh(1);
	struct gc_wait wait = { 0 };
	char text[ANSWERS_MAX + 1];

	gc_pace_set_limit(&pace, 100 * MiB, GC_PACE_POLICY_FAIL);
	CHECK_EQ(gc_pace_verdict(&pace, &wait, 98 * MiB, 2 * MiB), GC_PACE_GO);
	CHECK_STR(answers(&pace, 99 * MiB, text), "ctcaf");
	CHECK_STR(answers(&pace, 99 * MiB, text), "caf");
	cycle(&pace, 50 * MiB, 0, 0);
	CHECK_STR(answers(&pace, 99 * MiB, text), "ctcaf");
	/* The cycle that runs already began too early to see what was let go. */
	gc_pace_begin(&pace, 99 * MiB, 99 * MiB);
	CHECK_EQ(gc_pace_verdict(&pace, &wait, 99 * MiB, 2 * MiB), GC_PACE_COLLECT);
	gc_pace_end(&pace, &(struct gc_pace_cycle){ .live_bytes = 99 * MiB });
	CHECK_EQ(gc_pace_verdict(&pace, &wait, 99 * MiB, 2 * MiB), GC_PACE_COLLECT);
	gc_pace_memory(&pace, 90 * MiB, 10 * MiB);
	wait = (struct gc_wait){ 0 };
	CHECK_EQ(gc_pace_verdict(&pace, &wait, 90 * MiB, 1), GC_PACE_COLLECT);
	gc_pace_memory(&pace, 90 * MiB, 0);
	gc_pace_set_limit(&pace, 100 * MiB, GC_PACE_POLICY_OVERSHOOT);
	CHECK_STR(answers(&pace, 99 * MiB, text), "ctco");
	CHECK_STR(answers(&pace, 99 * MiB, text), "o");
	CHECK_EQ(pace.nr_failed, 3);
	CHECK_EQ(pace.nr_told, 3);
	CHECK_EQ(pace.nr_overshot, 2);
}

TEST(no_room, "gc_pace/limit: where what lives fits in each cycle, and there is no room all the same, nine cycles are waited for; before a refusal one more, alone")
{
	struct gc_pace pace = fresh(1);
	struct gc_wait wait = { 0 };
	char text[ANSWERS_MAX + 1];

	gc_pace_set_limit(&pace, 100 * MiB, GC_PACE_POLICY_FAIL);
	CHECK_STR(answers(&pace, 50 * MiB, text), "ctctctctctctctctcaf");
	CHECK_EQ(pace.nr_failed, 1);
	gc_pace_set_limit(&pace, 100 * MiB, GC_PACE_POLICY_OVERSHOOT);
	CHECK_STR(answers(&pace, 50 * MiB, text), "ctctctctctctctctco");
	/* Others tell the program again and again, and take what it lets go. */
	for (int i = 0; i <= GC_PACE_MOST_WAITS; i++) {
		CHECK_EQ(gc_pace_verdict(&pace, &wait, 99 * MiB, 2 * MiB), GC_PACE_COLLECT);
		cycle(&pace, 50 * MiB, 0, 0);
		pace.told = true;
		pace.told_begun = pace.nr_begun;
	}
	CHECK_EQ(gc_pace_verdict(&pace, &wait, 99 * MiB, 2 * MiB), GC_PACE_OVERSHOOT);
}

TEST(no_cycle, "gc_pace/limit: where no cycle can be had, the next verdict is the policy's")
{
	for (int policy = GC_PACE_POLICY_OVERSHOOT; policy <= GC_PACE_POLICY_FAIL; policy++) {
		struct gc_pace pace = fresh(1);
		struct gc_wait wait = { 0 };

		gc_pace_set_limit(&pace, 100 * MiB, (enum gc_pace_policy)policy);
		CHECK_EQ(gc_pace_verdict(&pace, &wait, 99 * MiB, 2 * MiB), GC_PACE_COLLECT);
		gc_pace_wait_no_more(&wait);
		CHECK_EQ(gc_pace_verdict(&pace, &wait, 99 * MiB, 2 * MiB), policy == GC_PACE_POLICY_FAIL ? GC_PACE_FAIL : GC_PACE_OVERSHOOT);
	}
}
