// SPDX-License-Identifier: MIT
/* The arena's own contract: alignment, limits, reset, resizing in place, statistics, misuse. Contents under random use: tests/model. */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "geometry.h"
#include "internal.h"
#include "tests/harness.h"

static struct arena_stats stats_of(const struct arena *arena)
{
	struct arena_stats stats;

	arena_validate(arena);
	arena_stats(arena, &stats);
	return stats;
}

static struct arena *make(enum arena_source source, size_t limit_bytes, size_t reserve_bytes)
{
	const struct arena_options options = {
		.source = source, .name = "test", .limit_bytes = limit_bytes, .reserve_bytes = reserve_bytes,
	};
	struct arena *arena = arena_new(&options);

	CHECK(arena);
	return arena;
}

TEST_EACH_SOURCE(aligned, "arena/every alignment and size")
{
	struct arena *arena = make(source, 0, 0);

	for (unsigned int shift = 0; shift <= CHUNK_SHIFT; shift++)
		for (size_t bytes = 0; bytes < (shift < 14 ? 40 : 3); bytes++) {
			size_t align = (size_t)1 << shift;
			char *object = arena_alloc_aligned(arena, bytes, align);

			CHECK(object && (uintptr_t)object % align == 0);
			memset(object, 1, bytes);
		}
	arena_validate(arena);
	arena_free(arena);
}

TEST_EACH_SOURCE(sizes, "arena/sizes around every border")
{
	static const size_t borders[] = { 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB, CHUNK_BYTES, 3 * CHUNK_BYTES };

	for (size_t i = 0; i < sizeof(borders) / sizeof(borders[0]); i++)
		for (size_t around = 0; around < 5; around++) {
			struct arena *arena = make(source, 0, 0);
			size_t bytes = borders[i] + around - 2;
			char *object = arena_alloc(arena, bytes), *next = arena_alloc(arena, 1);

			CHECK(object && next);
			CHECK(next >= object + bytes || next < object);
			memset(object, 1, bytes);
			*next = 2;
			CHECK(object[bytes - 1] == 1);
			arena_validate(arena);
			arena_free(arena);
		}
}

TEST(zero_bytes, "arena/0 bytes give a valid address")
{
	struct arena *arena = arena_new(NULL);

	for (unsigned int shift = 0; shift <= CHUNK_SHIFT; shift++) {
		char *object = arena_alloc_aligned(arena, 0, (size_t)1 << shift);

		CHECK((uintptr_t)object > PAGE_BYTES);
	}
	CHECK(arena_realloc(arena, NULL, 0, 0));
}

TEST(words, "arena/sizes are rounded to words, and a run is used to its end")
{
	struct arena *arena = make(ARENA_SOURCE_AUTO, 0, CHUNK_BYTES);
	char *first = arena_alloc_aligned(arena, 3, 1), *last;

	CHECK(arena_alloc_aligned(arena, CHUNK_BYTES - 3 * ARENA_WORD_BYTES - 5, 1) == first + ARENA_WORD_BYTES);
	CHECK_EQ(stats_of(arena).used_bytes, CHUNK_BYTES - ARENA_WORD_BYTES * 2);
	last = arena_alloc_aligned(arena, 1, 1);
	CHECK(last == first + CHUNK_BYTES - 2 * ARENA_WORD_BYTES);
	CHECK(arena_realloc(arena, last, 1, ARENA_WORD_BYTES * 2) == last);
	CHECK_EQ(stats_of(arena).used_bytes, CHUNK_BYTES);
	CHECK_EQ(stats_of(arena).held_bytes, CHUNK_BYTES);
	arena_free(arena);
}

TEST(nonsense, "arena/absurd sizes are NULL and change nothing")
{
	struct arena *arena = arena_new(NULL);
	struct arena_stats before;

	CHECK(arena_alloc(arena, 100));
	before = stats_of(arena);
	for (unsigned int shift = 46; shift < 64; shift++) {
		CHECK(!arena_alloc(arena, (size_t)1 << shift));
		CHECK(!arena_alloc(arena, ((size_t)1 << shift) - 1 + ((size_t)1 << 46)));
	}
	for (size_t less = 0; less < 100; less++)
		for (unsigned int shift = 0; shift <= CHUNK_SHIFT; shift++)
			CHECK(!arena_alloc_aligned(arena, SIZE_MAX - less, (size_t)1 << shift));
	CHECK(!arena_calloc(arena, SIZE_MAX / 2, 3));
	CHECK(!arena_make_array(arena, long, SIZE_MAX / 4));
	CHECK_EQ(stats_of(arena).held_bytes, before.held_bytes);
	CHECK_EQ(stats_of(arena).used_bytes, before.used_bytes);
	CHECK(arena_alloc(arena, 100));
}

