/* SPDX-License-Identifier: MIT */
/*
 * Cleanups: functions that are called when an object has died, with an argument of their own.
 *
 * A cleanup is an object of the heap, and a root from when it is added until it is over. Its object is no pointer for marking, its argument is.
 *
 *	on the chain, waiting		object = the object
 *	in the queue, due		object = DUE		the object was found dead
 *	over				object = NULL		called, or cancelled: whoever gets there first
 */
#ifndef LIBARENA_GC_CLEANUP_H
#define LIBARENA_GC_CLEANUP_H

#include "gc/collected.h"

struct arena_gc_cleanup {
	const void *object;	/* atomic */
	arena_gc_cleanup_fn *function; /* fixed */
	void *argument;		/* a pointer for marking, if it is one; read by who ends it */
	struct link link;	/* on the chain, or in the queue */
};

/** 0 or -ENOMEM. @by_program: no thread calls them. */
int gc_cleanups_init(struct arena_gc *gc, bool by_program);
/** The heap goes: all are due, and are called; none can be added any more. The calling thread may be attached. */
void gc_cleanups_end(struct arena_gc *gc);
/** The child of a fork has no thread yet. What the parent's was calling it will not call. */
void gc_cleanups_fork_child(struct arena_gc *gc);

/* The collector's: */

/** Show all that are not over to @visit. No cleanup is taken out of the queue meanwhile. */
void gc_cleanups_each(struct arena_gc *gc, void (*visit)(void *context, uintptr_t word), void *context);
/** It is settled what is dead: cleanups of it are due. Linear in cleanups. */
void gc_cleanups_find(struct arena_gc *gc);
/** Nothing leads to what is dead any more: let the thread call them. */
void gc_cleanups_post(struct arena_gc *gc);

#endif /* LIBARENA_GC_CLEANUP_H */
