// SPDX-License-Identifier: MIT
/* The pure parts of `arena-bench gc`: histograms, utilization, lines about cycles, and what is compared with what. */
#include "bench/bars.h"
#include "bench/cpus.h"
#include "bench/gc/cycles.h"
#include "bench/gc/histogram.h"
#include "bench/gc/utilization.h"
#include "bench/gc_runs.h"
#include "tests/bench/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-6;
}

static void test_buckets(void)
{
	bool holds = true, narrow = true;
	uint64_t state = 1;

	for (int i = 0; i < 100000; i++) {
		uint64_t value = (state = state * 6364136223846793005u + 1442695040888963407u) >> (i % 60), limit;
		size_t bucket = histogram_bucket(value);

		limit = histogram_limit(bucket);
		holds = holds && limit >= value && (!bucket || histogram_limit(bucket - 1) < value);
		narrow = narrow && limit - value <= value / 16;
	}
	check(holds, "a value lies above the bucket before its own, and not above its own");
	check(narrow, "a bucket is a sixteenth of its values wide");
	check(histogram_bucket(UINT64_MAX) < HISTOGRAM_BUCKETS, "the largest value has a bucket");
}

static void test_percentiles(void)
{
	struct histogram one = { .nr = 0 }, other = { .nr = 0 };

	check(histogram_percentile(&one, 0.999) == 0, "no values, no percentile");
	for (uint64_t i = 1; i <= 1000; i++)
		histogram_add(i % 2 ? &one : &other, i);
	histogram_merge(&one, &other);
	check(one.nr == 1000 && one.max == 1000, "two histograms become one");
	check(histogram_percentile(&one, 0.5) >= 500 && histogram_percentile(&one, 0.5) <= 532, "the median, 6 % too large at most");
	check(histogram_percentile(&one, 1) == 1000, "the last one is the maximum");
}

enum { BINS = 100 };

static void test_utilization(void)
{
	float lost[BINS] = { 0 };

	check(near(utilization_min(lost, BINS, 10), 1), "nothing lost");
	/* 0.25 ms that end in the middle of bin 52: half of it, all of 51 and of 50. */
	utilization_lose(lost, BINS, 52 * UTILIZATION_BIN_NS + UTILIZATION_BIN_NS / 2, 5 * UTILIZATION_BIN_NS / 2);
	check(near((double)lost[52], 50000) && near((double)lost[51], 100000) && near((double)lost[50], 100000) && near((double)lost[49], 0), "a stall lies before its end");
	check(near(utilization_min(lost, BINS, 1), 0), "a window within a stall");
	check(near(utilization_min(lost, BINS, 10), 0.75), "a window of 1 ms around it");
	utilization_lose(lost, BINS, 56 * UTILIZATION_BIN_NS, UTILIZATION_BIN_NS);
	check(near(utilization_min(lost, BINS, 10), 0.65), "that has another one as well");
	check(near(utilization_min(lost, BINS, 5), 0.5), "and one that has not");
	utilization_lose(lost, BINS, 1000 * UTILIZATION_BIN_NS, 10);
	utilization_lose(lost, BINS, 10, 1000);
	check(near(utilization_min(lost, BINS, BINS + 1), 1) && near((double)lost[0], 10), "what lies outside of the timeline is left out");
}

static void test_cycles(void)
{
	struct cycle cycle;

	check(cycle_parse("arena: gc 3 @0.41s 2%: 0.05+1.90+0.03 ms clock, 0+0.10/1.85/0.5+0 ms cpu, 8->9->5 MB, 10 MB goal, 2 P; "
			  "0.80/1.10 ms sweep, 0.11 ms runtime, 0.04 ms handshake, 2 rounds", &cycle) &&
	      near(cycle.wall_ms, 1.98) && near(cycle.assist_ms, 0.1) && near(cycle.worker_ms, 1.85) && near(cycle.idle_ms, 0.5) && near(cycle.sweep_ms, 0.8) &&
	      near(cycle.sweep_wall_ms, 1.1), "our line");
	check(cycle_parse("gc 1 @0.006s 4%: 0.021+0.35+0.004 ms clock, 0.043+0.26/0.20/0.01+0.008 ms cpu, 4->4->0 MB, 4 MB goal, 0 MB stacks, "
			  "0 MB globals, 2 P", &cycle) &&
	      near(cycle.wall_ms, 0.375) && near(cycle.assist_ms, 0.26) && near(cycle.sweep_ms, 0), "Go's line");
	check(!cycle_parse("arena: gc: thread 3 has not answered for 10 ms", &cycle) && !cycle_parse("gc 3 @0.41s 2%: nonsense", &cycle) &&
	      !cycle_parse("gc 3 @0.41s 2%: 1+1+1 ms clock, 0+1/1/0+0 ms cpu; 1 ms sweep", &cycle) &&
	      !cycle_parse("", &cycle), "what is no such line");
}

/* The first sample of a row; 0 when it is not there. */
static double sample_of(const struct report *report, const char *name, const char *metric)
{
	for (const struct series *series = report->first; series; series = series->next)
		if (!strcmp(series->row.name, name) && !strcmp(series->row.metric, metric))
			return series->samples[0];
	return 0;
}

/* Whether the text of the ratios has @line. */
static bool is_printed(const struct report *report, const char *line)
{
	char text[1024] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	if (!out)
		abort();
	gc_print_ratios(report, out);
	fclose(out);
	return strstr(text, line);
}

