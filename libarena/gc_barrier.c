// SPDX-License-Identifier: MIT
/*
 * Noting what a store has met. Nothing is tested here but that it lies in the heap: a look at mark bits would cost a cache miss in the store.
 *
 * Without memory for a block the object is marked at once, and the collector told that it has not been scanned.
 */
#include "gc_barrier.h"

static void mark_now(struct arena_gc *gc, uintptr_t address)
{
	struct gc_ref ref;

	if (gc_find(&gc->space, address, &ref) && gc_is_object(&ref) && gc_set_mark(&ref))
		/* The release pairs with the swap in gc_mark_drain(): it sees the mark. */
		atomic_store_release(&gc->queue.is_short, 1u);
}

static struct gc_block *open_block(struct gc_mutator *mutator)
{
	struct gc_block *block = gc_queue_get(&mutator->gc->queue);

	if (block)
		block->is_raw = true;
	return mutator->buffer = block;
}

void gc_shade(struct gc_mutator *mutator, uintptr_t address)
{
	struct gc_block *block = mutator->buffer;

	if (!gc_space_has(&mutator->gc->space, address))
		return;
	if (unlikely(!block)) {
		block = open_block(mutator);
		if (!block) {
			mark_now(mutator->gc, address);
			return;
		}
	}
	block->entries[block->nr++] = address;
	if (unlikely(block->nr == GC_BLOCK_ENTRIES))
		gc_barrier_flush(mutator);
}

void gc_barrier_flush(struct gc_mutator *mutator)
{
	struct gc_block *block = mutator->buffer;

	if (!block || !block->nr)
		return;
	mutator->buffer = NULL;
	gc_queue_push(&mutator->gc->queue, block);
}

void gc_barrier_drop(struct gc_mutator *mutator)
{
	if (mutator->buffer)
		gc_queue_put(&mutator->gc->queue, mutator->buffer);
	mutator->buffer = NULL;
}
