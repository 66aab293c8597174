// SPDX-License-Identifier: MIT
/* Statistics: the identity, and JSON that says the same as the struct. */
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "tests/harness.h"

static void check_identity(const struct arena_memory_source *source)
{
	CHECK_EQ(source->handed_chunks, source->mapped_chunks + source->cached_chunks + source->returned_chunks);
}

TEST_EACH_SOURCE(identity, "stats/handed = mapped + cached + returned")
{
	const struct arena_options options = { .source = source, .reserve_bytes = 3 * CHUNK_BYTES };
	struct arena *arenas[3];
	struct arena_memory memory;

	for (size_t round = 0; round < 4; round++) {
		for (size_t i = 0; i < 3; i++) {
			arenas[i] = arena_new(&options);
			CHECK(arenas[i]);
			arena_memory(&memory);
			check_identity(&memory.source[source]);
			CHECK_EQ(memory.source[source].mapped_chunks, 3 * (i + 1));
			CHECK_EQ(memory.nr_arenas, i + 1);
		}
		for (size_t i = 0; i < 3; i++)
			arena_free(arenas[i]);
		arena_memory(&memory);
		check_identity(&memory.source[source]);
		CHECK_EQ(memory.source[source].mapped_chunks, 0);
		CHECK(memory.source[source].revoked_chunks >= 9 * (round + 1));
		chunk_validate();
	}
	arena_trim(SIZE_MAX);
	arena_memory(&memory);
	CHECK_EQ(memory.source[source].cached_chunks, 0);
	CHECK_EQ(memory.source[source].handed_chunks, memory.source[source].returned_chunks);
	CHECK_EQ(memory.revoked_arenas, 12);
	for (int other = 1; other < ARENA_NR_SOURCES; other++)
		CHECK((other == (int)source) == (memory.source[other].handed_chunks > 0));
}

TEST(json, "stats/json says the same as the struct")
{
	const struct arena_options options = { .source = ARENA_SOURCE_PAGES, .reserve_bytes = 2 * CHUNK_BYTES };
	struct arena_memory memory;
	char *text;

	CHECK(arena_alloc(arena_new(NULL), 10));
	arena_free(arena_new(&options));
	arena_memory(&memory);
	text = arena_memory_json();
	CHECK_EQ(harness_number_after(text, "\"pages\"", "\"handed_chunks\":"), memory.source[ARENA_SOURCE_PAGES].handed_chunks);
	CHECK_EQ(harness_number_after(text, "\"pages\"", "\"cached_chunks\":"), memory.source[ARENA_SOURCE_PAGES].cached_chunks);
	CHECK_EQ(harness_number_after(text, "\"pages\"", "\"revoked_chunks\":"), 2);
	CHECK_EQ(harness_number_after(text, "{", "\"nr_arenas\":"), 1);
	CHECK_EQ(harness_number_after(text, "{", "\"small_bytes\":"), 4096);
	CHECK_EQ(harness_number_after(text, "{", "\"fifo_max_small_bytes\":"), memory.fifo_max_small_bytes);
	CHECK_HAS(text, memory.guard_pages ? "\"guard_pages\":true}" : "\"guard_pages\":false}");
	free(text);
}

TEST_EACH_SOURCE(trim, "stats/trim gives cached chunks back, no more than asked for")
{
	const struct arena_options options = { .source = source, .reserve_bytes = 6 * CHUNK_BYTES };
	struct arena_memory memory;
	size_t cached, before;

	arena_free(arena_new(&options));
	arena_memory(&memory);
	cached = memory.source[source].cached_chunks;
	CHECK_EQ(cached, source == ARENA_SOURCE_THP || source == ARENA_SOURCE_PAGES ? 6 : 0);
	before = harness_rss_bytes();
	CHECK_EQ(arena_trim(0), 0);
	CHECK_EQ(arena_trim(2 * CHUNK_BYTES - 1), cached ? 2 * CHUNK_BYTES : 0);
	CHECK_EQ(arena_trim(SIZE_MAX), cached ? 4 * CHUNK_BYTES : 0);
	CHECK_EQ(arena_trim(SIZE_MAX), 0);
	if (cached && !harness_sanitized())
		CHECK(harness_rss_bytes() + 5 * CHUNK_BYTES <= before);
	chunk_validate();
}

TEST(uncached, "stats/with ARENA_CACHED_CHUNKS=0 everything goes back at once", "ARENA_CACHED_CHUNKS=0")
{
	const struct arena_options options = { .source = ARENA_SOURCE_PAGES, .reserve_bytes = 6 * CHUNK_BYTES };
	struct arena_memory memory;

	arena_free(arena_new(&options));
	arena_memory(&memory);
	CHECK_EQ(memory.source[ARENA_SOURCE_PAGES].cached_chunks, 0);
	CHECK_EQ(memory.source[ARENA_SOURCE_PAGES].returned_chunks, 6);
}
