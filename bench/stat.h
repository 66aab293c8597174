/* SPDX-License-Identifier: MIT */
/* Order statistics and slopes: pure arithmetic, no I/O. */
#ifndef BENCH_STAT_H
#define BENCH_STAT_H

#include <stddef.h>

/* low <= median <= high. [low, high] covers the true median with at least 95 % when n >= 6. */
struct summary {
	double median;
	double low;
	double high;
	size_t n;
};

/**
 * How many samples lie outside the interval at each end. The interval starts at the k-th smallest sample, with the
 * largest k for which fewer than k of @n fair coins show heads with a chance of at most 2.5 %. 0 for n < 6, too: then
 * the interval is all samples, and covers less.
 */
size_t stat_interval_rank(size_t n);
/** Sorts @samples; @n > 0. */
struct summary stat_summary(double *samples, size_t n);
/** Slope of the least-squares line through @n points; 0 when all x are equal. */
double stat_slope(const double *x, const double *y, size_t n);

#endif /* BENCH_STAT_H */
