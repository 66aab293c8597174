// SPDX-License-Identifier: MIT
/*
 * Tables of the collector's simulation for tests/plot/plot-gc-pace: gc_pace LOAD prints time in seconds, the heap, its goal, what the program can reach (in
 * MiB) and the collector's share of CPU in the last 120 ms (in percent), a line for each step of the plot.
 */
#include <stdio.h>
#include <string.h>

#include "tests/model/gc_sim.h"

#define EVERY (40 * SIM_MS)
#define SHARE_WINDOW (120 * SIM_MS)

static uint64_t live_steady(uint64_t ns)
{
	(void)ns;
	return 64 * MiB;
}

static uint64_t live_up_and_down(uint64_t ns)
{
	uint64_t ms = ns / SIM_MS;

	return ms < 3000 ? 16 * MiB + ms * 64 * KiB : ms < 4500 ? 203 * MiB : 16 * MiB;
}

static uint64_t live_shrinks(uint64_t ns)
{
	return ns < 4 * SIM_SECOND ? 256 * MiB : 16 * MiB;
}

static uint64_t live_tiny(uint64_t ns)
{
	(void)ns;
	return 200 * KiB;
}

static uint64_t live_to_80(uint64_t ns)
{
	uint64_t live = 8 * MiB + ns / SIM_MS * 16 * KiB;

	return live < 80 * MiB ? live : 80 * MiB;
}

static uint64_t live_to_150(uint64_t ns)
{
	uint64_t live = 8 * MiB + ns / SIM_MS * 32 * KiB;

	return live < 150 * MiB ? live : 150 * MiB;
}

static uint64_t alloc_light(uint64_t ns)
{
	(void)ns;
	return 80;
}

static uint64_t alloc_heavy(uint64_t ns)
{
	(void)ns;
	return 400;
}

static uint64_t alloc_bursts(uint64_t ns)
{
	return ns % SIM_SECOND < 100 * SIM_MS ? 800 : 40;
}

static uint64_t alloc_faster(uint64_t ns)
{
	return ns < 2 * SIM_SECOND || ns >= 4 * SIM_SECOND ? 80 : 1600;
}

#define USUAL .nr_cpus = 2, .nr_threads = 2, .mark_rate = 1000, .roots_work = 64 * KiB, .handshake_ns = 200 * SIM_US, .percent = 100

static const struct sim_load loads[] = {
	{ .name = "steady", .live = live_steady, .alloc = alloc_light, USUAL },
	{ .name = "growing", .live = live_up_and_down, .alloc = alloc_heavy, USUAL },
	{ .name = "shrinking", .live = live_shrinks, .alloc = alloc_heavy, USUAL },
	{ .name = "bursts", .live = live_steady, .alloc = alloc_bursts, USUAL },
	{ .name = "faster", .live = live_steady, .alloc = alloc_faster, USUAL },
	{ .name = "jitter", .live = live_steady, .alloc = alloc_heavy, .jitter_percent = 20, .seed = 1, USUAL },
	{ .name = "tiny", .live = live_tiny, .alloc = alloc_light, USUAL },
	{ .name = "limit", .live = live_to_80, .alloc = alloc_light, .limit_bytes = 100 * MiB, USUAL },
	{ .name = "above", .live = live_to_150, .alloc = alloc_light, .limit_bytes = 100 * MiB, USUAL },
};

static struct sim sim;

static double mib(uint64_t bytes)
{
	return (double)bytes / MiB;
}

static void print(const struct sim_load *load)
{
	double share = 0;

	for (sim_start(&sim, load); sim.now_ns < 8 * SIM_SECOND; sim_run(&sim, EVERY)) {
		if (sim.now_ns % SHARE_WINDOW == 0) {
			share = sim.now_ns ? (double)sim_collector_share(&sim) / 10 : 0;
			sim_mark(&sim);
		}
		printf("%.2f %.1f %.1f %.1f %.0f\n", (double)sim.now_ns / SIM_SECOND, mib(sim.heap_bytes), mib(sim.pace.goal_bytes),
		       mib(sim_live(&sim)), share);
	}
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(loads); i++)
		if (argc == 2 && !strcmp(argv[1], loads[i].name)) {
			print(&loads[i]);
			return 0;
		}
	fprintf(stderr, "usage: gc_pace steady|growing|shrinking|bursts|faster|jitter|tiny|limit|above\n");
	return 2;
}
