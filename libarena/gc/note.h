/* SPDX-License-Identifier: MIT */
/*
 * Who takes time says so here, once, when it is over: it goes into the histograms, into the timeline if there is one (ARENA_TRACE), and to
 * who listens to the probes.
 *
 * Only slow paths call it. A new one in which mutators spend time needs two lines:
 *
 *	uint64_t begin_ns = os_clock_ns();
 *	...
 *	gc_note(mutator, GC_EVENT_ASSIST, begin_ns);
 */
#ifndef LIBARENA_GC_NOTE_H
#define LIBARENA_GC_NOTE_H

#include "gc/collected.h"

/** A mutator has spent the time since @begin_ns. The mutator's. */
void gc_note(struct gc_mutator *mutator, enum gc_event_kind kind, uint64_t begin_ns);
/** It has done since @begin_ns what the collector has asked for. The mutator's. */
void gc_note_answer(struct gc_mutator *mutator, enum gc_request request, uint64_t begin_ns);
/** The same, by the collector in its place. */
void gc_note_answer_for(const struct gc_mutator *mutator, enum gc_request request);

/** A phase begins, and with it the last one ends. The collector's, as all below. */
void gc_note_phase(struct arena_gc *gc, enum gc_event_kind phase);
/** The cycle ends. */
void gc_note_cycle(struct arena_gc *gc);
/** Show others the heap's numbers after @nr_cycles (arena/shared.h). Also before there is a collector. */
void gc_note_numbers(struct arena_gc *gc, uint64_t nr_cycles);
/** All have answered what was asked for since @begin_ns. */
void gc_note_handshake(struct arena_gc *gc, enum gc_request request, uint64_t begin_ns);

/** Sums of the histograms of a heap. Any thread. */
void gc_times_read(const struct gc_times *times, struct arena_gc_latency *latency);

#endif /* LIBARENA_GC_NOTE_H */
