// SPDX-License-Identifier: MIT
/* How memory goes back under simulated loads: steady, spike, sawtooth, day and night; and within its share of CPU. */
#include "pace.h"
#include "tests/harness.h"

#define MS ((uint64_t)1000 * 1000)
#define SECOND (1000 * MS)
#define TICK (10 * MS)

/* A heap that is only numbers: what is used is given, what is idle follows. */
struct sim {
	struct pace pace;
	uint64_t now_ns, used, idle, given, spent_ns, cost_ns, taken;
};

/* The program uses @used chunks now, the heap takes idle ones first; then the pacer looks. */
static void step(struct sim *sim, uint64_t used)
{
	uint64_t held = sim->used + sim->idle, peak = used > sim->used ? used : sim->used, nr;

	if (used > held)
		sim->taken += used - held;
	sim->idle = used > held ? 0 : held - used;
	sim->used = used;
	sim->now_ns += TICK;
	nr = pace_tick(&sim->pace, sim->now_ns, peak, used, sim->idle);
	CHECK(nr <= sim->idle);
	pace_spent(&sim->pace, nr, nr * sim->cost_ns);
	sim->idle -= nr;
	sim->given += nr;
	sim->spent_ns += nr * sim->cost_ns;
}

static struct sim sim_start(uint64_t used, uint64_t cost_ns)
{
	struct sim sim = { .now_ns = 5 * SECOND, .used = used, .cost_ns = cost_ns };

	step(&sim, used);
	return sim;
}

TEST(steady, "pace/a steady heap is left alone")
{
	struct sim sim = sim_start(100, 30000);

	for (int i = 0; i < 10000; i++)
		step(&sim, 100 - (uint64_t)i % 10);
	CHECK_EQ(sim.given, 0);
}

TEST(all_free, "pace/of a GiB that is freed, 90 % are back within 2 s, and all but two chunks soon after")
{
	for (uint64_t cost_ns = 5000; cost_ns <= 100000; cost_ns += 5000) {
		struct sim sim = sim_start(512, cost_ns);

		for (int i = 0; i < 200; i++)
			step(&sim, 0);
		CHECK(sim.idle <= 51);
		for (int i = 0; i < 200; i++)
			step(&sim, 0);
		CHECK_EQ(sim.idle, PACE_KEEP_CHUNKS);
	}
}

TEST(spike, "pace/after a spike the heap is back at a tenth over what it uses")
{
	struct sim sim = sim_start(50, 30000);

	for (int i = 0; i < 20; i++)
		step(&sim, 1000);
	for (int i = 0; i < 1000; i++)
		step(&sim, 50);
	CHECK_EQ(sim.idle, 5);
}

TEST(sawtooth, "pace/waves shorter than a window keep a tenth of their crest, and pay little")
{
	struct sim sim = sim_start(100, 30000);
	uint64_t taken;

	for (int i = 0; i < 1000; i++)
		step(&sim, 100 - (uint64_t)i % 10);
	taken = sim.taken;
	for (int i = 0; i < 1000; i++)
		step(&sim, i % 20 < 10 ? 100 : 95);
	CHECK_EQ(sim.taken, taken);
}

TEST(day, "pace/a day of rise and fall costs at most 1 % of a CPU, whatever a chunk costs")
{
	for (uint64_t cost_ns = 1000; cost_ns < 2000000; cost_ns *= 3) {
		struct sim sim = sim_start(10, cost_ns);
		uint64_t begin = sim.now_ns;

		for (uint64_t i = 0; i < 24 * 3600; i++) {
			uint64_t hour = i / 3600, crest = hour < 12 ? hour : 24 - hour;

			step(&sim, 10 + crest * 100 + i * 7919 % 37);
		}
		/* What was saved up before, and one chunk too many, are not in the share. */
		CHECK(sim.spent_ns <= (sim.now_ns - begin) / 100 + PACE_SAVED_NS / 100 + 2 * cost_ns + PACE_FIRST_COST_NS * 20);
	}
}
