// SPDX-License-Identifier: MIT
/* The one heap of the driver. */
#include "bench/gc/runtime.h"

#include <stdlib.h>

struct link {
	void *to;
};
ARENA_GC_LAYOUT(pointer_layout, struct link, to);

struct arena_gc *rt_heap;
struct arena_gc_type *rt_pointer_type;

struct arena_gc_type *rt_make(const struct arena_gc_layout *layout)
{
	struct arena_gc_type *type = arena_gc_type_create(rt_heap, layout);

	if (!type)
		die("out of memory for a type");
	return type;
}

void rt_init(void)
{
	rt_heap = arena_gc_create(NULL);
	if (!rt_heap)
		die("no collected heap");
	rt_pointer_type = rt_make(&pointer_layout);
}

void rt_report(struct outcome *outcome)
{
	struct arena_gc_stats stats;
	struct arena_gc_latency latency;

	arena_gc_stats(rt_heap, &stats);
	arena_gc_latency(rt_heap, &latency);
	outcome_add(outcome, "cycles", "n", (double)stats.nr_cycles);
	outcome_add(outcome, "answer_max", "us", (double)latency.answer.max_ns / 1e3);
	outcome_add(outcome, "handshake_p50", "us", (double)latency.handshake.p50_ns / 1e3);
	outcome_add(outcome, "handshake_p99", "us", (double)latency.handshake.p99_ns / 1e3);
	stores_report(outcome);
}
