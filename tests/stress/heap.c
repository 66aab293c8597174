// SPDX-License-Identifier: MIT
/*
 * Heaps under threads at full speed: producers and consumers, threads that come and go and leave objects behind, objects that change
 * hands in both directions. Every object carries its size and a pattern, looked at before it is freed; at quiet points the
 * heap is validated, and at the end everything must have come back. Not a benchmark.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "heap.h"
#include "tests/harness.h"

#define THREADS 4
#define ROUNDS 5
#define ROUND_SECONDS 1.5
#define STEPS 30000
#define SHELF 256

struct object {
	size_t bytes;	/* of all of it */
	uint64_t seed;
	unsigned char fill[];
};

static struct heap *heap;
static pthread_barrier_t barrier;
/* Objects between threads; atomic, the release in hand_over() pairs with the acquire there. */
static struct object *shelf[SHELF];

static unsigned char pattern(const struct object *object)
{
	return (unsigned char)(object->seed ^ object->bytes);
}

static size_t random_bytes(struct random *rng)
{
	switch (random_below(rng, 64)) {
	case 0: return 32 * KiB + random_below(rng, 200 * KiB);
	case 1: return random_below(rng, 32 * KiB);
	case 2: case 3: case 4: return random_below(rng, 4 * KiB);
	/* Spans of 256 slots, where the words of free slots are all in use. */
	case 5: case 6: case 7: case 8: return 0;
	default: return random_below(rng, 400);
	}
}

static struct object *fill(struct object *object, size_t bytes, struct random *rng)
{
	CHECK(object && heap_usable_bytes(object) >= bytes);
	object->bytes = bytes;
	object->seed = random_next(rng);
	memset(object->fill, pattern(object), bytes - sizeof(*object));
	return object;
}

static struct object *make(struct random *rng)
{
	size_t bytes = sizeof(struct object) + random_bytes(rng);

	return fill(heap_alloc(heap, bytes), bytes, rng);
}

static void check_object(const struct object *object, size_t bytes)
{
	unsigned char value = pattern(object);

	for (size_t i = 0; i < bytes - sizeof(*object); i++)
		if (object->fill[i] != value)
			harness_fail(__FILE__, __LINE__, "byte %zu of an object of %zu is %d, not %d", i, object->bytes,
				     object->fill[i], value);
}

static void destroy(struct object *object)
{
	if (!object)
		return;
	check_object(object, object->bytes);
	heap_free(heap, object);
}

static struct object *hand_over(struct object *object, size_t place)
{
	return __atomic_exchange_n(&shelf[place], object, __ATOMIC_ACQ_REL);
}

/* Grow or shrink; what is in both sizes stays. */
static struct object *resize(struct object *object, struct random *rng)
{
	size_t bytes = sizeof(*object) + random_bytes(rng), old = object->bytes;

	object = heap_realloc(heap, object, bytes);
	CHECK(object);
	CHECK_EQ(object->bytes, old);
	check_object(object, size_min(old, bytes));
	return fill(object, bytes, rng);
}

static void one_step(struct object **own, struct random *rng)
{
	struct object **at = &own[random_below(rng, 32)];

	switch (random_below(rng, 8)) {
	case 0: case 1: case 2: destroy(hand_over(make(rng), random_below(rng, SHELF))); break;
	case 3: *at = hand_over(*at, random_below(rng, SHELF)); break;
	case 4: destroy(hand_over(NULL, random_below(rng, SHELF))); break;
	case 5: *at = *at ? resize(*at, rng) : make(rng); break;
	default:
		destroy(*at);
		*at = make(rng);
		break;
	}
}

/* What a thread still has at its end goes to others, or stays for them. */
static void leave(struct object **own, size_t nr, struct random *rng)
{
	for (size_t i = 0; i < nr; i++)
		destroy(hand_over(own[i], random_below(rng, SHELF)));
}

static void *visit(void *argument)
{
	struct random rng = { .state = (uintptr_t)argument };
	struct object *own[32] = { NULL };

	for (size_t i = 0; i < 500; i++)
		one_step(own, &rng);
	leave(own, 32, &rng);
	return NULL;
}

static void send_visitor(struct random *rng)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, visit, (void *)(uintptr_t)random_next(rng)));
	CHECK(!pthread_join(thread, NULL));
}

