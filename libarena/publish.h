/* SPDX-License-Identifier: MIT */
/* Numbers of heaps: put together, and published to other processes (arena/shared.h) where the environment asks for it. */
#ifndef LIBARENA_PUBLISH_H
#define LIBARENA_PUBLISH_H

#include "arena/heap.h"
#include "heap.h"

/** The numbers of a heap, whose lock the caller holds. */
void heap_count(const struct heap *heap, struct arena_heap_stats *stats);

/** A heap begins; the caller holds lock_setup, nobody uses it yet. */
void publish_start(struct heap *heap);
/** It ends; the same. */
void publish_end(struct heap *heap);
/** Write a heap's numbers, whose lock the caller holds. */
void publish_slow(struct heap *heap);
/** What the collector of a heap says of it. */
void publish_collected(struct heap *heap, const struct heap_collected *collected);
/** The only thread of a child of fork() gives it memory of its own. */
void publish_fork_child(void);

/** The numbers of a heap have changed; the caller holds its lock. */
static inline void publish(struct heap *heap)
{
	if (unlikely(heap->shared))
		publish_slow(heap);
}

#endif /* LIBARENA_PUBLISH_H */
