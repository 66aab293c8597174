// SPDX-License-Identifier: MIT
/*
 * Handshakes. The collector writes a request, and each mutator does what it asks for when it comes to it, while all others run on:
 *
 *	collector			mutator, RUNNING		mutator, SAFE
 *	asked = request
 *	attention = 1, of each
 *	for each that has not answered:	sees attention
 *	  SAFE: CLAIMED			does it				(the collector does it)
 *	        does it, SAFE again	answered = request
 *	wait for answers		answers++, wake			leaving: waits while it is CLAIMED
 *
 * A mutator becomes SAFE by one swap, after which it looks whether a request is open; the collector writes the request first and looks at
 * states after it. Both are sequentially consistent: so either the collector sees SAFE, or the mutator sees the request and wakes it.
 *
 * What is asked for is done by the mutator itself between two of its steps, never in the middle of a store or an allocation: only
 * arena_gc_poll() and the slow path of allocation answer. A thread that is neither RUNNING nor SAFE for long does not exist: who is
 * CLAIMED waits for one copy of a stack.
 */
#include "gc/threads.h"

#include <errno.h>

#include "gc/alloc.h"
#include "gc/barrier.h"
#include "gc/coroutine.h"
#include "gc/delay.h"
#include "gc/note.h"

/* Who has not answered after that long is named in the trace, and no more of them than one would read. */
#define LATE_NS ((uint64_t)10 * 1000 * 1000)
#define LATE_NAMES 8
/* So many threads are looked at for where they run: among more there is hardly a CPU that none of them is on. */
#define LOOKS_MAX 64
#define MUTATOR_BYTES align_up(sizeof(struct gc_mutator), PAGE_BYTES)

__thread struct gc_mutator *gc_own;
__thread struct arena_gc_local arena_gc_local_;

/*
 * Held while all threads of a heap are stopped, or are asked to: one heap at a time. Threads of two, of which one waits for the first and one for the
 * second, would never answer the other.
 */
static struct lock stopping = LOCK_INIT(LOCK_GC_STOPPING);

static pthread_key_t exit_key;	/* fixed once is_key_made */
static bool is_key_made;	/* guarded by lock_setup */

/* ---------------------------------------------------------------- doing what is asked for */

/* Without memory for a copy the stack is read at once, which takes longer. */
static void shade_stack(struct gc_mutator *mutator, uintptr_t low)
{
	for (uintptr_t at = align_up(low, sizeof(uintptr_t)); at < mutator->stack.limit; at += sizeof(uintptr_t))
		gc_shade(mutator, gc_stack_word(at));
}

static void scan_stack(struct gc_mutator *mutator, uintptr_t low)
{
	if (!gc_stack_copy(&mutator->stack, low))
		shade_stack(mutator, low);
}

static void set_barrier(struct gc_mutator *mutator, uintptr_t low)
{
	mutator->gen = mutator->gc->black_gen;
	mutator->barrier = GC_BARRIER_OLD | GC_BARRIER_NEW;
	if (gc_does(GC_STEP_APART) && gc_does(GC_STEP_TWICE))
		return;
	gc_alloc_blacken(mutator);
	if (gc_does(GC_STEP_APART))
		return;
	scan_stack(mutator, low);
	mutator->barrier = GC_BARRIER_OLD;
}

/* A stack for whose copy there is no memory is read where it is: its thread waits until it was looked at. */
static void stop(struct gc_mutator *mutator, uintptr_t low)
{
	mutator->gen = mutator->gc->black_gen;
	if (!gc_stack_copy(&mutator->stack, low))
		gc_stack_lend(&mutator->stack, low);
}

