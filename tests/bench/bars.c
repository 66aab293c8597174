// SPDX-License-Identifier: MIT
/*
 * What results are worth: each bar is seen met at its value and missed just beyond it, on made-up result lines; and the ratios that bars
 * are about, on made-up samples.
 */
#include "bench/bars.h"
#include "bench/malloc.h"
#include "tests/bench/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 16, TEXT_BYTES = 4096 };

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* ---------------------------------------------------------------- bars */

struct table {
	struct row rows[MAX_ROWS];
	size_t nr;
};

/* A line as --json prints it, read as `arena-bench table` reads it. */
static void add_line(struct table *table, const char *kernel, const char *bench, const char *name, const char *metric, double median)
{
	char line[512];

	snprintf(line, sizeof(line),
		 "{\"bench\": \"%s\", \"case\": \"%s\", \"source\": \"thp\", \"metric\": \"%s\", \"unit\": \"u\", "
		 "\"median\": %.12g, \"low\": 0, \"high\": 1e9, \"n\": 5, \"kernel\": \"%s\"}",
		 bench, name, metric, median, kernel);
	if (table->nr == MAX_ROWS || !json_parse(line, &table->rows[table->nr++]))
		abort();
}

/* Whether the last row has @bar, keeps to it at @good and not at @bad. */
static bool is_judged(struct table *table, double bar, double good, double bad)
{
	struct row *row = &table->rows[table->nr - 1];
	bool right;

	row->value.median = good;
	bars_set(table->rows, table->nr);
	right = row->bar.kind != BAR_NONE && near(row->bar.value, bar) && row_is_met(row);
	row->value.median = bad;
	bars_set(table->rows, table->nr);
	return right && !row_is_met(row);
}

static bool is_without_bar(struct table *table)
{
	bars_set(table->rows, table->nr);
	return table->rows[table->nr - 1].bar.kind == BAR_NONE;
}

static void test_fixed_bars(void)
{
	static const struct {
		const char *bench, *name, *metric;
		double bar, beyond;
	} cases[] = {
		{ "malloc", "geometric-mean/all", "vs_mimalloc", 0.92, 0.921 },
		{ "malloc", "geometric-mean/all", "vs_mimalloc_but_best", 0.92, 0.921 },
		{ "malloc", "geometric-mean/small", "peak_rss_vs_glibc", 1.25, 1.26 },
		{ "malloc", "remote/arena", "vs_mimalloc", 0.65, 0.651 },
		{ "malloc", "calloc64m/arena", "cpu_vs_mimalloc", 0.8, 0.81 },
		{ "malloc", "frag/arena", "rss_refilled", 540, 541 },
		{ "malloc", "kib1-threads/arena", "scaling", 0.9, 0.89 },
		{ "malloc", "local/arena", "vs_glibc", 1.1, 1.11 },
		{ "malloc", "trace-gcc/arena", "vs_glibc", 1.1, 1.11 },
		{ "pages", "pair", "pair", 12, 12.1 },
		{ "pages", "pair", "pair_instructions", 30, 31 },
		{ "pages", "run", "run_of_64", 150, 151 },
		{ "start", "true/arena", "added_elapsed", 0.5, 0.51 },
		{ "start", "true/arena", "added_peak_rss", 1024, 1028 },
		{ "idle", "idle/arena", "back_90", 2000, 2001 },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct table table = { 0 };
		char name[128];

		snprintf(name, sizeof(name), "%s %s %s: met at %g, missed at %g", cases[i].bench, cases[i].name, cases[i].metric,
			 cases[i].bar, cases[i].beyond);
		add_line(&table, "k", cases[i].bench, cases[i].name, cases[i].metric, 0);
		check(is_judged(&table, cases[i].bar, cases[i].bar, cases[i].beyond), name);
	}
}

static void test_rows_without_bar(void)
{
	static const char *const cases[][3] = {
		{ "malloc", "local/glibc", "vs_glibc" },     { "malloc", "local/arena", "elapsed" },
		{ "malloc", "local/arena", "vs_mimalloc" },  { "malloc", "remote/jemalloc", "vs_mimalloc" },
		{ "malloc", "local/arena", "rss_after_2s" }, { "arena", "local/arena", "vs_glibc" },
		{ "idle", "idle/glibc", "back_90" },
	};
	bool none = true;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct table table = { 0 };

		add_line(&table, "k", cases[i][0], cases[i][1], cases[i][2], 1e9);
		none = none && is_without_bar(&table) && row_is_met(&table.rows[0]);
	}
	check(none, "no bar for other allocators, and for what the bars are not about");
}

