// SPDX-License-Identifier: MIT
/* Blocks of addresses that change hands. Memory for them is never given back before the heap goes: a cycle needs about as many as the last one. */
#include "gc_queue.h"

/* Blocks are made so many at a time. */
#define SLAB_BLOCKS 15u
#define SLAB_BYTES align_up(sizeof(struct gc_slab), PAGE_BYTES)

struct gc_slab {
	struct gc_slab *next;
	struct gc_block blocks[SLAB_BLOCKS];
};

void gc_queue_init(struct gc_queue *queue)
{
	*queue = (struct gc_queue){ .lock = LOCK_INIT(LOCK_GC_QUEUE) };
}

void gc_queue_fini(struct gc_queue *queue)
{
	struct gc_slab *slab, *next;

	for (slab = queue->slabs; slab; slab = next) {
		next = slab->next;
		os_unreserve(slab, SLAB_BYTES);
	}
}

static void put_all_locked(struct gc_queue *queue, struct gc_slab *slab)
{
	for (unsigned int i = 0; i < SLAB_BLOCKS; i++) {
		slab->blocks[i].next = queue->empty;
		queue->empty = &slab->blocks[i];
	}
}

static void add_slab_locked(struct gc_queue *queue)
{
	struct gc_slab *slab = os_table(SLAB_BYTES);

	if (!slab)
		return;
	slab->next = queue->slabs;
	queue->slabs = slab;
	put_all_locked(queue, slab);
}

void gc_queue_reset(struct gc_queue *queue)
{
	lock_acquire(&queue->lock);
	queue->full = queue->empty = NULL;
	for (struct gc_slab *slab = queue->slabs; slab; slab = slab->next)
		put_all_locked(queue, slab);
	lock_release(&queue->lock);
	atomic_store_relaxed(&queue->is_short, 0u);
}

static struct gc_block *pop_locked(struct gc_block **list)
{
	struct gc_block *block = *list;

	if (block)
		*list = block->next;
	return block;
}

struct gc_block *gc_queue_get(struct gc_queue *queue)
{
	struct gc_block *block;

	lock_acquire(&queue->lock);
	if (!queue->empty)
		add_slab_locked(queue);
	block = pop_locked(&queue->empty);
	lock_release(&queue->lock);
	if (block)
		block->nr = 0;
	return block;
}

static void push(struct gc_queue *queue, struct gc_block **list, struct gc_block *block)
{
	lock_acquire(&queue->lock);
	block->next = *list;
	*list = block;
	lock_release(&queue->lock);
}

void gc_queue_put(struct gc_queue *queue, struct gc_block *block)
{
	push(queue, &queue->empty, block);
}

void gc_queue_push(struct gc_queue *queue, struct gc_block *block)
{
	push(queue, &queue->full, block);
}

struct gc_block *gc_queue_pop(struct gc_queue *queue)
{
	struct gc_block *block;

	lock_acquire(&queue->lock);
	block = pop_locked(&queue->full);
	lock_release(&queue->lock);
	return block;
}
