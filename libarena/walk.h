/* SPDX-License-Identifier: MIT */
/* The live objects of a heap, one after the other. */
#ifndef LIBARENA_WALK_H
#define LIBARENA_WALK_H

#include "heap.h"

/** Told of an object of @bytes that may be used; false ends the walk. */
typedef bool heap_visit(void *context, void *object, size_t bytes);

/**
 * Show all objects by address; false when @visit ended it. @visit may free the object it is shown. Complete while no other thread uses the
 * heap. Linear in chunks and objects.
 */
bool heap_walk(struct heap *heap, heap_visit *visit, void *context);

/** Slots of each class that hold no object, in spans that hold some or are at a thread's hand. Exact and linear as heap_walk(). */
void heap_count_free(struct heap *heap, uint64_t nr_free[NR_CLASSES]);

#endif /* LIBARENA_WALK_H */