/* Which bar a peak has, by what glibc needed. */
static bool is_peak_judged(double glibc_mib, const char *metric, double bar)
{
	struct table table = { 0 };

	/* Another kernel's peak, and another program's, are none of its business. */
	add_line(&table, "other", "malloc", "local/glibc", "peak_rss", glibc_mib < 16 ? 100 : 1);
	add_line(&table, "k", "malloc", "larson/glibc", "peak_rss", glibc_mib < 16 ? 100 : 1);
	add_line(&table, "k", "malloc", "local/glibc", "peak_rss", glibc_mib);
	add_line(&table, "k", "malloc", "local/arena", metric, 1);
	return bar > 0 ? is_judged(&table, bar, bar, bar + 0.001) : is_without_bar(&table);
}

static void test_peaks(void)
{
	check(is_peak_judged(8, "peak_rss_vs_glibc", 1.5), "small: one and a half times glibc's peak");
	check(is_peak_judged(1.6, "peak_rss_vs_glibc", 1.625), "very small: one MiB more than glibc's");
	check(is_peak_judged(15.9, "peak_rss_vs_glibc", 1.5) && is_peak_judged(16, "peak_rss_vs_glibc", 0),
	      "16 MiB are not small");
	check(is_peak_judged(15.9, "peak_rss_vs_best", 0) && is_peak_judged(16, "peak_rss_vs_best", 1.15) &&
	      is_peak_judged(63.9, "peak_rss_vs_best", 1.15), "16 to 64 MiB: against the best");
	check(is_peak_judged(64, "peak_rss_vs_best", 1.05), "64 MiB and more: closer to the best");
}

static void test_freed(void)
{
	struct table table = { 0 };

	add_line(&table, "k", "malloc", "frag/arena", "rss_live", 400);
	add_line(&table, "k", "malloc", "frag/arena", "rss_refilled", 500);
	add_line(&table, "k", "malloc", "frag/arena", "rss_after_2s", 0);
	check(is_judged(&table, 62, 62, 62.1), "frag: a tenth of the peak and 12 MiB may be left");
}

/* ---------------------------------------------------------------- what is printed */

static bool printed(const struct table *table, bool (*print)(const struct row *, size_t, FILE *), char text[TEXT_BYTES])
{
	FILE *out = fmemopen(text, TEXT_BYTES, "w");
	bool result;

	memset(text, 0, TEXT_BYTES);
	if (!out)
		abort();
	result = print(table->rows, table->nr, out);
	fclose(out);
	return result;
}

static void test_printing(void)
{
	struct table table = { 0 };
	char text[TEXT_BYTES];

	add_line(&table, "k", "malloc", "remote/arena", "vs_mimalloc", 0.6);
	bars_set(table.rows, table.nr);
	check(printed(&table, bars_print, text) && strstr(text, "0.6 u (bar <= 0.65)  met\n") && strstr(text, "1 of 1 bars met"),
	      "a bar that is met");
	add_line(&table, "k", "malloc", "kib1-threads/arena", "scaling", 0.8);
	bars_set(table.rows, table.nr);
	check(!printed(&table, bars_print, text) && strstr(text, "0.8 u (bar >= 0.9)  MISSED\n") && strstr(text, "1 of 2 bars met"),
	      "a bar that is missed");
	check(!printed(&table, bars_print_missing, text) && strstr(text, "frag/arena rss_refilled: not measured") &&
	      !strstr(text, "remote/arena") && !strstr(text, "pages"), "bars that were not measured, of what was run");
	add_line(&table, "k", "malloc", "pool/arena", "elapsed", 1);
	check(!printed(&table, bars_print_missing, text) && strstr(text, "pool/arena vs_glibc: not measured") &&
	      strstr(text, "pool/arena peak_rss_vs_best: not measured") && strstr(text, "pool/glibc peak_rss: not measured"), "a program that was held against nobody");
	table.nr = 0;
	add_line(&table, "k", "arena", "nodes/warm", "time", 1);
	bars_set(table.rows, table.nr);
	check(printed(&table, bars_print, text) && printed(&table, bars_print_missing, text) && !*text, "nothing to judge");
}

