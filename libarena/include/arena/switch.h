/* SPDX-License-Identifier: MIT */
/*
 * Arenas or plain malloc, by one macro at build time. A program includes this header instead of <arena/arena.h>:
 *
 *	cc program.c -larena			arenas
 *	cc -DARENA_USE_MALLOC program.c		every object from malloc(), freed one by one; no library needed
 *
 * The second build tells what arenas are worth, and lets tools that know malloc (leak checkers, heap profilers,
 * hardened allocators) look at the same program. It keeps the contract of <arena/arena.h> but for what only arenas can do: freed
 * memory does not fault, statistics of the process are zero, there is no daemon to join.
 */
#ifndef ARENA_SWITCH_H
#define ARENA_SWITCH_H

#include <arena/arena.h>

#ifdef ARENA_USE_MALLOC

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Before each object, next to it; the block that malloc() gave begins at or before it. */
struct arena_malloc_object {
	struct arena_malloc_object *next;
	struct arena_malloc_object *prev;
	void *block;
	size_t bytes;
};

/* The same name as the library's, so that declarations agree; its contents are this header's own. */
struct arena {
	struct arena_malloc_object head; /* a ring of all objects */
	struct arena_options options;
	struct arena_stats stats;
};

#define ARENA_SWITCH_INLINE static inline __attribute__((unused))

ARENA_SWITCH_INLINE struct arena *arena_malloc_new_at(const struct arena_options *options, const char *where)
{
	struct arena *arena = (struct arena *)calloc(1, sizeof(*arena));

	if (!arena)
		return NULL;
	if (options)
		arena->options = *options;
	if (options && options->name)
		snprintf(arena->stats.name, sizeof(arena->stats.name), "%s", options->name);
	arena->stats.made_at = where;
	arena->stats.source = ARENA_SOURCE_PAGES;
	arena->head.next = arena->head.prev = &arena->head;
	return arena;
}

ARENA_SWITCH_INLINE void arena_malloc_drop(struct arena *arena, struct arena_malloc_object *object)
{
	object->next->prev = object->prev;
	object->prev->next = object->next;
	arena->stats.used_bytes -= object->bytes;
	arena->stats.held_bytes = arena->stats.used_bytes;
	free(object->block);
}

ARENA_SWITCH_INLINE void arena_malloc_reset(struct arena *arena)
{
	while (arena->head.next != &arena->head)
		arena_malloc_drop(arena, arena->head.next);
	arena->stats.nr_resets++;
}

ARENA_SWITCH_INLINE void arena_malloc_reset_release_at(struct arena *arena, const char *where)
{
	(void)where;
	arena_malloc_reset(arena);
}

ARENA_SWITCH_INLINE void arena_malloc_free_at(struct arena *arena, const char *where)
{
	(void)where;
	if (!arena)
		return;
	arena_malloc_reset(arena);
	free(arena);
}

ARENA_SWITCH_INLINE bool arena_malloc_over_limit(const struct arena *arena, size_t bytes)
{
	size_t limit = arena->options.limit_bytes;

	return limit && (bytes > limit || arena->stats.used_bytes > limit - bytes);
}

ARENA_SWITCH_INLINE void *arena_malloc_alloc_aligned(struct arena *arena, size_t bytes, size_t align_bytes)
{
	struct arena_malloc_object *object;
	size_t before;
	void *block;

	if (align_bytes < ARENA_ALIGN_BYTES)
		align_bytes = ARENA_ALIGN_BYTES;
	before = (sizeof(*object) + align_bytes - 1) & ~(align_bytes - 1);
	if (bytes > SIZE_MAX / 2 || arena_malloc_over_limit(arena, bytes) ||
	    posix_memalign(&block, align_bytes, before + bytes))
		return NULL;
	object = (struct arena_malloc_object *)(void *)((char *)block + before) - 1;
	object->block = block;
	object->bytes = bytes;
	object->next = &arena->head;
	object->prev = arena->head.prev;
	object->prev->next = object->next->prev = object;
	arena->stats.used_bytes += bytes;
	arena->stats.held_bytes = arena->stats.used_bytes;
	if (arena->stats.held_bytes > arena->stats.peak_bytes)
		arena->stats.peak_bytes = arena->stats.held_bytes;
	return object + 1;
}

ARENA_SWITCH_INLINE void *arena_malloc_alloc(struct arena *arena, size_t bytes)
{
	return arena_malloc_alloc_aligned(arena, bytes, ARENA_ALIGN_BYTES);
}

ARENA_SWITCH_INLINE void *arena_malloc_zalloc_aligned(struct arena *arena, size_t bytes, size_t align_bytes)
{
	void *object = arena_malloc_alloc_aligned(arena, bytes, align_bytes);

	return object ? memset(object, 0, bytes) : NULL;
}

ARENA_SWITCH_INLINE void *arena_malloc_array_alloc(struct arena *arena, size_t count, size_t bytes, size_t align_bytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, bytes, &total))
		return NULL;
	return arena_malloc_zalloc_aligned(arena, total, align_bytes);
}

ARENA_SWITCH_INLINE void *arena_malloc_calloc(struct arena *arena, size_t count, size_t bytes)
{
	return arena_malloc_array_alloc(arena, count, bytes, ARENA_ALIGN_BYTES);
}

ARENA_SWITCH_INLINE void *arena_malloc_resize(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes,
					      size_t align_bytes)
{
	void *object = arena_malloc_alloc_aligned(arena, new_bytes, align_bytes);

	if (!object || !old)
		return object;
	memcpy(object, old, old_bytes < new_bytes ? old_bytes : new_bytes);
	arena_malloc_drop(arena, (struct arena_malloc_object *)old - 1);
	return object;
}

