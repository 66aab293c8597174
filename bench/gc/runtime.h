/* SPDX-License-Identifier: MIT */
/*
 * What the programs of `arena-bench gc` allocate with. They are compiled once for each runtime, which the build names, and know none of them:
 *
 *	RT_NAME				as rows have it
 *	RT_FREES			whether a program must free what it does not use any more; else rt_free() does nothing
 *	RT_TYPE(name, type, members...)	a type, and its members that point to objects; of a file
 *	RT_MAKE(name)			before its first object
 *	rt_new(name)			an object, whose members the program sets
 *	rt_pointers(nr)			an array of pointers to objects, all NULL
 *	rt_text(bytes)			an object without pointers
 *	rt_set(&object->member, value)	each store of a pointer to where a collector looks
 *	rt_free(object)
 *	rt_begin(), rt_end()		around a thread's use of objects
 *	rt_start(), rt_join()		as pthread_create() and pthread_join()
 *	rt_init(source), rt_report(), rt_version()	the driver's: before anything, from a source or, NULL, as the runtime does; after all; at any time
 *	rt_source()			where memory is from, as rows have it; after all
 *
 *	RT_STORES			a program that only this runtime has, if there is one
 *
 * The three allocating ones count towards a batch of 64 (batch.h).
 */
#ifndef BENCH_GC_RUNTIME_H
#define BENCH_GC_RUNTIME_H

#include "bench/gc/batch.h"
#include "bench/gc/outcome.h"

#if defined RUNTIME_ARENA
#include "bench/gc/on_arena.h"
#elif defined RUNTIME_BOEHM
#include "bench/gc/on_boehm.h"
#else
#include "bench/gc/on_malloc.h"
#endif

/* Once for each allocation; out of memory ends the driver, as a result of less work is none. */
static inline void *rt_counted(void *object)
{
	if (__builtin_expect(!object, 0))
		die("out of memory");
	if (__builtin_expect(!--batch_left, 0))
		batch_end();
	return object;
}

#define rt_new(name) rt_counted(rt_alloc(name))
#define rt_pointers(nr) rt_counted(rt_alloc_pointers(nr))
#define rt_text(bytes) rt_counted(rt_alloc_text(bytes))

#endif /* BENCH_GC_RUNTIME_H */
