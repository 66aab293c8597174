// SPDX-License-Identifier: MIT
/*
 * Errands that wait for the next moment in which all is stopped. Each lies on the stack of who waits for it, who takes it back where there is no
 * collector's thread to run it, nor to be had.
 */
#include "gc/look.h"

#include <errno.h>

#include "gc/alloc.h"
#include "gc/threads.h"

/* Who waits looks so often whether anybody is there. */
#define LOOK_NS ((uint64_t)100 * 1000 * 1000)

struct gc_errand {
	struct gc_errand *next;	/* guarded by the heap's lock while it waits, then the collector's */
	struct arena_gc *gc;	/* fixed */
	gc_look_fn *function;	/* fixed, as context */
	void *context;
	uint32_t is_done;	/* atomic, futex: the release in gc_look_run() pairs with wait_until_done() */
};

/* Whether it was there to be taken back: else somebody is about it. */
static bool take_back(struct gc_errand *errand)
{
	struct arena_gc *gc = errand->gc;
	struct gc_errand **link = &gc->errands;
	bool is_there;

	lock_acquire(&gc->lock);
	while (*link && *link != errand)
		link = &(*link)->next;
	is_there = *link;
	if (is_there)
		*link = errand->next;
	lock_release(&gc->lock);
	return is_there;
}

static void *wait_until_done(void *context)
{
	struct gc_errand *errand = context;

	/* Pairs with gc_look_run(). */
	while (!atomic_load_acquire(&errand->is_done)) {
		if (!atomic_load_relaxed(&errand->gc->has_collector) && take_back(errand))
			return NULL;
		os_futex_wait_for(&errand->is_done, 0, LOOK_NS);
	}
	return errand;
}

int gc_look(struct arena_gc *gc, gc_look_fn *function, void *context)
{
	struct gc_errand errand = { .gc = gc, .function = function, .context = context };

	lock_acquire(&gc->lock);
	errand.next = gc->errands;
	gc->errands = &errand;
	lock_release(&gc->lock);
	/* The one that is running may have stopped all already. */
	gc_wish(gc, true);
	return gc_blocking(wait_until_done, &errand) ? 0 : -ENOMEM;
}

static struct gc_errand *take_all(struct arena_gc *gc)
{
	struct gc_errand *errands;

	lock_acquire(&gc->lock);
	errands = gc->errands;
	gc->errands = NULL;
	lock_release(&gc->lock);
	return errands;
}

bool gc_look_is_wanted(struct arena_gc *gc)
{
	bool is_wanted;

	lock_acquire(&gc->lock);
	is_wanted = gc->errands;
	lock_release(&gc->lock);
	return is_wanted;
}

/* Those that come meanwhile have a cycle of their own: threads that ask one after the other would else keep all stopped for good. */
void gc_look_run(struct arena_gc *gc)
{
	struct gc_errand *errand = take_all(gc), *next;

	for (; errand; errand = next) {
		next = errand->next;
		errand->function(gc, errand->context);
		/* The release pairs with wait_until_done(); behind it the errand is gone, but its address may be woken. */
		atomic_store_release(&errand->is_done, 1u);
		os_futex_wake(&errand->is_done);
	}
}
