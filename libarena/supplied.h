/* SPDX-License-Identifier: MIT */
/*
 * Heaps in memory that the program supplies, at addresses of its choice: apart from the region of all other heaps, with a region of their own
 * whose records are in that memory as well.
 */
#ifndef LIBARENA_SUPPLIED_H
#define LIBARENA_SUPPLIED_H

#include "heap.h"

/** A heap in [@memory, @memory + @bytes); NULL when that is too little, or there are too many heaps. */
struct heap *supplied_create(void *memory, size_t bytes);
/** What such a heap has beside others, before anybody can see it; the caller holds lock_setup. */
void supplied_start(struct heap *heap);
/** The last of a heap that is destroyed; the caller holds lock_setup. */
void supplied_forget(struct heap *heap);

/** The heap in whose memory an address is, or NULL. O(heaps in such memory). */
struct heap *supplied_heap_of(const void *object);

/** What the functions of heap.h do for these heaps. */
void *supplied_alloc(struct heap *heap, size_t bytes, size_t align_bytes);
void supplied_free(struct heap *heap, void *object);
/** Give free pages at hand back to their chunks. */
void supplied_flush(struct heap *heap);
/** The cache of such a heap; and the same held: nobody else looks at it before supplied_pass(), which lets others have their turn. */
struct cache *supplied_cache(struct heap *heap);
void supplied_hold(struct heap *heap);
void supplied_pass(struct heap *heap);

/* fork(): held across it. */
void supplied_lock(struct heap *heap);
void supplied_unlock(struct heap *heap);

#endif /* LIBARENA_SUPPLIED_H */
