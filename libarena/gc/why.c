// SPDX-License-Identifier: MIT
/*
 * The shortest path from a root to an object: objects are met breadth first, and each remembers by whose pointer it was met first.
 *
 * The stack of who asks counts only if nothing else leads to the object: it has the object's address in it, because that is what it asks with.
 */
#include "gc/why.h"

#include <errno.h>

#include "gc/look.h"

/* All kinds of roots. */
#define ROOTS_ALL (~0u)

/* ---------------------------------------------------------------- searching */

static size_t entries_bytes(size_t nr)
{
	return align_up(nr * sizeof(struct gc_entry) + 1, PAGE_BYTES);
}

int gc_search_init(struct gc_search *search, struct arena_gc *gc)
{
	*search = (struct gc_search){ .gc = gc, .max = gc_graph_count(gc), .roots = ROOTS_ALL };
	search->entries = os_table(entries_bytes(search->max));
	if (search->entries && !gc_seen_init(&search->seen, &gc->space))
		return 0;
	gc_search_fini(search);
	return -ENOMEM;
}

void gc_search_fini(struct gc_search *search)
{
	gc_seen_fini(&search->seen);
	if (search->entries)
		os_unreserve(search->entries, entries_bytes(search->max));
}

static void meet(struct gc_search *search, uintptr_t word, size_t from, const struct gc_root *root)
{
	struct gc_ref ref;
	uintptr_t object;

	if (!gc_graph_find(search->gc, word, &ref))
		return;
	object = gc_object_base(&search->gc->space, &ref);
	if (!gc_seen_add(&search->seen, object))
		return;
	check(search->nr < search->max);
	search->entries[search->nr++] = (struct gc_entry){ object, word, from, *root };
}

static void meet_root(void *context, const struct gc_root *root, uintptr_t word)
{
	struct gc_search *search = context;

	if ((search->roots >> root->kind & 1) && (!search->skipped || root->thread_id != search->skipped))
		meet(search, word, 0, root);
}

void gc_search_roots(struct gc_search *search)
{
	gc_graph_roots(search->gc, meet_root, search);
}

static void meet_field(void *context, uintptr_t word)
{
	static const struct gc_root none = { .kind = ARENA_GC_ROOT_NONE };
	struct gc_search *search = context;

	meet(search, word, search->next + 1, &none);
}

bool gc_search_run(struct gc_search *search, uintptr_t object)
{
	for (; search->next < search->nr; search->next++) {
		struct gc_ref ref;

		if (object && search->entries[search->next].object == object)
			return true;
		check(gc_find(&search->gc->space, search->entries[search->next].object, &ref));
		gc_graph_edges(search->gc, &ref, meet_field, search);
	}
	return false;
}

/* ---------------------------------------------------------------- the path */

struct question {
	uintptr_t object;
	uint32_t thread_id;	/* of who asks */
	struct arena_gc_step *steps;
	size_t max;
	int answer;
};

/* Where in an object the pointer is that leads to another; 0 when its type's function finds it where it does not stand. */
static uintptr_t find_field(const struct arena_gc *gc, uintptr_t from, uintptr_t object)
{
	struct gc_ref ref, to;
	uintptr_t limit;

	check(gc_find(&gc->space, from, &ref));
	limit = from + gc_object_bytes(ref.span);
	for (uintptr_t at = from; at + sizeof(uintptr_t) <= limit; at += sizeof(uintptr_t))
		if (gc_find(&gc->space, *(const uintptr_t *)at, &to) && gc_object_base(&gc->space, &to) == object)
			return at;
	return 0;
}

static void fill_step(const struct gc_search *search, const struct gc_entry *entry, struct arena_gc_step *step)
{
	const struct arena_gc *gc = search->gc;
	uintptr_t location = entry->from ? find_field(gc, search->entries[entry->from - 1].object, entry->object) : entry->root.location;
	struct gc_ref ref;

	check(gc_find(&gc->space, entry->object, &ref));
	*step = (struct arena_gc_step){
		.root = entry->root.kind,
		.thread_id = entry->root.thread_id,
		.location = (const void *)location,
		.object = (const void *)entry->object,
		.type = gc_graph_type(gc, &ref),
		.bytes = gc_object_bytes(ref.span),
		.offset_bytes = entry->word - entry->object,
	};
}

/* From the root on; the object is the last one met. */
static int fill_steps(const struct gc_search *search, struct arena_gc_step *steps, size_t max)
{
	size_t nr = 0, i;

	for (i = search->next + 1; i; i = search->entries[i - 1].from)
		nr++;
	i = search->next + 1;
	for (size_t at = nr; at-- > 0; i = search->entries[i - 1].from)
		if (at < max)
			fill_step(search, &search->entries[i - 1], &steps[at]);
	return (int)size_min(nr, INT32_MAX);
}

static bool find(struct gc_search *search, const struct question *question)
{
	search->skipped = question->thread_id;
	gc_search_roots(search);
	if (gc_search_run(search, question->object))
		return true;
	search->skipped = 0;
	gc_search_roots(search);
	return gc_search_run(search, question->object);
}

static void answer(struct arena_gc *gc, void *context)
{
	struct question *question = context;
	struct gc_search search;
	struct gc_ref ref;

	question->answer = -EINVAL;
	if (!gc_find(&gc->space, question->object, &ref) || !gc_is_object(&ref))
		return;
	question->object = gc_object_base(&gc->space, &ref);
	question->answer = gc_search_init(&search, gc);
	if (question->answer)
		return;
	if (find(&search, question))
		question->answer = fill_steps(&search, question->steps, question->max);
	gc_search_fini(&search);
}

int gc_why(struct arena_gc *gc, const void *object, struct arena_gc_step *steps, size_t max)
{
	struct question question = { (uintptr_t)object, os_thread_id(), steps, max, 0 };
	int error = gc_look(gc, answer, &question);

	return error ? error : question.answer;
}
