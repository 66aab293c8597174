/* SPDX-License-Identifier: MIT */
/* ARENA_GCTRACE=1: a line for each cycle. */
#ifndef LIBARENA_GC_TRACE_H
#define LIBARENA_GC_TRACE_H

#include "gc/collected.h"

/** Print what is known of the cycle that is over. */
void gc_trace(const struct arena_gc *gc);

#endif /* LIBARENA_GC_TRACE_H */