static void test_ratios(void)
{
	struct report report;

	report_init(&report);
	report_add(&report, "gc", "trees/arena", "thp", "cpu", "ms", 30);
	report_add(&report, "gc", "trees/arena", "thp", "cycle_workers", "percent", 21);
	report_add(&report, "gc", "trees/malloc", "malloc", "cpu", "ms", 20);
	report_add(&report, "gc", "trees/boehm", "malloc", "cpu", "ms", 60);
	report_add(&report, "gc", "splay/malloc", "malloc", "cpu", "ms", 1);
	report_add(&report, "gc", "trees/arena", "pages", "cpu", "ms", 40);
	gc_add_ratios(&report);
	check(near(sample_of(&report, "trees/arena", "cpu_vs_malloc"), 1.5) && near(sample_of(&report, "trees/arena", "cpu_vs_boehm"), 0.5), "ours over theirs");
	check(is_printed(&report, "trees/arena      thp       elapsed  cpu 1.500 of malloc, 0.500 of boehm,") &&
	      is_printed(&report, "trees/arena      pages     elapsed  cpu 2.000 of malloc, 0.667 of boehm,"), "a line for each source");
	check(near(sample_of(&report, "trees/arena", "cpu_vs_go"), 0), "no ratio to what did not run");
	check(near(sample_of(&report, "trees/arena", "cycle_workers_off"), 4), "how far the workers' share is from a quarter");
	report_fini(&report);
}

static void test_cpus(void)
{
	cpu_set_t allowed, wanted, first;

	CPU_ZERO(&allowed);
	CPU_ZERO(&wanted);
	CPU_SET(1, &allowed);
	CPU_SET(3, &allowed);
	CPU_SET(CPU_SETSIZE - 1, &allowed);
	first = cpus_first(&allowed, 0);
	check(CPU_EQUAL(&first, &allowed), "all CPUs that are allowed");
	first = cpus_first(&allowed, 4);
	check(CPU_EQUAL(&first, &allowed), "no more than are allowed");
	CPU_SET(1, &wanted);
	CPU_SET(3, &wanted);
	first = cpus_first(&allowed, 2);
	check(CPU_EQUAL(&first, &wanted), "the first two of those that are allowed");
}

static void test_plain(void)
{
	check(gc_is_plain("cpu:ms=1") && gc_is_plain("cycle_workers:percent=25") && gc_is_plain("sweep_workers:percent=1") && gc_is_plain("collector:percent=9"),
	      "CPU time and the collector's shares are those of plain runs");
	check(!gc_is_plain("own_max:us=1") && !gc_is_plain("utilization_10ms:ratio=1"), "what threads time themselves is not");
}

static const struct {
	const char *name, *metric;
	double bar, inside, outside;
} bars[] = {
	{ "trees/arena", "own_max", 500, 499, 501 },
	{ "trees/arena", "wall_p99_9", 25, 24.9, 25.1 },
	{ "trees/arena", "wall_p99_99", 100, 99, 101 },
	{ "trees/arena", "cpu_vs_malloc", 1.6, 1.59, 1.61 },
	{ "trees/arena", "cpu_vs_boehm", 0.85, 0.84, 0.86 },
	{ "trees/arena", "peak_rss_vs_malloc", 2.3, 2.29, 2.31 },
	{ "trees/arena", "utilization_10ms", 0.85, 0.86, 0.84 },
	{ "trees2/arena", "utilization_10ms", 0.55, 0.56, 0.54 },
	{ "trees2/arena", "cycle_workers_off", 5, 4.9, 5.1 },
	{ "trees2/arena", "cycle_assists", 5, 4.9, 5.1 },
	{ "limited/arena", "over_limit", 3, 2.9, 3.1 },
	{ "limited/arena", "collector", 50, 49, 51 },
	{ "stores/arena", "barrier_off", 0.5, 0.49, 0.51 },
	{ "stores/arena", "barrier_on", 4, 3.9, 4.1 },
};
enum { NR_BARS = sizeof(bars) / sizeof(bars[0]) };

static struct row row_of(size_t i, const char *name, double median)
{
	struct row row = { .bench = "gc", .unit = "u", .kernel = "k", .source = "thp", .value = { .median = median } };

	snprintf(row.name, sizeof(row.name), "%s", name);
	snprintf(row.metric, sizeof(row.metric), "%s", bars[i].metric);
	bars_set(&row, 1);
	return row;
}

static void test_bar(size_t i)
{
	struct row inside = row_of(i, bars[i].name, bars[i].inside), outside = row_of(i, bars[i].name, bars[i].outside), peer;
	char name[64];

	snprintf(name, sizeof(name), "%.*s/boehm", (int)strcspn(bars[i].name, "/"), bars[i].name);
	peer = row_of(i, name, bars[i].outside);
	snprintf(name, sizeof(name), "%s %s: met at %g, missed at %g", bars[i].name, bars[i].metric, bars[i].inside, bars[i].outside);
	check(inside.bar.kind != BAR_NONE && near(inside.bar.value, bars[i].bar) && row_is_met(&inside) && !row_is_met(&outside) && peer.bar.kind == BAR_NONE, name);
}

/* What would be missing if only another program had been measured names all bars that there are. */
static size_t count_bars(void)
{
	struct row row = row_of(0, "other/arena", 1);
	char text[4096] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");
	size_t nr = 0;

	if (!out)
		abort();
	bars_print_missing(&row, 1, out);
	fclose(out);
	for (const char *at = text; (at = strstr(at, ": not measured\n")); at++)
		nr++;
	return nr;
}

static void test_bars(void)
{
	for (size_t i = 0; i < NR_BARS; i++)
		test_bar(i);
	check(count_bars() == NR_BARS, "and there is no other bar");
}

int main(void)
{
	test_buckets();
	test_percentiles();
	test_utilization();
	test_cycles();
	test_ratios();
	test_cpus();
	test_plain();
	test_bars();
	return check_end();
}
