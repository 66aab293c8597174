// SPDX-License-Identifier: MIT
/*
 * Profiles of heaps and arenas: estimates per call site are near the truth, objects that are freed leave the profile, wherever they are freed.
 * Sites are functions of this file; the seed of the samples is a constant, so that estimates are the same in each run.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arena/heap.h"
#include "arena/profile.h"
#include "heap.h"
#include "internal.h"
#include "profile.h"
#include "tests/harness.h"
#include "tests/unit/fit.h"

#define MEAN ((size_t)16 * KiB)

static struct heap *started(void)
{
	const struct arena_profile_options options = { .mean_bytes = MEAN, .seed = 11 };
	struct heap *heap = heap_create(ARENA_SOURCE_THP);

	CHECK(heap);
	CHECK_EQ(arena_profile_start(&options), 0);
	return heap;
}

/* Not inlined, their calls not their last, and none longer than 256 bytes: so a return address tells which one it is in. */
#define SITE(name) \
	static __attribute__((noinline, aligned(256))) void *name(struct heap *heap, size_t bytes) \
	{ \
		void *volatile object = arena_heap_alloc((struct arena_heap *)(void *)heap, bytes); \
 \
		return object; \
	}
SITE(site_a)
SITE(site_b)
SITE(site_c)

/* What is known of the sites that a function is in. */
struct wanted {
	uintptr_t function;
	struct arena_profile_site sum;
	size_t nr;
};

static bool add_site(const struct arena_profile_site *site, void *data)
{
	struct wanted *wanted = data;

	for (size_t i = 0; i < site->nr_addresses; i++) {
		if (wanted->function && site->addresses[i] - wanted->function >= 256)
			continue;
		wanted->sum.allocated_objects += site->allocated_objects;
		wanted->sum.allocated_bytes += site->allocated_bytes;
		wanted->sum.used_objects += site->used_objects;
		wanted->sum.used_bytes += site->used_bytes;
		wanted->sum.kind = site->kind;
		wanted->nr++;
		break;
	}
	return true;
}

/* For the profile freed objects that rest (checked.h) are still in use. */
static void end_rests(void)
{
	for (size_t i = 0; i < HEAPS_MAX; i++)
		if (heap_at(i))
			checked_flush(heap_at(i));
}

/* NULL: all sites. */
static struct arena_profile_site sum_of(void *(*function)(struct heap *, size_t))
{
	struct wanted wanted = { .function = (uintptr_t)function };

	end_rests();
	profile_validate();
	arena_profile_for_each(add_site, &wanted);
	return wanted.sum;
}

/* Six standard deviations for the numbers of samples here: at least 2,000 each. */
static bool is_near(uint64_t estimate, uint64_t truth)
{
	harness_note("estimated %lu of %lu", (unsigned long)estimate, (unsigned long)truth);
	return estimate > truth - truth * 14 / 100 && estimate < truth + truth * 14 / 100;
}

TEST(off, "profile/nothing is sampled before the start, nor after the stop")
{
	struct heap *heap = heap_create(ARENA_SOURCE_THP);
	struct arena_profile_site before;

	for (size_t i = 0; i < 10000; i++)
		CHECK(site_a(heap, 100));
	CHECK_EQ(sum_of(NULL).allocated_objects, 0);
	CHECK_EQ(arena_profile_mean_bytes(), 0);
	CHECK_EQ(arena_profile_start(NULL), 0);
	CHECK_EQ(arena_profile_mean_bytes(), 512 * KiB);
	/* The first fills the word that was at hand. */
	for (size_t i = 0; i < 64; i++)
		CHECK(site_a(heap, 100));
	for (size_t i = 0; i < 1000000; i++)
		heap_free(heap, site_a(heap, 100));
	arena_profile_stop();
	before = sum_of(NULL);
	CHECK(before.allocated_objects > 100000);
	for (size_t i = 0; i < 1000000; i++)
		heap_free(heap, site_a(heap, 100));
	CHECK_EQ(sum_of(NULL).allocated_objects, before.allocated_objects);
	heap_validate(heap);
}

