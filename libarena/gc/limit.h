/* SPDX-License-Identifier: MIT */
/*
 * Settings of a collected heap, and what happens at its limit: the pacer (gc/pace.h) keeps the heap below it as far as what lives allows, the page
 * allocator refuses what would go beyond, to the chunk, and then the pacer's verdict is done.
 */
#ifndef LIBARENA_GC_LIMIT_H
#define LIBARENA_GC_LIMIT_H

#include "gc/collected.h"

/** What the environment says where the program has said nothing. @percent is the program's, or 0. Before the heap is used. */
void gc_limit_init(struct arena_gc *gc, uint32_t percent);
/** Tell the pacer how much memory there is beside objects. Behind a sweep: before, garbage would be taken for such. The collector's. */
void gc_limit_measure(struct arena_gc *gc);

/* An allocation that was refused. All zeros at its begin. */
struct gc_refusal {
	struct gc_wait wait;
	uint32_t nr_cycles;	/* that it has waited for without a limit */
	bool is_over;		/* it goes beyond the limit; for the last time that it is tried */
	bool is_alone;		/* others wait until it is over */
};

/** Do what may help: false when nothing is left to be done, and it stays refused. The mutator's thread, between two allocations. */
bool gc_limit_help(struct gc_mutator *mutator, struct gc_refusal *refusal);
/** The allocation is over, well or not. */
void gc_limit_end(struct gc_mutator *mutator, const struct gc_refusal *refusal);
/** Threads that went beyond the limit are the parent's. */
void gc_limit_fork_child(struct arena_gc *gc);

#endif /* LIBARENA_GC_LIMIT_H */
