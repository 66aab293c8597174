/* SPDX-License-Identifier: MIT */
/*
 * Arenas that hold pointers into a collected heap: what arena.c does besides for those that a collector scans. The others pay for a look at a word where they
 * leave the inline path.
 */
#ifndef LIBARENA_GC_ARENA_H
#define LIBARENA_GC_ARENA_H

#include "meta.h"

static inline bool gc_arena_is_scanned(const struct arena *arena)
{
	return arena->annex.gc;
}

/** Around a change of the run that is in use: the collector may be looking for it. */
void gc_arena_lock(struct arena *arena);
void gc_arena_unlock(struct arena *arena);
/** All of its objects go, and its memory stays: whoever they led to is shaded, if a cycle needs it. Linear then. */
void gc_arena_forget(struct arena *arena);
/** The same for those from @base to @limit. */
void gc_arena_cut(struct arena *arena, uintptr_t base, uintptr_t limit);
/** Whether its memory must stay where it is for now. */
bool gc_arena_is_awaited(const struct arena *arena);
/** It is freed: true, and its memory may go; or false, and arena_drop() is called later. */
bool gc_arena_remove(struct arena *arena);

#endif /* LIBARENA_GC_ARENA_H */
