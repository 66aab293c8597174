// SPDX-License-Identifier: MIT
/*
 * Everything is searched that all other roots lead to: ranges, stacks, handles, cleanups, arenas. An uncollectable object that was not met is
 * forgotten: the program cannot reach it to make it collectable, unless it keeps the address where the collector does not look.
 *
 * When a heap is destroyed its handles are as good as forgotten, and each that holds something is one more.
 */
#include "gc/leaks.h"

#include "gc/look.h"
#include "gc/why.h"

/* Lines of a report; what is left out is counted. */
#define LINES_MAX 100u

struct leaks {
	struct gc_search search;
	bool is_end;		/* the heap goes */
	struct arena_gc_step *steps;
	size_t nr, max;
	uint64_t bytes;
	int error;
};

/* What is to be let go by hand: all other roots are followed. */
static uint32_t kinds_by_hand(const struct leaks *leaks)
{
	return 1u << ARENA_GC_ROOT_UNCOLLECTABLE | (leaks->is_end ? 1u << ARENA_GC_ROOT_HANDLE : 0);
}

static void note(struct leaks *leaks, const struct gc_root *root, const struct gc_ref *ref, uintptr_t word)
{
	const struct arena_gc *gc = leaks->search.gc;
	uintptr_t object = gc_object_base(&gc->space, ref);

	leaks->bytes += gc_object_bytes(ref->span);
	if (leaks->nr < leaks->max)
		leaks->steps[leaks->nr] = (struct arena_gc_step){
			.root = root->kind,
			.location = (const void *)root->location,
			.object = (const void *)object,
			.type = gc_graph_type(gc, ref),
			.bytes = gc_object_bytes(ref->span),
			.offset_bytes = word - object,
		};
	leaks->nr++;
}

static void judge(void *context, const struct gc_root *root, uintptr_t word)
{
	struct leaks *leaks = context;
	const struct arena_gc *gc = leaks->search.gc;
	struct gc_ref ref;

	if (leaks->search.roots >> root->kind & 1 || !gc_graph_find(gc, word, &ref) ||
	    gc_seen_has(&leaks->search.seen, gc_object_base(&gc->space, &ref)))
		return;
	note(leaks, root, &ref, word);
}

static void find(struct arena_gc *gc, void *context)
{
	struct leaks *leaks = context;

	leaks->error = gc_search_init(&leaks->search, gc);
	if (leaks->error)
		return;
	leaks->search.roots = ~kinds_by_hand(leaks);
	gc_search_roots(&leaks->search);
	gc_search_run(&leaks->search, 0);
	gc_graph_roots(gc, judge, leaks);
	gc_search_fini(&leaks->search);
}

int gc_leaks(struct arena_gc *gc, struct arena_gc_step *steps, size_t max)
{
	struct leaks leaks = { .steps = steps, .max = max };
	int error = gc_look(gc, find, &leaks);

	if (error)
		return error;
	return leaks.error ? leaks.error : (int)size_min(leaks.nr, INT32_MAX);
}

/* ---------------------------------------------------------------- at the end */

static void report_one(const struct arena_gc_step *step)
{
	if (step->root == ARENA_GC_ROOT_HANDLE)
		report("gc leak: %zu bytes of %s at %p: the handle %p was not freed", step->bytes, step->type, (void *)(uintptr_t)step->object,
		       (void *)(uintptr_t)step->location);
	else
		report("gc leak: %zu bytes of %s at %p: uncollectable, and no root leads to it", step->bytes, step->type,
		       (void *)(uintptr_t)step->object);
}

void gc_leaks_report(struct arena_gc *gc)
{
	struct arena_gc_step steps[LINES_MAX];
	struct leaks leaks = { .is_end = true, .steps = steps, .max = LINES_MAX };

	if (gc_look(gc, find, &leaks) || leaks.error)
		report("gc leaks: no memory to look for them");
	for (size_t i = 0; i < size_min(leaks.nr, LINES_MAX); i++)
		report_one(&steps[i]);
	if (leaks.nr)
		report("gc leaks: %zu, of %lu bytes without what they lead to", leaks.nr, leaks.bytes);
}
