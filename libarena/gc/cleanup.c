// SPDX-License-Identifier: MIT
/*
 * Adding, finding, calling and cancelling cleanups.
 *
 * Waiting ones are on a chain that the collector sifts while it is settled what is dead. Due ones are in a queue under a lock; who takes one out removes
 * an edge from a root, and shades it. The thread that calls them is a mutator like any other. It is started with the first cleanup, waits SAFE,
 * and ends with the heap.
 */
#include "gc/cleanup.h"

#include <errno.h>
#include <string.h>

#include "gc/barrier.h"
#include "gc/cycle.h"
#include "gc/threads.h"
#include "gc/weak.h"
#include "thread.h"

/* In place of an object, where none lies. */
#define DUE ((const void *)1)

/* Before a thread that found no memory to attach tries again. */
#define RETRY_NS ((uint64_t)10 * 1000 * 1000)

int gc_cleanups_init(struct arena_gc *gc, bool by_program)
{
	static const uint32_t pointers[] = { offsetof(struct arena_gc_cleanup, argument) };
	static const struct arena_gc_layout layout = { "cleanup", sizeof(struct arena_gc_cleanup), pointers, 1, NULL };

	gc->cleanups = (struct gc_cleanups){ .lock = LOCK_INIT(LOCK_GC), .by_program = by_program };
	gc->cleanups.type = gc_type_create(&gc->types, &layout);
	if (!gc->cleanups.type)
		return -ENOMEM;
	gc->cleanups.type->is_loose = true;
	return 0;
}

static struct arena_gc_cleanup *cleanup_of(struct link *link)
{
	return link_entry(link, struct arena_gc_cleanup, link);
}

/* ---------------------------------------------------------------- calling */

/* One that is due, or NULL. It is the caller's, who holds it. */
static struct arena_gc_cleanup *take(struct gc_mutator *mutator)
{
	struct gc_cleanups *cleanups = &mutator->gc->cleanups;
	struct link *link;

	lock_acquire(&cleanups->lock);
	link = queue_pop(&cleanups->due);
	lock_release(&cleanups->lock);
	if (!link)
		return NULL;
	gc_shade_old(mutator, (uintptr_t)cleanup_of(link));
	return cleanup_of(link);
}

/* Whether the caller is who ends it. The order is that of its argument, which the other side forgets. */
static bool end(struct arena_gc_cleanup *cleanup)
{
	return atomic_swap_seq_cst(&cleanup->object, NULL);
}

__attribute__((noinline)) static size_t call_due(struct gc_mutator *mutator)
{
	struct arena_gc_cleanup *cleanup;
	size_t nr = 0;

	while ((cleanup = take(mutator))) {
		if (!end(cleanup))
			continue;
		nr++;
		cleanup->function(cleanup->argument);
		arena_gc_poll();
	}
	return nr;
}

size_t arena_gc_run_cleanups(struct arena_gc *gc)
{
	struct gc_mutator *mutator = gc_mutator_of(gc);

	if (unlikely(!mutator))
		panic("arena_gc_run_cleanups(): the calling thread is not attached to this heap (arena_gc_attach())");
	return call_due(mutator);
}

/* ---------------------------------------------------------------- the thread */

static bool is_ending(const struct gc_cleanups *cleanups)
{
	return atomic_load_acquire(&cleanups->is_ending); /* pairs with stop() */
}

static void *wait_for_post(void *context)
{
	struct gc_cleanups *cleanups = context;

	if (!is_ending(cleanups))
		os_futex_wait(&cleanups->posts, cleanups->posts_seen);
	return NULL;
}

static bool attach(struct arena_gc *gc)
{
	while (gc_attach(gc)) {
		if (is_ending(&gc->cleanups))
			return false;
		os_futex_wait_for(&gc->cleanups.posts, atomic_load_relaxed(&gc->cleanups.posts), RETRY_NS);
	}
	return true;
}

