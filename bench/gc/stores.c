// SPDX-License-Identifier: MIT
/*
 * What the barrier adds to a store: pointers into an array that fits into the first cache, by arena_gc_store() and by a plain store with a release. While no cycle runs,
 * and while one does that this thread has let copy its stack, and then keeps from ending because it does not poll.
 */
#include "bench/gc/stores.h"

#include <stdlib.h>
#include <time.h>

#include "bench/gc/programs.h"
#include "bench/gc/runtime.h"

enum { PLACES = 1024, VALUES = 64, ROUNDS = 5, OLD_ONLY = 1 };

/* Medians, in ns for a store; used by one thread after the other. */
static double plain_ns, off_ns, on_ns;
static bool is_measured;
static int is_done;	/* atomic: the cycle is over */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

__attribute__((noinline)) static double store_plainly(void **array, void **values, size_t nr)
{
	double start_ns = now_ns();

	for (size_t i = 0; i < nr; i++)
		__atomic_store_n(&array[i % PLACES], values[i % VALUES], __ATOMIC_RELEASE);
	return (now_ns() - start_ns) / (double)nr;
}

__attribute__((noinline)) static double store_with_barrier(void **array, void **values, size_t nr)
{
	double start_ns = now_ns();

	for (size_t i = 0; i < nr; i++)
		arena_gc_store(&array[i % PLACES], values[i % VALUES]);
	return (now_ns() - start_ns) / (double)nr;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* In turns, so that both meet the same machine. */
static void measure(void **array, void **values, size_t nr, double *plain, double *with)
{
	double plains[ROUNDS], withs[ROUNDS];

	for (size_t i = 0; i < ROUNDS; i++) {
		plains[i] = store_plainly(array, values, nr / ROUNDS);
		withs[i] = store_with_barrier(array, values, nr / ROUNDS);
	}
	qsort(plains, ROUNDS, sizeof(*plains), compare);
	qsort(withs, ROUNDS, sizeof(*withs), compare);
	*plain = plains[ROUNDS / 2];
	*with = withs[ROUNDS / 2];
}

static void *collect(void *nothing)
{
	arena_gc_collect(rt_heap);
	__atomic_store_n(&is_done, 1, __ATOMIC_RELEASE);
	return nothing;
}

static void measure_on(void **array, void **values, size_t nr)
{
	double ignored_ns;
	pthread_t thread;

	__atomic_store_n(&is_done, 0, __ATOMIC_RELAXED);
	if (pthread_create(&thread, NULL, collect, NULL))
		die("no thread");
	while (arena_gc_local_.barrier != OLD_ONLY)
		arena_gc_poll();
	measure(array, values, nr, &ignored_ns, &on_ns);
	while (!__atomic_load_n(&is_done, __ATOMIC_ACQUIRE))
		arena_gc_poll();
	pthread_join(thread, NULL);
}

uint64_t run_stores(size_t size, unsigned int thread)
{
	void **array = rt_pointers(PLACES), **values = rt_pointers(VALUES);

	for (size_t i = 0; i < VALUES; i++)
		rt_set(&values[i], rt_text(16));
	measure(array, values, size, &plain_ns, &off_ns);
	measure_on(array, values, size);
	is_measured = true;
	return size + thread;
}

void stores_report(struct outcome *outcome)
{
	if (!is_measured)
		return;
	outcome_add(outcome, "store", "ns", plain_ns);
	outcome_add(outcome, "barrier_off", "ns", off_ns - plain_ns);
	outcome_add(outcome, "barrier_on", "ns", on_ns - plain_ns);
}
