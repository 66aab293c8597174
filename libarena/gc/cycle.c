// SPDX-License-Identifier: MIT
/*
 * The cycle. Threads run throughout; each handshake waits for each of them to do a small thing when it suits it:
 *
 *	all spans are swept, no mark is set
 *	H1	barriers on, for old and new values
 *	H1b	new objects are black
 *		roots are shaded
 *	H2	stacks are copied; from then on a thread's barrier shades old values only
 *		mark
 *	H3	barriers are flushed; again, until a round brings nothing, and no weak reference was read that mattered
 *		weak references to what is dead are cleared, and cleanups of it called
 *		(only if somebody wants to look at the heap: all are stopped, and go on)
 *		all lists of spans become unswept
 *	H4	barriers off; spans that are not swept are handed in
 *		sweep
 *
 * H1b is there because a barrier is no single step: a store whose barrier has read an old value before the last thread stored without one may end long after. When
 * all have answered once more it is over. And an object must not be black as long as somebody stores into it without a barrier.
 *
 * Why it may end: when a round begins nothing is left to scan. If then an object that is reachable were not marked, some mutator's buffer
 * would hold one on the way to it (a store shades what it removes; stacks are scanned, new objects black). That buffer is handed over in this
 * round, by the flush, because it is full, or because its thread goes; and it is looked at before the round is judged. So a round in which
 * nothing new was marked, although all buffers that were there when it began were looked at, shows that nothing was left. It
 * does not matter how many buffers were handed over: under a program that stores all the time some always are.
 *
 * doc/gc.md has the protocol, doc/gc-models.md what models of it have shown.
 */
#include "gc/cycle.h"

#include "gc/ahead.h"
#include "gc/alloc.h"
#include "gc/cleanup.h"
#include "gc/ephemeron.h"
#include "gc/fork.h"
#include "gc/limit.h"
#include "gc/look.h"
#include "gc/note.h"
#include "gc/sweep.h"
#include "gc/threads.h"
#include "gc/timeline.h"
#include "gc/trace.h"
#include "gc/verify.h"
#include "gc/weak.h"
#include "gc/workers.h"
#include "thread.h"

/* Who waits for a cycle looks so often whether anybody is there to run it. */
#define LOOK_NS ((uint64_t)100 * 1000 * 1000)

/* ---------------------------------------------------------------- phases */

/* What the collector's threads and assists have spent, this one up to now. */
static struct gc_sums spent(struct gc_worker *worker)
{
	gc_worker_account(worker, 0);
	return gc_drive_sums(&worker->marker.gc->drive);
}

/* What was left is swept: no mark is set anywhere. The time is the cycle's, but no part of marking. */
static void begin_clocks(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;
	uint64_t begin_ns = os_clock_ns();

	gc_note_phase(gc, GC_EVENT_LEFT);
	gc_sweep_rest(gc);
	gc->cycle = (struct gc_cycle){ .begin = gc_drive_sums(&gc->drive), .start_ns = os_clock_ns() };
	gc->cycle.sweep_ns = gc->cycle.start_ns - begin_ns;
	gc->cycle.start = spent(worker);
}

static void begin(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;
	/* There may be as many as the last time. */
	uint64_t roots_work = gc->cycle.root_bytes + gc->cycle.stack_bytes;
	uint32_t nr = 0;

	begin_clocks(worker);
	if (gc->is_forked)
		gc_fork_clear(gc);
	gc_annexes_begin(&gc->annexes);
	gc_threads_begin(gc, gc->types.gen);
	for (struct gc_mutator *mutator = gc_threads_first(gc); mutator; mutator = mutator->next) {
		atomic_store_relaxed(&mutator->runtime_max_ns, 0u);
		nr++;
	}
	gc->cycle.nr_mutators = nr;
	gc->cycle.start_bytes = gc_heap_bytes(gc);
	atomic_store_relaxed(&gc->handshake_max_ns, 0u);
	atomic_store_relaxed(&gc->runtime_max_ns, 0u);
	atomic_store_relaxed(&gc->wants_chunk, false);
	atomic_store_relaxed(&gc->nr_marked, 0u);
	atomic_store_relaxed(&gc->marked_bytes, 0u);
	gc_drive_begin(&gc->drive, gc->cycle.start_bytes, gc->cycle.start_bytes + roots_work);
}

