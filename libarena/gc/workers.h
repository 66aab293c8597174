/* SPDX-License-Identifier: MIT */
/*
 * Threads of the collector's that mark: its own, and helpers where it has more than one CPU. In turns, with rests where they have a part of a CPU only.
 */
#ifndef LIBARENA_GC_WORKERS_H
#define LIBARENA_GC_WORKERS_H

#include "gc/aside.h"
#include "gc/mark.h"

/* One of them; its thread's. */
struct gc_worker {
	struct gc_marker marker;
	uint32_t number;	/* 0: the collector */
	struct gc_duty duty;
	struct gc_aside aside;
	uint64_t cpu_ns;	/* of its thread, as far as the pacer knows of it */
	uint64_t rested_ns;	/* since it was last asked how long to rest */
	bool hurries;		/* all wait for it */
};

/** The calling thread's, which is the collector's if @number is 0. */
void gc_worker_init(struct gc_worker *worker, struct arena_gc *gc, uint32_t number);
/** What its thread has done since the last call counts as the collector's work; returns how long that was, in CPU time. */
uint64_t gc_worker_account(struct gc_worker *worker, uint64_t work);

/** Mark until nothing is left and nobody holds anything; then the queue is closed. It was open, and the caller is not busy. The collector's. */
void gc_workers_mark(struct gc_worker *worker);
/** Helpers end. No cycle runs. */
void gc_workers_stop(struct arena_gc *gc);
/** Sweep what mutators have not, with rests. The collector's. */
void gc_workers_sweep(struct gc_worker *worker);

#endif /* LIBARENA_GC_WORKERS_H */
