// SPDX-License-Identifier: MIT
/* Histograms of times: every boundary of every bucket, quantiles against sorted values, sums. */
#include <stdlib.h>
#include <string.h>

#include "gc/hist.h"
#include "tests/harness.h"

TEST(buckets, "gc_hist/buckets follow each other, without a gap, each as wide as a sixteenth of what it holds at most")
{
	uint64_t first = 0;

	for (unsigned int i = 0; i < GC_HIST_BUCKETS; i++) {
		uint64_t longest = gc_hist_longest(i);

		CHECK_EQ(gc_hist_bucket(first), i);
		CHECK_EQ(gc_hist_bucket(longest), i);
		CHECK(longest - first <= first / 16);
		first = longest + 1;
	}
	CHECK_EQ(first, (uint64_t)1 << GC_HIST_MAX_SHIFT);
	CHECK_EQ(gc_hist_bucket(first), GC_HIST_BUCKETS - 1);
	CHECK_EQ(gc_hist_bucket(UINT64_MAX), GC_HIST_BUCKETS - 1);
}

TEST(small, "gc_hist/all times up to a millisecond lie between the ends of their buckets")
{
	for (uint64_t ns = 0; ns <= 1000000; ns++) {
		unsigned int bucket = gc_hist_bucket(ns);

		CHECK(ns <= gc_hist_longest(bucket) && (!bucket || ns > gc_hist_longest(bucket - 1)));
	}
}

static int by_value(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

/* Times of all magnitudes. */
static uint64_t any_time(struct random *random)
{
	return random_next(random) >> (28 + random_below(random, 36));
}

TEST(quantiles, "gc_hist/quantiles are those of the sorted times, to a sixteenth, and never above the longest")
{
	static const uint32_t ppms[] = { 0, 1, 500000, 990000, 999000, 999900, 1000000 };
	static uint64_t times[20000];
	static struct gc_hist hist;
	struct random random = { harness_seed() };

	for (size_t nr = 1; nr <= ARRAY_LEN(times); nr = nr * 3 + 1) {
		memset(&hist, 0, sizeof(hist));
		for (size_t i = 0; i < nr; i++)
			gc_hist_add(&hist, times[i] = any_time(&random));
		qsort(times, nr, sizeof(*times), by_value);
		CHECK_EQ(gc_hist_count(&hist), nr);
		CHECK_EQ(hist.max_ns, times[nr - 1]);
		for (size_t i = 0; i < ARRAY_LEN(ppms); i++) {
			size_t rank = (nr * ppms[i] + 999999) / 1000000;
			uint64_t exact = times[rank ? rank - 1 : 0], told = gc_hist_quantile(&hist, ppms[i]);

			CHECK(told >= exact && told - exact <= exact / 16 && told <= hist.max_ns);
		}
	}
}

TEST(none, "gc_hist/a quantile of nothing is 0, and one time is all quantiles")
{
	static struct gc_hist hist;

	CHECK_EQ(gc_hist_quantile(&hist, 500000), 0);
	gc_hist_add(&hist, 12345678);
	CHECK_EQ(gc_hist_quantile(&hist, 0), 12345678);
	CHECK_EQ(gc_hist_quantile(&hist, 1000000), 12345678);
	gc_hist_add(&hist, UINT64_MAX);
	CHECK_EQ(gc_hist_quantile(&hist, 1000000), UINT64_MAX);
}

TEST(merged, "gc_hist/a sum of histograms is the histogram of all their times")
{
	static struct gc_hist parts[3], all, sum;
	struct random random = { harness_seed() };

	for (int i = 0; i < 10000; i++) {
		uint64_t ns = any_time(&random);

		gc_hist_add(&parts[random_below(&random, 3)], ns);
		gc_hist_add(&all, ns);
	}
	for (int i = 0; i < 3; i++)
		gc_hist_merge(&sum, &parts[i]);
	CHECK(!memcmp(&sum, &all, sizeof(sum)));
}
