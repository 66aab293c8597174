// SPDX-License-Identifier: MIT
/*
 * A marker marks an object when it meets a pointer to it, and notes it in its block if there are pointers in it. Large objects are scanned in
 * pieces: each piece first notes the next one, so that none takes long and others may take the rest.
 *
 * Each pointer is read once, by an acquire that pairs with the release of arena_gc_store(): what it leads to is zeroed and has its
 * bit of allocation. The object may change under our eyes: what a mutator overwrites before we have read it, its barrier has noted.
 *
 * When there is no memory for a block an object stays marked and not scanned, and is_short is set: then all marked objects of the heap are
 * scanned anew, which needs no memory.
 */
#include "gc_mark.h"

#include "gc_roots.h"
#include "gc_threads.h"

/* Pieces that a large object is scanned in, so that others may take a part of it, and none takes long. As Go. */
#define PIECE_BYTES (128 * KiB)

/* ---------------------------------------------------------------- marking */

static void note(struct gc_marker *marker, uintptr_t object)
{
	struct gc_block *block = marker->block;

	if (unlikely(!block || block->nr == GC_BLOCK_ENTRIES)) {
		if (block)
			gc_queue_push(&marker->gc->queue, block);
		block = marker->block = gc_queue_get(&marker->gc->queue);
		if (!block) {
			atomic_store_release(&marker->gc->queue.is_short, 1u); /* pairs with the swap in gc_mark_drain() */
			return;
		}
		block->is_raw = false;
	}
	block->entries[block->nr++] = object;
}

static const struct gc_kind *kind_of(const struct arena_gc *gc, const struct gc_span *span)
{
	return &gc->types.kinds[span->kind];
}

void gc_mark_address(struct gc_marker *marker, uintptr_t address)
{
	struct arena_gc *gc = marker->gc;
	struct gc_ref ref;

	if (!gc_find(&gc->space, address, &ref) || !gc_is_object(&ref) || !gc_set_mark(&ref))
		return;
	marker->nr_marked++;
	marker->marked_bytes += gc_object_bytes(ref.span);
	if (kind_of(gc, ref.span)->scan != GC_SCAN_NONE)
		note(marker, gc_object_base(&gc->space, &ref));
}

static void mark_word(void *context, uintptr_t word)
{
	gc_mark_address(context, word);
}

/* ---------------------------------------------------------------- scanning */

void arena_gc_visit(struct arena_gc_visitor *visitor, const void *pointer)
{
	visitor->visit(visitor->context, (uintptr_t)pointer);
}

void gc_scan_element(const struct arena_gc_type *type, uintptr_t at, struct arena_gc_visitor *visitor)
{
	switch (type->scan) {
	case GC_SCAN_POINTERS:
		for (uint32_t i = 0; i < type->nr_offsets; i++)
			visitor->visit(visitor->context, atomic_load_acquire((const uintptr_t *)(at + type->offsets[i])));
		break;
	case GC_SCAN_ALL:
		visitor->visit(visitor->context, atomic_load_acquire((const uintptr_t *)at));
		break;
	case GC_SCAN_FUNCTION:
		type->function((const void *)at, type->bytes, visitor);
		break;
	case GC_SCAN_NONE:
		break;
	}
}

uintptr_t gc_scan_object(const struct arena_gc *gc, const struct gc_ref *ref, uintptr_t at, struct arena_gc_visitor *visitor)
{
	const struct arena_gc_type *type = kind_of(gc, ref->span)->type;
	uintptr_t limit = gc_object_base(&gc->space, ref) + gc_object_bytes(ref->span), piece = limit;
	size_t nr = size_max(PIECE_BYTES / type->bytes, 1);

	if ((limit - at) / type->bytes > nr)
		piece = at + nr * type->bytes;
	for (; piece - at >= type->bytes; at += type->bytes)
		gc_scan_element(type, at, visitor);
	return piece == limit ? 0 : piece;
}

static void scan(struct gc_marker *marker, uintptr_t at)
{
	struct arena_gc_visitor visitor = { .visit = mark_word, .context = marker };
	struct gc_ref ref;
	uintptr_t next;

	if (!gc_find(&marker->gc->space, at, &ref))
		return;
	next = gc_scan_object(marker->gc, &ref, at, &visitor);
	if (next)
		note(marker, next);
}

