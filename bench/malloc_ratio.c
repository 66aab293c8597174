// SPDX-License-Identifier: MIT
/*
 * What the runs of `arena-bench malloc` come to: how long a program takes with our allocator over how long with a peer, so
 * that less than 1 is faster, how much CPU and memory; and geometric means over the list. Pure but for what it prints.
 *
 * Each ratio is clamped to [0.5, 2] in the mean, and the mean is there without the two best as well: no single program
 * shall decide it.
 */
#include "bench/bars.h"
#include "bench/malloc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLAMP_LOW 0.5
#define CLAMP_HIGH 2.0

enum { NR_BEST = 2, NAME_BYTES = 64, NAME_WIDTH = 26 };

static const char *const peers[] = { "mimalloc", "glibc" };
enum { NR_PEERS = sizeof(peers) / sizeof(peers[0]) };
/* Whose memory is compared as well. */
static const char *const all_peers[] = { "glibc", "mimalloc", "jemalloc", "gperftools" };

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

/* The row of the same program with a peer. */
static const struct series *find_peer(const struct report *report, const struct series *ours, const char *peer, const char *metric)
{
	const char *slash = strrchr(ours->row.name, '/');
	char name[2 * NAME_BYTES];

	snprintf(name, sizeof(name), "%.*s/%s", (int)(slash - ours->row.name), ours->row.name, peer);
	return find(report, name, metric);
}

static void metric_name(char name[NAME_BYTES], const char *peer, const char *tail)
{
	snprintf(name, NAME_BYTES, "vs_%s%s", peer, tail);
}

static bool is_positive(const struct series *series)
{
	for (size_t i = 0; i < series->n; i++)
		if (series->samples[i] <= 0)
			return false;
	return true;
}

/* Repetition by repetition: both ran one shortly after the other. None when one of them failed, or took too little to be told. */
static void add_ratio(struct report *report, const struct series *ours, const struct series *theirs, const char *metric)
{
	if (!theirs || ours->n != theirs->n || !is_positive(theirs))
		return;
	for (size_t i = 0; i < ours->n; i++)
		report_add(report, "malloc", ours->row.name, ours->row.source, metric, "ratio",
			   ours->samples[i] / theirs->samples[i]);
}

static void add_elapsed_ratios(struct report *report, const struct series *ours)
{
	char metric[NAME_BYTES];

	for (size_t i = 0; i < NR_PEERS; i++) {
		metric_name(metric, peers[i], "");
		add_ratio(report, ours, find_peer(report, ours, peers[i], "elapsed"), metric);
	}
}

/* The peer that needs least memory for the same program; NULL when none ran it. */
static const struct series *find_best_peak(const struct report *report, const struct series *ours)
{
	const struct series *best = NULL;

	for (size_t i = 0; i < sizeof(all_peers) / sizeof(all_peers[0]); i++) {
		const struct series *theirs = find_peer(report, ours, all_peers[i], "peak_rss");

		if (theirs && (!best || series_median(theirs) < series_median(best)))
			best = theirs;
	}
	return best;
}

static void add_peak_ratios(struct report *report, const struct series *ours)
{
	add_ratio(report, ours, find_peer(report, ours, "glibc", "peak_rss"), "peak_rss_vs_glibc");
	add_ratio(report, ours, find_best_peak(report, ours), "peak_rss_vs_best");
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
			logs[nr++] = log(fmin(fmax(series_median(series), CLAMP_LOW), CLAMP_HIGH));
	qsort(logs, nr, sizeof(*logs), compare);
	return nr;
}

static void add_mean(struct report *report, const char *name, const char *metric, const double *logs, size_t nr)
{
	double sum = 0;

	for (size_t i = 0; i < nr; i++)
		sum += logs[i];
	report_add(report, "malloc", name, MALLOC_SOURCE, metric, "ratio", exp(sum / (double)nr));
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
		add_mean(report, GEOMETRIC_MEAN "/all", metric, logs, nr);
	if (nr > NR_BEST)
		add_mean(report, GEOMETRIC_MEAN "/all", without, logs + NR_BEST, nr - NR_BEST);
}

/* Peaks of the small programs, as they are: nothing is clamped. */
static void add_small_mean(struct report *report)
{
	double logs[MAX_PROGRAMS];
	size_t nr = 0;

	for (const struct series *series = report->first; series && nr < MAX_PROGRAMS; series = series->next)
		if (is_ours(series, "peak_rss_vs_glibc") &&
		    series_median(find_peer(report, series, "glibc", "peak_rss")) < SMALL_MIB)
			logs[nr++] = log(series_median(series));
	if (nr > 1)
		add_mean(report, SMALL_MEAN, "peak_rss_vs_glibc", logs, nr);
}

void malloc_add_ratios(struct report *report, bool complete)
{
	for (const struct series *ours = report->first; ours; ours = ours->next) {
		if (is_ours(ours, "elapsed"))
			add_elapsed_ratios(report, ours);
		else if (is_ours(ours, "cpu"))
			add_ratio(report, ours, find_peer(report, ours, "mimalloc", "cpu"), "cpu_vs_mimalloc");
		else if (is_ours(ours, "peak_rss"))
			add_peak_ratios(report, ours);
	}
	for (size_t i = 0; complete && i < NR_PEERS; i++)
		add_means(report, peers[i]);
	if (complete)
		add_small_mean(report);
}

static void print_against(const struct report *report, const char *name, const char *tail, FILE *out)
{
	for (size_t i = 0; i < NR_PEERS; i++) {
		const struct series *ratio;
		char metric[NAME_BYTES];

		metric_name(metric, peers[i], tail);
		ratio = find(report, name, metric);
		if (ratio)
			fprintf(out, "  %6.3f of %s", series_median(ratio), peers[i]);
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
