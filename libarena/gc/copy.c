// SPDX-License-Identifier: MIT
/*
 * Many stores at once: elements of a type that are copied, moved and cleared.
 *
 * For a piece of some elements, what a store does for one pointer is done for all: what goes is shaded, and what comes while the stack is
 * not scanned; then the piece is written. Nothing is answered within a piece, hence not within an element; between two pieces there is a poll, so that
 * nobody waits for a large array. Which pointers there are the type says, as it does to those who mark.
 *
 * Words are written whole, so that nobody who loads a pointer meanwhile gets half of one. That also holds for a word that is none.
 */
#include <string.h>

#include "gc/barrier.h"
#include "gc/delay.h"
#include "gc/mark.h"
#include "gc/threads.h"

/* Some 10 us: what a poll may be late by. */
#define PIECE_BYTES (64 * KiB)

/* What is to be done; @from is 0 to clear. */
struct copy {
	struct gc_mutator *mutator;
	const struct arena_gc_type *type;
	uintptr_t to, from;
	size_t count;
};

/* ---------------------------------------------------------------- shading */

static void shade_old(void *mutator, uintptr_t word)
{
	gc_shade_old(mutator, word);
}

static void shade_new(void *mutator, uintptr_t word)
{
	gc_shade_new(mutator, word);
}

static void shade_elements(const struct copy *copy, size_t first, size_t nr)
{
	struct arena_gc_visitor old = { .visit = shade_old, .context = copy->mutator }, new = { .visit = shade_new, .context = copy->mutator };
	bool is_coming = copy->from && copy->mutator->barrier & GC_BARRIER_NEW;

	for (size_t i = first; copy->mutator->barrier && i < first + nr; i++) {
		gc_scan_element(copy->type, copy->to + i * copy->type->bytes, &old);
		if (is_coming)
			gc_scan_element(copy->type, copy->from + i * copy->type->bytes, &new);
	}
}

/* ---------------------------------------------------------------- writing */

static void write_word(uintptr_t to, uintptr_t from, size_t i)
{
	uintptr_t word = from ? atomic_load_relaxed((const uintptr_t *)from + i) : 0;

	/* The release pairs with arena_gc_load(), and with the acquire of those who mark. */
	atomic_store_release((uintptr_t *)to + i, word);
}

static void write_words(uintptr_t to, uintptr_t from, size_t nr, bool is_backward)
{
	for (size_t i = 0; i < nr; i++)
		write_word(to, from, is_backward ? nr - 1 - i : i);
}

/* What holds no pointers, or none that lie on words. */
static void write_bytes(uintptr_t to, uintptr_t from, size_t bytes)
{
	if (from)
		memmove((void *)to, (const void *)from, bytes);
	else
		memset((void *)to, 0, bytes);
}

static void write_elements(const struct copy *copy, size_t first, size_t nr, bool is_backward)
{
	size_t offset = first * copy->type->bytes, bytes = nr * copy->type->bytes;
	uintptr_t to = copy->to + offset, from = copy->from ? copy->from + offset : 0;

	if (copy->type->scan == GC_SCAN_NONE || (to | from | bytes) % sizeof(uintptr_t))
		write_bytes(to, from, bytes);
	else
		write_words(to, from, bytes / sizeof(uintptr_t), is_backward);
}

/* ---------------------------------------------------------------- pieces */

/* From the end when the source would else be overwritten before it is read. */
static void run(const struct copy *copy)
{
	bool is_backward = copy->from && copy->to - copy->from < copy->count * copy->type->bytes;
	size_t most = size_max(PIECE_BYTES / copy->type->bytes, 1);

	for (size_t done = 0; done < copy->count;) {
		size_t nr = size_min(most, copy->count - done), first = is_backward ? copy->count - done - nr : done;

		shade_elements(copy, first, nr);
		gc_delay();
		write_elements(copy, first, nr, is_backward);
		done += nr;
		if (done < copy->count)
			arena_gc_poll();
	}
	/* Addresses in the middle are computed, and might lead elsewhere in between. */
	arena_gc_keep_alive((const void *)copy->to);
	arena_gc_keep_alive((const void *)copy->from);
}

static struct copy prepare(struct arena_gc *gc, const struct arena_gc_type *type, void *to, const void *from, size_t count, const char *what)
{
	struct copy copy = {
		.mutator = gc_mutator_of(gc),
		.type = type ? type : gc->types.conservative,
		.to = (uintptr_t)to,
		.from = (uintptr_t)from,
		.count = count,
	};
	size_t bytes;

	if (!copy.mutator)
		panic("%s: the calling thread is not attached to this heap (arena_gc_attach())", what);
	if (copy.type->owner != &gc->types)
		panic("%s: the type is of another heap", what);
	if (__builtin_mul_overflow(copy.type->bytes, count, &bytes))
		panic("%s: more elements than fit into memory", what);
	return copy;
}

void arena_gc_copy(struct arena_gc *gc, const struct arena_gc_type *type, void *to, const void *from, size_t count)
{
	struct copy copy = prepare(gc, type, to, from, count, "arena_gc_copy()");
	size_t bytes = count * copy.type->bytes;

	if (copy.to - copy.from < bytes || copy.from - copy.to < bytes)
		panic("arena_gc_copy(): source and destination overlap (arena_gc_move())");
	run(&copy);
}

void arena_gc_move(struct arena_gc *gc, const struct arena_gc_type *type, void *to, const void *from, size_t count)
{
	struct copy copy = prepare(gc, type, to, from, count, "arena_gc_move()");

	if (to != from)
		run(&copy);
}

void arena_gc_clear(struct arena_gc *gc, const struct arena_gc_type *type, void *at, size_t count)
{
	struct copy copy = prepare(gc, type, at, NULL, count, "arena_gc_clear()");

	run(&copy);
}
