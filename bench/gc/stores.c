// SPDX-License-Identifier: MIT
/*
 * What the barrier adds to a store: pointers into an array that fits into the first cache, by arena_gc_store() and by a plain store with a release. While no cycle runs,
 * and while one does that has this thread's stack: until this thread polls again it does not end. Many short loops, because blocks of what was noted are used again
 * only when a cycle goes on.
 */
#include "bench/gc/stores.h"

#include <stdlib.h>
#include <time.h>

#include "bench/gc/programs.h"
#include "bench/gc/runtime.h"

/* As arena_gc_local_ has it when only old values are noted. */
#define OLD_ONLY 1u

enum { PLACES = 1024, VALUES = 64, STORES = 8192, ROUNDS_MOST = 1024 };

/* ns for a store, of each round; filled by the one thread of the program. */
static double plain_ns[ROUNDS_MOST], off_ns[ROUNDS_MOST], on_ns[ROUNDS_MOST];
static size_t nr_rounds;
static int is_done;	/* atomic: the cycle is over */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

__attribute__((noinline)) static double store_plainly(void **array, void **values)
{
	double start_ns = now_ns();

	for (size_t i = 0; i < STORES; i++)
		__atomic_store_n(&array[i % PLACES], values[i % VALUES], __ATOMIC_RELEASE);
	return (now_ns() - start_ns) / STORES;
}

__attribute__((noinline)) static double store_with_barrier(void **array, void **values)
{
	double start_ns = now_ns();

	for (size_t i = 0; i < STORES; i++)
		arena_gc_store(&array[i % PLACES], values[i % VALUES]);
	return (now_ns() - start_ns) / STORES;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *samples)
{
	qsort(samples, nr_rounds, sizeof(*samples), compare);
	return samples[nr_rounds / 2];
}

static void *collect(void *nothing)
{
	arena_gc_collect(rt_heap);
	__atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
	return nothing;
}

static double store_in_cycle(void **array, void **values)
{
	pthread_t thread;
	double ns;

	__atomic_store_n(&is_done, 0, __ATOMIC_RELAXED);
	if (pthread_create(&thread, NULL, collect, NULL))
		die("no thread");
	while (arena_gc_local_.barrier != OLD_ONLY)
		arena_gc_poll();
	ns = store_with_barrier(array, values);
	while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE))
		arena_gc_poll();
	pthread_join(thread, NULL);
	return ns;
}

uint64_t run_stores(size_t size, unsigned int thread)
{
	void **array = rt_pointers(PLACES), **values = rt_pointers(VALUES);

	for (size_t i = 0; i < VALUES; i++)
		rt_set(&values[i], rt_text(16));
	for (nr_rounds = 0; nr_rounds < ROUNDS_MOST && nr_rounds <= size / STORES; nr_rounds++) {
		plain_ns[nr_rounds] = store_plainly(array, values);
		off_ns[nr_rounds] = store_with_barrier(array, values);
		on_ns[nr_rounds] = store_in_cycle(array, values);
	}
	return size + thread;
}

void stores_report(struct outcome *outcome)
{
	double plain;

	if (!nr_rounds)
		return;
	plain = median(plain_ns);
	outcome_add(outcome, "store", "ns", plain);
	outcome_add(outcome, "barrier_off", "ns", median(off_ns) - plain);
	outcome_add(outcome, "barrier_on", "ns", median(on_ns) - plain);
}
