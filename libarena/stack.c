// SPDX-License-Identifier: MIT
/*
 * Walks by frame pointers. Each frame begins with the address of the caller's frame and the return address, as the ABIs of x86-64
 * and AArch64 have it. Code that was compiled without frame pointers may keep anything in that register, so nothing is read unless it
 * lies in the part of this thread's stack that is in use: between the stack pointer and the end of the stack. That is mapped for
 * sure, which makes the walk safe inside malloc(), whatever the program did; what such code costs is frames that are missing, and at
 * worst a wrong one. Frames must go up, so that the walk ends.
 *
 * Where a stack ends is asked once in a thread. On a stack that is not the thread's own (coroutines, an alternate stack of
 * signals) nothing is found.
 *
 * backtrace() and _Unwind_Backtrace() need no frame pointers, but load libgcc, which allocates, and take the dynamic linker's lock on
 * older systems: they are left to who asks for them (stack_set_walker()).
 */
#include "stack.h"

#include <errno.h>
#include <pthread.h>

#include "atomic.h"

/* No mapping but the stack itself lies so near below the main thread's end: the kernel keeps at least that much apart. */
#define MAIN_STACK_BYTES (128 * MiB)

/* The end of the main thread's stack, from the dynamic linker. */
extern void *__libc_stack_end;

/* The linker's names for the code of the object that this file is linked into. */
extern const char start_of_object[] __asm__("__ehdr_start") __attribute__((visibility("hidden"), weak));
extern const char end_of_code[] __asm__("etext") __attribute__((visibility("hidden"), weak));

struct frame {
	const struct frame *caller;
	uintptr_t return_address;
};

/* This thread's stack; limit 0 = not asked yet. Only its thread looks. */
struct bounds {
	uintptr_t base, limit;
};

static __thread struct bounds bounds __attribute__((tls_model("initial-exec")));
static stack_walker *other_walker; /* atomic */

void stack_set_walker(stack_walker *walker)
{
	atomic_store_release(&other_walker, walker); /* pairs with the acquire in stack_walk() */
}

/* Allocates a little. An error leaves no bounds: then nothing is in them. */
static void ask_bounds(void)
{
	pthread_attr_t attributes;
	int saved = errno;
	size_t bytes;
	void *base;

	bounds.limit = 1;
	if (!pthread_getattr_np(pthread_self(), &attributes)) {
		if (!pthread_attr_getstack(&attributes, &base, &bytes)) {
			bounds.base = (uintptr_t)base;
			bounds.limit = (uintptr_t)base + bytes;
		}
		pthread_attr_destroy(&attributes);
	}
	errno = saved;
}

/* The end of the stack that @at is on, or @at when that is not known. */
static uintptr_t stack_limit(uintptr_t at)
{
	uintptr_t main_limit = (uintptr_t)__libc_stack_end;

	/* For the main thread pthread_getattr_np() would read a file. */
	if (at < main_limit && main_limit - at < MAIN_STACK_BYTES)
		return main_limit;
	if (!bounds.limit)
		ask_bounds();
	return at >= bounds.base && at < bounds.limit ? bounds.limit : at;
}

/* Ours, in a shared library. In a program that is linked statically the program's own code is in the same object. */
static bool is_own(uintptr_t address)
{
#if defined(__PIC__) && !defined(__PIE__)
	return address >= (uintptr_t)start_of_object && address < (uintptr_t)end_of_code;
#else
	(void)address;
	return false;
#endif
}

/* Words between the variables of foreign frames may be poisoned. */
__attribute__((no_sanitize("address"))) static unsigned int walk_frames(uintptr_t addresses[STACK_MAX], const struct frame *frame)
{
	uintptr_t limit = stack_limit((uintptr_t)frame);
	unsigned int nr = 0;

	while (nr < STACK_MAX && (uintptr_t)frame < limit && limit - (uintptr_t)frame >= sizeof(*frame)) {
		const struct frame *caller = frame->caller;

		/* Below the first page there is no code. */
		if (frame->return_address < 4096)
			break;
		if (nr || !is_own(frame->return_address))
			addresses[nr++] = frame->return_address;
		if (caller <= frame || (uintptr_t)caller % sizeof(void *))
			break;
		frame = caller;
	}
	return nr;
}

static unsigned int drop_own(uintptr_t *addresses, unsigned int nr)
{
	unsigned int own = 0;

	while (own < nr && is_own(addresses[own]))
		own++;
	for (unsigned int i = own; i < nr; i++)
		addresses[i - own] = addresses[i];
	return nr - own;
}

unsigned int stack_walk(uintptr_t addresses[STACK_MAX])
{
	stack_walker *walker = atomic_load_acquire(&other_walker);

	if (walker)
		return drop_own(addresses, walker(addresses, STACK_MAX));
	return walk_frames(addresses, (const struct frame *)__builtin_frame_address(0));
}
