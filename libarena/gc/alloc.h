/* SPDX-License-Identifier: MIT */
/*
 * Allocation from a mutator's bins, one for each kind.
 *
 * An object that is made while its mutator is *black* is marked, without a step for each: when a black mutator takes a span it marks all its free
 * slots, and when it becomes black those of the spans it has. Sweeping leaves free what is free, marked or not.
 */
#ifndef LIBARENA_GC_ALLOC_H
#define LIBARENA_GC_ALLOC_H

#include <string.h>

#include "gc/collected.h"

/** A slot for the next object of a small kind, with what it takes to have one; false when out of memory. The mutator's, between two answers. */
bool gc_bin_refill(struct gc_mutator *mutator, uint32_t kind);
/** An object on pages of its own, zeroed: NULL when out of memory. */
void *gc_alloc_large(struct gc_mutator *mutator, uint32_t kind, size_t bytes);

/** H1b: what the mutator allocates is marked from now on. */
void gc_alloc_blacken(struct gc_mutator *mutator);
/** H4: it is not any more; spans that the sweep has yet to see are handed in, and pages at hand go back. */
void gc_alloc_seal(struct gc_mutator *mutator);
/** The mutator ends: all spans are handed in. */
void gc_alloc_leave(struct gc_mutator *mutator);

/** Wish for a cycle that begins from now on, as one more when one is running: its number, when gc->done has reached which it is finished. */
uint32_t gc_wish(struct arena_gc *gc, bool is_next);

/** An object from what is at hand, or NULL. */
static inline void *gc_bin_take(struct gc_bin *bin)
{
	uint64_t word = bin->free;
	void *object;

	if (unlikely(!word))
		return NULL;
	object = (void *)(bin->base + word_lowest(word) * bin->slot_bytes);
	if (unlikely(!bin->is_clear))
		memset(object, 0, bin->slot_bytes);
	bin->free = word & (word - 1);
	/* From now on a word that looks like its address marks it: the release pairs with gc_is_object(). */
	atomic_store_release(bin->home, bin->free);
	return object;
}

#endif /* LIBARENA_GC_ALLOC_H */