/* What calls have left on the stack, in places that waiting does not use, would keep it as long as the thread waits. */
__attribute__((noinline, no_sanitize("address"))) static void wipe_stack(void)
{
	char left[2 * PAGE_BYTES];

	memset(left, 0, sizeof(left));
	__asm__ volatile("" : : "r"(left) : "memory");
}

static void *run(void *context)
{
	struct arena_gc *gc = context;
	struct gc_cleanups *cleanups = &gc->cleanups;

	if (!attach(gc))
		return NULL;
	while (!is_ending(cleanups)) {
		/* Before the look: what is due later is posted later. */
		cleanups->posts_seen = atomic_load_acquire(&cleanups->posts); /* pairs with gc_cleanups_post() */
		call_due(gc_mutator_of(gc));
		wipe_stack();
		gc_blocking(wait_for_post, cleanups);
	}
	gc_detach(gc_mutator_of(gc));
	return NULL;
}

static void set_caller(struct gc_cleanups *cleanups, enum gc_caller caller)
{
	atomic_store_release(&cleanups->caller, (uint32_t)caller); /* pairs with join() */
	os_futex_wake_all(&cleanups->caller);
}

/* Unless the program calls them there is a thread that does, or somebody is about to start it; or the heap ends, and whoever ends it calls them. */
static bool has_thread(struct arena_gc *gc)
{
	struct gc_cleanups *cleanups = &gc->cleanups;
	uint32_t caller = GC_CALLER_NONE;
	bool is_late, is_there;

	if (cleanups->by_program || atomic_load_relaxed(&cleanups->caller) || !atomic_cas_seq_cst(&cleanups->caller, &caller, GC_CALLER_STARTING))
		return true;
	/* Pairs with stop(): either this sees that the heap ends, or stop() that there will be a thread to wait for. */
	is_late = atomic_load_seq_cst(&cleanups->is_ending);
	is_there = !is_late && !thread_start(&cleanups->thread, run, gc);
	set_caller(cleanups, is_there ? GC_CALLER_THERE : GC_CALLER_NONE);
	return is_late || is_there;
}

void gc_cleanups_fork_child(struct arena_gc *gc)
{
	gc->cleanups.caller = GC_CALLER_NONE;
}

static void *join(void *context)
{
	struct gc_cleanups *cleanups = context;
	uint32_t caller;

	/* Pairs with set_caller(). */
	while ((caller = atomic_load_acquire(&cleanups->caller)) == GC_CALLER_STARTING)
		os_futex_wait(&cleanups->caller, GC_CALLER_STARTING);
	if (caller == GC_CALLER_THERE)
		pthread_join(cleanups->thread, NULL);
	return NULL;
}

/* It ends after the functions that are due, which may wait for cycles, and those for the caller. */
static void stop(struct gc_cleanups *cleanups)
{
	atomic_store_seq_cst(&cleanups->is_ending, true); /* pairs with is_ending(), and with has_thread() */
	atomic_add_seq_cst(&cleanups->posts, 1u);
	os_futex_wake_all(&cleanups->posts);
	if (atomic_load_seq_cst(&cleanups->caller))
		gc_blocking(join, cleanups);
}

/* ---------------------------------------------------------------- adding and cancelling */

static void require_apart(const struct arena_gc *gc, const void *object, const void *argument)
{
	struct gc_ref own, other;

	if (!gc_find(&gc->space, (uintptr_t)object, &own) || !gc_is_object(&own))
		panic("arena_gc_add_cleanup(): %p is no object of this heap", object);
	if (gc_find(&gc->space, (uintptr_t)argument, &other) && own.span == other.span && own.slot == other.slot)
		panic("arena_gc_add_cleanup(): the argument %p leads to the object, which would never die", argument);
}

struct arena_gc_cleanup *arena_gc_add_cleanup(struct arena_gc *gc, const void *object, arena_gc_cleanup_fn *function, void *argument)
{
	struct arena_gc_cleanup *cleanup = is_ending(&gc->cleanups) ? NULL : arena_gc_alloc(gc, gc->cleanups.type);

