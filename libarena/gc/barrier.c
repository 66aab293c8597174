// SPDX-License-Identifier: MIT
/*
 * Noting what a store has met. Nothing is tested here but that it lies in the heap: a look at mark bits would cost a cache miss in the store. Not even that
 * where the thread notes by itself, which is what nearly all stores do while a cycle marks.
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

/* NULL when out of memory. */
static struct gc_block *block_with_room(struct gc_mutator *mutator)
{
	if (mutator->buffer && mutator->buffer->nr == GC_BLOCK_ENTRIES)
		gc_barrier_flush(mutator);
	if (mutator->buffer)
		return mutator->buffer;
	mutator->buffer = gc_queue_get(&mutator->gc->queue);
	if (mutator->buffer)
		mutator->buffer->is_raw = true;
	return mutator->buffer;
}

void gc_shade(struct gc_mutator *mutator, uintptr_t address)
{
	struct gc_block *block;

	if (!gc_space_has(&mutator->gc->space, address))
		return;
	gc_barrier_close(mutator);
	block = block_with_room(mutator);
	if (block)
		block->entries[block->nr++] = address;
	else
		mark_now(mutator, address);
}

void gc_barrier_open(struct gc_mutator *mutator)
{
	struct arena_gc_local *local = mutator->local;
	struct gc_block *block;

	gc_barrier_close(mutator);
	block = block_with_room(mutator);
	if (!block || !gc_does(GC_STEP_OLD))
		return;
	local->next = block->entries + block->nr;
	local->limit = block->entries + GC_BLOCK_ENTRIES;
	mutator->notes_itself = true;
}

void gc_barrier_close(struct gc_mutator *mutator)
{
	struct arena_gc_local *local = mutator->local;

	if (!mutator->notes_itself)
		return;
	mutator->notes_itself = false;
	mutator->buffer->nr = (uint32_t)(local->next - mutator->buffer->entries);
	local->next = local->limit = NULL;
}

void gc_barrier_flush(struct gc_mutator *mutator)
{
	struct gc_block *block = mutator->buffer;

	gc_barrier_close(mutator);
	if (!block || !block->nr)
		return;
	mutator->buffer = NULL;
	gc_queue_push(&mutator->gc->queue, block);
}

void gc_barrier_drop(struct gc_mutator *mutator)
{
	gc_barrier_close(mutator);
	if (mutator->buffer)
		gc_queue_put(&mutator->gc->queue, mutator->buffer);
	mutator->buffer = NULL;
}
