/* SPDX-License-Identifier: MIT */
/* Who called: return addresses of the calling thread, found without locks and without reading what may not be there. */
#ifndef LIBARENA_STACK_H
#define LIBARENA_STACK_H

#include "panic.h"

/* Deeper callers are cut off: what allocates is near the top. */
#define STACK_MAX 64u

/**
 * Return addresses of the callers, innermost first, without those of a shared libarena itself; how many. Async-signal-safe, and allocates
 * nothing, unless another walker is set. On a stack that is not the thread's own at most one; 0 when nothing is known.
 */
unsigned int stack_walk(uintptr_t addresses[STACK_MAX]);

/**
 * Another way to walk, or NULL: fills @addresses with at most @max and returns how many. For programs without frame pointers. It may
 * allocate, and take locks that its callers may hold while they allocate.
 */
typedef unsigned int stack_walker(uintptr_t *addresses, unsigned int max);
void stack_set_walker(stack_walker *walker);

/**
 * Append where a call returns to as "FILE+OFFSET FUNCTION", as far as the dynamic linker knows, else as an address: that of the call, which is
 * in the line of the source that is meant. Takes the linker's lock.
 */
void stack_put_name(struct text *text, uintptr_t return_address);

#endif /* LIBARENA_STACK_H */