TEST_EACH_SOURCE(limit, "arena/limit")
{
	static const size_t limits[] = { 4 * KiB, 10 * KiB, 100 * KiB, 1 * MiB, 5 * MiB };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct arena *arena = make(source, limits[i], 0);
		size_t nr = 0;

		while (arena_alloc_aligned(arena, 100, 1))
			nr++;
		CHECK(stats_of(arena).held_bytes <= limits[i]);
		/* Pages and run ends are lost, but not more than half. */
		CHECK(nr * 100 >= limits[i] / 2);
		CHECK(!arena_alloc(arena, limits[i] + 1));
		arena_reset(arena);
		CHECK(arena_alloc(arena, 100));
		arena_reset_release(arena);
		CHECK(arena_alloc(arena, 100));
		arena_free(arena);
	}
	CHECK(!arena_alloc(make(source, 4095, 0), 1));
}

TEST_EACH_SOURCE(reserve, "arena/reserve_bytes")
{
	struct arena *arena = make(source, 0, 3 * CHUNK_BYTES - 5);
	const struct arena_options impossible = { .source = source, .reserve_bytes = SIZE_MAX };
	const struct arena_options over = { .source = source, .reserve_bytes = CHUNK_BYTES, .limit_bytes = 100 };
	struct arena_memory memory;
	char *object;

	CHECK_EQ(stats_of(arena).nr_chunks, 3);
	CHECK_EQ(stats_of(arena).page_bytes, 0);
	object = arena_alloc(arena, 3 * CHUNK_BYTES);
	CHECK(object);
	memset(object, 1, 3 * CHUNK_BYTES);
	CHECK_EQ(stats_of(arena).nr_chunks, 3);
	arena_free(arena);
	CHECK(!arena_new(&impossible));
	CHECK(!arena_new(&over));
	arena_memory(&memory);
	CHECK_EQ(memory.nr_arenas, 0);
	CHECK_EQ(memory.source[source].mapped_chunks, 0);
}

TEST_EACH_SOURCE(reset, "arena/reset keeps memory and addresses")
{
	struct arena *arena = make(source, 0, 0);
	char *first[3000];
	uint64_t held = 0;

	for (size_t round = 0; round < 5; round++) {
		for (size_t i = 0; i < 3000; i++) {
			char *object = arena_alloc(arena, 2000);

			CHECK(object);
			memset(object, (int)round, 2000);
			if (!round)
				first[i] = object;
			CHECK(object == first[i]);
		}
		if (!round)
			held = stats_of(arena).held_bytes;
		CHECK_EQ(stats_of(arena).held_bytes, held);
		CHECK(stats_of(arena).used_bytes >= 3000 * 2000);
		arena_reset(arena);
		CHECK_EQ(stats_of(arena).used_bytes, 0);
		CHECK_EQ(stats_of(arena).nr_resets, round + 1);
	}
	arena_reset_release(arena);
	CHECK_EQ(stats_of(arena).held_bytes, 0);
	CHECK_EQ(stats_of(arena).page_bytes, 0);
	CHECK_EQ(stats_of(arena).nr_chunks, 0);
	CHECK_EQ(stats_of(arena).peak_bytes, held);
	CHECK(arena_alloc(arena, 2000));
	arena_free(arena);
}

/* Objects that do not fit the kept runs in their order must not lose them. */
TEST(reset_other_sizes, "arena/reset, then other sizes")
{
	struct arena *arena = make(ARENA_SOURCE_PAGES, 0, 0);

	for (size_t round = 0; round < 200; round++) {
		for (size_t i = 0; i < 20; i++)
			CHECK(arena_alloc(arena, (round * 37 + i * 101) % 300000));
		arena_validate(arena);
		arena_reset(arena);
	}
	CHECK(stats_of(arena).held_bytes <= 16 * MiB);
	arena_free(arena);
}

