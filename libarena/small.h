/* SPDX-License-Identifier: MIT */
/* Runs of ordinary pages for small arenas, all in one window, so that many share a mapping. */
#ifndef LIBARENA_SMALL_H
#define LIBARENA_SMALL_H

#include "arena/arena.h"
#include "window.h"

/** Make the window ready: 0 or -ENOMEM. Idempotent. */
int small_start(void);
/** @nr neighboring pages for @owner, that read as zeros; 0 when out of memory. */
uintptr_t small_acquire(size_t nr, uint32_t owner);
/** Take pages back; their addresses fault from now on (or are deferred, see revoke.h). */
void small_release(uintptr_t base, size_t nr);
/** Name another owner of live or released pages. */
void small_set_owner(uintptr_t base, size_t nr, uint32_t owner);
/** Revoke what can be of the deferred. */
void small_trim(void);
/** Fill in the bytes of small arenas and their FIFO. */
void small_memory(struct arena_memory *memory);
/** Panics when counters and tables contradict each other. */
void small_validate(void);

#endif /* LIBARENA_SMALL_H */
