/* SPDX-License-Identifier: MIT */
/*
 * Assists: a thread that allocates while a cycle runs marks, in proportion, what workers have not marked for it. So a program that allocates faster
 * than workers mark is slowed down, and its heap does not run away.
 */
#ifndef LIBARENA_GC_ASSIST_H
#define LIBARENA_GC_ASSIST_H

#include "gc/collected.h"

/** Pay for what the mutator has taken since it was here: in slices, with a poll before each. Its thread's, between two allocations. */
void gc_assist(struct gc_mutator *mutator);

#endif /* LIBARENA_GC_ASSIST_H */
