/* SPDX-License-Identifier: MIT */
/*
 * Summaries: the free runs of a stretch of pages in one word, and of neighboring stretches together. Pure arithmetic.
 *
 * Word: start | end << 21 | max << 42, each in pages. 0 is a stretch that is wholly in use. The longest run is on top, so that words
 * compare by it first. A stretch of 2^21 free pages does not fit 21 bits: its max has bit 21, which says so of all three. (Go packs the
 * same three numbers, proposal 35112.)
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
	return (runs.start & SUM_MASK) | (runs.end & SUM_MASK) << SUM_SHIFT | (uint64_t)runs.max << 2 * SUM_SHIFT;
}

static inline unsigned int sum_max(uint64_t sum)
{
	return (unsigned int)(sum >> 2 * SUM_SHIFT);
}

static inline unsigned int sum_start(uint64_t sum)
{
	return (unsigned int)(sum & SUM_MASK) | (sum_max(sum) & SUM_MAX_PAGES);
}

static inline unsigned int sum_end(uint64_t sum)
{
	return (unsigned int)(sum >> SUM_SHIFT & SUM_MASK) | (sum_max(sum) & SUM_MAX_PAGES);
}

/* A row: summaries of @nr neighboring stretches of @pages each, fewer than SUM_MAX_PAGES, so that each number is in its field. */

/** The free run that begins with stretch @at of a row; 0 for @at = @nr. */
static inline unsigned int row_run_from(const uint64_t *sums, unsigned int nr, unsigned int pages, unsigned int at)
{
	unsigned int run = 0;

	for (; at < nr; at++) {
		unsigned int start = (unsigned int)(sums[at] & SUM_MASK);

		run += start;
		if (start != pages)
			break;
	}
	return run;
}

/** The free run that ends before stretch @at of a row; 0 for @at = 0. */
static inline unsigned int row_run_to(const uint64_t *sums, unsigned int pages, unsigned int at)
{
	unsigned int run = 0;

	while (at--) {
		unsigned int end = (unsigned int)(sums[at] >> SUM_SHIFT & SUM_MASK);

		run += end;
		if (end != pages)
			break;
	}
	return run;
}

/** The longest free run inside a stretch of a row. */
static inline unsigned int row_inside(const uint64_t *sums, unsigned int nr)
{
	uint64_t highest = 0;

#pragma GCC unroll 8
	for (unsigned int i = 0; i < nr; i++)
		highest = sums[i] > highest ? sums[i] : highest;
	return sum_max(highest);
}

/** The longest free run of a row that begins or ends where a stretch does. */
static inline unsigned int row_across(const uint64_t *sums, unsigned int nr, unsigned int pages)
{
	/* The run that ends before the stretch looked at. */
	unsigned int most = 0, below = 0;

#pragma GCC unroll 8
	for (unsigned int i = 0; i < nr; i++) {
		unsigned int start = (unsigned int)(sums[i] & SUM_MASK);

		below += start;
		most = unsigned_max(most, below);
		if (likely(start != pages))
			below = (unsigned int)(sums[i] >> SUM_SHIFT & SUM_MASK);
	}
	return most;
}

static inline uint64_t row_pack(const uint64_t *sums, unsigned int nr, unsigned int pages, unsigned int max)
{
	return sum_pack((struct free_runs){
		.start = row_run_from(sums, nr, pages, 0), .max = max, .end = row_run_to(sums, pages, nr) });
}

/** The summary of a row. */
static inline uint64_t sum_merge(const uint64_t *sums, unsigned int nr, unsigned int pages)
{
	return row_pack(sums, nr, pages, unsigned_max(row_inside(sums, nr), row_across(sums, nr, pages)));
}

/** The summary of a row that was @sum, after pages were freed in stretch @at: a longer run has to do with that one. */
static inline uint64_t sum_grow(uint64_t sum, const uint64_t *sums, unsigned int nr, unsigned int pages, unsigned int at)
{
	unsigned int below = row_run_to(sums, pages, at), above = row_run_from(sums, nr, pages, at + 1);
	unsigned int start = (unsigned int)(sums[at] & SUM_MASK), end = (unsigned int)(sums[at] >> SUM_SHIFT & SUM_MASK);
	unsigned int max = unsigned_max(sum_max(sum), sum_max(sums[at]));

	if (start == pages)
		max = unsigned_max(max, below + pages + above);
	else
		max = unsigned_max(max, unsigned_max(below + start, end + above));
	return row_pack(sums, nr, pages, max);
}

/** The same after pages were used in a stretch: mostly there is another with as long a run, and no more to look at. */
static inline uint64_t sum_shrink(uint64_t sum, const uint64_t *sums, unsigned int nr, unsigned int pages)
{
	unsigned int inside = row_inside(sums, nr);

	return inside == sum_max(sum) ? row_pack(sums, nr, pages, inside) :
					row_pack(sums, nr, pages, unsigned_max(inside, row_across(sums, nr, pages)));
}

#endif /* LIBARENA_SUMS_H */
