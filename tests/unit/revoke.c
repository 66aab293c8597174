// SPDX-License-Identifier: MIT
/*
 * Revocation of many arenas: with guard pages nothing is ever deferred; without, what is deferred is counted exactly and revoked
 * as room appears. Models a program with a hundred thousand living arenas, and one that makes and frees for a long time.
 */
#include "revoke.h"

#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "small.h"
#include "tests/harness.h"

#define ARENAS 100000

static struct arena *arenas[ARENAS];
static char *objects[ARENAS];

static void make_one(size_t i)
{
	arenas[i] = arena_new(NULL);
	objects[i] = arenas[i] ? arena_alloc(arenas[i], 24) : NULL;
	CHECK(objects[i]);
	memset(objects[i], (int)i, 24);
}

static struct arena_memory memory_now(void)
{
	struct arena_memory memory;

	arena_memory(&memory);
	return memory;
}

static size_t free_every_second(size_t first)
{
	for (size_t i = first; i < ARENAS; i += 2)
		arena_free(arenas[i]);
	return ARENAS / 2;
}

static size_t count_accessible(size_t first)
{
	size_t nr = 0;

	for (size_t i = first; i < ARENAS; i += 2)
		nr += !harness_faults(objects[i]);
	return nr;
}

static void check_alive(size_t first)
{
	for (size_t i = first; i < ARENAS; i += 2)
		CHECK(objects[i][0] == (char)i && objects[i][23] == (char)i);
}

TEST(hundred_thousand, "revoke/every second of 100,000 arenas faults, none deferred")
{
	size_t before;

	if (!revoke_has_guard())
		harness_skip("this kernel has no guard pages");
	for (size_t i = 0; i < ARENAS; i++)
		make_one(i);
	before = harness_mappings();
	free_every_second(0);
	CHECK_EQ(memory_now().deferred_arenas, 0);
	CHECK_EQ(memory_now().revoked_arenas, ARENAS / 2);
	CHECK_EQ(memory_now().nr_arenas, ARENAS / 2);
	CHECK_EQ(count_accessible(0), 0);
	check_alive(1);
	CHECK(harness_mappings() <= before + 8);
	free_every_second(1);
	CHECK_EQ(count_accessible(1), 0);
	CHECK(harness_mappings() <= before + 8);
}

TEST(hundred_thousand_closed, "revoke/every second of 100,000 arenas without guard pages", "ARENA_GUARD=0")
{
	struct arena_memory memory;
	size_t before;

	for (size_t i = 0; i < ARENAS; i++)
		make_one(i);
	before = harness_mappings();
	free_every_second(0);
	memory = memory_now();
	CHECK(!memory.guard_pages);
	CHECK_EQ(memory.deferred_arenas + memory.revoked_arenas, ARENAS / 2);
	harness_note("%llu revoked, %llu deferred, %zu mappings", (unsigned long long)memory.revoked_arenas,
		     (unsigned long long)memory.deferred_arenas, harness_mappings());
	CHECK(memory.deferred_arenas > 0 && memory.revoked_arenas > 10000);
	CHECK_EQ(count_accessible(0), memory.deferred_arenas);
	check_alive(1);
	free_every_second(1);
	arena_trim(0);
	memory = memory_now();
	CHECK_EQ(memory.deferred_arenas, 0);
	CHECK_EQ(memory.revoked_arenas, ARENAS);
	CHECK_EQ(count_accessible(0) + count_accessible(1), 0);
	CHECK(harness_mappings() <= before + 8);
}

/* A shortage small enough to follow step by step. */
TEST(room_appears, "revoke/deferred arenas are revoked as room appears", "ARENA_GUARD=0", "ARENA_MAP_LIMIT=20")
{
	size_t deferred, last;

	for (size_t i = 0; i < 400; i++)
		make_one(i);
	for (size_t i = 0; i < 400; i += 2)
		arena_free(arenas[i]);
	deferred = memory_now().deferred_arenas;
	CHECK(deferred > 150 && deferred < 200);
	last = deferred;
	for (size_t i = 1; i < 400; i += 2) {
		size_t now, accessible = 0;

		arena_free(arenas[i]);
		now = memory_now().deferred_arenas;
		CHECK(now <= last + 1);
		last = now;
		for (size_t j = 0; j < 400; j++)
			accessible += (j % 2 == 0 || j <= i) && !harness_faults(objects[j]);
		CHECK_EQ(accessible, now);
	}
	CHECK_EQ(last, 0);
	CHECK_EQ(memory_now().revoked_arenas, 400);
}

/* Runs of several pages, so that units and arenas are counted apart. */
TEST(deferred_runs, "revoke/deferred runs of pages and chunks", "ARENA_GUARD=0", "ARENA_MAP_LIMIT=20", "ARENA_CACHED_CHUNKS=0")
{
	const struct arena_options options = { .source = ARENA_SOURCE_PAGES };

	for (size_t i = 0; i < 100; i++) {
		arenas[i] = arena_new(&options);
		objects[i] = arena_alloc(arenas[i], i % 3 ? 3 * PAGE_BYTES : 2 * CHUNK_BYTES);
		CHECK(objects[i]);
		objects[i][0] = 1;
	}
	for (size_t i = 0; i < 100; i += 2)
		arena_free(arenas[i]);
	CHECK(memory_now().deferred_arenas > 20);
	small_validate();
	chunk_validate();
	for (size_t i = 1; i < 100; i += 2) {
		arena_free(arenas[i]);
		small_validate();
		chunk_validate();
	}
	arena_trim(0);
	CHECK_EQ(memory_now().deferred_arenas, 0);
	CHECK_EQ(memory_now().revoked_arenas, 100);
	for (size_t i = 0; i < 100; i++)
		CHECK(harness_faults(objects[i]));
}

