// SPDX-License-Identifier: MIT
/*
 * Memory that the system refuses, at every place where a heap asks for some. The program is linked with the doors to memory of os.h wrapped
 * (--wrap, tests/build.mk): the @fail_at-th request fails, alone or with all that follow. A fixed random workload runs once for each place.
 *
 * What must hold: every refusal is NULL, objects keep what was written to them, the books balance, and once the system gives again all works.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "arena/heap.h"
#include "heap.h"
#include "tests/harness.h"

enum { NR_OBJECTS = 400, NR_STEPS = 3000, NR_AFTER = 300, PLACES_LEAST = 30 };

/* ---------------------------------------------------------------- doors that fail */

static bool is_counting;	/* only this thread asks */
static bool fails_on;		/* not only once */
static uint64_t nr_asked, fail_at; /* from 1; 0 = never */
static uint64_t nr_failed;

static bool refuses(void)
{
	bool fails;

	if (!is_counting)
		return false;
	nr_asked++;
	fails = fail_at && (fails_on ? nr_asked >= fail_at : nr_asked == fail_at);
	nr_failed += fails;
	return fails;
}

int __real_os_open(void *base, size_t bytes, enum os_pages pages);
int __wrap_os_open(void *base, size_t bytes, enum os_pages pages);
int __real_os_open_table(void *base, size_t bytes);
int __wrap_os_open_table(void *base, size_t bytes);
void *__real_os_table(size_t bytes);
void *__wrap_os_table(size_t bytes);
void *__real_os_reserve_table(size_t bytes);
void *__wrap_os_reserve_table(size_t bytes);

int __wrap_os_open(void *base, size_t bytes, enum os_pages pages)
{
	return refuses() ? -ENOMEM : __real_os_open(base, bytes, pages);
}

int __wrap_os_open_table(void *base, size_t bytes)
{
	return refuses() ? -ENOMEM : __real_os_open_table(base, bytes);
}

void *__wrap_os_table(size_t bytes)
{
	return refuses() ? NULL : __real_os_table(bytes);
}

void *__wrap_os_reserve_table(size_t bytes)
{
	return refuses() ? NULL : __real_os_reserve_table(bytes);
}

/* What the scavenger gives back depends on the time that it is given, and so would the number of requests. */
void __wrap_scavenger_start(void);

void __wrap_scavenger_start(void)
{
}

/* ---------------------------------------------------------------- the workload */

struct object {
	unsigned char *data;	/* or NULL */
	size_t bytes;
	unsigned char mark;
};

struct load {
	struct arena_heap *heap;
	struct object objects[NR_OBJECTS];
	struct random random;
	uint64_t nr_refused;
};

static size_t any_size(struct random *random)
{
	switch (random_below(random, 40)) {
	case 0: return random_below(random, 5 * MiB) + 1;
	case 1 ... 4: return random_below(random, 200 * KiB) + 1;
	default: return random_below(random, 3000) + 1;
	}
}

static void mark(struct object *object)
{
	object->data[0] = object->data[object->bytes / 2] = object->data[object->bytes - 1] = object->mark;
}

static void check_mark(const struct object *object, size_t bytes)
{
	CHECK_EQ(object->data[0], object->mark);
	if (bytes == object->bytes)
		CHECK(object->data[bytes / 2] == object->mark && object->data[bytes - 1] == object->mark);
}

static void allocate(struct load *load, struct object *object)
{
	*object = (struct object){ .bytes = any_size(&load->random), .mark = (unsigned char)random_next(&load->random) };
	object->data = random_below(&load->random, 8) ? arena_heap_alloc(load->heap, object->bytes)
						      : arena_heap_alloc_aligned(load->heap, object->bytes, (size_t)16 << random_below(&load->random, 12));
	if (object->data)
		mark(object);
	else
		load->nr_refused++;
}

