// SPDX-License-Identifier: MIT
/* Locks: one holder at a time, and who waits for long sleeps. */
#include "lock.h"

#include <pthread.h>
#include <sys/resource.h>

#include "tests/harness.h"

#define NR_THREADS 4
#define ROUNDS 100000u

static struct lock lock = LOCK_INIT(LOCK_GC);
static uint64_t nr_held; /* guarded by lock */

static void *hold_often(void *unused)
{
	for (unsigned int i = 0; i < ROUNDS; i++) {
		lock_acquire(&lock);
		nr_held++;
		lock_release(&lock);
	}
	return unused;
}

TEST(alone, "lock/one holder at a time")
{
	pthread_t threads[NR_THREADS];

	for (int i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, hold_often, NULL));
	for (int i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(nr_held, NR_THREADS * ROUNDS);
	CHECK_EQ(lock.word, 0);
}

static long count_sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void *wait_once(void *nr_sleeps)
{
	long before = count_sleeps();

	lock_acquire(&lock);
	*(long *)nr_sleeps = count_sleeps() - before;
	lock_release(&lock);
	return NULL;
}

TEST(sleeps, "lock/who looks in vain says so in the word, sleeps, and is woken")
{
	pthread_t thread;
	long nr_sleeps = 0;

	lock_acquire(&lock);
	CHECK(!pthread_create(&thread, NULL, wait_once, &nr_sleeps));
	while (atomic_load_relaxed(&lock.word) != 2)
		os_sleep_ns(100 * 1000);
	os_sleep_ns(20 * 1000 * 1000);
	lock_release(&lock);
	pthread_join(thread, NULL);
	CHECK(nr_sleeps >= 1);
	CHECK_EQ(lock.word, 0);
}
