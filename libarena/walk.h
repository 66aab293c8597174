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

#endif /* LIBARENA_WALK_H */
