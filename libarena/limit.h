/* SPDX-License-Identifier: MIT */
/*
 * How much memory heaps may hold, and what a growth near a limit must give back first. Pure arithmetic, in chunks; the guard is the user's.
 *
 *	held + growth <= hard			else the growth is refused
 *	held + growth <= soft = 95 % of hard	else idle chunks go back first, as many as are over, and the program is told
 *
 * The room between the two is where a program can still allocate while it drops what it can do without. Go's limit is soft alone
 * (M. Knyszek, proposal 48409), with 5 % of it kept free by its scavenger; a hard one is what users of allocators ask for.
 */
#ifndef LIBARENA_LIMIT_H
#define LIBARENA_LIMIT_H

#include "geometry.h"

#define LIMIT_SOFT_PERCENT 95
/* Without a limit idle chunks that no growth can use go back all the same, but for these: a tenth of what is in use, or two. */
#define LIMIT_KEEP_PERCENT 10
#define LIMIT_KEEP_CHUNKS 2

/* Invariant: soft <= hard. UINT64_MAX twice is no limit. */
struct limit {
	uint64_t hard_chunks;
	uint64_t soft_chunks;
};

/** The limit of @bytes, whole chunks of them; 0 is none. */
static inline struct limit limit_from_bytes(uint64_t bytes)
{
	uint64_t hard = bytes / CHUNK_BYTES;

	if (!bytes)
		return (struct limit){ UINT64_MAX, UINT64_MAX };
	return (struct limit){ .hard_chunks = hard, .soft_chunks = hard * LIMIT_SOFT_PERCENT / 100 };
}

/** Whether @nr chunks may come to @held ones. */
static inline bool limit_allows(const struct limit *limit, uint64_t held, uint64_t nr)
{
	return held <= limit->hard_chunks && nr <= limit->hard_chunks - held;
}

/** By how many chunks @held and @nr more are over the soft limit. */
static inline uint64_t limit_excess(const struct limit *limit, uint64_t held, uint64_t nr)
{
	return held + nr > limit->soft_chunks ? held + nr - limit->soft_chunks : 0;
}

/**
 * How many of @idle chunks, none of which will do, go back before a heap with @used ones grows by @nr: so that it does not hold more than
 * it would without them; all that are @over a soft limit, and else no more than the growth.
 */
static inline uint64_t limit_make_way(uint64_t used, uint64_t idle, uint64_t nr, uint64_t over)
{
	uint64_t tenth = used * LIMIT_KEEP_PERCENT / 100;
	uint64_t keep = tenth > LIMIT_KEEP_CHUNKS ? tenth : LIMIT_KEEP_CHUNKS;
	uint64_t spare = idle > keep ? idle - keep : 0;
	uint64_t swap = spare < nr ? spare : nr;

	if (swap < over)
		swap = over < idle ? over : idle;
	return swap;
}

#endif /* LIBARENA_LIMIT_H */