/* The mutator's. @low is where its stack ends. */
static void act(struct gc_mutator *mutator, enum gc_request request, uintptr_t low)
{
	switch (request) {
	case GC_REQUEST_BARRIER:
		set_barrier(mutator, low);
		break;
	case GC_REQUEST_BLACK:
		gc_alloc_blacken(mutator);
		break;
	case GC_REQUEST_SCAN:
		scan_stack(mutator, low);
		mutator->barrier = GC_BARRIER_OLD;
		break;
	case GC_REQUEST_FLUSH:
		gc_barrier_flush(mutator);
		break;
	case GC_REQUEST_OFF:
		mutator->barrier = 0;
		gc_barrier_drop(mutator);
		gc_alloc_seal(mutator);
		/* Where all stop for marking it was left, and who is gone before it answers the next STOP must not leave it to that cycle. */
		mutator->stack.copy_words = 0;
		break;
	case GC_REQUEST_STOP:
		stop(mutator, low);
		break;
	case GC_REQUEST_RESUME:
		mutator->stack.copy_words = 0;
		break;
	}
}

/* The number and what it asks for. */
static uint32_t next_request(const struct arena_gc *gc, enum gc_request request)
{
	return (((gc->asked >> GC_REQUEST_SHIFT) + 1) << GC_REQUEST_SHIFT) | (uint32_t)request;
}

/* The release pairs with the acquire in has_answered(): the collector sees what was done. */
static void set_answered(struct gc_mutator *mutator, uint32_t asked)
{
	atomic_store_release(&mutator->answered, asked);
}

static bool has_answered(const struct gc_mutator *mutator, uint32_t asked)
{
	return atomic_load_acquire(&mutator->answered) == asked; /* pairs with set_answered() */
}

static void tell_collector(struct arena_gc *gc)
{
	atomic_add_seq_cst(&gc->answers, 1u);
	os_futex_wake(&gc->answers);
}

/* ---------------------------------------------------------------- the mutator's side */

void gc_set_local_barrier(void)
{
	uint32_t barrier = 0;

	for (const struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own)
		barrier |= mutator->barrier;
	arena_gc_local_.barrier = barrier;
	/* Its next store opens it: who stores nothing needs no block. */
	for (struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own)
		gc_barrier_close(mutator);
}

static void wait_while_stopped(struct arena_gc *gc, uint32_t asked)
{
	while (atomic_load_acquire(&gc->asked) == asked)
		os_futex_wait(&gc->asked, asked);
}

/* One request at a time, so that an answer takes no longer than that; what comes meanwhile calls for attention anew. */
static void answer_one(struct gc_mutator *mutator, uintptr_t low)
{
	struct arena_gc *gc = mutator->gc;
	/* The acquire pairs with the store in post(). */
	uint32_t asked = atomic_load_seq_cst(&gc->asked);
	uint64_t begin_ns;

	if (asked == atomic_load_relaxed(&mutator->answered))
		return;
	begin_ns = os_clock_ns();
	act(mutator, gc_request_of(asked), low);
	gc_note_answer(mutator, gc_request_of(asked), begin_ns);
	gc_delay();
	set_answered(mutator, asked);
	tell_collector(gc);
	if (gc_request_of(asked) == GC_REQUEST_STOP)
		wait_while_stopped(gc, asked);
}

static void answer_all(void *unused, uintptr_t low)
{
	(void)unused;
	/* Before requests are looked at: one that is written later sets it again. */
	atomic_swap_seq_cst(&arena_gc_local_.attention, 0u);
	for (struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own)
		answer_one(mutator, low);
	gc_set_local_barrier();
}

void gc_answer(void)
{
	gc_stack_spill(answer_all, NULL);
}

void gc_poll(void)
{
	uint64_t begin_ns = os_clock_ns();

	gc_answer();
	for (struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own)
		gc_note(mutator, GC_EVENT_POLL, begin_ns);
}

/* From here on the collector may claim it: the swap's release pairs with the acquire in claim(). */
static void become_safe(struct gc_mutator *mutator, uintptr_t low)
{
	mutator->stack.low = low;
	atomic_swap_seq_cst(&mutator->state, (uint32_t)GC_SAFE);
	if (atomic_load_seq_cst(&mutator->gc->asked) != atomic_load_relaxed(&mutator->answered))
		tell_collector(mutator->gc);
}

