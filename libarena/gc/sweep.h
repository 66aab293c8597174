/* SPDX-License-Identifier: MIT */
/* Sweeping: objects that are not marked become free slots, without a look at them. */
#ifndef LIBARENA_GC_SWEEP_H
#define LIBARENA_GC_SWEEP_H

#include "gc/collected.h"

/** Sweep a span that the caller has taken off its list; how many of its slots hold objects. */
unsigned int gc_sweep_span(struct arena_gc *gc, struct gc_span *span);
/** Sweep @nr spans that nobody has swept, and give back what is empty; false when there are none left. Mutators sweep what they need at the same time. */
bool gc_sweep_some(struct arena_gc *gc, unsigned int nr);
/** All that is left. The collector's. */
void gc_sweep_rest(struct arena_gc *gc);

#endif /* LIBARENA_GC_SWEEP_H */
