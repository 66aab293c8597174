// SPDX-License-Identifier: MIT
/*
 * fork(): parent and child each have their arenas, or, for the device, the child has none of the parent's memory. A child's heaps leave alone
 * what threads had at hand that it does not have: these may have been anywhere in their work.
 */
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checked.h"
#include "chunk.h"
#include "geometry.h"
#include "heap.h"
#include "internal.h"
#include "small.h"
#include "tests/harness.h"

struct shared {
	enum arena_source source;
	struct arena *arena;
	char *small;
	char *large;
};

static void use_in_child(void *argument)
{
	const struct shared *shared = argument;
	const struct arena_options options = { .source = shared->source, .reserve_bytes = CHUNK_BYTES };
	struct arena *own = arena_new(&options);
	char *object = own ? arena_alloc(own, 1000) : NULL;

	CHECK(object);
	memset(object, 9, 1000);
	CHECK(shared->small[0] == 1);
	shared->small[0] = 5;
	if (shared->source == ARENA_SOURCE_DEV) {
		CHECK(harness_faults(shared->large));
	} else {
		CHECK(shared->large[0] == 2);
		shared->large[0] = 6;
	}
	arena_free(shared->arena);
	CHECK(harness_faults(shared->small) && harness_faults(shared->large));
	arena_free(own);
	chunk_validate();
	small_validate();
}

TEST_EACH_SOURCE(child, "fork/a child's arenas are its own")
{
	const struct arena_options options = { .source = source };
	struct shared shared = { .source = source, .arena = arena_new(&options) };
	struct death death;

	CHECK(shared.arena);
	shared.small = arena_alloc(shared.arena, 100);
	shared.large = arena_alloc(shared.arena, 2 * CHUNK_BYTES);
	CHECK(shared.small && shared.large);
	memset(shared.small, 1, 100);
	memset(shared.large, 2, 2 * CHUNK_BYTES);
	for (size_t i = 0; i < 3; i++) {
		harness_child(&death, use_in_child, &shared);
		if (death.signal || death.status)
			harness_fail(__FILE__, __LINE__, "child: signal %d, status %d: %s", death.signal, death.status,
				     death.text);
		CHECK(shared.small[0] == 1 && shared.large[0] == 2 && shared.large[2 * CHUNK_BYTES - 1] == 2);
	}
	arena_free(shared.arena);
	chunk_validate();
}

/* ---------------------------------------------------------------- the device's window */

static void grow_in_child(void *argument)
{
	char *object;

	/* The arena has only pages so far, and its chunks come from a window that the child does not have. */
	object = arena_alloc(argument, CHUNK_BYTES);
	CHECK(object);
	memset(object, 7, CHUNK_BYTES);
	chunk_validate();
}

TEST_ONE_SOURCE(grow, "fork/an inherited arena takes its first chunk in the child", ARENA_SOURCE_DEV)
{
	const struct arena_options options = { .source = source };
	struct arena *small = arena_new(&options), *large = arena_new(&options);
	struct death death;

	CHECK(small && arena_alloc(small, 100));
	CHECK(large && arena_alloc(large, CHUNK_BYTES));
	harness_child(&death, grow_in_child, small);
	if (death.signal || death.status)
		harness_fail(__FILE__, __LINE__, "signal %d, status %d: %s", death.signal, death.status, death.text);
}

#define OBJECT_CHUNKS 4
/* Nearly all of the hole that the window would leave. */
#define MAPPED_CHUNKS 62

/* The kernel gives new mappings the highest hole that fits. */
static void map_in_child(void *argument)
{
	char *inherited = argument;
	char *mapped = mmap(NULL, MAPPED_CHUNKS * CHUNK_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(mapped != MAP_FAILED);
	for (size_t i = 0; i < OBJECT_CHUNKS; i++)
		CHECK(harness_faults(inherited + i * CHUNK_BYTES));
}

TEST_ONE_SOURCE(hole, "fork/the child's mappings stay out of the parent's addresses", ARENA_SOURCE_DEV,
		"ARENA_WINDOW_CHUNKS=64")
{
	const struct arena_options options = { .source = source };
	struct arena *arena = arena_new(&options);
	char *object = arena ? arena_alloc(arena, OBJECT_CHUNKS * CHUNK_BYTES) : NULL;
	struct death death;

	CHECK(object);
	harness_child(&death, map_in_child, object);
	if (death.signal || death.status)
		harness_fail(__FILE__, __LINE__, "signal %d, status %d: %s", death.signal, death.status, death.text);
}

/* ---------------------------------------------------------------- threads */

static bool stop;

static void *churn(void *unused)
{
	(void)unused;
	while (!atomic_load_relaxed(&stop)) {
		struct arena *arena = arena_new(NULL);

		CHECK(arena && arena_alloc(arena, 100000));
		arena_free(arena);
	}
	return NULL;
}

static void make_and_free(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < 10; i++) {
		struct arena *arena = arena_new(NULL);

		CHECK(arena && arena_alloc(arena, 3000000));
		arena_free(arena);
	}
}