/* The acquire pairs with the release in unclaim(). */
static bool has_become_running(struct gc_mutator *mutator)
{
	uint32_t state = GC_SAFE;

	if (atomic_cas_acquire(&mutator->state, &state, (uint32_t)GC_RUNNING))
		return true;
	if (state == GC_CLAIMED)
		atomic_cas_relaxed(&mutator->state, &state, (uint32_t)GC_AWAITED);
	return false;
}

/* Who is held up while the collector answers for it feels that as it would a poll. */
static void become_running(struct gc_mutator *mutator)
{
	uint64_t begin_ns;

	if (likely(has_become_running(mutator)))
		return;
	begin_ns = os_clock_ns();
	do
		os_futex_wait(&mutator->state, GC_AWAITED);
	while (!has_become_running(mutator));
	gc_note(mutator, GC_EVENT_POLL, begin_ns);
}

/* What gc_blocking() was asked to call. */
struct blocked {
	void *(*function)(void *context);
	void *context;
	void *result;
};

static void block(void *context, uintptr_t low)
{
	struct blocked *blocked = context;
	uint64_t begin_ns = os_clock_ns();

	for (struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own)
		become_safe(mutator, low);
	blocked->result = blocked->function(blocked->context);
	for (struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own) {
		become_running(mutator);
		gc_note(mutator, GC_EVENT_SAFE, begin_ns);
	}
	gc_set_local_barrier();
}

void *gc_blocking(void *(*function)(void *context), void *context)
{
	struct blocked blocked = { .function = function, .context = context };

	gc_stack_spill(block, &blocked);
	return blocked.result;
}

/* ---------------------------------------------------------------- attaching */

/* What a mutator is like that has answered the last request with a stack that holds nothing. */
static void start_as_others(struct gc_mutator *mutator)
{
	enum gc_request request = gc_request_of(mutator->gc->asked);

	mutator->answered = mutator->gc->asked;
	mutator->gen = mutator->gc->black_gen;
	if (request == GC_REQUEST_OFF)
		return;
	mutator->barrier = request == GC_REQUEST_BARRIER || request == GC_REQUEST_BLACK ? GC_BARRIER_OLD | GC_BARRIER_NEW : GC_BARRIER_OLD;
	if (request != GC_REQUEST_BARRIER)
		gc_alloc_blacken(mutator);
}

/* While all are stopped nobody comes. */
static void lock_threads_to_attach(struct arena_gc *gc)
{
	for (;;) {
		uint32_t asked;

		lock_acquire(&gc->threads_lock);
		asked = gc->asked;
		if (gc_request_of(asked) != GC_REQUEST_STOP)
			return;
		lock_release(&gc->threads_lock);
		wait_while_stopped(gc, asked);
	}
}

static void add(struct gc_mutator *mutator)
{
	struct arena_gc *gc = mutator->gc;

	lock_threads_to_attach(gc);
	start_as_others(mutator);
	gc_delay();
	mutator->next = gc->mutators;
	gc->mutators = mutator;
	lock_release(&gc->threads_lock);
	gc_delay();	/* it is asked already, and its barrier is still off */
	mutator->next_own = gc_own;
	gc_own = mutator;
	gc_set_local_barrier();
}

/* The end of a thread: perhaps in the middle of gc_blocking(), when it was cancelled. */
static void detach_all(void *unused)
{
	(void)unused;
	for (struct gc_mutator *mutator = gc_own; mutator; mutator = mutator->next_own)
		if (atomic_load_relaxed(&mutator->state) != GC_RUNNING)
			become_running(mutator);
	gc_set_local_barrier();
	while (gc_own)
		gc_detach(gc_own);
}

static int make_key(void)
{
	int error = 0;

	lock_acquire(&lock_setup);
	if (!is_key_made)
		error = -pthread_key_create(&exit_key, detach_all);
	is_key_made = !error;
	lock_release(&lock_setup);
	return error;
}

