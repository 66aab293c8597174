/* SPDX-License-Identifier: MIT */
/*
 * Stacks and registers of mutators. A stack is copied in the handshake, which takes little time, and scanned by the collector,
 * which takes many times as long.
 */
#ifndef LIBARENA_GC_STACK_H
#define LIBARENA_GC_STACK_H

#include "base.h"

struct gc_stack {
	uintptr_t base, limit;	/* of the thread's stack; fixed */
	uintptr_t low;		/* while the thread answers for nothing: what is above may hold pointers, registers included */
	uintptr_t *copy;	/* what was above; NULL: copy_words words below limit are read in their place */
	size_t copy_words;
	size_t max_bytes;	/* of the copy's memory */
};

/** The stack of the calling thread: 0 or -errno. */
int gc_stack_init(struct gc_stack *stack);
void gc_stack_fini(struct gc_stack *stack);
/** Call @function with an address above which are all registers and frames of the caller that may hold pointers. */
void gc_stack_spill(void (*function)(void *context, uintptr_t low), void *context);
/** Copy what is above @low; false when out of memory, and nothing is copied. The thread's own, or while it waits. */
bool gc_stack_copy(struct gc_stack *stack, uintptr_t low);
/** What is above @low is to be read in its place. The thread waits meanwhile. */
void gc_stack_lend(struct gc_stack *stack, uintptr_t low);
/** A word of a stack, which may be anybody's. */
uintptr_t gc_stack_word(uintptr_t address);

/** The @i-th of the words that were copied or lent. */
static inline uintptr_t gc_stack_held(const struct gc_stack *stack, size_t i)
{
	if (stack->copy)
		return stack->copy[i];
	return gc_stack_word(stack->limit - (stack->copy_words - i) * sizeof(uintptr_t));
}

#endif /* LIBARENA_GC_STACK_H */
