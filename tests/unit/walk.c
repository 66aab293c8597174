// SPDX-License-Identifier: MIT
/* Walking heaps: each live object once, with its size, and nothing else; whoever made and freed them. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arena/heap.h"
#include "arena/profile.h"
#include "heap.h"
#include "tests/harness.h"
#include "tests/unit/fit.h"
#include "walk.h"

enum { NR = 20000 };

static struct arena_heap *heap;
static char *objects[NR];

/* What a walk met. */
struct tally {
	size_t nr;
	size_t stop_at;	/* 0 = never */
	char *before;
	unsigned char seen[NR];
	bool frees;
};

/* The objects carry their numbers. */
static bool count(void *context, void *object, size_t bytes)
{
	struct tally *tally = context;
	uint32_t number = *(uint32_t *)object;

	CHECK((char *)object > tally->before);
	tally->before = object;
	CHECK(number < NR);
	CHECK(objects[number] == object);
	CHECK_EQ(bytes, arena_heap_usable_bytes(object));
	CHECK_EQ(tally->seen[number], 0);
	tally->seen[number] = 1;
	tally->nr++;
	if (tally->frees) {
		arena_heap_free(object);
		objects[number] = NULL;
	}
	return tally->nr != tally->stop_at;
}

static size_t any_bytes(struct random *random)
{
	switch (random_below(random, 200)) {
	case 0: return 32 * KiB + random_below(random, 3 * MiB);
	case 1 ... 20: return 4 + random_below(random, 32 * KiB);
	default: return 4 + random_below(random, 600);
	}
}

static void make(uint32_t number, struct random *random)
{
	objects[number] = arena_heap_alloc(heap, any_bytes(random));
	CHECK(objects[number]);
	*(uint32_t *)(void *)objects[number] = number;
}

static void *free_every_fifth(void *unused)
{
	(void)unused;
	for (uint32_t i = 0; i < NR; i += 5) {
		arena_heap_free(objects[i]);
		objects[i] = NULL;
	}
	return NULL;
}

static void *make_every_third(void *random)
{
	for (uint32_t i = 0; i < NR; i += 3)
		make(i, random);
	return NULL;
}

static void in_thread(void *(*function)(void *), void *argument)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, function, argument));
	CHECK(!pthread_join(thread, NULL));
}

/* By this thread and others, ended ones among them; holes of all ages. */
static size_t fill(void)
{
	struct random random = { .state = harness_seed() };
	size_t nr = 0;

	heap = arena_heap_create(NULL);
	CHECK(heap);
	in_thread(make_every_third, &random);
	for (uint32_t i = 0; i < NR; i++)
		if (!objects[i])
			make(i, &random);
	for (uint32_t i = 1; i < NR; i += 2) {
		arena_heap_free(objects[i]);
		objects[i] = NULL;
	}
	for (uint32_t i = 1; i < NR; i += 6)
		make(i, &random);
	in_thread(free_every_fifth, NULL);
	for (size_t i = 0; i < NR; i++)
		nr += objects[i] != NULL;
	return nr;
}

TEST(all, "walk/every live object once, with its size, by address")
{
	static struct tally tally, again;
	size_t nr = fill();
	struct arena_heap *other = arena_heap_create(NULL);

	CHECK(other && arena_heap_alloc(other, 100) && arena_heap_alloc(other, 5 * MiB));
	CHECK(arena_heap_walk(heap, count, &tally));
	CHECK_EQ(tally.nr, nr);
	again.stop_at = 7;
	CHECK(!arena_heap_walk(heap, count, &again));
	CHECK_EQ(again.nr, 7);
}

TEST(frees, "walk/what is shown may be freed, and then there is nothing")
{
	static struct tally tally, again;
	size_t nr = fill();

	tally.frees = true;
	CHECK(arena_heap_walk(heap, count, &tally));
	CHECK_EQ(tally.nr, nr);
	CHECK(arena_heap_walk(heap, count, &again));
	CHECK_EQ(again.nr, 0);
	arena_heap_trim(heap, SIZE_MAX);
	heap_validate((struct heap *)(void *)heap);
}

TEST(empty, "walk/a heap without objects shows none")
{
	static struct tally tally;

	heap = arena_heap_create(NULL);
	CHECK(arena_heap_walk(heap, count, &tally));
	arena_heap_free(arena_heap_alloc(heap, 100));
	arena_heap_free(arena_heap_alloc(heap, 100 * KiB));
	CHECK(arena_heap_walk(heap, count, &tally));
	CHECK_EQ(tally.nr, 0);
}

TEST(sampled, "walk/while there is sampling free slots that are on loan are not shown")
{
	const struct arena_profile_options options = { .mean_bytes = 16 * KiB, .seed = 3 };
	static struct tally tally, again;
	size_t nr;

	CHECK_EQ(arena_profile_start(&options), 0);
	nr = fill();
	CHECK(arena_heap_walk(heap, count, &tally));
	CHECK_EQ(tally.nr, nr);
	again.frees = true;
	CHECK(arena_heap_walk(heap, count, &again));
	CHECK_EQ(again.nr, nr);
	again = (struct tally){ 0 };
	CHECK(arena_heap_walk(heap, count, &again));
	CHECK_EQ(again.nr, 0);
}

static void *look_from_elsewhere(void *tally)
{
	CHECK(arena_heap_walk(heap, count, tally));
	return NULL;
}

