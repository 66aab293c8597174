// SPDX-License-Identifier: MIT
/* What others free of threads that sleep comes back, and what their threads have to do with stays. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "heap.h"
#include "os.h"
#include "scavenger.h"
#include "spans.h"
#include "tests/harness.h"

enum { MOST = 400000 };

/* A thread that allocates, frees some, sleeps, and so again. */
static struct sleeper {
	pthread_t thread;
	sem_t wake, sleeps;
	struct heap *heap;
	struct cache *cache;
	size_t bytes, nr;
	size_t own;		/* it frees one of so many itself before it sleeps first; 0 = none */
	bool is_over;		/* it is to end when it wakes up */
	void *objects[MOST];
} sleeper;

static void sleep_now(void)
{
	sem_post(&sleeper.sleeps);
	while (sem_wait(&sleeper.wake))
		;
}

static void *allocate_and_sleep(void *unused)
{
	while (!sleeper.is_over) {
		for (size_t i = 0; i < sleeper.nr; i++) {
			CHECK((sleeper.objects[i] = heap_alloc(sleeper.heap, sleeper.bytes)));
			memset(sleeper.objects[i], 1, sleeper.bytes);
		}
		sleeper.cache = heap_own_cache(sleeper.heap->id);
		for (size_t i = 0; sleeper.own && i < sleeper.nr; i += sleeper.own) {
			heap_free(sleeper.heap, sleeper.objects[i]);
			sleeper.objects[i] = NULL;
		}
		sleep_now();
	}
	return unused;
}

static void wake(void)
{
	sem_post(&sleeper.wake);
	while (sem_wait(&sleeper.sleeps))
		;
}

static void start(size_t bytes, size_t nr, size_t own)
{
	struct heap *heap = heap_create(ARENA_SOURCE_PAGES);

	CHECK(heap && nr <= MOST);
	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	sleeper.heap = heap;
	sleeper.bytes = bytes;
	sleeper.nr = nr;
	sleeper.own = own;
	sleeper.is_over = false;
	CHECK(!sem_init(&sleeper.wake, 0, 0) && !sem_init(&sleeper.sleeps, 0, 0));
	/* So that what this thread has at hand does not count. */
	CHECK(!pthread_create(&sleeper.thread, NULL, allocate_and_sleep, NULL));
	while (sem_wait(&sleeper.sleeps))
		;
}

static void free_all(void)
{
	for (size_t i = 0; i < sleeper.nr; i++)
		heap_free(sleeper.heap, sleeper.objects[i]);
}

/* At hand, and current. */
static size_t most_pages(void)
{
	return 2 * BITS_PER_WORD + 2 * (size_t)size_classes[class_of(sleeper.bytes)].pages;
}

static void end(void)
{
	free_all();
	sleeper.is_over = true;
	sem_post(&sleeper.wake);
	CHECK(!pthread_join(sleeper.thread, NULL));
	heap_validate(sleeper.heap);
	heap_flush(sleeper.heap);
	heap_scavenge(sleeper.heap, 0, UINT64_MAX);
	CHECK_EQ(sleeper.heap->pages.used_pages, 0);
	for (const struct cache *cache = sleeper.heap->caches; cache; cache = cache->next)
		CHECK_EQ(cache->nr_pages, cache->nr_given);
}

/* Spans of one page and of several, of one word of slots and of four. */
TEST(all, "asleep/what others have freed of a thread that sleeps comes back, of all classes")
{
	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		size_t bytes = size_classes[class].bytes;
		uint64_t used, given;

		start(bytes, size_min(8 * MiB / bytes, MOST), 0);
		used = sleeper.heap->pages.used_pages;
		CHECK_EQ(heap_give_asleep(sleeper.heap), 0);
		free_all();
		CHECK_EQ(sleeper.heap->pages.used_pages, used);
		given = heap_give_asleep(sleeper.heap);
		CHECK_EQ(sleeper.heap->pages.used_pages, used - given);
		CHECK(used - given <= most_pages());
		heap_validate(sleeper.heap);
		/* It wakes up and goes on with all that it has. */
		wake();
		heap_validate(sleeper.heap);
		end();
		heap_destroy(sleeper.heap);
	}
}

