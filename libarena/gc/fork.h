/* SPDX-License-Identifier: MIT */
/* fork(): a collected heap goes on in the child, with the forking thread for its only mutator. */
#ifndef LIBARENA_GC_FORK_H
#define LIBARENA_GC_FORK_H

#include "gc/collected.h"

/** From now on children of fork() can use the heap. */
void gc_fork_watch(struct arena_gc *gc);
/** It is being destroyed: no more; what a fork has left goes. */
void gc_fork_forget(struct arena_gc *gc);

/** Around fork(); the caller holds lock_setup. */
void gc_fork_prepare(void);
void gc_fork_parent(void);
void gc_fork_child(void);

/** In a child, before its first cycle: no span is marked, no block is lost. The collector's. */
void gc_fork_clear(struct arena_gc *gc);
/** And behind that: spans that threads had which are not there any more are found and swept. */
void gc_fork_recover(struct arena_gc *gc);

#endif /* LIBARENA_GC_FORK_H */
