/* SPDX-License-Identifier: MIT */
/* The barrier's slow part: what a store has met is noted, and tested by those who mark. */
#ifndef LIBARENA_GC_BARRIER_H
#define LIBARENA_GC_BARRIER_H

#include "gc/collected.h"

/** Note an address, which may be any. The mutator's. */
void gc_shade(struct gc_mutator *mutator, uintptr_t address);
/** The same for one that comes to where the collector may not look any more: only while the stack is not scanned. */
static inline void gc_shade_new(struct gc_mutator *mutator, uintptr_t address)
{
	if (mutator->barrier & GC_BARRIER_NEW && gc_does(GC_STEP_NEW))
		gc_shade(mutator, address);
}
/** For one that goes. */
static inline void gc_shade_old(struct gc_mutator *mutator, uintptr_t address)
{
	if (mutator->barrier & GC_BARRIER_OLD && gc_does(GC_STEP_OLD))
		gc_shade(mutator, address);
}
/**
 * The only heap of the calling thread has all that it wants when a store notes what was there: from now on the thread does that by itself, until the buffer
 * is full or the thread answers.
 */
void gc_barrier_open(struct gc_mutator *mutator);
/** No more. */
void gc_barrier_close(struct gc_mutator *mutator);
/** Hand over what was noted. */
void gc_barrier_flush(struct gc_mutator *mutator);
/** Forget it: marking has ended, so that all of it is marked. */
void gc_barrier_drop(struct gc_mutator *mutator);

#endif /* LIBARENA_GC_BARRIER_H */
