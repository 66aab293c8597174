// SPDX-License-Identifier: MIT
/* The public functions of heaps: check arguments, and call the layers below. */
#include "arena/heap.h"

#include "heap.h"
#include "publish.h"
#include "walk.h"

/* A struct arena_heap is a struct heap under a name that programs may see. */
static struct heap *inner(struct arena_heap *heap)
{
	return (struct heap *)(void *)heap;
}

static struct arena_heap *outer(struct heap *heap)
{
	return (struct arena_heap *)(void *)heap;
}

static void set_limit(struct heap *heap, size_t bytes)
{
	lock_acquire(&heap->lock);
	heap->pages.limit_chunks = bytes / CHUNK_BYTES;
	publish(heap);
	lock_release(&heap->lock);
}

struct arena_heap *arena_heap_create(const struct arena_heap_options *options)
{
	static const struct arena_heap_options defaults;
	struct heap *heap;

	if (!options)
		options = &defaults;
	if (options->source >= ARENA_NR_SOURCES)
		return NULL;
	heap = heap_create(options->source);
	if (heap && options->limit_bytes)
		set_limit(heap, options->limit_bytes);
	return outer(heap);
}

void arena_heap_destroy(struct arena_heap *heap)
{
	if (heap)
		heap_destroy(inner(heap));
}

void *arena_heap_alloc(struct arena_heap *heap, size_t bytes)
{
	return heap_alloc(inner(heap), bytes);
}

void *arena_heap_calloc(struct arena_heap *heap, size_t count, size_t bytes)
{
	size_t product;

	return __builtin_mul_overflow(count, bytes, &product) ? NULL : heap_calloc(inner(heap), product);
}

void *arena_heap_alloc_aligned(struct arena_heap *heap, size_t bytes, size_t align_bytes)
{
	return is_power_of_two(align_bytes) ? heap_alloc_aligned(inner(heap), bytes, align_bytes) : NULL;
}

void *arena_heap_realloc(struct arena_heap *heap, void *object, size_t bytes)
{
	struct heap *own = object ? heap_of(object) : NULL;

	return heap_realloc(own ? own : inner(heap), object, bytes);
}

void arena_heap_free(void *object)
{
	struct heap *heap = object ? heap_of(object) : NULL;

	if (!object)
		return;
	if (!heap)
		heap_misuse("arena_heap_free()", object, "this is no memory of a heap");
	heap_free(heap, object);
}

size_t arena_heap_usable_bytes(const void *object)
{
	return heap_usable_bytes(object);
}

struct arena_heap *arena_heap_of(const void *object)
{
	return outer(heap_of(object));
}

bool arena_heap_walk(struct arena_heap *heap, arena_heap_visit *visit, void *context)
{
	return heap_walk(inner(heap), visit, context);
}

void arena_heap_stats(struct arena_heap *heap, struct arena_heap_stats *stats)
{
	struct heap *it = inner(heap);

	lock_acquire(&it->lock);
	heap_count(it, stats);
	lock_release(&it->lock);
}

size_t arena_heap_trim(struct arena_heap *heap, size_t max_bytes)
{
	struct heap *it = inner(heap);
	uint64_t nr;

	heap_flush(it);
	lock_acquire(&it->lock);
	nr = palloc_scavenge(&it->pages, 0, chunks_from_bytes(max_bytes));
	publish(it);
	lock_release(&it->lock);
	return nr * CHUNK_BYTES;
}