int gc_attach(struct arena_gc *gc)
{
	struct gc_mutator *mutator = os_table(MUTATOR_BYTES);
	int error = mutator ? make_key() : -ENOMEM;

	if (!error)
		error = gc_stack_init(&mutator->stack);
	if (!error)
		error = -pthread_setspecific(exit_key, mutator);
	if (error) {
		if (mutator)
			os_unreserve(mutator, MUTATOR_BYTES);
		return -ENOMEM;
	}
	mutator->gc = gc;
	mutator->local = &arena_gc_local_;
	mutator->thread_id = os_thread_id();
	mutator->cpu = os_cpu_word();
	if (gc->ring)
		mutator->ring = gc_ring_get(&gc->rings);
	add(mutator);
	return 0;
}

static void destroy(struct gc_mutator *mutator)
{
	gc_barrier_drop(mutator);
	gc_stack_fini(&mutator->stack);
	os_unreserve(mutator, MUTATOR_BYTES);
}

static void unlink_locked(struct arena_gc *gc, struct gc_mutator *mutator)
{
	struct gc_mutator **link = &gc->mutators;

	while (*link != mutator)
		link = &(*link)->next;
	*link = mutator->next;
}

static void forget_own(struct gc_mutator *mutator)
{
	struct gc_mutator **link = &gc_own;

	while (*link != mutator)
		link = &(*link)->next_own;
	*link = mutator->next_own;
	gc_set_local_barrier();
}

/* What it has met is handed over first; what it allocated from is anybody's. */
void gc_detach(struct gc_mutator *mutator)
{
	struct arena_gc *gc = mutator->gc;
	bool is_cycling;

	gc_poll();
	gc_coroutines_leave(mutator);
	gc_delay();
	lock_acquire(&gc->threads_lock);
	gc_barrier_flush(mutator);
	gc_delay();
	gc_alloc_leave(mutator);
	forget_own(mutator);
	gc_ring_put(&gc->rings, mutator->ring);
	is_cycling = gc->is_cycling;
	if (!is_cycling)
		unlink_locked(gc, mutator);
	/* From here on it may be anybody's. */
	atomic_store_release(&mutator->state, (uint32_t)GC_GONE);
	lock_release(&gc->threads_lock);
	if (is_cycling)
		tell_collector(gc);
	else
		destroy(mutator);
}

/* ---------------------------------------------------------------- fork */

/* Their memory is left alone for now, so that a child which only calls exec() copies none of it. */
static void lose_others(struct arena_gc *gc, struct gc_mutator *own)
{
	struct gc_mutator **end = &gc->lost;

	if (own)
		unlink_locked(gc, own);
	while (*end)
		end = &(*end)->next;
	*end = gc->mutators;
	gc->mutators = own;
	if (own)
		own->next = NULL;
}

/* In the middle of nothing: it forks. When it is SAFE nobody has claimed it, which is done and undone under the lock, but to stop it. */
static void leave_cycle(struct gc_mutator *mutator)
{
	if (atomic_load_relaxed(&mutator->state) != GC_RUNNING)
		atomic_store_relaxed(&mutator->state, (uint32_t)GC_SAFE);
	mutator->is_held = false;
	act(mutator, GC_REQUEST_OFF, 0);
	mutator->answered = mutator->gc->asked;
}

void gc_threads_fork_child(struct arena_gc *gc)
{
	struct gc_mutator *own = gc_mutator_of(gc);

	stopping = (struct lock)LOCK_INIT(LOCK_GC_STOPPING);
	gc->is_cycling = false;
	gc->asked = next_request(gc, GC_REQUEST_OFF);
	lose_others(gc, own);
	gc_coroutines_fork_child(gc, own);
	if (own)
		leave_cycle(own);
	atomic_store_relaxed(&arena_gc_local_.attention, 0u);
	gc_set_local_barrier();
}

