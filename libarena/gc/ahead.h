/* SPDX-License-Identifier: MIT */
/*
 * Memory before it is needed. The first touch of a huge page takes as long as clearing it, 0.15 ms, and up to 2.5 ms where a host has to give the memory first:
 * longer than anything else that a thread meets in a collected heap; and of a first chunk of ordinary pages, 1 to 2 us for each. So the collector's thread touches
 * the rest of the first chunk, and then the next one each time (heap_prepare()).
 */
#ifndef LIBARENA_GC_AHEAD_H
#define LIBARENA_GC_AHEAD_H

#include "gc/collected.h"

/** Pages were taken, and the next ones may have no memory: wake the collector, once. A mutator's. */
void gc_ahead_wish(struct arena_gc *gc);
/** Touch a chunk, if somebody has wished for it. The collector's, at most once a turn. */
void gc_ahead(struct arena_gc *gc);

/** Whether it is to be wished for; a hint. */
static inline bool gc_ahead_is_due(const struct arena_gc *gc)
{
	return heap_is_low(gc->space.heap) && !atomic_load_relaxed(&gc->wants_chunk);
}

#endif /* LIBARENA_GC_AHEAD_H */
