// SPDX-License-Identifier: MIT
/*
 * Finding and copying stacks.
 *
 * Registers that a callee may not change are saved in a frame by __builtin_unwind_init(); all others have been saved by who called, if their values
 * are still wanted. So all that may hold a pointer is above the frame of the next function called.
 *
 * The range that pthread_getattr_np() gives has the thread's control block and, except for the main thread, its thread-local variables in it.
 * That does not make roots of them that a program may count on.
 */
#include "gc/stack.h"

#include <pthread.h>
#include <string.h>

#include "annotate.h"
#include "geometry.h"
#include "os.h"
#include "panic.h"

int gc_stack_init(struct gc_stack *stack)
{
	pthread_attr_t attributes;
	void *base;
	size_t bytes;
	int error = pthread_getattr_np(pthread_self(), &attributes);

	if (error)
		return -error;
	pthread_attr_getstack(&attributes, &base, &bytes);
	pthread_attr_destroy(&attributes);
	*stack = (struct gc_stack){ .base = (uintptr_t)base, .limit = (uintptr_t)base + bytes };
	return 0;
}

void gc_stack_fini(struct gc_stack *stack)
{
	if (stack->copy)
		os_unreserve(stack->copy, stack->max_bytes);
	stack->copy = NULL;
}

__attribute__((noinline)) static void call_below(void (*function)(void *context, uintptr_t low), void *context)
{
	function(context, (uintptr_t)__builtin_frame_address(0));
	__asm__ volatile("" : : : "memory");
}

__attribute__((noinline)) void gc_stack_spill(void (*function)(void *context, uintptr_t low), void *context)
{
	__builtin_unwind_init();
	call_below(function, context);
	/* No tail call: the frame must stay. */
	__asm__ volatile("" : : : "memory");
}

static bool make_room(struct gc_stack *stack, size_t bytes)
{
	if (bytes <= stack->max_bytes)
		return true;
	gc_stack_fini(stack);
	/* A stack that grows a little more need not be copied to new memory each time. */
	stack->max_bytes = align_up(bytes + bytes / 2, PAGE_BYTES);
	stack->copy = os_table(stack->max_bytes);
	if (!stack->copy)
		stack->max_bytes = 0;
	return stack->copy;
}

/* Sanitizers forbid what lies between variables, and know nothing of handshakes. */
__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"))) uintptr_t gc_stack_word(uintptr_t address)
{
	return *(const volatile uintptr_t *)address;
}

__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"))) static void copy_words(uintptr_t *to, const volatile uintptr_t *from, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		to[i] = from[i];
}

static size_t words_above(const struct gc_stack *stack, uintptr_t low)
{
	if (low < stack->base || low >= stack->limit)
		panic("a thread with a collected heap is on a stack that is not its own");
	return (stack->limit - align_up(low, sizeof(uintptr_t))) / sizeof(uintptr_t);
}

void gc_stack_lend(struct gc_stack *stack, uintptr_t low)
{
	check(!stack->copy);
	stack->copy_words = words_above(stack, low);
}

bool gc_stack_copy(struct gc_stack *stack, uintptr_t low)
{
	size_t words = words_above(stack, low);

	low = align_up(low, sizeof(uintptr_t));
	stack->copy_words = 0;
	if (!make_room(stack, words * sizeof(uintptr_t)))
		return false;
	copy_words(stack->copy, (const volatile uintptr_t *)low, words);
	stack->copy_words = words;
	return true;
}
