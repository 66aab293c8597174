// SPDX-License-Identifier: MIT
/*
 * Reports of use after free.
 *
 * A handler of SIGSEGV and SIGBUS looks the address up in the windows' tables, which needs no lock and no memory, and prints one
 * line. Then it passes the signal on to the handler that was there before, or, when there was none,
 * restores the default and returns, so that the access faults again and the process ends as it would have without us.
 *
 * The report races with frees in other threads: it may call an arena living that dies this moment. It never reads
 * the memory of an arena.
 *
 * The thread that makes the first arena gets an alternate stack when it has none, because a stack that ran over would otherwise end
 * without a report of any kind. Other threads run the handler on their own stacks, unless they have an alternate one.
 */
#include "fault.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "atomic.h"
#include "geometry.h"
#include "meta.h"
#include "opt.h"
#include "os.h"
#include "window.h"

/* The handler needs 3 KiB; vector registers saved by the kernel may take 12 KiB more. */
#define STACK_BYTES (64 * KiB)
#define REPORT_BYTES 512

static struct sigaction old_segv, old_bus; /* fixed before the handler can run */
static uint32_t disabled; /* atomic; 1 = leave signals alone */

void fault_enable(bool enable)
{
	atomic_store_relaxed(&disabled, !enable);
}

/* ---------------------------------------------------------------- what is known of an address */

/* How far into its arena an address is: runs count in the order of their use. */
static size_t offset_in(const struct arena *arena, uintptr_t address)
{
	size_t offset = 0;

	for (const struct run *run = arena->runs; run; run = run->next) {
		if (address >= run->base && address < run->limit)
			return offset + (address - run->base);
		offset += run->limit - run->base;
	}
	return offset;
}

static void describe_arena(const struct arena *arena, uintptr_t address, struct text *text)
{
	bool is_dead = atomic_load_relaxed(&arena->state) == META_DEAD;

	text_put(text, "%zu bytes into ", offset_in(arena, address));
	if (arena->name[0])
		text_put(text, "arena \"%s\"", arena->name);
	else
		text_put(text, "an unnamed arena");
	text_put(text, " (made at %s", arena->made_at);
	if (is_dead)
		text_put(text, ", %s at %s", arena->is_shade ? "released" : "freed", arena->freed_at);
	text_put(text, ")");
}

bool fault_describe(uintptr_t address, struct text *text)
{
	struct window *window = window_lookup(address);
	struct arena *arena;

	if (!window)
		return false;
	arena = meta_lookup(window_owner(window, window_unit(window, address)));
	if (!arena) {
		text_put(text, "memory of no arena: never handed out, or freed too long ago to be named");
		return true;
	}
	text_put(text, "%s memory: ", atomic_load_relaxed(&arena->state) == META_DEAD ? "freed" : "living");
	describe_arena(arena, address, text);
	return true;
}

/* ---------------------------------------------------------------- the handler */

static void pass_on(int signal_number, siginfo_t *info, void *context)
{
	const struct sigaction *old = signal_number == SIGBUS ? &old_bus : &old_segv;

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(signal_number, info, context);
	} else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
		old->sa_handler(signal_number);
	} else {
		sigaction(signal_number, old, NULL);
		/* An access faults again when we return; a signal that somebody sent must be sent again. */
		if (info->si_code <= 0)
			raise(signal_number);
	}
}

static void handle(int signal_number, siginfo_t *info, void *context)
{
	int saved = errno;
	char buffer[REPORT_BYTES];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	/* si_code <= 0: sent by kill() and the like, and si_addr means nothing. */
	if (info->si_code > 0 && fault_describe((uintptr_t)info->si_addr, &text))
		report("access at %p to %s", info->si_addr, buffer);
	errno = saved;
	pass_on(signal_number, info, context);
}

static void give_stack(void)
{
	stack_t stack;

	if (sigaltstack(NULL, &stack) || !(stack.ss_flags & SS_DISABLE))
		return;
	stack.ss_sp = os_table(STACK_BYTES);
	stack.ss_size = STACK_BYTES;
	stack.ss_flags = 0;
	if (stack.ss_sp && sigaltstack(&stack, NULL))
		os_unreserve(stack.ss_sp, STACK_BYTES);
}

void fault_start(void)
{
	struct sigaction action;
	int saved = errno;

	if (atomic_load_relaxed(&disabled) || !opt_get(OPT_FAULT_HANDLER))
		return;
	give_stack();
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handle;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
	sigemptyset(&action.sa_mask);
	/* The old handlers are read first: a fault between the two calls must find them. */
	sigaction(SIGSEGV, NULL, &old_segv);
	sigaction(SIGBUS, NULL, &old_bus);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	errno = saved;
}
