/* SPDX-License-Identifier: MIT */
/* ARENA_GCVERIFY=1: is all that is reachable marked, and nothing that is free reachable? */
#ifndef LIBARENA_GC_VERIFY_H
#define LIBARENA_GC_VERIFY_H

#include "gc/collected.h"

/** Look, while all are stopped. Panics when something was lost. Between marking and sweeping; the collector's. */
void gc_verify(struct arena_gc *gc);

#endif /* LIBARENA_GC_VERIFY_H */
