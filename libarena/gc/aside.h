/* SPDX-License-Identifier: MIT */
/* Where the collector's threads run: not where a mutator does, if another CPU has none. */
#ifndef LIBARENA_GC_ASIDE_H
#define LIBARENA_GC_ASIDE_H

#include "gc/collected.h"

/* Where a thread has found another CPU busy it stays for a while. Its own; all zeros at the begin. */
struct gc_aside {
	uint64_t stays_until_ns;
};

/**
 * Move the calling thread, which is the collector's and no mutator, to a CPU on which no mutator of the heap is, if it is on the same one as a mutator that
 * runs. True when it was moved. Some 50 ns when there is nothing to do, some 20 us otherwise, or as long as another program keeps that CPU. It does not
 * move again for 20 times as long.
 */
bool gc_step_aside(struct gc_aside *aside, struct arena_gc *gc);
/**
 * Move the calling thread, which is the collector's, to another CPU, if it may run on one: so that mutators share what it takes from them. It is about to rest for @rest_ns: what
 * the move takes beyond keeps it where it is, as with gc_step_aside(). Where no CPU is left to a worker that rests now and then, one that stayed where it was would take half of one mutator's time, and nothing of the others'.
 */
void gc_move_on(struct gc_aside *aside, uint64_t rest_ns);

#endif /* LIBARENA_GC_ASIDE_H */
