// SPDX-License-Identifier: MIT
/* The numbers of a collected heap as JSON: all that arena/gc.h has, by their names, and nothing else. */
#include <stdlib.h>

#include "tests/unit/gc_fixture.h"

#define FIELD(name_) { "\"" #name_ "\":", offsetof(struct arena_gc_stats, name_) }

static const struct field {
	const char *key;
	size_t offset;
} fields[] = {
	FIELD(nr_cycles), FIELD(live_bytes), FIELD(allocated_bytes), FIELD(freed_objects), FIELD(freed_bytes), FIELD(held_bytes),
	FIELD(handshake_max_ns), FIELD(runtime_max_ns), FIELD(stopped_ns), FIELD(stopped_max_ns), FIELD(goal_bytes),
	FIELD(collector_ns), FIELD(assist_ns), FIELD(assist_slices), FIELD(assist_max_work),
};
/* Who adds a number adds it here, and to the text. */
_Static_assert(ARRAY_LEN(fields) == sizeof(struct arena_gc_stats) / sizeof(uint64_t), "each field is listed");

/* No two are the same, also those of what has not happened. */
static void make_up(struct arena_gc *gc)
{
	atomic_store_relaxed(&gc->stopped_ns, (uint64_t)1001);
	atomic_store_relaxed(&gc->stopped_max_ns, (uint64_t)1002);
	atomic_store_relaxed(&gc->drive.sums.assist_ns, (uint64_t)1003);
	atomic_store_relaxed(&gc->drive.sums.nr_slices, (uint64_t)1004);
	atomic_store_relaxed(&gc->drive.slice_most_work, (uint64_t)1005);
}

static uint64_t number_in(const struct arena_gc_stats *stats, const struct field *field)
{
	uint64_t number;

	memcpy(&number, (const char *)stats + field->offset, sizeof(number));
	return number;
}

/* What @at begins with; returns what is behind it. */
static char *check_field(char *at, const struct field *field, const struct arena_gc_stats *before, const struct arena_gc_stats *after)
{
	size_t length = strlen(field->key);
	uint64_t number;

	if (strncmp(at, field->key, length))
		harness_fail(__FILE__, __LINE__, "not %s, but %.40s", field->key, at);
	number = strtoull(at + length, &at, 10);
	/* The collector's thread may be on its way to sleep. */
	if (number < number_in(before, field) || number > number_in(after, field) || *at != ',')
		harness_fail(__FILE__, __LINE__, "%s%lu, and not %lu", field->key, number, number_in(after, field));
	return at + 1;
}

TEST(all, "gc_json/all fields of the statistics are there, each with its number, and no other")
{
	struct fixture it = set_up(100);
	struct arena_gc_stats before, after;
	struct node *tree = new_tree(&it, 12);
	char *json, *at;

	arena_gc_collect(it.gc);
	make_up(it.gc);
	before = stats_of(it.gc);
	json = arena_gc_json(it.gc);
	after = stats_of(it.gc);
	CHECK(json && *json == '{');
	at = json + 1;
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		at = check_field(at, &fields[i], &before, &after);
	CHECK(!strncmp(at, "\"runtime\":{", strlen("\"runtime\":{")));
	arena_gc_keep_alive(tree);
	free(json);
	arena_gc_destroy(it.gc);
}
