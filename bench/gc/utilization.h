/* SPDX-License-Identifier: MIT */
/*
 * Minimum mutator utilization (P. Cheng and G. Blelloch, "A parallel, real-time garbage collector", 2001): of all windows of a length, the smallest share of time
 * that a thread had for itself. Of a timeline of bins. Pure.
 */
#ifndef BENCH_GC_UTILIZATION_H
#define BENCH_GC_UTILIZATION_H

#include <stddef.h>
#include <stdint.h>

#define UTILIZATION_BIN_NS 100000u

/**
 * Note that @lost_ns of the time until @end_ns (since the timeline began) were not the thread's: in the bin of @end_ns and those before it.
 * What would lie outside of @nr_bins is left out.
 */
void utilization_lose(float *lost_ns_of_bin, size_t nr_bins, uint64_t end_ns, uint64_t lost_ns);
/** The minimum over all windows of @window_bins within [0, @nr_bins); 1 when there is none. */
double utilization_min(const float *lost_ns_of_bin, size_t nr_bins, size_t window_bins);

#endif /* BENCH_GC_UTILIZATION_H */