TEST(alternate, "profile/three sites in strict turn, of one class, one of which keeps its objects")
{
	struct heap *heap = started();
	size_t nr = 1000000;
	void **kept = calloc(nr, sizeof(*kept));

	for (size_t i = 0; i < nr; i++) {
		heap_free(heap, site_a(heap, 64));
		heap_free(heap, site_b(heap, 64));
		kept[i] = site_c(heap, 64);
	}
	CHECK(is_near(sum_of(site_a).allocated_bytes, nr * slot_of(64)));
	CHECK(is_near(sum_of(site_b).allocated_objects, nr));
	CHECK(is_near(sum_of(site_c).allocated_bytes, nr * slot_of(64)));
	CHECK(is_near(sum_of(site_c).used_bytes, nr * slot_of(64)));
	CHECK(is_near(sum_of(site_c).used_objects, nr));
	CHECK_EQ(sum_of(site_a).used_bytes, 0);
	CHECK_STR(sum_of(site_c).kind, "heap");
	heap_validate(heap);
	for (size_t i = 0; i < nr; i++)
		heap_free(heap, kept[i]);
	CHECK_EQ(sum_of(NULL).used_objects, 0);
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
	heap_validate(heap);
	free(kept);
}

TEST(sizes, "profile/objects of every kind of size are estimated, and their memory is whole")
{
	static const size_t sizes[] = { 16, 200, 5000, 32768, 40000, 3 * MiB };
	struct heap *heap = started();

	for (size_t s = 0; s < 6; s++) {
		size_t nr = 2500 * MEAN / sizes[s] + 600, slot_bytes = slot_of(sizes[s]), before = sum_of(site_a).allocated_bytes;

		for (size_t i = 0; i < nr; i++) {
			char *object = site_a(heap, sizes[s]);

			CHECK(object && (uintptr_t)object % 16 == 0 && heap_usable_bytes(object) >= sizes[s]);
			memset(object, 1, size_min(sizes[s], 40000));
			heap_free(heap, object);
		}
		CHECK(is_near(sum_of(site_a).allocated_bytes - before, nr * slot_bytes));
	}
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
}

TEST(resize, "profile/an object that grows where it is counts with its new size")
{
	struct heap *heap = started();
	char *object = heap_alloc(heap, fit(1 * MiB));

	for (size_t i = 2; i < 20; i++)
		object = heap_realloc(heap, object, fit(i * MiB));
	CHECK_EQ(sum_of(NULL).used_bytes, 19 * MiB);
	CHECK_EQ(sum_of(NULL).used_objects, 1);
	object = heap_realloc(heap, object, fit(1 * MiB));
	CHECK_EQ(sum_of(NULL).used_bytes, 1 * MiB);
	heap_free(heap, object);
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
}

TEST(zeroed, "profile/sampled objects are zeroed, aligned, resized and copied as others are")
{
	const struct arena_profile_options options = { .mean_bytes = 1, .seed = 1 };
	struct heap *heap = started();

	CHECK_EQ(arena_profile_start(&options), 0);
	for (size_t bytes = 1; bytes < 33000; bytes = bytes * 3 / 2 + 1) {
		char *object = heap_calloc(heap, bytes), *aligned = heap_alloc_aligned(heap, bytes, 256);

		CHECK(object && aligned && (uintptr_t)aligned % 256 == 0);
		for (size_t i = 0; i < bytes; i++)
			CHECK(!object[i]);
		memset(object, 7, bytes);
		object = heap_realloc(heap, object, bytes + 5000);
		for (size_t i = 0; i < bytes; i++)
			CHECK_EQ(object[i], 7);
		heap_free(heap, object);
		heap_free(heap, aligned);
	}
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
	heap_validate(heap);
}

static void free_twice(void *unused)
{
	const struct arena_profile_options options = { .mean_bytes = 1, .seed = 1 };
	struct heap *heap = started();
	char *object;

	(void)unused;
	arena_profile_start(&options);
	object = heap_alloc(heap, 64);
	heap_free(heap, object);
	heap_free(heap, object);
}

TEST(twice, "profile/a sampled object that is freed twice is noticed")
{
	struct death death;

	harness_child(&death, free_twice, NULL);
	CHECK(harness_died(&death, 6));
	CHECK_HAS(death.text, "it is free already");
}

#define THREADS 4
#define OBJECTS 200000

static char *handed[THREADS][OBJECTS];

