/* SPDX-License-Identifier: MIT */
/*
 * Annexes: memory beside a collected heap that is scanned as its roots are, and that goes all at once. Arenas are what they are for; what an annex is made of only
 * the layer above knows.
 *
 * That an annex goes is the removal of all its edges at once, which nobody can shade in constant time. So while a cycle runs that has not scanned it, it is
 * left to the collector: that scans it as a root of this cycle, and lets its memory go then. One that was scanned may go at once, and so may any while the
 * mutator has no barrier. doc/gc.md has the protocol, tests/gc/removal.pml is its model.
 */
#ifndef LIBARENA_GC_ANNEX_H
#define LIBARENA_GC_ANNEX_H

#include "lock.h"

struct arena_gc;
struct gc_annex;
struct gc_mutator;

typedef void gc_visit_fn(void *context, uintptr_t word);

/* What the layer above tells of its annexes. */
struct gc_annex_ops {
	/* Show all words of it to @visit; their bytes. Any thread, also while its owner uses it. */
	uint64_t (*each)(struct gc_annex *annex, gc_visit_fn *visit, void *context);
	/* Its memory may go now. */
	void (*drop)(struct gc_annex *annex);
};

struct gc_annex {
	struct arena_gc *gc;	/* NULL: it is none. Written with the lock of the heap's annexes held, or before anybody knows of it */
	struct gc_annex *next, **link; /* the next one, and what leads to this one; guarded by that lock, as all below */
	const struct gc_annex_ops *ops;
	bool is_scanned;	/* in this cycle, or made when the mutator was black, or after others were */
	bool is_dropped;	/* left to the collector */
};

struct gc_annexes {
	struct lock lock;
	struct gc_annex *first, *unscanned; /* none before the latter is to be scanned; NULL: none is */
	bool is_scanned;	/* all there were, in the cycle that runs, or ran last */
};

void gc_annexes_init(struct gc_annexes *annexes);
/** The heap goes: what was left to the collector is dropped, and the others are no annexes any more. */
void gc_annexes_fini(struct gc_annexes *annexes);

/** It is scanned from now on. Linear while a cycle marks. The mutator's. */
void gc_annex_add(struct gc_mutator *mutator, struct gc_annex *annex, const struct gc_annex_ops *ops);
/** It goes: true, and the caller lets go of its memory; or false, and the collector calls drop() in this cycle. O(1). The mutator's. */
bool gc_annex_remove(struct gc_mutator *mutator, struct gc_annex *annex);
/** Whether what is removed from it must be shaded, and its memory must stay. The mutator's, until it answers. */
bool gc_annex_is_awaited(const struct gc_mutator *mutator, const struct gc_annex *annex);

/* The collector's: */

/** A cycle begins. */
void gc_annexes_begin(struct gc_annexes *annexes);
/** Show all words of all annexes to @visit, and drop those that were left to the collector; bytes. Roots are read, all have their barriers. */
uint64_t gc_annexes_scan(struct gc_annexes *annexes, gc_visit_fn *visit, void *context);
/** The same with everything stopped, and nothing is dropped. */
void gc_annexes_show(struct gc_annexes *annexes, gc_visit_fn *visit, void *context);

#endif /* LIBARENA_GC_ANNEX_H */
