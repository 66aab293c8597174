/* SPDX-License-Identifier: MIT */
/* All objects of a heap, written down. */
#ifndef LIBARENA_GC_DUMP_H
#define LIBARENA_GC_DUMP_H

#include "gc/graph.h"

/** As arena_gc_dump(). */
int gc_dump(struct arena_gc *gc, int fd);

#endif /* LIBARENA_GC_DUMP_H */
