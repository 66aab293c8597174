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