TEST(deferred_memory, "revoke/deferred arenas give their memory back", "ARENA_GUARD=0", "ARENA_MAP_LIMIT=1")
{
	const struct arena_options options = { .source = ARENA_SOURCE_PAGES, .reserve_bytes = 1 };
	struct arena *keep[8], *drop[8];
	char *last = NULL;
	size_t before;

	for (size_t i = 0; i < 8; i++) {
		keep[i] = arena_new(&options);
		drop[i] = arena_new(&options);
		CHECK(keep[i] && drop[i]);
		last = arena_alloc(drop[i], 100);
		*last = 1;
	}
	before = harness_rss_bytes();
	for (size_t i = 0; i < 8; i++)
		arena_free(drop[i]);
	CHECK(memory_now().deferred_arenas > 0);
	if (!harness_sanitized())
		CHECK(harness_rss_bytes() + 7 * CHUNK_BYTES < before);
	CHECK_EQ(memory_now().source[ARENA_SOURCE_PAGES].returned_chunks, 8);
}

/* ---------------------------------------------------------------- for how long */

static void churn(enum arena_source source, size_t nr, size_t reserve_bytes)
{
	const struct arena_options options = { .source = source, .reserve_bytes = reserve_bytes };

	for (size_t i = 0; i < nr; i++) {
		struct arena *arena = arena_new(&options);
		char *object = arena ? arena_alloc(arena, 100) : NULL;

		CHECK(object);
		*object = 1;
		arena_free(arena);
	}
}

TEST_EACH_SOURCE(later_small, "revoke/small arena faults after 10,000 later ones")
{
	const struct arena_options options = { .source = source, .name = "early" };
	struct arena *arena = arena_new_at(&options, "early.c:1");
	char *object = arena_alloc(arena, 24);

	CHECK(object);
	*object = 1;
	arena_free_at(arena, "early.c:2");
	churn(source, 10000, 0);
	CHECK_FAULTS(object, "0 bytes into arena \"early\" (made at early.c:1, freed at early.c:2)");
}

TEST_EACH_SOURCE(later_chunks, "revoke/chunk faults after 10,000 later ones")
{
	const struct arena_options options = { .source = source, .name = "early", .reserve_bytes = 1 };
	struct arena *arena = arena_new_at(&options, "early.c:1");
	char *object = arena ? arena_alloc(arena, 24) : NULL;

	CHECK(object);
	*object = 1;
	arena_free_at(arena, "early.c:2");
	churn(source, source == ARENA_SOURCE_HUGETLB ? 1000 : 10000, 1);
	CHECK_FAULTS(object, "0 bytes into arena \"early\" (made at early.c:1, freed at early.c:2)");
}

TEST(fifo_length, "revoke/an address rests as long as the FIFO says", "ARENA_SMALL_CHUNKS=1", "ARENA_WINDOW_CHUNKS=64")
{
	char *first, *object;
	size_t nr = 0, rest = 0;

	make_one(0);
	first = objects[0];
	arena_free(arenas[0]);
	rest = memory_now().fifo_max_small_bytes / PAGE_BYTES;
	CHECK(rest >= 100);
	do {
		make_one(1);
		object = objects[1];
		arena_free(arenas[1]);
		nr++;
	} while (object != first && nr < 10000);
	harness_note("an address was used again after %zu others; the FIFO is %zu long", nr - 1, rest);
	CHECK(nr - 1 >= rest && nr < 10000);
}

TEST(no_recycle, "revoke/with ARENA_NO_RECYCLE no address comes back", "ARENA_NO_RECYCLE=1", "ARENA_SMALL_CHUNKS=1",
     "ARENA_GUARD=0")
{
	size_t nr = 0;

	for (;;) {
		struct arena *arena = arena_new(NULL);
		char *object;

		CHECK(arena);
		object = arena_alloc_aligned(arena, 1, 1);
		if (!object)
			break;
		for (size_t i = 0; i < nr; i++)
			CHECK(objects[i] != object);
		objects[nr++] = object;
		arena_free(arena);
	}
	CHECK_EQ(nr, PAGES_PER_CHUNK);
}

/* ---------------------------------------------------------------- what it costs */

TEST(rss, "revoke/100,000 living arenas of one object cost at most 8 KiB each")
{
	size_t before, after;

	if (harness_sanitized())
		harness_skip("a sanitizer has shadow memory of its own");
	make_one(0);
	before = harness_rss_bytes();
	for (size_t i = 1; i < ARENAS; i++)
		make_one(i);
	after = harness_rss_bytes();
	harness_note("%zu bytes each", (after - before) / (ARENAS - 1));
	CHECK((after - before) / (ARENAS - 1) <= 8192);
	for (size_t i = 0; i < ARENAS; i++)
		arena_free(arenas[i]);
	after = harness_rss_bytes();
	harness_note("%zu bytes each after all were freed", (after - before) / ARENAS);
	CHECK((after - before) / ARENAS <= 1024);
}
