// SPDX-License-Identifier: MIT
/* The one heap of the driver. */
#include "bench/gc/runtime.h"

#include <arena/heap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void rt_init(const char *source)
{
	int number = source ? arena_source_parse(source) : ARENA_SOURCE_AUTO;

	if (number < 0)
		die("no such source");
	rt_heap = arena_gc_create(&(struct arena_gc_options){ .source = (enum arena_source)number });
	if (!rt_heap)
		die("no collected heap");
	rt_pointer_type = rt_make(&pointer_layout);
}

/* There is one heap. */
const char *rt_source(void)
{
	static char name[16];
	char *text = arena_heap_json(), *member = text ? strstr(text, "\"source\":\"") : NULL;

	if (!member || sscanf(member, "\"source\":\"%15[a-z]\"", name) != 1)
		die("the statistics name no source");
	free(text);
	return name;
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
