// SPDX-License-Identifier: MIT
/*
 * A worker marks for a turn, hands over what it holds, and rests if it has to: so nothing waits for one that rests, and mutators that assist find what
 * it had.
 *
 *	worker		0 ... whole - 1		whole			others
 *	CPU		all of one		a percentage of one	none
 *
 * as the pacer says. Rests are for the mutators, who have the CPU meanwhile. Where there are more CPUs than mutators that run nobody wants it: so many
 * workers do not rest at all.
 *
 * The collector calls helpers when it has marked for a turn and there is more, and then again at each turn, so that small heaps wake nobody. They are
 * threads of their own from the first such call on; one that is not to be had is done without.
 */
#include "gc/workers.h"

#include "gc/ahead.h"
#include "gc/aside.h"
#include "gc/sweep.h"
#include "gc/threads.h"
#include "thread.h"

/* What mutators are kept waiting where there is one CPU. */
#define TURN_NS ((uint64_t)1000 * 1000)
/* Between two looks at the clock: some 50 us. */
#define STRIDE_WORK ((uint64_t)16 * KiB)
#define STRIDE_SPANS 256
/* To sleep less takes as long. What is owed is not forgotten. */
#define LEAST_REST_NS ((uint64_t)100 * 1000)

void gc_worker_init(struct gc_worker *worker, struct arena_gc *gc, uint32_t number)
{
	*worker = (struct gc_worker){ .marker.gc = gc, .number = number, .cpu_ns = os_thread_cpu_ns() };
}

uint64_t gc_worker_account(struct gc_worker *worker, uint64_t work)
{
	uint64_t now_ns = os_thread_cpu_ns(), ran_ns = now_ns - worker->cpu_ns;

	worker->cpu_ns = now_ns;
	gc_drive_ran(&worker->marker.gc->drive, work, ran_ns);
	return ran_ns;
}

/* ---------------------------------------------------------------- who works how much */

/* Percent of a CPU that each of them has. */
struct share {
	uint32_t nr_whole;	/* workers that have a whole one */
	uint32_t percent;	/* what the next one has */
};

static struct share share_now(struct arena_gc *gc)
{
	uint32_t nr_running = gc_threads_running(gc), nr_cpus = gc->drive.pace.nr_cpus; /* fixed */
	struct share share;

	share.percent = gc_drive_workers(&gc->drive, &share.nr_whole);
	if (nr_cpus > nr_running && nr_cpus - nr_running > share.nr_whole)
		share = (struct share){ .nr_whole = nr_cpus - nr_running };
	return share;
}

/* Percent of a CPU. */
static uint32_t share_of(struct arena_gc *gc, uint32_t number)
{
	struct share share = share_now(gc);

	if (number < share.nr_whole)
		return 100;
	return number == share.nr_whole ? share.percent : 0;
}

/* After @ran_ns of CPU time. What is slept too long shortens the next rests. */
static void rest(struct gc_worker *worker, uint64_t ran_ns)
{
	uint32_t percent = share_of(worker->marker.gc, worker->number);
	uint64_t rest_ns, begin_ns;

	if (worker->hurries || !percent || percent == 100)
		return;
	rest_ns = gc_duty_rest(&worker->duty, percent, ran_ns, worker->rested_ns);
	worker->rested_ns = 0;
	if (rest_ns < LEAST_REST_NS)
		return;
	begin_ns = os_clock_ns();
	gc_move_on(&worker->aside, rest_ns);
	os_sleep_ns(gc_pace_over(rest_ns, os_clock_ns() - begin_ns));
	worker->rested_ns = os_clock_ns() - begin_ns;
}

