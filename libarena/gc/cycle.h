/* SPDX-License-Identifier: MIT */
/* Cycles and the collector's thread. */
#ifndef LIBARENA_GC_CYCLE_H
#define LIBARENA_GC_CYCLE_H

#include "gc/collected.h"

/** Start the thread, unless it is there: 0 or -errno. In the child of a fork with the first wish for a cycle. */
int gc_cycle_start(struct arena_gc *gc);
/** End it. No thread is attached. */
void gc_cycle_stop(struct arena_gc *gc);
/** Wait until a cycle that begins now, and its sweep, are over; false: there is no thread to run it, nor to be had. The caller may be attached. */
bool gc_cycle_wait(struct arena_gc *gc);

#endif /* LIBARENA_GC_CYCLE_H */
