/* SPDX-License-Identifier: MIT */
/*
 * Which objects of a collected heap are in the profile (arena/profile.h), and when they have left it.
 *
 * Nothing of it is on the fast path. Who fills a bin draws how many objects come before the next one that is sampled. If that is among those of the
 * bin's word, the word stays empty, so that each of its objects is allocated in the slow path, where the one is met with the stack that it
 * belongs to: one word of a few hundred, at the usual mean. Sampling has no memory (sample.h), so every word may draw anew.
 *
 * A span knows whether there are samples of its objects; sweeping it removes those of the dead.
 */
#ifndef LIBARENA_GC_SAMPLE_H
#define LIBARENA_GC_SAMPLE_H

#include "gc/alloc.h"
#include "profile.h"

/** An object was taken from a bin in the slow path. The mutator's. */
void gc_sample_taken(struct gc_mutator *mutator, struct gc_bin *bin, const void *object);
/** A large object's span was made, and nobody else knows it yet. */
void gc_sample_large(struct arena_gc *gc, struct gc_span *span);
/** What is not marked dies. By who holds the span, before it is swept. */
void gc_samples_sweep(struct arena_gc *gc, struct gc_span *span);
/** All objects of the heap go. */
void gc_samples_fini(struct arena_gc *gc);

/** An object of a bin, or NULL: by who is in the slow path. */
static inline void *gc_sample_take(struct gc_mutator *mutator, struct gc_bin *bin)
{
	void *object = gc_bin_take(bin);

	if (unlikely(atomic_load_relaxed(&profile_mean_word) || bin->ahead))
		gc_sample_taken(mutator, bin, object);
	return object;
}

#endif /* LIBARENA_GC_SAMPLE_H */
