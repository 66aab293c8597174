// SPDX-License-Identifier: MIT
/*
 * Where bins get spans from: what has free slots and is swept, what is to be swept, new pages, in this order.
 *
 * Which of them a black mutator blackens: those of the cycle's gen. When marking has ended lists have the next gen, and what is taken from there
 * on has no marks, which the next cycle relies on, whether the mutator has heard that marking is over or not. Its own older spans stay black, are
 * handed in with H4 and swept then.
 *
 * Between two answers to the collector nothing here waits for it, and no pointer to a new object is lost: what was allocated after the
 * stack was copied is black.
 */
#include "gc/alloc.h"

#include <limits.h>

#include "gc/ahead.h"
#include "gc/cycle.h"
#include "gc/delay.h"
#include "gc/sample.h"
#include "gc/sweep.h"

/* Slots up to here are cleared a word of them at a time, which is at most a page. */
#define CLEAR_TOGETHER_BYTES (PAGE_BYTES / 64)

/*
 * So many spans are swept together, and so often in vain, before new pages are taken: an allocation is not held up by what all is alive, which is most of the heap
 * just after a cycle. The collector finds what is free at the same time.
 */
#define SWEEP_SPANS 4
#define SWEEP_TRIES 2
/* Where no page is to be had, and all of a kind may have to be looked at. */
#define SWEEP_ALL_SPANS 16

/* ---------------------------------------------------------------- black */

static bool is_blackening(const struct gc_mutator *mutator, const struct gc_kind *kind)
{
	return mutator->is_black && kind->gen == mutator->gen;
}

static void blacken_span(struct gc_span *span)
{
	for (unsigned int w = 0; w < gc_nr_words(span); w++)
		if (span->free[w])
			atomic_or_relaxed(&span->mark[w], span->free[w]);
}

/* Whose mutator is not black yet must not get objects that are: it stores into them without a barrier. */
static void whiten_span(struct gc_span *span)
{
	for (unsigned int w = 0; w < gc_nr_words(span); w++)
		if (atomic_load_relaxed(&span->mark[w]) & span->free[w])
			atomic_and_relaxed(&span->mark[w], ~span->free[w]);
}

void gc_alloc_blacken(struct gc_mutator *mutator)
{
	uint32_t nr = gc_kinds(&mutator->gc->types);

	mutator->is_black = gc_does(GC_STEP_BLACK);
	for (uint32_t i = 1; i < nr; i++)
		if (mutator->is_black && mutator->bins[i].current)
			blacken_span(gc_span_at(&mutator->gc->space, mutator->bins[i].current));
}

/* ---------------------------------------------------------------- handing in */

/* Full ones; gen of the kind: swept. */
static void hand_in_used(struct gc_space *space, struct gc_kind *kind, struct gc_bin *bin)
{
	gc_list_splice(space, bin->used_gen == kind->gen ? &kind->full : &kind->unswept, &bin->used);
}

static void hand_in_current(struct gc_space *space, struct gc_kind *kind, struct gc_bin *bin)
{
	struct gc_span *span = gc_span_at(space, bin->current);
	bool is_swept = span->gen == kind->gen;

	bin->current = GC_NONE;
	bin->free = 0;
	bin->home = NULL;
	if (is_swept)
		whiten_span(span);
	if (!is_swept)
		gc_list_push(space, &kind->unswept, span);
	else
		gc_list_push(space, gc_has_free(span) ? &kind->partial : &kind->full, span);
}

/* @all: also what is swept. */
static void hand_in(struct gc_mutator *mutator, bool all)
{
	struct gc_space *space = &mutator->gc->space;
	uint32_t nr = gc_kinds(&mutator->gc->types);

	for (uint32_t i = 1; i < nr; i++) {
		struct gc_kind *kind = &mutator->gc->types.kinds[i];
		struct gc_bin *bin = &mutator->bins[i];

		if (!bin->current && !bin->used.first)
			continue;
		gc_delay();
		lock_acquire(&kind->lock);
		hand_in_used(space, kind, bin);
		if (bin->current && (all || gc_span_at(space, bin->current)->gen != kind->gen))
			hand_in_current(space, kind, bin);
		lock_release(&kind->lock);
	}
}

void gc_alloc_seal(struct gc_mutator *mutator)
{
	mutator->is_black = false;
	if (gc_does(GC_STEP_SEAL))
		hand_in(mutator, false);
	/* It may wait for long now, and others be refused what it has at hand. */
	gc_pages_flush(&mutator->gc->space, &mutator->pages);
}

