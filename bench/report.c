// SPDX-License-Identifier: MIT
/*
 * Collects samples and prints them for people, one line per case.
 *
 * Linear searches throughout: a run has some dozens of rows, and none of this is timed.
 */
#include "bench/report.h"

#include "bench/proc.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Columns of one table: the metrics of one benchmark. */
enum { MAX_COLUMNS = 16, CASE_WIDTH = 26, CELL_BYTES = 80 };

struct column {
	const struct row *row;	/* gives metric and unit */
	char title[CELL_BYTES];
	int width;
};

void report_init(struct report *report)
{
	report->first = NULL;
	report->last = &report->first;
}

void report_fini(struct report *report)
{
	while (report->first) {
		struct series *series = report->first;

		report->first = series->next;
		free(series->samples);
		free(series);
	}
	report_init(report);
}

static void die_of_memory(void)
{
	fputs("arena-bench: out of memory for results\n", stderr);
	exit(1);
}

static bool same_row(const struct row *a, const struct row *b)
{
	return !strcmp(a->bench, b->bench) && !strcmp(a->name, b->name) && !strcmp(a->source, b->source) &&
	       !strcmp(a->metric, b->metric);
}

static struct series *series_get(struct report *report, const struct row *row)
{
	struct series *series;

	for (series = report->first; series; series = series->next)
		if (same_row(&series->row, row))
			return series;
	series = calloc(1, sizeof(*series));
	if (!series)
		die_of_memory();
	series->row = *row;
	*report->last = series;
	report->last = &series->next;
	return series;
}

void report_add(struct report *report, const char *bench, const char *name, const char *source,
		const char *metric, const char *unit, double sample)
{
	struct series *series;
	struct row row = { 0 };

	snprintf(row.bench, sizeof(row.bench), "%s", bench);
	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.source, sizeof(row.source), "%s", source);
	snprintf(row.metric, sizeof(row.metric), "%s", metric);
	snprintf(row.unit, sizeof(row.unit), "%s", unit);
	snprintf(row.kernel, sizeof(row.kernel), "%s", proc_kernel());
	series = series_get(report, &row);
	if (series->n == series->cap) {
		series->cap = series->cap ? 2 * series->cap : 32;
		series->samples = realloc(series->samples, series->cap * sizeof(*series->samples));
		if (!series->samples)
			die_of_memory();
	}
	series->samples[series->n++] = sample;
}

static struct summary summary_of(const double *samples, size_t n)
{
	double *copy = malloc(n * sizeof(*copy));
	struct summary summary;

	if (!copy)
		die_of_memory();
	memcpy(copy, samples, n * sizeof(*copy));
	summary = stat_summary(copy, n);
	free(copy);
	return summary;
}

double series_median(const struct series *series)
{
	return summary_of(series->samples, series->n).median;
}

struct row *report_rows(const struct report *report, size_t *nr_rows)
{
	size_t nr = 0;
	struct row *rows;

	for (const struct series *series = report->first; series; series = series->next)
		nr++;
	rows = calloc(nr ? nr : 1, sizeof(*rows));
	if (!rows)
		die_of_memory();
	*nr_rows = nr;
	nr = 0;
	for (const struct series *series = report->first; series; series = series->next) {
		rows[nr] = series->row;
		rows[nr++].value = summary_of(series->samples, series->n);
	}
	return rows;
}

/* "nodes/warm" and "nodes/glibc-inorder" are of one part: the same up to the last slash. */
static bool same_part(const char *a, const char *b)
{
	const char *slash = strrchr(a, '/');

	return slash && !strncmp(a, b, (size_t)(slash - a) + 1) && !strchr(b + (slash - a) + 1, '/');
}

/* The rows of one table. Programs of malloc and gc have different metrics, so that each has a table. */
static bool same_group(const struct row *a, const struct row *b)
{
	return !strcmp(a->bench, b->bench) && !strcmp(a->kernel, b->kernel) &&
	       ((strcmp(a->bench, "malloc") && strcmp(a->bench, "gc")) || same_part(a->name, b->name));
}

static bool same_line(const struct row *a, const struct row *b)
{
	return same_group(a, b) && !strcmp(a->name, b->name) && !strcmp(a->source, b->source);
}

/* True when no row before @rows[i] is its like. */
static bool is_first(const struct row *rows, size_t i, bool (*same)(const struct row *, const struct row *))
{
	for (size_t j = 0; j < i; j++)
		if (same(&rows[j], &rows[i]))
			return false;
	return true;
}

static const struct row *cell_find(const struct row *rows, size_t nr_rows, const struct row *line,
				   const struct column *column)
{
	for (size_t i = 0; i < nr_rows; i++)
		if (same_line(&rows[i], line) && !strcmp(rows[i].metric, column->row->metric))
			return &rows[i];
	return NULL;
}

