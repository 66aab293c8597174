// SPDX-License-Identifier: MIT
/* Writable parameters of the module: what makes no sense is refused and leaves the old value. */
#include "common.h"

static const struct {
	const char *name;
	long long good[3];	/* up to the first negative one */
	const char *bad[4];
} parameters[] = {
	{ "max_space_chunks", { 1, 4096, -1 }, { "0", "-1", "18446744073709551615", "x" } },
	{ "max_user_chunks", { 1, 64, -1 }, { "0", "-1", "1000000000000", "x" } },
	{ "max_total_chunks", { 1, 64, -1 }, { "0", "-1", "1000000000000", "1 2" } },
	{ "pool_max_chunks", { 0, 64, -1 }, { "-1", "1000000000000", "x", "0x" } },
	{ "pool_idle_s", { 0, 86400, -1 }, { "-1", "86401", "4294967296", "soon" } },
	{ "clear_max_chunks_per_s", { 0, 1000000, -1 }, { "-1", "1000001", "4294967296", "x" } },
	{ "clear_max_percent", { 1, 100, -1 }, { "0", "101", "-1", "4294967297" } },
	{ "notice_grace_ms", { 0, 60000, -1 }, { "-1", "60001", "4294967296", "x" } },
	{ "notice_calm_ms", { 0, 60000, -1 }, { "-1", "60001", "4294967296", "soon" } },
};

TEST(nonsense_is_refused)
{
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		const char *name = parameters[i].name;
		long long before = parameter_get(name);
		char path[128];

		ASSERT_LE(0, before) TH_LOG("%s", name);
		snprintf(path, sizeof(path), PARAMETERS "%s", name);
		for (size_t k = 0; k < ARRAY_SIZE(parameters[i].bad); k++) {
			const char *bad = parameters[i].bad[k];

			EXPECT_NE(0, file_write_text(path, bad)) TH_LOG("%s took %s", name, bad);
			EXPECT_EQ(before, parameter_get(name)) TH_LOG("%s after %s", name, bad);
		}
	}
}

TEST(bounds_are_accepted)
{
	for (size_t i = 0; i < ARRAY_SIZE(parameters); i++) {
		const char *name = parameters[i].name;
		long long before = parameter_get(name);

		for (const long long *good = parameters[i].good; *good >= 0; good++) {
			EXPECT_EQ(0, parameter_set(name, *good)) TH_LOG("%s = %lld", name, *good);
			EXPECT_EQ(*good, parameter_get(name)) TH_LOG("%s", name);
		}
		EXPECT_EQ(0, parameter_set(name, before)) TH_LOG("%s", name);
	}
}

/* Whether memory is given back is decided when the module is loaded. */
TEST(shrinker_is_fixed)
{
	EXPECT_NE(0, file_write_text(PARAMETERS "shrinker", "N\n"));
}

TEST_HARNESS_MAIN