ARENA_SWITCH_INLINE void *arena_malloc_realloc(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes)
{
	return arena_malloc_resize(arena, old, old_bytes, new_bytes, ARENA_ALIGN_BYTES);
}

ARENA_SWITCH_INLINE bool arena_malloc_slice_grow(struct arena *arena, void **data, size_t *cap, size_t len,
						 size_t want, size_t bytes, size_t align_bytes)
{
	size_t more = *cap + *cap / 2 + 4, total;
	void *grown;

	if (want <= *cap)
		return true;
	if (more < want)
		more = want;
	if (__builtin_mul_overflow(more, bytes, &total))
		return false;
	grown = arena_malloc_resize(arena, *cap ? *data : NULL, len * bytes, total, align_bytes);
	if (!grown)
		return false;
	*data = grown;
	*cap = more;
	return true;
}

ARENA_SWITCH_INLINE void *arena_malloc_memdup(struct arena *arena, const void *data, size_t bytes)
{
	void *copy = arena_malloc_alloc(arena, bytes);

	return copy ? memcpy(copy, data, bytes) : NULL;
}

ARENA_SWITCH_INLINE char *arena_malloc_strndup(struct arena *arena, const char *string, size_t max_bytes)
{
	const char *end = (const char *)memchr(string, 0, max_bytes);
	size_t bytes = end ? (size_t)(end - string) : max_bytes;
	char *copy = (char *)arena_malloc_alloc(arena, bytes + 1);

	if (!copy)
		return NULL;
	memcpy(copy, string, bytes);
	copy[bytes] = 0;
	return copy;
}

ARENA_SWITCH_INLINE char *arena_malloc_strdup(struct arena *arena, const char *string)
{
	return (char *)arena_malloc_memdup(arena, string, strlen(string) + 1);
}

ARENA_SWITCH_INLINE __attribute__((format(printf, 2, 3))) char *arena_malloc_printf(struct arena *arena,
										    const char *format, ...)
{
	char *string = NULL;
	va_list list;
	int length;

	va_start(list, format);
	length = vsnprintf(NULL, 0, format, list);
	va_end(list);
	if (length >= 0)
		string = (char *)arena_malloc_alloc(arena, (size_t)length + 1);
	if (!string)
		return NULL;
	va_start(list, format);
	vsnprintf(string, (size_t)length + 1, format, list);
	va_end(list);
	return string;
}

ARENA_SWITCH_INLINE void *arena_malloc_clone(const void *object, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	return copy ? memcpy(copy, object, bytes) : NULL;
}

ARENA_SWITCH_INLINE char *arena_malloc_clone_string(const char *string)
{
	return (char *)arena_malloc_clone(string, strlen(string) + 1);
}

ARENA_SWITCH_INLINE void arena_malloc_scope_end(struct arena **arena)
{
	arena_malloc_free_at(*arena, NULL);
}

ARENA_SWITCH_INLINE void arena_malloc_stats(const struct arena *arena, struct arena_stats *stats)
{
	*stats = arena->stats;
}

ARENA_SWITCH_INLINE void arena_malloc_memory(struct arena_memory *memory)
{
	memset(memory, 0, sizeof(*memory));
}

ARENA_SWITCH_INLINE char *arena_malloc_memory_json(void)
{
	return arena_malloc_clone_string("{}");
}

/* Every name that the library defines, so that the rest of the program links without it. */
#define arena_version() ARENA_VERSION_STRING
#define arena_source_name(source) ((void)(source), "malloc")
#define arena_source_parse(name) ((void)(name), -EINVAL)
#define arena_source_check(source) ((void)(source), 0)
#define arena_source_of(arena) ((arena)->stats.source)
#define arena_new_at arena_malloc_new_at
#define arena_free_at arena_malloc_free_at
#define arena_reset arena_malloc_reset
#define arena_reset_release_at arena_malloc_reset_release_at
#define arena_alloc_aligned arena_malloc_alloc_aligned
#define arena_alloc arena_malloc_alloc
#define arena_calloc arena_malloc_calloc
#define arena_realloc arena_malloc_realloc
#define arena_strdup arena_malloc_strdup
#define arena_strndup arena_malloc_strndup
#define arena_memdup arena_malloc_memdup
#define arena_printf arena_malloc_printf
#define arena_clone arena_malloc_clone
#define arena_clone_string arena_malloc_clone_string
#define arena_zalloc_aligned arena_malloc_zalloc_aligned
#define arena_array_alloc arena_malloc_array_alloc
#define arena_slice_grow arena_malloc_slice_grow
#define arena_scope_end_ arena_malloc_scope_end
#define arena_stats(arena, out) arena_malloc_stats(arena, out)
#define arena_memory(out) arena_malloc_memory(out)
#define arena_memory_json() arena_malloc_memory_json()
#define arena_trim(max_bytes) ((void)(max_bytes), (size_t)0)
#define arena_fault_handler_enable(enable) ((void)(enable))
#define arena_describe(address, text, text_bytes) ((void)(address), (void)(text), (void)(text_bytes), -ENOENT)
#define arena_daemon_join(socket_path) ((void)(socket_path), -ENOENT)
#define arena_daemon_leave() ((void)0)

#ifdef __cplusplus
}
#endif
#endif /* ARENA_USE_MALLOC */
#endif /* ARENA_SWITCH_H */
