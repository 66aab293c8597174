// SPDX-License-Identifier: MIT
/*
 * Prints results that were measured elsewhere, in a VM say, and what they mean against the project's bars.
 *
 * The bars: the first touch of a ready chunk against that of THP and hugetlb, POPULATE against that touch, KEEP that is flat in the
 * number of chunks over all its sizes, and, where instructions were counted, what each path may cost. What one chunk more costs a
 * call that has no bar is printed all the same. One verdict per kernel. Those of the other benchmarks
 * are in bars.c.
 */
#include "bench/bars.h"
#include "bench/bench.h"
#include "bench/report.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many times cheaper a ready chunk must be. */
#define THP_BAR 60.0
#define HUGETLB_BAR 30.0
/* POPULATE's share of a touch: what is left is the core's own fault, which weighs more on 6.1. */
#define POPULATE_BAR 0.85
#define POPULATE_BAR_6_1 0.95
/* Half the spread over the middle: +-5 %. */
#define FLAT_BAR_PERCENT 5.0

struct rows {
	struct row *data;
	size_t nr, cap;
};

static int rows_push(struct rows *rows, const struct row *row)
{
	if (rows->nr == rows->cap) {
		size_t cap = rows->cap ? 2 * rows->cap : 64;
		struct row *data = realloc(rows->data, cap * sizeof(*data));

		if (!data)
			return bench_fail("table: out of memory");
		rows->data = data;
		rows->cap = cap;
	}
	rows->data[rows->nr++] = *row;
	return 0;
}

/* Empty lines are let pass, anything else must be a result. */
static int rows_read(struct rows *rows, const char *path)
{
	FILE *file = strcmp(path, "-") ? fopen(path, "re") : stdin;
	size_t line_number = 0, cap = 0;
	char *line = NULL;
	struct row row;
	int error = 0;

	if (!file)
		return bench_fail("table: %s: %s", path, strerror(errno));
	while (!error && getline(&line, &cap, file) > 0) {
		line_number++;
		if (!line[strspn(line, " \t\r\n")])
			continue;
		error = json_parse(line, &row) ? rows_push(rows, &row) :
						 bench_fail("table: %s:%zu: not a result line", path, line_number);
	}
	free(line);
	if (file != stdin)
		fclose(file);
	return error;
}

static const struct row *rows_find(const struct rows *rows, const char *kernel, const char *bench, const char *source,
				   const char *metric)
{
	for (size_t i = 0; i < rows->nr; i++) {
		const struct row *row = &rows->data[i];

		if (!strcmp(row->kernel, kernel) && !strcmp(row->bench, bench) && !strcmp(row->source, source) &&
		    !strcmp(row->metric, metric))
			return row;
	}
	return NULL;
}

static bool verdict(bool met)
{
	puts(met ? "  met" : "  MISSED");
	return met;
}

static bool check_touch(const struct rows *rows, const char *kernel, const char *source, double bar)
{
	const struct row *other = rows_find(rows, kernel, "fault", source, "first_touch");
	const struct row *dev = rows_find(rows, kernel, "fault", "dev", "first_touch");
	double ratio;

	if (!other || !dev || dev->value.median <= 0) {
		printf("%s: first touch, dev against %s: not measured\n", kernel, source);
		return false;
	}
	ratio = other->value.median / dev->value.median;
	printf("%s: first touch: %s / dev = %.0f / %.0f = %.1f (bar %.0f)", kernel, source, other->value.median,
	       dev->value.median, ratio, bar);
	return verdict(ratio >= bar);
}

static bool check_populate(const struct rows *rows, const char *kernel)
{
	const struct row *touch = rows_find(rows, kernel, "fault", "dev", "first_touch");
	const struct row *populate = rows_find(rows, kernel, "fault", "dev", "populate");
	double ratio, bar = strncmp(kernel, "6.1.", 4) ? POPULATE_BAR : POPULATE_BAR_6_1;

	if (!touch || !populate || touch->value.median <= 0) {
		printf("%s: populate against touch: not measured\n", kernel);
		return false;
	}
	ratio = populate->value.median / touch->value.median;
	printf("%s: populate / touch = %.0f / %.0f = %.3f (bar %.2f)", kernel, populate->value.median,
	       touch->value.median, ratio, bar);
	return verdict(ratio <= bar);
}

static const struct row *rows_find_size(const struct rows *rows, const char *kernel, const char *metric, size_t nr_chunks)
{
	char name[32];

	snprintf(name, sizeof(name), "chunks=%zu", nr_chunks);
	for (size_t i = 0; i < rows->nr; i++) {
		const struct row *row = &rows->data[i];

		if (!strcmp(row->kernel, kernel) && !strcmp(row->bench, "reclaim") && !strcmp(row->metric, metric) &&
		    !strcmp(row->name, name))
			return row;
	}
	return NULL;
}