TEST_EACH_SOURCE(in_place, "arena/the last object grows in place, also over chunks")
{
	struct arena *arena = make(source, 0, 1);
	char *object = arena_alloc(arena, 100), *same = object, *other;
	size_t bytes;

	memset(object, 5, 100);
	for (bytes = 100; bytes < 6 * CHUNK_BYTES; bytes += 100000) {
		same = arena_realloc(arena, same, bytes, bytes + 100000);
		CHECK(same == object);
		memset(same + bytes, 5, 100000);
	}
	CHECK(object[0] == 5 && object[5 * CHUNK_BYTES] == 5);
	same = arena_realloc(arena, same, bytes, 10);
	CHECK(same == object);
	other = arena_alloc(arena, 10);
	CHECK(other >= object + 10 && other < object + 100);
	memset(other, 6, 10);
	same = arena_realloc(arena, object, 10, 20);
	CHECK(same && same != object && same[9] == 5 && other[0] == 6);
	arena_validate(arena);
	arena_free(arena);
}

TEST(slices, "arena/slices")
{
	struct arena *arena = arena_new(NULL);
	ARENA_SLICE(int) numbers = {0};
	ARENA_SLICE(struct { char c[3]; }) odd = {0};
	struct arena *tight = make(ARENA_SOURCE_PAGES, 4096, 0);
	size_t nr = 0;

	for (int i = 0; i < 100000; i++)
		CHECK(arena_slice_push(arena, &numbers, i));
	for (int i = 0; i < 100000; i++)
		CHECK(numbers.data[i] == i);
	CHECK(numbers.cap < 200000);
	CHECK(arena_slice_reserve(arena, &odd, 10) && odd.cap >= 10 && odd.len == 0);
	CHECK(!arena_slice_reserve(arena, &odd, SIZE_MAX) && odd.cap >= 10);
	numbers.data = NULL;
	numbers.len = numbers.cap = 0;
	while (arena_slice_push(tight, &numbers, 7))
		nr++;
	CHECK(nr == numbers.len && nr >= 500 && nr <= 1024);
	for (size_t i = 0; i < nr; i++)
		CHECK(numbers.data[i] == 7);
}

TEST(typed, "arena/typed forms are zeroed")
{
	struct point { double x, y; char name[10]; } *point, *points, *raw, *clone;
	struct arena *arena = arena_new(NULL);

	memset(arena_alloc(arena, 4000), 0xff, 4000);
	arena_reset(arena);
	point = arena_make(arena, struct point);
	points = arena_make_array(arena, struct point, 20);
	raw = arena_make_raw(arena, struct point);
	CHECK(point && points && raw && (uintptr_t)raw % alignof(struct point) == 0);
	CHECK(point->x == 0 && point->name[9] == 0 && points[19].y == 0);
	point->x = 3;
	clone = arena_clone_of(point);
	arena_free(arena);
	CHECK(clone->x == 3);
}

static char *scoped(void)
{
	arena_scoped(scratch, NULL);

	return arena_alloc(scratch, 10);
}

TEST(scope, "arena/scoped form frees at the end of its block")
{
	struct arena_memory memory;
	char *object = scoped();

	CHECK_FAULTS(object, "freed at the end of its block)");
	arena_memory(&memory);
	CHECK_EQ(memory.nr_arenas, 0);
}

TEST(credit, "arena/a place that made large arenas starts with chunks")
{
	uint64_t pages[4];

	for (int round = 0; round < 4; round++) {
		struct arena *arena = arena_new_at(NULL, round < 3 ? "large.c:1" : "small.c:1");
		struct arena_stats stats;

		for (int i = 0; i < 3000; i++)
			CHECK(arena_alloc(arena, 1000));
		stats = stats_of(arena);
		pages[round] = stats.page_bytes;
		arena_free(arena);
	}
	CHECK(pages[0] > 0 && pages[1] == 0 && pages[2] == 0 && pages[3] > 0);
	/* One credit each: of two that live at a time, only one starts with a chunk. */
	for (int i = 0; i < 2; i++) {
		struct arena *arena = arena_new_at(NULL, "large.c:1");

		CHECK(arena_alloc(arena, 10));
		CHECK_EQ(stats_of(arena).nr_chunks, i == 0);
	}
}

