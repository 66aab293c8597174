/* SPDX-License-Identifier: MIT */
/*
 * A heap that is only numbers under loads that are only functions of time, for pace.h: what is used is given, what is idle follows. Shared by the
 * test (pace.c) and the plot (tests/plot/pace.c).
 *
 * Models a program that takes idle chunks before new ones and whose scavenger looks every 10 ms. It must not be used to say how long unmapping
 * takes: what a chunk costs is a number here.
 */
#ifndef TESTS_UNIT_PACE_SIM_H
#define TESTS_UNIT_PACE_SIM_H

#include "pace.h"

#define SIM_MS ((uint64_t)1000 * 1000)
#define SIM_SECOND (1000 * SIM_MS)
#define SIM_HOUR (3600 * SIM_SECOND)
#define SIM_TICK (10 * SIM_MS)

struct sim {
	struct pace pace;
	uint64_t now_ns, used, idle;
	uint64_t given, taken;	/* chunks to and from the system */
	uint64_t spent_ns, cost_ns; /* of CPU: in all, and for a chunk */
	double used_sum, idle_sum; /* over all ticks */
};

/* The program uses @used chunks now, the heap takes idle ones first; then the pacer looks. */
static inline void sim_step(struct sim *sim, uint64_t used)
{
	uint64_t held = sim->used + sim->idle, peak = used > sim->used ? used : sim->used, nr;

	if (used > held)
		sim->taken += used - held;
	sim->idle = used > held ? 0 : held - used;
	sim->used = used;
	sim->now_ns += SIM_TICK;
	nr = pace_tick(&sim->pace, sim->now_ns, peak, used, sim->idle);
	pace_spent(&sim->pace, nr, nr * sim->cost_ns);
	sim->idle -= nr;
	sim->given += nr;
	sim->spent_ns += nr * sim->cost_ns;
	sim->used_sum += (double)used;
	sim->idle_sum += (double)sim->idle;
}

static inline struct sim sim_start(uint64_t used, uint64_t cost_ns)
{
	struct sim sim = { .now_ns = 5 * SIM_SECOND, .used = used, .cost_ns = cost_ns };

	sim_step(&sim, used);
	return sim;
}

/* ---------------------------------------------------------------- loads: chunks in use at a time */

/* The same number for the same time, below @limit: requests that come and go. */
static inline uint64_t sim_noise(uint64_t ns, uint64_t limit)
{
	uint64_t x = (ns / SIM_TICK) * 0x9e3779b97f4a7c15u;

	x ^= x >> 29;
	x *= 0xbf58476d1ce4e5b9u;
	return (x >> 32) % limit;
}

static inline uint64_t sim_steady(uint64_t ns)
{
	return 390 + sim_noise(ns, 20);
}

/* Ten times as much for two seconds, each half minute. */
static inline uint64_t sim_spike(uint64_t ns)
{
	uint64_t at = ns % (30 * SIM_SECOND);

	return at >= 5 * SIM_SECOND && at < 7 * SIM_SECOND ? 500 : 50;
}

/* What a collector's heap does: up in four seconds, down at once. */
static inline uint64_t sim_sawtooth(uint64_t ns)
{
	return 200 + ns % (4 * SIM_SECOND) * 300 / (4 * SIM_SECOND);
}

/* From hour to hour as given, in between in proportion. */
static inline uint64_t sim_hourly(uint64_t ns)
{
	/* Asleep, the morning's rise, lunch, the evening's crest, a fall; chunks. */
	static const uint16_t hours[25] = { 120, 60, 30, 20, 20, 30, 80, 200, 350, 420, 450, 470, 380, 440, 480, 470, 460, 500, 620, 700, 680, 520,
					    350, 220, 120 };
	uint64_t hour = ns / SIM_HOUR % 24, within = ns % SIM_HOUR;

	return (hours[hour] * (SIM_HOUR - within) + hours[hour + 1] * within) / SIM_HOUR;
}

/*
 * A day of a service: users by the hour, a cache that is dropped every ten minutes, a batch at three in the night, a deployment at two in the
 * afternoon that empties everything, and requests that come and go.
 */
static inline uint64_t sim_day(uint64_t ns)
{
	uint64_t users = sim_hourly(ns), at = ns % (24 * SIM_HOUR), cache = ns % (600 * SIM_SECOND);

	if (at >= 14 * SIM_HOUR && at < 14 * SIM_HOUR + 20 * SIM_SECOND)
		return 0;
	if (at >= 3 * SIM_HOUR && at < 3 * SIM_HOUR + 900 * SIM_SECOND)
		users += 800;
	return users + users / 4 * cache / (600 * SIM_SECOND) + sim_noise(ns, users / 20 + 1);
}

#endif /* TESTS_UNIT_PACE_SIM_H */
