// SPDX-License-Identifier: MIT
/*
 * The bars of malloc, gc, pages, start and idle. Those of fault, reclaim and fork, which depend on the kernel, are in table.c.
 *
 * A bar belongs to one row: what has to be compared first, by ratios say, is a row of its own (malloc_ratio.c). The median is held against it.
 * Most bars are numbers; those of memory depend on how much glibc took in the same run, and that of freed memory on the peak.
 */
#include "bench/bars.h"

#include <math.h>
#include <string.h>

/* Elapsed time of any program over that with glibc. */
#define GLIBC_BAR 1.10
/* Peak of a small program over that with glibc, or as much more in MiB: whichever allows more. */
#define SMALL_BAR 1.5
#define SMALL_MORE_MIB 1.0
/* Peak of larger programs over that with the best allocator. */
#define MIDDLE_BAR 1.15
#define LARGE_BAR 1.05
#define LARGE_MIB 64.0
/* What may be left of the peak two seconds after all was freed. */
#define FREED_SHARE 0.10
#define FREED_MIB 12.0

static const struct fixed {
	const char *bench, *name, *metric;
	struct bar bar;
} fixed[] = {
	{ "malloc", "geometric-mean/all", "vs_mimalloc", { BAR_MOST, 0.92 } },
	{ "malloc", "geometric-mean/all", "vs_mimalloc_but_best", { BAR_MOST, 0.92 } },
	{ "malloc", SMALL_MEAN, "peak_rss_vs_glibc", { BAR_MOST, 1.25 } },
	{ "malloc", "remote/arena", "vs_mimalloc", { BAR_MOST, 0.65 } },
	{ "malloc", "calloc64m/arena", "cpu_vs_mimalloc", { BAR_MOST, 0.8 } },
	{ "malloc", "frag/arena", "rss_refilled", { BAR_MOST, 540 } },
	{ "malloc", "kib1-threads/arena", "scaling", { BAR_LEAST, 0.9 } },
	{ "gc", "trees/arena", "own_max", { BAR_MOST, 500 } },
	{ "gc", "trees/arena", "wall_p99_9", { BAR_MOST, 25 } },
	{ "gc", "trees/arena", "wall_p99_99", { BAR_MOST, 100 } },
	{ "gc", "trees/arena", "cpu_vs_malloc", { BAR_MOST, 1.6 } },
	{ "gc", "trees/arena", "cpu_vs_boehm", { BAR_MOST, 0.85 } },
	{ "gc", "trees/arena", "peak_rss_vs_malloc", { BAR_MOST, 2.3 } },
	{ "gc", "trees/arena", "utilization_10ms", { BAR_LEAST, 0.85 } },
	{ "gc", "trees2/arena", "utilization_10ms", { BAR_LEAST, 0.55 } },
	{ "gc", "trees2/arena", "cycle_workers_off", { BAR_MOST, 5 } },
	{ "gc", "trees2/arena", "cycle_assists", { BAR_MOST, 5 } },
	{ "gc", "limited/arena", "over_limit", { BAR_MOST, 3 } },
	{ "gc", "limited/arena", "collector", { BAR_MOST, 50 } },
	{ "gc", "stores/arena", "barrier_off", { BAR_MOST, 0.5 } },
	{ "gc", "stores/arena", "barrier_on", { BAR_MOST, 4 } },
	{ "pages", "pair", "pair", { BAR_MOST, 12 } },
	{ "pages", "pair", "pair_instructions", { BAR_MOST, 30 } },
	{ "pages", "run", "run_of_64", { BAR_MOST, 150 } },
	{ "start", "true/arena", "added_elapsed", { BAR_MOST, 0.5 } },
	{ "start", "true/arena", "added_peak_rss", { BAR_MOST, 1024 } },
	{ "idle", "idle/arena", "back_90", { BAR_MOST, 2000 } },
};
enum { NR_FIXED = sizeof(fixed) / sizeof(fixed[0]), NAME_BYTES = 64 };

