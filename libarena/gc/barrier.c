// SPDX-License-Identifier: MIT
/*
 * Noting what a store has met. Nothing is tested in the store but that it lies in the heap: a look at mark bits would cost a cache miss. Not even that
 * where the thread notes by itself, which is what nearly all stores do while a cycle marks. A full block is looked through, and what is marked already taken out. So who
 * notes much pays for it: else notes come faster than those who mark can look at them, and the cycle does not end.
 *
 * Without memory for a block the object is marked at once, and the collector told that it has not been scanned.
 */
#include "gc/barrier.h"

/* A block of which this part is left is handed over; else it has room for more. */
#define SIFTED_LEAST_SHARE 2

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

/* Marks stay until marking has ended, after which nothing that is noted counts. What is not found is left: another thread's span may not be seen here yet. */
static void sift(const struct gc_space *space, struct gc_block *block)
{
	uint32_t nr = 0;

	for (uint32_t i = 0; i < block->nr; i++) {
		struct gc_ref ref;

		if (!gc_find(space, block->entries[i], &ref) || !gc_is_marked(&ref))
			block->entries[nr++] = block->entries[i];
	}
	block->nr = nr;
}

/* NULL when out of memory. */
static struct gc_block *block_with_room(struct gc_mutator *mutator)
{
	if (mutator->buffer && mutator->buffer->nr == GC_BLOCK_ENTRIES) {
		sift(&mutator->gc->space, mutator->buffer);
		if (mutator->buffer->nr >= GC_BLOCK_ENTRIES / SIFTED_LEAST_SHARE)
			gc_barrier_flush(mutator);
	}
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