/*
 * Mark what is left. The queue is open and this thread busy; then it is closed, because nothing was left and nobody held anything. Whether there was no memory
 * in between, so that all that is marked was looked at once more.
 */
static bool drain(struct gc_worker *worker)
{
	struct gc_queue *queue = &worker->marker.gc->queue;
	bool was_short = false;

	for (;;) {
		bool is_short;

		gc_mark_leave(&worker->marker);
		gc_workers_mark(worker);
		/* The swap pairs with the releases that set it: what was marked before is seen. */
		is_short = atomic_swap_acquire(&queue->is_short, 0u);
		if (!is_short && !gc_ephemerons_missed(worker->marker.gc))
			return was_short;
		was_short |= is_short;
		gc_queue_open(queue);
		if (is_short)
			gc_mark_anew(&worker->marker);
		gc_ephemerons_settle(&worker->marker);
	}
}

/* Whether nothing was found that was not marked. */
static bool is_clean_round(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;
	uint64_t before = atomic_load_relaxed(&gc->nr_marked);

	gc_note_phase(gc, GC_EVENT_ROUND);
	gc_ask(gc, GC_REQUEST_FLUSH);
	gc->cycle.nr_rounds++;
	gc_queue_open(&gc->queue);
	return !drain(worker) && atomic_load_relaxed(&gc->nr_marked) == before;
}

/* A clean round, and what is not marked is dead from now on: no weak read has brought it back since before the round. */
static bool is_settled(struct gc_worker *worker)
{
	uint64_t word = gc_weak_word(worker->marker.gc);

	return is_clean_round(worker) && gc_weak_close(worker->marker.gc, word);
}

static void mark(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;

	gc_note_phase(gc, GC_EVENT_ON);
	gc_ask(gc, GC_REQUEST_BARRIER);
	if (gc_does(GC_STEP_APART) && gc_does(GC_STEP_TWICE))
		gc_ask(gc, GC_REQUEST_BLACK);
	gc_note_phase(gc, GC_EVENT_ROOTS);
	gc_ephemerons_begin(gc);
	gc_queue_open(&gc->queue);
	gc->cycle.root_bytes = gc_mark_roots(&worker->marker);
	gc_note_phase(gc, GC_EVENT_SCAN);
	if (gc_does(GC_STEP_APART))
		gc_ask(gc, GC_REQUEST_SCAN);
	gc_note_phase(gc, GC_EVENT_MARK);
	gc->cycle.mark_ns = os_clock_ns();
	gc->cycle.stack_bytes = gc_mark_stacks(&worker->marker);
	gc_drive_did(&gc->drive, gc->cycle.root_bytes + gc->cycle.stack_bytes);
	drain(worker);
	while (gc_does(GC_STEP_ROUNDS) && !is_settled(worker))
		;
	gc->cycle.mark_end_ns = os_clock_ns();
}

/* For programs without barriers: H1 to H3 are one, in which all threads wait. It is what they wait for, and so it takes no rests. */
static void mark_stopped(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;

	gc_note_phase(gc, GC_EVENT_SCAN);
	worker->hurries = true;
	gc->cycle.stop_ns = os_clock_ns();
	gc_ask(gc, GC_REQUEST_STOP);
	gc_note_phase(gc, GC_EVENT_MARK);
	gc->cycle.mark_ns = os_clock_ns();
	gc_ephemerons_begin(gc);
	gc_queue_open(&gc->queue);
	gc->cycle.root_bytes = gc_mark_roots(&worker->marker);
	gc->cycle.stack_bytes = gc_mark_stacks(&worker->marker);
	gc_drive_did(&gc->drive, gc->cycle.root_bytes + gc->cycle.stack_bytes);
	drain(worker);
	/* Nobody reads meanwhile. */
	check(gc_weak_close(gc, gc_weak_word(gc)));
	gc->cycle.mark_end_ns = os_clock_ns();
}

/* Who goes on allocates from spans of the new gen only, as after an answer to H4, which is asked for all the same: whoever waits is woken by it. */
static void resume(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;
	uint64_t stopped_ns;

	gc_threads_seal(gc);
	worker->hurries = false;
	stopped_ns = os_clock_ns() - gc->cycle.stop_ns;
	gc->cycle.stopped_ns = stopped_ns;
	atomic_store_relaxed(&gc->stopped_ns, gc->stopped_ns + stopped_ns);
	atomic_store_relaxed(&gc->stopped_max_ns, size_max(gc->stopped_max_ns, stopped_ns));
}

