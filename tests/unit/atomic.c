// SPDX-License-Identifier: MIT
/* Atomics and the lock built on them: nothing is lost between threads. */
#include "atomic.h"

#include <pthread.h>

#include "lock.h"
#include "tests/harness.h"

#define THREADS 4
#define ROUNDS 100000

static uint64_t added, swapped, guarded;
static struct lock lock = LOCK_INIT(LOCK_META);

static void *add(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < ROUNDS; i++) {
		uint64_t old = atomic_load_relaxed(&swapped);

		atomic_add_relaxed(&added, 2u);
		while (!atomic_cas_acquire(&swapped, &old, old + 1))
			;
		lock_acquire(&lock);
		guarded++;
		lock_release(&lock);
	}
	return NULL;
}

TEST(threads, "atomic/counters and lock under four threads")
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, add, NULL));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK_EQ(added, 2 * THREADS * ROUNDS);
	CHECK_EQ(swapped, THREADS * ROUNDS);
	CHECK_EQ(guarded, THREADS * ROUNDS);
	CHECK_EQ(lock.word, 0);
}

TEST(values, "atomic/values")
{
	uint32_t word = 5, expected = 4;

	CHECK_EQ(atomic_add_relaxed(&word, 2u), 5);
	CHECK(!atomic_cas_acquire(&word, &expected, 9u) && expected == 7);
	CHECK(atomic_cas_relaxed(&word, &expected, 9u));
	CHECK_EQ(atomic_swap_acquire(&word, 10u), 9);
	CHECK_EQ(atomic_swap_release(&word, 11u), 10);
	atomic_store_release(&word, 12u);
	CHECK_EQ(atomic_load_acquire(&word), 12);
}
