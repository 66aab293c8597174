/* SPDX-License-Identifier: MIT */
/*
 * The objects of a heap as a graph, for who looks at all of them: roots, objects, and what they lead to. All mutators are stopped, and marking
 * has ended: an object is what is marked. What only a stale word of a stack leads to is none.
 */
#ifndef LIBARENA_GC_GRAPH_H
#define LIBARENA_GC_GRAPH_H

#include "gc/mark.h"

/* Where a pointer was found that keeps an object by itself. */
struct gc_root {
	enum arena_gc_root kind;
	uint32_t thread_id;	/* whose stack; else 0 */
	uintptr_t location;	/* of the pointer; of the object itself if it is uncollectable */
};

typedef void gc_root_fn(void *context, const struct gc_root *root, uintptr_t word);
typedef void gc_object_fn(void *context, const struct gc_ref *ref);

/** The object that a word leads into; false when it leads to none. */
bool gc_graph_find(const struct arena_gc *gc, uintptr_t word, struct gc_ref *ref);
/** Show all words of all roots: ranges, handles, what is uncollectable, arenas, cleanups, stacks. They may lead to nothing. */
void gc_graph_roots(struct arena_gc *gc, gc_root_fn *visit, void *context);
/** Show all objects, by addresses. */
void gc_graph_objects(struct arena_gc *gc, gc_object_fn *visit, void *context);
/** Show all words of an object that may be pointers. */
void gc_graph_edges(const struct arena_gc *gc, const struct gc_ref *ref, void (*visit)(void *context, uintptr_t word), void *context);
/** How many objects there are. */
size_t gc_graph_count(struct arena_gc *gc);
/** The name of an object's type. */
const char *gc_graph_type(const struct arena_gc *gc, const struct gc_ref *ref);

/* A bit for each object, by its address. */
struct gc_seen {
	uint64_t *bits;
	size_t bytes;
	uintptr_t base;
};

/** 0 or -ENOMEM. */
int gc_seen_init(struct gc_seen *seen, const struct gc_space *space);
void gc_seen_fini(struct gc_seen *seen);
bool gc_seen_has(const struct gc_seen *seen, uintptr_t object);
/** Set an object's: whether it was not set before. */
bool gc_seen_add(struct gc_seen *seen, uintptr_t object);

#endif /* LIBARENA_GC_GRAPH_H */