TEST(lent, "walk/nor are those of another thread")
{
	const struct arena_profile_options options = { .mean_bytes = MiB, .seed = 3 };
	static struct tally tally;

	CHECK_EQ(arena_profile_start(&options), 0);
	heap = arena_heap_create(NULL);
	CHECK(heap && (objects[0] = arena_heap_calloc(heap, 1, 64)));
	in_thread(look_from_elsewhere, &tally);
	CHECK_EQ(tally.nr, 1);
}

/* ---------------------------------------------------------------- what the library does meanwhile */

enum { NR_TAKEN_IN = 2000, ROUNDS_TAKEN_IN = 300 };

static uint32_t is_walked;	/* atomic: so many rounds are over */

static void *make_some(void *unused)
{
	(void)unused;
	for (size_t i = 0; i < NR_TAKEN_IN; i++)
		CHECK(objects[i] = arena_heap_alloc(heap, 500));
	return NULL;
}

/* As the scavenger does it. */
static void *take_in(void *unused)
{
	(void)unused;
	while (!__atomic_load_n(&is_walked, __ATOMIC_ACQUIRE))
		heap_try_all_news((struct heap *)(void *)heap);
	return NULL;
}

static bool must_not_be(void *unused, void *object, size_t bytes)
{
	(void)unused;
	(void)object;
	CHECK_EQ(bytes, 0);
	return true;
}

TEST(taken_in, "walk/what the library takes in meanwhile of ended threads is not shown")
{
	heap = arena_heap_create(NULL);
	CHECK(heap);
	for (int i = 0; i < ROUNDS_TAKEN_IN; i++) {
		pthread_t scavenger;

		in_thread(make_some, NULL);
		for (size_t o = 0; o < NR_TAKEN_IN; o++)
			arena_heap_free(objects[o]);
		__atomic_store_n(&is_walked, 0, __ATOMIC_RELEASE);
		CHECK(!pthread_create(&scavenger, NULL, take_in, NULL));
		for (int j = 0; j < 20; j++)
			CHECK(arena_heap_walk(heap, must_not_be, NULL));
		__atomic_store_n(&is_walked, 1, __ATOMIC_RELEASE);
		CHECK(!pthread_join(scavenger, NULL));
	}
}

/* ---------------------------------------------------------------- what is free */

enum { SLOT_BYTES = 64, NR_SLOTS = 999 };

static uint64_t nr_free(void)
{
	uint64_t nr[NR_CLASSES];

	heap_count_free((struct heap *)(void *)heap, nr);
	return nr[class_of(slot_of(SLOT_BYTES))];
}

static void *free_thirds(void *unused)
{
	for (size_t i = 0; i < NR_SLOTS; i += 3)
		arena_heap_free(objects[i]);
	return unused;
}

TEST(slots, "walk/slots without an object are counted, others' frees and those on loan among them")
{
	const struct arena_profile_options options = { .mean_bytes = MiB, .seed = 3 };
	uint64_t before;

	heap = arena_heap_create(NULL);
	CHECK(heap && nr_free() == 0);
	for (size_t i = 0; i < NR_SLOTS; i++)
		CHECK((objects[i] = arena_heap_alloc(heap, SLOT_BYTES)));
	before = nr_free();
	CHECK(before < PAGE_BYTES / SLOT_BYTES);
	in_thread(free_thirds, NULL);
	/* Where heaps look after their objects, freed ones rest first. */
	CHECK_EQ(nr_free(), before + (checked_is_on() ? 0 : NR_SLOTS / 3));
	before = nr_free();
	CHECK_EQ(arena_profile_start(&options), 0);
	CHECK(arena_heap_alloc(heap, SLOT_BYTES));
	CHECK_EQ(nr_free(), before - 1);
}

/* ---------------------------------------------------------------- others at work */

static uint32_t is_over; /* atomic; relaxed: only a hint to end */

static void *churn(void *random)
{
	void *kept[200] = { NULL };

	while (!atomic_load_relaxed(&is_over)) {
		size_t i = random_below(random, 200);

		arena_heap_free(kept[i]);
		kept[i] = arena_heap_alloc(heap, any_bytes(random));
	}
	for (size_t i = 0; i < 200; i++)
		arena_heap_free(kept[i]);
	return NULL;
}

static bool look_only(void *context, void *object, size_t bytes)
{
	CHECK(arena_heap_of(object) == heap || !arena_heap_of(object));
	CHECK(bytes > 0);
	(*(size_t *)context)++;
	return true;
}

TEST(busy, "walk/beside threads that allocate and free it ends, while sampling begins")
{
	struct random randoms[2] = { { .state = harness_seed() }, { .state = harness_seed() + 1 } };
	pthread_t threads[2];
	size_t nr = 0;

	if (harness_thread_sanitized())
		harness_skip("a walk beside other threads reads records that they write: the thread sanitizer would say so");
	heap = arena_heap_create(NULL);
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, churn, &randoms[i]));
	while (nr < 200000 && harness_seconds() < 30) {
		arena_heap_walk(heap, look_only, &nr);
		/* Loans are made under its eyes. */
		if (nr > 100000 && !arena_profile_mean_bytes())
			CHECK_EQ(arena_profile_start(NULL), 0);
	}
	atomic_store_relaxed(&is_over, 1u);
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	harness_note("%zu objects shown", nr);
	CHECK(nr);
	nr = 0;
	CHECK(arena_heap_walk(heap, look_only, &nr));
	CHECK_EQ(nr, 0);
}
