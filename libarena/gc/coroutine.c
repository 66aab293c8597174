// SPDX-License-Identifier: MIT
/*
 * Switching is done in a function of the program's, which is called when all registers are in a frame, and before which all is done that there is to do: the stack is
 * left, the other one is entered. When the function comes back, on this stack or, for the first time, never, nothing is left to do, nor
 * is it known which thread runs it.
 *
 * A stack has a lock of its own, which who leaves, who enters and the collector hold for as long as it takes to copy or shade it. The list of stacks has one, too, for
 * those who make and end stacks: the collector goes through the list with a lock that it lets go of behind each stack.
 */
#include "gc/coroutine.h"

#include "gc/barrier.h"
#include "gc/threads.h"

#define RECORD_BYTES align_up(sizeof(struct arena_gc_stack), PAGE_BYTES)

/* ---------------------------------------------------------------- the list */

static void link_stack(struct arena_gc *gc, struct arena_gc_stack *stack)
{
	lock_acquire(&gc->stacks_lock);
	stack->next = gc->stacks;
	stack->link = &gc->stacks;
	if (stack->next)
		stack->next->link = &stack->next;
	gc->stacks = stack;
	lock_release(&gc->stacks_lock);
}

static void unlink_stack(struct arena_gc *gc, struct arena_gc_stack *stack)
{
	lock_acquire(&gc->stacks_lock);
	*stack->link = stack->next;
	if (gc->next_stack == stack)
		gc->next_stack = stack->next;
	if (stack->next)
		stack->next->link = stack->link;
	lock_release(&gc->stacks_lock);
}

struct arena_gc_stack *arena_gc_stack_create(struct arena_gc *gc, void *base, size_t bytes)
{
	struct arena_gc_stack *stack = os_table(RECORD_BYTES);

	if (!stack)
		return NULL;
	*stack = (struct arena_gc_stack){ .lock = LOCK_INIT(LOCK_GC_STACK), .base = (uintptr_t)base, .limit = (uintptr_t)base + bytes };
	stack->low = stack->limit;
	link_stack(gc, stack);
	return stack;
}

/* Forgetting pointers is no deletion: a stack that goes needs no care. */
void arena_gc_stack_destroy(struct arena_gc *gc, struct arena_gc_stack *stack)
{
	if (!stack)
		return;
	if (stack->runs_on)
		panic("arena_gc_stack_destroy(): thread %u runs on the stack", stack->runs_on->thread_id);
	unlink_stack(gc, stack);
	os_unreserve(stack, RECORD_BYTES);
}

void gc_coroutines_fini(struct arena_gc *gc)
{
	struct arena_gc_stack *stack, *next;

	for (stack = gc->stacks; stack; stack = next) {
		next = stack->next;
		if (!stack->owner)
			os_unreserve(stack, RECORD_BYTES);
	}
}

/* ---------------------------------------------------------------- switching */

/* As gen of stacks: 0 is none. */
static uint64_t cycle_of(uint32_t gen)
{
	return (uint64_t)gen + 1;
}

static bool is_scanned(const struct gc_mutator *mutator)
{
	return mutator->barrier == GC_BARRIER_OLD;
}

/* The record of the thread's own stack is made when it is left for the first time. */
static struct arena_gc_stack *current(struct gc_mutator *mutator)
{
	struct arena_gc_stack *own = &mutator->own_stack;

	if (mutator->current)
		return mutator->current;
	*own = (struct arena_gc_stack){ .lock = LOCK_INIT(LOCK_GC_STACK), .base = mutator->stack.base, .limit = mutator->stack.limit,
					.runs_on = mutator, .owner = mutator };
	link_stack(mutator->gc, own);
	return mutator->current = own;
}

static void leave(struct gc_mutator *mutator, uintptr_t low)
{
	struct arena_gc_stack *stack = current(mutator);

	lock_acquire(&stack->lock);
	if (low < stack->base || low >= stack->limit)
		panic("arena_gc_stack_switch(): thread %u is not on the stack that it has switched to", mutator->thread_id);
	stack->low = low;
	stack->scanned = is_scanned(mutator) ? cycle_of(mutator->gen) : 0;
	stack->runs_on = NULL;
	lock_release(&stack->lock);
}

static void shade_words(struct gc_mutator *mutator, const struct arena_gc_stack *stack)
{
	for (uintptr_t at = align_up(stack->low, sizeof(uintptr_t)); at < stack->limit; at += sizeof(uintptr_t))
		gc_shade(mutator, gc_stack_word(at));
}

static void enter(struct gc_mutator *mutator, struct arena_gc_stack *stack)
{
	lock_acquire(&stack->lock);
	if (stack->runs_on)
		panic("arena_gc_stack_switch(): thread %u runs on the stack already", stack->runs_on->thread_id);
	if (is_scanned(mutator) && stack->scanned != cycle_of(mutator->gen))
		shade_words(mutator, stack);
	stack->runs_on = mutator;
	lock_release(&stack->lock);
	mutator->stack.base = stack->base;
	mutator->stack.limit = stack->limit;
	mutator->current = stack;
}