static const struct row *find(const struct row *rows, size_t nr_rows, const char *kernel, const char *bench, const char *name,
			      const char *metric)
{
	for (size_t i = 0; i < nr_rows; i++)
		if (!strcmp(rows[i].kernel, kernel) && !strcmp(rows[i].bench, bench) && !strcmp(rows[i].name, name) &&
		    !strcmp(rows[i].metric, metric))
			return &rows[i];
	return NULL;
}

/* The median of another row of malloc; 0 when it was not measured. */
static double median_of(const struct row *rows, size_t nr_rows, const struct row *row, const char *name, const char *metric)
{
	const struct row *other = find(rows, nr_rows, row->kernel, "malloc", name, metric);

	return other ? other->value.median : 0;
}

/* ---------------------------------------------------------------- bars that depend on other rows */

/* Whether it is a row of a program with our allocator: "PROGRAM/arena". */
static bool is_ours(const struct row *row)
{
	const char *slash = strrchr(row->name, '/');

	return !strcmp(row->bench, "malloc") && slash && !strcmp(slash, "/arena");
}

/* The case of the same program with glibc. */
static void glibc_name(char name[NAME_BYTES + sizeof("/glibc")], const struct row *row)
{
	snprintf(name, NAME_BYTES + sizeof("/glibc"), "%.*s/glibc", (int)(strrchr(row->name, '/') - row->name), row->name);
}

static double glibc_peak_mib(const struct row *rows, size_t nr_rows, const struct row *row)
{
	char name[NAME_BYTES + sizeof("/glibc")];

	glibc_name(name, row);
	return median_of(rows, nr_rows, row, name, "peak_rss");
}

static struct bar most(double value)
{
	return (struct bar){ BAR_MOST, value };
}

static struct bar small_bar(const struct row *rows, size_t nr_rows, const struct row *row)
{
	double mib = glibc_peak_mib(rows, nr_rows, row);

	if (mib <= 0 || mib >= SMALL_MIB)
		return (struct bar){ 0 };
	return most(fmax(SMALL_BAR, 1 + SMALL_MORE_MIB / mib));
}

static struct bar larger_bar(const struct row *rows, size_t nr_rows, const struct row *row)
{
	double mib = glibc_peak_mib(rows, nr_rows, row);

	if (mib < SMALL_MIB)
		return (struct bar){ 0 };
	return most(mib < LARGE_MIB ? MIDDLE_BAR : LARGE_BAR);
}

/* The peak without the driver's table, as the row itself is: the highest of what was looked at. */
static struct bar freed_bar(const struct row *rows, size_t nr_rows, const struct row *row)
{
	static const char *const metrics[] = { "rss_live", "rss_thinned", "rss_refilled" };
	double peak_mib = 0;

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		peak_mib = fmax(peak_mib, median_of(rows, nr_rows, row, row->name, metrics[i]));
	return peak_mib > 0 ? most(FREED_SHARE * peak_mib + FREED_MIB) : (struct bar){ 0 };
}

static struct bar bar_of_program(const struct row *rows, size_t nr_rows, const struct row *row)
{
	if (!strcmp(row->metric, "vs_glibc"))
		return most(GLIBC_BAR);
	if (!strcmp(row->metric, "peak_rss_vs_glibc"))
		return small_bar(rows, nr_rows, row);
	if (!strcmp(row->metric, "peak_rss_vs_best"))
		return larger_bar(rows, nr_rows, row);
	if (!strcmp(row->name, "frag/arena") && !strcmp(row->metric, "rss_after_2s"))
		return freed_bar(rows, nr_rows, row);
	return (struct bar){ 0 };
}

static struct bar bar_of(const struct row *rows, size_t nr_rows, const struct row *row)
{
	for (size_t i = 0; i < NR_FIXED; i++)
		if (!strcmp(fixed[i].bench, row->bench) && !strcmp(fixed[i].name, row->name) &&
		    !strcmp(fixed[i].metric, row->metric))
			return fixed[i].bar;
	return is_ours(row) ? bar_of_program(rows, nr_rows, row) : (struct bar){ 0 };
}

