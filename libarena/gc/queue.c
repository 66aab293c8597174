// SPDX-License-Identifier: MIT
/* Blocks of addresses that change hands. Memory for them is never given back before the heap goes: a cycle needs about as many as the last one. */
#include "gc/queue.h"

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

void gc_queue_drop(struct gc_queue *queue)
{
	lock_acquire(&queue->lock);
	queue->is_open = false;
	queue->nr_busy = 0;
	atomic_store_relaxed(&queue->nr_hungry, 0u);
	lock_release(&queue->lock);
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

static void push_locked(struct gc_block **list, struct gc_block *block)
{
	block->next = *list;
	*list = block;
}

/* Those who wait look again. */
static void release_and_wake(struct gc_queue *queue, bool is_news)
{
	bool wakes = is_news && queue->nr_hungry;

	if (wakes)
		atomic_store_relaxed(&queue->changes, queue->changes + 1);
	lock_release(&queue->lock);
	if (wakes)
		os_futex_wake_all(&queue->changes);
}

void gc_queue_put(struct gc_queue *queue, struct gc_block *block)
{
	lock_acquire(&queue->lock);
	push_locked(&queue->empty, block);
	lock_release(&queue->lock);
}

void gc_queue_push(struct gc_queue *queue, struct gc_block *block)
{
	lock_acquire(&queue->lock);
	push_locked(&queue->full, block);
	release_and_wake(queue, true);
}

struct gc_block *gc_queue_pop(struct gc_queue *queue)
{
	struct gc_block *block;

	lock_acquire(&queue->lock);
	block = pop_locked(&queue->full);
	lock_release(&queue->lock);
	return block;
}

/* ---------------------------------------------------------------- who takes part */

void gc_queue_open(struct gc_queue *queue)
{
	lock_acquire(&queue->lock);
	check(!queue->is_open && !queue->nr_busy);
	queue->is_open = true;
	queue->nr_busy = 1;
	lock_release(&queue->lock);
}

static bool enter_locked(struct gc_queue *queue)
{
	bool may = queue->is_open && queue->full;

	queue->nr_busy += may;
	return may;
}

bool gc_queue_enter(struct gc_queue *queue)
{
	bool may;

	lock_acquire(&queue->lock);
	may = enter_locked(queue);
	lock_release(&queue->lock);
	return may;
}

void gc_queue_leave(struct gc_queue *queue)
{
	lock_acquire(&queue->lock);
	queue->nr_busy--;
	release_and_wake(queue, !queue->nr_busy);
}

/* Until something changes; what changes after the lock was released does so after @seen. */
static void wait_locked(struct gc_queue *queue)
{
	uint32_t seen = queue->changes;

	atomic_store_relaxed(&queue->nr_hungry, queue->nr_hungry + 1);
	lock_release(&queue->lock);
	os_futex_wait(&queue->changes, seen);
	lock_acquire(&queue->lock);
	atomic_store_relaxed(&queue->nr_hungry, queue->nr_hungry - 1);
}

bool gc_queue_await(struct gc_queue *queue, bool may_close)
{
	bool is_busy, closes = false;

	lock_acquire(&queue->lock);
	while (!(is_busy = enter_locked(queue)) && queue->is_open) {
		closes = may_close && !queue->nr_busy;
		if (closes)
			queue->is_open = false;
		else
			wait_locked(queue);
	}
	release_and_wake(queue, closes);
	return is_busy;
}
