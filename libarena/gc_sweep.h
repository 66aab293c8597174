/* SPDX-License-Identifier: MIT */
/* Sweeping: objects that are not marked become free slots, without a look at them. */
#ifndef LIBARENA_GC_SWEEP_H
#define LIBARENA_GC_SWEEP_H

#include "gc_heap.h"

/** Sweep a span that the caller has taken off its list; how many of its slots hold objects. */
unsigned int gc_sweep_span(struct arena_gc *gc, struct gc_span *span);
/** Sweep all that is left, and give back what is empty. The collector's; mutators sweep what they need at the same time. */
void gc_sweep_rest(struct arena_gc *gc);

#endif /* LIBARENA_GC_SWEEP_H */
