/* SPDX-License-Identifier: MIT */
/* Marking: what roots lead to, and what that leads to. */
#ifndef LIBARENA_GC_MARK_H
#define LIBARENA_GC_MARK_H

#include "gc_heap.h"

/* Who marks; one thread's. */
struct gc_marker {
	struct arena_gc *gc;
	struct gc_block *block;	/* its own objects that are marked and not scanned, or NULL */
	uint64_t nr_marked;
	uint64_t marked_bytes;
};

/** Mark what an address leads to, if it does; it is scanned later. */
void gc_mark_address(struct gc_marker *marker, uintptr_t address);
/** Mark what all roots but stacks lead to; returns bytes of roots. */
uint64_t gc_mark_roots(struct gc_marker *marker);
/** Mark what the copies of stacks lead to; returns their bytes. All have answered GC_REQUEST_SCAN. */
uint64_t gc_mark_stacks(struct gc_marker *marker);
/** Scan until nothing is left, what mutators have handed over included. */
void gc_mark_drain(struct gc_marker *marker);
/** Marking is over: blocks go back. */
void gc_mark_finish(struct gc_marker *marker);

/* Whom a type's function tells of pointers. */
struct arena_gc_visitor {
	void (*visit)(void *context, uintptr_t word);
	void *context;
};

/** Show all words of the element at @at that may be pointers to @visit. */
void gc_scan_element(const struct arena_gc_type *type, uintptr_t at, struct arena_gc_visitor *visitor);
/**
 * Show all words of an object that may be pointers to @visit, from @at on, which is its beginning or the beginning of a later piece; returns where the
 * next piece begins, or 0 when there is none.
 */
uintptr_t gc_scan_object(const struct arena_gc *gc, const struct gc_ref *ref, uintptr_t at, struct arena_gc_visitor *visitor);

#endif /* LIBARENA_GC_MARK_H */
