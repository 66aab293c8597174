/* SPDX-License-Identifier: MIT */
/*
 * Guarded objects: a few of those that are sampled lie alone on a page between inaccessible ones, so that an access before, behind or after
 * their life faults, and the report names who allocated and who freed the object. (The idea is Electric Fence's, and to do so by
 * sampling, in production, is GWP-ASan's.)
 *
 *	no access | rest filled ...... object | no access | object ...... rest filled | no access
 *
 * Their number is bounded; the page of a freed one rests as long as others are free.
 */
#ifndef LIBARENA_GUARD_H
#define LIBARENA_GUARD_H

#include "atomic.h"
#include "geometry.h"
#include "panic.h"

/* Longer objects are not guarded. */
#define GUARD_MAX_BYTES PAGE_BYTES

extern uintptr_t guard_base; /* atomic; fixed once guard_bytes is not 0 */
extern size_t guard_bytes;   /* atomic; written once, under lock_setup */

/** Have @nr places for guarded objects, once: 0 or -ENOMEM. The caller holds lock_setup. */
int guard_start(uint32_t nr);

/** Whether an address is in the places of guarded objects, whatever is there. */
static inline bool guard_owns(const void *address)
{
	/* Pairs with the release in guard_start(): who sees the places' bytes sees their base, and what is known of them. */
	size_t bytes = atomic_load_acquire(&guard_bytes);

	return unlikely((uintptr_t)address - atomic_load_relaxed(&guard_base) < bytes);
}

/** An object of @bytes, aligned to 16 bytes and, if @bytes is, to more, of @owner; NULL when there is no place or no memory. */
void *guard_alloc(void *owner, size_t bytes, uint32_t sample);
/** Free it; its sample. Panics, and says who allocated and freed what, when it is none or was written beside. */
uint32_t guard_free(void *object);
/** Bytes of a living object; panics as guard_free(), naming @what. */
size_t guard_usable_bytes(const void *object, const char *what);
/** The owner of an object, NULL for any other address. */
void *guard_owner(const void *object);
/** Free all objects of an owner, calling @forget for their samples. */
void guard_free_all(const void *owner, void (*forget)(uint32_t sample));

/** Append what is known of an address; false when it is none of ours. Async-signal-safe. */
bool guard_describe(uintptr_t address, struct text *text);
/** report() who allocated and freed what is there, if anything. Takes the dynamic linker's lock: for a process that ends. */
void guard_report_stacks(uintptr_t address);

/* fork(): see chunk.h. */
void guard_fork_prepare(void);
void guard_fork_done(void);

#endif /* LIBARENA_GUARD_H */
