// SPDX-License-Identifier: MIT
/* Locks: who waits for long sleeps. That there is one holder at a time is in tests/unit/atomic.c. */
#include "lock.h"

#include <pthread.h>
#include <sys/resource.h>

#include "tests/harness.h"

static struct lock lock = LOCK_INIT(LOCK_GC);

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
