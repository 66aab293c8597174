// SPDX-License-Identifier: MIT
/*
 * The list of annexes. They are few; scanning one takes long, and is done without the lock: while it lasts the annex is not scanned yet, so that nobody lets go of it.
 *
 * Those that come when the others have been scanned count as scanned, and so do those of mutators that are black, from before the first is scanned: else arenas that live for a request would come faster than they
 * can be looked at, and the cycle not end. What is stored there comes from hands whose pointers are marked or shaded, as with black
 * objects. What is in one when it comes is shaded by who brings it, as with a range of roots: a thread that is not scanned may have put
 * there what only it knew, without a barrier, since nobody looked there.
 */
#include "gc/annex.h"

#include "gc/barrier.h"

void gc_annexes_init(struct gc_annexes *annexes)
{
	*annexes = (struct gc_annexes){ .lock = LOCK_INIT(LOCK_GC) };
}

/* ---------------------------------------------------------------- the mutator's side */

static void shade(void *mutator, uintptr_t word)
{
	gc_shade(mutator, word);
}

void gc_annex_add(struct gc_mutator *mutator, struct gc_annex *annex, const struct gc_annex_ops *ops)
{
	struct gc_annexes *annexes = &mutator->gc->annexes;

	lock_acquire(&annexes->lock);
	*annex = (struct gc_annex){ .gc = mutator->gc, .next = annexes->first, .link = &annexes->first, .ops = ops,
				    .is_scanned = annexes->is_scanned || mutator->is_black };
	if (annex->next)
		annex->next->link = &annex->next;
	annexes->first = annex;
	if (!annex->is_scanned)
		annexes->unscanned = annex;
	lock_release(&annexes->lock);
	if (mutator->barrier)
		ops->each(annex, shade, mutator);
}

static void unlink_locked(struct gc_annex *annex)
{
	if (annex->gc->annexes.unscanned == annex)
		annex->gc->annexes.unscanned = annex->next;
	*annex->link = annex->next;
	if (annex->next)
		annex->next->link = annex->link;
	annex->gc = NULL;
}

bool gc_annex_remove(struct gc_mutator *mutator, struct gc_annex *annex)
{
	struct gc_annexes *annexes = &mutator->gc->annexes;
	bool is_free;

	lock_acquire(&annexes->lock);
	is_free = !mutator->barrier || annex->is_scanned || !gc_does(GC_STEP_QUEUE);
	if (is_free)
		unlink_locked(annex);
	else
		annex->is_dropped = true;
	lock_release(&annexes->lock);
	return is_free;
}

bool gc_annex_is_awaited(const struct gc_mutator *mutator, const struct gc_annex *annex)
{
	struct gc_annexes *annexes = &mutator->gc->annexes;
	bool is_scanned;

	if (!mutator->barrier)
		return false;
	lock_acquire(&annexes->lock);
	is_scanned = annex->is_scanned;
	lock_release(&annexes->lock);
	return !is_scanned;
}

/* ---------------------------------------------------------------- the collector's side */

void gc_annexes_begin(struct gc_annexes *annexes)
{
	lock_acquire(&annexes->lock);
	annexes->is_scanned = false;
	annexes->unscanned = annexes->first;
	for (struct gc_annex *annex = annexes->first; annex; annex = annex->next)
		annex->is_scanned = false;
	lock_release(&annexes->lock);
}

/* One that is yet to be scanned; when there is none, those that come are not. */
static struct gc_annex *next_annex(struct gc_annexes *annexes)
{
	struct gc_annex *annex;

	lock_acquire(&annexes->lock);
	for (annex = annexes->unscanned; annex && annex->is_scanned; annex = annex->next)
		;
	annexes->unscanned = annex;
	annexes->is_scanned = !annex;
	lock_release(&annexes->lock);
	return annex;
}

/* From now on its owner may let go of it, unless it is left to us. */
static void finish(struct gc_annexes *annexes, struct gc_annex *annex)
{
	bool is_dropped;

	lock_acquire(&annexes->lock);
	annex->is_scanned = true;
	is_dropped = annex->is_dropped;
	if (is_dropped)
		unlink_locked(annex);
	lock_release(&annexes->lock);
	if (is_dropped)
		annex->ops->drop(annex);
}

uint64_t gc_annexes_scan(struct gc_annexes *annexes, gc_visit_fn *visit, void *context)
{
	struct gc_annex *annex;
	uint64_t bytes = 0;

	while ((annex = next_annex(annexes))) {
		bytes += annex->ops->each(annex, visit, context);
		finish(annexes, annex);
	}
	return bytes;
}

void gc_annexes_show(struct gc_annexes *annexes, gc_visit_fn *visit, void *context)
{
	for (struct gc_annex *annex = annexes->first; annex; annex = annex->next)
		annex->ops->each(annex, visit, context);
}

void gc_annexes_fini(struct gc_annexes *annexes)
{
	struct gc_annex *annex;

	while ((annex = annexes->first)) {
		unlink_locked(annex); /* nobody else is there to lock out */
		if (annex->is_dropped)
			annex->ops->drop(annex);
	}
}
