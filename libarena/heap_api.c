// SPDX-License-Identifier: MIT
/* The public functions of heaps: check arguments, and call the layers below. */
#include "arena/heap_inline.h"

#include <limits.h>

#include "chunk.h"
#include "guard.h"
#include "heap.h"
#include "publish.h"
#include "relief.h"
#include "supplied.h"
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

static int set_place(struct heap *heap, const struct arena_heap_options *options)
{
	const struct arena_heap_hooks *hooks = options->hooks;
	struct palloc_place place = { .node = -1 };

	if (hooks)
		place = (struct palloc_place){ hooks->take, hooks->give, hooks->context, hooks->is_zeroed, -1 };
	else if (options->is_on_node)
		place.node = options->node <= INT_MAX ? (int)options->node : INT_MAX;
	return palloc_set_place(&heap->pages, &place);
}

/* Nobody else has the heap yet, but the scavenger looks at all. */
static int set_up(struct heap *heap, const struct arena_heap_options *options)
{
	int error = 0;

	if (!options->memory) {
		lock_acquire(&heap->lock);
		error = set_place(heap, options);
		lock_release(&heap->lock);
	}
	heap_set_limit(heap, limit_from_bytes(options->limit_bytes));
	arena_heap_set_callback(outer(heap), options->on_pressure, options->context);
	return error;
}

/* What cannot go together. The device has nodes of its own, and AUTO is to mean what has not. */
static bool is_possible(const struct arena_heap_options *options)
{
	if (options->source >= ARENA_NR_SOURCES || (options->hooks && !options->hooks->take))
		return false;
	if (options->memory)
		return !options->hooks && !options->is_on_node && !options->source;
	return !(options->is_on_node && (options->hooks || options->source == ARENA_SOURCE_DEV));
}

static enum arena_source source_for(const struct arena_heap_options *options)
{
	enum arena_source named = chunk_source_named();

	if (options->source || !(options->hooks || options->is_on_node))
		return options->source;
	return named && named != ARENA_SOURCE_DEV ? named : ARENA_SOURCE_THP;
}

struct arena_heap *arena_heap_create(const struct arena_heap_options *options)
{
	static const struct arena_heap_options defaults;
	struct heap *heap;

	if (!options)
		options = &defaults;
	if (!is_possible(options))
		return NULL;
	if (options->memory)
		heap = supplied_create(options->memory, options->memory_bytes);
	else
		heap = heap_create(source_for(options));
	if (heap && set_up(heap, options)) {
		heap_destroy(heap);
		heap = NULL;
	}
	return outer(heap);
}

int arena_heap_set_limit(struct arena_heap *heap, size_t limit_bytes)
{
	if (!heap)
		return heap_set_process_limit(limit_from_bytes(limit_bytes));
	heap_set_limit(inner(heap), limit_from_bytes(limit_bytes));
	return 0;
}

void arena_heap_set_callback(struct arena_heap *heap, arena_pressure_fn *function, void *context)
{
	struct heap *it = inner(heap);

	if (!heap) {
		relief_set_callback(function, context);
		return;
	}
	lock_acquire(&it->lock);
	it->callback = (struct heap_callback){ function, context };
	lock_release(&it->lock);
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
	if (heap)
		heap_free(heap, object);
	else if (guard_owns(object))
		/* It was a heap's, which says by whom it was freed. */
		cache_free_slow(object);
	else
		heap_misuse("arena_heap_free()", object, "this is no memory of a heap");
}

/* ---------------------------------------------------------------- what is inline */

#define SAME_PLACE(inner, member, outer, as) \
	_Static_assert(offsetof(inner, member) == offsetof(outer, as) && sizeof(((inner *)0)->member) == sizeof(((outer *)0)->as), #member)
SAME_PLACE(struct cache, fronts, struct arena_heap_local, fronts);
SAME_PLACE(struct cache, spans, struct arena_heap_local, spans);
SAME_PLACE(struct cache, mask, struct arena_heap_local, mask);
SAME_PLACE(struct cache, fronts[1].word, struct arena_heap_local, fronts[1].word);
SAME_PLACE(struct cache, fronts[1].base, struct arena_heap_local, fronts[1].base);
SAME_PLACE(struct cache, fronts[1].bytes, struct arena_heap_local, fronts[1].bytes);
SAME_PLACE(struct span, owner, struct arena_heap_span_, owner);
SAME_PLACE(struct span, left, struct arena_heap_span_, left);
SAME_PLACE(struct span, free, struct arena_heap_span_, free);
SAME_PLACE(struct span, inverse, struct arena_heap_span_, inverse);
SAME_PLACE(struct span, bias, struct arena_heap_span_, bias);
/* Numbers that the header has instead of these names. */
_Static_assert(CLASS_LOOKUP_BYTES == 1024 && FRONT_BYTES == 16 && SPAN_MAX_SLOTS == 256 && SLOT_SHIFT == 16, "arena_heap_*_inline()");
_Static_assert(PAGE_SHIFT - SPAN_SHIFT == 6 && sizeof(struct arena_heap_span_) == sizeof(struct span), "arena_heap_free_inline()");

struct arena_heap_local *arena_heap_local_1_(struct arena_heap *heap)
{
	struct cache *cache = &cache_none;

	/* Not what heap_cache_get() returns: no fast path sees that while objects are looked after. */
	if (!inner(heap)->supplied && heap_cache_get(inner(heap)))
		cache = heap_caches[inner(heap)->id];
	return (struct arena_heap_local *)(void *)cache;
}

void arena_heap_event_(struct arena_heap_local *local, struct arena_heap_span_ *span)
{
	cache_free_event((struct cache *)(void *)local, (struct span *)(void *)span);
}

/* ---------------------------------------------------------------- what is known of them */

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

	heap_flush(it);
	return heap_scavenge(it, 0, chunks_from_bytes(max_bytes)) * CHUNK_BYTES;
}
