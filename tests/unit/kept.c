// SPDX-License-Identifier: MIT
/*
 * Idle chunks of a heap on the device are kept for the system to take, and come back when they are used. The device is a fake (fake_device.h), which
 * a test can make take chunks, or have none. pressure.c does the same with the module.
 */
#include <string.h>

#include "arena/heap.h"
#include "heap.h"
#include "scavenger.h"
#include "tests/unit/fake_device.h"
#include "tests/unit/fit.h"

/* For those who look while the scavenger works. */
static size_t nr_kept_now(void)
{
	size_t nr;

	pthread_mutex_lock(&device.lock);
	nr = device.nr_kept;
	pthread_mutex_unlock(&device.lock);
	return nr;
}

/* ---------------------------------------------------------------- the tests */

enum { NR = 12 };

static struct arena_heap *heap;

static struct arena_heap_stats counts(void)
{
	struct arena_heap_stats stats;

	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.handed_chunks, stats.mapped_chunks + stats.idle_chunks + stats.returned_chunks);
	heap_validate((struct heap *)(void *)heap);
	return stats;
}

/* Small, so that the scavenger has no thread and each step is this test's. */
static void keep_some(size_t nr)
{
	struct heap *it;
	unsigned char *objects[NR];

	heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_DEV });
	CHECK(heap && arena_heap_alloc(heap, 100));
	it = (struct heap *)(void *)heap;
	for (size_t i = 0; i < nr; i++) {
		CHECK((objects[i] = arena_heap_alloc(heap, fit(CHUNK_BYTES))));
		memset(objects[i], 0xee, fit(CHUNK_BYTES));
	}
	for (size_t i = 0; i < nr; i++)
		arena_heap_free(objects[i]);
	lock_acquire(&it->lock);
	palloc_keep_idle(&it->pages);
	palloc_keep_idle(&it->pages);
	lock_release(&it->lock);
	CHECK_EQ(counts().idle_chunks, nr);
	CHECK_EQ(device.nr_kept, nr);
	CHECK_EQ(device.nr_keeps, nr);
}

/* Chunks of zeros, one by one: in one piece they would not begin with the first. */
static void check_zeros(size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		unsigned char *object = arena_heap_calloc(heap, 1, fit(CHUNK_BYTES));

		CHECK(object);
		for (size_t at = 0; at < fit(CHUNK_BYTES); at += 512)
			CHECK_EQ(object[at], 0);
	}
}

TEST(comes_back, "kept/a chunk that was kept serves again, and is no longer the system's to take")
{
	uint64_t handed;

	keep_some(4);
	handed = counts().handed_chunks;
	CHECK(arena_heap_alloc(heap, fit(CHUNK_BYTES)));
	CHECK_EQ(device.nr_kept, 3);
	/* In three chunks at once, by growth in place too. */
	CHECK(arena_heap_alloc(heap, fit(3 * CHUNK_BYTES)));
	CHECK_EQ(device.nr_kept, 0);
	CHECK_EQ(counts().handed_chunks, handed);
}

TEST(was_taken, "kept/one that the system took is another one, of zeros, and counted as such")
{
	struct arena_heap_stats before, after;

	keep_some(3);
	before = counts();
	device_take_kept();
	check_zeros(3);
	after = counts();
	CHECK_EQ(after.handed_chunks, before.handed_chunks + 3);
	CHECK_EQ(after.returned_chunks, before.returned_chunks + 3);
}

TEST(not_zero, "kept/one that nobody took holds what it held: calloc() clears it")
{
	keep_some(3);
	check_zeros(3);
	CHECK_EQ(device.nr_kept, 0);
}

TEST(none_left, "kept/when the system took it and has no other, the allocation is refused, and works again later")
{
	keep_some(5);
	device_take_kept();
	device.is_empty = true;
	CHECK(!arena_heap_alloc(heap, fit(2 * CHUNK_BYTES)));
	CHECK(!arena_heap_alloc(heap, fit(CHUNK_BYTES)));
	counts();
	/* The pages that the heap has. */
	CHECK(arena_heap_alloc(heap, 1000));
	device.is_empty = false;
	CHECK(arena_heap_alloc(heap, fit(5 * CHUNK_BYTES)));
	CHECK_EQ(counts().idle_chunks, 0);
}

TEST(ends, "kept/trim and the heap's end give back what is kept as well")
{
	keep_some(6);
	CHECK_EQ(arena_heap_trim(heap, 2 * CHUNK_BYTES), 2 * CHUNK_BYTES);
	CHECK_EQ(device.nr_kept, 4);
	counts();
	arena_heap_destroy(heap);
	CHECK_EQ(device.nr_kept, 0);
	check_none_reserved();
}

TEST(by_itself, "kept/the scavenger keeps what it leaves, and gives all of it back when pressed")
{
	void *objects[NR];
	double end = harness_seconds() + 60;

	heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_DEV });
	/* The first chunk is of ordinary pages, which nobody keeps: it stays in use. */
	CHECK(arena_heap_alloc(heap, 100));
	for (size_t i = 0; i < NR; i++)
		CHECK((objects[i] = arena_heap_alloc(heap, fit(CHUNK_BYTES))));
	for (size_t i = 0; i < NR; i++)
		arena_heap_free(objects[i]);
	while (nr_kept_now() != 2 && harness_seconds() < end)
		os_sleep_ns(1000000);
	CHECK_EQ(nr_kept_now(), 2);
	scavenger_press();
	while (counts().idle_chunks && harness_seconds() < end)
		os_sleep_ns(1000000);
	CHECK_EQ(counts().idle_chunks, 0);
}
