// SPDX-License-Identifier: MIT
/* Limits of heaps and of the process: exact to the chunk, idle memory goes back first, the program is asked before a refusal, and never twice at once. */
#include "relief.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "arena/profile.h"
#include "checked.h"
#include "guard.h"
#include "pace.h"
#include "scavenger.h"
#include "tests/harness.h"
#include "tests/unit/fit.h"

static struct arena_heap_stats counts(struct arena_heap *heap)
{
	struct arena_heap_stats stats;

	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.handed_chunks, stats.mapped_chunks + stats.idle_chunks + stats.returned_chunks);
	return stats;
}

/* Of a source that is everywhere. */
static struct arena_heap *plain_heap(void)
{
	return arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
}

static uint64_t held(struct arena_heap *heap)
{
	struct arena_heap_stats stats = counts(heap);

	return stats.mapped_chunks + stats.idle_chunks;
}

static void validate(struct arena_heap *heap)
{
	heap_validate((struct heap *)(void *)heap);
}

/* ---------------------------------------------------------------- what the program is told */

enum { NR_KEPT = 64 };

/* A cache of what can be made again, and a record of the calls. */
static struct {
	struct arena_heap *heap;
	void *kept[NR_KEPT];	/* [0, nr_kept) */
	unsigned int nr_kept;
	bool lies;		/* says that it helped when it did not */
	unsigned int depth;	/* of calls */
	unsigned int nr_soft, nr_hard;
	size_t last_want_bytes;
} told;

static bool on_pressure(enum arena_pressure pressure, size_t want_bytes, void *context)
{
	void *object;

	CHECK(context == &told);
	CHECK_EQ(++told.depth, 1);
	told.nr_soft += pressure == ARENA_PRESSURE_SOFT;
	told.nr_hard += pressure == ARENA_PRESSURE_HARD;
	told.last_want_bytes = want_bytes;
	/* Small ones are to be had most often, one of this size never: and neither calls again. */
	object = arena_heap_alloc(told.heap, 100);
	arena_heap_free(object);
	CHECK(!arena_heap_alloc(told.heap, 1 * GiB));
	arena_heap_trim(told.heap, 0);
	told.depth--;
	errno = EDOM;
	if (told.lies || pressure == ARENA_PRESSURE_SOFT || !told.nr_kept)
		return told.lies;
	arena_heap_free(told.kept[--told.nr_kept]);
	return true;
}

static struct arena_heap *limited(size_t chunks)
{
	const struct arena_heap_options options = {
		.source = ARENA_SOURCE_THP,
		.limit_bytes = chunks * CHUNK_BYTES,
		.on_pressure = on_pressure,
		.context = &told,
	};

	told.heap = arena_heap_create(&options);
	CHECK(told.heap);
	return told.heap;
}

TEST(exact, "relief/a limit is exact to the chunk, of large objects and of small ones, and errno is left alone")
{
	for (size_t chunks = 1; chunks <= 40; chunks += chunks < 8 ? 1 : 11)
		for (size_t bytes = 48; bytes <= CHUNK_BYTES; bytes = bytes == 48 ? 5000 : bytes * 419) {
			struct arena_heap *heap = limited(chunks);
			size_t nr = 0;

			bytes = size_min(bytes, CHUNK_BYTES);
			errno = 77;
			while (arena_heap_alloc(heap, fit(bytes)))
				nr++;
			CHECK_EQ(errno, 77);
			CHECK_EQ(counts(heap).mapped_chunks, chunks);
			CHECK(nr * bytes <= chunks * CHUNK_BYTES && nr * bytes > chunks * CHUNK_BYTES * 9 / 10);
			validate(heap);
			arena_heap_destroy(heap);
		}
}

TEST(less_than_a_chunk, "relief/a limit of less than a chunk refuses everything")
{
	const struct arena_heap_options options = { .source = ARENA_SOURCE_THP, .limit_bytes = CHUNK_BYTES - 1 };
	struct arena_heap *heap = arena_heap_create(&options);

	CHECK(heap);
	CHECK(!arena_heap_alloc(heap, 1));
	CHECK(!arena_heap_alloc(heap, 1 * MiB));
	CHECK_EQ(held(heap), 0);
	CHECK_EQ(arena_heap_set_limit(heap, 0), 0);
	CHECK(arena_heap_alloc(heap, 1));
	validate(heap);
}

