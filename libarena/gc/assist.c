// SPDX-License-Identifier: MIT
/*
 * What a thread owes it pays when it comes for more: first with what workers did that nobody owed, then by marking.
 *
 * For the time of a slice it is a marker like any other, counted as busy in the queue, and at the slice's end it hands over all that it holds. It answers
 * the collector before a slice, never within one: so when it has answered it holds nothing that it took before. A slice is bounded
 * in work, by what was measured lately, and takes a span at most beyond; an object that is longer is left off in its middle.
 *
 * Where the heap is at its ceiling and there is nothing to mark, because all that is left is in one hand (a list), or the collector waits for answers, the thread sleeps for as long as it
 * would have marked: else the heap would grow by all that it allocates meanwhile. It counts as blocked, so that nobody waits for it in turn, and the
 * collector may get its CPU.
 */
#include "gc/assist.h"

#include "gc/mark.h"
#include "gc/note.h"
#include "gc/threads.h"

/* Work that was done; 0 when there is none to be had, or marking is over. */
static uint64_t mark_slice(struct gc_mutator *mutator, uint64_t work)
{
	struct arena_gc *gc = mutator->gc;
	struct gc_marker marker = { .gc = gc };
	uint64_t begin_ns, begin_cpu_ns;

	if (unlikely(atomic_load_relaxed(&arena_gc_local_.attention)))
		gc_answer();
	if (!gc_queue_enter(&gc->queue))
		return 0;
	begin_ns = os_clock_ns();
	begin_cpu_ns = os_thread_cpu_ns();
	gc_mark_some(&marker, work);
	gc_mark_leave(&marker);
	gc_drive_assisted(&gc->drive, work, marker.work, os_thread_cpu_ns() - begin_cpu_ns);
	gc_note(mutator, GC_EVENT_ASSIST, begin_ns);
	return marker.work;
}

static void *sleep_for(void *ns)
{
	os_sleep_ns(*(const uint64_t *)ns);
	return NULL;
}

/*
 * It counts as the program's time, or the collector would be capped while others wait for it. Not under a limit, where a heap may be at its ceiling for good:
 * there one slice is all, and the cap what it was. Nor is an object that was long before the cycle began waited for in proportion: the cycle may end meanwhile.
 */
static void make_way(struct arena_gc *gc, uint64_t slices)
{
	bool has_limit = atomic_load_relaxed(&gc->drive.has_limit);
	uint64_t ns = (has_limit ? 1 : size_min(slices, GC_PACE_MOST_WAIT_SLICES)) * GC_PACE_SLICE_NS, begin_ns;

	if (gc_heap_bytes(gc) <= atomic_load_relaxed(&gc->drive.ceiling_bytes))
		return;
	begin_ns = os_clock_ns();
	gc_blocking(sleep_for, &ns);
	if (!has_limit)
		gc_drive_waited(&gc->drive, os_clock_ns() - begin_ns);
}

static void mark_for(struct gc_mutator *mutator, uint64_t work, uint64_t slice_work)
{
	uint64_t left = work, done = 1;

	while (left && done) {
		done = mark_slice(mutator, size_min(left, slice_work));
		gc_pace_paid(&mutator->debt, done);
		left = gc_pace_over(left, done);
	}
	if (left)
		make_way(mutator->gc, gc_pace_over(left, 1) / slice_work + 1);
}

/* Of another cycle than the one that runs. */
static void forget_old_debt(struct gc_mutator *mutator, uint64_t cycle)
{
	if (mutator->debt_cycle != cycle)
		mutator->debt = (struct gc_debt){ 0 };
	mutator->debt_cycle = cycle;
}

static void pay(struct gc_mutator *mutator, uint64_t bytes)
{
	struct arena_gc *gc = mutator->gc;
	struct gc_pace pace = gc_drive_view(&gc->drive);
	uint64_t heap_bytes = gc_heap_bytes(gc), owed;

	forget_old_debt(mutator, atomic_load_relaxed(&gc->drive.nr_begun));
	gc_drive_revise(&gc->drive, os_clock_ns(), heap_bytes);
	owed = gc_pace_owe(&pace, &mutator->debt, bytes);
	gc_pace_paid(&mutator->debt, gc_drive_take_credit(&gc->drive, owed));
	mark_for(mutator, gc_pace_due_work(&pace, &mutator->debt, bytes, heap_bytes), gc_pace_slice_work(&pace));
}

void gc_assist(struct gc_mutator *mutator)
{
	struct arena_gc *gc = mutator->gc;
	uint64_t bytes = mutator->taken_bytes;

	mutator->taken_bytes = 0;
	if (unlikely(gc_drive_is_owed(&gc->drive)))
		pay(mutator, bytes);
	else if (unlikely(atomic_load_relaxed(&gc->is_wished)) && !atomic_load_relaxed(&gc->drive.is_running))
		make_way(gc, 1);
}
