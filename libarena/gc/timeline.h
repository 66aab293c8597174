/* SPDX-License-Identifier: MIT */
/* ARENA_TRACE=file: what collected heaps and their threads have done, as a timeline for Perfetto and chrome://tracing. */
#ifndef LIBARENA_GC_TIMELINE_H
#define LIBARENA_GC_TIMELINE_H

#include "gc/collected.h"

/** Begin: the heap's threads have rings from now on, if a file was asked for and can be written. Before its collector runs. */
void gc_timeline_start(struct arena_gc *gc);
/** Write what is in the rings of a heap, and its counters. The collector's, or when it has ended. */
void gc_timeline_write(struct arena_gc *gc);
/** Around fork(): nobody writes. The child never does. */
void gc_timeline_lock(void);
void gc_timeline_unlock(void);

#endif /* LIBARENA_GC_TIMELINE_H */
