// SPDX-License-Identifier: MIT
/*
 * What is built on allocation alone: zeroed objects, arrays, resizing, copies, strings, slices, clones.
 *
 * Sizes come from callers and are multiplied and added here, so each sum is checked.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "panic.h"

/* Slices start with that much, so that the first pushes do not each move the slice. */
#define SLICE_FIRST_BYTES 64

void *arena_array_alloc(struct arena *arena, size_t count, size_t bytes, size_t align_bytes)
{
	size_t total;

	if (__builtin_mul_overflow(count, bytes, &total))
		return NULL;
	return arena_zalloc_aligned(arena, total, align_bytes);
}

void *arena_calloc(struct arena *arena, size_t count, size_t bytes)
{
	return arena_array_alloc(arena, count, bytes, ARENA_ALIGN_BYTES);
}

static void *resize(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes, size_t align_bytes)
{
	void *object;

	if (old && arena_resize_last(arena, (uintptr_t)old, old_bytes, new_bytes))
		return old;
	arena_require_live(arena, "arena_realloc()", NULL);
	if (old && new_bytes <= old_bytes)
		return old;
	object = arena_alloc_aligned(arena, new_bytes, align_bytes);
	if (object && old)
		memcpy(object, old, old_bytes);
	return object;
}

void *arena_realloc(struct arena *arena, void *old, size_t old_bytes, size_t new_bytes)
{
	return resize(arena, old, old_bytes, new_bytes, ARENA_ALIGN_BYTES);
}

bool arena_slice_grow(struct arena *arena, void **data, size_t *cap, size_t len, size_t want, size_t bytes,
		      size_t align_bytes)
{
	size_t first = bytes && bytes < SLICE_FIRST_BYTES ? SLICE_FIRST_BYTES / bytes : 1;
	size_t more = *cap + *cap / 2, old_bytes = *cap * bytes, new_bytes;
	void *grown;

	check(len <= *cap);
	if (want <= *cap)
		return true;
	if (more < want)
		more = want;
	if (more < first)
		more = first;
	if (__builtin_mul_overflow(more, bytes, &new_bytes))
		return false;
	grown = resize(arena, *cap ? *data : NULL, old_bytes, new_bytes, align_bytes);
	if (!grown)
		return false;
	*data = grown;
	*cap = more;
	return true;
}

/* ---------------------------------------------------------------- copies */

void *arena_memdup(struct arena *arena, const void *data, size_t bytes)
{
	void *copy = arena_alloc(arena, bytes);

	/* No bytes may be nowhere, which memcpy() does not allow. */
	return copy && bytes ? memcpy(copy, data, bytes) : copy;
}

static char *copy_string(struct arena *arena, const char *string, size_t bytes)
{
	char *copy = arena_alloc_aligned(arena, bytes + 1, 1);

	if (!copy)
		return NULL;
	memcpy(copy, string, bytes);
	copy[bytes] = 0;
	return copy;
}

char *arena_strdup(struct arena *arena, const char *string)
{
	return copy_string(arena, string, strlen(string));
}

char *arena_strndup(struct arena *arena, const char *string, size_t max_bytes)
{
	return copy_string(arena, string, strnlen(string, max_bytes));
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
	int saved = errno;
	char *string = NULL;
	va_list list;
	int length;

	va_start(list, format);
	length = vsnprintf(NULL, 0, format, list);
	va_end(list);
	if (length >= 0)
		string = arena_alloc_aligned(arena, (size_t)length + 1, 1);
	if (string) {
		va_start(list, format);
		vsnprintf(string, (size_t)length + 1, format, list);
		va_end(list);
	}
	errno = saved;
	return string;
}

void *arena_clone(const void *object, size_t bytes)
{
	int saved = errno;
	void *copy = malloc(bytes ? bytes : 1);

	errno = saved;
	return copy && bytes ? memcpy(copy, object, bytes) : copy;
}

char *arena_clone_string(const char *string)
{
	return arena_clone(string, strlen(string) + 1);
}
