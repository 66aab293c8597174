/* SPDX-License-Identifier: MIT */
/* What a program has forgotten: objects that stay until it lets them go, and that it cannot reach any more; handles that were never freed. */
#ifndef LIBARENA_GC_LEAKS_H
#define LIBARENA_GC_LEAKS_H

#include "gc/graph.h"

/** As arena_gc_leaks(). */
int gc_leaks(struct arena_gc *gc, struct arena_gc_step *leaks, size_t max);
/** ARENA_GCLEAKS=1: report them and what handles keep, when the heap is about to be destroyed and no thread is attached. */
void gc_leaks_report(struct arena_gc *gc);

#endif /* LIBARENA_GC_LEAKS_H */
