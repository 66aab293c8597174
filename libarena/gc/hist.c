// SPDX-License-Identifier: MIT
/* Histograms of times: arithmetic and counters. */
#include "gc/hist.h"

#include "atomic.h"

#define PARTS (1u << GC_HIST_PART_SHIFT)
#define MILLION 1000000u

unsigned int gc_hist_bucket(uint64_t ns)
{
	unsigned int top, shift;

	if (ns < 2 * PARTS)
		return (unsigned int)ns;
	if (ns >> GC_HIST_MAX_SHIFT)
		return GC_HIST_BUCKETS - 1;
	top = 63u - (unsigned int)__builtin_clzll(ns);
	shift = top - GC_HIST_PART_SHIFT;
	return (shift << GC_HIST_PART_SHIFT) + (unsigned int)(ns >> shift);
}

uint64_t gc_hist_longest(unsigned int bucket)
{
	unsigned int shift = bucket < 2 * PARTS ? 0 : (bucket >> GC_HIST_PART_SHIFT) - 1;
	uint64_t parts = bucket - ((uint64_t)shift << GC_HIST_PART_SHIFT);

	return ((parts + 1) << shift) - 1;
}

static void raise(uint64_t *max_ns, uint64_t ns)
{
	uint64_t seen = atomic_load_relaxed(max_ns);

	while (ns > seen && !atomic_cas_relaxed(max_ns, &seen, ns))
		;
}

void gc_hist_add(struct gc_hist *hist, uint64_t ns)
{
	atomic_add_relaxed(&hist->counts[gc_hist_bucket(ns)], 1u);
	raise(&hist->max_ns, ns);
}

void gc_hist_merge(struct gc_hist *into, const struct gc_hist *from)
{
	for (unsigned int i = 0; i < GC_HIST_BUCKETS; i++)
		into->counts[i] += atomic_load_relaxed(&from->counts[i]);
	into->max_ns = size_max(into->max_ns, atomic_load_relaxed(&from->max_ns));
}

uint64_t gc_hist_count(const struct gc_hist *hist)
{
	uint64_t nr = 0;

	for (unsigned int i = 0; i < GC_HIST_BUCKETS; i++)
		nr += atomic_load_relaxed(&hist->counts[i]);
	return nr;
}

/* How many of @nr are @ppm of them, rounded up; without overflow. */
static uint64_t share(uint64_t nr, uint32_t ppm)
{
	return nr / MILLION * ppm + (nr % MILLION * ppm + MILLION - 1) / MILLION;
}

uint64_t gc_hist_quantile(const struct gc_hist *hist, uint32_t ppm)
{
	uint64_t nr = gc_hist_count(hist), wanted = size_max(share(nr, ppm), 1), so_far = 0;
	unsigned int i = 0;

	if (!nr)
		return 0;
	while (i < GC_HIST_BUCKETS - 1 && (so_far += atomic_load_relaxed(&hist->counts[i])) < wanted)
		i++;
	/* The last bucket has no end. */
	return i == GC_HIST_BUCKETS - 1 ? atomic_load_relaxed(&hist->max_ns) : size_min(gc_hist_longest(i), atomic_load_relaxed(&hist->max_ns));
}
