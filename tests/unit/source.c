// SPDX-License-Identifier: MIT
/* Each source is really that source, and says so when it is not to be had. */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chunk.h"
#include "meta.h"
#include "opt.h"
#include "tests/harness.h"

/* A number of kB in /proc/self/smaps_rollup, or 0. */
static size_t rollup_kib(const char *key)
{
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	size_t kib = 0;
	char line[200];

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			CHECK(sscanf(line + strlen(key), ": %zu", &kib) == 1);
	fclose(file);
	return kib;
}

static const char *const keys[ARENA_NR_SOURCES] = {
	[ARENA_SOURCE_DEV] = "FilePmdMapped",
	[ARENA_SOURCE_HUGETLB] = "Private_Hugetlb",
	[ARENA_SOURCE_THP] = "AnonHugePages",
	[ARENA_SOURCE_PAGES] = "Anonymous",
};

TEST_EACH_SOURCE(really, "source/memory is of the kind asked for")
{
	const struct arena_options options = { .source = source, .reserve_bytes = 4 * CHUNK_BYTES };
	struct arena *arena;
	size_t before, huge, rss;

	arena_free(arena_new(NULL));
	before = rollup_kib(keys[source]);
	rss = rollup_kib("AnonHugePages");
	arena = arena_new(&options);
	CHECK(arena);
	memset(arena_alloc(arena, 4 * CHUNK_BYTES), 1, 4 * CHUNK_BYTES);
	huge = rollup_kib(keys[source]) - before;
	/* Shadow memory is anonymous as well. */
	CHECK(huge >= 4 * 2048 && (huge < 5 * 2048 || harness_sanitized()));
	if (source != ARENA_SOURCE_THP)
		CHECK_EQ(rollup_kib("AnonHugePages"), rss);
	arena_free(arena);
	arena_trim(SIZE_MAX);
	if (!harness_sanitized())
		CHECK(rollup_kib(keys[source]) <= before + 512);
}

TEST_EACH_SOURCE(backs, "source/back and revoke")
{
	const struct source_ops *ops = source_ops(source);
	struct window *window;
	char *chunk;
	size_t unit;

	CHECK_EQ(meta_start(), 0);
	CHECK_EQ(ops->start(&window), 0);
	for (size_t nr = 1; nr <= 4; nr++) {
		unit = window_take_locked(window, nr, 0);
		CHECK(unit != UNIT_NONE);
		CHECK_EQ(ops->back_locked(window, unit, nr), 0);
		chunk = (char *)window_address(window, unit);
		for (size_t page = 0; page < nr * PAGES_PER_CHUNK; page++)
			CHECK(chunk[page * PAGE_BYTES] == 0);
		memset(chunk, 1, nr * CHUNK_BYTES);
		window_validate(window);
		CHECK_EQ(ops->revoke_locked(window, unit, nr), nr);
		CHECK(harness_faults(chunk) && harness_faults(chunk + nr * CHUNK_BYTES - 1));
		window_validate(window);
	}
}

TEST_ONE_SOURCE(more_than_reserved, "source/more than is reserved is NULL, never a signal", ARENA_SOURCE_HUGETLB)
{
	const struct arena_options options = { .source = source };
	struct arena *arena = arena_new(&options);
	char *object;
	size_t nr = 0;

	CHECK(arena);
	while (nr < 10000 && (object = arena_alloc(arena, CHUNK_BYTES))) {
		memset(object, 1, CHUNK_BYTES);
		nr++;
	}
	CHECK(nr > 0 && nr < 10000);
	arena_free(arena);
	arena = arena_new(&options);
	CHECK(arena && arena_alloc(arena, CHUNK_BYTES));
}

TEST(check_says_why, "source/check says why not")
{
	int error = arena_source_check(ARENA_SOURCE_DEV);

	CHECK(error == 0 || error == -ENOENT || error == -EACCES);
	error = arena_source_check(ARENA_SOURCE_HUGETLB);
	CHECK(error == 0 || error == -ENOMEM || error == -ENOTSUP);
	CHECK_EQ(arena_source_check(ARENA_SOURCE_PAGES), 0);
}
