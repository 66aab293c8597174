// SPDX-License-Identifier: MIT
/* Errands that wait for the next moment in which all is stopped. Each lies on the stack of who waits for it. */
#include "gc/look.h"

#include "gc/alloc.h"
#include "gc/threads.h"

struct gc_errand {
	struct gc_errand *next;	/* guarded by the heap's lock */
	gc_look_fn *function;	/* fixed, as context */
	void *context;
	uint32_t is_done;	/* atomic, futex: the release in gc_look_run() pairs with wait_until_done() */
};

static void *wait_until_done(void *context)
{
	struct gc_errand *errand = context;

	while (!atomic_load_acquire(&errand->is_done)) /* pairs with gc_look_run() */
		os_futex_wait(&errand->is_done, 0);
	return NULL;
}

void gc_look(struct arena_gc *gc, gc_look_fn *function, void *context)
{
	struct gc_errand errand = { .function = function, .context = context };

	lock_acquire(&gc->lock);
	errand.next = gc->errands;
	gc->errands = &errand;
	lock_release(&gc->lock);
	/* The one that is running may have stopped all already. */
	gc_wish(gc, true);
	gc_blocking(wait_until_done, &errand);
}

static struct gc_errand *take(struct arena_gc *gc)
{
	struct gc_errand *errand;

	lock_acquire(&gc->lock);
	errand = gc->errands;
	if (errand)
		gc->errands = errand->next;
	lock_release(&gc->lock);
	return errand;
}

bool gc_look_is_wanted(struct arena_gc *gc)
{
	bool is_wanted;

	lock_acquire(&gc->lock);
	is_wanted = gc->errands;
	lock_release(&gc->lock);
	return is_wanted;
}

void gc_look_run(struct arena_gc *gc)
{
	struct gc_errand *errand;

	while ((errand = take(gc))) {
		errand->function(gc, errand->context);
		/* The release pairs with wait_until_done(); behind it the errand is gone, but its address may be woken. */
		atomic_store_release(&errand->is_done, 1u);
		os_futex_wake(&errand->is_done);
	}
}
