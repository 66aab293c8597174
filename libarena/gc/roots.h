/* SPDX-License-Identifier: MIT */
/*
 * Roots beside stacks: ranges of the program's memory, and handles.
 *
 * A store to a root is one to any pointer: it goes through the barrier. A range that is removed, and a handle that is freed, is many such stores:
 * what it held is shaded by the mutator that does it, before it is gone.
 */
#ifndef LIBARENA_GC_ROOTS_H
#define LIBARENA_GC_ROOTS_H

#include "gc/collected.h"

void gc_roots_init(struct gc_roots *roots);
void gc_roots_fini(struct gc_roots *roots);
/** 0, -EINVAL or -ENOMEM. */
int gc_roots_add(struct gc_mutator *mutator, uintptr_t base, size_t bytes);
/** 0 or -ENOENT. */
int gc_roots_remove(struct gc_mutator *mutator, uintptr_t base);
/** A handle that holds nothing; NULL when out of memory. */
struct arena_gc_handle *gc_handle_get(struct gc_roots *roots);
/** It holds nothing again. */
void gc_handle_put(struct gc_roots *roots, struct arena_gc_handle *handle);

/** A word of the program's memory, which may be stored to at the same time. */
uintptr_t gc_root_word(uintptr_t address);
/** Show all words of all roots but NULL to @visit; how many bytes their ranges are. They may come and go meanwhile; one that is there all the time is shown. The collector's. */
uint64_t gc_roots_each(struct gc_roots *roots, gc_visit_fn *visit, void *context);

/** Show all words of all roots with where they are to @visit. */
void gc_roots_show(struct gc_roots *roots, void (*visit)(void *context, enum arena_gc_root kind, uintptr_t location, uintptr_t word), void *context);

struct arena_gc_handle {
	const void *object;	/* atomic. Free: the next free one's address with all bits turned over, which is none of a heap */
};

/** Whether it was freed, and not handed out again. */
bool gc_handle_is_free(const struct arena_gc_handle *handle);

#endif /* LIBARENA_GC_ROOTS_H */
