/* SPDX-License-Identifier: MIT */
/* Small helpers without any operating system below them. */
#ifndef LIBARENA_BASE_H
#define LIBARENA_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define GiB ((size_t)1 << 30)
#define TiB ((size_t)1 << 40)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Whether misuse of objects is looked for: always. What looking costs is told by tests/malloc/checks.sh, from a build that does not; it is
 * good for nothing else, as it takes each address for an object of malloc()'s heap.
 */
#ifdef ARENA_UNCHECKED
#define SEEKS_MISUSE false
#else
#define SEEKS_MISUSE true
#endif

static inline size_t size_min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t size_max(size_t a, size_t b)
{
	return a > b ? a : b;
}

static inline unsigned int unsigned_max(unsigned int a, unsigned int b)
{
	return a > b ? a : b;
}

/* @align is a power of two; @x + @align does not overflow. */
static inline size_t align_up(size_t x, size_t align)
{
	return (x + align - 1) & ~(align - 1);
}

static inline bool is_power_of_two(size_t x)
{
	return x && !(x & (x - 1));
}

/* The least one from @x on; @x is at most the largest. */
static inline size_t power_of_two_from(size_t x)
{
	return x < 2 ? 1 : (size_t)1 << (64 - __builtin_clzl(x - 1));
}

#endif /* LIBARENA_BASE_H */
