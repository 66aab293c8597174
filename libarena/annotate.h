/* SPDX-License-Identifier: MIT */
/*
 * What ASan and Valgrind are told. Memory that was reset is poisoned, memory that was revoked is not: access to it
 * faults by itself, and the report of that fault names the arena.
 */
#ifndef LIBARENA_ANNOTATE_H
#define LIBARENA_ANNOTATE_H

#include "base.h"

#if defined(__SANITIZE_ADDRESS__)
#define ANNOTATE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ANNOTATE_ASAN 1
#endif
#endif
#ifndef ANNOTATE_ASAN
#define ANNOTATE_ASAN 0
#endif

#if defined(__has_include)
#if __has_include(<valgrind/memcheck.h>)
#define ANNOTATE_VALGRIND 1
#endif
#endif
#ifndef ANNOTATE_VALGRIND
#define ANNOTATE_VALGRIND 0
#endif

#if ANNOTATE_ASAN
void __asan_poison_memory_region(const volatile void *base, size_t bytes);
void __asan_unpoison_memory_region(const volatile void *base, size_t bytes);
#endif

#if ANNOTATE_VALGRIND
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#include <valgrind/memcheck.h>
#pragma GCC diagnostic pop
#endif

/* Functions that may look at what ASan forbids. */
#if ANNOTATE_ASAN
#define ANNOTATE_UNSEEN __attribute__((noinline, no_sanitize("address")))
#else
#define ANNOTATE_UNSEEN
#endif

/* ---------------------------------------------------------------- objects of heaps */

/* Behind each object so many bytes at least are nobody's. */
#define ANNOTATE_ZONE_BYTES 16

/* Valgrind's other tools count and time, and are to see what programs do without it. */
static inline bool annotate_has_memcheck(void)
{
#if ANNOTATE_VALGRIND
	char byte = 0, bits;

	return VALGRIND_GET_VBITS(&byte, &bits, 1) == 1;
#else
	return false;
#endif
}

/* Nobody's object is here, and access is forbidden. */
static inline void annotate_forbid(uintptr_t base, uintptr_t limit)
{
#if ANNOTATE_ASAN
	__asan_poison_memory_region((const void *)base, limit - base);
#endif
#if ANNOTATE_VALGRIND
	VALGRIND_MAKE_MEM_NOACCESS(base, limit - base);
#endif
	(void)base;
	(void)limit;
}

/* An object of a heap begins to be one; it has a slot to itself, and only @bytes of that may be used. */
static inline void annotate_born(uintptr_t base, size_t bytes, size_t slot_bytes)
{
#if ANNOTATE_ASAN
	__asan_poison_memory_region((const void *)base, slot_bytes);
	__asan_unpoison_memory_region((const void *)base, bytes);
#endif
#if ANNOTATE_VALGRIND
	VALGRIND_MAKE_MEM_NOACCESS(base, slot_bytes);
	VALGRIND_MALLOCLIKE_BLOCK(base, bytes, ANNOTATE_ZONE_BYTES, 0);
#endif
	(void)base;
	(void)bytes;
	(void)slot_bytes;
}

/* It ends; the slot is forbidden as a whole. */
static inline void annotate_dead(uintptr_t base, size_t slot_bytes)
{
#if ANNOTATE_ASAN
	__asan_poison_memory_region((const void *)base, slot_bytes);
#endif
#if ANNOTATE_VALGRIND
	VALGRIND_FREELIKE_BLOCK(base, ANNOTATE_ZONE_BYTES);
#endif
	(void)base;
	(void)slot_bytes;
}

/* The allocator itself looks at forbidden memory between these; ASan is kept out by ANNOTATE_UNSEEN. */
static inline void annotate_open(uintptr_t base, uintptr_t limit)
{
#if ANNOTATE_VALGRIND
	VALGRIND_MAKE_MEM_DEFINED(base, limit - base);
#endif
	(void)base;
	(void)limit;
}

static inline void annotate_shut(uintptr_t base, uintptr_t limit)
{
#if ANNOTATE_VALGRIND
	VALGRIND_MAKE_MEM_NOACCESS(base, limit - base);
#endif
	(void)base;
	(void)limit;
}

/* ---------------------------------------------------------------- arenas */

/* Nobody's object is here: what is read is stale, and ASan forbids the access. */
static inline void annotate_idle(uintptr_t base, uintptr_t limit)
{
#if ANNOTATE_ASAN
	__asan_poison_memory_region((const void *)base, limit - base);
#endif
#if ANNOTATE_VALGRIND
	VALGRIND_MAKE_MEM_UNDEFINED(base, limit - base);
#endif
	(void)base;
	(void)limit;
}

/* An object is here. */
static inline void annotate_object(uintptr_t base, uintptr_t limit)
{
#if ANNOTATE_ASAN
	__asan_unpoison_memory_region((const void *)base, limit - base);
#endif
	(void)base;
	(void)limit;
}

/* The addresses fault from now on, and may be somebody else's one day. */
static inline void annotate_revoked(uintptr_t base, uintptr_t limit)
{
	annotate_object(base, limit);
#if ANNOTATE_VALGRIND
	VALGRIND_MAKE_MEM_NOACCESS(base, limit - base);
#endif
}

#endif /* LIBARENA_ANNOTATE_H */