/* Threads of even numbers make, the others free; of all kinds some do both. */
static void round_of(size_t me, struct object **own, struct random *rng)
{
	double end = harness_seconds() + ROUND_SECONDS;
	size_t steps = harness_sanitized() ? STEPS / 5 : STEPS;

	for (size_t i = 0; i < steps && harness_seconds() < end; i++) {
		size_t place = random_below(rng, SHELF);

		if (i % 3)
			one_step(own, rng);
		else
			destroy(hand_over(me % 2 ? NULL : make(rng), place));
		if (!random_below(rng, 300))
			send_visitor(rng);
		if (!random_below(rng, 2000))
			heap_scavenge(heap, 1, UINT64_MAX);
	}
}

static void *work(void *argument)
{
	struct random rng = { .state = harness_seed() + (uintptr_t)argument };
	struct object *own[32] = { NULL };

	for (size_t round = 0; round < ROUNDS; round++) {
		round_of((uintptr_t)argument, own, &rng);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			heap_validate(heap);
		pthread_barrier_wait(&barrier);
	}
	leave(own, 32, &rng);
	return NULL;
}

TEST(threads, "stress/heap: producers, consumers, visitors; nothing is lost or left")
{
	pthread_t threads[THREADS];

	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(heap && !pthread_barrier_init(&barrier, NULL, THREADS));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	for (size_t i = 0; i < SHELF; i++)
		destroy(hand_over(NULL, i));
	heap_validate(heap);
	heap_scavenge(heap, 0, UINT64_MAX);
	heap_validate(heap);
	CHECK_EQ(heap->pages.used_pages, 0);
	CHECK_EQ(heap->pages.handed, heap->pages.returned);
}

/* ---------------------------------------------------------------- one span, two threads that free */

#define SPANS 20000

static struct object *pair[2]; /* atomic: for the other thread to free */

/* Frees the smallest objects at the moment when their owner frees the last of them and reuses the page. */
static void *free_late(void *stop)
{
	while (!__atomic_load_n((int *)stop, __ATOMIC_RELAXED))
		for (size_t i = 0; i < 2; i++)
			heap_free(heap, __atomic_exchange_n(&pair[i], NULL, __ATOMIC_ACQ_REL));
	return NULL;
}

static void turn_over(size_t bytes)
{
	static void *objects[512];

	for (size_t i = 0; i < 512; i++) {
		objects[i] = heap_alloc(heap, bytes);
		CHECK(objects[i]);
	}
	for (size_t i = 0; i < 512; i++)
		heap_free(heap, i % 100 ? objects[i] : __atomic_exchange_n(&pair[i / 100 % 2], objects[i], __ATOMIC_ACQ_REL));
}

TEST(late, "stress/heap: frees of others arrive while their spans are given back and used anew")
{
	size_t nr = harness_sanitized() ? SPANS / 10 : SPANS;
	pthread_t threads[2];
	int stop = 0;

	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(heap);
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, free_late, &stop));
	for (size_t i = 0; i < nr && harness_seconds() < 10; i++)
		turn_over(i % 3 ? 16 : 800);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	for (size_t i = 0; i < 2; i++)
		heap_free(heap, pair[i]);
	heap_validate(heap);
}

/* ---------------------------------------------------------------- inboxes that others empty */

enum { BATCH = 1000, BATCHES = 400 };

/* Objects for whoever takes them; atomic. */
static struct object **batches[4];
static bool is_over;	/* atomic */
static uint64_t nr_given; /* of the only thread that gives */

static void *give_asleep(void *unused)
{
	while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED))
		nr_given += heap_give_asleep(heap);
	return unused;
}

static void free_batch(struct object **objects)
{
	for (size_t i = 0; objects && i < BATCH; i++)
		destroy(objects[i]);
	free(objects);
}

/* Makes batches of one size each, some of whose objects it frees itself, and frees those of others as a whole. */
static void *exchange_batches(void *number)
{
	static const unsigned short sizes[] = { 16, 24, 48, 100, 500, 700, 3000, 9000 };
	struct random rng = { .state = harness_seed() + (uintptr_t)number };
	size_t nr = harness_sanitized() ? BATCHES / 4 : BATCHES;

	for (size_t round = 0; round < nr && harness_seconds() < 20; round++) {
		struct object **objects = calloc(BATCH, sizeof(*objects));
		size_t bytes = sizes[random_below(&rng, ARRAY_LEN(sizes))], own = random_below(&rng, 3) ? 0 : 1 + random_below(&rng, 300);

		CHECK(objects);
		for (size_t i = 0; i < BATCH; i++)
			objects[i] = fill(heap_alloc(heap, bytes), bytes, &rng);
		for (size_t i = 0; own && i < BATCH; i += own) {
			destroy(objects[i]);
			objects[i] = NULL;
		}
		free_batch(__atomic_exchange_n(&batches[random_below(&rng, ARRAY_LEN(batches))], objects, __ATOMIC_ACQ_REL));
		/* For a while it is asleep. */
		if (!random_below(&rng, 4))
			sched_yield();
	}
	return NULL;
}

