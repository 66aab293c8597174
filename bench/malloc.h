/* SPDX-License-Identifier: MIT */
/* The parts of `arena-bench malloc`. */
#ifndef BENCH_MALLOC_H
#define BENCH_MALLOC_H

#include "bench/report.h"

#include <stdbool.h>
#include <stddef.h>

/* Names in cases: "PROGRAM/ALLOCATOR". */
#define OURS "arena"
#define GEOMETRIC_MEAN "geometric-mean"

enum { MAX_PROGRAMS = 32, MAX_ALLOCATORS = 8 };

/* A line of bench/programs.txt. */
struct program {
	char name[24];
	size_t size;
	size_t quick_size;
};

/* Fixed after malloc_allocators(). */
struct allocator {
	const char *name;
	char preload[512];	/* what LD_PRELOAD is; empty: glibc's own */
	char file[512];		/* where malloc() is then */
	char version[64];
};

/** The list, in its order; how many. */
size_t malloc_programs(struct program programs[MAX_PROGRAMS]);
/** Allocators that are to be had, ours first; NULL after a message when ours or the driver is not. */
const struct allocator *malloc_allocators(size_t *nr);
/** Their names and versions as comment lines. */
void malloc_print_versions(FILE *out);
/** The version of one, by name; NULL when there is none of that name. */
const char *malloc_version(const char *name);

/** One run of a program with an allocator into the report, as rows of @bench; 0, or 1 after a message. */
int malloc_run(const struct allocator *allocator, const char *bench, const char *program, size_t size, struct report *report);
/** The driver's line about it; 0, or 1 after a message. */
int malloc_take_line(const struct allocator *allocator, const char *bench, const char *program, char *line, struct report *report);

/**
 * Add the ratios of elapsed times, CPU times and peaks to the report, repetition by repetition; if @complete also geometric means, of the
 * peaks over the programs that are small with glibc.
 */
void malloc_add_ratios(struct report *report, bool complete);
/** Those of elapsed times as text; prints nothing when there are none. */
void malloc_print_ratios(const struct report *report, FILE *out);

#endif /* BENCH_MALLOC_H */
