/* SPDX-License-Identifier: MIT */
/* Where the collector's threads run: not where a mutator does, if another CPU has none. */
#ifndef LIBARENA_GC_ASIDE_H
#define LIBARENA_GC_ASIDE_H

#include "gc/collected.h"

/**
 * Move the calling thread, which is the collector's and no mutator, to a CPU on which no mutator of the heap is, if it is on the same one as a mutator that
 * runs. True when it was moved. Some 50 ns when there is nothing to do, some 20 us otherwise.
 */
bool gc_step_aside(struct arena_gc *gc);
/**
 * Move the calling thread, which is the collector's, to another CPU, if it may run on one: so that mutators share what it takes from them. Some 20 us. Where no CPU is
 * left to a worker that rests now and then, one that stayed where it was would take half of one mutator's time, and nothing of the others'.
 */
void gc_move_on(void);

#endif /* LIBARENA_GC_ASIDE_H */
