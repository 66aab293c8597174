// SPDX-License-Identifier: MIT
/*
 * The collector's pacing under simulated programs (gc_sim.h): how far heaps get beyond their goals, what the collector and assists take of the CPU,
 * how many cycles there are. In the manner of Go's tests of its own pacer. Every run is the same, but for jitter, one of whose seeds is the harness's.
 * Notes say what came out; bars are a little beyond.
 */
#include "gc_sim.h"

#include "tests/harness.h"

/* Marking is 1 GB/s, so rates are per mille of it. At 80 workers alone can do it within the trigger's bounds; at 400 they cannot. */
#define LIGHT 80
#define HEAVY 400
#define FAST 1600

static struct sim sim;

static uint64_t live_64m(uint64_t ns)
{
	(void)ns;
	return 64 * MiB;
}

static uint64_t alloc_light(uint64_t ns)
{
	(void)ns;
	return LIGHT;
}

static uint64_t alloc_heavy(uint64_t ns)
{
	(void)ns;
	return HEAVY;
}

static const struct sim_load usual = {
	.name = "usual",
	.nr_cpus = 2,
	.nr_threads = 2,
	.live = live_64m,
	.alloc = alloc_light,
	.mark_rate = 1000,
	.roots_work = 64 * KiB,
	.handshake_ns = 200 * SIM_US,
	.percent = 100,
};

static void note(const char *name)
{
	const struct sim_sums *sums = &sim.sums;

	harness_note("%s: %lu cycles, collector %lu.%lu %% of CPU; in cycles workers %lu.%lu %%, assists %lu.%lu %%; at most %lu MiB, %lu.%lu %% over the goal",
		     name, (unsigned long)sums->nr_cycles, (unsigned long)sim_collector_share(&sim) / 10, (unsigned long)sim_collector_share(&sim) % 10,
		     (unsigned long)sim_in_cycles(&sim, sums->worker_ns) / 10, (unsigned long)sim_in_cycles(&sim, sums->worker_ns) % 10,
		     (unsigned long)sim_in_cycles(&sim, sums->assist_ns) / 10, (unsigned long)sim_in_cycles(&sim, sums->assist_ns) % 10,
		     (unsigned long)(sums->peak_bytes / MiB), (unsigned long)sim_late(&sim) / 10, (unsigned long)sim_late(&sim) % 10);
}

/* What holds for every load: a slice is short, what an allocation waits for assists is bounded. */
static void observe(const char *name, uint64_t ns)
{
	sim_mark(&sim);
	sim_run(&sim, ns);
	gc_pace_validate(&sim.pace);
	note(name);
	CHECK(sim.sums.slice_ns <= GC_PACE_SLICE_NS);
	CHECK(sim.sums.call_ns <= GC_PACE_MOST_SLICES * GC_PACE_SLICE_NS * (sim.load.piece_bytes / GC_PACE_PIECE_BYTES + 1));
}

static void simulate(const struct sim_load *load, uint64_t warm_ns, uint64_t ns)
{
	sim_start(&sim, load);
	sim_run(&sim, warm_ns);
	observe(load->name, ns);
}

/* Where cycles ended, in per mille of their goals, in the mean. */
static uint64_t mean_end(void)
{
	double sum = 0;

	for (uint64_t i = 0; i < sim.sums.nr_cycles; i++)
		sum += (double)sim.cycles[i].end_bytes / (double)sim.cycles[i].goal_bytes;
	return (uint64_t)(sum * 1000 / (double)sim.sums.nr_cycles);
}

/* ---------------------------------------------------------------- steady */

TEST(steady, "gc_pace/steady: on 1 to 16 CPUs workers have 25 % +-5, assists next to nothing, cycles end at their goals")
{
	static const uint32_t cpus[] = { 1, 2, 3, 4, 6, 8, 16 };

	for (size_t i = 0; i < ARRAY_LEN(cpus); i++) {
		struct sim_load load = usual;
		uint64_t allocated;

		load.nr_cpus = load.nr_threads = cpus[i];
		simulate(&load, 5 * SIM_SECOND, 10 * SIM_SECOND);
		CHECK(sim_in_cycles(&sim, sim.sums.worker_ns) >= 225 && sim_in_cycles(&sim, sim.sums.worker_ns) <= 275);
		CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= 10);
		CHECK(sim_late(&sim) <= 5);
		CHECK(mean_end() >= 970);
		/* As many as it takes to fill the way from what lives to the goal. */
		allocated = sim.sums.allocated_bytes / (sim.pace.goal_bytes - sim.pace.live_bytes);
		CHECK(sim.sums.nr_cycles + 1 >= allocated && sim.sums.nr_cycles <= allocated + allocated / 10 + 1);
	}
}

