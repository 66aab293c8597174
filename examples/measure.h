/* SPDX-License-Identifier: MIT */
/* Reads the clock and /proc, and sums up samples. */
#ifndef EXAMPLES_MEASURE_H
#define EXAMPLES_MEASURE_H

#include <stddef.h>
#include <stdint.h>

uint64_t measure_now_ns(void);
/** Page faults of this process since it started, minor and major. */
uint64_t measure_fault_count(void);
/** Memory mapped by this process now, exact (/proc/self/smaps_rollup). */
uint64_t measure_rss_bytes(void);
/** The most it ever was, as the kernel's approximate counters saw it (VmHWM). */
uint64_t measure_peak_rss_bytes(void);
/** A "Name: N kB" line of a /proc file in bytes, or 0. */
uint64_t measure_proc_bytes(const char *path, const char *name);
/** A "name N" line of a /proc file, or 0. */
uint64_t measure_proc_count(const char *path, const char *name);

/* Median and quartiles. */
struct measure_summary {
	double median;
	double low;
	double high;
	size_t count;
};
/** Sorts @samples; @count > 0. */
struct measure_summary measure_summarize(uint64_t *samples, size_t count);

#endif