TEST(told_soft, "relief/the program is told of each growth beyond 95 %, and once before a refusal")
{
	struct arena_heap *heap = limited(60);

	for (size_t i = 1; i <= 60; i++) {
		CHECK(arena_heap_alloc(heap, fit(CHUNK_BYTES)));
		CHECK_EQ(told.nr_soft, i <= 57 ? 0 : i - 57);
		CHECK_EQ(told.last_want_bytes, i <= 57 ? 0 : (i - 57) * CHUNK_BYTES);
	}
	CHECK_EQ(told.nr_hard, 0);
	CHECK(!arena_heap_alloc(heap, fit(100000)));
	CHECK_EQ(told.nr_hard, 1);
	CHECK_EQ(told.last_want_bytes, 100000);
	/* What no step can make possible is refused without any. */
	CHECK(!arena_heap_alloc(heap, fit(61 * CHUNK_BYTES)));
	CHECK_EQ(told.nr_hard, 1);
	validate(heap);
}

static bool trim_all(enum arena_pressure pressure, size_t want_bytes, void *context)
{
	(void)want_bytes, (void)context;
	told.nr_soft += pressure == ARENA_PRESSURE_SOFT;
	CHECK(told.nr_soft < 10000);
	arena_heap_trim(told.heap, SIZE_MAX);
	return false;
}

/* The object that the growth is for is not idle: else it would be given back, and the heap grow for it again. */
TEST(trims, "relief/a program that gives back all that is idle when it is told of growth gets its object all the same")
{
	for (size_t bytes = 100; bytes <= 300000; bytes *= 30) {
		struct arena_heap *heap = limited(20);
		size_t nr = 0;

		told.nr_soft = 0;
		arena_heap_set_callback(heap, trim_all, NULL);
		while (arena_heap_alloc(heap, bytes))
			nr++;
		/* More than half, whatever the slots are. */
		CHECK(told.nr_soft > 0 && nr * bytes > 20 * CHUNK_BYTES / 2);
		validate(heap);
		arena_heap_destroy(heap);
	}
}

TEST(helps, "relief/what the program frees when asked is used for the allocation that asked")
{
	struct arena_heap *heap = limited(20);
	size_t nr = 0;

	while (told.nr_kept < 15)
		told.kept[told.nr_kept++] = arena_heap_alloc(heap, fit(CHUNK_BYTES));
	while (arena_heap_alloc(heap, 300000))
		nr++;
	CHECK_EQ(told.nr_kept, 0);
	CHECK_EQ(told.nr_hard, 16);
	CHECK(nr >= 20 * 6);
	CHECK_EQ(held(heap), 20);
	validate(heap);
}

TEST(helps_little, "relief/one object that the program frees is enough for another, wherever it is")
{
	static void *objects[2 * CHUNK_BYTES / 64 + 1];
	struct arena_heap *heap = limited(2);
	unsigned int nr_hard;
	size_t nr = 0;

	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	while (nr < ARRAY_LEN(objects) && (objects[nr] = arena_heap_alloc(heap, 64)))
		nr++;
	nr_hard = told.nr_hard;
	for (size_t i = 0; told.nr_kept < NR_KEPT; i += nr / NR_KEPT)
		told.kept[told.nr_kept++] = objects[i];
	for (size_t i = 1; i <= NR_KEPT; i++) {
		CHECK(arena_heap_alloc(heap, 64));
		CHECK_EQ(told.nr_hard, nr_hard + i);
	}
	CHECK_EQ(told.nr_kept, 0);
	validate(heap);
}

enum { NR_ENDED = 4000, ENDED_BYTES = 2000 };
static void *ended_objects[NR_ENDED];

static void *fill_and_end(void *unused)
{
	for (size_t i = 0; i < NR_ENDED; i++)
		CHECK((ended_objects[i] = arena_heap_alloc(told.heap, ENDED_BYTES)));
	return unused;
}

static void let_fill_and_end(void)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, fill_and_end, NULL));
	CHECK(!pthread_join(thread, NULL));
}

/* Only once there is something to say. */
static bool free_ended(enum arena_pressure pressure, size_t want_bytes, void *context)
{
	(void)want_bytes;
	(void)context;
	if (pressure != ARENA_PRESSURE_HARD || !ended_objects[0])
		return false;
	for (size_t i = 0; i < NR_ENDED; i++)
		arena_heap_free(ended_objects[i]);
	ended_objects[0] = NULL;
	return true;
}