static int cell_format(const struct row *cell, char text[CELL_BYTES])
{
	const struct summary *value = &cell->value;

	if (value->low >= value->high)
		return snprintf(text, CELL_BYTES, "%.6g", value->median);
	return snprintf(text, CELL_BYTES, "%.6g [%.6g, %.6g]", value->median, value->low, value->high);
}

/* Ratios of gc are many, and shown below the tables. */
static bool is_cell(const struct row *row)
{
	return strcmp(row->bench, "gc") || !strstr(row->metric, "_vs_");
}

/* The metrics of @group in the order in which they first appear, and how wide each must be. */
static size_t columns_of(const struct row *rows, size_t nr_rows, const struct row *group,
			 struct column columns[MAX_COLUMNS])
{
	char text[CELL_BYTES];
	size_t nr = 0, i, j;

	for (i = 0; i < nr_rows; i++) {
		if (!same_group(&rows[i], group) || !is_cell(&rows[i]))
			continue;
		for (j = 0; j < nr && strcmp(columns[j].row->metric, rows[i].metric); j++)
			;
		if (j == MAX_COLUMNS)
			continue;
		if (j == nr) {
			columns[nr++].row = &rows[i];
			columns[j].width = snprintf(columns[j].title, CELL_BYTES, "%s (%s)", rows[i].metric,
						    rows[i].unit);
		}
		if (cell_format(&rows[i], text) > columns[j].width)
			columns[j].width = cell_format(&rows[i], text);
	}
	return nr;
}

static void print_line(const struct row *rows, size_t nr_rows, const struct row *line, const struct column *columns,
		       size_t nr_columns, FILE *out)
{
	char text[CELL_BYTES];
	size_t n = 0;

	fprintf(out, "%-*s %-8s", CASE_WIDTH, line->name, line->source);
	for (size_t i = 0; i < nr_columns; i++) {
		const struct row *cell = cell_find(rows, nr_rows, line, &columns[i]);

		snprintf(text, sizeof(text), "-");
		if (cell) {
			cell_format(cell, text);
			n = cell->value.n > n ? cell->value.n : n;
		}
		fprintf(out, "  %-*s", columns[i].width, text);
	}
	fprintf(out, "  %zu\n", n);
}

static void print_group(const struct row *rows, size_t nr_rows, const struct row *group, FILE *out)
{
	struct column columns[MAX_COLUMNS];
	size_t nr_columns = columns_of(rows, nr_rows, group, columns);

	fprintf(out, "%s on %s: median [95 %% interval]\n%-*s %-8s", group->bench, group->kernel, CASE_WIDTH,
		"case", "source");
	for (size_t i = 0; i < nr_columns; i++)
		fprintf(out, "  %-*s", columns[i].width, columns[i].title);
	fputs("  n\n", out);
	for (size_t i = 0; i < nr_rows; i++)
		if (same_group(&rows[i], group) && is_first(rows, i, same_line))
			print_line(rows, nr_rows, &rows[i], columns, nr_columns, out);
	fputc('\n', out);
}

void report_print_rows(const struct row *rows, size_t nr_rows, FILE *out)
{
	for (size_t i = 0; i < nr_rows; i++)
		if (is_first(rows, i, same_group))
			print_group(rows, nr_rows, &rows[i], out);
}

static void print_ratio(const struct series *slow, const struct series *fast, FILE *out)
{
	double *ratios = malloc(fast->n * sizeof(*ratios));
	struct summary ratio;

	if (!ratios)
		die_of_memory();
	for (size_t i = 0; i < fast->n; i++)
		ratios[i] = slow->samples[i] / fast->samples[i];
	ratio = stat_summary(ratios, fast->n);
	free(ratios);
	fprintf(out, "%-*s %-8s  %6.3g [%.3g, %.3g] times as fast as %s\n", CASE_WIDTH, fast->row.name,
		fast->row.source, ratio.median, ratio.low, ratio.high, slow->row.name);
}

static bool is_time(const struct series *series)
{
	return !strcmp(series->row.bench, "arena") && !strcmp(series->row.metric, "time");
}

void report_print_ratios(const struct report *report, FILE *out)
{
	for (const struct series *fast = report->first; fast; fast = fast->next) {
		if (!is_time(fast) || !strcmp(fast->row.source, MALLOC_SOURCE))
			continue;
		for (const struct series *slow = report->first; slow; slow = slow->next)
			if (is_time(slow) && !strcmp(slow->row.source, MALLOC_SOURCE) && slow->n == fast->n &&
			    same_part(fast->row.name, slow->row.name))
				print_ratio(slow, fast, out);
	}
}
