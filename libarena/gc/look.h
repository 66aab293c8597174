/* SPDX-License-Identifier: MIT */
/*
 * Looking at a heap while nothing moves: what the program wants to know of all its objects is found out by the collector's thread, at the end of a cycle's
 * marking, with all mutators stopped.
 */
#ifndef LIBARENA_GC_LOOK_H
#define LIBARENA_GC_LOOK_H

#include "gc/collected.h"

/** Have @function called by the collector, with all stopped, and wait for that: 0, or -ENOMEM when there is no thread to do it. The caller may be attached. */
int gc_look(struct arena_gc *gc, gc_look_fn *function, void *context);
/** Whether somebody waits. The collector's, as the next. */
bool gc_look_is_wanted(struct arena_gc *gc);
/** Call what is wanted. All are stopped. */
void gc_look_run(struct arena_gc *gc);

#endif /* LIBARENA_GC_LOOK_H */