TEST(helps_ended, "relief/what the program frees of a thread that has ended, or in another heap, is used as well")
{
	struct arena_heap *heap = limited(4), *other = plain_heap();

	let_fill_and_end();
	arena_heap_set_callback(heap, free_ended, NULL);
	CHECK(arena_heap_alloc(heap, fit(3 * CHUNK_BYTES)));
	CHECK(!ended_objects[0]);
	validate(heap);
	/* Idle chunks of the other one are in the process's way. */
	told.heap = other;
	let_fill_and_end();
	heap = plain_heap();
	arena_heap_set_callback(heap, free_ended, NULL);
	CHECK_EQ(arena_heap_set_limit(NULL, heap_region()->nr_taken * CHUNK_BYTES), 0);
	CHECK(arena_heap_alloc(heap, fit(3 * CHUNK_BYTES)));
	CHECK(!ended_objects[0]);
	validate(other);
}

/* The run of three chunks wants neighbors: one call is not enough. */
TEST(helps_again, "relief/the program is asked again while it helps")
{
	struct arena_heap *heap = limited(12);

	while (told.nr_kept < 12)
		told.kept[told.nr_kept++] = arena_heap_alloc(heap, fit(CHUNK_BYTES));
	CHECK(arena_heap_alloc(heap, fit(3 * CHUNK_BYTES)));
	CHECK_EQ(told.nr_hard, 3);
	CHECK_EQ(told.nr_kept, 9);
	validate(heap);
}

TEST(lies, "relief/a program that only says that it helped is asked 16 times")
{
	struct arena_heap *heap = limited(3);

	told.lies = true;
	CHECK(arena_heap_alloc(heap, fit(3 * CHUNK_BYTES)));
	CHECK(!arena_heap_alloc(heap, 50));
	CHECK_EQ(told.nr_hard, 16);
}

static char *guarded;
static unsigned int nr_calls[3];

/* Gives the place of a guarded object up and takes it for another. */
static bool swap_guarded(enum arena_pressure pressure, size_t want_bytes, void *heap)
{
	(void)want_bytes;
	nr_calls[pressure]++;
	arena_heap_free(guarded);
	guarded = arena_heap_alloc(heap, 112);
	CHECK(guard_owns(guarded));
	CHECK_EQ(arena_heap_usable_bytes(guarded), slot_of(112));
	memset(guarded, 1, 112);
	return false;
}

/* As malloc(100) says it, which is of the class of 112. */
static void *request_100(struct arena_heap *heap)
{
	void *object;

	heap_request_bytes = 100;
	object = arena_heap_alloc(heap, 100);
	heap_request_bytes = 0;
	return object;
}

TEST(other_request, "relief/what is asked for when the program is told is nothing to what it allocates meanwhile")
{
	struct arena_heap *heap = plain_heap(), *other = plain_heap();

	CHECK_EQ(arena_heap_set_limit(heap, CHUNK_BYTES), 0);
	arena_heap_set_callback(heap, swap_guarded, other);
	CHECK_EQ(arena_profile_start(&(struct arena_profile_options){ .mean_bytes = 1, .seed = 1, .guarded_objects = 1 }), 0);
	guarded = arena_heap_alloc(other, 112);
	CHECK(guard_owns(guarded));
	while (request_100(heap))
		CHECK_EQ(nr_calls[ARENA_PRESSURE_SOFT], 1);
	CHECK_EQ(nr_calls[ARENA_PRESSURE_HARD], 1);
	CHECK_EQ(guarded[111], 1);
}

/* ---------------------------------------------------------------- idle memory first */

TEST(own_idle, "relief/idle chunks that do not serve are given back for a longer run, whatever is at hand of threads")
{
	struct arena_heap *heap = limited(10);
	void *objects[10], *small[2000];

	for (size_t i = 0; i < 10; i++)
		CHECK((objects[i] = arena_heap_alloc(heap, fit(i == 9 ? 1 * MiB : CHUNK_BYTES))));
	for (size_t i = 0; i < 2000 && i < ARRAY_LEN(small); i++)
		small[i] = arena_heap_alloc(heap, 400);
	for (size_t i = 0; i < 2000; i++)
		arena_heap_free(small[i]);
	for (size_t i = 0; i < 10; i += 2)
		arena_heap_free(objects[i]);
	CHECK_EQ(counts(heap).mapped_chunks, 5);
	/* In one piece: five idle ones apart do not make it. */
	CHECK(arena_heap_alloc(heap, fit(5 * CHUNK_BYTES)));
	CHECK_EQ(told.nr_hard, 0);
	CHECK_EQ(held(heap), 10);
	validate(heap);
}