void bars_set(struct row *rows, size_t nr_rows)
{
	for (size_t i = 0; i < nr_rows; i++)
		rows[i].bar = bar_of(rows, nr_rows, &rows[i]);
}

/* ---------------------------------------------------------------- what they come to */

static void print_bar(const struct row *row, FILE *out)
{
	char label[3 * NAME_BYTES];

	snprintf(label, sizeof(label), "%s %s %s", row->name, row->source, row->metric);
	fprintf(out, "%s: %-6s %-42s %9.4g %s (bar %s%.4g)  %s\n", row->kernel, row->bench, label, row->value.median, row->unit,
		row->bar.kind == BAR_LEAST ? ">= " : "<= ", row->bar.value, row_is_met(row) ? "met" : "MISSED");
}

bool bars_print(const struct row *rows, size_t nr_rows, FILE *out)
{
	size_t nr_met = 0, nr = 0;

	for (size_t i = 0; i < nr_rows; i++) {
		if (rows[i].bar.kind == BAR_NONE)
			continue;
		print_bar(&rows[i], out);
		nr_met += row_is_met(&rows[i]);
		nr++;
	}
	if (nr)
		fprintf(out, "%zu of %zu bars met\n", nr_met, nr);
	return nr_met == nr;
}

static bool has_bench(const struct row *rows, size_t nr_rows, const char *kernel, const char *bench)
{
	for (size_t i = 0; i < nr_rows; i++)
		if (!strcmp(rows[i].kernel, kernel) && !strcmp(rows[i].bench, bench))
			return true;
	return false;
}

/* Whether the row is there, and a line if not. */
static bool is_measured(const struct row *rows, size_t nr_rows, const char *kernel, const char *bench, const char *name,
			const char *metric, FILE *out)
{
	if (find(rows, nr_rows, kernel, bench, name, metric))
		return true;
	fprintf(out, "%s: %-6s %s %s: not measured\n", kernel, bench, name, metric);
	return false;
}

static bool is_fixed_measured(const struct row *rows, size_t nr_rows, const char *kernel, FILE *out)
{
	bool all = true;

	for (size_t i = 0; i < NR_FIXED; i++)
		if (has_bench(rows, nr_rows, kernel, fixed[i].bench))
			all &= is_measured(rows, nr_rows, kernel, fixed[i].bench, fixed[i].name, fixed[i].metric, out);
	return all;
}

/* A program that ran with our allocator must have been held against the others. */
static bool is_program_measured(const struct row *rows, size_t nr_rows, const struct row *row, FILE *out)
{
	static const char *const metrics[] = { "vs_glibc", "peak_rss_vs_glibc", "peak_rss_vs_best" };
	char glibc[NAME_BYTES + sizeof("/glibc")];
	bool all;

	/* Which bar the peak has depends on it. */
	glibc_name(glibc, row);
	all = is_measured(rows, nr_rows, row->kernel, row->bench, glibc, "peak_rss", out);
	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		all &= is_measured(rows, nr_rows, row->kernel, row->bench, row->name, metrics[i], out);
	if (!strcmp(row->name, "frag/arena"))
		all &= is_measured(rows, nr_rows, row->kernel, row->bench, row->name, "rss_after_2s", out);
	return all;
}

static bool is_first_of_kernel(const struct row *rows, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (!strcmp(rows[j].kernel, rows[i].kernel))
			return false;
	return true;
}

bool bars_print_missing(const struct row *rows, size_t nr_rows, FILE *out)
{
	bool all = true;

	for (size_t i = 0; i < nr_rows; i++) {
		if (is_first_of_kernel(rows, i))
			all &= is_fixed_measured(rows, nr_rows, rows[i].kernel, out);
		if (is_ours(&rows[i]) && !strcmp(rows[i].metric, "elapsed"))
			all &= is_program_measured(rows, nr_rows, &rows[i], out);
	}
	return all;
}
