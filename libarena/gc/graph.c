// SPDX-License-Identifier: MIT
/* Walks over roots and objects while nothing moves. */
#include "gc/graph.h"

#include <errno.h>

#include "gc/cleanup.h"
#include "gc/coroutine.h"
#include "gc/roots.h"
#include "gc/threads.h"

/* Two objects begin at least so far from each other. */
#define UNIT_BYTES 16u

bool gc_graph_find(const struct arena_gc *gc, uintptr_t word, struct gc_ref *ref)
{
	return gc_find(&gc->space, word, ref) && gc_is_object(ref) && gc_is_marked(ref);
}

const char *gc_graph_type(const struct arena_gc *gc, const struct gc_ref *ref)
{
	const char *name = gc->types.kinds[ref->span->kind].type->name;

	return name ? name : "?";
}

/* ---------------------------------------------------------------- objects */

/* The words of live objects' bits. */
static uint64_t live_word(const struct gc_span *span, unsigned int w)
{
	return atomic_load_relaxed(&span->mark[w]) & ~atomic_load_acquire(&span->free[w]) & gc_valid(span, w);
}

static void show_objects(struct gc_span *span, gc_object_fn *visit, void *context)
{
	for (unsigned int w = 0; w < gc_nr_words(span); w++)
		for (uint64_t live = live_word(span, w); live; live &= live - 1)
			visit(context, &(struct gc_ref){ span, w * 64 + (uint32_t)word_lowest(live) });
}

void gc_graph_objects(struct arena_gc *gc, gc_object_fn *visit, void *context)
{
	struct gc_space *space = &gc->space;
	uint32_t limit = (uint32_t)(atomic_load_acquire(&space->open_bytes) >> PAGE_SHIFT); /* pairs with open_tables() */

	for (uint32_t page = 0; page < limit; page++)
		/* Pairs with gc_space_publish(). */
		if (atomic_load_acquire(&space->map[page]) == page + 1)
			show_objects(&space->spans[page], visit, context);
}

static void count_one(void *nr, const struct gc_ref *ref)
{
	(void)ref;
	++*(size_t *)nr;
}

size_t gc_graph_count(struct arena_gc *gc)
{
	size_t nr = 0;

	gc_graph_objects(gc, count_one, &nr);
	return nr;
}

void gc_graph_edges(const struct arena_gc *gc, const struct gc_ref *ref, void (*visit)(void *context, uintptr_t word), void *context)
{
	struct arena_gc_visitor visitor = { .visit = visit, .context = context };
	uintptr_t at = gc_object_base(&gc->space, ref);

	if (gc->types.kinds[ref->span->kind].scan == GC_SCAN_NONE)
		return;
	while (at)
		at = gc_scan_object(gc, ref, at, GC_PIECE_BYTES, &visitor);
}

/* ---------------------------------------------------------------- roots */

struct walk {
	struct arena_gc *gc;
	gc_root_fn *visit;
	void *context;
};

static void show_root(void *context, enum arena_gc_root kind, uintptr_t location, uintptr_t word)
{
	const struct walk *walk = context;

	walk->visit(walk->context, &(struct gc_root){ .kind = kind, .location = location }, word);
}

static void show_if_pinned(void *context, const struct gc_ref *ref)
{
	const struct walk *walk = context;
	uintptr_t object = gc_object_base(&walk->gc->space, ref);

	if (atomic_load_relaxed(&ref->span->pinned[ref->slot / 64]) & gc_bit(ref->slot))
		show_root(context, ARENA_GC_ROOT_UNCOLLECTABLE, object, object);
}

static void show_stack(const struct walk *walk, const struct gc_mutator *mutator)
{
	const struct gc_stack *stack = &mutator->stack;
	uintptr_t low = stack->limit - stack->copy_words * sizeof(uintptr_t);

	for (size_t i = 0; i < stack->copy_words; i++) {
		struct gc_root root = { ARENA_GC_ROOT_STACK, mutator->thread_id, low + i * sizeof(uintptr_t) };

		walk->visit(walk->context, &root, gc_stack_held(stack, i));
	}
}

static void show_cleanup(void *context, uintptr_t word)
{
	show_root(context, ARENA_GC_ROOT_CLEANUP, word, word);
}

static void show_in_arena(void *context, uintptr_t word)
{
	show_root(context, ARENA_GC_ROOT_ARENA, 0, word);
}

/* No thread runs on it. */
static void show_suspended(void *context, uintptr_t location, uintptr_t word)
{
	show_root(context, ARENA_GC_ROOT_STACK, location, word);
}

void gc_graph_roots(struct arena_gc *gc, gc_root_fn *visit, void *context)
{
	struct walk walk = { gc, visit, context };

	gc_roots_show(&gc->roots, show_root, &walk);
	if (atomic_load_relaxed(&gc->nr_pinned))
		gc_graph_objects(gc, show_if_pinned, &walk);
	gc_annexes_show(&gc->annexes, show_in_arena, &walk);
	gc_cleanups_each(gc, show_cleanup, &walk);
	for (const struct gc_mutator *mutator = gc_threads_first(gc); mutator; mutator = mutator->next)
		show_stack(&walk, mutator);
	gc_coroutines_each(gc, show_suspended, &walk);
}

/* ---------------------------------------------------------------- sets */

int gc_seen_init(struct gc_seen *seen, const struct gc_space *space)
{
	size_t bytes = align_up(atomic_load_acquire(&space->open_bytes) / UNIT_BYTES / 8 + 8, PAGE_BYTES); /* pairs with open_tables() */

	*seen = (struct gc_seen){ .bits = os_table(bytes), .bytes = bytes, .base = space->base };
	return seen->bits ? 0 : -ENOMEM;
}

void gc_seen_fini(struct gc_seen *seen)
{
	if (seen->bits)
		os_unreserve(seen->bits, seen->bytes);
}

bool gc_seen_has(const struct gc_seen *seen, uintptr_t object)
{
	size_t n = (object - seen->base) / UNIT_BYTES;

	return seen->bits[n / 64] >> n % 64 & 1;
}

bool gc_seen_add(struct gc_seen *seen, uintptr_t object)
{
	size_t n = (object - seen->base) / UNIT_BYTES;
	uint64_t bit = (uint64_t)1 << n % 64;
	bool is_new = !(seen->bits[n / 64] & bit);

	seen->bits[n / 64] |= bit;
	return is_new;
}