TEST(others_at_hand, "relief/under the process's limit what this thread has at hand of one heap makes room for another")
{
	struct arena_heap *one = plain_heap(), *others[3];

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		others[i] = plain_heap();
		arena_heap_free(arena_heap_alloc(others[i], 64));
		CHECK_EQ(held(others[i]), 1);
	}
	CHECK_EQ(arena_heap_set_limit(NULL, 3 * CHUNK_BYTES), 0);
	CHECK(arena_heap_alloc(one, fit(2 * CHUNK_BYTES)));
	CHECK(arena_heap_alloc(one, fit(CHUNK_BYTES)));
	CHECK(!arena_heap_alloc(one, fit(CHUNK_BYTES)));
	CHECK_EQ(arena_heap_set_limit(NULL, 0), 0);
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		CHECK_EQ(held(others[i]), 0);
		CHECK(arena_heap_alloc(others[i], 64));
		validate(others[i]);
	}
	validate(one);
}

TEST(others_idle, "relief/under the process's limit idle chunks of one heap make room for another")
{
	struct arena_heap *one = plain_heap(), *other = plain_heap();
	void *objects[9];

	CHECK_EQ(arena_heap_set_limit(NULL, 10 * CHUNK_BYTES), 0);
	for (size_t i = 0; i < 9; i++)
		CHECK((objects[i] = arena_heap_alloc(one, fit(CHUNK_BYTES))));
	for (size_t i = 0; i < 9; i++)
		arena_heap_free(objects[i]);
	for (size_t i = 0; i < 10; i++)
		CHECK(arena_heap_alloc(other, fit(CHUNK_BYTES)));
	CHECK(!arena_heap_alloc(other, 1));
	CHECK(!arena_heap_alloc(one, 1));
	CHECK_EQ(held(one), 0);
	CHECK_EQ(held(other), 10);
	CHECK_EQ(heap_region()->nr_taken, 10);
	validate(one);
	validate(other);
	/* A heap that goes makes room. */
	arena_heap_destroy(other);
	CHECK_EQ(heap_region()->nr_taken, 0);
	CHECK(arena_heap_alloc(one, fit(10 * CHUNK_BYTES)));
}

TEST(own_limit, "relief/a refusal by a heap's own limit leaves idle chunks of others alone, whatever is asked for and whatever the program says")
{
	static const size_t bytes[] = { 1000, CHUNK_BYTES / 4, 2 * CHUNK_BYTES };
	struct arena_heap *other = plain_heap();

	/* So many the scavenger leaves alone. */
	arena_heap_free(arena_heap_alloc(other, fit(PACE_KEEP_CHUNKS * CHUNK_BYTES)));
	for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
		struct arena_heap *heap = limited(4);

		told.lies = true;
		told.nr_hard = 0;
		while (arena_heap_alloc(heap, fit(bytes[i])))
			;
		CHECK(told.nr_hard);
		CHECK_EQ(counts(other).idle_chunks, PACE_KEEP_CHUNKS);
		validate(heap);
		arena_heap_destroy(heap);
	}
	/* The process's is another matter. */
	CHECK_EQ(arena_heap_set_limit(NULL, (PACE_KEEP_CHUNKS + 4) * CHUNK_BYTES), 0);
	CHECK(arena_heap_alloc(limited(PACE_KEEP_CHUNKS + 4), fit((PACE_KEEP_CHUNKS + 3) * CHUNK_BYTES)));
	CHECK_EQ(counts(other).idle_chunks, 0);
}

TEST(churn, "relief/a full heap whose objects are replaced leaves idle chunks of others alone, and seldom searches")
{
	enum { PAIRS = 20000 };
	static void *objects[2 * CHUNK_BYTES / 64 + 1];
	struct arena_heap *heap = limited(2), *other = plain_heap();
	struct random random = { .state = harness_seed() };
	struct cache *cache;
	size_t nr = 0, nr_searches = 0;
	unsigned int nr_hard;
	void *large;

	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	while (nr < ARRAY_LEN(objects) && (objects[nr] = arena_heap_alloc(heap, 64)))
		nr++;
	/* So many the scavenger leaves alone. */
	large = arena_heap_alloc(other, fit(PACE_KEEP_CHUNKS * CHUNK_BYTES));
	arena_heap_free(large);
	CHECK_EQ(counts(other).idle_chunks, PACE_KEEP_CHUNKS);
	cache = heap_own_cache(((struct heap *)(void *)heap)->id);
	nr_hard = told.nr_hard;
	for (size_t i = 0; i < PAIRS; i++) {
		void **at = &objects[random_below(&random, nr)];
		uint32_t hurry;

		arena_heap_free(*at);
		hurry = cache->hurry;
		CHECK((*at = arena_heap_alloc(heap, 64)));
		nr_searches += cache->hurry > hurry;
	}
	CHECK(nr_searches && nr_searches <= PAIRS / 250);
	CHECK_EQ(counts(other).idle_chunks, PACE_KEEP_CHUNKS);
	CHECK_EQ(told.nr_hard, nr_hard);
	validate(heap);
}

