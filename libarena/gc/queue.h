/* SPDX-License-Identifier: MIT */
/*
 * What is still to be looked at in a cycle: blocks of addresses.
 *
 * A block belongs to one thread, which fills or empties it without a lock; full ones change hands here. Who marks works from a
 * block of its own and takes another when that is empty: so several may, and one that has nothing takes what another has put here.
 * Blocks of mutators hold what barriers have met, which is yet to be tested; those of markers hold objects that are marked.
 *
 * Who marks is counted from before it takes its first block until it has handed over what it holds. So one look under the lock tells whether
 * anything is left anywhere: no block is here, and nobody is busy. The collector closes the queue in that same look; who is late finds it
 * closed and does not begin. That is the first condition of a clean round, and what makes the last one the last (gc/cycle.c).
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
	struct lock lock;	/* guards all down to nr_busy */
	struct gc_block *full, *empty;
	struct gc_slab *slabs;	/* all memory of blocks */
	bool is_open;		/* marking goes on: who wants to may take part */
	uint32_t nr_busy;	/* who does, and may hold something */
	uint32_t nr_hungry;	/* who waits for a block. Written under the lock; atomic, relaxed: a hint to share */
	uint32_t changes;	/* atomic, futex: what they wait for */
	uint32_t is_short;	/* atomic: an object was marked for which there was no block: all marked ones are to be scanned anew */
};

void gc_queue_init(struct gc_queue *queue);
/** All blocks go, also those that are in use. */
void gc_queue_fini(struct gc_queue *queue);
/** It is closed, and who took part is no more: in the child of a fork. */
void gc_queue_drop(struct gc_queue *queue);
/** Nobody has a block: all are empty ones again. */
void gc_queue_reset(struct gc_queue *queue);
/** An empty block; NULL when out of memory. */
struct gc_block *gc_queue_get(struct gc_queue *queue);
/** Give one back. */
void gc_queue_put(struct gc_queue *queue, struct gc_block *block);
/** Marking goes on, and who wants to may take part: the caller is the first that is busy. The queue is closed. The collector's. */
void gc_queue_open(struct gc_queue *queue);
/** Take part if there is something to take: then the caller is busy. */
bool gc_queue_enter(struct gc_queue *queue);
/** The same for who waits until there is: false when the queue is closed. The collector closes it (@may_close) when nothing is left and nobody busy. */
bool gc_queue_await(struct gc_queue *queue, bool may_close);
/** No more; all that the caller had was handed over. */
void gc_queue_leave(struct gc_queue *queue);
/** Hand over one with something in it. */
void gc_queue_push(struct gc_queue *queue, struct gc_block *block);
/** Take one that was handed over, or NULL. */
struct gc_block *gc_queue_pop(struct gc_queue *queue);

#endif /* LIBARENA_GC_QUEUE_H */
