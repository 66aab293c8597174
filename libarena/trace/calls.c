// SPDX-License-Identifier: MIT
/*
 * libarena-trace.so: stands between a program and its malloc(), whichever that is, and writes down what is asked of it. Preloaded before
 * libarena-malloc.so it traces a program on that; alone, on glibc's.
 *
 * A free is written before it is done and an allocation after it: an address has one number at a time. C++'s operators are seen as far
 * as they call malloc(), as libstdc++'s do. Objects from before the constructor have no number, and their end is not written.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "atomic.h"
#include "panic.h"
#include "trace/trace.h"

#define TRACE_API __attribute__((visibility("default")))
#define PAGE_BYTES ((size_t)4 * KiB)

/* The functions that are traced; is_found is set last, by the first thread. */
static struct {
	void *(*alloc)(size_t bytes);
	void *(*calloc)(size_t count, size_t bytes);
	void *(*realloc)(void *old, size_t bytes);
	void (*free)(void *object);
	void *(*memalign)(size_t align_bytes, size_t bytes);
	void *(*aligned_alloc)(size_t align_bytes, size_t bytes);
	int (*posix_memalign)(void **object, size_t align_bytes, size_t bytes);
	bool is_found;
} real;

/* ---------------------------------------------------------------- the first calls */

/* What dlsym() itself asks for; a few hundred bytes. Zeroed, and never used twice. */
static _Alignas(16) char first[16 * KiB];
static size_t first_used;

static void *first_alloc(size_t bytes)
{
	size_t at = first_used;

	if (bytes > sizeof(first) || at + align_up(bytes, 16) > sizeof(first))
		panic("trace: too much memory is asked for before malloc() is found");
	first_used = at + align_up(bytes, 16);
	return first + at;
}

static bool is_first(const void *object)
{
	return (uintptr_t)object - (uintptr_t)first < sizeof(first);
}

/* A pointer to a function cannot be cast from one to data. */
static void find(void *function, const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	if (!symbol)
		panic("trace: no %s()", name);
	memcpy(function, &symbol, sizeof(symbol));
}

/* The dynamic linker and constructors, of which there is one thread, call before anybody else. */
static __attribute__((noinline, cold)) bool find_all(void)
{
	static bool is_finding;

	if (is_finding)
		return false;
	is_finding = true;
	find(&real.alloc, "malloc");
	find(&real.calloc, "calloc");
	find(&real.realloc, "realloc");
	find(&real.free, "free");
	find(&real.memalign, "memalign");
	find(&real.aligned_alloc, "aligned_alloc");
	find(&real.posix_memalign, "posix_memalign");
	/* Threads that are made later see all of it. */
	real.is_found = true;
	return true;
}

static bool is_found(void)
{
	return likely(real.is_found) || find_all();
}

/* ---------------------------------------------------------------- what is written */

static void *born(enum trace_op op, void *object, size_t bytes)
{
	if (object && trace_is_on()) {
		uint64_t number = trace_ticket(), operand = bytes;

		numbers_set(object, number);
		trace_event(op, number, &operand, 1);
	}
	return object;
}

static void *born_aligned(void *object, size_t align_bytes, size_t bytes)
{
	if (object && trace_is_on()) {
		uint64_t number = trace_ticket();
		/* glibc rounds an odd alignment up. */
		uint64_t shift = align_bytes > 1 ? 64 - (unsigned int)__builtin_clzl(align_bytes - 1) : 0;

		numbers_set(object, number);
		trace_event(TRACE_ALIGNED, number, (uint64_t[]){ shift, bytes }, 2);
	}
	return object;
}

static void dies(const void *object)
{
	uint64_t number = trace_is_on() ? numbers_take(object) : 0;

	if (number) {
		uint64_t ticket = trace_ticket(), age = ticket - number;

		trace_event(TRACE_FREE, ticket, &age, 1);
	}
}

/* An object that the tracer does not know is new to it. */
static void *resize(void *old, size_t bytes)
{
	uint64_t number = numbers_take(old), ticket = trace_ticket();
	void *object = real.realloc(old, bytes);

	if (!object) {
		/* It is still there; its place in the table was kept for it. */
		if (number)
			numbers_set(old, number);
		return NULL;
	}
	numbers_set(object, ticket);
	if (number)
		trace_event(TRACE_REALLOC, ticket, (uint64_t[]){ ticket - number, bytes }, 2);
	else
		trace_event(TRACE_ALLOC, ticket, (uint64_t[]){ bytes }, 1);
	return object;
}

/* ---------------------------------------------------------------- the functions */

TRACE_API void *malloc(size_t bytes)
{
	return is_found() ? born(TRACE_ALLOC, real.alloc(bytes), bytes) : first_alloc(bytes);
}

TRACE_API void *calloc(size_t count, size_t bytes)
{
	return is_found() ? born(TRACE_CALLOC, real.calloc(count, bytes), count * bytes) : first_alloc(count * bytes);
}

TRACE_API void free(void *object)
{
	if (!object || is_first(object))
		return;
	dies(object);
	/* What there is to free was allocated. */
	if (is_found())
		real.free(object);
}

static void *move_first(const void *old, size_t bytes)
{
	size_t most_bytes = (size_t)(first + sizeof(first) - (const char *)old);
	void *object = malloc(bytes);

	return object ? memcpy(object, old, size_min(bytes, most_bytes)) : NULL;
}

TRACE_API void *realloc(void *old, size_t bytes)
{
	if (!old)
		return malloc(bytes);
	if (is_first(old))
		return move_first(old, bytes);
	if (!is_found() || !trace_is_on())
		return real.realloc(old, bytes);
	if (bytes)
		return resize(old, bytes);
	dies(old);
	return real.realloc(old, 0);
}

TRACE_API void *reallocarray(void *old, size_t count, size_t bytes)
{
	size_t product;

	if (__builtin_mul_overflow(count, bytes, &product)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(old, product);
}

TRACE_API void *memalign(size_t align_bytes, size_t bytes)
{
	return is_found() ? born_aligned(real.memalign(align_bytes, bytes), align_bytes, bytes) : NULL;
}

TRACE_API void *aligned_alloc(size_t align_bytes, size_t bytes)
{
	return is_found() ? born_aligned(real.aligned_alloc(align_bytes, bytes), align_bytes, bytes) : NULL;
}

TRACE_API int posix_memalign(void **object, size_t align_bytes, size_t bytes)
{
	int error = is_found() ? real.posix_memalign(object, align_bytes, bytes) : ENOMEM;

	if (!error)
		born_aligned(*object, align_bytes, bytes);
	return error;
}

TRACE_API void *valloc(size_t bytes)
{
	return memalign(PAGE_BYTES, bytes);
}

TRACE_API void *pvalloc(size_t bytes)
{
	if (bytes > SIZE_MAX - PAGE_BYTES) {
		errno = ENOMEM;
		return NULL;
	}
	return memalign(PAGE_BYTES, align_up(bytes, PAGE_BYTES));
}

/* C23, which glibc of this age does not have. */
TRACE_API void free_sized(void *object, size_t bytes);
TRACE_API void free_sized(void *object, size_t bytes)
{
	(void)bytes;
	free(object);
}

TRACE_API void free_aligned_sized(void *object, size_t align_bytes, size_t bytes);
TRACE_API void free_aligned_sized(void *object, size_t align_bytes, size_t bytes)
{
	(void)align_bytes;
	(void)bytes;
	free(object);
}
