// SPDX-License-Identifier: MIT
/* Entries: ids, the queue of the dead, what is remembered for how long. */
#include "meta.h"

#include <stdio.h>
#include <string.h>

#include "small.h"
#include "tests/harness.h"
#include "window.h"

TEST(entries, "meta/entries")
{
	struct arena *a, *b;

	CHECK(!meta_is_entry(NULL));
	CHECK_EQ(meta_start(), 0);
	a = meta_create();
	b = meta_create();
	CHECK(a && b && a != b && a->id != b->id && a->id != OWNER_NONE);
	CHECK(meta_lookup(a->id) == a && meta_lookup(b->id) == b && !meta_lookup(0) && !meta_lookup(1000));
	CHECK(meta_is_entry(a) && !meta_is_entry((struct arena *)(void *)((char *)a + 8)) && !meta_is_entry(b + 1));
	CHECK(meta_kill(a, "x.c:1"));
	CHECK(!meta_kill(a, "x.c:2"));
	CHECK_STR(a->freed_at, "x.c:1");
	meta_bury(a);
	CHECK(meta_create() != a);
}

TEST(remembered, "meta/a dead entry is used again after META_KEPT others, and its addresses are nobody's then")
{
	struct arena *first = NULL;
	char *object = NULL;
	char text[200];
	size_t nr;

	for (nr = 0; nr < META_KEPT + 10; nr++) {
		struct arena *arena = arena_new(NULL);
		char *at = arena_alloc(arena, 1);

		if (arena == first)
			break;
		if (!first) {
			first = arena;
			object = at;
		}
		arena_free(arena);
	}
	CHECK(nr > META_KEPT && nr < META_KEPT + 10);
	CHECK(harness_faults(object));
	CHECK_EQ(arena_describe(object, text, sizeof(text)), 0);
	CHECK_STR(text, "memory of no arena: never handed out, or freed too long ago to be named");
}

TEST(runs, "meta/records of runs are used again")
{
	struct run *first, *second;

	CHECK_EQ(meta_start(), 0);
	first = meta_run_create();
	second = meta_run_create();
	CHECK(first && second && first != second);
	meta_run_destroy(first);
	CHECK(meta_run_create() == first);
}

/* Writable private memory: what mlockall() would fill. */
static size_t data_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	CHECK(file && fscanf(file, "%*u %*u %*u %*u %*u %lu", &pages) == 1);
	fclose(file);
	return pages * PAGE_BYTES;
}

TEST(steps, "meta/tables become writable only as far as they are used", "ARENA_SMALL_CHUNKS=64",
     "ARENA_WINDOW_CHUNKS=64")
{
	size_t before = data_bytes(), first, nr = 20000;

	CHECK(arena_new(NULL));
	first = data_bytes() - before;
	for (size_t i = 0; i < nr; i++) {
		struct arena *arena = arena_new(NULL);

		CHECK(arena && arena_alloc(arena, 1));
	}
	harness_note("%zu KiB, then %zu KiB", first / KiB, (data_bytes() - before) / KiB);
	CHECK(first < 16 * MiB && data_bytes() - before < 16 * MiB + nr * (PAGE_BYTES + 512));
}
