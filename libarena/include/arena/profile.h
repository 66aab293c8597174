/* SPDX-License-Identifier: MIT */
/*
 * Profiles of heaps and arenas, by sampling: who allocates, and who still holds memory.
 *
 * One allocation in half a mebibyte, on average, is remembered with the stack that made it. From these the totals of each stack are estimated,
 * without bias: an object of s bytes is sampled with the probability 1 - exp(-s / mean) and counts for as many as that stands for.
 * Objects of arenas count as in use until their arena is freed or reset.
 *
 * Stacks are found by frame pointers: compile programs with -fno-omit-frame-pointer. Code without costs frames, not safety.
 *
 * Sampled objects of a heap may also be guarded: each lies alone on a page between inaccessible ones, so that an access beside it or after
 * it was freed faults, and the report says who allocated and who freed it. Objects of at most 4 KiB; places are bounded, those that
 * were freed first are used again first. A fault handler is installed then, as for arenas. These pages are apart from all heaps: guarded
 * objects are in no heap's limit or statistics, and arena_heap_walk() does not see them. Heaps whose memory is the program's own or of one
 * NUMA node have none.
 *
 * Off by default. While off it costs nothing; while on, allocation that is not sampled costs a few instructions more in the mean.
 *
 * Thread rules: any thread, any time; not from signal handlers.
 *
 * Source of the method: the allocation profiles of Go's runtime (MemProfileRate) and of gperftools.
 */
#ifndef ARENA_PROFILE_H
#define ARENA_PROFILE_H

#include <arena/arena.h>

#ifdef __cplusplus
extern "C" {
#endif

struct arena_profile_options {
	size_t mean_bytes;	/* bytes from one sample to the next on average; 0 = 512 KiB */
	uint64_t seed;		/* of the random numbers; 0 = another one in each process */
	uint32_t guarded_objects; /* places for guarded objects, at most 16384; 0 = none. The first call that has some decides */
};

/**
 * Begin to sample. @options may be NULL (all defaults). 0, or -ENOMEM, or -EINVAL for a mean beyond 1 TiB or too many places. A second call changes the mean
 * and forgets nothing. Threads that allocate already notice when they next need a slow path, which a loop that
 * allocates and frees one object may not for long: begin early.
 */
ARENA_API int arena_profile_start(const struct arena_profile_options *options);
/** Sample nothing more. What was sampled is kept, and followed until it is freed. */
ARENA_API void arena_profile_stop(void);
/** The calling thread's allocations are not sampled until arena_profile_resume(). Calls nest. */
ARENA_API void arena_profile_pause(void);
ARENA_API void arena_profile_resume(void);
/** The mean in bytes; 0 while nothing is sampled. */
ARENA_API size_t arena_profile_mean_bytes(void);

/* All that was sampled of one stack. Numbers are estimates of all that it allocated since the start. */
struct arena_profile_site {
	const char *kind;	/* "heap", "arena" or "gc", for collected heaps; a string for ever */
	const uintptr_t *addresses; /* return addresses, innermost first; valid for ever */
	size_t nr_addresses;
	uint64_t allocated_objects;
	uint64_t allocated_bytes;
	uint64_t used_objects;	/* of these not freed yet */
	uint64_t used_bytes;
};

/**
 * Call @function for each stack, until it returns false. Each site is consistent in itself. It may allocate; what it allocates is not
 * sampled. Linear in sites.
 */
ARENA_API void arena_profile_for_each(bool (*function)(const struct arena_profile_site *site, void *data), void *data);

/**
 * Write the profile to @fd, or to a file that is made or replaced at @path: gzipped, in the protobuf format of pprof, with the
 * sample types alloc_objects, alloc_space, inuse_objects and inuse_space. Read it by `go tool pprof` or Pyroscope. 0 or -errno. Allocates.
 * A program that is linked with libarena.a needs -lprotobuf-c -lz for these two.
 */
ARENA_API int arena_profile_write(int fd);
ARENA_API int arena_profile_save(const char *path);

/**
 * Write to @fd, as a text, what is in use by whom: the stacks that hold most first. At the end of a program these are its leaks. 0 or
 * -errno. Allocates.
 */
ARENA_API int arena_profile_report(int fd);

#ifdef __cplusplus
}
#endif

#endif /* ARENA_PROFILE_H */