void gc_alloc_leave(struct gc_mutator *mutator)
{
	hand_in(mutator, true);
	gc_pages_flush(&mutator->gc->space, &mutator->pages);
}

/* The current span has no free slot. Chains are of one gen, so that they can be handed in as a whole. */
static void leave_current(struct gc_mutator *mutator, struct gc_kind *kind, struct gc_bin *bin)
{
	struct gc_space *space = &mutator->gc->space;
	struct gc_span *span = gc_span_at(space, bin->current);

	bin->current = GC_NONE;
	if (bin->used.first && bin->used_gen != span->gen) {
		lock_acquire(&kind->lock);
		hand_in_used(space, kind, bin);
		lock_release(&kind->lock);
	}
	bin->used_gen = span->gen;
	gc_list_push(space, &bin->used, span);
}

/* ---------------------------------------------------------------- taking */

uint32_t gc_wish(struct arena_gc *gc, bool is_next)
{
	uint32_t number;

	lock_acquire(&gc->lock);
	atomic_store_relaxed(&gc->is_wished, true);
	number = atomic_load_relaxed(&gc->done) + 1 + (gc->is_running && is_next);
	if ((int32_t)(number - gc->wanted) > 0) {
		gc->wanted = number;
		atomic_add_seq_cst(&gc->kicks, 1u);
		os_futex_wake_all(&gc->kicks);
	}
	lock_release(&gc->lock);
	if (unlikely(!atomic_load_relaxed(&gc->has_collector)))
		gc_cycle_start(gc);
	return number;
}

static unsigned int count_free(const struct gc_span *span)
{
	unsigned int nr = 0;

	for (unsigned int w = 0; w < gc_nr_words(span); w++)
		nr += (unsigned int)__builtin_popcountll(span->free[w]);
	return nr;
}

/* The trigger is looked at here, where it costs nothing to speak of. */
static void count(struct gc_mutator *mutator, size_t bytes)
{
	struct arena_gc *gc = mutator->gc;
	uint64_t now = atomic_add_relaxed(&gc->allocated_bytes, bytes) + bytes;

	mutator->taken_bytes += bytes;
	if (unlikely(now >= atomic_load_relaxed(&gc->drive.trigger_bytes)) && !atomic_load_relaxed(&gc->is_wished))
		gc_wish(gc, false);
}

/* The span is the mutator's from now on. */
static void adopt_locked(struct gc_mutator *mutator, const struct gc_kind *kind, struct gc_span *span)
{
	span->gen = kind->gen;
	if (is_blackening(mutator, kind))
		blacken_span(span);
}

/* A swept span with free slots; else up to @most that are to be swept. What was swept before is put back first. */
static struct gc_span *take_or_batch(struct gc_mutator *mutator, struct gc_kind *kind, struct gc_batch *batch, unsigned int most)
{
	struct gc_space *space = &mutator->gc->space;
	struct gc_span *span;

	lock_acquire(&kind->lock);
	gc_batch_put_locked(space, kind, batch);
	span = gc_list_pop(space, &kind->partial);
	if (span)
		adopt_locked(mutator, kind, span);
	else
		gc_batch_take_locked(space, kind, batch, most);
	lock_release(&kind->lock);
	return span;
}

static struct gc_span *take_swept(struct gc_mutator *mutator, struct gc_kind *kind, unsigned int nr_spans, unsigned int tries)
{
	struct gc_batch batch = { 0 };
	struct gc_span *span;

	while (!(span = take_or_batch(mutator, kind, &batch, tries ? nr_spans : 0)) && gc_batch_sweep(mutator->gc, &batch, NULL))
		tries--;
	gc_batch_count(mutator->gc, &batch);
	return span;
}

static void start_span(struct gc_span *span, uint32_t number, const struct gc_kind *kind)
{
	span->kind = number;
	span->has_pointers = kind->scan != GC_SCAN_NONE;
	span->slot_bytes = kind->slot_bytes;
	span->inverse = kind->slot_bytes ? gc_inverse(kind->slot_bytes) : 0;
	span->nr_slots = kind->nr_slots;
	for (unsigned int w = 0; w < gc_nr_words(span); w++)
		span->free[w] = gc_valid(span, w);
}

static struct gc_span *take_new(struct gc_mutator *mutator, uint32_t number)
{
	struct arena_gc *gc = mutator->gc;
	struct gc_kind *kind = &gc->types.kinds[number];
	struct gc_span *span = gc_keep_out(mutator) ? NULL : gc_space_take(&gc->space, &mutator->pages, size_classes[kind->class].pages);

