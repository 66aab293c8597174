/* SPDX-License-Identifier: MIT */
/*
 * What happens near a limit: the program is told, idle memory goes back at once, and a refusal is tried again before it is one. Nothing here is
 * reached while heaps are far from their limits and the system has memory.
 */
#ifndef LIBARENA_RELIEF_H
#define LIBARENA_RELIEF_H

#include "arena/heap.h"
#include "heap.h"

/**
 * What the growth of a heap entails: the scavenger's thread; beyond a soft limit, its own or that of all, idle chunks of other heaps go back and the
 * program is told. To be called where this thread's cache is whole and no lock is held.
 */
void relief_settle(struct heap *heap) __attribute__((noinline, cold));
/**
 * An object of a class, or of pages, after the heap had none: NULL when nothing helped. As relief_settle(). O(pages of the heap), each time that the
 * cache is in no hurry (cache.h), and if that does not help O(chunks that are idle anywhere + ended threads of all heaps).
 */
void *relief_alloc(struct heap *heap, unsigned int class) __attribute__((noinline, cold));
void *relief_alloc_large(struct heap *heap, size_t bytes, size_t align_bytes, bool *is_zero) __attribute__((noinline, cold));

/** Whether the calling thread takes steps near a limit: what it finds now keeps it from a refusal. */
bool relief_is_busy(void);

/** Give idle chunks of all heaps back to the system, at most @max, what was freed of ended threads included; returns how many. */
uint64_t relief_give_back(uint64_t max);

/** Whom to tell about the process. @function may be NULL. */
void relief_set_callback(arena_pressure_fn *function, void *context);

#endif /* LIBARENA_RELIEF_H */
