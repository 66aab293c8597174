/* SPDX-License-Identifier: MIT */
/*
 * Chunks from the four sources: acquired, cached, released, and counted.
 *
 * For each source, exact at any time: handed = mapped + cached + returned.
 */
#ifndef LIBARENA_CHUNK_H
#define LIBARENA_CHUNK_H

#include "source.h"

/** Make a source ready: 0, or -errno that says why it is not to be had. Idempotent. */
int chunk_source_start(enum arena_source source);
/** The source that $ARENA_SOURCE names, or AUTO. */
enum arena_source chunk_source_named(void);
/** What AUTO means here and now, started; or -errno. */
int chunk_source_auto(void);

enum chunk_place {
	CHUNK_ANYWHERE,	/* @near is only preferred */
	CHUNK_EXACTLY,	/* at @near or not at all */
};

/**
 * @nr neighboring chunks of a source that was started, for @owner; their address, or 0 when out of memory. The memory is
 * not zeroed: it may have been another arena's. @near (or 0) is where the caller would like them.
 */
uintptr_t chunk_acquire(enum arena_source source, size_t nr, uintptr_t near, enum chunk_place place,
			uint32_t owner);
/** Take back chunks; their addresses fault from now on (or are deferred, see revoke.h). */
void chunk_release(uintptr_t base, size_t nr);
/** Name another owner of live or released chunks. */
void chunk_set_owner(uintptr_t base, size_t nr, uint32_t owner);
/** Fault chunks in ahead of use: 0 or -ENOMEM. */
int chunk_populate(uintptr_t base, size_t nr);

/** Give cached chunks back to the system, at most @max; returns how many. Also revokes what can be of the deferred. */
size_t chunk_trim(size_t max);
/** Fill in the counters of the sources and the FIFO of chunks. */
void chunk_memory(struct arena_memory *memory);
/** Panics when counters and tables contradict each other. */
void chunk_validate(void);

/* fork(): all locks are held across it; the child leaves the device's window to its parent. */
void chunk_fork_prepare(void);
void chunk_fork_parent(void);
void chunk_fork_child(void);

#endif /* LIBARENA_CHUNK_H */
