/* SPDX-License-Identifier: MIT */
/* Traces of malloc() (libarena/trace/format.h): read, shown, and summed up as a mix of sizes. */
#ifndef BENCH_TRACE_H
#define BENCH_TRACE_H

#include "libarena/trace/format.h"

#include <stddef.h>
#include <stdint.h>

/* One call. */
struct event {
	uint64_t ticket;	/* the number of the object that it makes, if it makes one */
	uint64_t old;		/* number of the object that it ends; 0: none */
	uint64_t bytes;
	uint32_t thread;
	uint8_t op;		/* enum trace_op */
	uint8_t align_shift;
};

/* All events of a file, by ticket. */
struct trace {
	struct event *events;	/* for free() */
	size_t nr;
	uint64_t first_ticket;	/* objects with smaller numbers are from before */
};

/** 0, or 1 after a message. */
int trace_read(const char *path, struct trace *trace);

/** `arena-bench events FILE`: one line for each event. 0, or 1 after a message. */
int bench_events(const char *path);
/** `arena-bench mix FILE`: sizes and lifetimes of all objects, as bench/traces has them. 0, or 1 after a message. */
int bench_mix(const char *path);

/**
 * The class of an age, which counts the objects that were made meanwhile: 0 for none, else one more than its logarithm to base 2.
 */
static inline unsigned int mix_age_class(uint64_t age)
{
	return age ? 64 - (unsigned int)__builtin_clzl(age) : 0;
}

#endif /* BENCH_TRACE_H */