TEST(pages_only, "relief/an object on pages of its own, little but much aligned, is refused without a search for slots")
{
	struct arena_heap *heap = limited(1);
	const struct cache *cache;

	CHECK(arena_heap_alloc(heap, 64));
	if (checked_is_on())
		harness_skip("no cache is at hand where objects are looked after");
	cache = heap_own_cache(((struct heap *)(void *)heap)->id);
	while (arena_heap_alloc(heap, fit(CHUNK_BYTES / 8)))
		;
	while (arena_heap_alloc_aligned(heap, 64, 16 * PAGE_BYTES))
		;
	CHECK_EQ(cache->hurry, 0);
	while (arena_heap_alloc(heap, 64))
		;
	CHECK(cache->hurry);
}

TEST(ended, "relief/what was freed of a thread that has ended is found before a refusal")
{
	limited(4);
	let_fill_and_end();
	for (size_t i = 0; i < NR_ENDED; i++)
		arena_heap_free(ended_objects[i]);
	CHECK(arena_heap_alloc(told.heap, fit(4 * CHUNK_BYTES)));
	CHECK_EQ(told.nr_hard, 0);
	validate(told.heap);
}

TEST(lowered, "relief/a limit that is lowered gives idle chunks back, leaves objects alone, and holds from then on")
{
	struct arena_heap *heap = plain_heap();
	char *objects[20];

	for (size_t i = 0; i < 20; i++) {
		CHECK((objects[i] = arena_heap_alloc(heap, fit(CHUNK_BYTES))));
		objects[i][0] = (char)i;
	}
	for (size_t i = 10; i < 20; i++)
		arena_heap_free(objects[i]);
	arena_heap_set_limit(heap, 5 * CHUNK_BYTES);
	CHECK_EQ(counts(heap).mapped_chunks, 10);
	CHECK_EQ(counts(heap).idle_chunks, 0);
	CHECK(!arena_heap_alloc(heap, 100));
	for (size_t i = 0; i < 10; i++) {
		CHECK_EQ(objects[i][0], i);
		arena_heap_free(objects[i]);
	}
	/* The thread would do it by and by. */
	arena_heap_trim(heap, 5 * CHUNK_BYTES);
	CHECK(arena_heap_alloc(heap, fit(5 * CHUNK_BYTES)));
	CHECK(!arena_heap_alloc(heap, fit(5 * CHUNK_BYTES)));
	arena_heap_set_limit(heap, 0);
	CHECK(arena_heap_alloc(heap, fit(5 * CHUNK_BYTES)));
	validate(heap);
}

TEST(at_once, "relief/beyond the soft limit what becomes idle goes back without a pace")
{
	struct arena_heap *heap = limited(200);
	static void *objects[200];
	double end = harness_seconds() + 60;

	for (size_t i = 0; i < 200; i++)
		CHECK((objects[i] = arena_heap_alloc(heap, fit(CHUNK_BYTES))));
	/* A tenth of the peak would be kept, for half a second at least: these five are over. */
	for (size_t i = 0; i < 5; i++)
		arena_heap_free(objects[i]);
	while (held(heap) > 195 && harness_seconds() < end)
		os_sleep_ns(1000000);
	CHECK_EQ(held(heap), 195);
}

/* A heap with so many idle chunks, and an ended thread. */
static struct arena_heap *idle_and_left(size_t nr)
{
	const struct arena_heap_options options = { .source = ARENA_SOURCE_THP };
	void *objects[4 * SCAVENGER_LEAST_CHUNKS];

	told.heap = arena_heap_create(&options);
	CHECK(told.heap && nr <= ARRAY_LEN(objects));
	let_fill_and_end();
	for (size_t i = 0; i < nr; i++)
		CHECK((objects[i] = arena_heap_alloc(told.heap, fit(CHUNK_BYTES))));
	for (size_t i = 0; i < nr; i++)
		arena_heap_free(objects[i]);
	return told.heap;
}

