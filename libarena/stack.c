// SPDX-License-Identifier: MIT
/*
 * Walks by frame pointers. Each frame begins with the address of the caller's frame and the return address, as the ABIs of x86-64
 * and AArch64 have it. Code that was compiled without frame pointers may keep anything in that register, so nothing is read unless it
 * lies in the part of this thread's stack that is in use: between the stack pointer and the end of the stack. That is mapped for
 * sure, which makes the walk safe inside malloc(), whatever the program did; what such code costs is frames that are missing, and at
 * worst a wrong one. Frames must go up, so that the walk ends.
 *
 * Where a thread's stack lies is asked once, of the kernel: pthread_getattr_np() allocates with locks held, and the allocation that is
 * sampled may be its own. A thread's control block lies at the upper end of its stack, whoever provided the memory (glibc). The
 * main thread's lies elsewhere, but the end of that stack is known, and what lies below it.
 *
 * On a stack that is not the thread's own (coroutines, an alternate stack of signals), or where there is no /proc, only the caller is found, if
 * its frame is on the same page as ours. A stack that shares its mapping with others' (in memory of the heap, say) is taken to begin
 * with the mapping: what lies between a frame there and the control block was mapped when it was asked.
 *
 * backtrace() and _Unwind_Backtrace() need no frame pointers, but load libgcc, which allocates, and take the dynamic linker's lock on
 * older systems: they are left to who asks for them (stack_set_walker()).
 */
#include "stack.h"

#include <dlfcn.h>
#include <pthread.h>

#include "atomic.h"
#include "geometry.h"
#include "os.h"

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

/* This thread's stack; limit 0 = not asked yet. Only its thread looks, and signal handlers on it. */
struct bounds {
	uintptr_t base, limit;
};

static __thread struct bounds bounds __attribute__((tls_model("initial-exec")));
static stack_walker *other_walker; /* atomic */

void stack_set_walker(stack_walker *walker)
{
	atomic_store_release(&other_walker, walker); /* pairs with the acquire in stack_walk() */
}

/*
 * An error leaves no bounds: then nothing is in them, and it is tried again. The main thread's control block is not on its stack but beside
 * whatever was mapped there.
 */
static void ask_own(void)
{
	uintptr_t self = (uintptr_t)pthread_self(), base, limit;

	if (os_is_main_thread() || !os_find_mapping(self, &base, &limit))
		return;
	bounds.base = base;
	atomic_store_release(&bounds.limit, self); /* a handler that interrupts this sees both or asks itself */
}

/* A deep stack of the main thread: it grows, so it is asked how far it reaches now. Where it cannot be so deep nothing is asked. */
static bool is_deep_main(uintptr_t at, uintptr_t main_limit)
{
	uintptr_t base, limit;

	return at < main_limit && main_limit - at < os_main_stack_bytes() && os_find_mapping(main_limit - 1, &base, &limit) && at >= base;
}

/* The end of the stack that @at is on, or 0 when that is not known. */
static uintptr_t stack_limit(uintptr_t at)
{
	uintptr_t main_limit = (uintptr_t)__libc_stack_end;

	if (at < main_limit && main_limit - at < MAIN_STACK_BYTES)
		return main_limit;
	if (!bounds.limit)
		ask_own();
	if (at >= bounds.base && at < bounds.limit)
		return bounds.limit;
	return is_deep_main(at, main_limit) ? main_limit : 0;
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
	uintptr_t known = stack_limit((uintptr_t)frame), limit = known ? known : align_up((uintptr_t)frame + 1, PAGE_BYTES);
	unsigned int nr = 0, max = known ? STACK_MAX : 1;

	while (nr < max && (uintptr_t)frame < limit && limit - (uintptr_t)frame >= sizeof(*frame)) {
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

void stack_put_name(struct text *text, uintptr_t return_address)
{
	uintptr_t at = return_address - 1;
	Dl_info known;

	if (dladdr((void *)at, &known) && known.dli_fname)
		text_put(text, "%s+%p %s", known.dli_fname, (void *)(at - (uintptr_t)known.dli_fbase), known.dli_sname ? known.dli_sname : "");
	else
		text_put(text, "%p", (void *)at);
}