TEST(locks, "fork/while other threads hold locks")
{
	pthread_t threads[3];

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	for (size_t i = 0; i < 3; i++)
		CHECK(!pthread_create(&threads[i], NULL, churn, NULL));
	for (size_t i = 0; i < 50; i++) {
		struct death death;

		harness_child(&death, make_and_free, NULL);
		CHECK(!death.signal && !death.status);
	}
	atomic_store_relaxed(&stop, true);
	for (size_t i = 0; i < 3; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

/* ---------------------------------------------------------------- caches of threads that the child does not have */

enum { LEFT = 3, OBJECTS = 500, OBJECT_BYTES = 100 };

static struct heap *heap;
static bool may_leave;	/* atomic */
static struct left {
	pthread_t thread;
	struct cache *cache;	/* atomic: when the thread is done */
	struct cache was;	/* when the child began */
	void *objects[OBJECTS];
} left[LEFT];

/* With spans that are full, partly used and current when its process forks. */
static void *stay(void *argument)
{
	struct left *it = argument;

	for (size_t i = 0; i < OBJECTS; i++)
		CHECK((it->objects[i] = heap_alloc(heap, OBJECT_BYTES)));
	for (size_t i = 0; i < OBJECTS / 2; i += 3) {
		heap_free(heap, it->objects[i]);
		it->objects[i] = NULL;
	}
	atomic_store_release(&it->cache, heap_own_cache(heap->id)); /* pairs with the acquire of who waits */
	while (!atomic_load_relaxed(&may_leave))
		usleep(1000);
	return NULL;
}

static bool is_left(const struct cache *cache)
{
	for (size_t i = 0; i < LEFT; i++)
		if (cache == left[i].cache)
			return true;
	return false;
}

/* Enough to take over whatever there is to be taken over; kept, so that it stays taken. */
static void *take_much(void *unused)
{
	for (size_t i = 0; i < 2 * OBJECTS; i++) {
		void *object = heap_alloc(heap, OBJECT_BYTES);
		uint32_t page;

		CHECK(object);
		CHECK(!is_left(span_owner(heap_find_span(object, &page, "test"))));
	}
	CHECK(!is_left(heap_own_cache(heap->id)));
	return unused;
}

static void take_in_threads(void)
{
	pthread_t threads[2 * LEFT];

	take_much(NULL);
	for (size_t i = 0; i < 2 * LEFT; i++)
		CHECK(!pthread_create(&threads[i], NULL, take_much, NULL));
	for (size_t i = 0; i < 2 * LEFT; i++)
		CHECK(!pthread_join(threads[i], NULL));
	for (const struct cache *parked = heap->parked; parked; parked = parked->next_parked)
		CHECK(!is_left(parked));
}

/* But for their inboxes, into which others put what they have freed. */
static void check_left_alone(void)
{
	for (size_t i = 0; i < LEFT; i++) {
		left[i].was.inbox = left[i].cache->inbox;
		CHECK(!memcmp(left[i].cache, &left[i].was, sizeof(left[i].was)));
	}
}

/* First as they are, then with all their objects freed, which they are told, and nobody else reads. */
static void leave_alone(void *own)
{
	CHECK(heap_own_cache(heap->id) == own);
	for (size_t i = 0; i < LEFT; i++)
		left[i].was = *left[i].cache;
	take_in_threads();
	check_left_alone();
	for (size_t i = 0; i < LEFT; i++)
		for (size_t j = 0; j < OBJECTS; j++)
			if (left[i].objects[j])
				heap_free(heap, left[i].objects[j]);
	take_in_threads();
	check_left_alone();
	/* Where heaps look after their objects, freed ones rest first. */
	for (size_t i = 0; i < LEFT; i++)
		CHECK(left[i].cache->inbox || checked_is_on());
	heap_validate(heap);
}

TEST(caches, "fork/a child takes over nothing of the caches of threads that it does not have")
{
	pthread_t ended;
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	heap = heap_create(ARENA_SOURCE_PAGES);
	CHECK(heap && heap_alloc(heap, OBJECT_BYTES));
	for (size_t i = 0; i < LEFT; i++)
		CHECK(!pthread_create(&left[i].thread, NULL, stay, &left[i]));
	for (size_t i = 0; i < LEFT; i++)
		while (!atomic_load_acquire(&left[i].cache))
			usleep(1000);
	/* That of a thread that ended before is taken over by the first one in the child. */
	CHECK(!pthread_create(&ended, NULL, take_much, NULL) && !pthread_join(ended, NULL));
	CHECK(heap->parked);
	harness_child(&death, leave_alone, heap_own_cache(heap->id));
	if (death.signal || death.status)
		harness_fail(__FILE__, __LINE__, "signal %d, status %d: %s", death.signal, death.status, death.text);
	atomic_store_relaxed(&may_leave, true);
	for (size_t i = 0; i < LEFT; i++)
		CHECK(!pthread_join(left[i].thread, NULL));
}

/* ---------------------------------------------------------------- what was freed of ended threads is read meanwhile */

enum { ROUNDS = 20, ENDED_SLOTS = 64, ENDED_OBJECTS = 2000 * ENDED_SLOTS };

static void *ended_objects[ENDED_OBJECTS];
static unsigned int nr_read; /* atomic: rounds */

static void *allocate_and_end(void *unused)
{
	for (size_t i = 0; i < ENDED_OBJECTS; i++)
		CHECK((ended_objects[i] = heap_alloc(heap, PAGE_BYTES / ENDED_SLOTS)));
	return unused;
}

static void *read_all_news(void *unused)
{
	while (!atomic_load_relaxed(&stop))
		if (heap_read_news(heap))
			atomic_store_relaxed(&nr_read, nr_read + 1);
	return unused;
}

/* The cache of the ended thread is there for the next one. */
static void *take_ended(void *cache)
{
	CHECK(heap_alloc(heap, 1) && heap_own_cache(heap->id) == cache);
	return NULL;
}

static void use_ended(void *cache)
{
	pthread_t thread;

	CHECK_EQ(heap->nr_parked, 1);
	CHECK(!pthread_create(&thread, NULL, take_ended, cache) && !pthread_join(thread, NULL));
	heap_validate(heap);
}

TEST(news, "fork/a child has the caches of ended threads, also of which news were read meanwhile")
{
	pthread_t ended, reader;
	struct death death;
	struct cache *cache;

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	heap = heap_create(ARENA_SOURCE_PAGES);
	CHECK(heap && heap_alloc(heap, 1));
	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	CHECK(!pthread_create(&ended, NULL, allocate_and_end, NULL) && !pthread_join(ended, NULL));
	cache = heap->parked;
	CHECK(cache && heap_read_news(heap));
	CHECK(!pthread_create(&reader, NULL, read_all_news, NULL));
	for (unsigned int round = 0; round < ROUNDS; round++) {
		unsigned int before = atomic_load_relaxed(&nr_read);

		for (size_t i = round; i < ENDED_OBJECTS; i += ENDED_SLOTS)
			heap_free(heap, ended_objects[i]);
		while (!atomic_load_relaxed(&heap->being_read) && atomic_load_relaxed(&nr_read) == before)
			;
		harness_child(&death, use_ended, cache);
		if (death.signal || death.status)
			harness_fail(__FILE__, __LINE__, "signal %d, status %d: %s", death.signal, death.status, death.text);
	}
	atomic_store_relaxed(&stop, true);
	CHECK(!pthread_join(reader, NULL));
}

/* ---------------------------------------------------------------- fork() while the library starts */

static void *first_arena(void *go)
{
	while (!atomic_load_relaxed((bool *)go))
		;
	return arena_new(NULL);
}

/* Ends by SIGALRM when a lock stayed behind. */
static void start_in_child(void *unused)
{
	struct arena *arena;
	pid_t pid;

	(void)unused;
	alarm(10);
	arena = arena_new(NULL);
	CHECK(arena && arena_alloc(arena, 10));
	/* Handlers of fork() that are registered twice wait for themselves here. */
	pid = fork();
	if (!pid)
		_exit(0);
	CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
}

static void fork_during_start(void *spin)
{
	bool go = false;
	pthread_t thread;
	struct death death;

	CHECK(!pthread_create(&thread, NULL, first_arena, &go));
	usleep(50);
	atomic_store_relaxed(&go, true);
	for (volatile size_t i = *(const size_t *)spin; i; i--)
		;
	harness_child(&death, start_in_child, NULL);
	CHECK(!death.signal && !death.status);
	CHECK(!pthread_join(thread, NULL));
}

#define STARTS 1000

TEST(start, "fork/while another thread starts the library")
{
	struct random random = { harness_seed() };

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	for (size_t i = 0; i < STARTS && harness_seconds() < 20; i++) {
		size_t spin = random_below(&random, 40000);
		struct death death;

		harness_child(&death, fork_during_start, &spin);
		if (death.signal || death.status)
			harness_fail(__FILE__, __LINE__, "start %zu: signal %d, status %d: %s", i, death.signal,
				     death.status, death.text);
	}
}
