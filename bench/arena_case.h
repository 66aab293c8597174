/* SPDX-License-Identifier: MIT */
/* What the benchmarks of arenas share: timed passes, their four metrics, and the proof of the source. */
#ifndef BENCH_ARENA_CASE_H
#define BENCH_ARENA_CASE_H

#include "arena/arena.h"
#include "bench/bench.h"
#include "bench/report.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One pass of one row. time and faults grow between pass_resume() and pass_pause() only. */
struct pass {
	bool check;		/* untimed pass: tally bytes and allocations, prove the source */
	uint64_t time;		/* in clock_unit() */
	uint64_t faults;	/* minor ones, of the process */
	uint64_t bytes;
	uint64_t allocations;
	uint64_t resumed_time;
	uint64_t resumed_faults;
};

void pass_resume(struct pass *pass);
void pass_pause(struct pass *pass);

/** Report the pass of a row with @objects objects. @tally: the row's untimed pass. */
void pass_report(struct report *report, const char *name, const char *source, const struct pass *pass,
		 const struct pass *tally, size_t objects);

/* An arena of one source, and what the library's counters said before it was used. */
struct arena_case {
	struct arena *arena;
	enum arena_source source;
	struct arena_memory before;
};

/** A new arena from @source; 0, or 1 after a message. */
int arena_case_open(struct arena_case *c, enum arena_source source);
/** The same without looking at any counter, as a program would; what cold rows time. */
struct arena *arena_case_new(enum arena_source source);
/**
 * Called when the arena is full and @object is its last one: fails (1, after a message) when the statistics or smaps
 * say that its chunks are of another source.
 */
int arena_case_check(const struct arena_case *c, const void *object);
/**
 * Called after arena_free() of the arena: fails (1, after a message) when its addresses were not revoked at once, which
 * is what cold rows claim to measure.
 */
int arena_case_check_revoked(const struct arena_case *c);
/** Name of the source that the memory really came from: "pages" when the arena has no chunk. */
const char *arena_case_source_name(const struct arena *arena);

/**
 * The sources to measure, into @sources: those asked for, else @fallback. Returns their number, or -1 after a
 * message when one is not to be had.
 */
int arena_case_sources(const struct options *options, enum arena_source fallback,
		       enum arena_source sources[ARENA_NR_SOURCES]);

#endif /* BENCH_ARENA_CASE_H */