TEST(some, "asleep/spans with an object in use, or of which the thread has freed a slot itself, are left to it")
{
	const size_t slots = PAGE_BYTES / 64;
	static void *kept[1000];
	size_t nr_kept = 0;
	uint64_t used;

	start(64, 1000 * slots, 2 * slots);
	used = sleeper.heap->pages.used_pages;
	for (size_t i = 0; i < sleeper.nr; i++) {
		/* One of each fourth span stays in use. */
		if (i % (4 * slots) == slots + 5) {
			kept[nr_kept++] = sleeper.objects[i];
			continue;
		}
		heap_free(sleeper.heap, sleeper.objects[i]);
		sleeper.objects[i] = NULL;
	}
	/* Of four spans two are its own affair, and one is in use. */
	CHECK_EQ(heap_give_asleep(sleeper.heap) / 10, 25 - 1);
	CHECK(used - sleeper.heap->pages.used_pages >= 240);
	heap_validate(sleeper.heap);
	CHECK(sleeper.cache->inbox);
	/* All others are there when it looks. */
	wake();
	heap_validate(sleeper.heap);
	CHECK(sleeper.heap->pages.used_pages <= used + most_pages());
	while (nr_kept)
		heap_free(sleeper.heap, kept[--nr_kept]);
	end();
}

TEST(twice, "asleep/who has looked into the inbox since the last time is awake")
{
	start(64, 10000, 0);
	CHECK(!cache_is_asleep(sleeper.cache));
	free_all();
	CHECK(cache_is_asleep(sleeper.cache));
	wake();
	free_all();
	CHECK(!cache_is_asleep(sleeper.cache));
	CHECK_EQ(heap_try_asleep(sleeper.heap, false) > 0, true);
	memset(sleeper.objects, 0, sizeof(sleeper.objects));
	end();
}

TEST(refused, "asleep/it serves others before they are refused")
{
	size_t nr = 0;

	start(64, 3 * CHUNK_BYTES / 64, 0);
	heap_set_limit(sleeper.heap, limit_from_bytes(4 * CHUNK_BYTES));
	while (heap_alloc(sleeper.heap, 32 * KiB))
		nr++;
	free_all();
	while (heap_alloc(sleeper.heap, 32 * KiB))
		nr++;
	CHECK(nr > 3 * CHUNK_BYTES / (32 * KiB));
	heap_validate(sleeper.heap);
}

TEST(by_itself, "asleep/the scavenger finds it while the program does nothing")
{
	uint64_t used = UINT64_MAX;

	start(64, 24 * MiB / 64, 0);
	CHECK(scavenger_is_made());
	free_all();
	while (used > most_pages() && harness_seconds() < 60) {
		os_sleep_ns(10000000);
		lock_acquire(&sleeper.heap->lock);
		used = sleeper.heap->pages.used_pages;
		lock_release(&sleeper.heap->lock);
	}
	CHECK(used <= most_pages());
	memset(sleeper.objects, 0, sizeof(sleeper.objects));
	end();
}

/* The scavenger's own looks find it awake each time: it has read since. */
TEST(pressed, "asleep/under pressure it comes back as well, of threads that are awake too")
{
	uint64_t used = UINT64_MAX;

	start(64, 24 * MiB / 64, 0);
	CHECK(scavenger_is_made());
	free_all();
	scavenger_press();
	while (used > most_pages() && harness_seconds() < 60) {
		atomic_add_relaxed(&sleeper.cache->nr_reads, 1u);
		os_sleep_ns(10000000);
		lock_acquire(&sleeper.heap->lock);
		used = sleeper.heap->pages.used_pages;
		lock_release(&sleeper.heap->lock);
	}
	CHECK(used <= most_pages());
	memset(sleeper.objects, 0, sizeof(sleeper.objects));
	end();
}

/* The thread is no more, and nobody else looks into its inbox. */
static void give_in_child(void *used)
{
	free_all();
	heap_scavenge(sleeper.heap, 0, UINT64_MAX);
	CHECK(sleeper.heap->pages.used_pages <= *(uint64_t *)used / 10);
	heap_validate(sleeper.heap);
	for (size_t i = 0; i < sleeper.nr; i++)
		CHECK((sleeper.objects[i] = heap_alloc(sleeper.heap, sleeper.bytes)));
	free_all();
	heap_validate(sleeper.heap);
}

TEST(child, "asleep/in a child of fork() as well, which does not have the thread")
{
	struct death death;
	uint64_t used;

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	start(64, 8 * MiB / 64, 0);
	used = sleeper.heap->pages.used_pages;
	harness_child(&death, give_in_child, &used);
	if (death.signal || death.status)
		harness_fail(__FILE__, __LINE__, "signal %d, status %d: %s", death.signal, death.status, death.text);
	end();
}