/* ---------------------------------------------------------------- draining */

static void take_raw(struct gc_marker *marker, const struct gc_block *block)
{
	for (uint32_t i = 0; i < block->nr; i++)
		gc_mark_address(marker, block->entries[i]);
}

/* A block of somebody's; false when there is none. */
static bool take_block(struct gc_marker *marker)
{
	struct gc_queue *queue = &marker->gc->queue;
	struct gc_block *block = gc_queue_pop(queue);

	if (!block)
		return false;
	if (block->is_raw) {
		take_raw(marker, block);
		gc_queue_put(queue, block);
		return true;
	}
	if (marker->block)
		gc_queue_put(queue, marker->block);
	marker->block = block;
	return true;
}

static void drain_blocks(struct gc_marker *marker)
{
	do {
		while (marker->block && marker->block->nr)
			scan(marker, marker->block->entries[--marker->block->nr]);
	} while (take_block(marker));
}

/* All of it, whatever its length. */
static void scan_whole(struct gc_marker *marker, const struct gc_ref *ref)
{
	struct arena_gc_visitor visitor = { .visit = mark_word, .context = marker };
	uintptr_t at = gc_object_base(&marker->gc->space, ref);

	while (at)
		at = gc_scan_object(marker->gc, ref, at, &visitor);
}

static void scan_marked(struct gc_marker *marker, struct gc_span *span)
{
	if (kind_of(marker->gc, span)->scan == GC_SCAN_NONE)
		return;
	for (uint32_t slot = 0; slot < span->nr_slots; slot++) {
		struct gc_ref ref = { span, slot };

		if (gc_is_marked(&ref) && gc_is_object(&ref))
			scan_whole(marker, &ref);
	}
}

/* Call @function for each span that is in the map. Spans that come meanwhile may be missing: their objects are black, and hold what is shaded. */
static void each_span(struct gc_marker *marker, void (*function)(struct gc_marker *marker, struct gc_span *span))
{
	struct gc_space *space = &marker->gc->space;
	uint32_t limit = (uint32_t)(atomic_load_acquire(&space->open_bytes) >> PAGE_SHIFT); /* pairs with open_tables() */

	for (uint32_t page = 0; page < limit; page++)
		/* Pairs with gc_space_publish(). */
		if (atomic_load_acquire(&space->map[page]) == page + 1)
			function(marker, &space->spans[page]);
}

void gc_mark_drain(struct gc_marker *marker)
{
	drain_blocks(marker);
	/* The swap pairs with the releases that set it: what was marked before is seen. */
	while (atomic_swap_acquire(&marker->gc->queue.is_short, 0u)) {
		each_span(marker, scan_marked);
		drain_blocks(marker);
	}
}

void gc_mark_finish(struct gc_marker *marker)
{
	if (marker->block)
		gc_queue_put(&marker->gc->queue, marker->block);
	marker->block = NULL;
}

/* ---------------------------------------------------------------- roots */

static void mark_pinned(struct gc_marker *marker, struct gc_span *span)
{
	if (!atomic_load_relaxed(&span->has_pinned))
		return;
	for (uint32_t slot = 0; slot < span->nr_slots; slot++) {
		struct gc_ref ref = { span, slot };

		if (atomic_load_relaxed(&span->pinned[slot / 64]) & gc_bit(slot))
			gc_mark_address(marker, gc_object_base(&marker->gc->space, &ref));
	}
}

uint64_t gc_mark_roots(struct gc_marker *marker)
{
	if (atomic_load_relaxed(&marker->gc->nr_pinned))
		each_span(marker, mark_pinned);
	return gc_roots_each(&marker->gc->roots, mark_word, marker);
}

uint64_t gc_mark_stacks(struct gc_marker *marker)
{
	uint64_t bytes = 0;

	for (struct gc_mutator *mutator = gc_threads_first(marker->gc); mutator; mutator = mutator->next) {
		for (size_t i = 0; i < mutator->stack.copy_words; i++)
			gc_mark_address(marker, mutator->stack.copy[i]);
		bytes += mutator->stack.copy_words * sizeof(uintptr_t);
		mutator->stack.copy_words = 0;
	}
	return bytes;
}
