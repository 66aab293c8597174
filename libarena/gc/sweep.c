// SPDX-License-Identifier: MIT
/*
 * Sweeping a span is "free = free or not marked, marked = none" on its words.
 *
 * Nobody marks any more, and nobody allocates from a span that is being swept: it was taken off the unswept list, under the lock of its
 * kind. What a mutator holds in its bins when marking ends is handed in when it acknowledges that barriers are off, and swept then.
 * All spans are swept before the next cycle begins: what a mutator has taken it has swept before it answers again.
 */
#include "gc/sweep.h"

#include "gc/sample.h"

#include <string.h>

/* What is freed under verification is overwritten, so that whoever still uses it notices. */
#define GC_DEAD_BYTE 0xdb

static void bury(const struct gc_space *space, const struct gc_span *span, unsigned int w, uint64_t dead)
{
	for (; dead; dead &= dead - 1) {
		struct gc_ref ref = { (struct gc_span *)(uintptr_t)span, w * 64 + (uint32_t)word_lowest(dead) };

		memset((void *)gc_object_base(space, &ref), GC_DEAD_BYTE, gc_object_bytes(span));
	}
}

static unsigned int sweep_word(struct arena_gc *gc, struct gc_span *span, unsigned int w)
{
	uint64_t free = span->free[w], dead = ~span->mark[w] & ~free & gc_valid(span, w);

	if (gc->is_verified)
		bury(&gc->space, span, w, dead);
	atomic_store_relaxed(&span->mark[w], 0u);
	/* The release pairs with gc_is_object() in gc_weak_resolve(): who finds the slot free finds cleared what led there weakly. */
	atomic_store_release(&span->free[w], free | dead);
	return (unsigned int)__builtin_popcountll(dead);
}

unsigned int gc_sweep_span(struct arena_gc *gc, struct gc_span *span)
{
	unsigned int nr_freed = 0, nr_used = span->nr_slots;

	if (unlikely(span->has_samples))
		gc_samples_sweep(gc, span);
	for (unsigned int w = 0; w < gc_nr_words(span); w++) {
		nr_freed += sweep_word(gc, span, w);
		nr_used -= (unsigned int)__builtin_popcountll(span->free[w]);
	}
	if (nr_freed) {
		span->is_fresh = false;
		atomic_add_relaxed(&gc->freed_objects, nr_freed);
		atomic_add_relaxed(&gc->freed_bytes, nr_freed * gc_object_bytes(span));
	}
	return nr_used;
}

/* Where a swept span belongs. */
static void put_back(struct arena_gc *gc, struct gc_kind *kind, struct gc_span *span, unsigned int nr_used)
{
	if (!nr_used) {
		gc_space_give(&gc->space, &gc->swept, span);
		return;
	}
	lock_acquire(&kind->lock);
	span->gen = kind->gen;
	gc_list_push(&gc->space, nr_used < span->nr_slots ? &kind->partial : &kind->full, span);
	lock_release(&kind->lock);
}

static struct gc_span *take_unswept(struct arena_gc *gc, struct gc_kind *kind)
{
	struct gc_span *span;

	lock_acquire(&kind->lock);
	span = gc_list_pop(&gc->space, &kind->unswept);
	lock_release(&kind->lock);
	return span;
}

/* Some spans of one kind; how many of @nr are left to do. */
static unsigned int sweep_kind(struct arena_gc *gc, struct gc_kind *kind, unsigned int nr)
{
	struct gc_span *span;

	while (nr && (span = take_unswept(gc, kind))) {
		put_back(gc, kind, span, gc_sweep_span(gc, span));
		nr--;
	}
	return nr;
}

bool gc_sweep_some(struct arena_gc *gc, unsigned int nr)
{
	for (uint32_t i = 1; nr && i < gc_kinds(&gc->types); i++)
		nr = sweep_kind(gc, &gc->types.kinds[i], nr);
	gc_pages_flush(&gc->space, &gc->swept);
	return !nr;
}

void gc_sweep_rest(struct arena_gc *gc)
{
	while (gc_sweep_some(gc, UINT32_MAX))
		;
}