void gc_threads_free_lost(struct arena_gc *gc)
{
	struct gc_mutator *mutator, *next;

	lock_acquire(&gc->threads_lock);
	mutator = gc->lost;
	gc->lost = NULL;
	lock_release(&gc->threads_lock);
	for (; mutator; mutator = next) {
		next = mutator->next;
		gc_pages_flush(&gc->space, &mutator->pages);
		gc_stack_fini(&mutator->stack);
		os_unreserve(mutator, MUTATOR_BYTES);
	}
}

/* ---------------------------------------------------------------- the collector's side */

struct gc_mutator *gc_threads_first(struct arena_gc *gc)
{
	struct gc_mutator *first;

	lock_acquire(&gc->threads_lock);
	first = gc->mutators;
	lock_release(&gc->threads_lock);
	return first;
}

/* All that may want a CPU wait for the collector. */
static bool are_stopped(const struct arena_gc *gc)
{
	return gc_request_of(atomic_load_relaxed(&gc->asked)) == GC_REQUEST_STOP;
}

uint32_t gc_threads_running(struct arena_gc *gc)
{
	uint32_t nr = 0;

	if (are_stopped(gc))
		return 0;
	lock_acquire(&gc->threads_lock);
	/* Relaxed: it may be different the moment after. */
	for (struct gc_mutator *mutator = gc->mutators; mutator; mutator = mutator->next)
		nr += atomic_load_relaxed(&mutator->state) == GC_RUNNING;
	lock_release(&gc->threads_lock);
	return nr;
}

bool gc_threads_are_on(struct arena_gc *gc, uint32_t cpu, struct os_cpus *cpus)
{
	uint32_t nr = 0;

	*cpus = (struct os_cpus){ 0 };
	if (are_stopped(gc))
		return false;
	lock_acquire(&gc->threads_lock);
	/* None of them is gone before it has the lock. */
	for (struct gc_mutator *mutator = gc->mutators; mutator && nr++ < LOOKS_MAX; mutator = mutator->next)
		if (mutator->cpu && atomic_load_relaxed(&mutator->state) == GC_RUNNING)
			os_cpus_add(cpus, atomic_load_relaxed(mutator->cpu));
	lock_release(&gc->threads_lock);
	return os_cpus_has(cpus, cpu);
}

void gc_threads_begin(struct arena_gc *gc, uint32_t gen)
{
	lock_acquire(&gc->threads_lock);
	gc->black_gen = gen;
	gc->is_cycling = true;
	lock_release(&gc->threads_lock);
}

void gc_threads_end(struct arena_gc *gc)
{
	struct gc_mutator **link = &gc->mutators, *mutator;

	lock_acquire(&gc->threads_lock);
	gc->is_cycling = false;
	while ((mutator = *link)) {
		if (atomic_load_acquire(&mutator->state) != GC_GONE) {
			link = &mutator->next;
			continue;
		}
		*link = mutator->next;
		destroy(mutator);
	}
	lock_release(&gc->threads_lock);
}

void gc_threads_seal(struct arena_gc *gc)
{
	lock_acquire(&gc->threads_lock);
	for (struct gc_mutator *mutator = gc->mutators; mutator; mutator = mutator->next)
		if (atomic_load_acquire(&mutator->state) != GC_GONE)
			gc_alloc_seal(mutator);
	lock_release(&gc->threads_lock);
}

/* Write the request, and see to it that all who run come to look: the new number. */
static uint32_t post(struct arena_gc *gc, enum gc_request request)
{
	uint32_t asked;

	lock_acquire(&gc->threads_lock);
	asked = next_request(gc, request);
	gc->asked_ns = os_clock_ns();
	/* Pairs with answer_one() and become_safe(). */
	atomic_store_seq_cst(&gc->asked, asked);
	for (struct gc_mutator *mutator = gc->mutators; mutator; mutator = mutator->next)
		if (atomic_load_acquire(&mutator->state) != GC_GONE)
			atomic_store_seq_cst(&mutator->local->attention, 1u);
	lock_release(&gc->threads_lock);
	os_futex_wake_all(&gc->asked);
	return asked;
}

