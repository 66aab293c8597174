// SPDX-License-Identifier: MIT
/*
 * What mapping memory of the module ahead and giving it back cost their caller, by number of chunks.
 *
 * One space; each repetition goes through the sizes: reserve the first N chunks, POPULATE them, KEEP them, reserve them
 * again, ZAP them, each in one timed call. The contract is that KEEP and its re-reserve do not depend on N, and that POPULATE and
 * ZAP grow by page table entries alone: the slope of a line through all sizes is printed for each.
 *
 * Not measured: clearing, which the module does later on its own threads.
 */
#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/dev.h"
#include "bench/proc.h"
#include "bench/report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RECLAIM_REPS = 11 };

enum reclaim_call { CALL_POPULATE, CALL_KEEP, CALL_RERESERVE, CALL_ZAP, NR_CALLS };
static const char *const call_names[NR_CALLS] = { "populate", "keep", "rereserve", "zap" };

static int reclaim_fail(size_t nr_chunks, const char *what, int error)
{
	return bench_fail("reclaim: chunks=%zu: %s: %s", nr_chunks, what, strerror(-error));
}

/* Reserves the chunks, all of them ready, and maps them; how long the latter took. */
static int reclaim_fill(const struct dev_space *space, size_t nr_chunks, uint64_t *time)
{
	struct arena_reserve reserve;
	int error = dev_space_reserve(space, nr_chunks, &reserve);
	uint64_t start = clock_now();

	if (!error)
		error = dev_space_populate(space, nr_chunks);
	*time = clock_now() - start;
	for (size_t i = 0; i < nr_chunks && !error; i++)
		*(volatile char *)(space->base + i * CHUNK_BYTES) = 1;
	return error;
}

static int time_keep(const struct dev_space *space, size_t nr_chunks, uint64_t *time)
{
	struct arena_reclaim reclaim;
	uint64_t start = clock_now();
	int error = dev_space_reclaim(space, nr_chunks, ARENA_RECLAIM_KEEP, &reclaim);

	*time = clock_now() - start;
	if (!error && reclaim.nr_chunks != nr_chunks)
		error = -EBADMSG;
	return error ? reclaim_fail(nr_chunks, "KEEP", error) : 0;
}

/* The contents must still be there: a keep that lost them would be cheap and useless. */
static int time_rereserve(const struct dev_space *space, size_t nr_chunks, uint64_t *time)
{
	struct arena_reserve reserve;
	uint64_t start = clock_now();
	int error = dev_space_reserve(space, nr_chunks, &reserve);

	*time = clock_now() - start;
	if (error)
		return reclaim_fail(nr_chunks, "re-reserve", error);
	if (reserve.fresh_chunks || reserve.kept_chunks != nr_chunks)
		return bench_fail("reclaim: chunks=%zu: re-reserve found %llu kept and %llu fresh chunks", nr_chunks,
				  reserve.kept_chunks, reserve.fresh_chunks);
	for (size_t i = 0; i < nr_chunks; i++)
		if (space->base[i * CHUNK_BYTES] != 1)
			return bench_fail("reclaim: chunks=%zu: chunk %zu lost its contents", nr_chunks, i);
	return 0;
}

static int time_zap(const struct dev_space *space, size_t nr_chunks, uint64_t *time)
{
	struct arena_reclaim reclaim;
	uint64_t start = clock_now();
	int error = dev_space_reclaim(space, nr_chunks, ARENA_RECLAIM_ZAP, &reclaim);

	*time = clock_now() - start;
	if (!error && (reclaim.nr_chunks != nr_chunks || reclaim.nr_quarantined))
		error = -EBADMSG;
	return error ? reclaim_fail(nr_chunks, "ZAP", error) : 0;
}

static int reclaim_once(const struct dev_space *space, size_t nr_chunks, uint64_t *times)
{
	struct proc_usage usage;
	int error = reclaim_fill(space, nr_chunks, &times[CALL_POPULATE]);

	if (error)
		return reclaim_fail(nr_chunks, "RESERVE and POPULATE", error);
	if (proc_usage(space->base, space->nr_chunks * CHUNK_BYTES, &usage) ||
	    usage.file_pmd_bytes != nr_chunks * CHUNK_BYTES)
		return bench_fail("reclaim: chunks=%zu: not really dev: FilePmdMapped is %zu kB", nr_chunks,
				  usage.file_pmd_bytes / KiB);
	if (time_keep(space, nr_chunks, &times[CALL_KEEP]) || time_rereserve(space, nr_chunks, &times[CALL_RERESERVE]))
		return 1;
	return time_zap(space, nr_chunks, &times[CALL_ZAP]);
}

