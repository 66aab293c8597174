/* SPDX-License-Identifier: MIT */
/* Arenas as the library's edge uses them: the public functions check their arguments and call these. */
#ifndef LIBARENA_INTERNAL_H
#define LIBARENA_INTERNAL_H

#include "arena/arena.h"
#include "base.h"

/** Make an arena; NULL when out of memory or when its source is not to be had. */
struct arena *arena_create(const struct arena_options *options, const char *where);
/** Free it; panics when it was freed before. */
void arena_destroy(struct arena *arena, const char *where);
/** Give back the memory of one that was destroyed while a collector had to look at it first. Any thread. */
void arena_drop(struct arena *arena);
/** Forget all objects, keep memory. O(1). */
void arena_rewind(struct arena *arena);
/** Forget all objects, give all memory back; false when there is no memory to keep record of that. */
bool arena_give_back(struct arena *arena, const char *where);
/** Resize the arena's last object in place; false when it is not the last or there is no room. */
bool arena_resize_last(struct arena *arena, uintptr_t object, size_t old_bytes, size_t new_bytes);
/** Panics unless this is a living arena; @what was tried, and @where (or NULL). */
void arena_require_live(const struct arena *arena, const char *what, const char *where);
/** Panics when the arena's numbers contradict each other. */
void arena_validate(const struct arena *arena);

#endif /* LIBARENA_INTERNAL_H */