static void *produce(void *argument)
{
	char **objects = argument;
	struct heap *heap = heap_hold(1);

	heap_unhold();
	for (size_t i = 0; i < OBJECTS; i++)
		objects[i] = site_b(heap, 16 + i % 100);
	return NULL;
}

static void *consume(void *argument)
{
	char **objects = argument;
	struct heap *heap = heap_hold(1);

	heap_unhold();
	for (size_t i = 0; i < OBJECTS; i++)
		heap_free(heap, objects[i]);
	return NULL;
}

static void run_threads(void *(*function)(void *))
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, function, handed[i]));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

TEST(threads, "profile/threads that allocate and others that free are one sum")
{
	struct heap *heap = started();
	size_t bytes = 0;

	for (size_t i = 0; i < OBJECTS; i++)
		bytes += slot_of(16 + i % 100);
	run_threads(produce);
	CHECK(is_near(sum_of(site_b).used_bytes, bytes * THREADS));
	CHECK(is_near(sum_of(site_b).used_objects, (uint64_t)OBJECTS * THREADS));
	run_threads(consume);
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
	heap_validate(heap);
}

TEST(destroyed, "profile/objects of a heap that is destroyed are not in use")
{
	struct heap *heap = started();

	for (size_t i = 0; i < 10000; i++)
		CHECK(site_a(heap, 1000) && (i % 100 || site_a(heap, 50000)));
	CHECK(sum_of(site_a).used_bytes);
	heap_destroy(heap);
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
	/* The thread's cache is used again. */
	heap = heap_create(ARENA_SOURCE_THP);
	for (size_t i = 0; i < 10000; i++)
		heap_free(heap, site_a(heap, 1000));
	heap_validate(heap);
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
}

TEST(pause, "profile/a thread that pauses is not sampled")
{
	struct heap *heap = started();
	uint64_t before;

	arena_profile_pause();
	for (size_t i = 0; i < 100000; i++)
		heap_free(heap, site_a(heap, 500));
	CHECK_EQ(sum_of(NULL).allocated_bytes, 0);
	arena_profile_resume();
	for (size_t i = 0; i < 100000; i++)
		heap_free(heap, site_a(heap, 500));
	before = sum_of(NULL).allocated_bytes;
	CHECK(is_near(before, 100000 * slot_of(500)));
}

static bool count_sites(const struct arena_profile_site *site, void *nr)
{
	*(size_t *)nr += site->nr_addresses > 0;
	return *(size_t *)nr < 2;
}

TEST(end_early, "profile/who reads may end early")
{
	struct heap *heap = started();
	size_t nr = 0;

	for (size_t i = 0; i < 10000; i++)
		CHECK(site_a(heap, 1000) && site_b(heap, 1000) && site_c(heap, 1000));
	arena_profile_for_each(count_sites, &nr);
	CHECK_EQ(nr, 2);
}

TEST(arguments, "profile/a mean beyond reason is refused")
{
	const struct arena_profile_options options = { .mean_bytes = TiB + 1 };

	CHECK_EQ((unsigned int)-arena_profile_start(&options), 22);
}

/* ---------------------------------------------------------------- arenas */

static struct arena *the_arena;

/* As the sites of heaps, by the inline path. */
#define ARENA_SITE(name) \
	static __attribute__((noinline, aligned(256))) void *name(struct heap *unused, size_t bytes) \
	{ \
		void *volatile object = arena_alloc(the_arena, bytes); \
 \
		(void)unused; \
		return object; \
	}
ARENA_SITE(arena_site_a)
ARENA_SITE(arena_site_b)

static void start_arena(void)
{
	const struct arena_profile_options options = { .mean_bytes = MEAN, .seed = 23 };

	CHECK_EQ(arena_profile_start(&options), 0);
	the_arena = arena_new(NULL);
	CHECK(the_arena);
}

