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
 *
 * A marker that has more to itself than it needs shares it with those who wait: where the graph is narrow, one has all of it otherwise.
 */
#include "gc/mark.h"

#include <string.h>

#include "gc/cleanup.h"
#include "gc/ephemeron.h"
#include "gc/coroutine.h"
#include "gc/roots.h"
#include "gc/threads.h"

/* Fewer are scanned as soon as they are shared. */
#define SHARE_LEAST 8u
/* Objects between two looks at whether others have nothing: more than GC_AHEAD. */
#define AT_ONCE 32u
/* Objects of a span that are scanned together, in the mean: to fetch a page takes as long as to scan some. */
#define DENSE_LEAST 4u
/* What memory comes in. */
#define LINE_BYTES 64u

/* ---------------------------------------------------------------- marking */

/*
 * The marker's block while objects are scanned: its number of entries is in a register then, because each step waits for the one before. Who calls
 * what works with the block itself puts it down first, and takes it up again.
 */
struct hand {
	struct gc_block *block;	/* or NULL */
	uint32_t nr, limit;	/* of entries: there are, and go in */
};

static inline struct hand take_up(const struct gc_marker *marker)
{
	struct gc_block *block = marker->block;

	return block ? (struct hand){ block, block->nr, GC_BLOCK_ENTRIES } : (struct hand){ 0 };
}

static inline void put_down(struct hand hand)
{
	if (hand.block)
		hand.block->nr = hand.nr;
}

static void note(struct gc_marker *marker, uintptr_t object)
{
	struct gc_block *block = marker->block;

	if (unlikely(!block || block->nr == GC_BLOCK_ENTRIES)) {
		if (block)
			gc_queue_push(&marker->gc->queue, block);
		block = marker->block = gc_queue_get(&marker->gc->queue);
		if (!block) {
			atomic_store_release(&marker->gc->queue.is_short, 1u); /* pairs with the swap in drain() */
			return;
		}
		block->is_raw = false;
	}
	block->entries[block->nr++] = object;
}

/* Into another block than the one at hand. */
__attribute__((noinline)) static struct hand note_in_next(struct gc_marker *marker, struct hand hand, uintptr_t object)
{
	put_down(hand);
	note(marker, object);
	return take_up(marker);
}

static const struct gc_kind *kind_of(const struct arena_gc *gc, const struct gc_span *span)
{
	return &gc->types.kinds[span->kind];
}

__attribute__((noinline)) static struct hand reach(struct gc_marker *marker, struct hand hand, uintptr_t object)
{
	put_down(hand);
	gc_ephemerons_reach(marker, object);
	return take_up(marker);
}

/* The collector's innermost loop: for each pointer that it meets. */
__attribute__((always_inline)) static inline void mark(struct gc_marker *marker, struct hand *hand, uintptr_t address)
{
	const struct gc_space *space = &marker->gc->space;
	struct gc_ref ref;

	if (!gc_find(space, address, &ref) || !gc_mark_object(&ref))
		return;
	marker->nr_marked++;
	marker->marked_bytes += gc_object_bytes(ref.span);
	if (ref.span->has_pointers) {
		if (likely(hand->nr < hand->limit))
			hand->block->entries[hand->nr++] = gc_object_base(space, &ref);
		else
			*hand = note_in_next(marker, *hand, gc_object_base(space, &ref));
	}
	if (unlikely(atomic_load_relaxed(&ref.span->has_keys)))
		*hand = reach(marker, *hand, gc_object_base(space, &ref));
}

void gc_mark_address(struct gc_marker *marker, uintptr_t address)
{
	struct hand hand = take_up(marker);

	mark(marker, &hand, address);
	put_down(hand);
}

void gc_mark_again(struct gc_marker *marker, uintptr_t object)
{
	note(marker, object);
}

static void mark_word(void *context, uintptr_t word)
{
	gc_mark_address(context, word);
}

static void meet_ephemeron(void *context, uintptr_t object)
{
	gc_ephemeron_meet(context, (struct arena_gc_ephemeron *)object);
}

/* ---------------------------------------------------------------- scanning */

void arena_gc_visit(struct arena_gc_visitor *visitor, const void *pointer)
{
	visitor->visit(visitor->context, (uintptr_t)pointer);
}

