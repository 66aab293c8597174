/* SPDX-License-Identifier: MIT */
/*
 * How long a thread takes for each 64 allocations, with what the program does between them. By the wall clock always; with
 * ARENA_BENCH_GC_SELF in the environment also by the thread's CPU clock, which costs three system calls each time, so that such a run tells nothing about speed.
 */
#ifndef BENCH_GC_BATCH_H
#define BENCH_GC_BATCH_H

#include "bench/gc/outcome.h"

#include <stdbool.h>
#include <stdint.h>

enum { BATCH_ALLOCATIONS = 64 };

/* Allocations until the batch ends; the thread's. */
extern __thread unsigned int batch_left;

/** Once, by the main thread. */
void batch_init(void);
/** Around what a thread does; its first batch begins now. */
void batch_thread_begin(void);
void batch_thread_end(void);
/** A batch is full. */
void batch_end(void);
/**
 * What all threads came to. With ARENA_BENCH_GC_TABLES too the curve of utilization and a histogram of pauses, which are what batches took beyond the program's own time,
 * are added to files whose names begin with that.
 */
void batch_report(struct outcome *outcome);

#endif /* BENCH_GC_BATCH_H */