/* Busy when it begins, and not when it ends: how much CPU time it took. *@has_more: the turn was too short for all that there is. */
static uint64_t take_turn(struct gc_worker *worker, bool *has_more)
{
	struct gc_marker *marker = &worker->marker;
	struct arena_gc *gc = marker->gc;
	uint64_t begin_work = marker->work, now_ns = os_clock_ns(), limit_ns = now_ns + TURN_NS;

	for (*has_more = true; *has_more && now_ns < limit_ns;) {
		uint64_t before = marker->work;

		gc_step_aside(&worker->aside, gc);
		*has_more = gc_mark_some(marker, STRIDE_WORK);
		now_ns = os_clock_ns();
		gc_drive_did(&gc->drive, marker->work - before);
		gc_drive_revise(&gc->drive, now_ns, gc_heap_bytes(gc));
	}
	gc_mark_leave(marker);
	return gc_worker_account(worker, marker->work - begin_work);
}

/* ---------------------------------------------------------------- helpers */

static void help_while_open(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;
	uint64_t before, ran_ns;
	bool has_more;

	while (share_of(gc, worker->number) && gc_queue_await(&gc->queue, false)) {
		before = worker->marker.work;
		ran_ns = take_turn(worker, &has_more);
		atomic_add_relaxed(&gc->crew.helped_work, worker->marker.work - before);
		rest(worker, ran_ns);
	}
}

static void *help(void *context)
{
	const struct gc_helper *helper = context;
	struct gc_crew *crew = &helper->gc->crew;
	struct gc_worker worker;
	uint32_t seen;

	gc_worker_init(&worker, helper->gc, helper->number);
	/* Both pair with call(). */
	while (seen = atomic_load_seq_cst(&crew->calls), !atomic_load_acquire(&crew->is_ending)) {
		help_while_open(&worker);
		os_futex_wait(&crew->calls, seen);
	}
	return NULL;
}

static void call(struct gc_crew *crew)
{
	atomic_add_seq_cst(&crew->calls, 1u);
	os_futex_wake_all(&crew->calls);
}

static bool add_helper(struct arena_gc *gc)
{
	struct gc_crew *crew = &gc->crew;
	struct gc_helper *helper = &crew->helpers[crew->nr_helpers];

	helper->gc = gc;
	helper->number = crew->nr_helpers + 1;
	if (thread_start(&helper->thread, help, helper))
		return false;
	crew->nr_helpers++;
	return true;
}

/* All that have a share now. */
static void call_helpers(struct arena_gc *gc)
{
	struct share share = share_now(gc);
	uint32_t nr_workers = share.nr_whole + (share.percent > 0), nr = nr_workers ? nr_workers - 1 : 0;

	while (gc->crew.nr_helpers < GC_HELPERS_MAX && gc->crew.nr_helpers < nr && add_helper(gc))
		;
	if (nr)
		call(&gc->crew);
}

void gc_workers_stop(struct arena_gc *gc)
{
	struct gc_crew *crew = &gc->crew;

	atomic_store_release(&crew->is_ending, true);
	call(crew);
	while (crew->nr_helpers)
		pthread_join(crew->helpers[--crew->nr_helpers].thread, NULL);
}

/* ---------------------------------------------------------------- the collector */

void gc_workers_mark(struct gc_worker *worker)
{
	struct arena_gc *gc = worker->marker.gc;
	uint64_t ran_ns;
	bool has_more;

	while (gc_queue_await(&gc->queue, true)) {
		ran_ns = take_turn(worker, &has_more);
		gc_ahead(gc);
		if (has_more)
			call_helpers(gc);
		rest(worker, ran_ns);
	}
}

void gc_workers_sweep(struct gc_worker *worker)
{
	uint64_t limit_ns = os_clock_ns() + TURN_NS;

	while (gc_sweep_some(worker->marker.gc, STRIDE_SPANS)) {
		gc_step_aside(&worker->aside, worker->marker.gc);
		gc_ahead(worker->marker.gc);
		if (os_clock_ns() < limit_ns)
			continue;
		rest(worker, gc_worker_account(worker, 0));
		limit_ns = os_clock_ns() + TURN_NS;
	}
	gc_worker_account(worker, 0);
}