/* How many of the sizes fit, tried once each; this is also the warm-up. -1 after a message. */
static int reclaim_fit(const struct dev_space *space)
{
	uint64_t times[NR_CALLS];

	for (int i = 0; i < NR_CALL_SIZES; i++) {
		size_t nr_chunks = size_chunks((size_t)i);
		struct arena_reclaim reclaim;
		int error;

		if (nr_chunks > space->nr_chunks)
			return i;
		error = reclaim_fill(space, nr_chunks, times);
		if (error == -ENOMEM) {
			bench_skip("reclaim: chunks=%zu: RESERVE: %s (%zu MiB available; the module's caps are half of RAM"
				   " by default)", nr_chunks, strerror(ENOMEM), proc_available_bytes() / MiB);
			return i;
		}
		if (error)
			return reclaim_fail(nr_chunks, "RESERVE and POPULATE", error), -1;
		error = dev_space_reclaim(space, nr_chunks, ARENA_RECLAIM_ZAP, &reclaim);
		if (error)
			return reclaim_fail(nr_chunks, "ZAP", error), -1;
		if (reclaim_once(space, nr_chunks, times))
			return -1;
	}
	return NR_CALL_SIZES;
}

static void reclaim_report(struct report *report, size_t nr_chunks, const uint64_t *times)
{
	char name[32];

	snprintf(name, sizeof(name), "chunks=%zu", nr_chunks);
	for (int call = 0; call < NR_CALLS; call++)
		report_add(report, "reclaim", name, "dev", call_names[call], clock_unit(), (double)times[call]);
}

/* What one chunk more costs a call, by the least squares over the first @nr_sizes sizes. */
static void slope_report(struct report *report, enum reclaim_call call, const double *times, int nr_sizes)
{
	char metric[32], unit[32];
	double chunks[NR_CALL_SIZES];

	for (int i = 0; i < nr_sizes; i++)
		chunks[i] = (double)size_chunks((size_t)i);
	snprintf(metric, sizeof(metric), "%s_slope", call_names[call]);
	snprintf(unit, sizeof(unit), "%s/chunk", clock_unit());
	report_add(report, "reclaim", "slope", "dev", metric, unit, stat_slope(chunks, times, (size_t)nr_sizes));
}

/* One pass over the sizes, and the slope of each call in it. */
static int reclaim_pass(const struct dev_space *space, int nr_sizes, struct report *report)
{
	double all[NR_CALLS][NR_CALL_SIZES];
	uint64_t times[NR_CALLS];

	for (int i = 0; i < nr_sizes; i++) {
		if (reclaim_once(space, size_chunks((size_t)i), times))
			return 1;
		reclaim_report(report, size_chunks((size_t)i), times);
		for (int call = 0; call < NR_CALLS; call++)
			all[call][i] = (double)times[call];
	}
	for (int call = 0; call < NR_CALLS && nr_sizes >= 2; call++)
		slope_report(report, (enum reclaim_call)call, all[call], nr_sizes);
	return 0;
}

int bench_reclaim(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : RECLAIM_REPS;
	size_t max_chunks = options->chunks ? options->chunks : size_chunks(NR_CALL_SIZES - 1);
	struct dev_space space;
	int error = dev_space_check(), nr_sizes;

	if (error && options->sources_asked && options->sources & 1U << ARENA_SOURCE_DEV)
		return bench_fail("reclaim: dev: /dev/arena: %s", strerror(-error));
	if (error) {
		bench_skip("reclaim by chunks: /dev/arena: %s", strerror(-error));
		return 0;
	}
	error = dev_space_init(&space, max_chunks, 0);
	if (error)
		return bench_fail("reclaim: cannot make a space of %zu chunks: %s", max_chunks, strerror(-error));
	nr_sizes = reclaim_fit(&space);
	error = nr_sizes < 0;
	for (size_t rep = 0; rep < reps && !error; rep++)
		error = reclaim_pass(&space, nr_sizes, report);
	dev_space_fini(&space);
	return error;
}
