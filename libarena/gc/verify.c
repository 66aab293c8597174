// SPDX-License-Identifier: MIT
/*
 * Verification goes through all that is reachable a second time, with everything stopped, and trusts nothing that marking has done but its bits.
 *
 *	an object, a root or a handle leads to an object that is not marked	a store has missed its barrier, or the collector is wrong
 *	a typed pointer leads to a slot without an object			the same, a cycle ago
 *	a weak reference leads to an object that is not marked		it was not cleared
 *
 * In the child of a fork the second is let pass until its first cycle is over: the parent's other threads may have been writing what is read here.
 *
 * A word of a stack or an arena that leads to an object without a mark is not followed: frames that came after the stack was copied may have stale words of older
 * ones in them. What a stack alone holds and was lost is found when it is stored anywhere, or used: what is freed is overwritten.
 *
 * It takes memory, a bit for each 16 bytes of the heap's addresses and what marking takes. Without that it says so, and the cycle ends as if nobody had looked: the
 * heap is sound as far as anybody knows, and a program that is short of memory is not to die of being watched.
 */
#include "gc/verify.h"

#include "gc/cleanup.h"
#include "gc/coroutine.h"
#include "gc/mark.h"
#include "gc/roots.h"
#include "gc/threads.h"
#include "gc/weak.h"

struct verifier {
	struct arena_gc *gc;
	uint64_t *seen;		/* a bit for each 16 bytes of the heap's addresses */
	size_t seen_bytes;
	struct gc_block *block;	/* objects that were seen and not looked into */
	const char *from;	/* what is looked into */
	uintptr_t from_object;	/* its address; of a root, where the word lies */
	bool is_typed;		/* what it holds are pointers for sure */
	bool is_short;		/* there was no memory: some of what is reachable is not looked into */
};

static bool set_seen(const struct verifier *verifier, uintptr_t object)
{
	size_t n = (object - verifier->gc->space.base) / 16;
	uint64_t bit = (uint64_t)1 << n % 64;
	bool was = verifier->seen[n / 64] & bit;

	verifier->seen[n / 64] |= bit;
	return was;
}

/* A block with room; NULL when out of memory, and the one at hand stays. */
static struct gc_block *next_empty(struct verifier *verifier)
{
	struct gc_queue *queue = &verifier->gc->queue;
	struct gc_block *block = gc_queue_get(queue);

	if (!block)
		return NULL;
	block->is_raw = false;
	if (verifier->block)
		gc_queue_push(queue, verifier->block);
	return verifier->block = block;
}

static void push(struct verifier *verifier, uintptr_t object)
{
	bool has_room = verifier->block && verifier->block->nr < GC_BLOCK_ENTRIES;

	if (has_room || next_empty(verifier))
		verifier->block->entries[verifier->block->nr++] = object;
	else
		verifier->is_short = true;
}

static void follow(struct verifier *verifier, const struct gc_ref *ref)
{
	uintptr_t object = gc_object_base(&verifier->gc->space, ref);

	if (!set_seen(verifier, object))
		push(verifier, object);
}

static const char *name_of(const struct arena_gc *gc, const struct gc_span *span)
{
	const char *name = gc->types.kinds[span->kind].type->name;

	return name ? name : "?";
}

static void must_be_marked(void *context, uintptr_t word)
{
	struct verifier *verifier = context;
	struct arena_gc *gc = verifier->gc;
	struct gc_ref ref;
	bool is_object = gc_find(&gc->space, word, &ref) && gc_is_object(&ref);

	if (!is_object && verifier->is_typed && !gc->is_forked && gc_space_has(&gc->space, word))
		panic("gc verify: %s %p holds %p, where no object is any more", verifier->from, (void *)verifier->from_object, (void *)word);
	if (!is_object)
		return;
	if (!gc_is_marked(&ref))
		panic("gc verify: %s %p holds %p (%s), which is not marked: a store without its barrier?", verifier->from,
		      (void *)verifier->from_object, (void *)word, name_of(gc, ref.span));
	follow(verifier, &ref);
}