	if (unlikely(gc_ahead_is_due(gc)))
		gc_ahead_wish(gc);
	if (!span)
		return NULL;
	start_span(span, number, kind);
	lock_acquire(&kind->lock);
	adopt_locked(mutator, kind, span);
	gc_space_publish(&gc->space, span);
	lock_release(&kind->lock);
	return span;
}

static struct gc_span *take(struct gc_mutator *mutator, uint32_t number)
{
	struct gc_kind *kind = &mutator->gc->types.kinds[number];
	struct gc_span *span;

	/* Who is kept out leaves what there is to be found, slots as well as pages, to the thread whose turn it is. */
	if (gc_keep_out(mutator))
		return NULL;
	span = take_swept(mutator, kind, SWEEP_SPANS, SWEEP_TRIES);
	if (!span)
		span = take_new(mutator, number);
	if (unlikely(!span) && !gc_keep_out(mutator))
		span = take_swept(mutator, kind, SWEEP_ALL_SPANS, UINT_MAX);
	if (span)
		count(mutator, (size_t)count_free(span) * span->slot_bytes);
	return span;
}

/* Slots that are cleared together, when there is nothing else in between. */
static void clear_word(const struct gc_bin *bin)
{
	uint64_t word = bin->free;

	while (word) {
		unsigned int first = (unsigned int)word_lowest(word), nr = ones_low(word >> first);

		memset((void *)(bin->base + first * bin->slot_bytes), 0, (size_t)nr * bin->slot_bytes);
		word &= ~(bits_below(nr) << first);
	}
}

/* Sampling has taken away a word with objects left, to meet each of them (gc/sample.h): what is free of it was cleared when it came. */
static bool is_back_at(const struct gc_bin *bin, const uint64_t *word)
{
	return bin->ahead && bin->home == word;
}

/* The next word of the current span that has a free slot. */
static bool next_word(struct gc_mutator *mutator, struct gc_bin *bin)
{
	struct gc_space *space = &mutator->gc->space;
	struct gc_span *span = gc_span_at(space, bin->current);

	for (unsigned int w = 0; w < gc_nr_words(span); w++)
		if (span->free[w]) {
			bool is_clear = span->is_fresh || is_back_at(bin, &span->free[w]);

			bin->home = &span->free[w];
			bin->free = span->free[w];
			bin->base = gc_span_base(space, span) + w * 64 * (uintptr_t)span->slot_bytes;
			bin->is_clear = span->is_fresh || span->slot_bytes <= CLEAR_TOGETHER_BYTES;
			if (!is_clear && bin->is_clear)
				clear_word(bin);
			return true;
		}
	return false;
}

bool gc_bin_refill(struct gc_mutator *mutator, uint32_t number)
{
	struct gc_bin *bin = &mutator->bins[number];
	struct gc_span *span;

	if (bin->current && next_word(mutator, bin))
		return true;
	if (bin->current)
		leave_current(mutator, &mutator->gc->types.kinds[number], bin);
	span = take(mutator, number);
	if (!span)
		return false;
	bin->current = gc_entry(&mutator->gc->space, span);
	bin->slot_bytes = span->slot_bytes;
	return next_word(mutator, bin);
}

/* ---------------------------------------------------------------- large objects */

static void add_large(struct gc_mutator *mutator, struct gc_kind *kind, struct gc_span *span)
{
	struct gc_space *space = &mutator->gc->space;

	lock_acquire(&kind->lock);
	adopt_locked(mutator, kind, span);
	/* From now on it is an object: the release pairs with gc_is_object(). */
	atomic_store_release(&span->free[0], 0u);
	gc_space_publish(space, span);
	gc_list_push(space, &kind->full, span);
	lock_release(&kind->lock);
}

void *gc_alloc_large(struct gc_mutator *mutator, uint32_t number, size_t bytes)
{
	struct arena_gc *gc = mutator->gc;
	struct gc_span *span;
	void *object;

	if (bytes > gc->space.max_pages * PAGE_BYTES)
		return NULL;
	span = gc_keep_out(mutator) ? NULL : gc_space_take(&gc->space, NULL, (uint32_t)pages_from_bytes(bytes));
	if (!span)
		return NULL;
	object = (void *)gc_span_base(&gc->space, span);
	start_span(span, number, &gc->types.kinds[number]);
	if (!span->is_fresh)
		memset(object, 0, span->pages * PAGE_BYTES);
	gc_sample_large(gc, span);
	add_large(mutator, &gc->types.kinds[number], span);
	count(mutator, span->pages * PAGE_BYTES);
	return object;
}