	require_apart(gc, object, argument);
	if (!cleanup || !has_thread(gc))
		return NULL;
	cleanup->function = function;
	arena_gc_store(&cleanup->argument, argument);
	atomic_store_relaxed(&cleanup->object, object);
	gc_chain_push(&gc->cleanups.waiting, &cleanup->link);
	return cleanup;
}

bool arena_gc_cancel_cleanup(struct arena_gc_cleanup *cleanup)
{
	if (!end(cleanup))
		return false;
	arena_gc_store(&cleanup->argument, NULL);
	return true;
}

/* ---------------------------------------------------------------- the collector's side */

/* One that is over is no root any more, and is sifted out in this cycle. */
static void show(struct arena_gc_cleanup *cleanup, void (*visit)(void *context, uintptr_t word), void *context)
{
	if (atomic_load_relaxed(&cleanup->object))
		visit(context, (uintptr_t)cleanup);
}

void gc_cleanups_each(struct arena_gc *gc, void (*visit)(void *context, uintptr_t word), void *context)
{
	struct gc_cleanups *cleanups = &gc->cleanups;

	for (struct link *link = gc_chain_first(&cleanups->waiting); link; link = link->next)
		show(cleanup_of(link), visit, context);
	lock_acquire(&cleanups->lock);
	for (struct link *link = cleanups->due.head; link; link = link->next)
		visit(context, (uintptr_t)cleanup_of(link));
	lock_release(&cleanups->lock);
}

static bool find(void *context, struct link *link)
{
	struct arena_gc *gc = context;
	struct gc_cleanups *cleanups = &gc->cleanups;
	struct arena_gc_cleanup *cleanup = cleanup_of(link);
	const void *object = atomic_load_relaxed(&cleanup->object);

	if (object && !cleanups->is_all_due && !gc_is_white(gc, object))
		return true;
	/* Else it was cancelled, by now at the latest. */
	if (object && atomic_cas_relaxed(&cleanup->object, &object, DUE)) {
		lock_acquire(&cleanups->lock);
		queue_push(&cleanups->due, link);
		lock_release(&cleanups->lock);
	}
	return false;
}

void gc_cleanups_find(struct arena_gc *gc)
{
	gc_chain_sift(&gc->cleanups.waiting, find, gc);
}

void gc_cleanups_post(struct arena_gc *gc)
{
	struct gc_cleanups *cleanups = &gc->cleanups;
	bool any;

	lock_acquire(&cleanups->lock);
	any = cleanups->due.nr;
	lock_release(&cleanups->lock);
	if (!any)
		return;
	/* The child of a fork may have none yet; without memory for one the next cycle tries again. */
	has_thread(gc);
	/* The release pairs with run(). */
	atomic_add_seq_cst(&cleanups->posts, 1u);
	os_futex_wake_all(&cleanups->posts);
}

/* ---------------------------------------------------------------- the end */

/* The collector has the chain in its hands while it sifts it, which looks as if there were none. */
static bool is_any_left(struct arena_gc *gc)
{
	bool is_any;

	lock_acquire(&gc->whole_lock);
	is_any = gc_chain_first(&gc->cleanups.waiting) || gc->cleanups.due.nr;
	lock_release(&gc->whole_lock);
	return is_any;
}

void gc_cleanups_end(struct arena_gc *gc)
{
	struct gc_cleanups *cleanups = &gc->cleanups;
	bool was_attached = gc_mutator_of(gc);

	stop(cleanups);
	if (!is_any_left(gc) || (!was_attached && gc_attach(gc)))
		return;
	cleanups->is_all_due = true;
	gc_cycle_wait(gc);
	call_due(gc_mutator_of(gc));
	if (!was_attached)
		gc_detach(gc_mutator_of(gc));
}