/* Flat from one chunk to the most: a size that is missing may be the one that is not. */
static bool check_flat(const struct rows *rows, const char *kernel, const char *metric)
{
	double min = INFINITY, max = 0, percent;

	for (size_t i = 0; i < NR_CALL_SIZES; i++) {
		const struct row *row = rows_find_size(rows, kernel, metric, size_chunks(i));

		if (!row) {
			printf("%s: %s of %zu chunks: not measured\n", kernel, metric, size_chunks(i));
			return false;
		}
		min = fmin(min, row->value.median);
		max = fmax(max, row->value.median);
	}
	percent = 100 * (max - min) / (max + min);
	printf("%s: %s over %d sizes: %.0f to %.0f, max/min %.3f, +-%.1f %% (bar %.0f %%)", kernel, metric, NR_CALL_SIZES, min, max,
	       max / min, percent, FLAT_BAR_PERCENT);
	return verdict(percent <= FLAT_BAR_PERCENT);
}

/* Most instructions that a path may take, on kernels before 6.12 and from then on; 0: as many as it takes. */
static const struct kernel_bar {
	const char *label, *bench, *metric;
	double before, since;
} kernel_bars[] = {
	{ "first touch of a ready chunk", "fault", "first_touch", 7600, 4000 },
	{ "POPULATE, each further chunk", "reclaim", "populate_slope", 0, 0 },
	{ "KEEP, each further chunk", "reclaim", "keep_slope", 0, 0 },
	{ "RESERVE of what was kept, each further chunk", "reclaim", "rereserve_slope", 0, 0 },
	{ "ZAP per chunk", "reclaim", "zap_slope", 6000, 1500 },
	{ "first fork after touching, per chunk", "fork", "fork", 6000, 1500 },
	{ "first fork after touching, each further chunk", "fork", "fork_slope", 0, 0 },
};

static bool is_before_6_12(const char *kernel)
{
	unsigned int major = 0, minor = 0;

	return sscanf(kernel, "%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 12));
}

/* Times have no bar: they depend on the machine. */
static bool check_bar(const struct rows *rows, const char *kernel, const struct kernel_bar *bar)
{
	const struct row *row = rows_find(rows, kernel, bar->bench, "dev", bar->metric);
	double most = is_before_6_12(kernel) ? bar->before : bar->since;
	int digits;

	if (!row) {
		printf("%s: %s: not measured\n", kernel, bar->label);
		return false;
	}
	/* What is flat has slopes of less than one. */
	digits = fabs(row->value.median) < 10 ? 3 : 0;
	printf("%s: %s: %.*f [%.*f, %.*f] %s", kernel, bar->label, digits, row->value.median, digits, row->value.low, digits,
	       row->value.high, row->unit);
	if (most <= 0 || strncmp(row->unit, "instructions", strlen("instructions"))) {
		puts("");
		return true;
	}
	printf(" (bar %.0f)", most);
	return verdict(row->value.median <= most);
}

static bool check_kernel(const struct rows *rows, const char *kernel)
{
	bool met = check_touch(rows, kernel, "thp", THP_BAR);

	met &= check_touch(rows, kernel, "hugetlb", HUGETLB_BAR);
	met &= check_populate(rows, kernel);
	met &= check_flat(rows, kernel, "keep");
	met &= check_flat(rows, kernel, "rereserve");
	for (size_t i = 0; i < sizeof(kernel_bars) / sizeof(kernel_bars[0]); i++)
		met &= check_bar(rows, kernel, &kernel_bars[i]);
	return met;
}

static bool kernel_seen(const struct rows *rows, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (!strcmp(rows->data[j].kernel, rows->data[i].kernel))
			return true;
	return false;
}

static bool is_of_module(const struct row *row)
{
	return !strcmp(row->bench, "fault") || !strcmp(row->bench, "reclaim");
}

/* Kernels that have no row of fault or reclaim have nothing to be judged by. */
static bool kernel_is_judged(const struct rows *rows, const char *kernel)
{
	for (size_t i = 0; i < rows->nr; i++)
		if (!strcmp(rows->data[i].kernel, kernel) && is_of_module(&rows->data[i]))
			return true;
	return false;
}

static bool check_rows(struct rows *rows)
{
	bool met = true;

	for (size_t i = 0; i < rows->nr; i++)
		if (!kernel_seen(rows, i) && kernel_is_judged(rows, rows->data[i].kernel))
			met &= check_kernel(rows, rows->data[i].kernel);
	bars_set(rows->data, rows->nr);
	met &= bars_print(rows->data, rows->nr, stdout);
	met &= bars_print_missing(rows->data, rows->nr, stdout);
	return met;
}

int bench_table(char **paths, size_t nr_paths, bool check)
{
	struct rows rows = { 0 };
	bool met = true;
	int error = 0;

	for (size_t i = 0; i < nr_paths && !error; i++)
		error = rows_read(&rows, paths[i]);
	if (!error && !rows.nr)
		error = bench_fail("table: no results");
	if (!error) {
		report_print_rows(rows.data, rows.nr, stdout);
		met = check_rows(&rows);
	}
	free(rows.data);
	if (!error && check && !met)
		error = bench_fail("table: a bar is missed or was not measured");
	return error;
}
