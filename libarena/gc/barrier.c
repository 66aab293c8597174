// SPDX-License-Identifier: MIT
/*
 * Noting what a store has met. Nothing is tested here but that it lies in the heap: a look at mark bits would cost a cache miss in the store.
 *
 * Without memory for a block the object is marked at once, and the collector told that it has not been scanned.
 */
#include "gc/barrier.h"

/*
 * Not after marking has ended, when a mark would be left over for the next cycle: that is what the lock of the kind decides (gc/type.c).
 * What a store meets then is marked anyway.
 */
static void mark_now(struct gc_mutator *mutator, uintptr_t address)
{
	struct arena_gc *gc = mutator->gc;
	struct gc_kind *kind;
	struct gc_ref ref;

	if (!gc_find(&gc->space, address, &ref) || !gc_is_object(&ref))
		return;
	kind = &gc->types.kinds[ref.span->kind];
	lock_acquire(&kind->lock);
	if (kind->gen == mutator->gen && gc_set_mark(&ref))
		/* The release pairs with the swap in drain() of gc/cycle.c: it sees the mark. */
		atomic_store_release(&gc->queue.is_short, 1u);
	lock_release(&kind->lock);
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
			mark_now(mutator, address);
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
