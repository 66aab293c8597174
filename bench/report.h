/* SPDX-License-Identifier: MIT */
/* Samples of one run, by row, and how they are shown. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/json.h"

#include <stddef.h>
#include <stdio.h>

/* Source of a row that uses no arena. */
#define MALLOC_SOURCE "malloc"

/* The samples of one row, in the order of the repetitions. Used by the main thread only. */
struct series {
	struct row row;
	double *samples;
	size_t n, cap;
	struct series *next;
};

struct report {
	struct series *first;
	struct series **last;	/* &first, or &next of the last one */
};

void report_init(struct report *report);
void report_fini(struct report *report);
/** Add one sample to the row of these names, which is made on first use. Exits when out of memory. */
void report_add(struct report *report, const char *bench, const char *name, const char *source,
		const char *metric, const char *unit, double sample);
/** The summaries of the report's rows, for the caller to free; how many in @nr_rows. Exits when out of memory. */
struct row *report_rows(const struct report *report, size_t *nr_rows);
/** The median of a row's samples. Exits when out of memory. */
double series_median(const struct series *series);
/** A table of rows, measured here or elsewhere, with one line per case. */
void report_print_rows(const struct row *rows, size_t nr_rows, FILE *out);
/**
 * How many times as fast each warm and cold row is as each row of the same part that uses malloc, repetition by
 * repetition. Prints nothing when there are no such rows.
 */
void report_print_ratios(const struct report *report, FILE *out);

#endif /* BENCH_REPORT_H */