TEST(asleep, "stress/heap: what others have freed is given back while its threads wake up, or is taken in by them")
{
	pthread_t threads[THREADS], giver;

	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(heap && !pthread_create(&giver, NULL, give_asleep, NULL));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, exchange_batches, (void *)i));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	__atomic_store_n(&is_over, true, __ATOMIC_RELAXED);
	CHECK(!pthread_join(giver, NULL));
	CHECK(nr_given || checked_is_on());
	heap_validate(heap);
	for (size_t i = 0; i < ARRAY_LEN(batches); i++)
		free_batch(batches[i]);
	heap_flush(heap);
	heap_scavenge(heap, 0, UINT64_MAX);
	heap_validate(heap);
	CHECK_EQ(heap->pages.used_pages, 0);
}

/* ---------------------------------------------------------------- at a limit */

enum { FULL_CHUNKS = 2, FULL_OBJECTS = 30000 };

/* Objects of a heap that has room for less; atomic: of whoever takes them out. */
static uint64_t *full[FULL_OBJECTS];
static uint64_t nr_refused; /* atomic, about */

static void put_full(size_t place, uint64_t *object)
{
	object = __atomic_exchange_n(&full[place], object, __ATOMIC_ACQ_REL);
	if (object)
		CHECK_EQ(*object, (uintptr_t)object);
	heap_free(heap, object);
}

/* What is refused leaves its place empty. */
static void replace_full(struct random *rng, size_t nr)
{
	static const size_t sizes[] = { 16, 32, 64, 200, 700 };

	for (size_t i = 0; i < nr; i++) {
		size_t place = random_below(rng, FULL_OBJECTS);
		uint64_t *object;

		put_full(place, NULL);
		object = heap_alloc(heap, random_below(rng, 100) ? sizes[random_below(rng, ARRAY_LEN(sizes))] : 40000);
		if (object)
			*object = (uintptr_t)object;
		else
			__atomic_store_n(&nr_refused, __atomic_load_n(&nr_refused, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
		put_full(place, object);
	}
}

static void *visit_full(void *seed)
{
	struct random rng = { .state = (uintptr_t)seed };

	replace_full(&rng, 1000);
	return NULL;
}

static void *work_full(void *seed)
{
	struct random rng = { .state = harness_seed() + (uintptr_t)seed };
	size_t nr = harness_sanitized() ? 20 : 100;

	for (size_t i = 0; i < nr && harness_seconds() < 10; i++) {
		pthread_t thread;

		replace_full(&rng, 1000);
		CHECK(!pthread_create(&thread, NULL, visit_full, (void *)(uintptr_t)random_next(&rng)));
		CHECK(!pthread_join(thread, NULL));
		if (!random_below(&rng, 10))
			heap_scavenge(heap, 0, UINT64_MAX);
	}
	return NULL;
}

/* Looks into what ended threads have left, searches before refusals and allocations meet each other at every moment. */
static void check_full(void)
{
	pthread_t threads[THREADS];

	CHECK(heap);
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, work_full, (void *)i));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(nr_refused);
	heap_validate(heap);
	for (size_t i = 0; i < FULL_OBJECTS; i++)
		put_full(i, NULL);
	heap_validate(heap);
	heap_flush(heap);
	heap_scavenge(heap, 0, UINT64_MAX);
	CHECK_EQ(heap->pages.used_pages, 0);
}

TEST(limit, "stress/heap: threads that come and go in a heap at its limit; nothing is lost or left")
{
	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(heap);
	heap_set_limit(heap, limit_from_bytes(FULL_CHUNKS * CHUNK_BYTES));
	check_full();
}

TEST(limit_supplied, "stress/heap: the same in memory of the program")
{
	static char memory[(FULL_CHUNKS + 1) * CHUNK_BYTES];

	heap = (struct heap *)(void *)arena_heap_create(&(struct arena_heap_options){ .memory = memory, .memory_bytes = sizeof(memory) });
	check_full();
}
