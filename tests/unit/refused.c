// SPDX-License-Identifier: MIT
/*
 * Memory that the system refuses, at every place where a heap asks for some, whatever source its chunks are from; and the same for arenas. The program
 * is linked with the doors to memory of os.h wrapped (--wrap, tests/build.mk), and with a fake of the device: the @fail_at-th request fails, alone or
 * with all that follow. A fixed random workload runs once for each place. Machines have no huge pages of hugetlb to spare, so ordinary memory is
 * taken for them; the hooks of a program's own memory are this program's.
 *
 * What must hold: every refusal is NULL, objects keep what was written to them, the books balance, and once the system gives again all works.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "arena/heap.h"
#include "chunk.h"
#include "heap.h"
#include "internal.h"
#include "small.h"
#include "tests/unit/fake_device.h"

enum { NR_OBJECTS = 400, NR_STEPS = 3000, NR_AFTER = 300, KEEP_EVERY = 100, PLACES_LEAST = 30 };

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
int __real_os_map_part(void *base, size_t bytes, int fd, size_t offset_bytes);
int __wrap_os_map_part(void *base, size_t bytes, int fd, size_t offset_bytes);
int __wrap_os_map_hugetlb(void *base, size_t bytes);
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

int __wrap_os_map_part(void *base, size_t bytes, int fd, size_t offset_bytes)
{
	return refuses() ? -ENOMEM : __real_os_map_part(base, bytes, fd, offset_bytes);
}

static void *last_hole; /* or NULL */

/* The kernel may have unmapped what was there before it finds that there are no huge pages. */
int __wrap_os_map_hugetlb(void *base, size_t bytes)
{
	if (!refuses())
		return __real_os_open(base, bytes, OS_PAGES_SMALL);
	CHECK(!munmap(base, bytes));
	last_hole = base;
	return -ENOMEM;
}

void *__wrap_os_table(size_t bytes)
{
	return refuses() ? NULL : __real_os_table(bytes);
}

void *__wrap_os_reserve_table(size_t bytes)
{
	return refuses() ? NULL : __real_os_reserve_table(bytes);
}

/* With this the system takes no memory back. */
static bool keeps_all;

int __real_os_close(void *base, size_t bytes);
int __wrap_os_close(void *base, size_t bytes);
int __real_os_drop(void *base, size_t bytes);
int __wrap_os_drop(void *base, size_t bytes);

int __wrap_os_close(void *base, size_t bytes)
{
	return keeps_all ? -ENOMEM : __real_os_close(base, bytes);
}

int __wrap_os_drop(void *base, size_t bytes)
{
	return keeps_all ? -EINVAL : __real_os_drop(base, bytes);
}

/* What the scavenger gives back depends on the time that it is given, and so would the number of requests. */
void __wrap_scavenger_start(void);

void __wrap_scavenger_start(void)
{
}

/* ---------------------------------------------------------------- memory of the program's own */

static uint64_t nr_hooked; /* chunks */

static int take_hooked(void *unused, void *address, size_t bytes)
{
	(void)unused;
	if (refuses())
		return -ENOSPC;
	nr_hooked += bytes / CHUNK_BYTES;
	return __real_os_open(address, bytes, OS_PAGES_SMALL);
}

static void give_hooked(void *unused, void *address, size_t bytes)
{
	(void)unused;
	/* Still there. */
	(void)*(volatile char *)address;
	nr_hooked -= bytes / CHUNK_BYTES;
}

/* ---------------------------------------------------------------- the workload */

/* Where chunks come from in this process; AUTO: from the hooks. */
static enum arena_source from;

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

/* What the scavenger does with idle chunks of the device, and the system with what is kept. */
static void keep_idle(struct arena_heap *heap, size_t round)
{
	struct heap *it = (struct heap *)(void *)heap;

	lock_acquire(&it->lock);
	palloc_keep_idle(&it->pages);
	lock_release(&it->lock);
	if (round % 2)
		device_take_kept();
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

	/* What is mapped there next must not be somebody else's. */
	CHECK(!last_hole || !msync(last_hole, PAGE_BYTES, MS_ASYNC));
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
	CHECK_EQ(nr_hooked, 0);
	check_none_reserved();
}

static struct arena_heap *new_heap(void)
{
	const struct arena_heap_hooks hooks = { .take = take_hooked, .give = give_hooked, .is_zeroed = true };

