// SPDX-License-Identifier: MIT
/* Where time goes: histograms, rings and probes. */
#include "gc/note.h"

#include "gc/probe.h"
#include "os.h"
#include "publish.h"

/* ---------------------------------------------------------------- mutators */

static void raise_runtime_max(struct gc_mutator *mutator, uint64_t ns)
{
	if (ns > atomic_load_relaxed(&mutator->runtime_max_ns))
		atomic_store_relaxed(&mutator->runtime_max_ns, ns);
}

/* What the program sees as one call that took long. */
static bool is_outermost(enum gc_event_kind kind)
{
	return kind == GC_EVENT_ALLOC || kind == GC_EVENT_POLL;
}

void gc_note(struct gc_mutator *mutator, enum gc_event_kind kind, uint64_t begin_ns)
{
	uint64_t end_ns = os_clock_ns();

	if (is_outermost(kind)) {
		raise_runtime_max(mutator, end_ns - begin_ns);
		gc_hist_add(&mutator->gc->times.runtime[mutator->thread_id % GC_TIMES_STRIPES], end_ns - begin_ns);
	}
	if (kind == GC_EVENT_ASSIST)
		GC_PROBE(assist, mutator->gc->space.heap->id, end_ns - begin_ns);
	if (unlikely(mutator->ring))
		gc_ring_add(mutator->ring, &(struct gc_event){ begin_ns, end_ns, mutator->thread_id, (uint16_t)kind, 0 });
}

void gc_note_answer(struct gc_mutator *mutator, enum gc_request request, uint64_t begin_ns)
{
	struct arena_gc *gc = mutator->gc;
	uint64_t end_ns = os_clock_ns();

	gc_hist_add(&gc->times.answer, end_ns - begin_ns);
	gc_hist_add(&gc->times.handshake, end_ns - gc->asked_ns);
	if (likely(!mutator->ring))
		return;
	gc_ring_add(mutator->ring, &(struct gc_event){ begin_ns, end_ns, mutator->thread_id, GC_EVENT_ANSWER, (uint16_t)request });
	gc_ring_add(mutator->ring, &(struct gc_event){ gc->asked_ns, end_ns, mutator->thread_id, GC_EVENT_ASKED, (uint16_t)request });
}

void gc_note_answer_for(const struct gc_mutator *mutator, enum gc_request request)
{
	struct arena_gc *gc = mutator->gc;
	uint64_t end_ns = os_clock_ns();

	gc_hist_add(&gc->times.handshake, end_ns - gc->asked_ns);
	if (unlikely(gc->ring))
		gc_ring_add(gc->ring, &(struct gc_event){ gc->asked_ns, end_ns, mutator->thread_id, GC_EVENT_ASKED, (uint16_t)request });
}

/* ---------------------------------------------------------------- the collector */

static void add_own(struct arena_gc *gc, enum gc_event_kind kind, enum gc_request request, uint64_t begin_ns, uint64_t end_ns)
{
	if (unlikely(gc->ring))
		gc_ring_add(gc->ring, &(struct gc_event){ begin_ns, end_ns, gc->thread_id, (uint16_t)kind, (uint16_t)request });
}

static void end_phase(struct arena_gc *gc, uint64_t now_ns)
{
	if (gc->phase != GC_EVENT_CYCLE)
		add_own(gc, gc->phase, GC_REQUEST_OFF, gc->phase_ns, now_ns);
}

void gc_note_phase(struct arena_gc *gc, enum gc_event_kind phase)
{
	uint64_t now_ns = os_clock_ns();

	if (gc->phase == GC_EVENT_CYCLE) {
		gc->begin_ns = now_ns;
		GC_PROBE(cycle_begin, gc->space.heap->id, gc->done + 1);
	}
	end_phase(gc, now_ns);
	gc->phase = phase;
	gc->phase_ns = now_ns;
}

void gc_note_numbers(struct arena_gc *gc, uint64_t nr_cycles)
{
	const struct heap_collected collected = {
		.is_there = true,
		.nr_cycles = nr_cycles,
		.live_bytes = atomic_load_relaxed(&gc->live_bytes),
		.goal_bytes = atomic_load_relaxed(&gc->drive.goal_bytes),
	};

	publish_collected(gc->space.heap, &collected);
}

void gc_note_cycle(struct arena_gc *gc)
{
	uint64_t now_ns = os_clock_ns();

	end_phase(gc, now_ns);
	add_own(gc, GC_EVENT_CYCLE, GC_REQUEST_OFF, gc->begin_ns, now_ns);
	gc->phase = GC_EVENT_CYCLE;
	gc_note_numbers(gc, gc->done + 1);
	GC_PROBE(cycle_end, gc->space.heap->id, gc->done + 1);
}

void gc_note_handshake(struct arena_gc *gc, enum gc_request request, uint64_t begin_ns)
{
	uint64_t end_ns = os_clock_ns();

	atomic_store_relaxed(&gc->handshake_max_ns, size_max(gc->handshake_max_ns, end_ns - begin_ns));
	add_own(gc, GC_EVENT_HANDSHAKE, request, begin_ns, end_ns);
	GC_PROBE(handshake, gc->space.heap->id, (unsigned int)request, end_ns - begin_ns);
}

/* ---------------------------------------------------------------- reading */

static void read_hist(const struct gc_hist *hist, struct arena_gc_times *times)
{
	*times = (struct arena_gc_times){
		.count = gc_hist_count(hist),
		.p50_ns = gc_hist_quantile(hist, 500000),
		.p99_ns = gc_hist_quantile(hist, 990000),
		.p999_ns = gc_hist_quantile(hist, 999000),
		.p9999_ns = gc_hist_quantile(hist, 999900),
		.max_ns = atomic_load_relaxed(&hist->max_ns),
	};
}

void gc_times_read(const struct gc_times *times, struct arena_gc_latency *latency)
{
	struct gc_hist runtime = { .max_ns = 0 };

	for (unsigned int i = 0; i < GC_TIMES_STRIPES; i++)
		gc_hist_merge(&runtime, &times->runtime[i]);
	read_hist(&runtime, &latency->runtime);
	read_hist(&times->answer, &latency->answer);
	read_hist(&times->handshake, &latency->handshake);
}