static void test_json(void)
{
	struct table table = { 0 };
	char line[1024] = "";
	struct row back;
	FILE *out = fmemopen(line, sizeof(line), "w");

	add_line(&table, "k", "idle", "idle/arena", "back_90", 2500);
	bars_set(table.rows, table.nr);
	if (!out)
		abort();
	json_print(out, &table.rows[0]);
	fclose(out);
	check(strstr(line, "\"kernel\": \"k\", \"bar\": 2000, \"met\": false}\n"), "a result line says its bar and whether it is met");
	check(json_parse(line, &back) && near(back.value.median, 2500) && back.bar.kind == BAR_NONE, "which is not taken over by who reads it");
}

/* ---------------------------------------------------------------- ratios */

static double value_of(const struct report *report, const char *name, const char *metric)
{
	size_t nr;
	struct row *rows = report_rows(report, &nr);
	double value = 0;

	for (size_t i = 0; i < nr; i++)
		if (!strcmp(rows[i].name, name) && !strcmp(rows[i].metric, metric))
			value = rows[i].value.median;
	free(rows);
	return value;
}

static void add(struct report *report, const char *name, double elapsed_ms, double cpu_ms, double peak_mib)
{
	report_add(report, "malloc", name, "malloc", "elapsed", "ms", elapsed_ms);
	report_add(report, "malloc", name, "malloc", "cpu", "ms", cpu_ms);
	report_add(report, "malloc", name, "malloc", "peak_rss", "MiB", peak_mib);
}

/* Two small programs, one large; jemalloc needs least for the large one. */
static void add_programs(struct report *report)
{
	add(report, "one/arena", 50, 30, 6);
	add(report, "one/glibc", 100, 50, 4);
	add(report, "one/mimalloc", 40, 60, 5);
	add(report, "two/arena", 10, 10, 10);
	add(report, "two/glibc", 40, 10, 15);
	add(report, "two/mimalloc", 20, 0, 12);
	add(report, "big/arena", 10, 10, 110);
	add(report, "big/glibc", 10, 10, 130);
	add(report, "big/jemalloc", 10, 10, 100);
	add(report, "big/mimalloc", 10, 10, 120);
}

static void test_ratios(void)
{
	struct report report;

	report_init(&report);
	add_programs(&report);
	malloc_add_ratios(&report, true);
	check(near(value_of(&report, "one/arena", "vs_glibc"), 0.5) && near(value_of(&report, "one/arena", "vs_mimalloc"), 1.25),
	      "elapsed over that of each peer");
	check(near(value_of(&report, "one/arena", "cpu_vs_mimalloc"), 0.5), "CPU over mimalloc's");
	check(near(value_of(&report, "two/arena", "cpu_vs_mimalloc"), 0), "no ratio to what took no time");
	check(near(value_of(&report, "one/arena", "peak_rss_vs_glibc"), 1.5), "peak over glibc's");
	check(near(value_of(&report, "big/arena", "peak_rss_vs_best"), 1.1), "peak over that of the best");
	check(near(value_of(&report, "geometric-mean/small", "peak_rss_vs_glibc"), 1), "geometric mean of the peaks of small programs");
	check(near(value_of(&report, "geometric-mean/all", "vs_glibc"), cbrt(0.5 * 0.5 * 1)), "geometric mean of elapsed, clamped");
	report_fini(&report);
	report_init(&report);
	add_programs(&report);
	malloc_add_ratios(&report, false);
	check(near(value_of(&report, "geometric-mean/small", "peak_rss_vs_glibc"), 0) &&
	      near(value_of(&report, "geometric-mean/all", "vs_glibc"), 0) && value_of(&report, "one/arena", "vs_glibc") > 0,
	      "no mean over a list that is not complete");
	report_fini(&report);
	report_init(&report);
	add(&report, "one/arena", 1, 1, 1);
	add(&report, "one/glibc", 1, 1, 1);
	malloc_add_ratios(&report, true);
	check(near(value_of(&report, "geometric-mean/small", "peak_rss_vs_glibc"), 0) &&
	      near(value_of(&report, "geometric-mean/all", "vs_glibc"), 0), "no mean over one program");
	report_fini(&report);
}

int main(void)
{
	test_fixed_bars();
	test_rows_without_bar();
	test_peaks();
	test_freed();
	test_printing();
	test_json();
	test_ratios();
	return check_end();
}
