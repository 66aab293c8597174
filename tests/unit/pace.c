// SPDX-License-Identifier: MIT
/* How memory goes back under simulated loads: steady, spike, sawtooth, day and night; and within its share of CPU. */
#include "pace_sim.h"

#include "tests/harness.h"

#define SECOND SIM_SECOND

TEST(steady, "pace/a steady heap is left alone")
{
	struct sim sim = sim_start(100, 30000);

	for (int i = 0; i < 10000; i++)
		sim_step(&sim, 100 - (uint64_t)i % 10);
	CHECK_EQ(sim.given, 0);
}

TEST(all_free, "pace/of a GiB that is freed, 90 % are back within 2 s, and all but two chunks soon after")
{
	for (uint64_t cost_ns = 5000; cost_ns <= 100000; cost_ns += 5000) {
		struct sim sim = sim_start(512, cost_ns);

		for (int i = 0; i < 200; i++)
			sim_step(&sim, 0);
		CHECK(sim.idle <= 51);
		for (int i = 0; i < 200; i++)
			sim_step(&sim, 0);
		CHECK_EQ(sim.idle, PACE_KEEP_CHUNKS);
	}
}

TEST(spike, "pace/after a spike the heap is back at a tenth over what it uses")
{
	struct sim sim = sim_start(50, 30000);

	for (int i = 0; i < 20; i++)
		sim_step(&sim, 1000);
	for (int i = 0; i < 1000; i++)
		sim_step(&sim, 50);
	CHECK_EQ(sim.idle, 5);
}

TEST(sawtooth, "pace/waves shorter than a window keep a tenth of their crest, and pay little")
{
	struct sim sim = sim_start(100, 30000);
	uint64_t taken;

	for (int i = 0; i < 1000; i++)
		sim_step(&sim, 100 - (uint64_t)i % 10);
	taken = sim.taken;
	for (int i = 0; i < 1000; i++)
		sim_step(&sim, i % 20 < 10 ? 100 : 95);
	CHECK_EQ(sim.taken, taken);
}

TEST(day, "pace/a day of rise and fall costs at most 1 % of a CPU, whatever a chunk costs")
{
	for (uint64_t cost_ns = 1000; cost_ns < 2000000; cost_ns *= 3) {
		struct sim sim = sim_start(10, cost_ns);
		uint64_t begin = sim.now_ns;

		for (uint64_t i = 0; i < 24 * 3600; i++) {
			uint64_t hour = i / 3600, crest = hour < 12 ? hour : 24 - hour;

			sim_step(&sim, 10 + crest * 100 + i * 7919 % 37);
		}
		/* What was saved up before, and one chunk too many, are not in the share. */
		CHECK(sim.spent_ns <= (sim.now_ns - begin) / 100 + PACE_SAVED_NS / 100 + 2 * cost_ns + PACE_FIRST_COST_NS * 20);
	}
}

/* CPU time of 100 s of a heap with @used chunks and more idle ones than can be given back, in parts of a hundred thousand. */
static uint64_t share(uint64_t used, uint64_t cost_ns)
{
	struct sim sim = sim_start(used, cost_ns);

	for (int i = 0; i < 10000; i++) {
		sim.idle = 10000;
		sim_step(&sim, used);
	}
	return sim.spent_ns * 100000 / (100 * SECOND);
}

TEST(shares, "pace/where there is always more to give back it takes 1 % of a CPU and no less, or 5 % when nothing is in use")
{
	for (uint64_t cost_ns = 10000; cost_ns < 10000000; cost_ns *= 3) {
		uint64_t busy = share(100, cost_ns), empty = share(0, cost_ns);

		/* More: what was saved in a second, and the first chunks, of which it is not known yet what they cost. Less: what is left of a chunk. */
		if (busy < 980 || busy > 1050 || empty < 4900 || empty > 5150)
			harness_fail(__FILE__, __LINE__, "%lu ns each: %lu and %lu in 100,000", (unsigned long)cost_ns, (unsigned long)busy, (unsigned long)empty);
	}
}

/* Runs a load; what was idle in the mean, in per mille of what was used. */
static uint64_t idle_per_mille(struct sim *sim, uint64_t (*load)(uint64_t), uint64_t ns)
{
	*sim = sim_start(load(0), 30000);
	for (uint64_t at = 0; at < ns; at += SIM_TICK)
		sim_step(sim, load(at));
	return (uint64_t)(sim->idle_sum * 1000 / sim->used_sum);
}

TEST(loads, "pace/steady, spike and sawtooth: how much is idle, and how much comes back too late")
{
	static const struct {
		const char *name;
		uint64_t (*load)(uint64_t ns);
		uint64_t most_idle_per_mille, most_taken;
	} loads[] = {
		{ "steady", sim_steady, 30, 20 },
		/* Each of ten spikes is taken anew. */
		{ "spike", sim_spike, 200, 10 * 450 },
		/* Each of 75 falls is given back within its four seconds, and taken again. */
		{ "sawtooth", sim_sawtooth, 150, 75 * 300 },
	};

	for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
		struct sim sim;
		uint64_t idle = idle_per_mille(&sim, loads[i].load, 300 * SECOND);

		harness_note("%s: %lu per mille idle, %lu chunks taken, %.3f %% of a CPU", loads[i].name, (unsigned long)idle,
			     (unsigned long)sim.taken, (double)sim.spent_ns / (double)(300 * SECOND) * 100);
		CHECK(idle <= loads[i].most_idle_per_mille);
		CHECK(sim.taken <= loads[i].most_taken);
	}
}

TEST(whole_day, "pace/24 hours of a service, tick by tick: at most a tenth idle in the mean, 0.1 % of a CPU")
{
	struct sim sim;
	uint64_t idle = idle_per_mille(&sim, sim_day, 24 * SIM_HOUR);

	harness_note("%lu per mille idle, %lu chunks taken, %lu given back, %.4f %% of a CPU", (unsigned long)idle, (unsigned long)sim.taken,
		     (unsigned long)sim.given, (double)sim.spent_ns / (double)(24 * SIM_HOUR) * 100);
	CHECK(idle <= 100);
	CHECK(sim.spent_ns <= 24 * SIM_HOUR / 1000);
	/* What went comes back, but for the difference of both ends. */
	CHECK(sim.given + sim.used + sim.idle == sim.taken + sim_day(0));
}
