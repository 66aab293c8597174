// SPDX-License-Identifier: MIT
/* Options: default, set, and nonsense that is reported and ignored. */
#include "opt.h"

#include <stdlib.h>

#include "tests/harness.h"

TEST(initial, "opt/default")
{
	unsetenv("ARENA_CACHED_CHUNKS");
	CHECK_EQ(opt_get(OPT_CACHED_CHUNKS), 16);
	CHECK_EQ(opt_get(OPT_GUARD), 1);
	CHECK(opt_source() == NULL);
	/* Nothing is sampled or guarded, counted or limited, unless somebody asks. */
	CHECK(!opt_profile() && !opt_get(OPT_GUARDED_OBJECTS) && !opt_get(OPT_MALLOC_STATS) && !opt_get(OPT_MALLOC_LEAKS));
	CHECK(!opt_get(OPT_SHARED_STATS) && !opt_get(OPT_MEMORY_LIMIT) && !opt_get(OPT_PROFILE_SIGNAL));
	CHECK_EQ(opt_get(OPT_PROFILE_BYTES), 512 * KiB);
}

TEST(from_environment, "opt/environment", "ARENA_CACHED_CHUNKS=3", "ARENA_GUARD=0", "ARENA_SOURCE=pages")
{
	CHECK_EQ(opt_get(OPT_CACHED_CHUNKS), 3);
	CHECK_EQ(opt_get(OPT_GUARD), 0);
	CHECK_STR(opt_source(), "pages");
}

static void read_option(void *unused)
{
	(void)unused;
	_Exit((int)opt_get(OPT_CACHED_CHUNKS));
}

TEST(nonsense, "opt/nonsense")
{
	static const char *const values[] = { "", "x", "-1", "1x", " 1", "99999999999999999999", "0x10" };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct death death;

		setenv("ARENA_CACHED_CHUNKS", values[i], 1);
		harness_child(&death, read_option, NULL);
		CHECK_EQ(death.status, 16);
		CHECK_HAS(death.text, "is not a number of chunks; using 16");
	}
}

static void read_window_chunks(void *most)
{
	_Exit(opt_get(OPT_WINDOW_CHUNKS) == *(const uint64_t *)most ? 0 : 1);
}

TEST(bounds, "opt/out of bounds")
{
	static const struct {
		const char *text;
		uint64_t number;
	} values[] = { { "0", 8 }, { "7", 8 }, { "8796093022208", 1 << 26 }, { "1000000000000000000", 1 << 26 } };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct death death;
		uint64_t number = values[i].number;

		setenv("ARENA_WINDOW_CHUNKS", values[i].text, 1);
		harness_child(&death, read_window_chunks, &number);
		CHECK_EQ(death.status, 0);
		CHECK_HAS(death.text, "is out of bounds; using");
	}
}

/* Absurd sizes give a smaller window, not a library that hangs or has none. */
TEST(tiny_windows, "opt/no addresses asked for", "ARENA_WINDOW_CHUNKS=0", "ARENA_SMALL_CHUNKS=0")
{
	CHECK(arena_alloc(arena_new(NULL), 100));
}

TEST(vast_windows, "opt/all addresses asked for", "ARENA_WINDOW_CHUNKS=8796093022208",
     "ARENA_SMALL_CHUNKS=8796093022208")
{
	if (harness_sanitized())
		harness_skip("a sanitizer needs addresses as well");
	CHECK(arena_alloc(arena_new(NULL), 100));
}

static void read_memory_limit(void *number)
{
	_Exit(opt_get(OPT_MEMORY_LIMIT) == *(const uint64_t *)number ? 0 : 1);
}

TEST(suffixes, "opt/bytes with a suffix")
{
	static const struct {
		const char *text;
		uint64_t number;
		bool is_wrong;
	} values[] = { { "512M", 512 * MiB, false }, { "3K", 3 * KiB, false }, { "1G", GiB, false }, { "2T", 2 * TiB, false },
		       { "4096", 4096, false }, { "0", 0, false }, { "1m", 0, true }, { "M", 0, true }, { "1MB", 0, true }, { "1 M", 0, true },
		       { "16777216T", 0, true }, { "16777215T", 16777215 * TiB, false } };

	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		struct death death;
		uint64_t number = values[i].number;

		setenv("ARENA_MEMORY_LIMIT", values[i].text, 1);
		harness_child(&death, read_memory_limit, &number);
		CHECK_EQ(death.status, 0);
		CHECK_EQ(!!*death.text, values[i].is_wrong);
	}
}
