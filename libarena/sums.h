/* SPDX-License-Identifier: MIT */
/*
 * Summaries: the free runs of a stretch of pages in one word, and of neighboring stretches together. Pure arithmetic.
 *
 * Word: start | max << 21 | end << 42, each in pages. 0 is a stretch that is wholly in use, so that skipping it is one load and one
 * comparison. A stretch of 2^21 free pages does not fit 21 bits and is ALL_FREE. (Go's packing, proposal 35112.)
 */
#ifndef LIBARENA_SUMS_H
#define LIBARENA_SUMS_H

#include "bits.h"

#define SUM_SHIFT 21
#define SUM_MAX_PAGES ((size_t)1 << SUM_SHIFT)
#define SUM_MASK (SUM_MAX_PAGES - 1)
#define SUM_ALL_FREE ((uint64_t)1 << 63)

/** Pack free runs, none of which is longer than SUM_MAX_PAGES; start and end are at most max. */
static inline uint64_t sum_pack(struct free_runs runs)
{
	if (runs.max == SUM_MAX_PAGES)
		return SUM_ALL_FREE;
	return runs.start | (uint64_t)runs.max << SUM_SHIFT | (uint64_t)runs.end << 2 * SUM_SHIFT;
}

static inline unsigned int sum_start(uint64_t sum)
{
	return (unsigned int)(sum & SUM_ALL_FREE ? SUM_MAX_PAGES : sum & SUM_MASK);
}

static inline unsigned int sum_max(uint64_t sum)
{
	return (unsigned int)(sum & SUM_ALL_FREE ? SUM_MAX_PAGES : sum >> SUM_SHIFT & SUM_MASK);
}

static inline unsigned int sum_end(uint64_t sum)
{
	return (unsigned int)(sum & SUM_ALL_FREE ? SUM_MAX_PAGES : sum >> 2 * SUM_SHIFT & SUM_MASK);
}

/** The summary of @nr neighboring stretches of @pages each. */
static inline uint64_t sum_merge(const uint64_t *sums, unsigned int nr, unsigned int pages)
{
	struct free_runs all = { .start = sum_start(sums[0]), .max = sum_max(sums[0]), .end = sum_end(sums[0]) };

	for (unsigned int i = 1; i < nr; i++) {
		unsigned int start = sum_start(sums[i]), max = sum_max(sums[i]), end = sum_end(sums[i]);

		/* The run at the start goes on while all before is free; so does the one at the end. */
		if (all.start == i * pages)
			all.start += start;
		if (all.end + start > all.max)
			all.max = all.end + start;
		if (max > all.max)
			all.max = max;
		all.end = end == pages ? all.end + pages : end;
	}
	return sum_pack(all);
}

#endif /* LIBARENA_SUMS_H */
