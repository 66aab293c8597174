// SPDX-License-Identifier: MIT
/*
 * Reports of use after free.
 *
 * A handler of SIGSEGV and SIGBUS looks the address up in the windows' tables, which needs no lock and no memory, and prints one
 * line. Then it passes the signal on to the handler that was there before, under the mask and the flags of that one; or, when
 * there was none, restores the default and returns, so that the access faults again and the process ends as it would have
 * without us.
 *
 * Of heaps it is told where they have no memory; where they have some every access is as good as another.
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
#include "guard.h"
#include "heap.h"
#include "meta.h"
#include "opt.h"
#include "os.h"
#include "window.h"

/* The handler needs 3 KiB; vector registers saved by the kernel may take 12 KiB more. */
#define STACK_BYTES (64 * KiB)
#define REPORT_BYTES 512

/* What was there before for one of the two signals. */
struct before {
	int signal_number;
	struct sigaction action; /* fixed before the handler can run */
	uint32_t is_spent;	/* atomic; 1 = was to be called once only, and has been */
};

static struct before befores[] = { { .signal_number = SIGSEGV }, { .signal_number = SIGBUS } };
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
		return guard_describe(address, text);
	arena = meta_lookup(window_owner(window, window_unit(window, address)));
	if (!arena) {
		text_put(text, "memory of no arena: never handed out, or freed too long ago to be named");
		return true;
	}
	text_put(text, "%s memory: ", atomic_load_relaxed(&arena->state) == META_DEAD ? "freed" : "living");
	describe_arena(arena, address, text);
	return true;
}

/* Where heaps have no memory: what runs out of an object gets here, if it meets no other one before. */
static bool describe_gap(uintptr_t address, struct text *text)
{
	size_t behind;

	if (!region_gap(heap_region(), address, &behind))
		return false;
	if (behind)
		text_put(text, "%zu bytes behind memory of heaps: an overflow, or a late access to what went back to the system", behind);
	else
		text_put(text, "addresses of heaps before any memory: an access before an object, or a late one");
	return true;
}

/* ---------------------------------------------------------------- the handler */

/* As without us: an access faults again when we return, a signal that somebody sent must be sent again. */
static void end_by_default(int signal_number, const siginfo_t *info)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = SIG_DFL;
	sigemptyset(&action.sa_mask);
	sigaction(signal_number, &action, NULL);
	if (info->si_code <= 0)
		raise(signal_number);
}

/* Whether an earlier handler is to be called, as far as SA_RESETHAND goes. */
static bool is_due(struct before *before)
{
	return !(before->action.sa_flags & (int)SA_RESETHAND) || !atomic_swap_acquire(&before->is_spent, 1u);
}

static void pass_on(int signal_number, siginfo_t *info, void *context)
{
	struct before *before = &befores[signal_number == SIGBUS];
	const struct sigaction *old = &before->action;
	bool has_handler = old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN;

	/* The kernel heeds SIG_IGN for signals that were sent, never for faults. */
	if (old->sa_handler == SIG_IGN && info->si_code <= 0)
		return;
	if (!has_handler || !is_due(before))
		end_by_default(signal_number, info);
	else if (old->sa_flags & SA_SIGINFO)
		old->sa_sigaction(signal_number, info, context);
	else
		old->sa_handler(signal_number);
}

static void handle(int signal_number, siginfo_t *info, void *context)
{
	int saved = errno;
	char buffer[REPORT_BYTES];
	struct text text;

	text_init(&text, buffer, sizeof(buffer));
	/* si_code <= 0: sent by kill() and the like, and si_addr means nothing. */
	if (info->si_code > 0 && (fault_describe((uintptr_t)info->si_addr, &text) || describe_gap((uintptr_t)info->si_addr, &text)))
		report("access at %p to %s", info->si_addr, buffer);
	if (info->si_code > 0)
		guard_report_stacks((uintptr_t)info->si_addr);
	errno = saved;
	pass_on(signal_number, info, context);
}

/* Its lowest page is inaccessible: an earlier handler that needs more stack than there is must not write below. */
static void give_stack(void)
{
	char *memory;
	stack_t stack;

	if (sigaltstack(NULL, &stack) || !(stack.ss_flags & SS_DISABLE))
		return;
	memory = os_table(PAGE_BYTES + STACK_BYTES);
	if (!memory)
		return;
	stack.ss_sp = memory + PAGE_BYTES;
	stack.ss_size = STACK_BYTES;
	stack.ss_flags = 0;
	if (os_close(memory, PAGE_BYTES) || sigaltstack(&stack, NULL))
		os_unreserve(memory, PAGE_BYTES + STACK_BYTES);
}

/* Blocks what the earlier handler wanted blocked: while we run, it runs. */
static void install(const struct before *before)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = handle;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK | (before->action.sa_flags & (SA_NODEFER | SA_RESTART));
	action.sa_mask = before->action.sa_mask;
	sigaction(before->signal_number, &action, NULL);
}

static void start(void)
{
	int saved = errno;

	if (atomic_load_relaxed(&disabled) || !opt_get(OPT_FAULT_HANDLER))
		return;
	give_stack();
	/* The old handlers are all read first: a fault between two calls must find them. */
	for (size_t i = 0; i < ARRAY_LEN(befores); i++)
		sigaction(befores[i].signal_number, NULL, &befores[i].action);
	for (size_t i = 0; i < ARRAY_LEN(befores); i++)
		install(&befores[i]);
	errno = saved;
}

void fault_start(void)
{
	static uint32_t is_started; /* atomic */

	if (!atomic_swap_acquire(&is_started, 1u))
		start();
}
