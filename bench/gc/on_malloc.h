/* SPDX-License-Identifier: MIT */
/* malloc() and free(), of glibc. Each program knows when an object is not used any more. */
#ifndef BENCH_GC_ON_MALLOC_H
#define BENCH_GC_ON_MALLOC_H

#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/gc/outcome.h"

#define RT_NAME "malloc"
#define RT_FREES 1

#define RT_TYPE(name, type, ...) enum { name = sizeof(type) }
#define RT_MAKE(name) ((void)name)
#define rt_alloc(name) malloc(name)
#define rt_alloc_pointers(nr) calloc((nr), sizeof(void *))
#define rt_alloc_text(bytes) malloc(bytes)
#define rt_set(member, value) (*(member) = (value))
#define rt_free(object) free(object)

static inline void rt_init(const char *source)
{
	if (source)
		die("its memory has no source that could be chosen");
}

static inline const char *rt_source(void) { return "malloc"; }
static inline void rt_begin(void) {}
static inline void rt_end(void) {}
static inline void rt_report(struct outcome *outcome) { (void)outcome; }

static inline const char *rt_version(void)
{
	return gnu_get_libc_version();
}

static inline int rt_start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	return pthread_create(thread, NULL, function, argument);
}

static inline void rt_join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

#endif /* BENCH_GC_ON_MALLOC_H */
