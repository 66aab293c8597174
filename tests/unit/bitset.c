// SPDX-License-Identifier: MIT
/* Sets of numbers against a plain row of bytes: every subset around the ends of words, and random ones of any length. */
#include "bitset.h"

#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

/* As many as there are chunks in the longest region, and one more than fills words. */
enum { MOST = (1 << 19) + 1, FEW = 10 };

static struct bitset set;
static unsigned char has[MOST]; /* the model */

static void start(size_t nr)
{
	uint64_t *words = calloc(bitset_words(nr), sizeof(*words));

	CHECK(words);
	bitset_init(&set, words, nr);
	memset(has, 0, sizeof(has));
}

static void put(uint32_t n, bool is_in)
{
	has[n] = is_in;
	if (is_in)
		bitset_add(&set, n);
	else
		bitset_remove(&set, n);
	CHECK_EQ(bitset_has(&set, n), is_in);
}

static uint32_t model_from(uint32_t n, uint32_t nr)
{
	const unsigned char *at = n < nr ? memchr(has + n, 1, nr - n) : NULL;

	return at ? (uint32_t)(at - has) : BITSET_NONE;
}

static uint32_t model_highest(uint32_t nr)
{
	const unsigned char *at = memrchr(has, 1, nr);

	return at ? (uint32_t)(at - has) : BITSET_NONE;
}

TEST(subsets, "bitset/every subset of numbers at the ends of words and of their summaries")
{
	static const uint32_t numbers[FEW] = { 0, 1, 63, 64, 4095, 4096, 4097, 262143, 262144, MOST - 1 };

	start(MOST);
	for (uint32_t subset = 0; subset < 1 << FEW; subset++) {
		for (unsigned int i = 0; i < FEW; i++)
			put(numbers[i], subset >> i & 1);
		CHECK_EQ(bitset_highest(&set), subset ? numbers[31 - (unsigned int)__builtin_clz(subset)] : BITSET_NONE);
		for (unsigned int i = 0; i < FEW; i++) {
			uint32_t rest = subset >> i;

			CHECK_EQ(bitset_from(&set, numbers[i]), rest ? numbers[i + (unsigned int)__builtin_ctz(rest)] : BITSET_NONE);
		}
		CHECK_EQ(bitset_from(&set, MOST), BITSET_NONE);
	}
}

TEST(lengths, "bitset/sets of every length to 200: the words asked for are enough, and are all that is touched")
{
	for (uint32_t nr = 1; nr <= 200; nr++) {
		start(nr);
		for (uint32_t n = 0; n < nr; n++) {
			put(n, true);
			CHECK_EQ(bitset_highest(&set), n);
			CHECK_EQ(bitset_from(&set, n + 1), BITSET_NONE);
		}
		for (uint32_t n = 0; n < nr; n++) {
			CHECK_EQ(bitset_from(&set, 0), n);
			put(n, false);
		}
		CHECK_EQ(bitset_highest(&set), BITSET_NONE);
		for (size_t i = 0; i < bitset_words(nr); i++)
			CHECK_EQ(set.summary[i], 0);
	}
}

TEST(random_sets, "bitset/random numbers come and go")
{
	struct random random = { .state = harness_seed() };

	for (int round = 0; round < 12; round++) {
		uint32_t nr = (uint32_t)random_below(&random, round % 2 ? MOST : 5000) + 1, dense = 1 + (uint32_t)random_below(&random, 300);

		start(nr);
		for (int i = 0; i < 3000; i++) {
			uint32_t n = (uint32_t)random_below(&random, nr);

			put(n, random_below(&random, 300) < dense);
			n = (uint32_t)random_below(&random, nr + 1);
			CHECK_EQ(bitset_from(&set, n), model_from(n, nr));
			CHECK_EQ(bitset_highest(&set), model_highest(nr));
		}
	}
}

/* The first of a row, one after the other. */
static uint32_t model_row(uint32_t length, uint32_t nr)
{
	uint32_t row = 0;

	for (uint32_t n = 0; n < nr; n++) {
		row = has[n] ? row + 1 : 0;
		if (row == length)
			return n + 1 - length;
	}
	return BITSET_NONE;
}

TEST(rows, "bitset/the first of so many in a row")
{
	struct random random = { .state = harness_seed() };

	for (uint32_t nr = 1; nr <= 300; nr++) {
		start(nr);
		for (int i = 0; i < 100; i++) {
			uint32_t length = 1 + (uint32_t)random_below(&random, i % 8 ? 8 : nr + 1);

			put((uint32_t)random_below(&random, nr), random_below(&random, 4));
			CHECK_EQ(bitset_row(&set, length), model_row(length, nr));
		}
		for (uint32_t n = 0; n < nr; n++)
			put(n, true);
		CHECK_EQ(bitset_row(&set, nr), 0);
		CHECK_EQ(bitset_row(&set, nr + 1), BITSET_NONE);
	}
}