TEST(heavy, "gc_pace/steady: where workers cannot keep up assists do, without going far beyond the goal or half of the CPU")
{
	struct sim_load load = usual;

	load.name = "heavy";
	load.alloc = alloc_heavy;
	simulate(&load, 5 * SIM_SECOND, 10 * SIM_SECOND);
	CHECK(sim_in_cycles(&sim, sim.sums.worker_ns) >= 225 && sim_in_cycles(&sim, sim.sums.worker_ns) <= 275);
	CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) >= 60 && sim_in_cycles(&sim, sim.sums.assist_ns) <= 160);
	CHECK(sim_collector_share(&sim) <= 250);
	CHECK(sim_late(&sim) <= 20);
	/* What is allocated while marking is 40 % of what lives then: so that is 10/6 of what can be reached. */
	CHECK(sim.sums.peak_bytes <= 2 * 64 * MiB * 10 / 6 * 105 / 100);
}

TEST(black, "gc_pace/steady: where nothing is allowed for what was allocated black, a heap is at most 2.6 times what lives, for cycles that are more")
{
	struct sim_load load = usual;

	load.name = "heavy, without black";
	load.alloc = alloc_heavy;
	load.without_black = true;
	simulate(&load, 5 * SIM_SECOND, 10 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= 64 * MiB * 26 / 10);
	CHECK(sim_collector_share(&sim) <= 300);
	CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= 320);
	CHECK(sim_late(&sim) <= 40);
}

TEST(idle, "gc_pace/steady: idle CPUs shorten cycles; the trigger does not count on them")
{
	struct sim_load load = usual;

	load.name = "idle CPUs";
	load.nr_cpus = 4;
	load.nr_threads = 1;
	load.uses_idle = true;
	load.alloc = alloc_heavy;
	simulate(&load, 3 * SIM_SECOND, 5 * SIM_SECOND);
	CHECK_EQ(sim.sums.assist_ns, 0);
	CHECK(sim.sums.peak_bytes <= 140 * MiB);
	sim.load.uses_idle = false;
	/* The next cycle is without them, and meets a trigger that has room for it. */
	sim_mark(&sim);
	while (!sim.sums.nr_cycles)
		sim_run(&sim, SIM_MS);
	CHECK(sim.cycles[0].assist_ns * 1000 / (sim.cycles[0].wall_ns * 4) <= 50);
}

TEST(no_pointers, "gc_pace/steady: where a tenth of the heap holds pointers, cycles are short and begin late")
{
	struct sim_load load = usual;

	load.name = "a tenth scanned";
	load.scan_percent = 10;
	simulate(&load, 5 * SIM_SECOND, 10 * SIM_SECOND);
	CHECK(sim_collector_share(&sim) <= 15);
	CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= 10);
	CHECK(sim.cycles[0].trigger_bytes * 100 >= sim.cycles[0].goal_bytes * 95);
	CHECK(sim_late(&sim) <= 5);
}

TEST(large_objects, "gc_pace/steady: objects of 2 MiB pay by their pieces, and not later ones for them")
{
	struct sim_load load = usual;

	load.name = "objects of 2 MiB";
	load.piece_bytes = 2 * MiB;
	load.alloc = alloc_heavy;
	simulate(&load, 3 * SIM_SECOND, 5 * SIM_SECOND);
	CHECK(sim_late(&sim) <= 60);
	CHECK(sim_collector_share(&sim) <= 250);
}

/* ---------------------------------------------------------------- other shapes */

static uint64_t live_grows(uint64_t ns)
{
	return 4 * MiB + ns / SIM_MS * 64 * KiB;
}

TEST(growing, "gc_pace/growing: 64 MiB/s for 8 s: the goal is passed by 12 % at most, and half of the CPU is the program's")
{
	struct sim_load load = usual;

	load.name = "growing";
	load.live = live_grows;
	load.alloc = alloc_heavy;
	simulate(&load, 0, 8 * SIM_SECOND);
	CHECK(sim_late(&sim) <= 120);
	CHECK(sim_collector_share(&sim) <= 300);
	CHECK(sim.sums.nr_cycles <= 40);
	/* All lives: what is held may be the goal and what is allocated while marking. */
	CHECK(sim.sums.peak_bytes <= live_grows(8 * SIM_SECOND) * 2 * 10 / 6);
}

