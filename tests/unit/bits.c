// SPDX-License-Identifier: MIT
/*
 * Leaves against a naive one that looks at single bits: every range of a leaf, every pair of words of some patterns, all free
 * runs that one and two used stretches leave, and random ones.
 */
#include <stdlib.h>
#include <string.h>

#include "bits.h"
#include "tests/harness.h"

static bool naive_used(const struct bits *bits, unsigned int i)
{
	return bits->word[i / BITS_PER_WORD] >> i % BITS_PER_WORD & 1;
}

static unsigned int naive_free_run(const struct bits *bits, unsigned int first)
{
	unsigned int nr = 0;

	while (first + nr < BITS_PER_LEAF && !naive_used(bits, first + nr))
		nr++;
	return nr;
}

static unsigned int naive_find(const struct bits *bits, unsigned int nr, unsigned int from)
{
	for (unsigned int i = from; i + nr <= BITS_PER_LEAF; i++)
		if (naive_free_run(bits, i) >= nr)
			return i;
	return BITS_PER_LEAF;
}

static struct free_runs naive_runs(const struct bits *bits)
{
	struct free_runs runs = { .start = naive_free_run(bits, 0) };

	for (unsigned int i = 0; i < BITS_PER_LEAF; i++) {
		unsigned int nr = naive_free_run(bits, i);

		runs.max = nr > runs.max ? nr : runs.max;
		if (nr && i + nr == BITS_PER_LEAF && (!i || naive_used(bits, i - 1)))
			runs.end = nr;
		i += nr;
	}
	return runs;
}

static void check_runs(const struct bits *bits)
{
	struct free_runs have = bits_runs(bits), want = naive_runs(bits);

	CHECK_EQ(have.start, want.start);
	CHECK_EQ(have.max, want.max);
	CHECK_EQ(have.end, want.end);
}

TEST(ranges, "bits/every range is used, counted and freed")
{
	size_t nr_ranges = 0;

	for (unsigned int first = 0; first < BITS_PER_LEAF; first++)
		for (unsigned int nr = 0; first + nr <= BITS_PER_LEAF; nr++, nr_ranges++) {
			struct bits bits = { { 0 } };

			bits_use(&bits, first, nr);
			CHECK_EQ(bits_count(&bits, 0, BITS_PER_LEAF), nr);
			CHECK_EQ(bits_count(&bits, first, nr), nr);
			CHECK(!nr || (naive_used(&bits, first) && naive_used(&bits, first + nr - 1)));
			bits_free(&bits, first, nr);
			CHECK_EQ(bits_count(&bits, 0, BITS_PER_LEAF), 0);
		}
	CHECK_EQ(nr_ranges, 512 * 513 / 2 + 512);
}

TEST(words, "bits/runs of ones in every word of 16 bits, at three places")
{
	size_t nr_cases = 0;

	for (uint64_t pattern = 0; pattern < 1 << 16; pattern++)
		for (unsigned int shift = 0; shift <= 48; shift += 24) {
			uint64_t word = pattern << shift;
			struct bits bits = { { ~word, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull, ~0ull } };
			unsigned int longest = naive_runs(&bits).max;

			CHECK_EQ(bits_runs(&bits).max, longest);
			CHECK(zeros_middle(~word) <= longest && (zeros_middle(~word) == longest || longest <= BITS_PER_WORD / 2));
			for (unsigned int nr = 1; nr <= 17; nr++, nr_cases++) {
				unsigned int want = naive_find(&bits, nr, 0);

				CHECK_EQ(ones_find(word, nr), want == BITS_PER_LEAF ? BITS_PER_WORD : want);
			}
			for (unsigned int least = 0; least <= 17; least += 3)
				CHECK_EQ(ones_longest(word, least), longest > least ? longest : least);
		}
	CHECK_EQ(nr_cases, 65536 * 3 * 17);
}

TEST(holes, "bits/one and two stretches in use: the runs left, and where each length fits first")
{
	static const unsigned int edges[] = { 0, 1, 2, 62, 63, 64, 65, 127, 128, 129, 255, 300, 447, 448, 449, 510, 511, 512 };
	const size_t nr_edges = sizeof(edges) / sizeof(edges[0]);
	size_t nr_cases = 0;

	for (size_t a = 0; a < nr_edges; a++)
		for (size_t b = a; b < nr_edges; b++)
			for (size_t c = b; c < nr_edges; c++)
				for (size_t d = c; d < nr_edges; d++, nr_cases++) {
					struct bits bits = { { 0 } };

					bits_use(&bits, edges[a], edges[b] - edges[a]);
					bits_use(&bits, edges[c], edges[d] - edges[c]);
					check_runs(&bits);
					for (size_t e = 1; e < nr_edges; e += 2)
						CHECK_EQ(bits_find(&bits, edges[e], edges[a] / BITS_PER_WORD),
							 naive_find(&bits, edges[e], edges[a] / BITS_PER_WORD * BITS_PER_WORD));
				}
	CHECK_EQ(nr_cases, 5985);
}

TEST(starts, "bits/where runs of each length start in a word that is one run")
{
	size_t nr_cases = 0;

	for (unsigned int first = 0; first < BITS_PER_WORD; first++)
		for (unsigned int run = 1; first + run <= BITS_PER_WORD; run++)
			for (unsigned int nr = 1; nr <= BITS_PER_WORD + 1; nr++, nr_cases++) {
				uint64_t starts = ones_starts(bits_mask(first, run), nr);

				CHECK_EQ(starts, nr > run ? 0 : bits_mask(first, run - nr + 1));
			}
	CHECK_EQ(nr_cases, 64 * 65 / 2 * 65);
}

TEST(grained_leaves, "bits/random leaves of short runs: about half of all pages in use, or one or seven in eight")
{
	unsigned int seed = 1;

	for (unsigned int round = 0; round < 3000; round++) {
		struct bits bits = { { 0 } };

		for (unsigned int i = 0; i < BITS_PER_LEAF; i++) {
			static const int in_use_of_8[] = { 4, 1, 7 };

			bits_use(&bits, i, rand_r(&seed) % 8 < in_use_of_8[round % 3]);
		}
		check_runs(&bits);
		for (unsigned int nr = 1; nr < 40; nr += 2)
			CHECK_EQ(bits_find(&bits, nr, nr % BITS_WORDS), naive_find(&bits, nr, nr % BITS_WORDS * BITS_PER_WORD));
	}
}

TEST(random_leaves, "bits/random leaves: runs, and the first fit from any word")
{
	unsigned int seed = 1;

	for (unsigned int round = 0; round < 3000; round++) {
		struct bits bits = { { 0 } };

		for (unsigned int i = round % 40; i; i--) {
			unsigned int first = (unsigned int)rand_r(&seed) % BITS_PER_LEAF;
			unsigned int most = BITS_PER_LEAF - first, nr = (unsigned int)rand_r(&seed) % 70;

			bits_use(&bits, first, nr < most ? nr : most);
		}
		check_runs(&bits);
		for (unsigned int i = 0; i < 30; i++) {
			unsigned int w = (unsigned int)rand_r(&seed) % BITS_WORDS;
			unsigned int nr = 1 + (unsigned int)rand_r(&seed) % (i < 15 ? 64 : BITS_PER_LEAF);

			CHECK_EQ(bits_find(&bits, nr, w), naive_find(&bits, nr, w * BITS_PER_WORD));
		}
	}
}