	return arena_heap_create(&(struct arena_heap_options){ .source = from, .hooks = from ? NULL : &hooks });
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
	load.heap = new_heap();
	if (!load.heap) {
		CHECK(nr_failed);
		fail_at = 0;
		load.heap = new_heap();
	}
	CHECK(load.heap);
	for (size_t i = 0; i < NR_STEPS; i++) {
		step(&load);
		if (from == ARENA_SOURCE_DEV && i % KEEP_EVERY == 0)
			keep_idle(load.heap, i / KEEP_EVERY);
	}
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

/* ---------------------------------------------------------------- arenas */

enum { NR_ARENAS = 12, NR_ARENA_STEPS = 600, NR_ARENAS_AFTER = 100, ARENA_PLACES_LEAST = 10 };

struct owned {
	struct arena *arena;	/* or NULL */
	struct object first;	/* its oldest object */
};

static struct owned owned[NR_ARENAS];

static void make_arena(struct owned *it, uint64_t *nr)
{
	*it = (struct owned){ .arena = arena_new(&(struct arena_options){ .source = from }) };
	*nr += !it->arena;
}

static void fill_arena(struct owned *it, struct random *random, uint64_t *nr)
{
	struct object object = { .bytes = any_size(random), .mark = (unsigned char)random_next(random) };

	object.data = arena_alloc(it->arena, object.bytes);
	*nr += !object.data;
	if (object.data)
		mark(&object);
	if (!it->first.data)
		it->first = object;
}

static void arena_step(struct random *random, uint64_t *nr)
{
	struct owned *it = &owned[random_below(random, NR_ARENAS)];

	if (!it->arena) {
		make_arena(it, nr);
		return;
	}
	arena_validate(it->arena);
	if (it->first.data)
		check_mark(&it->first, it->first.bytes);
	if (random_below(random, 4)) {
		fill_arena(it, random, nr);
		return;
	}
	it->first.data = NULL;
	if (random_below(random, 2)) {
		arena_reset(it->arena);
	} else {
		arena_free(it->arena);
		it->arena = NULL;
	}
}

static void finish_arenas(void)
{
	for (size_t i = 0; i < NR_ARENAS; i++)
		arena_free(owned[i].arena);
	arena_trim(SIZE_MAX);
	chunk_validate();
	small_validate();
	check_none_reserved();
}

/* As run_with(). */
static uint64_t run_arenas_with(uint64_t at, bool on)
{
	struct random random = { .state = 4712 };
	uint64_t nr_refused = 0;

	nr_asked = nr_failed = 0;
	fail_at = at;
	fails_on = on;
	is_counting = true;
	for (size_t i = 0; i < NR_ARENA_STEPS; i++)
		arena_step(&random, &nr_refused);
	chunk_validate();
	small_validate();
	CHECK(!nr_refused || nr_failed);
	CHECK_EQ(nr_failed > 0, at > 0);
	is_counting = false;
	nr_refused = 0;
	for (size_t i = 0; i < NR_ARENAS_AFTER; i++)
		arena_step(&random, &nr_refused);
	CHECK_EQ(nr_refused, 0);
	finish_arenas();
	return nr_asked;
}

/* ---------------------------------------------------------------- each place */

/* The first heap or arena of a process asks for more than others: so each place in a process of its own. Shared with these. */
static struct place {
	uint64_t (*run)(uint64_t at, bool on);
	uint64_t at;
	bool on;
	uint64_t nr_asked;	/* the answer */
} *place;

static void run_in_child(void *unused)
{
	(void)unused;
	place->nr_asked = place->run(place->at, place->on);
}

static uint64_t run_place(uint64_t at)
{
	struct death death;

	place->at = at;
	harness_child(&death, run_in_child, NULL);
	if (death.signal || death.status)
		harness_fail(__FILE__, __LINE__, "place %lu: signal %d, status %d: %s", (unsigned long)at, death.signal, death.status, death.text);
	return place->nr_asked;
}

static void each_place(uint64_t (*run)(uint64_t at, bool on), enum arena_source source, bool on, uint64_t least)
{
	/* There are no threads in it, and a fork takes a sanitizer a tenth of a second and more. */
	uint64_t places, nr = 0, step = harness_sanitized() ? 6 : 1;

	from = source;
	device.refuses = refuses;
	place = mmap(NULL, sizeof(*place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(place != MAP_FAILED);
	*place = (struct place){ .run = run, .on = on };
	places = run_place(0);
	for (uint64_t at = 1; at <= places; at += step, nr++)
		CHECK(run_place(at) >= at);
	harness_note("%lu of %lu places", (unsigned long)nr, (unsigned long)places);
	CHECK(places >= least);
}

/* The region's tables, the heap's, the records of chunks, the thread's cache, and chunks. */
static void each_place_of_heap(enum arena_source source, bool on)
{
	each_place(run_with, source, on, PLACES_LEAST);
}

static void each_place_of_arenas(enum arena_source source)
{
	each_place(run_arenas_with, source, false, ARENA_PLACES_LEAST);
	each_place(run_arenas_with, source, true, ARENA_PLACES_LEAST);
}

TEST(once, "refused/one request of a heap fails, each in turn")
{
	each_place_of_heap(ARENA_SOURCE_THP, false);
}

TEST(from_then_on, "refused/all requests fail from one on, each in turn")
{
	each_place_of_heap(ARENA_SOURCE_THP, true);
}

TEST(hugetlb, "refused/one request of a heap of reserved huge pages fails, or all from one on, each in turn")
{
	each_place_of_heap(ARENA_SOURCE_HUGETLB, false);
	each_place_of_heap(ARENA_SOURCE_HUGETLB, true);
}

TEST(device_once, "refused/one request of a heap on the device fails, each in turn")
{
	each_place_of_heap(ARENA_SOURCE_DEV, false);
}

TEST(device_from_then_on, "refused/all requests of a heap on the device fail from one on, each in turn")
{
	each_place_of_heap(ARENA_SOURCE_DEV, true);
}

TEST(hooks, "refused/one request of a heap in memory that the program takes fails, or all from one on, each in turn")
{
	each_place_of_heap(ARENA_SOURCE_AUTO, false);
	each_place_of_heap(ARENA_SOURCE_AUTO, true);
}

TEST(arenas_pages, "refused/requests of arenas of ordinary pages fail, each in turn")
{
	each_place_of_arenas(ARENA_SOURCE_PAGES);
}

TEST(arenas_hugetlb, "refused/requests of arenas of reserved huge pages fail, each in turn")
{
	each_place_of_arenas(ARENA_SOURCE_HUGETLB);
}

TEST(arenas_device, "refused/requests of arenas on the device fail, each in turn")
{
	each_place_of_arenas(ARENA_SOURCE_DEV);
}

/* ---------------------------------------------------------------- memory that does not go back */

enum { NR_LARGE = 8 };

/* Objects of a chunk and a half, written to and freed. */
static void use_large(struct arena_heap *heap)
{
	unsigned char *objects[NR_LARGE];

	for (int i = 0; i < NR_LARGE; i++) {
		objects[i] = arena_heap_alloc(heap, CHUNK_BYTES * 3 / 2);
		CHECK(objects[i]);
		memset(objects[i], i, CHUNK_BYTES * 3 / 2);
	}
	for (int i = 0; i < NR_LARGE; i++) {
		CHECK(objects[i][0] == i && objects[i][CHUNK_BYTES] == i);
		arena_heap_free(objects[i]);
	}
}

static uint64_t idle_chunks(struct arena_heap *heap)
{
	struct arena_heap_stats stats;

	heap_validate((struct heap *)(void *)heap);
	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.handed_chunks, stats.mapped_chunks + stats.idle_chunks + stats.returned_chunks);
	return stats.idle_chunks;
}

/* One that has had large objects, whose chunks are idle now. */
static struct arena_heap *used_heap(enum arena_source source)
{
	struct arena_heap *heap;

	from = source;
	heap = new_heap();
	CHECK(heap);
	use_large(heap);
	return heap;
}

TEST(stays, "refused/idle chunks that the system does not take stay idle, are used again, and go back when it does")
{
	struct arena_heap *heap = used_heap(ARENA_SOURCE_PAGES);
	uint64_t nr = idle_chunks(heap);

	CHECK(nr > 0);
	keeps_all = true;
	arena_heap_trim(heap, SIZE_MAX);
	CHECK_EQ(idle_chunks(heap), nr);
	use_large(heap);
	CHECK_EQ(idle_chunks(heap), nr);
	keeps_all = false;
	arena_heap_trim(heap, SIZE_MAX);
	CHECK_EQ(idle_chunks(heap), 0);
	use_large(heap);
	arena_heap_destroy(heap);
}

TEST(stays_behind, "refused/memory that the system does not take from a heap that ends comes to the next one as zeros")
{
	struct arena_heap *heap = used_heap(ARENA_SOURCE_PAGES);
	unsigned char *object;

	keeps_all = true;
	arena_heap_destroy(heap);
	keeps_all = false;
	heap = new_heap();
	CHECK(heap);
	object = arena_heap_calloc(heap, CHUNK_BYTES, 6);
	CHECK(object);
	for (size_t i = 0; i < 6 * CHUNK_BYTES; i++)
		CHECK(!object[i]);
	arena_heap_destroy(heap);
}

TEST(stays_hooked, "refused/memory that the system does not take, but the program, is the program's")
{
	struct arena_heap *heap = used_heap(ARENA_SOURCE_AUTO);

	keeps_all = true;
	arena_heap_trim(heap, SIZE_MAX);
	CHECK_EQ(idle_chunks(heap), 0);
	keeps_all = false;
	use_large(heap);
	arena_heap_trim(heap, SIZE_MAX);
	arena_heap_destroy(heap);
	CHECK_EQ(nr_hooked, 0);
}