TEST(arena_sites, "profile/two sites that take turns in an arena, whose objects live until it is freed")
{
	const size_t nr = 500000;

	start_arena();
	for (size_t i = 0; i < nr; i++) {
		char *a = arena_site_a(NULL, 100), *b = arena_site_b(NULL, 100);

		CHECK(a && b && (uintptr_t)a % 16 == 0 && (uintptr_t)b % 16 == 0);
		memset(a, 1, 100);
		memset(b, 2, 100);
		if (i % 50000 == 0)
			arena_validate(the_arena);
	}
	/* 104 bytes each, and 8 for the alignment of each. */
	CHECK(is_near(sum_of(arena_site_a).allocated_bytes, nr * 112));
	CHECK(is_near(sum_of(arena_site_b).allocated_objects, nr));
	CHECK(is_near(sum_of(arena_site_a).used_bytes, nr * 112));
	CHECK_STR(sum_of(arena_site_b).kind, "arena");
	arena_free(the_arena);
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
	CHECK(is_near(sum_of(arena_site_b).allocated_bytes, nr * 112));
}

TEST(arena_resets, "profile/many small arenas that are reset, released and freed add up")
{
	const size_t nr = 2000;
	size_t used = 0;

	start_arena();
	for (size_t i = 0; i < nr; i++) {
		struct arena_stats stats;

		for (size_t j = 0; j < 1 + i % 500; j++)
			CHECK(arena_site_a(NULL, 16 + j % 300));
		arena_stats(the_arena, &stats);
		used += stats.used_bytes;
		arena_validate(the_arena);
		if (i % 3 == 0)
			arena_reset(the_arena);
		else if (i % 3 == 1)
			arena_reset_release(the_arena);
		else {
			arena_free(the_arena);
			the_arena = arena_new(NULL);
		}
		CHECK_EQ(sum_of(NULL).used_bytes, 0);
	}
	CHECK(is_near(sum_of(arena_site_a).allocated_bytes, used));
}

TEST(arena_rewinds, "profile/an arena that is reset before its first page is full is sampled all the same")
{
	const size_t nr = 20000;

	start_arena();
	for (size_t i = 0; i < nr; i++) {
		for (size_t j = 0; j < 20; j++)
			CHECK(arena_site_a(NULL, 112));
		arena_reset(the_arena);
	}
	CHECK(is_near(sum_of(arena_site_a).allocated_bytes, nr * 20 * 112));
	arena_validate(the_arena);
}

TEST(arena_growth, "profile/a slice that grows where it is counts what it grows by")
{
	ARENA_SLICE(size_t) numbers = {0};
	struct arena_stats stats;

	start_arena();
	for (size_t i = 0; i < 8 * MiB; i++)
		CHECK(arena_slice_push(the_arena, &numbers, i));
	for (size_t i = 0; i < 8 * MiB; i++)
		CHECK_EQ(numbers.data[i], i);
	arena_stats(the_arena, &stats);
	arena_validate(the_arena);
	/* A few large steps, of which most are sampled. */
	CHECK(is_near(sum_of(NULL).used_bytes, stats.used_bytes));
}

TEST(arena_shrink, "profile/an object that shrinks and grows is no bias")
{
	size_t sum = 0;

	start_arena();
	for (size_t i = 0; i < 100000; i++) {
		char *object = arena_site_b(NULL, 512);

		CHECK(arena_realloc(the_arena, object, 512, 16) == object);
		CHECK(arena_realloc(the_arena, object, 16, 256) == object);
		sum += 512 + 240;
	}
	arena_validate(the_arena);
	CHECK(is_near(sum_of(NULL).allocated_bytes, sum));
}

TEST(arena_stop, "profile/an arena from before goes on when sampling ends")
{
	uint64_t before;

	start_arena();
	for (size_t i = 0; i < 10000; i++)
		CHECK(arena_site_a(NULL, 100));
	arena_profile_stop();
	before = sum_of(NULL).allocated_bytes;
	for (size_t i = 0; i < 100000; i++)
		CHECK(arena_site_a(NULL, 100));
	CHECK_EQ(sum_of(NULL).allocated_bytes, before);
	arena_validate(the_arena);
	arena_free(the_arena);
	CHECK_EQ(sum_of(NULL).used_bytes, 0);
}

TEST(arena_nothing, "profile/0 bytes of an arena that has no memory yet, or none any more, are a valid address")
{
	start_arena();
	CHECK(arena_alloc(the_arena, 0));
	arena_validate(the_arena);
	CHECK(arena_site_a(NULL, 100));
	arena_reset_release(the_arena);
	CHECK(arena_alloc(the_arena, 0));
	arena_validate(the_arena);
}
