/* SPDX-License-Identifier: MIT */
/* Times, counted by size: each bucket is a sixteenth of its power of two wide, so that a percentile is right to 6 %. Pure. */
#ifndef BENCH_GC_HISTOGRAM_H
#define BENCH_GC_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_STEPS = 16, HISTOGRAM_BUCKETS = 61 * HISTOGRAM_STEPS };

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t nr;
	uint64_t max;	/* exact */
};

/** Bucket of a value: itself below 16, else its four bits below the highest one. */
static inline size_t histogram_bucket(uint64_t value)
{
	unsigned int top;

	if (value < HISTOGRAM_STEPS)
		return value;
	top = 63 - (unsigned int)__builtin_clzll(value);
	return (top - 3) * HISTOGRAM_STEPS + ((value >> (top - 4)) & (HISTOGRAM_STEPS - 1));
}

/** The largest value of a bucket. */
static inline uint64_t histogram_limit(size_t bucket)
{
	size_t power = bucket / HISTOGRAM_STEPS, step = bucket % HISTOGRAM_STEPS;

	return power ? ((HISTOGRAM_STEPS + step + 1) << (power - 1)) - 1 : step;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram->counts[histogram_bucket(value)]++;
	histogram->nr++;
	if (value > histogram->max)
		histogram->max = value;
}

static inline void histogram_merge(struct histogram *to, const struct histogram *from)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		to->counts[i] += from->counts[i];
	to->nr += from->nr;
	to->max = to->max > from->max ? to->max : from->max;
}

/** A value that at least @share of all do not pass, at most 6 % too large; 0 when there are none. */
static inline uint64_t histogram_percentile(const struct histogram *histogram, double share)
{
	uint64_t seen = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS && histogram->nr; i++) {
		seen += histogram->counts[i];
		if ((double)seen >= share * (double)histogram->nr)
			return histogram_limit(i) < histogram->max ? histogram_limit(i) : histogram->max;
	}
	return histogram->max;
}

#endif /* BENCH_GC_HISTOGRAM_H */