static void scan_ephemeron(uintptr_t object, struct arena_gc_visitor *visitor)
{
	const struct arena_gc_ephemeron *ephemeron = (const struct arena_gc_ephemeron *)object;

	if (visitor->ephemeron)
		visitor->ephemeron(visitor->context, object);
	else if (atomic_load_relaxed(&ephemeron->key))
		visitor->visit(visitor->context, (uintptr_t)atomic_load_acquire(&ephemeron->value));
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
	case GC_SCAN_EPHEMERON:
		scan_ephemeron(at, visitor);
		break;
	case GC_SCAN_NONE:
		break;
	}
}

uintptr_t gc_scan_object(const struct arena_gc *gc, const struct gc_ref *ref, uintptr_t at, uint64_t piece_bytes, struct arena_gc_visitor *visitor)
{
	const struct arena_gc_type *type = kind_of(gc, ref->span)->type;
	uintptr_t limit = gc_object_base(&gc->space, ref) + gc_object_bytes(ref->span), piece = limit;
	size_t nr = size_max(piece_bytes / type->bytes, 1);

	if ((limit - at) / type->bytes > nr)
		piece = at + nr * type->bytes;
	for (; piece - at >= type->bytes; at += type->bytes)
		gc_scan_element(type, at, visitor);
	return piece == limit ? 0 : piece;
}

/* Part of an object, or one of which more is to be known than where its pointers are. */
__attribute__((noinline)) static void scan_piece(struct gc_marker *marker, uintptr_t at, uint64_t piece_bytes)
{
	struct arena_gc_visitor visitor = { .visit = mark_word, .ephemeron = meet_ephemeron, .context = marker };
	struct gc_ref ref;
	uintptr_t next;

	if (!gc_find(&marker->gc->space, at, &ref))
		return;
	next = gc_scan_object(marker->gc, &ref, at, piece_bytes, &visitor);
	marker->work += (next ? next : gc_object_base(&marker->gc->space, &ref) + gc_object_bytes(ref.span)) - at;
	if (next)
		note(marker, next);
}

__attribute__((noinline)) static struct hand scan_other(struct gc_marker *marker, struct hand hand, uintptr_t object, uint64_t piece_bytes)
{
	put_down(hand);
	scan_piece(marker, object, piece_bytes);
	return take_up(marker);
}

/* Whether an address is in the page of an object. */
static inline unsigned int is_beside(uintptr_t address, uintptr_t object)
{
	return (address ^ object) < PAGE_BYTES;
}

/* How many pointers lead to where it is itself. */
__attribute__((always_inline)) static inline unsigned int scan(struct gc_marker *marker, struct hand *hand, uintptr_t object, uint64_t limit)
{
	const struct gc_span *span = gc_span_of(&marker->gc->space, object);
	uint64_t words = kind_of(marker->gc, span)->words;
	unsigned int nr = 0;

	if (unlikely(!words)) {
		*hand = scan_other(marker, *hand, object, size_min(limit - marker->work, GC_PIECE_BYTES));
		return 0;
	}
	for (; words; words &= words - 1) {
		uintptr_t address = atomic_load_acquire((const uintptr_t *)object + word_lowest(words));

		nr += is_beside(address, object);
		mark(marker, hand, address);
	}
	marker->work += span->slot_bytes;
	return nr;
}

/* ---------------------------------------------------------------- scanning objects of a span together */

/* Far addresses are marked when there is no room for another word of slots. */
#define FAR_ENTRIES 128u

/* A span's slots, a bit each. */
typedef uint64_t slots_t __attribute__((vector_size(16)));
typedef uint64_t loose_slots_t __attribute__((vector_size(16), aligned(1), may_alias));
_Static_assert(GC_WORDS * sizeof(uint64_t) == 2 * sizeof(slots_t) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "slots are two vectors, bytes in order");

/*
 * A span whose objects are scanned. What they lead to in the span itself is near: it is found in bits, scanned too, and marked when all of it is, a word of
 * slots at once. What is elsewhere is far, and marked like any other.
 */
struct near {
	uintptr_t base;		/* of the span */
	uint64_t bytes, slot_bytes, inverse;
	uint64_t words;		/* as in the kind */
	union {
		uint64_t found[GC_WORDS];
		slots_t halves[2];
	};
	uint64_t before[GC_WORDS]; /* slots that are free, or were marked when it began */
	uint64_t done[GC_WORDS]; /* these, and what has been scanned */
	unsigned int nr_words;	/* of slots */
	uint32_t nr_far;
	uintptr_t far[FAR_ENTRIES];
};