/* What is dead is led to by nothing, and its cleanups are due. Chains are in the collector's hands meanwhile. */
static void bury(struct arena_gc *gc)
{
	gc_note_phase(gc, GC_EVENT_BURY);
	lock_acquire(&gc->whole_lock);
	gc_cleanups_find(gc);
	gc_ephemerons_clear(gc);
	gc_weak_clear(gc);
	gc_weak_open(gc);
	lock_release(&gc->whole_lock);
	gc_cleanups_post(gc);
}

/* What the pacer is to know of the cycle, whose marking has ended. */
static void tell_pacer(struct gc_worker *worker, uint64_t live, uint64_t allocated)
{
	struct arena_gc *gc = worker->marker.gc;

	gc_worker_account(worker, 0);
	gc_drive_end(&gc->drive, (struct gc_pace_cycle){ .live_bytes = live, .black_bytes = allocated, .allocated_bytes = allocated,
		     .roots_work = gc->cycle.root_bytes + gc->cycle.stack_bytes, .heap_bytes = gc->cycle.end_bytes });
}

/* From here on the lists are those of the next cycle. What was allocated while marking is live, whatever became of it. */
static void flip(struct gc_worker *worker, uint64_t allocated_before)
{
	struct arena_gc *gc = worker->marker.gc;
	uint64_t allocated = atomic_load_relaxed(&gc->allocated_bytes), black = allocated - allocated_before;
	uint64_t live = atomic_load_relaxed(&gc->marked_bytes) + black;

	gc->cycle.end_bytes = gc->cycle.start_bytes + black;
	gc_kinds_flip(&gc->space, &gc->types);
	atomic_store_relaxed(&gc->live_bytes, live);
	atomic_add_relaxed(&gc->allocated_bytes, -allocated);
	tell_pacer(worker, live, black);
}

/* What barriers have met since the last round is marked; blocks of threads that have gone are all that is there. */
static void drop_blocks(struct gc_queue *queue)
{
	struct gc_block *block;

	while ((block = gc_queue_pop(queue)))
		gc_queue_put(queue, block);
}

/* While all are stopped: what the program wants to see, and whether anything was lost. */
static void look(struct arena_gc *gc)
{
	if (!gc->is_verified && !gc_look_is_wanted(gc))
		return;
	gc_note_phase(gc, GC_EVENT_LOOK);
	if (!gc->stops_world)
		gc_ask(gc, GC_REQUEST_STOP);
	gc_look_run(gc);
	if (gc->is_verified)
		gc_verify(gc);
	if (!gc->stops_world)
		gc_ask(gc, GC_REQUEST_RESUME);
}

static void find_runtime_max(struct arena_gc *gc)
{
	uint64_t most = 0;

	for (struct gc_mutator *mutator = gc_threads_first(gc); mutator; mutator = mutator->next)
		most = size_max(most, atomic_load_relaxed(&mutator->runtime_max_ns));
	atomic_store_relaxed(&gc->runtime_max_ns, most);
}

/*
 * What the collector and assists have spent, and where the heap was to end. Sweeping is counted apart: it is no part of the time from start_ns to end_ns, by which
 * the collector's share of a cycle is told. An assist that ends late was for marking all the same.
 */
static void sum_up(struct arena_gc *gc, uint64_t goal_bytes)
{
	struct gc_sums now = gc_drive_sums(&gc->drive);
	struct gc_cycle *cycle = &gc->cycle;

	cycle->cpu_ns = cycle->end.worker_ns - cycle->start.worker_ns;
	cycle->sweep_cpu_ns = now.worker_ns - cycle->begin.worker_ns - cycle->cpu_ns;
	cycle->sweep_ns += os_clock_ns() - cycle->end_ns;
	cycle->assist_ns = now.assist_ns - cycle->begin.assist_ns;
	cycle->goal_bytes = goal_bytes;
	if (gc->is_traced)
		gc_trace(gc);
}

