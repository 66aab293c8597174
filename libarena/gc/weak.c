// SPDX-License-Identifier: MIT
/*
 * Reading weak references, and clearing them.
 *
 *	mutator					collector
 *	target marked: that is the answer	word = count, OPEN
 *	count++, and see the state		a round of flushes, clean
 *	load the target again			CLOSED, if the word is still that: else another round
 *	OPEN: shade it, answer it		clear what leads to unmarked objects
 *	CLOSED: answer NULL			OPEN
 *
 * A read that counts before the collector looks at the word has its shade in this round; one that counts between makes it go on; one that counts later
 * knows that the target is dead. What is marked is answered without a word, else a busy reader could keep the collector from closing for ever; like
 * this each read that counts leaves an object to be marked.
 *
 * When the collector is done marks are taken away, span by span, before the last mutator has heard of it: then a read takes a live target for an
 * unmarked one, counts and shades in vain. Or it takes what was dead, and is swept already, for something that never was an object: so what
 * is not white is looked at twice.
 *
 * A reference that has died is taken off the heap's chain before it is swept. New ones are black from H1b on, and what they lead to is held by
 * who makes them: so neither is dead in the cycle they were made in.
 */
#include "gc/weak.h"

#include <errno.h>

#include "gc/barrier.h"
#include "gc/delay.h"
#include "gc/threads.h"

#define CLOSED ((uint64_t)1)
#define READ ((uint64_t)2) /* counts one */

int gc_weak_init(struct arena_gc *gc)
{
	static const struct arena_gc_layout layout = { .name = "weak reference", .bytes = sizeof(struct arena_gc_weak) };

	gc->weak.type = gc_type_create(&gc->types, &layout);
	return gc->weak.type ? 0 : -ENOMEM;
}

/* ---------------------------------------------------------------- reading */

void *gc_weak_resolve(struct gc_mutator *mutator, const void *location, const void *target)
{
	struct arena_gc *gc = mutator->gc;

	for (;; target = arena_gc_load(location)) {
		const void *again;
		uint64_t word;

		if (!target || !mutator->barrier)
			return (void *)(uintptr_t)target;
		if (!gc_is_white(gc, target)) {
			/* Marked; or it was dead, and is swept by now: then it is not led to any more. */
			if (arena_gc_load(location) == target)
				return (void *)(uintptr_t)target;
			continue;
		}
		/* Pairs with gc_weak_close(): the read is in the count, or its state is known. */
		word = atomic_add_seq_cst(&gc->weak.word, READ);
		again = arena_gc_load(location);
		if (!(word & CLOSED)) {
			if (gc_does(GC_STEP_WEAK))
				gc_shade_old(mutator, (uintptr_t)again);
			return (void *)(uintptr_t)again;
		}
		/* It was not marked then, and this thread has not answered since: it was dead when the collector closed. */
		if (!again || again == target)
			return NULL;
	}
}

void *gc_weak_read(struct gc_mutator *mutator, const void *location)
{
	const void *target = arena_gc_load(location);

	gc_delay();
	return gc_weak_resolve(mutator, location, target);
}

/* Whose heap has it. */
static struct gc_mutator *owner_of(const void *reference)
{
	struct gc_mutator *mutator = gc_own;
	struct gc_ref ref;

	while (mutator && !gc_find(&mutator->gc->space, (uintptr_t)reference, &ref))
		mutator = mutator->next_own;
	if (unlikely(!mutator))
		panic("a weak reference is read: %p is none, or the calling thread is not attached to its heap", reference);
	return mutator;
}

void *arena_gc_weak_read_(const void *location)
{
	return gc_weak_read(owner_of(location), location);
}

/* ---------------------------------------------------------------- making */

struct arena_gc_weak *arena_gc_weak_create(struct arena_gc *gc, const void *object)
{
	struct arena_gc_weak *weak = arena_gc_alloc(gc, gc->weak.type);

	if (!weak)
		return NULL;
	arena_gc_weak_set(weak, object);
	gc_chain_push(&gc->weak.all, &weak->link);
	return weak;
}

/* No barrier: nothing is kept by what goes, and what comes is held by the caller. */
void arena_gc_weak_set(struct arena_gc_weak *weak, const void *object)
{
	atomic_store_release(&weak->target, object); /* pairs with gc_weak_read() */
}

/* ---------------------------------------------------------------- the collector's side */

uint64_t gc_weak_word(const struct arena_gc *gc)
{
	return atomic_load_seq_cst(&gc->weak.word);
}

bool gc_weak_close(struct arena_gc *gc, uint64_t word)
{
	/* Pairs with gc_weak_read(). */
	return atomic_cas_seq_cst(&gc->weak.word, &word, word | CLOSED);
}

static struct arena_gc_weak *weak_of(struct link *link)
{
	return link_entry(link, struct arena_gc_weak, link);
}

static bool clear(void *context, struct link *link)
{
	const struct arena_gc *gc = context;
	struct arena_gc_weak *weak = weak_of(link);
	const void *target = atomic_load_relaxed(&weak->target);

	if (gc_is_white(gc, weak))
		return false;
	if (gc_is_white(gc, target) && gc_does(GC_STEP_CLEAR))
		gc_weak_forget(&weak->target, target);
	return true;
}

void gc_weak_clear(struct arena_gc *gc)
{
	gc_chain_sift(&gc->weak.all, clear, gc);
}

void gc_weak_open(struct arena_gc *gc)
{
	/* Later than what was cleared, for who reads OPEN: the release is in it. */
	atomic_and_seq_cst(&gc->weak.word, ~CLOSED);
}

void gc_weak_verify(const struct arena_gc *gc)
{
	for (struct link *link = gc_chain_first(&gc->weak.all); link; link = link->next)
		if (!gc_is_white(gc, weak_of(link)) && gc_is_white(gc, weak_of(link)->target))
			panic("gc verify: weak reference %p leads to %p, which is dead", (void *)weak_of(link), weak_of(link)->target);
}
