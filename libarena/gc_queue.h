/* SPDX-License-Identifier: MIT */
/*
 * What is still to be looked at in a cycle: blocks of addresses.
 *
 * A block belongs to one thread, which fills or empties it without a lock; full ones change hands here. Who marks works from a
 * block of its own and takes another when that is empty: so several may, and one that has nothing takes what another has put here.
 * Blocks of mutators hold what barriers have met, which is yet to be tested; those of markers hold objects that are marked.
 */
#ifndef LIBARENA_GC_QUEUE_H
#define LIBARENA_GC_QUEUE_H

#include "lock.h"

/* A barrier's buffer: fewer would go through the lock too often, more keep objects longer from those who mark. */
#define GC_BLOCK_ENTRIES 512u

struct gc_block {
	struct gc_block *next;
	uint32_t nr;
	bool is_raw;		/* from a mutator: entries are any addresses, and not marked */
	uintptr_t entries[GC_BLOCK_ENTRIES];
};

struct gc_queue {
	struct lock lock;	/* guards all but is_short */
	struct gc_block *full, *empty;
	struct gc_slab *slabs;	/* all memory of blocks */
	uint32_t is_short;	/* atomic: an object was marked for which there was no block: all marked ones are to be scanned anew */
};

void gc_queue_init(struct gc_queue *queue);
/** All blocks go, also those that are in use. */
void gc_queue_fini(struct gc_queue *queue);
/** Nobody has a block: all are empty ones again. */
void gc_queue_reset(struct gc_queue *queue);
/** An empty block; NULL when out of memory. */
struct gc_block *gc_queue_get(struct gc_queue *queue);
/** Give one back. */
void gc_queue_put(struct gc_queue *queue, struct gc_block *block);
/** Hand over one with something in it. */
void gc_queue_push(struct gc_queue *queue, struct gc_block *block);
/** Take one that was handed over, or NULL. */
struct gc_block *gc_queue_pop(struct gc_queue *queue);

#endif /* LIBARENA_GC_QUEUE_H */