static uint64_t live_explodes(uint64_t ns)
{
	return ns < 3 * SIM_SECOND ? 16 * MiB : (uint64_t)GiB;
}

TEST(exploding, "gc_pace/growing: all that is allocated lives: no cycle ends 2 % beyond the next goal, though it finds twice the work that it expects")
{
	struct sim_load load = usual;

	load.name = "exploding";
	load.live = live_explodes;
	load.alloc = alloc_heavy;
	simulate(&load, 3 * SIM_SECOND, 2 * SIM_SECOND);
	CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= 400);
	/* It uses what the next goal gives it. */
	CHECK(sim_late(&sim) > 200);
	for (uint64_t i = 0; i + 1 < sim.sums.nr_cycles; i++)
		CHECK(sim.cycles[i].end_bytes <= sim.cycles[i + 1].goal_bytes / 50 * 51);
}

static uint64_t live_shrinks(uint64_t ns)
{
	return ns < 8 * SIM_SECOND ? 256 * MiB : 16 * MiB;
}

TEST(shrinking, "gc_pace/shrinking: from 256 MiB to 16: two cycles later the heap is small")
{
	struct sim_load load = usual;

	load.name = "shrinking, before";
	load.live = live_shrinks;
	load.alloc = alloc_heavy;
	simulate(&load, 5 * SIM_SECOND, 3 * SIM_SECOND);
	sim_mark(&sim);
	while (sim.sums.nr_cycles < 3)
		sim_run(&sim, SIM_MS);
	CHECK(sim.pace.goal_bytes <= 2 * 16 * MiB * 10 / 6 * 110 / 100);
	observe("shrinking, after", 5 * SIM_SECOND);
	CHECK(sim_late(&sim) <= 20);
	CHECK(sim.sums.peak_bytes <= 2 * 16 * MiB * 10 / 6 * 107 / 100);
}

static uint64_t alloc_bursts(uint64_t ns)
{
	return ns % SIM_SECOND < 100 * SIM_MS ? 10 * LIGHT : LIGHT / 2;
}

TEST(bursty, "gc_pace/bursty: twenty times as fast for a tenth of each second: the goal is passed by 6 %, assists stay below a tenth")
{
	struct sim_load load = usual;

	load.name = "bursty";
	load.alloc = alloc_bursts;
	simulate(&load, 5 * SIM_SECOND, 20 * SIM_SECOND);
	CHECK(sim_late(&sim) <= 60);
	CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= 100);
	CHECK(sim_collector_share(&sim) <= 120);
}

TEST(jitter, "gc_pace/jitter: all rates 20 % up or down each millisecond, nine seeds: as steady")
{
	for (uint64_t seed = 0; seed < 9; seed++) {
		struct sim_load load = usual;

		load.name = "jitter";
		load.jitter_percent = 20;
		load.seed = seed ? seed : harness_seed();
		load.alloc = seed % 2 ? alloc_light : alloc_heavy;
		simulate(&load, 3 * SIM_SECOND, 5 * SIM_SECOND);
		CHECK(sim_in_cycles(&sim, sim.sums.worker_ns) >= 225 && sim_in_cycles(&sim, sim.sums.worker_ns) <= 275);
		CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= (seed % 2 ? 30 : 250));
		CHECK(sim_late(&sim) <= 20);
	}
}

static uint64_t live_tiny(uint64_t ns)
{
	(void)ns;
	return 200 * KiB;
}

TEST(tiny, "gc_pace/tiny: 200 KiB of heap: a cycle for 4 MiB of allocation, and little of the CPU")
{
	struct sim_load load = usual;

	load.name = "tiny";
	load.live = live_tiny;
	simulate(&load, 1 * SIM_SECOND, 5 * SIM_SECOND);
	CHECK(sim.sums.nr_cycles <= sim.sums.allocated_bytes / (7 * MiB / 2));
	CHECK(sim_collector_share(&sim) <= 10);
	CHECK(sim.sums.peak_bytes <= 4 * MiB + 128 * KiB);
	load.alloc = alloc_heavy;
	load.piece_bytes = 4 * KiB;
	simulate(&load, 1 * SIM_SECOND, 5 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= 5 * MiB);
	CHECK(sim_collector_share(&sim) <= 50);
}

