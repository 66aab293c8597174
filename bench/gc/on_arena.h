/* SPDX-License-Identifier: MIT */
/* The collector of this project. */
#ifndef BENCH_GC_ON_ARENA_H
#define BENCH_GC_ON_ARENA_H

#include <arena/gc.h>
#include <pthread.h>

#include "bench/gc/outcome.h"
#include "bench/gc/stores.h"

#define RT_NAME "arena"
#define RT_FREES 0
#define RT_STORES run_stores

extern struct arena_gc *rt_heap;
extern struct arena_gc_type *rt_pointer_type;

#define RT_TYPE(name, type, ...) \
	ARENA_GC_LAYOUT(name##_layout, type, __VA_ARGS__); \
	static struct arena_gc_type *name
#define RT_MAKE(name) ((name) = rt_make(&name##_layout))
#define rt_alloc(name) arena_gc_alloc(rt_heap, (name))
#define rt_alloc_pointers(nr) arena_gc_alloc_array(rt_heap, rt_pointer_type, (nr))
#define rt_alloc_text(bytes) arena_gc_alloc_atomic(rt_heap, (bytes))

#define rt_set(member, value) arena_gc_store((member), (value))
#define rt_free(object) ((void)(object))

void rt_init(const char *source);
/* As the library's statistics name it. */
const char *rt_source(void);
/* Ends the driver when out of memory. */
struct arena_gc_type *rt_make(const struct arena_gc_layout *layout);
void rt_report(struct outcome *outcome);

static inline void rt_begin(void)
{
	if (arena_gc_attach(rt_heap))
		die("out of memory for a thread");
}

static inline void rt_end(void)
{
	arena_gc_detach(rt_heap);
}

static inline const char *rt_version(void)
{
	return arena_version();
}

static inline int rt_start(pthread_t *thread, void *(*function)(void *), void *argument)
{
	return pthread_create(thread, NULL, function, argument);
}

/* By a thread that is not attached: it answers for nothing while it waits. */
static inline void rt_join(pthread_t thread)
{
	pthread_join(thread, NULL);
}

#endif /* BENCH_GC_ON_ARENA_H */