static void look_at_root(void *context, enum arena_gc_root kind, uintptr_t location, uintptr_t word)
{
	struct verifier *verifier = context;

	verifier->from = kind == ARENA_GC_ROOT_HANDLE ? "handle" : "root";
	verifier->from_object = location;
	must_be_marked(verifier, word);
}

static void look_at_cleanup(void *context, uintptr_t word)
{
	struct verifier *verifier = context;

	verifier->from = "cleanup";
	verifier->from_object = word;
	must_be_marked(verifier, word);
}

/* What looks like a pointer, and may be stale: where an object without a mark is, nothing has to be. */
static void follow_marked(void *context, uintptr_t word)
{
	struct verifier *verifier = context;
	struct gc_ref ref;

	if (gc_find(&verifier->gc->space, word, &ref) && gc_is_object(&ref) && gc_is_marked(&ref))
		follow(verifier, &ref);
}

static void look_at_suspended(void *context, uintptr_t location, uintptr_t word)
{
	(void)location;
	follow_marked(context, word);
}

static void look_at_stacks(struct verifier *verifier)
{
	struct arena_gc *gc = verifier->gc;

	for (struct gc_mutator *mutator = gc_threads_first(gc); mutator; mutator = mutator->next) {
		for (size_t i = 0; i < mutator->stack.copy_words; i++)
			follow_marked(verifier, gc_stack_held(&mutator->stack, i));
		mutator->stack.copy_words = 0;
	}
	gc_coroutines_each(gc, look_at_suspended, verifier);
}

static void look_into(struct verifier *verifier, uintptr_t object)
{
	struct arena_gc_visitor visitor = { .visit = must_be_marked, .context = verifier };
	struct gc_ref ref;

	check(gc_find(&verifier->gc->space, object, &ref));
	verifier->from = name_of(verifier->gc, ref.span);
	verifier->from_object = object;
	verifier->is_typed = !verifier->gc->types.kinds[ref.span->kind].type->is_loose;
	if (verifier->gc->types.kinds[ref.span->kind].scan == GC_SCAN_NONE)
		return;
	while (object)
		object = gc_scan_object(verifier->gc, &ref, object, GC_PIECE_BYTES, &visitor);
}

/* Nobody else has blocks in the queue: marking has ended, and barriers have been flushed; what was noted since is marked. */
static bool next_block(struct verifier *verifier)
{
	struct gc_block *block = gc_queue_pop(&verifier->gc->queue);

	if (!block)
		return false;
	if (block->is_raw) {
		gc_queue_put(&verifier->gc->queue, block);
		return true;
	}
	gc_queue_put(&verifier->gc->queue, verifier->block);
	verifier->block = block;
	return true;
}

static void look_into_all(struct verifier *verifier)
{
	if (!verifier->block)
		return;
	do {
		while (verifier->block->nr)
			look_into(verifier, verifier->block->entries[--verifier->block->nr]);
	} while (next_block(verifier));
	gc_queue_put(&verifier->gc->queue, verifier->block);
}

static void say_not_verified(const struct arena_gc *gc)
{
	report("gc verify: cycle %u is not verified, or not to the end: no memory", atomic_load_relaxed(&gc->done) + 1);
}

void gc_verify(struct arena_gc *gc)
{
	struct verifier verifier = { .gc = gc };

	verifier.seen_bytes = align_up(atomic_load_acquire(&gc->space.open_bytes) / 16 / 8 + 8, PAGE_BYTES);
	verifier.seen = os_table(verifier.seen_bytes);
	if (!verifier.seen) {
		say_not_verified(gc);
		return;
	}
	gc_roots_show(&gc->roots, look_at_root, &verifier);
	gc_cleanups_each(gc, look_at_cleanup, &verifier);
	gc_annexes_show(&gc->annexes, follow_marked, &verifier);
	look_at_stacks(&verifier);
	look_into_all(&verifier);
	gc_weak_verify(gc);
	os_unreserve(verifier.seen, verifier.seen_bytes);
	if (verifier.is_short)
		say_not_verified(gc);
}
