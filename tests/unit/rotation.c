// SPDX-License-Identifier: MIT
/* Which addresses are handed out again, and when: never those that are not ours any more, rested ones last. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "chunk.h"
#include "revoke.h"
#include "small.h"
#include "tests/harness.h"

static struct arena_memory memory_now(void)
{
	struct arena_memory memory;

	arena_memory(&memory);
	return memory;
}

static struct arena *arena_of_chunks(size_t chunks)
{
	const struct arena_options options = { .source = ARENA_SOURCE_PAGES, .reserve_bytes = chunks * CHUNK_BYTES };
	struct arena *arena = arena_new(&options);

	CHECK(arena);
	return arena;
}

/* ---------------------------------------------------------------- a move that fails */

static bool is_mapped(const char *chunk)
{
	return msync((void *)(uintptr_t)chunk, CHUNK_BYTES, MS_ASYNC) == 0;
}

/* Moving to the cache unmaps its target, and under a limit of addresses nothing may be mapped there again. */
static void free_under_limit(struct arena *arena)
{
	struct rlimit old, limit;

	CHECK(!getrlimit(RLIMIT_AS, &old));
	limit = (struct rlimit){ .rlim_cur = 1 * GiB, .rlim_max = old.rlim_max };
	CHECK(!setrlimit(RLIMIT_AS, &limit));
	arena_free(arena);
	CHECK(!setrlimit(RLIMIT_AS, &old));
	chunk_validate();
}

TEST(hole, "rotation/an address lost by a failed move is never handed out", "ARENA_WINDOW_CHUNKS=16")
{
	struct arena *arena;
	char *first, *hole;
	size_t nr_lost = 0;

	if (harness_sanitized())
		harness_skip("a sanitizer needs more addresses than that");
	arena = arena_of_chunks(1);
	first = arena_alloc(arena, 1);
	free_under_limit(arena);
	for (size_t i = 0; i < 15; i++)
		nr_lost += !is_mapped(first + i * CHUNK_BYTES);
	CHECK(nr_lost <= 1);
	for (hole = first; nr_lost && is_mapped(hole); hole += CHUNK_BYTES)
		;
	for (size_t i = 0; i < 60; i++) {
		char *object;

		arena = arena_of_chunks(1);
		object = arena_alloc(arena, CHUNK_BYTES);
		CHECK(object && is_mapped(object) && (object != hole || !nr_lost));
		memset(object, 1, CHUNK_BYTES);
		arena_free(arena);
	}
	CHECK_EQ(memory_now().source[ARENA_SOURCE_PAGES].cached_chunks, 0);
	chunk_validate();
}

/* ---------------------------------------------------------------- growth in place */

TEST(extension, "rotation/an extension that fails leaves the cache alone")
{
	struct arena *a = arena_of_chunks(10), *b = arena_of_chunks(1), *c = arena_of_chunks(1);
	char *object = arena_alloc(b, CHUNK_BYTES / 2), *neighbor = arena_alloc(c, 1);

	memset(arena_alloc(a, 10 * CHUNK_BYTES), 1, 10 * CHUNK_BYTES);
	CHECK(object + CHUNK_BYTES == neighbor);
	arena_free(a);
	CHECK_EQ(memory_now().source[ARENA_SOURCE_PAGES].cached_chunks, 10);
	CHECK(arena_realloc(b, object, CHUNK_BYTES / 2, 3 * CHUNK_BYTES));
	CHECK(memory_now().source[ARENA_SOURCE_PAGES].cached_chunks >= 7);
	chunk_validate();
}

/* ---------------------------------------------------------------- addresses that were freed */

#define OBJECTS 6000

TEST(until_taken, "rotation/an address faults until it is taken again", "ARENA_SMALL_CHUNKS=8",
     "ARENA_REST_CHUNKS=2")
{
	static char *objects[OBJECTS];
	size_t last[8 * PAGES_PER_CHUNK] = {0};
	uintptr_t low = UINTPTR_MAX;

	for (size_t i = 0; i < OBJECTS; i++) {
		struct arena *arena = arena_new(NULL);

		objects[i] = arena_alloc(arena, 10);
		CHECK(objects[i]);
		objects[i][0] = 1;
		low = (uintptr_t)objects[i] < low ? (uintptr_t)objects[i] : low;
		arena_free(arena);
	}
	for (size_t i = 0; i < OBJECTS; i++)
		last[((uintptr_t)objects[i] - low) / PAGE_BYTES] = i;
	for (size_t i = 0; i < OBJECTS; i++)
		if (last[((uintptr_t)objects[i] - low) / PAGE_BYTES] == i)
			CHECK(harness_faults(objects[i]));
	small_validate();
}

/* ---------------------------------------------------------------- how long they rest */

static void check_rest(uint64_t chunks, uint64_t small_chunks)
{
	CHECK(arena_new(NULL));
	CHECK_EQ(memory_now().fifo_max_chunks, chunks);
	CHECK_EQ(memory_now().fifo_max_small_bytes, small_chunks * CHUNK_BYTES);
}

TEST(rest, "rotation/rest as asked for", "ARENA_SOURCE=pages", "ARENA_REST_CHUNKS=100")
{
	check_rest(100, 100);
}

TEST(long_rest, "rotation/no rest is longer than a quarter of the addresses", "ARENA_SOURCE=pages",
     "ARENA_REST_CHUNKS=8796093022208", "ARENA_WINDOW_CHUNKS=64", "ARENA_SMALL_CHUNKS=16")
{
	check_rest(16, 4);
}

TEST(two_rests, "rotation/the rest stated holds for every source", "ARENA_SOURCE=pages", "ARENA_WINDOW_CHUNKS=64",
     "ARENA_SMALL_CHUNKS=16")
{
	struct arena_options options = { .source = ARENA_SOURCE_THP };

	check_rest(16, 4);
	setenv("ARENA_WINDOW_CHUNKS", "128", 1);
	if (arena_source_check(ARENA_SOURCE_THP))
		harness_skip("no second source here");
	CHECK(arena_new(&options));
	CHECK_EQ(memory_now().fifo_max_chunks, 16);
}

/* ---------------------------------------------------------------- the end of a window */

TEST(end, "rotation/what lies behind a window is left alone")
{
	const struct window_options options = { .want_units = 700, .least_units = 700, .step_units = 1,
						.unit_shift = PAGE_SHIFT };
	struct window *window = window_create(&options);
	char *behind;

	CHECK(window);
	behind = (char *)window_address(window, 700);
	/* Where that fails, there is something already. */
	mmap(behind, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(!harness_faults(behind));
	lock_acquire(&window->lock);
	CHECK_EQ(window_take_locked(window, 700, 0), 0);
	CHECK_EQ(window_open_locked(window, 0, 700), 0);
	CHECK_EQ(revoke_units_locked(window, 0, 700), 700);
	lock_release(&window->lock);
	CHECK(!harness_faults(behind));
	window_validate(window);
}
