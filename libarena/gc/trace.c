// SPDX-License-Identifier: MIT
/*
 * The line of a cycle, in the order of Go's gctrace=1:
 *
 *	gc 3 @0.412s 2%: 0.05+1.90+0.03 ms clock, 0+0.10/1.85/0+0 ms cpu, 8->9->5 MB, 10 MB goal, 0 MB stacks, 0 MB globals, 2 P; 0.80/1.10 ms sweep, 0.11 ms runtime, 0.04 ms handshake, 2 rounds
 *
 * Number, time since the heap was made, the collector's share of a CPU since then. Time until stacks are copied, until marking has ended, until barriers
 * are off: threads run in all three. CPU time in these: assists, workers and the rest of the collector, with what others left idle, and nothing else. Memory of
 * objects at the start and at the end of marking, and what of it is live; where it was to end; roots; threads. Behind the semicolon is what Go does not
 * tell: CPU time that the collector's threads took for sweeping, before the first of these times and after the last, and how long they swept; the longest time that
 * a thread spent in the library at once, the longest time that threads took to answer, and rounds of termination. Where all stop for marking there is one thing more:
 * the time from the request to stop until they were let go.
 */
#include "gc/trace.h"

#include "panic.h"

/* Two decimals of @nr / @unit in @text, which it returns. */
static const char *decimal(char text[24], uint64_t nr, uint64_t unit)
{
	struct text out;
	uint64_t hundredths = nr * 100 / unit;

	text_init(&out, text, 24);
	text_put(&out, "%lu.%lu%lu", (unsigned long)(hundredths / 100), (unsigned long)(hundredths / 10 % 10), (unsigned long)(hundredths % 10));
	return text;
}

#define MS(ns) decimal((char[24]){ 0 }, (ns), 1000000)

static unsigned long mb(uint64_t bytes)
{
	return (unsigned long)((bytes + MiB / 2) / MiB);
}

void gc_trace(const struct arena_gc *gc)
{
	const struct gc_cycle *cycle = &gc->cycle;
	struct gc_sums sums = gc_drive_sums(&gc->drive);
	uint64_t age_ns = cycle->end_ns - gc->birth_ns + 1, live = atomic_load_relaxed(&gc->live_bytes);

	report("gc %u @%ss %lu%%: %s+%s+%s ms clock, 0+%s/%s/0+0 ms cpu, %lu->%lu->%lu MB, %lu MB goal, %lu MB stacks, %lu MB globals, %u P; "
	       "%s/%s ms sweep, %s ms runtime, %s ms handshake, %u rounds%s%s%s",
	       gc->done + 1, decimal((char[24]){ 0 }, cycle->start_ns - gc->birth_ns, 1000000000), (unsigned long)((sums.worker_ns + sums.assist_ns) * 100 / age_ns),
	       MS(cycle->mark_ns - cycle->start_ns), MS(cycle->mark_end_ns - cycle->mark_ns), MS(cycle->end_ns - cycle->mark_end_ns),
	       MS(cycle->assist_ns), MS(cycle->cpu_ns), mb(cycle->start_bytes), mb(cycle->end_bytes), mb(live), mb(cycle->goal_bytes), mb(cycle->stack_bytes),
	       mb(cycle->root_bytes), cycle->nr_mutators, MS(cycle->sweep_cpu_ns), MS(cycle->sweep_ns), MS(gc->runtime_max_ns), MS(gc->handshake_max_ns), cycle->nr_rounds,
	       gc->stops_world ? ", " : "", gc->stops_world ? MS(cycle->stopped_ns) : "", gc->stops_world ? " ms stopped" : "");
}
