/* SPDX-License-Identifier: MIT */
/*
 * Weak references: what a mutator reads while the collector finds out what has died.
 *
 * One word for the heap, (count of reads, state OPEN or CLOSED), decides between the two. The collector looks at it before a round of flushes, and
 * closes after a clean one if nobody has read anything unmarked since: from then on it is settled what is dead. doc/gc.md has the protocol,
 * tests/gc/weak.pml is its model.
 */
#ifndef LIBARENA_GC_WEAK_H
#define LIBARENA_GC_WEAK_H

#include "gc/collected.h"

/* Objects of the heap themselves, without pointers for marking. arena/gc.h counts on the place of target. */
struct arena_gc_weak {
	const void *target;	/* atomic: the release of who stores it pairs with gc_weak_read() */
	struct link link;
};

/** 0 or -ENOMEM. */
int gc_weak_init(struct arena_gc *gc);

/** What a word without a pointer for marking leads to: it stays, from now on; or NULL. No answer within. The mutator's. */
void *gc_weak_read(struct gc_mutator *mutator, const void *location);
/** The same of who has loaded @target there a moment ago, and not answered since. */
void *gc_weak_resolve(struct gc_mutator *mutator, const void *location, const void *target);

/** Whether an address leads to what this cycle has found dead, or not found yet. */
static inline bool gc_is_white(const struct arena_gc *gc, const void *address)
{
	struct gc_ref ref;

	return gc_find(&gc->space, (uintptr_t)address, &ref) && gc_is_object(&ref) && !gc_is_marked(&ref);
}

/** Forget an address where it is stored, unless somebody has stored another one there. */
static inline void gc_weak_forget(const void **location, const void *address)
{
	atomic_cas_relaxed(location, &address, NULL);
}

/* The collector's: */

/** To be looked at before a round. */
uint64_t gc_weak_word(const struct arena_gc *gc);
/** After a clean one: what is not marked is dead. False when that is not settled, since something unmarked was read: another round. */
bool gc_weak_close(struct arena_gc *gc, uint64_t word);
/** While closed: nothing leads to what is dead any more. Linear in weak references. */
void gc_weak_clear(struct arena_gc *gc);
void gc_weak_open(struct arena_gc *gc);
/** Panics when a weak reference leads to what is dead. */
void gc_weak_verify(const struct arena_gc *gc);

#endif /* LIBARENA_GC_WEAK_H */
