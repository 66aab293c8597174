// SPDX-License-Identifier: MIT
/*
 * A worker marks for a turn, hands over what it holds, and rests if it has to: so nothing waits for one that rests, and mutators that assist find what
 * it had.
 *
 * Rests are for the mutators, who have the CPU meanwhile. Where there are more CPUs than mutators that run nobody wants it, and there are none.
 */
#include "gc_workers.h"

#include "gc_sweep.h"
#include "gc_threads.h"

/* What mutators are kept waiting where there is one CPU. */
#define TURN_NS ((uint64_t)1000 * 1000)
/* Between two looks at the clock: some 50 us. */
#define STRIDE_WORK ((uint64_t)16 * KiB)
#define STRIDE_SPANS 256
/* To sleep less takes as long. What is owed is not forgotten. */
#define LEAST_REST_NS ((uint64_t)100 * 1000)

void gc_worker_init(struct gc_worker *worker, struct arena_gc *gc)
{
	*worker = (struct gc_worker){ .marker.gc = gc, .cpu_ns = os_thread_cpu_ns() };
}

uint64_t gc_worker_account(struct gc_worker *worker, uint64_t work)
{
	uint64_t now_ns = os_thread_cpu_ns(), ran_ns = now_ns - worker->cpu_ns;

	worker->cpu_ns = now_ns;
	gc_drive_ran(&worker->marker.gc->drive, work, ran_ns);
	return ran_ns;
}

/* ---------------------------------------------------------------- rests */

/* After @ran_ns of CPU time. What is slept too long shortens the next rests. */
static void rest(struct gc_worker *worker, uint64_t ran_ns)
{
	struct arena_gc *gc = worker->marker.gc;
	uint32_t nr_whole, percent = gc_drive_workers(&gc->drive, &nr_whole);
	uint64_t rest_ns, begin_ns;

	if (worker->hurries || nr_whole || gc_threads_running(gc) < gc->drive.pace.nr_cpus)
		return;
	rest_ns = gc_duty_rest(&worker->duty, percent, ran_ns, worker->rested_ns);
	worker->rested_ns = 0;
	if (rest_ns < LEAST_REST_NS)
		return;
	begin_ns = os_clock_ns();
	os_sleep_ns(rest_ns);
	worker->rested_ns = os_clock_ns() - begin_ns;
}

/* ---------------------------------------------------------------- marking and sweeping */

static void mark_turn(struct gc_worker *worker)
{
	struct gc_marker *marker = &worker->marker;
	struct arena_gc *gc = marker->gc;
	uint64_t begin_work = marker->work, now_ns = os_clock_ns(), limit_ns = now_ns + TURN_NS;
	bool has_more = true;

	while (has_more && now_ns < limit_ns) {
		uint64_t before = marker->work;

		has_more = gc_mark_some(marker, STRIDE_WORK);
		now_ns = os_clock_ns();
		gc_drive_did(&gc->drive, marker->work - before);
		gc_drive_revise(&gc->drive, now_ns, gc_heap_bytes(gc));
	}
	gc_mark_leave(marker);
	rest(worker, gc_worker_account(worker, marker->work - begin_work));
}

void gc_workers_mark(struct gc_worker *worker)
{
	while (gc_queue_await(&worker->marker.gc->queue, true))
		mark_turn(worker);
}

void gc_workers_sweep(struct gc_worker *worker)
{
	uint64_t limit_ns = os_clock_ns() + TURN_NS;

	while (gc_sweep_some(worker->marker.gc, STRIDE_SPANS)) {
		if (os_clock_ns() < limit_ns)
			continue;
		rest(worker, gc_worker_account(worker, 0));
		limit_ns = os_clock_ns() + TURN_NS;
	}
	gc_worker_account(worker, 0);
}