/* What arena_gc_stack_switch() was asked for. */
struct switching {
	struct gc_mutator *mutator;
	struct arena_gc_stack *to;
	void (*swap)(void *context);
	void *context;
};

static void switch_stacks(void *context, uintptr_t low)
{
	const struct switching *switching = context;

	leave(switching->mutator, low);
	enter(switching->mutator, switching->to ? switching->to : &switching->mutator->own_stack);
	/* Behind it this may be another thread. */
	switching->swap(switching->context);
}

void arena_gc_stack_switch(struct arena_gc *gc, struct arena_gc_stack *to, void (*swap)(void *context), void *context)
{
	struct switching switching = { .mutator = gc_mutator_of(gc), .to = to, .swap = swap, .context = context };

	if (!switching.mutator)
		panic("arena_gc_stack_switch(): the calling thread is not attached to this heap (arena_gc_attach())");
	gc_stack_spill(switch_stacks, &switching);
}

/* ---------------------------------------------------------------- ends */

static void abandon(struct arena_gc_stack *stack)
{
	lock_acquire(&stack->lock);
	stack->low = stack->limit;
	stack->runs_on = NULL;
	lock_release(&stack->lock);
}

void gc_coroutines_leave(struct gc_mutator *mutator)
{
	if (!mutator->current)
		return;
	abandon(mutator->current);
	unlink_stack(mutator->gc, &mutator->own_stack);
	mutator->current = NULL;
}

void gc_coroutines_fork_child(struct arena_gc *gc, const struct gc_mutator *own)
{
	struct arena_gc_stack *stack, *next;

	for (stack = gc->stacks; stack; stack = next) {
		next = stack->next;
		/* The cycle that was dropped and the child's first one may have the same gen. */
		stack->scanned = 0;
		if (stack->runs_on && stack->runs_on != own)
			abandon(stack);
		if (stack->owner && stack->owner != own)
			unlink_stack(gc, stack);
	}
}

/* ---------------------------------------------------------------- the collector's side */

static size_t words_of(const struct arena_gc_stack *stack)
{
	return (stack->limit - align_up(stack->low, sizeof(uintptr_t))) / sizeof(uintptr_t);
}

static void mark_words(struct gc_marker *marker, const uintptr_t *words, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		gc_mark_address(marker, gc_stack_word((uintptr_t)&words[i]));
}

/* It is copied, so that who wants to go on there waits no longer than that; without memory for the copy it is read where it is. */
static size_t read_locked(struct gc_marker *marker, struct arena_gc_stack *stack, struct gc_stack *copy)
{
	uint64_t cycle = cycle_of(marker->gc->black_gen);

	copy->copy_words = 0;
	if (stack->runs_on || stack->scanned == cycle || !words_of(stack))
		return 0;
	stack->scanned = cycle;
	copy->base = stack->base;
	copy->limit = stack->limit;
	if (!gc_stack_copy(copy, stack->low))
		mark_words(marker, (const uintptr_t *)align_up(stack->low, sizeof(uintptr_t)), words_of(stack));
	return words_of(stack);
}

/*
 * The next one of those that were there when the collector began; false when there is none. Others link and unlink stacks in between: what comes is in front, and
 * is a mutator's that is scanned, or holds nothing yet.
 */
static bool read_next(struct gc_marker *marker, struct gc_stack *copy, size_t *nr_words)
{
	struct arena_gc *gc = marker->gc;
	struct arena_gc_stack *stack;

	lock_acquire(&gc->stacks_lock);
	stack = gc->next_stack;
	if (stack) {
		gc->next_stack = stack->next;
		lock_acquire(&stack->lock);
		*nr_words = read_locked(marker, stack, copy);
		lock_release(&stack->lock);
	}
	lock_release(&gc->stacks_lock);
	return stack;
}

static void begin_reading(struct arena_gc *gc)
{
	lock_acquire(&gc->stacks_lock);
	gc->next_stack = gc->stacks;
	lock_release(&gc->stacks_lock);
}

/* Without a lock it marks what was copied, which may be gone from the stack by then, but not from the collector's hands. */
uint64_t gc_coroutines_mark(struct gc_marker *marker)
{
	struct gc_stack copy = { 0 };
	uint64_t sum = 0;
	size_t nr_words;

	begin_reading(marker->gc);
	while (read_next(marker, &copy, &nr_words)) {
		mark_words(marker, copy.copy, copy.copy_words);
		sum += nr_words;
	}
	gc_stack_fini(&copy);
	return sum * sizeof(uintptr_t);
}

void gc_coroutines_each(struct arena_gc *gc, void (*visit)(void *context, uintptr_t location, uintptr_t word), void *context)
{
	lock_acquire(&gc->stacks_lock);
	for (struct arena_gc_stack *stack = gc->stacks; stack; stack = stack->next)
		for (uintptr_t at = align_up(stack->low, sizeof(uintptr_t)); !stack->runs_on && at < stack->limit; at += sizeof(uintptr_t))
			visit(context, at, gc_stack_word(at));
	lock_release(&gc->stacks_lock);
}