TEST(searched, "relief/the scavenger does not wait for who goes through a heap's records, and sees to other heaps and what is idle in that one")
{
	struct arena_heap *one = idle_and_left(2 * SCAVENGER_LEAST_CHUNKS), *other = idle_and_left(2 * SCAVENGER_LEAST_CHUNKS);
	struct lock *news = &((struct heap *)(void *)one)->news;
	double end = harness_seconds() + 60;

	lock_acquire(news);
	scavenger_press();
	while ((counts(one).idle_chunks || counts(other).idle_chunks) && harness_seconds() < end)
		os_sleep_ns(1000000);
	lock_release(news);
	CHECK_EQ(counts(one).idle_chunks, 0);
	CHECK_EQ(counts(other).idle_chunks, 0);
}

/* ---------------------------------------------------------------- of the process */

TEST(environment, "relief/ARENA_MEMORY_LIMIT is the limit of the process, in bytes or with a suffix", "ARENA_MEMORY_LIMIT=32M")
{
	struct arena_heap *heap = plain_heap(), *other = plain_heap();

	for (size_t i = 0; i < 8; i++) {
		CHECK(arena_heap_alloc(heap, fit(CHUNK_BYTES)));
		CHECK(arena_heap_alloc(other, fit(CHUNK_BYTES)));
	}
	CHECK(!arena_heap_alloc(heap, 1));
	CHECK(!arena_heap_alloc(other, fit(CHUNK_BYTES)));
}

TEST(process_callback, "relief/the process's function is called as well, also without a limit of the process")
{
	struct arena_heap *heap = plain_heap();

	told.heap = heap;
	arena_heap_set_callback(NULL, on_pressure, &told);
	CHECK_EQ(arena_heap_set_limit(NULL, 4 * CHUNK_BYTES), 0);
	while (told.nr_kept < 4)
		CHECK((told.kept[told.nr_kept++] = arena_heap_alloc(heap, fit(CHUNK_BYTES))));
	CHECK_EQ(told.nr_soft, 1);
	CHECK(arena_heap_alloc(heap, fit(CHUNK_BYTES)));
	CHECK_EQ(told.nr_hard, 1);
	CHECK_EQ(arena_heap_set_limit(NULL, 0), 0);
	arena_heap_set_limit(heap, 4 * CHUNK_BYTES);
	CHECK(arena_heap_alloc(heap, fit(CHUNK_BYTES)));
	CHECK_EQ(told.nr_hard, 2);
	arena_heap_set_callback(NULL, NULL, NULL);
	CHECK(!arena_heap_alloc(heap, fit(CHUNK_BYTES)));
	CHECK_EQ(told.nr_hard, 2);
}

enum { NR_THREADS = 4, LIMIT_CHUNKS = 37 };
static struct arena_heap *shared[2];

static void *fill_shared(void *number)
{
	struct random random = { .state = harness_seed() + (uintptr_t)number };
	void *objects[64] = { 0 };

	for (size_t i = 0; i < 20000; i++) {
		size_t at = random_below(&random, 64);

		arena_heap_free(objects[at]);
		objects[at] = arena_heap_alloc(shared[random_below(&random, 2)],
					       random_below(&random, 50) ? random_below(&random, 2000) : random_below(&random, 6 * MiB));
		CHECK(atomic_load_relaxed(&heap_region()->nr_taken) <= LIMIT_CHUNKS);
	}
	/* To the last. */
	while (arena_heap_alloc(shared[(uintptr_t)number % 2], fit(CHUNK_BYTES / 8)))
		;
	return NULL;
}

TEST(threads, "relief/threads and heaps at one limit never hold a chunk more, and at the end exactly as much")
{
	pthread_t threads[NR_THREADS];

	CHECK_EQ(arena_heap_set_limit(NULL, LIMIT_CHUNKS * CHUNK_BYTES), 0);
	for (size_t i = 0; i < 2; i++)
		CHECK((shared[i] = plain_heap()));
	for (uintptr_t i = 0; i < NR_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, fill_shared, (void *)i));
	for (size_t i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	/* What a thread had at hand may have been a chunk's last pages. */
	for (size_t i = 0; i < 2; i++)
		while (arena_heap_alloc(shared[i], fit(CHUNK_BYTES / 8)))
			;
	CHECK_EQ(held(shared[0]) + held(shared[1]), heap_region()->nr_taken);
	CHECK_EQ(counts(shared[0]).mapped_chunks + counts(shared[1]).mapped_chunks, LIMIT_CHUNKS);
	validate(shared[0]);
	validate(shared[1]);
}
