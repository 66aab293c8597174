/* SPDX-License-Identifier: MIT */
/* What the lines that a collector prints for each cycle (ARENA_GCTRACE=1, or Go's gctrace=1, which have the same order) say. Pure. */
#ifndef BENCH_GC_CYCLES_H
#define BENCH_GC_CYCLES_H

#include <stdbool.h>

struct cycle {
	double wall_ms;		/* from its begin until barriers are off */
	double assist_ms, worker_ms, idle_ms; /* CPU time in it: of mutators, of workers in their share, of workers on idle CPUs */
	double sweep_ms, sweep_wall_ms; /* CPU time of the collector's threads for sweeping, and how long they did; 0 where it is not told */
};

/** Read a line; false when it is none of a cycle. */
bool cycle_parse(const char *line, struct cycle *cycle);

#endif /* BENCH_GC_CYCLES_H */
