/* SPDX-License-Identifier: MIT */
/* The parts of `arena-bench gc`. */
#ifndef BENCH_GC_RUNS_H
#define BENCH_GC_RUNS_H

#include <stdbool.h>
#include <stdio.h>

#include "bench/report.h"

/* Names in cases: "PROGRAM/RUNTIME". */
#define OURS_GC "arena"

/** The runtimes that are there, and their versions, as comment lines. */
void gc_print_versions(FILE *out);
/** The version of one, by name; NULL when there is none of that name. */
const char *gc_version(const char *name);
/** Whether a word of the driver, "METRIC:...", is a metric that a plain run tells. */
bool gc_is_plain(const char *word);
/** Add to the report what CPU time and memory of our collector are of each peer's, and what is held against bars, repetition by repetition. */
void gc_add_ratios(struct report *report);
/** The ratios as text; prints nothing when there are none. */
void gc_print_ratios(const struct report *report, FILE *out);

#endif /* BENCH_GC_RUNS_H */
