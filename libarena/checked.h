/* SPDX-License-Identifier: MIT */
/*
 * Heaps that are looked after: every object ends in a sealed record of its size, freed ones rest before they are used again, and tools are told
 * what is an object. Always in builds with ASan or VERIFY=1, in other builds under Memcheck.
 *
 * Then a thread's caches are kept where the fast paths do not see them (heap_own_cache()), so that every call comes by here and other programs
 * pay nothing.
 */
#ifndef LIBARENA_CHECKED_H
#define LIBARENA_CHECKED_H

#include "annotate.h"

struct heap;

/* Of the record behind each object; 16 bytes keep sizes what they were in multiples of the alignment. */
#define CHECKED_TAIL_BYTES ((size_t)16)

#ifdef ARENA_VERIFY
#define CHECKED_VERIFY 1
#else
#define CHECKED_VERIFY 0
#endif

/** Under Memcheck; fixed before there is a heap. */
extern bool checked_has_memcheck;

static inline bool checked_is_on(void)
{
	return CHECKED_VERIFY || ANNOTATE_ASAN || unlikely(checked_has_memcheck);
}

/** Bytes of each slot that are not its object's. */
static inline size_t checked_tail_bytes(void)
{
	return checked_is_on() ? CHECKED_TAIL_BYTES : 0;
}

/** Find out whether Memcheck runs this. The caller sees to it that there is no heap yet. */
void checked_start(void);

/** What heap.h's functions of these names do when it is on. */
void *checked_alloc(struct heap *heap, size_t bytes, size_t align_bytes);
void *checked_realloc(struct heap *heap, void *object, size_t bytes);
void checked_free(void *object);
/** As many as were asked for, of a live object; panics, naming @what, when it is none or damaged. */
size_t checked_bytes(const void *object, const char *what);

/** VERIFY: pages are a span now, and no slot of it was an object before. */
void checked_new_span(uintptr_t base, unsigned int class);

/** Whether a slot in use of @slot_bytes holds a live object: then *@bytes are what it was asked for. Else it rests. */
bool checked_is_live(const void *object, size_t slot_bytes, size_t *bytes);

/** End the rest of a heap's freed objects. */
void checked_flush(struct heap *heap);
/** Everything of a heap is about to go. */
void checked_forget(struct heap *heap);

#endif /* LIBARENA_CHECKED_H */