/*
 * The bit of a slot, out of a table: with a shift it would have to be put into memory, by an index, where each step waits for the one before. Row r has bit r of its
 * byte 31 set, and no other; 32 bytes from 31 - s / 8 on of row s % 8 are bit s.
 */
static inline const loose_slots_t *bit_of(uint32_t slot)
{
	static const uint8_t rows[8][64] __attribute__((aligned(64))) = {
		{ [31] = 1 << 0 }, { [31] = 1 << 1 }, { [31] = 1 << 2 }, { [31] = 1 << 3 },
		{ [31] = 1 << 4 }, { [31] = 1 << 5 }, { [31] = 1 << 6 }, { [31] = 1 << 7 },
	};

	return (const loose_slots_t *)&rows[slot % 8][31 - slot / 8];
}

__attribute__((noinline)) static struct hand mark_far(struct gc_marker *marker, struct hand hand, struct near *near)
{
	for (uint32_t i = 0; i < near->nr_far; i++)
		mark(marker, &hand, near->far[i]);
	near->nr_far = 0;
	return hand;
}

/* One word of each of these slots, the first of which is at @at. */
__attribute__((always_inline)) static inline void scan_word(struct near *near, uintptr_t at, uint64_t slots)
{
	uint64_t base = near->base, bytes = near->bytes, slot_bytes = near->slot_bytes, inverse = near->inverse;
	slots_t low = near->halves[0], high = near->halves[1];
	uint32_t nr_far = near->nr_far;

	for (; slots; slots &= slots - 1) {
		uintptr_t address = atomic_load_acquire((const uintptr_t *)(at + word_lowest(slots) * slot_bytes));

		if (address - base < bytes) {
			const loose_slots_t *bit = bit_of((uint32_t)((address - base) * inverse >> 32));

			low |= bit[0];
			high |= bit[1];
		} else if (address) {
			near->far[nr_far++] = address;
		}
	}
	near->halves[0] = low;
	near->halves[1] = high;
	near->nr_far = nr_far;
}

/* Word by word, so that the loop is short. */
__attribute__((always_inline)) static inline struct hand scan_slots(struct gc_marker *marker, struct hand hand, struct near *near, unsigned int w, uint64_t slots)
{
	uintptr_t at = near->base + w * 64 * near->slot_bytes;

	for (uint64_t words = near->words; words; words &= words - 1) {
		scan_word(near, at + word_lowest(words) * sizeof(uintptr_t), slots);
		if (unlikely(near->nr_far > FAR_ENTRIES - 64))
			hand = mark_far(marker, hand, near);
	}
	return hand;
}

/* Until nothing is found that was not there before. Downwards: children are made before their parents as a rule, and lie below them. */
__attribute__((noinline)) static struct hand scan_found(struct gc_marker *marker, struct hand hand, struct near *near)
{
	uint64_t any;

	do {
		any = 0;
		for (unsigned int w = near->nr_words; w-- > 0;) {
			uint64_t slots = near->found[w] & ~near->done[w];

			any |= slots;
			near->done[w] |= slots;
			if (slots)
				hand = scan_slots(marker, hand, near, w, slots);
		}
	} while (any);
	return mark_far(marker, hand, near);
}

static struct hand reach_all(struct gc_marker *marker, struct hand hand, struct gc_span *span, unsigned int w, uint64_t slots)
{
	for (; slots; slots &= slots - 1) {
		struct gc_ref ref = { span, w * 64 + (uint32_t)word_lowest(slots) };

		hand = reach(marker, hand, gc_object_base(&marker->gc->space, &ref));
	}
	return hand;
}

/* What has been scanned. Others may have done so as well meanwhile; who marks counts. */
static struct hand mark_slots(struct gc_marker *marker, struct hand hand, struct gc_span *span, unsigned int w, uint64_t slots)
{
	uint64_t fresh = slots & ~atomic_or_relaxed(&span->mark[w], slots);
	unsigned int nr = (unsigned int)__builtin_popcountll(fresh);

	marker->nr_marked += nr;
	marker->marked_bytes += nr * span->slot_bytes;
	if (unlikely(atomic_load_relaxed(&span->has_keys)))
		hand = reach_all(marker, hand, span, w, fresh);
	return hand;
}

/*
 * A slot that is free by now is passed by even if an address of an object in it is met later. Who takes it marks it first: nobody scans before all mutators
 * have answered GC_REQUEST_BLACK.
 */