static void run_cycle(struct arena_gc *gc)
{
	struct gc_worker worker;
	uint64_t allocated, goal_bytes = atomic_load_relaxed(&gc->drive.goal_bytes);

	gc_worker_init(&worker, gc, 0);
	begin(&worker);
	allocated = atomic_load_relaxed(&gc->allocated_bytes);
	if (gc->stops_world)
		mark_stopped(&worker);
	else
		mark(&worker);
	bury(gc);
	look(gc);
	gc_note_phase(gc, GC_EVENT_OFF);
	flip(&worker, allocated);
	if (gc->stops_world)
		resume(&worker);
	gc_ask(gc, GC_REQUEST_OFF);
	drop_blocks(&gc->queue);
	gc->cycle.end = spent(&worker);
	gc->cycle.end_ns = os_clock_ns();
	find_runtime_max(gc);
	gc_threads_end(gc);
	gc_note_phase(gc, GC_EVENT_SWEEP);
	gc_workers_sweep(&worker);
	gc_limit_measure(gc);
	if (gc->is_forked)
		gc_fork_recover(gc);
	gc_note_cycle(gc);
	sum_up(gc, goal_bytes);
	gc_timeline_write(gc);
}

/* ---------------------------------------------------------------- the collector's thread */

/* Wait until a cycle is wanted; false when the heap ends. */
static bool wait_for_wish(struct arena_gc *gc)
{
	for (;;) {
		uint32_t seen = atomic_load_seq_cst(&gc->kicks);

		if (atomic_load_acquire(&gc->is_ending))
			return false;
		gc_ahead(gc);
		lock_acquire(&gc->lock);
		gc->is_running = gc->wanted != gc->done;
		lock_release(&gc->lock);
		if (gc->is_running)
			return true;
		os_futex_wait(&gc->kicks, seen);
	}
}

static void *run(void *context)
{
	struct arena_gc *gc = context;

	gc->thread_id = os_thread_id();
	while (wait_for_wish(gc)) {
		run_cycle(gc);
		lock_acquire(&gc->lock);
		gc->is_running = false;
		/* The release pairs with wait_until_done(). */
		atomic_store_release(&gc->done, gc->done + 1);
		atomic_store_relaxed(&gc->is_wished, gc->wanted != gc->done);
		lock_release(&gc->lock);
		os_futex_wake_all(&gc->done);
	}
	gc_workers_stop(gc);
	return NULL;
}

/* Whether this caller is the one to start it. */
static bool claim_start(struct arena_gc *gc)
{
	bool is_mine;

	lock_acquire(&gc->lock);
	is_mine = !gc->has_collector;
	atomic_store_relaxed(&gc->has_collector, true);
	lock_release(&gc->lock);
	return is_mine;
}

/* Nobody needs to wait for what does not come. */
static void give_up(struct arena_gc *gc)
{
	lock_acquire(&gc->lock);
	atomic_store_relaxed(&gc->has_collector, false);
	atomic_store_relaxed(&gc->is_wished, false);
	gc->wanted = gc->done;
	lock_release(&gc->lock);
}

/* Without a lock: making a thread allocates. */
int gc_cycle_start(struct arena_gc *gc)
{
	int error = 0;

	if (claim_start(gc))
		error = thread_start(&gc->collector, run, gc);
	if (error)
		give_up(gc);
	return error;
}

static void *join(void *context)
{
	const struct arena_gc *gc = context;

	pthread_join(gc->collector, NULL);
	return NULL;
}

/* The caller may have other heaps, for which somebody answers meanwhile. */
void gc_cycle_stop(struct arena_gc *gc)
{
	if (!gc->has_collector)
		return;
	atomic_store_release(&gc->is_ending, true); /* pairs with wait_for_wish() */
	atomic_add_seq_cst(&gc->kicks, 1u);
	os_futex_wake_all(&gc->kicks);
	gc_blocking(join, gc);
}

struct wait {
	struct arena_gc *gc;
	uint32_t number;
};

static void *wait_until_done(void *context)
{
	struct wait *wait = context;
	uint32_t done;

	/* Pairs with run(). In the child of a fork there may be no thread to wait for, nor to be had. */
	while (done = atomic_load_acquire(&wait->gc->done), (int32_t)(done - wait->number) < 0 && atomic_load_relaxed(&wait->gc->has_collector))
		os_futex_wait_for(&wait->gc->done, done, LOOK_NS);
	return (int32_t)(done - wait->number) < 0 ? NULL : wait;
}

bool gc_cycle_wait(struct arena_gc *gc)
{
	struct wait wait = { .gc = gc, .number = gc_wish(gc, true) };

	return gc_blocking(wait_until_done, &wait);
}
