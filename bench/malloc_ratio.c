// SPDX-License-Identifier: MIT
/*
 * What the runs of `arena-bench malloc` come to: how long a program takes with our allocator over how long with a peer, so
 * that less than 1 is faster; and the geometric mean over the list. Pure but for what it prints.
 *
 * Each ratio is clamped to [0.5, 2] in the mean, and the mean is there without the two best as well: no single program
 * shall decide it.
 */
#include "bench/malloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLAMP_LOW 0.5
#define CLAMP_HIGH 2.0

enum { NR_BEST = 2, NAME_BYTES = 64, NAME_WIDTH = 26 };

static const char *const peers[] = { "mimalloc", "glibc" };
enum { NR_PEERS = sizeof(peers) / sizeof(peers[0]) };

static const struct series *find(const struct report *report, const char *name, const char *metric)
{
	for (const struct series *series = report->first; series; series = series->next)
		if (!strcmp(series->row.bench, "malloc") && !strcmp(series->row.name, name) &&
		    !strcmp(series->row.metric, metric))
			return series;
	return NULL;
}

static bool is_ours(const struct series *series, const char *metric)
{
	const char *slash = strrchr(series->row.name, '/');

	return !strcmp(series->row.bench, "malloc") && slash && !strcmp(slash + 1, OURS) &&
	       !strcmp(series->row.metric, metric);
}

static void metric_name(char name[NAME_BYTES], const char *peer, const char *tail)
{
	snprintf(name, NAME_BYTES, "vs_%s%s", peer, tail);
}

/* Repetition by repetition: both ran one shortly after the other. None when one of them failed. */
static void add_ratio(struct report *report, const struct series *ours, const char *peer)
{
	const char *slash = strrchr(ours->row.name, '/');
	char name[2 * NAME_BYTES], metric[NAME_BYTES];
	const struct series *theirs;

	snprintf(name, sizeof(name), "%.*s/%s", (int)(slash - ours->row.name), ours->row.name, peer);
	metric_name(metric, peer, "");
	theirs = find(report, name, "elapsed");
	for (size_t i = 0; theirs && ours->n == theirs->n && i < ours->n; i++)
		report_add(report, "malloc", ours->row.name, ours->row.source, metric, "ratio",
			   ours->samples[i] / theirs->samples[i]);
}

static double median_of(const struct series *series)
{
	double *copy = malloc(series->n * sizeof(*copy)), median;

	if (!copy)
		abort();
	memcpy(copy, series->samples, series->n * sizeof(*copy));
	median = stat_summary(copy, series->n).median;
	free(copy);
	return median;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* The logarithms of all programs' clamped ratios, the best first; how many. */
static size_t logs_of(const struct report *report, const char *metric, double logs[MAX_PROGRAMS])
{
	size_t nr = 0;

	for (const struct series *series = report->first; series && nr < MAX_PROGRAMS; series = series->next)
		if (is_ours(series, metric))
			logs[nr++] = log(fmin(fmax(median_of(series), CLAMP_LOW), CLAMP_HIGH));
	qsort(logs, nr, sizeof(*logs), compare);
	return nr;
}

static void add_mean(struct report *report, const char *metric, const double *logs, size_t nr)
{
	double sum = 0;

	for (size_t i = 0; i < nr; i++)
		sum += logs[i];
	report_add(report, "malloc", GEOMETRIC_MEAN "/all", MALLOC_SOURCE, metric, "ratio", exp(sum / (double)nr));
}

static void add_means(struct report *report, const char *peer)
{
	char metric[NAME_BYTES], without[NAME_BYTES];
	double logs[MAX_PROGRAMS];
	size_t nr;

	metric_name(metric, peer, "");
	metric_name(without, peer, "_but_best");
	nr = logs_of(report, metric, logs);
	if (nr > 1)
		add_mean(report, metric, logs, nr);
	if (nr > NR_BEST)
		add_mean(report, without, logs + NR_BEST, nr - NR_BEST);
}

void malloc_add_ratios(struct report *report, bool complete)
{
	for (const struct series *ours = report->first; ours; ours = ours->next)
		for (size_t i = 0; is_ours(ours, "elapsed") && i < NR_PEERS; i++)
			add_ratio(report, ours, peers[i]);
	for (size_t i = 0; complete && i < NR_PEERS; i++)
		add_means(report, peers[i]);
}

static void print_against(const struct report *report, const char *name, const char *tail, FILE *out)
{
	for (size_t i = 0; i < NR_PEERS; i++) {
		const struct series *ratio;
		char metric[NAME_BYTES];

		metric_name(metric, peers[i], tail);
		ratio = find(report, name, metric);
		if (ratio)
			fprintf(out, "  %6.3f of %s", median_of(ratio), peers[i]);
	}
	fputc('\n', out);
}

void malloc_print_ratios(const struct report *report, FILE *out)
{
	bool is_first = true;

	for (const struct series *ours = report->first; ours; ours = ours->next) {
		if (!is_ours(ours, "elapsed"))
			continue;
		if (is_first)
			fprintf(out, "elapsed, medians of ratios (less than 1 is faster)\n");
		is_first = false;
		fprintf(out, "%-*s", NAME_WIDTH, ours->row.name);
		print_against(report, ours->row.name, "", out);
	}
	if (is_first || !find(report, GEOMETRIC_MEAN "/all", "vs_glibc"))
		return;
	fprintf(out, "%-*s", NAME_WIDTH, GEOMETRIC_MEAN);
	print_against(report, GEOMETRIC_MEAN "/all", "", out);
	fprintf(out, "%-*s", NAME_WIDTH, "  without the two best");
	print_against(report, GEOMETRIC_MEAN "/all", "_but_best", out);
}
