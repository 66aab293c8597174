/* SPDX-License-Identifier: MIT */
/* Sweeping: objects that are not marked become free slots, without a look at them. */
#ifndef LIBARENA_GC_SWEEP_H
#define LIBARENA_GC_SWEEP_H

#include "gc/collected.h"

/* Spans that are swept together, and what becomes of them: in the hands of one thread, and of one kind. */
struct gc_batch {
	struct gc_list taken;		/* to be swept */
	struct gc_list partial, full;	/* swept, and on no list of the kind's yet */
	uint64_t nr_freed, freed_bytes;	/* in all that was swept with it */
};

/* Both under the lock of the kind, and best under one hold of it: others wait for it. */
/** What was swept goes to the lists that it belongs to. */
void gc_batch_put_locked(struct gc_space *space, struct gc_kind *kind, struct gc_batch *batch);
/** Up to @most spans that nobody has swept. */
void gc_batch_take_locked(struct gc_space *space, struct gc_kind *kind, struct gc_batch *batch, unsigned int most);
/** Sweep what was taken: how many there were. Empty ones give their pages back by way of @pages; NULL: they stay with the kind, for who is about to take one. */
unsigned int gc_batch_sweep(struct arena_gc *gc, struct gc_batch *batch, struct gc_pages *pages);
/** Behind the last of it: what was freed is counted. */
void gc_batch_count(struct arena_gc *gc, const struct gc_batch *batch);

/** Sweep about @nr spans that nobody has swept, and give back what is empty; false when there are none left. The collector's. Mutators sweep what they need
 * at the same time. */
bool gc_sweep_some(struct arena_gc *gc, unsigned int nr);
/** All that is left. The collector's. */
void gc_sweep_rest(struct arena_gc *gc);

#endif /* LIBARENA_GC_SWEEP_H */
