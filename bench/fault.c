// SPDX-License-Identifier: MIT
/*
 * What a page fault costs per 2 MiB, and giving the memory back, by source.
 *
 * Each repetition maps memory of each source in turn, touches one byte of every page that a fault maps (512 per chunk
 * for pages, one for the others), and gives all of it back in one call. What is timed is the touching alone and
 * the give-back alone. A second round of dev maps the chunks by POPULATE instead of touching them. smaps and the module's counters must agree that it was that source, in every repetition.
 *
 * Not measured: clearing that dev did before (see doc of RESERVE), and TLB misses of later accesses.
 */
#include "bench/backing.h"
#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * 11 is enough for an interval that leaves out the worst at either end. 128 chunks are 256 MiB: enough to share out the cost
 * of the calls around, and small enough for a test machine of 1 GiB.
 */
enum { FAULT_REPS = 11, FAULT_CHUNKS = 128, WHY_BYTES = 160 };

/* The order of the rows: dearest first. */
static const enum arena_source fault_sources[] = {
	ARENA_SOURCE_PAGES, ARENA_SOURCE_THP, ARENA_SOURCE_HUGETLB, ARENA_SOURCE_DEV,
};
enum { NR_FAULT_SOURCES = sizeof(fault_sources) / sizeof(fault_sources[0]) };

static int touch(struct backing *backing)
{
	size_t step_bytes = backing_step_bytes(backing);

	for (size_t at = 0; at < backing->bytes; at += step_bytes)
		*(volatile char *)(backing->base + at) = 1;
	return 0;
}

static int populate(struct backing *backing)
{
	return dev_space_populate(&backing->space, backing->space.nr_chunks);
}

struct fault_times {
	uint64_t mapped;	/* by touching or populating */
	uint64_t give_back;
};

/* One repetition of one source, mapped by @map: 0, or 1 after a message. */
static int fault_once(struct backing *backing, int (*map)(struct backing *backing), struct fault_times *times)
{
	const char *name = arena_source_name(backing->source);
	uint64_t start;
	char why[WHY_BYTES];
	int error = backing_map(backing);

	if (error)
		return bench_fail("fault: %s: cannot map: %s", name, strerror(-error));
	start = clock_now();
	error = map(backing);
	times->mapped = clock_now() - start;
	if (error)
		return bench_fail("fault: %s: cannot populate: %s", name, strerror(-error));
	if (!backing_is_mapped(backing, why, sizeof(why)))
		return bench_fail("fault: not really %s: %s", name, why);
	start = clock_now();
	error = backing_give_back(backing);
	times->give_back = clock_now() - start;
	if (error)
		return bench_fail("fault: %s: cannot give back: %s", name, strerror(-error));
	if (!backing_is_gone(backing, why, sizeof(why)))
		return bench_fail("fault: %s: %s", name, why);
	return 0;
}

static int fault_measure(struct backing *backing, struct report *report)
{
	size_t nr_chunks = backing->bytes / CHUNK_BYTES;
	const char *source = arena_source_name(backing->source);
	struct fault_times times = { 0 }, populated = { 0 };
	char name[32];

	if (fault_once(backing, touch, &times))
		return 1;
	if (backing->source == ARENA_SOURCE_DEV && fault_once(backing, populate, &populated))
		return 1;
	if (!report)
		return 0;
	snprintf(name, sizeof(name), "chunks=%zu", nr_chunks);
	report_add(report, "fault", name, source, "first_touch", clock_unit(),
		   (double)times.mapped / (double)nr_chunks);
	if (backing->source == ARENA_SOURCE_DEV)
		report_add(report, "fault", name, source, "populate", clock_unit(),
			   (double)populated.mapped / (double)nr_chunks);
	report_add(report, "fault", name, source, "give_back", clock_unit(),
		   (double)times.give_back / (double)nr_chunks);
	return 0;
}

/* Fill @backings with the sources that are to be had; -1 after a message when one that was asked for is not. */
static int fault_prepare(const struct options *options, struct backing *backings)
{
	size_t nr_chunks = options->chunks ? options->chunks : FAULT_CHUNKS;
	char why[WHY_BYTES];
	int nr = 0, error = 0;

	for (size_t i = 0; i < NR_FAULT_SOURCES; i++) {
		enum arena_source source = fault_sources[i];

		if (!(options->sources & 1U << source))
			continue;
		if (!backing_init(&backings[nr], source, nr_chunks, why, sizeof(why)))
			nr++;
		else if (options->sources_asked)
			error = bench_fail("fault: %s: %s", arena_source_name(source), why);
		else
			bench_skip("fault: %s: %s", arena_source_name(source), why);
	}
	return error ? -1 : nr;
}

int bench_fault(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : FAULT_REPS;
	struct backing backings[NR_FAULT_SOURCES];
	int nr = fault_prepare(options, backings), error = nr < 0;

	/* Repetition 0 warms up: page tables, the module's pool, the kernel's own caches. */
	for (size_t rep = 0; rep <= reps && !error; rep++)
		for (int i = 0; i < nr && !error; i++)
			error = fault_measure(&backings[i], rep ? report : NULL);
	for (int i = 0; i < nr; i++)
		backing_fini(&backings[i]);
	return error;
}
