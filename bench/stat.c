// SPDX-License-Identifier: MIT
/*
 * Median and its interval from the samples alone.
 *
 * Times on a shared machine are neither normal nor free of outliers, so nothing here uses a mean or a
 * standard deviation: the interval is that of order statistics (binomial, distribution-free).
 */
#include "bench/stat.h"

#include <math.h>
#include <stdlib.h>

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* log(n choose k), so that large n neither over- nor underflow. */
static double log_choose(size_t n, size_t k)
{
	return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
}

size_t stat_interval_rank(size_t n)
{
	double tail = 0;
	size_t k = 0;

	while (2 * k + 2 < n) {
		tail += exp(log_choose(n, k) - (double)n * log(2.0));
		if (tail > 0.025)
			break;
		k++;
	}
	/* k values were cheap enough to leave out; the interval starts at the k-th smallest, index k - 1. */
	return k > 0 ? k - 1 : 0;
}

struct summary stat_summary(double *samples, size_t n)
{
	size_t rank = stat_interval_rank(n);
	struct summary summary = { .n = n };

	qsort(samples, n, sizeof(*samples), compare_doubles);
	summary.median = n % 2 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
	summary.low = samples[rank];
	summary.high = samples[n - 1 - rank];
	return summary;
}

double stat_slope(const double *x, const double *y, size_t n)
{
	double mean_x = 0, mean_y = 0, covariance = 0, variance = 0;

	for (size_t i = 0; i < n; i++) {
		mean_x += x[i] / (double)n;
		mean_y += y[i] / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		covariance += (x[i] - mean_x) * (y[i] - mean_y);
		variance += (x[i] - mean_x) * (x[i] - mean_x);
	}
	return variance > 0 ? covariance / variance : 0;
}
