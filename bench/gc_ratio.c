// SPDX-License-Identifier: MIT
/* What the runs of `arena-bench gc` come to. Pure. */
#include <math.h>
#include <string.h>

#include "bench/gc_runs.h"

/* What workers may have of all CPUs while a cycle runs. */
#define SHARE_PERCENT 25

enum { NAME_BYTES = 64 };

static const char *const peers[] = { "malloc", "boehm", "go" };
static const char *const compared[] = { "elapsed", "cpu", "peak_rss" };

bool gc_is_plain(const char *word)
{
	static const char *const metrics[] = { "elapsed:", "cpu:", "peak_rss:", "over_limit:", "cycles:", "wall_", "answer_max:", "handshake_",
					       "cpus:", "cycle_", "sweep_", "collector:" };

	for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
		if (!strncmp(word, metrics[i], strlen(metrics[i])))
			return true;
	return false;
}

/* Peers have one source. */
static const struct series *find(const struct report *report, const char *name, const char *source, const char *metric)
{
	for (const struct series *series = report->first; series; series = series->next)
		if (!strcmp(series->row.bench, "gc") && !strcmp(series->row.name, name) && !strcmp(series->row.source, source) && !strcmp(series->row.metric, metric))
			return series;
	return NULL;
}

/* The program's name with another runtime; false when the row is not one of ours. */
static bool name_with(char name[NAME_BYTES], const struct series *ours, const char *peer)
{
	const char *slash = strrchr(ours->row.name, '/');

	if (strcmp(ours->row.bench, "gc") || !slash || strcmp(slash + 1, OURS_GC))
		return false;
	return snprintf(name, NAME_BYTES, "%.*s/%s", (int)(slash - ours->row.name), ours->row.name, peer) < NAME_BYTES;
}

static void add_ratio(struct report *report, const struct series *ours, const char *peer)
{
	char name[NAME_BYTES], metric[NAME_BYTES];
	const struct series *theirs = name_with(name, ours, peer) ? find(report, name, MALLOC_SOURCE, ours->row.metric) : NULL;

	if (!theirs || theirs->n != ours->n)
		return;
	snprintf(metric, sizeof(metric), "%s_vs_%s", ours->row.metric, peer);
	for (size_t i = 0; i < ours->n; i++)
		if (theirs->samples[i] > 0)
			report_add(report, "gc", ours->row.name, ours->row.source, metric, "ratio", ours->samples[i] / theirs->samples[i]);
}

static void add_share(struct report *report, const struct series *ours)
{
	for (size_t i = 0; i < ours->n; i++)
		report_add(report, "gc", ours->row.name, ours->row.source, "cycle_workers_off", "percent", fabs(ours->samples[i] - SHARE_PERCENT));
}

static void print_ratios_of(const struct report *report, const struct series *ours, const char *metric, FILE *out)
{
	fprintf(out, "  %s", metric);
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		const struct series *ratio;
		char name[NAME_BYTES];

		snprintf(name, sizeof(name), "%s_vs_%s", metric, peers[i]);
		ratio = find(report, ours->row.name, ours->row.source, name);
		if (ratio)
			fprintf(out, " %.3f of %s%s", series_median(ratio), peers[i], i + 1 < sizeof(peers) / sizeof(peers[0]) ? "," : "");
	}
}

void gc_print_ratios(const struct report *report, FILE *out)
{
	bool is_first = true;

	for (const struct series *ours = report->first; ours; ours = ours->next) {
		char name[NAME_BYTES];

		if (strcmp(ours->row.metric, "cpu_vs_malloc") || !name_with(name, ours, ""))
			continue;
		if (is_first)
			fprintf(out, "ours over theirs, medians of ratios\n");
		is_first = false;
		fprintf(out, "%-16s %-8s", ours->row.name, ours->row.source);
		for (size_t i = 0; i < sizeof(compared) / sizeof(compared[0]); i++)
			print_ratios_of(report, ours, compared[i], out);
		fputc('\n', out);
	}
}

void gc_add_ratios(struct report *report)
{
	/* What is added comes behind, and is none of these. */
	for (const struct series *ours = report->first; ours; ours = ours->next) {
		char name[NAME_BYTES];

		if (!name_with(name, ours, ""))
			continue;
		if (!strcmp(ours->row.metric, "cycle_workers"))
			add_share(report, ours);
		for (size_t i = 0; i < sizeof(compared) / sizeof(compared[0]); i++)
			for (size_t j = 0; j < sizeof(peers) / sizeof(peers[0]) && !strcmp(ours->row.metric, compared[i]); j++)
				add_ratio(report, ours, peers[j]);
	}
}
