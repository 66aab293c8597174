/* SPDX-License-Identifier: MIT */
/* What main, the harness and the benchmarks share. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "arena/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define PAGE_BYTES ((size_t)4 * KiB)
#define CHUNK_BYTES ((size_t)2 * MiB)

/* Chunks of one call, where calls are measured by size: powers of four, so that six sizes span three decades. */
enum { NR_CALL_SIZES = 6 };
static inline size_t size_chunks(size_t i)
{
	return (size_t)1 << 2 * i;
}

/* Fixed after the command line is read. */
struct options {
	unsigned int sources;	 /* bit per enum arena_source */
	bool sources_asked;	 /* named by the user: not to be had is then a failure */
	bool json;
	size_t chunks;		 /* per repetition of fault and fork, or most per call of reclaim; 0: the default */
	size_t reps;		 /* 0: each benchmark's own default */
	size_t objects;		 /* of append and nodes */
	size_t requests;	 /* of request, in all repetitions together */
	const char *program;	 /* of malloc and gc; NULL: all */
	const char *svg;	 /* of gc: the file for a picture, or NULL */
	bool quick;		 /* malloc, gc, pages, idle: small sizes, to see that it works */
};

struct report;

/** Keeps the compiler from dropping work whose result is at @p, and from moving work across. */
static inline void bench_keep(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

/** Print "arena-bench: ..." on standard error; returns 1, the exit status of a failed benchmark. */
int bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Print "arena-bench: skipped: ..." on standard error. */
void bench_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Each benchmark: fills the report; 0, or 1 after a message. */
int bench_fault(const struct options *options, struct report *report);
int bench_reclaim(const struct options *options, struct report *report);
int bench_reclaim_objects(const struct options *options, struct report *report);
int bench_fork(const struct options *options, struct report *report);
int bench_append(const struct options *options, struct report *report);
int bench_nodes(const struct options *options, struct report *report);
int bench_request(const struct options *options, struct report *report);
int bench_malloc(const struct options *options, struct report *report);
int bench_pages(const struct options *options, struct report *report);
int bench_start(const struct options *options, struct report *report);
int bench_idle(const struct options *options, struct report *report);
int bench_gc(const struct options *options, struct report *report);
/** `arena-bench table`: print the rows of @paths; with @check fail when a bar is missed. */
int bench_table(char **paths, size_t nr_paths, bool check);

#endif /* BENCH_BENCH_H */