static uint64_t alloc_faster(uint64_t ns)
{
	return ns < 5 * SIM_SECOND || ns >= 25 * SIM_SECOND ? LIGHT : FAST;
}

TEST(faster, "gc_pace/faster: twenty times the allocation: the heap finds a size and keeps it, half of the CPU is the program's; and back")
{
	struct sim_load load = usual;
	uint64_t before, first;

	load.name = "faster, before";
	load.alloc = alloc_faster;
	simulate(&load, 2 * SIM_SECOND, 3 * SIM_SECOND);
	before = sim.sums.peak_bytes;
	observe("faster, at once", SIM_SECOND);
	/* What was not expected is kept below the ceiling. */
	CHECK(sim_late(&sim) <= 1000 / 2 / GC_PACE_CEILING_SHARE + 50);
	sim_run(&sim, 4 * SIM_SECOND);
	observe("faster, soon", 5 * SIM_SECOND);
	first = sim.sums.peak_bytes;
	observe("faster, later", 10 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= first * 101 / 100);
	CHECK(sim.sums.peak_bytes <= 2 * 64 * MiB * 10 / 6 * 110 / 100);
	CHECK(sim_late(&sim) <= 30);
	CHECK(sim_collector_share(&sim) <= 510);
	sim_run(&sim, 10 * SIM_SECOND);
	observe("faster, after", 5 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= before * 101 / 100);
	CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= 10);
}

static uint64_t alloc_too_fast(uint64_t ns)
{
	return ns < 2 * SIM_SECOND ? LIGHT : 4 * FAST;
}

TEST(too_fast, "gc_pace/faster: six times as fast as marking: the collector is capped at half of the CPU, goals are passed, and the heap does not run away")
{
	struct sim_load load = usual;

	load.name = "too fast, soon";
	load.alloc = alloc_too_fast;
	simulate(&load, 12 * SIM_SECOND, 20 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= 1 * GiB);
	CHECK(sim.pace.nr_capped > 0 && sim.pace.nr_late > 0);
	observe("too fast, later", 40 * SIM_SECOND);
	/* How long the cap lasts in a cycle differs, and with it the peak; workers alone would let 1.2 GiB come in each cycle. */
	CHECK(sim.sums.peak_bytes <= 1 * GiB);
	CHECK(sim_collector_share(&sim) <= 505);
	CHECK(sim.sums.mutator_ns * 1000 / sim_cpu_ns(&sim) >= 490);
}

TEST(roots, "gc_pace/roots: 256 MiB of roots and hardly a heap: cycles are as rare as for a heap of that size")
{
	struct sim_load load = usual;

	load.name = "large roots";
	load.live = live_tiny;
	load.roots_work = 256 * MiB;
	simulate(&load, 10 * SIM_SECOND, 20 * SIM_SECOND);
	CHECK(sim_collector_share(&sim) <= 80);
	CHECK(sim_in_cycles(&sim, sim.sums.assist_ns) <= 10);
	CHECK(sim.sums.nr_cycles * 200 * MiB <= sim.sums.allocated_bytes);
	CHECK(sim_late(&sim) <= 10);
}

/* ---------------------------------------------------------------- settings */

TEST(percents, "gc_pace/percent: twice as much room, half as many cycles")
{
	static const uint32_t percents[] = { 50, 100, 200, 400 };
	uint64_t collector = 0;

	for (size_t i = 0; i < ARRAY_LEN(percents); i++) {
		struct sim_load load = usual;

		load.percent = percents[i];
		simulate(&load, 10 * SIM_SECOND, 40 * SIM_SECOND);
		CHECK(!i || sim_collector_share(&sim) * 100 <= collector * 65);
		CHECK(sim_late(&sim) <= 20);
		collector = sim_collector_share(&sim);
	}
}

static void until_marks(void)
{
	while (sim.phase != SIM_MARKS)
		sim_run(&sim, SIM_STEP);
	sim_run(&sim, 10 * SIM_MS);
}

