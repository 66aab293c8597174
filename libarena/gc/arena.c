// SPDX-License-Identifier: MIT
/*
 * How a collector reads an arena, and how objects are cloned out of one into a collected heap.
 *
 * The runs up to the current one are the arena's objects, the last up to where the next object comes; which run that is, is read under the lock of the heap's
 * annexes, and the owner changes it under the same. Runs before it change no more until a reset, which shades all that they lead to before it begins to use them
 * anew, unless they have been scanned. What the owner makes while its arena is read is new, and stored to with barriers.
 *
 * Memory of an arena is not zeroed: stale words in objects that are not filled in yet keep what they happen to lead to.
 */
#include "gc/arena.h"

#include <errno.h>

#include "gc/barrier.h"
#include "gc/roots.h"
#include "gc/threads.h"
#include "internal.h"

#define arena_of(annex_) ((struct arena *)(void *)((char *)(annex_) - offsetof(struct arena, annex)))

/* ---------------------------------------------------------------- reading */

/* What is in use of an arena at one moment. */
struct extent {
	const struct run *first, *last;
	uintptr_t limit;
};

static uint64_t visit_words(uintptr_t base, uintptr_t limit, gc_visit_fn *visit, void *context)
{
	for (uintptr_t at = base; at < limit; at += sizeof(uintptr_t))
		visit(context, gc_root_word(at));
	return limit - base;
}

static struct extent extent_of(struct arena *arena)
{
	struct extent extent;

	gc_arena_lock(arena);
	/* The owner's inline path moves the limit, without a lock. */
	extent = (struct extent){ .last = arena->current, .limit = gc_root_word((uintptr_t)&arena->bump.at) };
	/* As long as no run is in use the owner changes which is the first, without it as well. */
	if (extent.last)
		extent.first = arena->runs;
	if (!extent.limit)
		extent.limit = arena->freed_limit;
	gc_arena_unlock(arena);
	return extent;
}

/* A reset may put runs in another order meanwhile: then it has shaded what is in them. */
__attribute__((no_sanitize("thread"))) static uint64_t each(struct gc_annex *annex, gc_visit_fn *visit, void *context)
{
	struct extent extent = extent_of(arena_of(annex));
	uint64_t bytes = 0;

	if (!extent.last)
		return 0;
	for (const struct run *run = extent.first; run && run != extent.last; run = run->next)
		bytes += visit_words(run->base, run->limit, visit, context);
	return bytes + visit_words(extent.last->base, extent.limit, visit, context);
}

static void drop(struct gc_annex *annex)
{
	arena_drop(arena_of(annex));
}

static const struct gc_annex_ops ops = { each, drop };

/* ---------------------------------------------------------------- the owner's side */

static struct gc_mutator *require(const struct arena *arena, const char *what)
{
	struct gc_mutator *mutator = gc_mutator_of(arena->annex.gc);

	if (unlikely(!mutator))
		panic("%s: arena \"%s\" (made at %s) holds pointers into a collected heap that the calling thread is not attached to", what, arena->name,
		      arena->made_at ? arena->made_at : "?");
	return mutator;
}

int arena_gc_scan_arena(struct arena_gc *gc, struct arena *arena)
{
	struct gc_mutator *mutator = gc_mutator_of(gc);

	arena_require_live(arena, "arena_gc_scan_arena()", NULL);
	if (unlikely(!mutator))
		panic("arena_gc_scan_arena(): the calling thread is not attached to this heap (arena_gc_attach())");
	if (gc_arena_is_scanned(arena))
		return arena->annex.gc == gc ? 0 : -EBUSY;
	gc_annex_add(mutator, &arena->annex, &ops);
	return 0;
}

void gc_arena_lock(struct arena *arena)
{
	if (unlikely(gc_arena_is_scanned(arena)))
		lock_acquire(&arena->annex.gc->annexes.lock);
}

void gc_arena_unlock(struct arena *arena)
{
	if (unlikely(gc_arena_is_scanned(arena)))
		lock_release(&arena->annex.gc->annexes.lock);
}

static void shade_old(void *mutator, uintptr_t word)
{
	gc_shade_old(mutator, word);
}

bool gc_arena_is_awaited(const struct arena *arena)
{
	return gc_arena_is_scanned(arena) && gc_annex_is_awaited(require(arena, "arena_reset()"), &arena->annex);
}

void gc_arena_forget(struct arena *arena)
{
	if (gc_arena_is_awaited(arena))
		each(&arena->annex, shade_old, require(arena, "arena_reset()"));
}

void gc_arena_cut(struct arena *arena, uintptr_t base, uintptr_t limit)
{
	if (gc_arena_is_awaited(arena))
		visit_words(base & ~(sizeof(uintptr_t) - 1), limit, shade_old, require(arena, "arena_realloc()"));
}

bool gc_arena_remove(struct arena *arena)
{
	return !gc_arena_is_scanned(arena) || gc_annex_remove(require(arena, "arena_free()"), &arena->annex);
}

/* ---------------------------------------------------------------- cloning */

void *arena_gc_clone(struct arena_gc *gc, struct arena_gc_type *type, const void *objects, size_t count)
{
	void *clone = arena_gc_alloc_array(gc, type, count);

	if (clone)
		arena_gc_copy(gc, type, clone, objects, count);
	return clone;
}

char *arena_gc_clone_string(struct arena_gc *gc, const char *string)
{
	size_t bytes = strlen(string) + 1;
	char *clone = arena_gc_alloc_atomic(gc, bytes);

	return clone ? memcpy(clone, string, bytes) : NULL;
}
