/* SPDX-License-Identifier: MIT */
/* Sweeping: objects that are not marked become free slots, without a look at them. */
#ifndef LIBARENA_GC_SWEEP_H
#define LIBARENA_GC_SWEEP_H

#include "gc/collected.h"

/**
 * Sweep up to @most spans of a kind that nobody has swept: how many there were. Empty ones give their pages back by way of @pages; NULL: they stay with the kind, for
 * who is about to take one.
 */
unsigned int gc_sweep_kind(struct arena_gc *gc, struct gc_kind *kind, unsigned int most, struct gc_pages *pages);
/** Sweep about @nr spans that nobody has swept, and give back what is empty; false when there are none left. The collector's. Mutators sweep what they need
 * at the same time. */
bool gc_sweep_some(struct arena_gc *gc, unsigned int nr);
/** All that is left. The collector's. */
void gc_sweep_rest(struct arena_gc *gc);

#endif /* LIBARENA_GC_SWEEP_H */
