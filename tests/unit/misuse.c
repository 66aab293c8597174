// SPDX-License-Identifier: MIT
/* Corners of the interface: values that refer to what they change, and misuse that must be loud on every path. */
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

/* The value is computed before the length changes. */
TEST(push_length, "misuse/a slice's length pushed onto itself")
{
	struct arena *arena = arena_new(NULL);
	ARENA_SLICE(size_t) numbers = {0};

	for (size_t i = 0; i < 1000; i++)
		CHECK(arena_slice_push(arena, &numbers, numbers.len));
	for (size_t i = 0; i < 1000; i++)
		CHECK_EQ(numbers.data[i], i);
	arena_slice_push(arena, &numbers, numbers.data[numbers.len - 1]);
	CHECK_EQ(numbers.data[1000], 999);
}

/* Macros that take options take them as they are written. */
TEST(commas, "misuse/options with commas in them, written where an arena is made")
{
	struct arena *arena = arena_new(&(struct arena_options){ .source = ARENA_SOURCE_PAGES, .name = "commas" });
	arena_scoped(scoped, &(struct arena_options){ .source = ARENA_SOURCE_PAGES, .name = "scoped" });

	CHECK(arena && scoped && arena_alloc(arena, 1) && arena_alloc(scoped, 1));
	arena_free(arena);
}

static void align_oddly(void *align_bytes)
{
	struct arena *arena = arena_new(NULL);

	CHECK(arena_alloc(arena, 1));
	(void)arena_alloc_aligned(arena, 1, *(const size_t *)align_bytes);
}

TEST(alignment, "misuse/an alignment that is no power of two")
{
	size_t values[] = { 0, 3, 24, 48 };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct death death;

		harness_child(&death, align_oddly, &values[i]);
		CHECK(harness_died(&death, 6));
		CHECK_HAS(death.text, "not a power of two");
	}
}

static void shrink_freed(void *unused)
{
	struct arena *arena = arena_new(NULL);
	char *object = arena_alloc(arena, 100);

	(void)unused;
	arena_free(arena);
	(void)arena_realloc(arena, object, 100, 10);
}

TEST(shrink, "misuse/an object of a freed arena is not resized, not even to less")
{
	struct death death;

	harness_child(&death, shrink_freed, NULL);
	CHECK(harness_died(&death, 6));
	CHECK_HAS(death.text, "was freed at");
}

/* The undefined behavior sanitizer sees a null pointer given to memcpy(). */
TEST(nothing, "misuse/copies of nothing")
{
	struct arena *arena = arena_new(NULL);
	void *volatile nowhere = NULL;
	void *copy;

	CHECK(arena_memdup(arena, nowhere, 0));
	copy = arena_clone(nowhere, 0);
	CHECK(copy);
	free(copy);
}

TEST(empty, "misuse/an arena without memory has nothing to give back")
{
	struct arena *arena = arena_new(NULL);
	struct arena_memory memory;
	struct arena_stats stats;

	for (size_t i = 0; i < 10; i++)
		arena_reset_release(arena);
	arena_memory(&memory);
	CHECK_EQ(memory.revoked_arenas, 0);
	arena_stats(arena, &stats);
	CHECK_EQ(stats.nr_resets, 10);
	CHECK(arena_alloc(arena, 1));
	arena_reset_release(arena);
	arena_memory(&memory);
	CHECK_EQ(memory.revoked_arenas, 1);
}
