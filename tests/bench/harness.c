// SPDX-License-Identifier: MIT
/*
 * The pure part of arena-bench: order statistics against a count by enumeration, and result lines there and back.
 *
 * Models nothing of timing; tests/bench/cli.sh runs the program itself.
 */
#include "bench/json.h"
#include "bench/stat.h"
#include "tests/bench/check.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* Coverage of [k-th, (n+1-k)-th] by enumeration of all 2^n ways in which n samples lie around the median. */
static double coverage(unsigned int n, unsigned int k)
{
	unsigned int covered = 0;

	for (unsigned int mask = 0; mask < 1U << n; mask++) {
		unsigned int below = (unsigned int)__builtin_popcount(mask);

		covered += below >= k && below <= n - k;
	}
	return (double)covered / (double)(1U << n);
}

static void test_interval(void)
{
	bool covers = true, tight = true;

	for (unsigned int n = 6; n <= 18; n++) {
		unsigned int k = (unsigned int)stat_interval_rank(n) + 1;

		covers = covers && coverage(n, k) >= 0.95;
		tight = tight && coverage(n, k + 1) < 0.95;
	}
	check(covers, "the interval covers the median with 95 % for 6 to 18 samples");
	check(tight, "no narrower interval does");
	check(stat_interval_rank(5) == 0 && stat_interval_rank(1) == 0, "few samples: all of them");
	check(stat_interval_rank(100) == 39, "100 samples: the 40th to the 61st");
	check(stat_interval_rank(5000) > 2400 && stat_interval_rank(5000) < 2500, "5,000 samples: no underflow");
}

static void test_summary(void)
{
	double odd[] = { 3, 1, 2 }, even[] = { 4, 1, 3, 2 }, one[] = { 7 };
	double twenty_one[21];
	struct summary summary = stat_summary(odd, 3);

	check(near(summary.median, 2) && near(summary.low, 1) && near(summary.high, 3) && summary.n == 3,
	      "median of an odd number");
	check(near(stat_summary(even, 4).median, 2.5), "median of an even number");
	summary = stat_summary(one, 1);
	check(near(summary.low, 7) && near(summary.median, 7) && near(summary.high, 7), "one sample");
	for (int i = 0; i < 21; i++)
		twenty_one[i] = (i * 8) % 21 + 1;
	summary = stat_summary(twenty_one, 21);
	check(near(summary.median, 11) && near(summary.low, 6) && near(summary.high, 16),
	      "21 samples: the 6th, 11th and 16th");
}

static void test_slope(void)
{
	double x[] = { 1, 4, 16, 64 }, y[] = { 13, 22, 58, 202 }, same[] = { 2, 2, 2, 2 };

	check(near(stat_slope(x, y, 4), 3), "slope of points on a line");
	check(near(stat_slope(same, y, 4), 0), "no slope where all x are equal");
}

static bool same_row(const struct row *a, const struct row *b)
{
	return !strcmp(a->bench, b->bench) && !strcmp(a->name, b->name) && !strcmp(a->source, b->source) &&
	       !strcmp(a->metric, b->metric) && !strcmp(a->unit, b->unit) && !strcmp(a->kernel, b->kernel) &&
	       near(a->value.median, b->value.median) && near(a->value.low, b->value.low) &&
	       near(a->value.high, b->value.high) && a->value.n == b->value.n && !strcmp(a->version, b->version);
}

static void test_round_trip(void)
{
	struct row row = { "arena", "request/1/warm \"quoted\" \\", "pages", "time", "ns", "6.12.0-test",
			   { 1.25, 0.5, 1e6, 21 }, { BAR_NONE, 0 }, "libx \"1.2\"" };
	struct row back;
	char line[1024] = "";
	FILE *out = fmemopen(line, sizeof(line), "w");

	if (out) {
		json_print(out, &row);
		fclose(out);
	}
	check(json_parse(line, &back) && same_row(&row, &back), "a row survives printing and reading");
	check(!strncmp(line, "{\"bench\": \"arena\", \"case\": ", 27), "keys come in the documented order");
}

#define STRINGS "\"bench\":\"b\",\"case\":\"c\",\"source\":\"s\",\"metric\":\"m\",\"unit\":\"u\",\"kernel\":\"k\""

static void test_lines(void)
{
	static const struct {
		const char *name;
		const char *line;
		bool good;
	} cases[] = {
		{ "any order, no spaces", "{\"n\":3,\"high\":3,\"low\":1,\"median\":2," STRINGS "}\n", true },
		{ "spaces everywhere", " { " STRINGS " , \"median\" : 2 , \"low\":1,\"high\":3,\"n\":3 } ", true },
		{ "a bar, and whether it is met", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3,\"bar\":2.5,\"met\":true}", true },
		{ "a version", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3,\"version\":\"2.1\"}", true },
		{ "a version that is no text", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3,\"version\":2.1}", false },
		{ "a bar that is missed", "{\"met\":false,\"bar\":1," STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3}", true },
		{ "a bar alone", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3,\"bar\":2.5}", false },
		{ "a verdict that is none", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3,\"bar\":2.5,\"met\":maybe}", false },
		{ "a verdict without a result", "{" STRINGS ",\"bar\":2.5,\"met\":true}", false },
		{ "a key is missing", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3}", false },
		{ "a key comes twice", "{" STRINGS ",\"median\":2,\"low\":1,\"low\":1,\"high\":3,\"n\":3}", false },
		{ "an unknown key", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3,\"x\":1}", false },
		{ "a string for a number", "{" STRINGS ",\"median\":\"2\",\"low\":1,\"high\":3,\"n\":3}", false },
		{ "no samples", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":0}", false },
		{ "cut off", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3", false },
		{ "text behind it", "{" STRINGS ",\"median\":2,\"low\":1,\"high\":3,\"n\":3} x", false },
		{ "not an object", "[1]", false },
		{ "nothing", "", false },
		{ "an open string", "{\"bench\":\"b", false },
	};
	struct row row;
	char name[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(name, sizeof(name), "result line: %s", cases[i].name);
		check(json_parse(cases[i].line, &row) == cases[i].good, name);
	}
}

int main(void)
{
	test_interval();
	test_summary();
	test_slope();
	test_round_trip();
	test_lines();
	return check_end();
}