static void resize(struct load *load, struct object *object)
{
	size_t bytes = any_size(&load->random);
	unsigned char *data = arena_heap_realloc(load->heap, object->data, bytes);

	if (!data) {
		load->nr_refused++;
		return;
	}
	object->data = data;
	check_mark(object, size_min(bytes, object->bytes));
	object->bytes = bytes;
	mark(object);
}

static void step(struct load *load)
{
	struct object *object = &load->objects[random_below(&load->random, NR_OBJECTS)];

	if (!object->data) {
		allocate(load, object);
	} else if (random_below(&load->random, 3) == 0) {
		resize(load, object);
	} else {
		check_mark(object, object->bytes);
		arena_heap_free(object->data);
		object->data = NULL;
	}
}

static void check_whole(struct load *load)
{
	struct arena_heap_stats stats;

	for (size_t i = 0; i < NR_OBJECTS; i++)
		if (load->objects[i].data)
			check_mark(&load->objects[i], load->objects[i].bytes);
	heap_validate((struct heap *)(void *)load->heap);
	arena_heap_stats(load->heap, &stats);
	CHECK_EQ(stats.handed_chunks, stats.mapped_chunks + stats.idle_chunks + stats.returned_chunks);
}

/* Everything is freed, and nothing stays behind but what this thread has at hand. */
static void finish(struct load *load)
{
	struct arena_heap_stats stats;

	for (size_t i = 0; i < NR_OBJECTS; i++)
		arena_heap_free(load->objects[i].data);
	arena_heap_trim(load->heap, SIZE_MAX);
	arena_heap_stats(load->heap, &stats);
	CHECK_EQ(stats.idle_chunks, 0);
	CHECK_EQ(stats.used_bytes, 0);
	arena_heap_destroy(load->heap);
}

/* One run with a failure at @at; returns how many requests there were. */
static uint64_t run_with(uint64_t at, bool on)
{
	static struct load load; /* one process a test */

	load = (struct load){ .random = { .state = 4711 } };
	nr_asked = nr_failed = 0;
	fail_at = at;
	fails_on = on;
	is_counting = true;
	load.heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	if (!load.heap) {
		CHECK(nr_failed);
		fail_at = 0;
		load.heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	}
	CHECK(load.heap);
	for (int i = 0; i < NR_STEPS; i++)
		step(&load);
	check_whole(&load);
	CHECK(!load.nr_refused || nr_failed);
	CHECK_EQ(nr_failed > 0, at > 0);
	is_counting = false;
	load.nr_refused = 0;
	for (int i = 0; i < NR_AFTER; i++)
		step(&load);
	CHECK_EQ(load.nr_refused, 0);
	check_whole(&load);
	finish(&load);
	return nr_asked;
}

/* The first heap of a process asks for the region as well: so each place in a process of its own. Shared with these. */
static struct place {
	uint64_t at;
	bool on;
	uint64_t nr_asked;	/* the answer */
} *place;

static void run_in_child(void *unused)
{
	(void)unused;
	place->nr_asked = run_with(place->at, place->on);
}

static uint64_t run_place(uint64_t at, bool on)
{
	struct death death;

	*place = (struct place){ .at = at, .on = on };
	harness_child(&death, run_in_child, NULL);
	if (death.signal || death.status)
		harness_fail(__FILE__, __LINE__, "place %lu: signal %d, status %d: %s", (unsigned long)at, death.signal, death.status, death.text);
	return place->nr_asked;
}

static void each_place(bool on)
{
	uint64_t places, nr = 0;

	place = mmap(NULL, sizeof(*place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(place != MAP_FAILED);
	places = run_place(0, on);
	for (uint64_t at = 1; at <= places; at++, nr++)
		CHECK(run_place(at, on) >= at);
	harness_note("%lu places", (unsigned long)nr);
	/* The region's tables, the heap's, the records of chunks, the thread's cache, and chunks. */
	CHECK_EQ(nr, places);
	CHECK(nr >= PLACES_LEAST);
}

TEST(once, "refused/one request of a heap fails, each in turn")
{
	each_place(false);
}

TEST(from_then_on, "refused/all requests fail from one on, each in turn")
{
	each_place(true);
}
