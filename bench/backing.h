/* SPDX-License-Identifier: MIT */
/* The four kinds of memory whose page faults `fault` compares. */
#ifndef BENCH_BACKING_H
#define BENCH_BACKING_H

#include "arena/arena.h"
#include "bench/dev.h"

#include <stdbool.h>
#include <stddef.h>

/* One repetition's memory: mapped by backing_map(), gone after backing_give_back(). */
struct backing {
	enum arena_source source;
	size_t bytes;		/* a multiple of a chunk; fixed after init */
	char *base;
	struct dev_space space;	/* dev only: lives from init to fini */
	struct arena_stat before; /* dev only: counters when the memory was mapped */
};

/** Prepare; on failure -errno and the reason in @why. hugetlb adds huge pages to the system's when root. */
int backing_init(struct backing *backing, enum arena_source source, size_t nr_chunks, char *why, size_t why_bytes);
void backing_fini(struct backing *backing);
/** Addresses whose first touch is what is measured. 0 or -errno. */
int backing_map(struct backing *backing);
/** Bytes that one fault of this source maps. */
size_t backing_step_bytes(const struct backing *backing);
/** The call that is measured. 0 or -errno. */
int backing_give_back(struct backing *backing);
/** After the touch: was it really this source? After the give-back: is it gone? False and the reason in @why. */
bool backing_is_mapped(const struct backing *backing, char *why, size_t why_bytes);
bool backing_is_gone(const struct backing *backing, char *why, size_t why_bytes);

#endif /* BENCH_BACKING_H */
