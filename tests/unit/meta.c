// SPDX-License-Identifier: MIT
/* Entries: ids, the queue of the dead, what is remembered for how long. */
#include "meta.h"

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
	meta_discard(b);
	CHECK(meta_create() == b);
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