TEST(percent_changes, "gc_pace/percent: changed in the middle of a cycle, up and down: holds for this cycle, and no mutator stands still")
{
	struct sim_load load = usual;
	uint64_t goal;

	load.alloc = alloc_heavy;
	load.name = "percent, before";
	simulate(&load, 3 * SIM_SECOND, 3 * SIM_SECOND);
	until_marks();
	goal = sim.pace.goal_bytes;
	gc_pace_set_percent(&sim.pace, 400);
	CHECK(sim.pace.goal_bytes > 2 * goal);
	observe("percent 400", 6 * SIM_SECOND);
	CHECK(sim_late(&sim) <= 20);
	CHECK(sim_collector_share(&sim) <= 120);
	until_marks();
	gc_pace_set_percent(&sim.pace, 50);
	sim_mark(&sim);
	while (!sim.sums.nr_cycles)
		sim_run(&sim, SIM_MS);
	/* The heap is far beyond the new goal: so many slices for each piece, and not one more. */
	CHECK(sim.sums.call_ns > 2 * GC_PACE_SLICE_NS && sim.sums.call_ns <= GC_PACE_MOST_SLICES * GC_PACE_SLICE_NS);
	CHECK(sim.sums.allocated_bytes > 0);
	sim_run(&sim, 2 * SIM_SECOND);
	observe("percent 50", 3 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= 64 * MiB * 3 / 2 * 100 / 80 * 118 / 100);
	gc_pace_set_percent(&sim.pace, GC_PACE_OFF);
	observe("percent off", 3 * SIM_SECOND);
	CHECK(sim.sums.nr_cycles <= 1);
	gc_pace_set_percent(&sim.pace, 100);
	sim_run(&sim, 2 * SIM_SECOND);
	observe("percent 100", 3 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= 2 * 64 * MiB * 10 / 6 * 105 / 100);
}

TEST(share, "gc_pace/share: 10 % and 50 % of four CPUs are what workers have")
{
	static const uint32_t shares[] = { 10, 40, 50 };

	for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
		struct sim_load load = usual;

		load.nr_cpus = load.nr_threads = 4;
		load.alloc = alloc_heavy;
		sim_start(&sim, &load);
		gc_pace_set_share(&sim.pace, shares[i]);
		sim_run(&sim, 3 * SIM_SECOND);
		observe("share", 5 * SIM_SECOND);
		CHECK(sim_in_cycles(&sim, sim.sums.worker_ns) >= shares[i] * 10 - 50);
		CHECK(sim_in_cycles(&sim, sim.sums.worker_ns) <= shares[i] * 10 + 50);
	}
}

/* ---------------------------------------------------------------- limits */

static const struct sim_load limited = {
	.nr_cpus = 2,
	.nr_threads = 2,
	.live = live_64m,
	.alloc = alloc_light,
	.mark_rate = 1000,
	.roots_work = 64 * KiB,
	.handshake_ns = 200 * SIM_US,
	.percent = 100,
	.overhead_percent = 2,
};

static void check_below_limit(void)
{
	harness_note("over the limit by %lu KiB; capped %lu times, %lu failed, told %lu times, %lu pieces overshot",
		     (unsigned long)(sim.sums.over_limit_bytes / KiB), (unsigned long)sim.pace.nr_capped, (unsigned long)sim.sums.nr_failed,
		     (unsigned long)sim.sums.nr_told, (unsigned long)sim.sums.nr_overshot);
	CHECK(sim.sums.over_limit_bytes * 100 <= sim.load.limit_bytes * 3);
}

TEST(roomy, "gc_pace/limit: one that is not reached changes nothing; with percent off it is what there is to fill")
{
	struct sim_load load = limited;

	load.limit_bytes = 512 * MiB;
	load.name = "roomy limit";
	simulate(&load, 5 * SIM_SECOND, 10 * SIM_SECOND);
	CHECK(sim.sums.peak_bytes <= 160 * MiB);
	check_below_limit();
	load.percent = GC_PACE_OFF;
	load.name = "roomy limit, off";
	simulate(&load, 5 * SIM_SECOND, 20 * SIM_SECOND);
	CHECK(sim.sums.nr_cycles >= 3 && sim.sums.nr_cycles <= 8);
	CHECK(sim.sums.peak_bytes >= 460 * MiB && sim.sums.peak_bytes <= 495 * MiB);
	CHECK_EQ(sim.sums.over_limit_bytes, 0);
	CHECK(sim_late(&sim) <= 5);
	CHECK_EQ(sim.sums.nr_told, 0);
}

