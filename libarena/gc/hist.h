/* SPDX-License-Identifier: MIT */
/*
 * How often times of which length occurred, in fixed memory: buckets that are as wide as a sixteenth of what they hold.
 *
 *	bucket = 16 * s + (ns >> s), s the least such that ns >> s < 32		exact below 32 ns, and to 1/16 from there on
 *
 * The idea is that of HdrHistogram (G. Tene): a logarithmic scale of linear parts, so that a value's bucket is two shifts away, and sums of
 * histograms are histograms. What is longer than a minute counts as a minute.
 */
#ifndef LIBARENA_GC_HIST_H
#define LIBARENA_GC_HIST_H

#include "base.h"

#define GC_HIST_PART_SHIFT 4u
#define GC_HIST_MAX_SHIFT 36u /* 68 seconds */
#define GC_HIST_BUCKETS ((GC_HIST_MAX_SHIFT - GC_HIST_PART_SHIFT + 1u) << GC_HIST_PART_SHIFT)

struct gc_hist {
	uint64_t counts[GC_HIST_BUCKETS]; /* atomic, relaxed, as max_ns: numbers for people */
	uint64_t max_ns;	/* exact */
};

/** The bucket of a time. */
unsigned int gc_hist_bucket(uint64_t ns);
/** The longest time of a bucket. */
uint64_t gc_hist_longest(unsigned int bucket);
/** Count one. Any thread. O(1). */
void gc_hist_add(struct gc_hist *hist, uint64_t ns);
/** Count all of @from too. @into is the caller's alone. */
void gc_hist_merge(struct gc_hist *into, const struct gc_hist *from);
/** How many there are. */
uint64_t gc_hist_count(const struct gc_hist *hist);
/** A time that at least @ppm of 1,000,000 do not exceed: the longest of a bucket, but no longer than the longest of all; 0 of none. */
uint64_t gc_hist_quantile(const struct gc_hist *hist, uint32_t ppm);

#endif /* LIBARENA_GC_HIST_H */
