/* SPDX-License-Identifier: MIT */
/* What keeps an object alive. */
#ifndef LIBARENA_GC_WHY_H
#define LIBARENA_GC_WHY_H

#include "gc/graph.h"

/** As arena_gc_why(). */
int gc_why(struct arena_gc *gc, const void *object, struct arena_gc_step *steps, size_t max);

/* Breadth first through all objects; nothing moves. */
struct gc_search {
	struct arena_gc *gc;
	struct gc_seen seen;
	struct gc_entry *entries; /* all that were met, in this order */
	size_t nr, max, next;	/* next: whose pointers are followed next */
	uint32_t skipped;	/* the thread whose stack does not count, or 0 */
	uint32_t roots;		/* kinds of roots that count: bits */
};

/* An object that was met, and from where. */
struct gc_entry {
	uintptr_t object;
	uintptr_t word;		/* the pointer that led here */
	size_t from;		/* whose it is, plus 1; 0: a root's */
	struct gc_root root;
};

/** 0 or -ENOMEM. */
int gc_search_init(struct gc_search *search, struct arena_gc *gc);
void gc_search_fini(struct gc_search *search);
/** Meet what roots of the kinds in search->roots lead to. */
void gc_search_roots(struct gc_search *search);
/** Follow pointers until @object is met, or (0) until there is nothing more to meet: whether it was. */
bool gc_search_run(struct gc_search *search, uintptr_t object);

#endif /* LIBARENA_GC_WHY_H */
