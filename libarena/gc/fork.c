// SPDX-License-Identifier: MIT
/*
 * fork() takes all locks of all collected heaps, and waits for no thread and no handshake: who forks may hold what the others wait for.
 *
 * So lists and tables are whole in the child. What is not is what the other threads, and the collector's, had in their hands: a cycle half done, spans that they
 * allocated from or were sweeping. The child
 *
 *	at once			drops the cycle: barriers off, its own spans as in an answer to H4; a flip that was half done is finished
 *	when a cycle is wished	starts a collector's thread
 *	before that cycle	takes away all marks, behind a handshake: no sweep that reads them is under way
 *	behind it		finds the spans of threads that are gone: all others are of the newest gen now. This cycle has marked what is alive in them
 *
 * At once is O(threads + kinds), without a system call: most children only call exec(). Until the first cycle garbage of the parent's stays, and memory that a thread
 * was just taking or giving back stays taken for good.
 *
 * Other threads run on while the kernel copies page after page: what they were writing comes to the child in pieces, as all memory does. So a slot
 * of a lost span may be free and not zeroed, and a field of theirs may lead to a slot that is free. The first is seen to, the second harms nobody but who
 * reads the field without the lock of it.
 */
#include "gc/fork.h"

#include "gc/cleanup.h"
#include "gc/ephemeron.h"
#include "gc/limit.h"
#include "gc/sweep.h"
#include "gc/threads.h"
#include "gc/timeline.h"
#include "gc/weak.h"

static struct arena_gc *heaps; /* all; guarded by lock_setup */

void gc_fork_watch(struct arena_gc *gc)
{
	lock_acquire(&lock_setup);
	gc->next_heap = heaps;
	heaps = gc;
	lock_release(&lock_setup);
}

void gc_fork_forget(struct arena_gc *gc)
{
	struct arena_gc **link = &heaps;

	lock_acquire(&lock_setup);
	while (*link != gc)
		link = &(*link)->next_heap;
	*link = gc->next_heap;
	lock_release(&lock_setup);
	gc_threads_free_lost(gc);
}

/* ---------------------------------------------------------------- locks, in the order of their ranks */

static void lock_heap(struct arena_gc *gc)
{
	lock_acquire_nested(&gc->threads_lock);
	lock_acquire_nested(&gc->whole_lock);
	lock_acquire_nested(&gc->lock);
	lock_acquire_nested(&gc->roots.lock);
	lock_acquire_nested(&gc->cleanups.lock);
	lock_acquire_nested(&gc->annexes.lock);
	lock_acquire_nested(&gc->stacks_lock);
	for (struct arena_gc_stack *stack = gc->stacks; stack; stack = stack->next)
		lock_acquire_nested(&stack->lock);
	for (uint32_t i = 1; i < gc_kinds(&gc->types); i++)
		lock_acquire_nested(&gc->types.kinds[i].lock);
	lock_acquire_nested(&gc->ephemerons.lock);
	lock_acquire_nested(&gc->queue.lock);
	lock_acquire_nested(&gc->drive.lock);
	lock_acquire_nested(&gc->rings.lock);
}

static void unlock_heap(struct arena_gc *gc)
{
	lock_release_nested(&gc->rings.lock);
	lock_release_nested(&gc->drive.lock);
	lock_release_nested(&gc->queue.lock);
	lock_release_nested(&gc->ephemerons.lock);
	for (uint32_t i = 1; i < gc_kinds(&gc->types); i++)
		lock_release_nested(&gc->types.kinds[i].lock);
	lock_release_nested(&gc->annexes.lock);
	lock_release_nested(&gc->cleanups.lock);
	for (struct arena_gc_stack *stack = gc->stacks; stack; stack = stack->next)
		lock_release_nested(&stack->lock);
	lock_release_nested(&gc->stacks_lock);
	lock_release_nested(&gc->roots.lock);
	lock_release_nested(&gc->lock);
	lock_release_nested(&gc->whole_lock);
	lock_release_nested(&gc->threads_lock);
}

void gc_fork_prepare(void)
{
	for (struct arena_gc *gc = heaps; gc; gc = gc->next_heap)
		lock_heap(gc);
	gc_timeline_lock();
}

void gc_fork_parent(void)
{
	gc_timeline_unlock();
	for (struct arena_gc *gc = heaps; gc; gc = gc->next_heap)
		unlock_heap(gc);
}

/* ---------------------------------------------------------------- the child, at once */

/* Cycles that others have wished for, and what they wanted to see, are nobody's any more. */
static void drop_cycle(struct arena_gc *gc)
{
	atomic_store_relaxed(&gc->has_collector, false);
	gc->is_running = false;
	atomic_store_relaxed(&gc->wants_chunk, false);
	gc->wanted = gc->done;
	gc->errands = NULL;
	atomic_store_relaxed(&gc->is_wished, false);
	gc->is_forked = true;
	gc->phase = GC_EVENT_CYCLE;
	gc->crew.nr_helpers = 0;
	gc_queue_drop(&gc->queue);
	gc_drive_drop(&gc->drive);
	/* What it would have cleared was not swept, and is alive. */
	gc_weak_open(gc);
	gc_cleanups_fork_child(gc);
	gc_limit_fork_child(gc);
	gc_kinds_finish_flip(&gc->space, &gc->types);
	gc_threads_fork_child(gc);
}

void gc_fork_child(void)
{
	gc_fork_parent();
	for (struct arena_gc *gc = heaps; gc; gc = gc->next_heap)
		drop_cycle(gc);
}

/* ---------------------------------------------------------------- around its first cycle */

static void each_span(struct arena_gc *gc, void (*function)(struct arena_gc *gc, struct gc_span *span))
{
	struct gc_space *space = &gc->space;
	uint32_t limit = (uint32_t)(atomic_load_acquire(&space->open_bytes) >> PAGE_SHIFT); /* pairs with open_tables() */

	for (uint32_t page = 0; page < limit; page++)
		/* Pairs with gc_space_publish(). */
		if (atomic_load_acquire(&space->map[page]) == page + 1)
			function(gc, &space->spans[page]);
}

static void clear_marks(struct arena_gc *gc, struct gc_span *span)
{
	(void)gc;
	for (unsigned int w = 0; w < gc_nr_words(span); w++)
		if (atomic_load_relaxed(&span->mark[w]))
			atomic_store_relaxed(&span->mark[w], 0u);
}

void gc_fork_clear(struct arena_gc *gc)
{
	gc_sweep_rest(gc);
	/* Who was sweeping one has done so when it answers, and nothing is left to sweep. */
	gc_ask(gc, GC_REQUEST_OFF);
	gc_sweep_rest(gc);
	each_span(gc, clear_marks);
	gc_ephemerons_forget(gc);
	gc_queue_reset(&gc->queue);
	gc_threads_free_lost(gc);
}

/* Its free slots may have been written to. */
static void take_back(struct arena_gc *gc, struct gc_span *span)
{
	struct gc_kind *kind = &gc->types.kinds[span->kind];

	lock_acquire(&kind->lock);
	if (span->gen != kind->gen) {
		span->is_fresh = false;
		gc_list_push(&gc->space, &kind->unswept, span);
	}
	lock_release(&kind->lock);
}

void gc_fork_recover(struct arena_gc *gc)
{
	gc_ask(gc, GC_REQUEST_OFF);
	each_span(gc, take_back);
	gc_sweep_rest(gc);
	gc->is_forked = false;
}