static void begin_near(struct near *near, const struct gc_space *space, const struct gc_span *span, uint64_t words)
{
	near->base = gc_span_base(space, span);
	near->bytes = span->pages * PAGE_BYTES;
	near->slot_bytes = span->slot_bytes;
	near->inverse = span->inverse;
	near->words = words;
	near->halves[0] = near->halves[1] = (slots_t){ 0 };
	near->nr_words = gc_nr_words(span);
	near->nr_far = 0;
	for (unsigned int w = 0; w < near->nr_words; w++) {
		near->before[w] = ~gc_valid(span, w) | atomic_load_acquire(&span->free[w]); /* as in gc_is_object() */
		near->done[w] = near->before[w] |= atomic_load_relaxed(&span->mark[w]);
	}
}

/* The first one, which is marked. */
static void find_first(struct near *near, uintptr_t object)
{
	uint32_t slot = (uint32_t)((object - near->base) * near->inverse >> 32);

	near->found[slot / 64] = gc_bit(slot);
	near->done[slot / 64] &= ~gc_bit(slot);
}

/* All but the first; adds up how many. */
static struct hand mark_scanned(struct gc_marker *marker, struct hand hand, struct gc_span *span, const struct near *near, unsigned int *nr)
{
	for (unsigned int w = 0; w < near->nr_words; w++) {
		uint64_t slots = near->done[w] & ~near->before[w];

		if (!slots)
			continue;
		*nr += (unsigned int)__builtin_popcountll(slots);
		hand = mark_slots(marker, hand, span, w, slots);
	}
	return hand;
}

/* An object that is marked, and all that it leads to by way of its span: how many objects. */
__attribute__((always_inline)) static inline unsigned int scan_span(struct gc_marker *marker, struct hand *hand, uintptr_t object, uint64_t limit)
{
	struct gc_span *span = gc_span_of(&marker->gc->space, object);
	uint64_t words = kind_of(marker->gc, span)->words;
	struct near near;
	unsigned int nr = 1;

	if (unlikely(!words)) {
		*hand = scan_other(marker, *hand, object, size_min(limit - marker->work, GC_PIECE_BYTES));
		return nr;
	}
	begin_near(&near, &marker->gc->space, span, words);
	find_first(&near, object);
	*hand = scan_found(marker, *hand, &near);
	*hand = mark_scanned(marker, *hand, span, &near, &nr);
	marker->work += nr * near.slot_bytes;
	return nr;
}

/* ---------------------------------------------------------------- draining */

/* @object sets out on its way into the cache; the one that did so GC_AHEAD calls ago has arrived. 0: there was none. */
static inline uintptr_t fetch(struct gc_marker *marker, uintptr_t object)
{
	uintptr_t *place = &marker->ahead[marker->turn++ % GC_AHEAD], arrived = *place;

	__builtin_prefetch((const void *)object);
	*place = object;
	return arrived;
}

/* The next of the objects at hand; 0: there is none. */
static inline uintptr_t next(struct hand *hand)
{
	return hand->nr ? hand->block->entries[--hand->nr] : 0;
}

/* One by one: how many. If pointers into the page that they are in are more than half as many, what comes next is scanned by spans. */
static unsigned int scan_each(struct gc_marker *marker, uint64_t limit)
{
	struct hand hand = take_up(marker);
	unsigned int nr = 0, nr_beside = 0;

	for (unsigned int i = 0; i < AT_ONCE && marker->work < limit; i++) {
		uintptr_t object = fetch(marker, next(&hand));

		if (likely(object)) {
			nr_beside += scan(marker, &hand, object, limit);
			nr++;
		}
	}
	put_down(hand);
	marker->is_dense = 2 * nr_beside > nr;
	return nr;
}

/* What lies below an object in its page comes, too. */
static inline void fetch_page(uintptr_t object)
{
	for (uintptr_t line = object & ~(PAGE_BYTES - 1); line < object; line += LINE_BYTES)
		__builtin_prefetch((const void *)line);
}

/* Each with all that it leads to in its span: how many times there was one. If that is little they are scanned one by one again. */
static unsigned int scan_dense(struct gc_marker *marker, uint64_t limit)
{
	struct hand hand = take_up(marker);
	unsigned int nr = 0, nr_scanned = 0;

	for (unsigned int i = 0; i < AT_ONCE && marker->work < limit; i++) {
		uintptr_t met = next(&hand), object = fetch(marker, met);

		fetch_page(met);
		if (likely(object)) {
			nr_scanned += scan_span(marker, &hand, object, limit);
			nr++;
		}
	}
	put_down(hand);
	marker->is_dense = nr_scanned > DENSE_LEAST * nr;
	return nr;
}

