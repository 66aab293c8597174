/* SPDX-License-Identifier: MIT */
/* What the files of the malloc replacement share. */
#ifndef LIBARENA_SHIM_H
#define LIBARENA_SHIM_H

#include "heap.h"
#include "panic.h"

#define SHIM_API __attribute__((visibility("default")))

/** An object that is at hand; false when none is. The number of the main heap is a constant, so that its cache is one load away. */
static inline bool shim_take(size_t bytes, void **object)
{
	/* No bytes are many here. */
	return likely(bytes - 1 < CLASS_LOOKUP_BYTES) && likely(cache_take(heap_caches[0], bytes, object));
}

/** Objects of the heap that malloc() is; NULL, without errno, when out of memory. */
void *shim_alloc(size_t bytes);
void *shim_alloc_aligned(size_t bytes, size_t align_bytes);

/*
 * Gives a function a frame pointer in files that are compiled without: every function between the program and the slow paths that
 * walk its stack needs one: else the program's own frame is missing, or the walk ends there.
 */
#define SHIM_FRAME() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

/** The line of statistics. */
void shim_put_totals(struct text *text);
/** Begin to sample when the environment says so; it is the C library's first moment. */
void shim_profile_start(void);
/** The end of the process: write the profile that the environment asks for. */
void shim_profile_end(void);

#endif /* LIBARENA_SHIM_H */