TEST(live_80, "gc_pace/limit: live 80 % of it: never above by 3 %, half of the CPU at most, nothing fails and nobody is told")
{
	for (int policy = GC_PACE_POLICY_OVERSHOOT; policy <= GC_PACE_POLICY_FAIL; policy++)
		for (int i = 0; i < 4; i++) {
			struct sim_load load = limited;

			load.limit_bytes = 80 * MiB;
			load.name = "live 80 % of the limit";
			load.alloc = i % 2 ? alloc_heavy : alloc_light;
			load.percent = i / 2 ? GC_PACE_OFF : 100;
			load.policy = (enum gc_pace_policy)policy;
			simulate(&load, 5 * SIM_SECOND, 20 * SIM_SECOND);
			check_below_limit();
			CHECK(sim_collector_share(&sim) <= 505);
			CHECK_EQ(sim.sums.nr_failed + sim.sums.nr_told + sim.sums.nr_overshot, 0);
		}
}

static uint64_t live_above(uint64_t ns)
{
	uint64_t live = 8 * MiB + ns / SIM_MS * 64 * KiB;

	return live < 150 * MiB ? live : 150 * MiB;
}

TEST(above, "gc_pace/limit: live 150 % of it, overshoot: told once, half of the CPU is the program's, and the heap keeps its size")
{
	struct sim_load load = limited;
	uint64_t peak;

	load.name = "live above the limit";
	load.limit_bytes = 100 * MiB;
	load.live = live_above;
	simulate(&load, 0, 10 * SIM_SECOND);
	CHECK_EQ(sim.sums.nr_told, 1);
	CHECK(sim.sums.nr_overshot > 0);
	CHECK(sim_collector_share(&sim) <= 520);
	peak = sim.sums.peak_bytes;
	observe("later", 20 * SIM_SECOND);
	CHECK_EQ(sim.sums.nr_told, 0);
	CHECK(sim.sums.peak_bytes <= peak * 101 / 100);
	CHECK(sim.sums.peak_bytes <= 150 * MiB * 120 / 100);
	CHECK(sim_collector_share(&sim) <= 505);
	CHECK(sim.sums.mutator_ns * 1000 / sim_cpu_ns(&sim) >= 490);
}

TEST(fails, "gc_pace/limit: live 150 % of it, fail: told once, then refused, and never above it")
{
	struct sim_load load = limited;

	load.name = "refused above the limit";
	load.limit_bytes = 100 * MiB;
	load.live = live_above;
	load.policy = GC_PACE_POLICY_FAIL;
	simulate(&load, 0, 20 * SIM_SECOND);
	CHECK_EQ(sim.sums.nr_told, 1);
	CHECK(sim.sums.nr_failed > 0);
	CHECK_EQ(sim.sums.nr_overshot, 0);
	CHECK(sim.sums.over_limit_bytes <= sim.load.limit_bytes / 1000);
	CHECK(sim_collector_share(&sim) <= 550);
}

TEST(sheds, "gc_pace/limit: a program that lets half of it go when told goes on below the limit, and is told again the next time")
{
	struct sim_load load = limited;

	load.name = "sheds half";
	load.limit_bytes = 100 * MiB;
	load.live = live_above;
	load.policy = GC_PACE_POLICY_FAIL;
	load.shed_percent = 50;
	simulate(&load, 0, 20 * SIM_SECOND);
	CHECK_EQ(sim.sums.nr_told, 1);
	CHECK_EQ(sim.sums.nr_failed, 0);
	check_below_limit();
	sim.kept_percent = 100;
	observe("again", 20 * SIM_SECOND);
	CHECK_EQ(sim.sums.nr_told, 1);
	CHECK_EQ(sim.sums.nr_failed, 0);
}

TEST(lowered, "gc_pace/limit: lowered in the middle of a cycle: the heap is below it after the next")
{
	struct sim_load load = limited;

	load.name = "limit, before";
	simulate(&load, 5 * SIM_SECOND, 5 * SIM_SECOND);
	until_marks();
	sim.load.limit_bytes = 100 * MiB;
	gc_pace_set_limit(&sim.pace, 100 * MiB, GC_PACE_POLICY_OVERSHOOT);
	gc_pace_memory(&sim.pace, sim.heap_bytes, sim_overhead(&sim));
	sim_mark(&sim);
	while (sim.sums.nr_cycles < 2)
		sim_run(&sim, SIM_MS);
	observe("limit lowered", 5 * SIM_SECOND);
	CHECK_EQ(sim.sums.over_limit_bytes, 0);
	CHECK_EQ(sim.sums.nr_told, 0);
}