/* The acquire pairs with become_safe(). */
static bool claim(struct gc_mutator *mutator)
{
	uint32_t state = GC_SAFE;

	return atomic_cas_seq_cst(&mutator->state, &state, (uint32_t)GC_CLAIMED);
}

/* The release pairs with become_running(). */
static void unclaim(struct gc_mutator *mutator)
{
	if (atomic_swap_seq_cst(&mutator->state, (uint32_t)GC_SAFE) == GC_AWAITED)
		os_futex_wake(&mutator->state);
}

/* For one that is claimed. */
static void answer_for(struct gc_mutator *mutator, uint32_t asked)
{
	enum gc_request request = gc_request_of(asked);

	if (gc_does(GC_STEP_SAFE) || request != GC_REQUEST_FLUSH)
		act(mutator, request, mutator->stack.low);
	gc_note_answer_for(mutator, request);
	set_answered(mutator, asked);
	mutator->is_held = request == GC_REQUEST_STOP;
}

/*
 * It has answered, or is claimed and answered for. Between the look and the claim it may answer, go on, and become SAFE: so who is claimed is looked at once more. If it
 * were answered for as well, its stack would be copied again, without what was there when it became scanned and has gone to a root since.
 */
static bool settle(struct gc_mutator *mutator, uint32_t asked)
{
	if (has_answered(mutator, asked) || atomic_load_acquire(&mutator->state) == GC_GONE)
		return true;
	gc_delay_long();
	if (!mutator->is_held && !claim(mutator))
		return false;
	if (!gc_does(GC_STEP_ONCE) || !has_answered(mutator, asked))
		answer_for(mutator, asked);
	if (!mutator->is_held)
		unclaim(mutator);
	return true;
}

/* Who have yet to answer: how many, and some by name. */
struct late {
	unsigned int nr;
	uint32_t thread_ids[LATE_NAMES];
};

static bool settle_all(struct arena_gc *gc, uint32_t asked, struct late *late)
{
	late->nr = 0;
	lock_acquire(&gc->threads_lock);
	for (struct gc_mutator *mutator = gc->mutators; mutator; mutator = mutator->next)
		if (!settle(mutator, asked) && late->nr++ < LATE_NAMES)
			late->thread_ids[late->nr - 1] = mutator->thread_id;
	lock_release(&gc->threads_lock);
	return !late->nr;
}

static void name_late(const struct arena_gc *gc, const struct late *late, uint64_t begin_ns)
{
	unsigned long waited_ms = (unsigned long)((os_clock_ns() - begin_ns) / 1000000);

	if (!gc->is_traced)
		return;
	for (unsigned int i = 0; i < late->nr && i < LATE_NAMES; i++)
		report("gc: thread %u has not answered for %lu ms: it neither allocates nor polls", late->thread_ids[i], waited_ms);
	if (late->nr > LATE_NAMES)
		report("gc: nor have %u others", late->nr - LATE_NAMES);
}

void gc_ask(struct arena_gc *gc, enum gc_request request)
{
	uint64_t begin_ns = os_clock_ns(), wait_ns = LATE_NS;
	struct late late;
	uint32_t asked, seen;
	bool was_stopped;

	if (request == GC_REQUEST_STOP)
		lock_acquire(&stopping);
	was_stopped = gc_request_of(gc->asked) == GC_REQUEST_STOP;
	gc_delay();
	asked = post(gc, request);
	/* Before the look: an answer that comes after it ends the wait. */
	while (seen = atomic_load_seq_cst(&gc->answers), !settle_all(gc, asked, &late)) {
		os_futex_wait_for(&gc->answers, seen, wait_ns);
		if (os_clock_ns() - begin_ns < wait_ns)
			continue;
		name_late(gc, &late, begin_ns);
		wait_ns *= 2;
	}
	if (was_stopped)
		lock_release(&stopping);
	gc_note_handshake(gc, request, begin_ns);
}