/* Objects that are at hand, until @limit or for a while; false when there are none. */
static bool scan_some(struct gc_marker *marker, uint64_t limit)
{
	return marker->is_dense ? scan_dense(marker, limit) : scan_each(marker, limit);
}

/* What mutators have met. */
static bool test_one(struct gc_marker *marker)
{
	if (!marker->raw || !marker->raw->nr)
		return false;
	gc_mark_address(marker, marker->raw->entries[--marker->raw->nr]);
	marker->work += GC_TEST_WORK;
	return true;
}

static void put(struct gc_queue *queue, struct gc_block **block)
{
	if (*block && (*block)->nr)
		gc_queue_push(queue, *block);
	else if (*block)
		gc_queue_put(queue, *block);
	*block = NULL;
}

/* A block of somebody's, in the place of one that is empty; false when there is none. */
static bool take_block(struct gc_marker *marker)
{
	struct gc_queue *queue = &marker->gc->queue;
	struct gc_block *block = gc_queue_pop(queue), **place;

	if (!block)
		return false;
	place = block->is_raw ? &marker->raw : &marker->block;
	put(queue, place);
	*place = block;
	return true;
}

/* Half of what is at hand, to who has nothing. */
static void share(struct gc_marker *marker)
{
	struct gc_block *own = marker->block, *half = gc_queue_get(&marker->gc->queue);

	if (!half)
		return;
	half->is_raw = false;
	half->nr = own->nr / 2;
	own->nr -= half->nr;
	memcpy(half->entries, own->entries + own->nr, half->nr * sizeof(half->entries[0]));
	gc_queue_push(&marker->gc->queue, half);
}

static bool should_share(const struct gc_marker *marker)
{
	return unlikely(atomic_load_relaxed(&marker->gc->queue.nr_hungry)) && marker->block && marker->block->nr >= SHARE_LEAST;
}

bool gc_mark_some(struct gc_marker *marker, uint64_t work)
{
	uint64_t limit = marker->work + work;

	while (marker->work < limit) {
		if (!scan_some(marker, limit) && !test_one(marker) && !take_block(marker))
			return false;
		if (should_share(marker))
			share(marker);
	}
	return true;
}

static void put_back_ahead(struct gc_marker *marker)
{
	for (unsigned int i = 0; i < GC_AHEAD; i++) {
		if (marker->ahead[i])
			note(marker, marker->ahead[i]);
		marker->ahead[i] = 0;
	}
}

/* Sums are complete when nobody is busy: the queue's lock orders them. */
void gc_mark_leave(struct gc_marker *marker)
{
	struct arena_gc *gc = marker->gc;

	put_back_ahead(marker);
	put(&gc->queue, &marker->block);
	put(&gc->queue, &marker->raw);
	atomic_add_relaxed(&gc->nr_marked, marker->nr_marked);
	atomic_add_relaxed(&gc->marked_bytes, marker->marked_bytes);
	marker->nr_marked = marker->marked_bytes = 0;
	gc_queue_leave(&gc->queue);
}

/* All of it, whatever its length. */
static void scan_whole(struct gc_marker *marker, const struct gc_ref *ref)
{
	struct arena_gc_visitor visitor = { .visit = mark_word, .ephemeron = meet_ephemeron, .context = marker };
	uintptr_t at = gc_object_base(&marker->gc->space, ref);

	while (at)
		at = gc_scan_object(marker->gc, ref, at, GC_PIECE_BYTES, &visitor);
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

void gc_mark_anew(struct gc_marker *marker)
{
	each_span(marker, scan_marked);
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
	gc_cleanups_each(marker->gc, mark_word, marker);
	return gc_annexes_scan(&marker->gc->annexes, mark_word, marker) + gc_roots_each(&marker->gc->roots, mark_word, marker);
}

uint64_t gc_mark_stacks(struct gc_marker *marker)
{
	uint64_t bytes = 0;

	for (struct gc_mutator *mutator = gc_threads_first(marker->gc); mutator; mutator = mutator->next) {
		for (size_t i = 0; i < mutator->stack.copy_words; i++)
			gc_mark_address(marker, gc_stack_held(&mutator->stack, i));
		bytes += mutator->stack.copy_words * sizeof(uintptr_t);
		/* Where all are stopped verification looks at them as well. */
		if (!marker->gc->stops_world)
			mutator->stack.copy_words = 0;
	}
	return bytes + gc_coroutines_mark(marker);
}
