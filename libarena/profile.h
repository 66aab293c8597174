/* SPDX-License-Identifier: MIT */
/*
 * What is known of sampled objects: where they were allocated (sites), and which live.
 *
 *	sampled object -> sample -> site (stack, sums)
 *
 * Who allocates decides by sample.h which objects are sampled, adds a sample for each, keeps its number, and removes it when the object
 * is freed. Sites stay for ever, so that their numbers and addresses may be kept without a lock.
 */
#ifndef LIBARENA_PROFILE_H
#define LIBARENA_PROFILE_H

#include "arena/profile.h"
#include "atomic.h"
#include "sample.h"
#include "stack.h"

/* No sample, and no site. */
#define SAMPLE_NONE 0u
#define SITE_NONE 0u

enum site_kind {
	SITE_HEAP,
	SITE_ARENA,
	SITE_GC,
	SITE_FREE,	/* where an object was freed: not part of the profile */
	NR_SITE_KINDS
};

extern uint64_t profile_mean_word; /* atomic, relaxed: threads hear of it when they next take a slow path */
extern __thread unsigned int profile_pauses __attribute__((tls_model("initial-exec")));

/** Start sampling with @seed (0: one of its own): 0 or -ENOMEM. @mean_bytes > 0. */
int profile_start(uint64_t mean_bytes, uint64_t seed);
/** Sample nothing more; what was sampled is still followed. */
void profile_stop(void);

/** Mean distance of samples; 0 while there is no sampling, or not for this thread now. */
static inline uint64_t profile_mean(void)
{
	uint64_t mean_bytes = atomic_load_relaxed(&profile_mean_word);

	return likely(!mean_bytes) || profile_pauses ? 0 : mean_bytes;
}

/** This thread's random numbers. */
struct sample_random *profile_random(void);

/** The calling stack's site; SITE_NONE when there is no room. */
uint32_t profile_site(enum site_kind kind);
/** The return addresses of a site, and how many; valid for ever. */
const uintptr_t *profile_addresses(uint32_t site, unsigned int *nr);

/** An object of @bytes that was sampled is allocated here; its sample, or SAMPLE_NONE when there is no room. */
uint32_t profile_add(enum site_kind kind, uint64_t mean_bytes, uint64_t bytes);
/** The same for one of an arena: its samples are a list that begins at *@list. */
void profile_add_to(uint32_t *list, uint64_t mean_bytes, uint64_t bytes);
/** The object is gone; SAMPLE_NONE is allowed. */
void profile_remove(uint32_t sample);
/** All of a list are gone. */
void profile_remove_all(uint32_t *list);
/** The site of a living sample. */
uint32_t profile_site_of(uint32_t sample);

/** Panics when sums and samples contradict each other. */
void profile_validate(void);

/* fork(): see chunk.h. */
void profile_fork_prepare(void);
void profile_fork_done(void);

#endif /* LIBARENA_PROFILE_H */
