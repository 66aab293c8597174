/* SPDX-License-Identifier: MIT */
/* The Boehm-Demers-Weiser collector as it comes: conservative, all threads stopped while it marks in parallel. */
#ifndef BENCH_GC_ON_BOEHM_H
#define BENCH_GC_ON_BOEHM_H

#define GC_THREADS
#define GC_NO_THREAD_REDIRECTS
#include <gc.h>
#include <pthread.h>
#include <stdio.h>

#include "bench/gc/outcome.h"

#define RT_NAME "boehm"
#define RT_FREES 0

#define RT_TYPE(name, type, ...) enum { name = sizeof(type) }
#define RT_MAKE(name) ((void)name)
#define rt_alloc(name) GC_MALLOC(name)
#define rt_alloc_pointers(nr) GC_MALLOC((nr) * sizeof(void *))
#define rt_alloc_text(bytes) GC_MALLOC_ATOMIC(bytes)
#define rt_set(member, value) (*(member) = (value))
#define rt_free(object) ((void)(object))

static inline void rt_init(const char *source)
{
	if (source)
		die("its memory has no source that could be chosen");
	GC_INIT();
}

static inline const char *rt_source(void) { return "malloc"; }
static inline void rt_begin(void) {}
static inline void rt_end(void) {}

static inline void rt_report(struct outcome *outcome)
{
	outcome_add(outcome, "cycles", "n", (double)GC_get_gc_no());
}

static inline const char *rt_version(void)
{
	static char text[32];
	unsigned int version = GC_get_version();

	snprintf(text, sizeof(text), "%u.%u.%u", version >> 16, version >> 8 & 255, version & 255);
	return text;
}

/* Threads that the collector knows. */
static inline int rt_start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	return GC_pthread_create(thread, NULL, function, argument);
}

static inline void rt_join(pthread_t thread)
{
	GC_pthread_join(thread, NULL);
}

#endif /* BENCH_GC_ON_BOEHM_H */
