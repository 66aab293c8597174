/* SPDX-License-Identifier: MIT */
/*
 * Stacks of coroutines. A stack runs on a mutator, or it is suspended, with all that may hold pointers above a known address.
 *
 * Whether a stack counts as scanned in this cycle:
 *
 *	runs		as its mutator does: when that has answered H2
 *	suspended	as it did when it was left; and when the collector has read it, which it does when all have answered H2
 *
 * So a stack that runs on a mutator which is not scanned is not either, whatever it was before: what that one holds may come to it.
 * A mutator that is scanned reads a stack that is not before it goes on there.
 */
#ifndef LIBARENA_GC_COROUTINE_H
#define LIBARENA_GC_COROUTINE_H

#include "gc/mark.h"

/** Mark what suspended stacks lead to that are not scanned yet; returns their bytes. All have answered GC_REQUEST_SCAN. The collector's. */
uint64_t gc_coroutines_mark(struct gc_marker *marker);
/** Show all words of suspended stacks to @visit, and where they are. */
void gc_coroutines_each(struct arena_gc *gc, void (*visit)(void *context, uintptr_t location, uintptr_t word), void *context);
/** A mutator goes: what runs on it holds nothing any more. The mutator's. */
void gc_coroutines_leave(struct gc_mutator *mutator);
/** In the child of a fork: the same for all mutators but @own, which may be NULL. */
void gc_coroutines_fork_child(struct arena_gc *gc, const struct gc_mutator *own);
/** All records go. */
void gc_coroutines_fini(struct arena_gc *gc);

#endif /* LIBARENA_GC_COROUTINE_H */
