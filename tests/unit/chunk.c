// SPDX-License-Identifier: MIT
/* Chunks: contents move with the cache, old addresses fault, neighbors are found, shortage is an answer. */
#include "chunk.h"

#include <string.h>
#include <sys/mman.h>

#include "meta.h"
#include "revoke.h"
#include "tests/harness.h"

static void start(enum arena_source source)
{
	CHECK_EQ(meta_start(), 0);
	CHECK_EQ(chunk_source_start(source), 0);
}

static char *acquire(enum arena_source source, size_t nr)
{
	char *chunk = (char *)chunk_acquire(source, nr, 0, CHUNK_ANYWHERE, 0);

	CHECK(chunk && (uintptr_t)chunk % CHUNK_BYTES == 0);
	return chunk;
}

TEST_EACH_SOURCE(usable, "chunk/every byte can be used, and faults afterwards")
{
	char *chunk;

	start(source);
	chunk = acquire(source, 3);
	memset(chunk, 0xaa, 3 * CHUNK_BYTES);
	chunk_validate();
	chunk_release((uintptr_t)chunk, 3);
	chunk_validate();
	for (size_t page = 0; page < 3 * PAGES_PER_CHUNK; page++)
		CHECK(harness_faults(chunk + page * PAGE_BYTES));
}

TEST_EACH_SOURCE(cache, "chunk/memory of a released chunk moves, its address does not")
{
	char *chunk, *again;

	start(source);
	chunk = acquire(source, 2);
	memset(chunk, 0xaa, CHUNK_BYTES);
	memset(chunk + CHUNK_BYTES, 0xbb, CHUNK_BYTES);
	chunk_release((uintptr_t)chunk, 2);
	again = acquire(source, 2);
	CHECK(again != chunk);
	CHECK(harness_faults(chunk) && harness_faults(chunk + 2 * CHUNK_BYTES - 1));
	if (source_ops(source)->can_move) {
		CHECK(again[0] == (char)0xaa && again[2 * CHUNK_BYTES - 1] == (char)0xbb);
	} else {
		CHECK(again[0] == 0 && again[2 * CHUNK_BYTES - 1] == 0);
	}
	memset(again, 1, 2 * CHUNK_BYTES);
	chunk_validate();
}

TEST_EACH_SOURCE(many, "chunk/a thousand rounds keep few mappings")
{
	size_t before, rounds = source == ARENA_SOURCE_DEV ? 100 : 1000;

	start(source);
	chunk_release((uintptr_t)acquire(source, 2), 2);
	before = harness_mappings();
	for (size_t i = 0; i < rounds; i++) {
		size_t nr = 1 + i % 4;
		char *chunk = acquire(source, nr);

		chunk[0] = 1;
		chunk[nr * CHUNK_BYTES - 1] = 1;
		chunk_release((uintptr_t)chunk, nr);
	}
	chunk_validate();
	harness_note("%zu mappings before, %zu after", before, harness_mappings());
	CHECK(harness_mappings() <= before + 3 * 16 + 8);
}

TEST_EACH_SOURCE(neighbors, "chunk/exact place or nothing")
{
	char *chunk, *next;

	start(source);
	chunk = acquire(source, 1);
	next = (char *)chunk_acquire(source, 2, (uintptr_t)chunk + CHUNK_BYTES, CHUNK_EXACTLY, 0);
	CHECK(next == chunk + CHUNK_BYTES);
	memset(chunk, 1, 3 * CHUNK_BYTES);
	CHECK(!chunk_acquire(source, 1, (uintptr_t)chunk + CHUNK_BYTES, CHUNK_EXACTLY, 0));
	chunk_validate();
}

TEST(used_up, "chunk/addresses used up", "ARENA_WINDOW_CHUNKS=32", "ARENA_CACHED_CHUNKS=4")
{
	uintptr_t chunks[40];
	size_t nr = 0;

	start(ARENA_SOURCE_PAGES);
	while (nr < 40 && (chunks[nr] = chunk_acquire(ARENA_SOURCE_PAGES, 1, 0, CHUNK_ANYWHERE, 0)))
		nr++;
	CHECK_EQ(nr, 32);
	for (size_t i = 0; i < 32; i++)
		chunk_release(chunks[i], 1);
	chunk_validate();
	/* All rest, and the cache found no address to go to until some had rested. */
	for (size_t i = 0; i < 1000; i++) {
		uintptr_t chunk = chunk_acquire(ARENA_SOURCE_PAGES, 1 + i % 3, 0, CHUNK_ANYWHERE, 0);

		CHECK(chunk);
		*(char *)chunk = 1;
		chunk_release(chunk, 1 + i % 3);
	}
	chunk_validate();
}

TEST(full_map, "chunk/no room for mappings", "ARENA_MAP_LIMIT=4")
{
	uintptr_t chunks[64];

	start(ARENA_SOURCE_PAGES);
	for (size_t i = 0; i < 64; i++) {
		chunks[i] = (uintptr_t)acquire(ARENA_SOURCE_PAGES, 1);
		*(char *)chunks[i] = 1;
	}
	for (size_t i = 0; i < 64; i += 2)
		chunk_release(chunks[i], 1);
	chunk_validate();
	for (size_t i = 0; i < 64; i += 2)
		CHECK(harness_faults((char *)chunks[i]) == revoke_has_guard() || harness_faults((char *)chunks[i]));
	CHECK(window_mappings() <= 5);
	for (size_t i = 1; i < 64; i += 2)
		chunk_release(chunks[i], 1);
	chunk_trim(SIZE_MAX);
	for (size_t i = 0; i < 64; i++)
		CHECK(harness_faults((char *)chunks[i]));
	chunk_validate();
}

static void release_twice(void *unused)
{
	char *chunk;

	(void)unused;
	start(ARENA_SOURCE_PAGES);
	chunk = acquire(ARENA_SOURCE_PAGES, 1);
	chunk_release((uintptr_t)chunk, 1);
	chunk_release((uintptr_t)chunk, 1);
}

TEST(twice, "chunk/a second release is a broken invariant")
{
	struct death death;

	harness_child(&death, release_twice, NULL);
	CHECK(harness_died(&death, 6));
	CHECK_HAS(death.text, "broken invariant");
}
