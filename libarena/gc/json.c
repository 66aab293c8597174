// SPDX-License-Identifier: MIT
/* The numbers of a collected heap as JSON, with the names that they have in arena/gc.h. */
#include <errno.h>
#include <stdlib.h>

#include "arena/gc.h"
#include "panic.h"

/* Longest text: forty numbers with their names. */
#define JSON_BYTES (4 * KiB)

static void put_stats(struct text *text, const struct arena_gc_stats *stats)
{
	text_put(text, "\"nr_cycles\":%lu,\"live_bytes\":%lu,\"allocated_bytes\":%lu,\"freed_objects\":%lu,\"freed_bytes\":%lu,", stats->nr_cycles,
		 stats->live_bytes, stats->allocated_bytes, stats->freed_objects, stats->freed_bytes);
	text_put(text, "\"held_bytes\":%lu,\"handshake_max_ns\":%lu,\"runtime_max_ns\":%lu,\"stopped_ns\":%lu,\"stopped_max_ns\":%lu,", stats->held_bytes,
		 stats->handshake_max_ns, stats->runtime_max_ns, stats->stopped_ns, stats->stopped_max_ns);
	text_put(text, "\"goal_bytes\":%lu,\"collector_ns\":%lu,\"assist_ns\":%lu,\"assist_slices\":%lu,\"assist_max_work\":%lu,", stats->goal_bytes,
		 stats->collector_ns, stats->assist_ns, stats->assist_slices, stats->assist_max_work);
}

static void put_times(struct text *text, const char *name, const struct arena_gc_times *times, const char *end)
{
	text_put(text, "\"%s\":{\"count\":%lu,\"p50_ns\":%lu,\"p99_ns\":%lu,\"p999_ns\":%lu,\"p9999_ns\":%lu,\"max_ns\":%lu}%s", name, times->count,
		 times->p50_ns, times->p99_ns, times->p999_ns, times->p9999_ns, times->max_ns, end);
}

static void put(struct text *text, struct arena_gc *gc)
{
	struct arena_gc_stats stats;
	struct arena_gc_latency latency;

	arena_gc_stats(gc, &stats);
	arena_gc_latency(gc, &latency);
	text_put(text, "{");
	put_stats(text, &stats);
	put_times(text, "runtime", &latency.runtime, ",");
	put_times(text, "answer", &latency.answer, ",");
	put_times(text, "handshake", &latency.handshake, "}");
}

char *arena_gc_json(struct arena_gc *gc)
{
	int saved = errno;
	char *buffer = malloc(JSON_BYTES);
	struct text text;

	errno = saved;
	if (!buffer)
		return NULL;
	text_init(&text, buffer, JSON_BYTES);
	put(&text, gc);
	return buffer;
}
