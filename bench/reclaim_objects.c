// SPDX-License-Identifier: MIT
/*
 * What giving an arena back costs its caller, by number of objects in it.
 *
 * The arena always holds the same bytes, cut into 1,000 to 1,000,000 objects: whoever walks objects shows here. `keep`
 * is arena_reset(), `zap` is arena_free() with revocation, each one timed call of the library. The source is dev where
 * the module is, else what AUTO takes.
 */
#include "bench/arena_case.h"
#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/report.h"

#include <stdio.h>

enum { OBJECTS_REPS = 11 };

/* 64 bytes for the smallest object; some 30 chunks, which fit a test machine of 1 GiB. */
#define OBJECTS_TOTAL_BYTES ((size_t)64 * 1000 * 1000)

static const size_t objects_sizes[] = { 1000, 10000, 100000, 1000000 };
enum { NR_SIZES = sizeof(objects_sizes) / sizeof(objects_sizes[0]) };

/* Every page is touched whatever the size of objects, or large ones would leave less to give back. */
static void *fill(struct arena *arena, size_t objects)
{
	size_t object_bytes = OBJECTS_TOTAL_BYTES / objects;
	char *object = NULL;

	for (size_t i = 0; i < objects; i++) {
		object = arena_alloc(arena, object_bytes);
		if (!object)
			return NULL;
		for (size_t at = 0; at < object_bytes; at += PAGE_BYTES)
			*(volatile char *)(object + at) = 1;
	}
	return object;
}

static int objects_once(enum arena_source source, size_t objects, struct report *report)
{
	const char *source_name = arena_source_name(source);
	uint64_t start, keep, zap;
	struct arena_case c;
	void *last;
	char name[32];

	if (arena_case_open(&c, source))
		return 1;
	if (!fill(c.arena, objects))
		return bench_fail("reclaim: objects=%zu: out of memory from %s", objects, source_name);
	start = clock_now();
	arena_reset(c.arena);
	keep = clock_now() - start;
	last = fill(c.arena, objects);
	if (!last || arena_case_check(&c, last))
		return bench_fail("reclaim: objects=%zu: no memory of %s after reset", objects, source_name);
	start = clock_now();
	arena_free(c.arena);
	zap = clock_now() - start;
	if (!report)
		return 0;
	snprintf(name, sizeof(name), "objects=%zu", objects);
	report_add(report, "reclaim", name, source_name, "keep", clock_unit(), (double)keep);
	report_add(report, "reclaim", name, source_name, "zap", clock_unit(), (double)zap);
	return 0;
}

/* Where AUTO leads, once the choice is made. */
static enum arena_source auto_source(void)
{
	if (!arena_source_check(ARENA_SOURCE_DEV))
		return ARENA_SOURCE_DEV;
	return arena_source_check(ARENA_SOURCE_THP) ? ARENA_SOURCE_PAGES : ARENA_SOURCE_THP;
}

int bench_reclaim_objects(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : OBJECTS_REPS;
	enum arena_source sources[ARENA_NR_SOURCES];
	int nr = arena_case_sources(options, auto_source(), sources), error = nr < 0;

	for (size_t rep = 0; rep <= reps && !error; rep++)
		for (int i = 0; i < nr && !error; i++)
			for (size_t size = 0; size < NR_SIZES && !error; size++)
				error = objects_once(sources[i], objects_sizes[size], rep ? report : NULL);
	return error;
}
