// SPDX-License-Identifier: MIT
/*
 * Damage that heaps notice when they are looked after: in builds with ASan, which reports the access, and with VERIFY=1, where the heap says so
 * itself. Other builds go on without a word: there the same tests show that looking after is off. tests/unit/memcheck.sh is about
 * Memcheck.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "arena/heap.h"
#include "arena/profile.h"
#include "checked.h"
#include "heap.h"
#include "tests/harness.h"

static struct heap *heap;
static const size_t sizes[] = { 1, 24, 50, 64, 1000, 5000, 30000, 32760, 100000, 3000000 };
static size_t bytes; /* of the object that is damaged */

/* Volatile: the compiler knows what is wrong here. */
static char *volatile object;

static void make(void)
{
	object = heap_alloc(heap, bytes);
	CHECK(object);
	memset(object, 1, bytes);
}

/* All children run this: @damage makes an error that only an observer finds. */
static void check_found(void (*damage)(void *), const char *verify_says)
{
	struct death death;

	harness_child(&death, damage, NULL);
	if (!checked_is_on()) {
		CHECK_EQ(death.signal, 0);
		CHECK_EQ(death.status, 0);
	} else if (ANNOTATE_ASAN) {
		CHECK(harness_died(&death, SIGABRT) || death.status);
		CHECK_HAS(death.text, "use-after-poison");
	} else {
		CHECK(harness_died(&death, SIGABRT));
		CHECK_HAS(death.text, verify_says);
	}
}

static void overflow(void *unused)
{
	(void)unused;
	make();
	/* Where nobody looks this is the unused end of a slot, or a neighbor. */
	object[bytes] = 7;
	heap_free(heap, object);
}

static void overflow_far(void *unused)
{
	(void)unused;
	make();
	object[bytes + 7] = 7;
	heap_free(heap, object);
}

static void write_freed(void *unused)
{
	(void)unused;
	make();
	heap_free(heap, object);
	object[bytes / 2] = 7;
	/* Its rest ends, or it is handed out again. */
	heap_flush(heap);
	make();
}

/* So that the thread that frees in the end is not the one that did it. */
static void *free_object(void *unused)
{
	(void)unused;
	heap_free(heap, object);
	return NULL;
}

static void write_freed_elsewhere(void *unused)
{
	pthread_t thread;

	(void)unused;
	make();
	CHECK(!pthread_create(&thread, NULL, free_object, NULL));
	CHECK(!pthread_join(thread, NULL));
	object[0] = 7;
	for (int i = 0; i < 3000; i++)
		heap_free(heap, heap_alloc(heap, bytes));
}

static void start(void)
{
	heap = heap_create(ARENA_SOURCE_PAGES);
	CHECK(heap);
	CHECK_EQ(checked_is_on(), CHECKED_VERIFY || ANNOTATE_ASAN);
	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork");
}

TEST(overflows, "checked/a byte written behind an object is found")
{
	start();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		bytes = sizes[i];
		check_found(overflow, "overflow");
		check_found(overflow_far, "overflow");
	}
}

TEST(writes_after_free, "checked/a write after free is found, and the object named")
{
	start();
	for (size_t i = 0; i < 7; i++) {
		bytes = sizes[i];
		check_found(write_freed, "write after free: object 0x");
		check_found(write_freed_elsewhere, "write after free: object 0x");
	}
}

static void read_freed(void *unused)
{
	(void)unused;
	make();
	heap_free(heap, object);
	object[0] = (char)(object[0] + object[bytes - 1]);
	heap_flush(heap);
	make();
}

static void read_never_used(void *unused)
{
	(void)unused;
	make();
	CHECK(!object[3 * 32768]);
	if (!ANNOTATE_ASAN && checked_is_on())
		panic("only tools see this");
}

TEST(reads, "checked/under ASan reading freed memory and memory that never was an object is found")
{
	start();
	bytes = 3000;
	check_found(read_freed, "write after free");
	check_found(read_never_used, "only tools see this");
}

TEST(fills, "checked/VERIFY fills new memory, and gives as many bytes as were asked for")
{
	unsigned char *fresh;

	start();
	for (size_t i = 1; i < 70000; i = i * 2 + 1) {
		fresh = heap_alloc(heap, i);
		CHECK(fresh);
		if (checked_is_on())
			CHECK_EQ(heap_usable_bytes(fresh), i);
		for (size_t at = 0; at < i && CHECKED_VERIFY; at++)
			CHECK_EQ(fresh[at], 0xcb);
		heap_free(heap, fresh);
	}
}

TEST(rests, "checked/a freed object is not handed out at once when objects are looked after")
{
	void *first, *second;

	start();
	first = heap_alloc(heap, 100);
	heap_free(heap, first);
	second = heap_alloc(heap, 100);
	CHECK((first == second) == !checked_is_on());
	heap_free(heap, second);
	heap_flush(heap);
	heap_scavenge(heap, 0, UINT64_MAX);
	CHECK_EQ(heap->pages.used_pages, 0);
	heap_validate(heap);
}

/* Every object is sampled, so that it has pages to itself; or none is. */
static void sample(bool all)
{
	const struct arena_profile_options options = { .mean_bytes = 1, .seed = 1 };

	if (all)
		CHECK_EQ(arena_profile_start(&options), 0);
	else
		arena_profile_stop();
}

/* The first pages of the heap hold objects of @size, and then no more. */
static void use_pages(size_t size)
{
	void *objects[8];

	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		CHECK(objects[i] = heap_alloc(heap, size));
	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		heap_free(heap, objects[i]);
	heap_flush(heap);
}

TEST(sampled, "checked/what pages held before a sampled object is no write after free")
{
	start();
	for (int first_sampled = 0; first_sampled < 2; first_sampled++) {
		/* Each ends with its page. */
		sample(first_sampled);
		use_pages(first_sampled ? 100 : 4080);
		/* One of four pages, which changes the beginning of the second but not its end. */
		sample(false);
		heap_free(heap, heap_alloc(heap, 5000));
		heap_flush(heap);
		CHECK_EQ(heap->pages.used_pages, 0);
		sample(true);
		use_pages(100);
	}
}

TEST(off, "checked/nothing is noted where fast paths do not look, unless objects are looked after")
{
	start();
	heap_free(heap, heap_alloc(heap, 100));
	CHECK(checked_is_on() == (heap_hidden_caches != NULL));
	CHECK(checked_is_on() == (heap_caches[heap->id] == &cache_none));
}
