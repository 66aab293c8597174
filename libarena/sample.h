/* SPDX-License-Identifier: MIT */
/*
 * Sampling of allocations by bytes: pure arithmetic, without floating-point library, locks or memory.
 *
 * Imagine each byte that is ever allocated on a line, and events on that line at random, one in `mean` bytes on average (a Poisson
 * process). An object is sampled when an event falls on it. So an object of s bytes is sampled with the probability
 *
 *	p(s) = 1 - exp(-s / mean)
 *
 * whatever was allocated before it, and counts for 1 / p(s) objects like itself. The process has no memory: it may be cut into as many
 * lines as there are classes and threads, each with a distance of its own to the next event, and the sum is the same. (A counter
 * that samples each 512 KiB exactly would see only one of two call sites that alternate.)
 */
#ifndef LIBARENA_SAMPLE_H
#define LIBARENA_SAMPLE_H

#include "base.h"

/* Bytes from one sample to the next, on average: 2,000 samples for each GiB. Go and gperftools take the same. */
#define SAMPLE_MEAN_BYTES ((uint64_t)512 * KiB)
/* Of SAMPLE_UNIT parts an object consists in sums: so weights are added and taken away without rounding. */
#define SAMPLE_UNIT 1024u
/* Distances are cut here: in sums of addresses and counters they must not overflow. At a mean of 1 GiB none in e^4096 is that long. */
#define SAMPLE_MAX_BYTES ((uint64_t)1 << 42)

/* Source of random numbers; not 0. One to a thread, so that there is nothing to share. */
struct sample_random {
	uint64_t state;
};

/* What one sampled object stands for. */
struct sample_weight {
	uint64_t units;		/* objects, in SAMPLE_UNITs */
	uint64_t bytes;
};

/** Start a source; different @seeds give different numbers. */
void sample_seed(struct sample_random *random, uint64_t seed);
/** Bytes to the next event, exponentially distributed, at most SAMPLE_MAX_BYTES; @mean_bytes > 0. */
uint64_t sample_distance(struct sample_random *random, uint64_t mean_bytes);
/** Objects of @bytes > 0 that are allocated before the next one that is sampled; cut to 32 bits. */
uint32_t sample_skip(struct sample_random *random, uint64_t mean_bytes, uint64_t bytes);
/** Whether an object of @bytes is sampled: one that has no neighbors to share a distance with. */
bool sample_hits(struct sample_random *random, uint64_t mean_bytes, uint64_t bytes);
/** What a sampled object of @bytes stands for; 0 bytes count as 1. */
struct sample_weight sample_weigh(uint64_t mean_bytes, uint64_t bytes);

#endif /* LIBARENA_SAMPLE_H */
