// SPDX-License-Identifier: MIT
/*
 * malloc() and its family on the main heap, for programs that were not written for it: LD_PRELOAD=libarena-malloc.so.
 *
 * What POSIX, C23 and glibc say holds, errno included; where they leave a choice, glibc's is taken. Misuse ends the program with a
 * message. Signal handlers must not call these functions, as with any malloc().
 *
 * free() does not change errno (POSIX 2024).
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "profile.h"
#include "shim/shim.h"

#define MAIN_CACHE (heap_caches[0])

/* A result that goes to the caller. */
static inline void *answer(void *object)
{
	if (unlikely(!object))
		errno = ENOMEM;
	return object;
}

void *shim_alloc(size_t bytes)
{
	struct heap *heap = heap_main();
	void *object;

	SHIM_FRAME();
	/* A guarded object ends where it should. */
	heap_request_bytes = bytes;
	object = heap ? heap_alloc(heap, bytes) : NULL;
	heap_request_bytes = 0;
	return object;
}

/* All that is not at hand, apart from malloc() so that this needs no frame. */
static __attribute__((noinline)) void *alloc_slow(size_t bytes)
{
	struct cache *cache = MAIN_CACHE;

	SHIM_FRAME();
	/* While there is sampling it is to be known what was asked for: see shim_alloc(). */
	if (unlikely(bytes > CLASS_MAX_BYTES || cache == &cache_none || atomic_load_relaxed(&profile_mean_word)))
		return answer(shim_alloc(bytes));
	/* Small ones were looked for already. */
	if (likely(bytes - 1 < CLASS_LOOKUP_BYTES))
		return answer(cache_alloc_slow(cache, class_of(bytes), cache->heap));
	return answer(cache_alloc(cache, class_of(bytes), cache->heap));
}

void *shim_alloc_aligned(size_t bytes, size_t align_bytes)
{
	struct heap *heap = heap_main();

	SHIM_FRAME();
	return heap ? heap_alloc_aligned(heap, bytes, align_bytes) : NULL;
}

/* ---------------------------------------------------------------- C */

SHIM_API void *malloc(size_t bytes)
{
	void *object;

	return likely(shim_take(bytes, &object)) ? object : alloc_slow(bytes);
}

SHIM_API void free(void *object)
{
	cache_free(MAIN_CACHE, object);
}

static __attribute__((noinline)) void *calloc_slow(size_t bytes)
{
	struct heap *heap = heap_main();

	SHIM_FRAME();
	return answer(heap ? heap_calloc(heap, bytes) : NULL);
}

SHIM_API void *calloc(size_t count, size_t bytes)
{
	void *object;
	size_t product;

	if (unlikely(__builtin_mul_overflow(count, bytes, &product)))
		return answer(NULL);
	return likely(shim_take(product, &object)) ? memset(object, 0, product) : calloc_slow(product);
}

SHIM_API void *realloc(void *old, size_t bytes)
{
	struct heap *heap = heap_main();

	SHIM_FRAME();
	/* As glibc has it. */
	if (old && !bytes) {
		free(old);
		return NULL;
	}
	return answer(heap ? heap_realloc(heap, old, bytes) : NULL);
}

SHIM_API void *reallocarray(void *old, size_t count, size_t bytes)
{
	size_t product;

	if (__builtin_mul_overflow(count, bytes, &product))
		return answer(NULL);
	return realloc(old, product);
}

/* C23. The size is only a hint, and may be a lie that nobody needs to find. */
SHIM_API void free_sized(void *object, size_t bytes);
SHIM_API void free_sized(void *object, size_t bytes)
{
	(void)bytes;
	free(object);
}

SHIM_API void free_aligned_sized(void *object, size_t align_bytes, size_t bytes);
SHIM_API void free_aligned_sized(void *object, size_t align_bytes, size_t bytes)
{
	(void)align_bytes;
	(void)bytes;
	free(object);
}

/* ---------------------------------------------------------------- alignment */

SHIM_API int posix_memalign(void **object, size_t align_bytes, size_t bytes)
{
	int saved = errno;
	void *got;

	SHIM_FRAME();
	if (!is_power_of_two(align_bytes) || align_bytes % sizeof(void *))
		return EINVAL;
	got = shim_alloc_aligned(bytes, align_bytes);
	errno = saved;
	if (!got)
		return ENOMEM;
	*object = got;
	return 0;
}

SHIM_API void *aligned_alloc(size_t align_bytes, size_t bytes)
{
	SHIM_FRAME();
	if (!is_power_of_two(align_bytes)) {
		errno = EINVAL;
		return NULL;
	}
	return answer(shim_alloc_aligned(bytes, align_bytes));
}

/* glibc rounds an odd alignment up. */
SHIM_API void *memalign(size_t align_bytes, size_t bytes)
{
	size_t power = sizeof(void *);

	SHIM_FRAME();
	while (power < align_bytes && power <= SIZE_MAX / 2)
		power *= 2;
	return answer(shim_alloc_aligned(bytes, power));
}

SHIM_API void *valloc(size_t bytes)
{
	SHIM_FRAME();
	return answer(shim_alloc_aligned(bytes, PAGE_BYTES));
}

SHIM_API void *pvalloc(size_t bytes)
{
	SHIM_FRAME();
	if (bytes > SIZE_MAX - PAGE_BYTES)
		return answer(NULL);
	return answer(shim_alloc_aligned(align_up(bytes, PAGE_BYTES), PAGE_BYTES));
}

/* All of it may be written, as programs do. */
SHIM_API size_t malloc_usable_size(void *object)
{
	return object ? heap_usable_bytes(object) : 0;
}