TEST(errno_alone, "arena/errno is left alone")
{
	struct arena *arena;

	errno = 12345;
	arena = arena_new(NULL);
	for (int i = 0; i < 10000; i++)
		CHECK(arena_alloc(arena, 1000));
	CHECK(!arena_alloc(arena, SIZE_MAX / 4));
	CHECK(arena_printf(arena, "%d", 3));
	arena_reset_release(arena);
	arena_source_check(ARENA_SOURCE_DEV);
	arena_source_check(ARENA_SOURCE_HUGETLB);
	arena_free(arena);
	arena_trim(SIZE_MAX);
	CHECK_EQ(errno, 12345);
}

TEST(sources, "arena/names of sources")
{
	const struct arena_options unknown = { .source = (enum arena_source)99 };

	for (int i = 0; i < ARENA_NR_SOURCES; i++)
		CHECK_EQ(arena_source_parse(arena_source_name((enum arena_source)i)), i);
	CHECK_STR(arena_source_name((enum arena_source)99), "?");
	CHECK_STR(arena_source_name((enum arena_source)-1), "?");
	CHECK_EQ(arena_source_parse("THP"), -EINVAL);
	CHECK_EQ(arena_source_check((enum arena_source)99), -EINVAL);
	CHECK_EQ(arena_source_check(ARENA_SOURCE_AUTO), 0);
	CHECK(!arena_new(&unknown));
	CHECK_STR(arena_version(), ARENA_VERSION_STRING);
}

TEST(auto_pages, "arena/ARENA_SOURCE names what auto means", "ARENA_SOURCE=pages")
{
	CHECK_EQ(arena_source_of(arena_new(NULL)), ARENA_SOURCE_PAGES);
}

TEST(auto_any, "arena/auto is never auto in the end")
{
	enum arena_source source = arena_source_of(arena_new(NULL));

	CHECK(source == ARENA_SOURCE_DEV || source == ARENA_SOURCE_THP || source == ARENA_SOURCE_PAGES);
	CHECK_EQ(source == ARENA_SOURCE_DEV, arena_source_check(ARENA_SOURCE_DEV) == 0);
}

/* ---------------------------------------------------------------- misuse */

static void free_twice(void *unused)
{
	struct arena *arena = arena_new_at(&(struct arena_options){ .name = "twice" }, "a.c:1");

	(void)unused;
	arena_free_at(arena, "a.c:2");
	arena_free_at(arena, "a.c:3");
}

static void use_after(void *unused)
{
	struct arena *arena = arena_new_at(NULL, "a.c:1");

	(void)unused;
	CHECK(arena_alloc(arena, 10));
	arena_free_at(arena, "a.c:2");
	arena_alloc(arena, 1);
}

static void reset_after(void *unused)
{
	struct arena *arena = arena_new_at(NULL, "a.c:1");

	(void)unused;
	arena_free_at(arena, "a.c:2");
	arena_reset(arena);
}

static void free_foreign(void *unused)
{
	(void)unused;
	CHECK(arena_new(NULL));
	arena_free_at((struct arena *)(void *)&unused, "a.c:3");
}

static void free_inside(void *unused)
{
	struct arena *arena = arena_new(NULL);

	(void)unused;
	arena_free_at((struct arena *)(void *)((char *)arena + 8), "a.c:3");
}

static void bad_alignment(void *unused)
{
	(void)unused;
	arena_alloc_aligned(arena_new(NULL), 1, 3 * CHUNK_BYTES);
}

TEST(misuse, "arena/misuse is named and aborts")
{
	static const struct {
		void (*function)(void *);
		const char *words;
	} cases[] = {
		{ free_twice, "arena_free() at a.c:3: arena \"twice\" (made at a.c:1) was freed at a.c:2 already" },
		{ use_after, "arena_alloc(): arena \"\" (made at a.c:1) was freed at a.c:2 already" },
		{ reset_after, "arena_reset(): arena \"\" (made at a.c:1) was freed at a.c:2 already" },
		{ free_foreign, " is no arena" },
		{ free_inside, " is no arena" },
		{ bad_alignment, "not a power of two up to 2 MiB" },
	};

	arena_free(NULL);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct death death;

		harness_child(&death, cases[i].function, NULL);
		CHECK(harness_died(&death, SIGABRT));
		CHECK_HAS(death.text, cases[i].words);
	}
}
