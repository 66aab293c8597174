// SPDX-License-Identifier: MIT
/* Summaries by enumeration, and the tree against a naive row of pages under random use and freeing. */
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"
#include "tree.h"

TEST(packing, "tree/summaries: packed and unpacked, every border")
{
	static const unsigned int sizes[] = { 0, 1, 2, 511, 512, 513, SUM_MAX_PAGES / 2, SUM_MAX_PAGES - 1 };
	size_t nr = 0;

	for (size_t a = 0; a < ARRAY_LEN(sizes); a++)
		for (size_t b = 0; b < ARRAY_LEN(sizes); b++)
			for (size_t c = 0; c < ARRAY_LEN(sizes); c++, nr++) {
				uint64_t sum = sum_pack((struct free_runs){ sizes[a], sizes[b], sizes[c] });

				CHECK_EQ(sum_start(sum), sizes[a]);
				CHECK_EQ(sum_max(sum), sizes[b]);
				CHECK_EQ(sum_end(sum), sizes[c]);
			}
	CHECK_EQ(nr, 512);
	CHECK_EQ(sum_pack((struct free_runs){ SUM_MAX_PAGES, SUM_MAX_PAGES, SUM_MAX_PAGES }), SUM_ALL_FREE);
	CHECK_EQ(sum_max(SUM_ALL_FREE), SUM_MAX_PAGES);
}

/* Free runs of a row of bits, bit by bit. */
static struct free_runs runs_of(unsigned int used, unsigned int nr)
{
	struct free_runs runs = { 0 };
	unsigned int run = 0;

	for (unsigned int i = 0; i < nr; i++) {
		run = used >> i & 1 ? 0 : run + 1;
		runs.max = run > runs.max ? run : runs.max;
		runs.start += run == i + 1;
	}
	runs.end = run;
	return runs;
}

/* The summaries of a row of 4 stretches of 4 pages. */
static void sums_of(unsigned int used, uint64_t *sums)
{
	for (unsigned int i = 0; i < 4; i++)
		sums[i] = sum_pack(runs_of(used >> 4 * i & 15, 4));
}

TEST(merging, "tree/summaries: every row of 4 stretches of 4 pages")
{
	size_t nr = 0;

	for (unsigned int used = 0; used < 1 << 16; used++, nr++) {
		uint64_t sums[4];

		sums_of(used, sums);
		CHECK_EQ(sum_merge(sums, 4, 4), sum_pack(runs_of(used, 16)));
	}
	CHECK_EQ(nr, 65536);
}

TEST(changing, "tree/summaries: every row of 4 stretches of 4 pages, and every change of one of them")
{
	size_t nr = 0;

	for (unsigned int used = 0; used < 1 << 16; used++)
		for (unsigned int at = 0; at < 4; at++)
			for (unsigned int less = used >> 4 * at & 15, more = less;; less = (less - 1) & more, nr++) {
				unsigned int freed = (used & ~(15u << 4 * at)) | less << 4 * at;
				uint64_t before = sum_pack(runs_of(used, 16)), after = sum_pack(runs_of(freed, 16)), sums[4];

				sums_of(freed, sums);
				CHECK_EQ(sum_grow(before, sums, 4, 4, at), after);
				sums_of(used, sums);
				CHECK_EQ(sum_shrink(after, sums, 4, 4), before);
				if (!less)
					break;
			}
	/* Each page of the one stretch is free, in use, or was in use; and the last of each round is not counted. */
	CHECK_EQ(nr, 4 * (81 * 4096 - 65536));
}

TEST(all_free, "tree/summaries: eight wholly free stretches of 2^18 pages are ALL_FREE")
{
	const unsigned int pages = SUM_MAX_PAGES / TREE_FANOUT;
	uint64_t sums[TREE_FANOUT];

	for (unsigned int i = 0; i < TREE_FANOUT; i++)
		sums[i] = sum_pack((struct free_runs){ pages, pages, pages });
	CHECK_EQ(sum_merge(sums, TREE_FANOUT, pages), SUM_ALL_FREE);
	sums[3] = 0;
	CHECK_EQ(sum_max(sum_merge(sums, TREE_FANOUT, pages)), 4 * pages);
	CHECK_EQ(sum_shrink(SUM_ALL_FREE, sums, TREE_FANOUT, pages), sum_merge(sums, TREE_FANOUT, pages));
	sums[3] = sums[0];
	CHECK_EQ(sum_grow(0, sums, TREE_FANOUT, pages, 3), SUM_ALL_FREE);
}

/* ---------------------------------------------------------------- the tree against a row of bytes */

struct model {
	struct tree tree;
	struct bits *leaves;
	uint8_t *used;	/* per page */
	size_t nr_pages;
};

static void model_open(struct model *model, size_t nr_leaves)
{
	memset(model, 0, sizeof(*model));
	model->nr_pages = nr_leaves * BITS_PER_LEAF;
	model->leaves = calloc(nr_leaves, sizeof(*model->leaves));
	model->used = calloc(model->nr_pages, 1);
	model->tree.leaves = model->leaves;
	model->tree.nr_leaves = nr_leaves;
	for (unsigned int level = 0; level < TREE_LEVELS; level++)
		model->tree.level[level] = calloc(tree_level_entries(nr_leaves, level), sizeof(uint64_t));
	CHECK_EQ(tree_find(&model->tree, 1), TREE_NONE);
	tree_freed(&model->tree, 0, model->nr_pages);
}

/* What was changed a little at a time is what merging everything gives. */
static void model_check(const struct model *model)
{
	const struct tree *tree = &model->tree;
	unsigned int pages = BITS_PER_LEAF;

	for (unsigned int level = TREE_LEVELS - 1; level; level--, pages *= TREE_FANOUT)
		for (size_t i = 0; i < tree_level_entries(tree->nr_leaves, level) / TREE_FANOUT; i++)
			CHECK_EQ(tree->level[level - 1][i], sum_merge(&tree->level[level][i * TREE_FANOUT], TREE_FANOUT, pages));
}

static void model_close(struct model *model)
{
	model_check(model);
	for (unsigned int level = 0; level < TREE_LEVELS; level++)
		free(model->tree.level[level]);
	free(model->leaves);
	free(model->used);
}

static void model_set(struct model *model, size_t page, size_t nr, bool used)
{
	memset(model->used + page, used, nr);
	for (size_t at = page, end = page + nr, n; at < end; at += n) {
		n = BITS_PER_LEAF - at % BITS_PER_LEAF;
		n = n < end - at ? n : end - at;
		(used ? bits_use : bits_free)(&model->leaves[at / BITS_PER_LEAF], (unsigned int)(at % BITS_PER_LEAF),
					      (unsigned int)n);
	}
	/* One way or the other. */
	if ((page ^ nr) & 1 && page / BITS_PER_LEAF == (page + nr - 1) / BITS_PER_LEAF)
		tree_touch(&model->tree, page, !used);
	else
		(used ? tree_used : tree_freed)(&model->tree, page, nr);
}

static size_t model_find(const struct model *model, size_t nr)
{
	size_t run = 0;

	for (size_t page = 0; page < model->nr_pages; page++) {
		run = model->used[page] ? 0 : run + 1;
		if (run == nr)
			return page + 1 - nr;
	}
	return TREE_NONE;
}

/* Mostly small, sometimes as large as the row. */
static size_t random_nr(unsigned int *seed, size_t most)
{
	unsigned int shift = (unsigned int)rand_r(seed) % 22;
	size_t nr = 1 + (size_t)rand_r(seed) % ((size_t)1 << shift);

	return nr < most ? nr : most;
}

static void model_run(size_t nr_leaves, unsigned int nr_steps, unsigned int seed)
{
	struct model model;

	model_open(&model, nr_leaves);
	for (unsigned int i = 0; i < nr_steps; i++) {
		size_t nr = random_nr(&seed, model.nr_pages), page = tree_find(&model.tree, nr);

		CHECK_EQ(page, model_find(&model, nr));
		if (page != TREE_NONE)
			model_set(&model, page, nr, true);
		if (page == TREE_NONE || rand_r(&seed) % 3 == 0) {
			page = (size_t)rand_r(&seed) % model.nr_pages;
			model_set(&model, page, random_nr(&seed, model.nr_pages - page), false);
		}
	}
	model_close(&model);
}

TEST(small_rows, "tree/first fit in rows of every length to 20 leaves")
{
	for (unsigned int nr_leaves = 1; nr_leaves <= 20; nr_leaves++)
		model_run(nr_leaves, 400, nr_leaves);
}

/* The row is full of pieces; what is asked for and given back are runs of one length, and others of another now and then. */
static void model_churn(size_t nr_leaves, size_t usual, size_t other, unsigned int nr_steps, unsigned int seed)
{
	size_t runs[64] = { 0 }, nr[64] = { 0 };
	struct model model;

	model_open(&model, nr_leaves);
	for (size_t page = 0; page + 2 * usual < model.nr_pages; page += usual + 1 + (size_t)rand_r(&seed) % usual)
		model_set(&model, page, 1, true);
	for (unsigned int i = 0; i < nr_steps; i++) {
		size_t at = (size_t)rand_r(&seed) % ARRAY_LEN(runs);

		if (nr[at])
			model_set(&model, runs[at], nr[at], false);
		nr[at] = rand_r(&seed) % 4 ? usual : other;
		runs[at] = tree_find(&model.tree, nr[at]);
		CHECK_EQ(runs[at], model_find(&model, nr[at]));
		if (runs[at] == TREE_NONE)
			nr[at] = 0;
		else
			model_set(&model, runs[at], nr[at], true);
	}
	model_close(&model);
}

TEST(churn, "tree/first fit where runs of two lengths come and go: hints rise and fall")
{
	static const struct {
		size_t usual, other;
	} lengths[] = { { 1, 2 }, { 3, 1 }, { 9, 12 }, { 15, 16 }, { 16, 15 }, { 64, 9 }, { 64, 100 }, { 100, 64 }, { 200, 300 }, { 600, 64 } };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		model_churn(80, lengths[i].usual, lengths[i].other, 2000, (unsigned int)i);
}

TEST(long_rows, "tree/first fit in rows around every border of levels")
{
	static const size_t lengths[] = { 63, 64, 65, 511, 512, 513, 4095, 4096, 4097, 9000 };

	for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
		model_run(lengths[i], lengths[i] > 1000 ? 40 : 150, (unsigned int)i);
}

TEST(touched, "tree/leaves that were touched are looked at when somebody asks, each once, and no more after that")
{
	struct model model;

	model_open(&model, 2 * TREE_TOUCHED);
	for (size_t round = 0; round < 3; round++)
		for (size_t i = 0; i < 2 * TREE_TOUCHED; i++) {
			model_set(&model, i * BITS_PER_LEAF + round, 1 + (i + round + 1) % 2, true);
			model_check(&model);
			CHECK(model.tree.nr_touched <= TREE_TOUCHED);
		}
	CHECK(tree_is_touched(&model.tree, 2 * TREE_TOUCHED - 1));
	CHECK_EQ(tree_find(&model.tree, BITS_PER_LEAF - 3), model_find(&model, BITS_PER_LEAF - 3));
	CHECK_EQ(model.tree.nr_touched, 0);
	/* Used and freed before somebody asks. */
	model_set(&model, 100, 3, true);
	model_set(&model, 100, 1, false);
	CHECK_EQ(model.tree.nr_touched, 1);
	CHECK_EQ(tree_longest(&model.tree, 0), BITS_PER_LEAF - 103);
	/* Pages are in use or not for whoever asks, and the leaf is another's when it was asked for. */
	tree_touch(&model.tree, 0, false);
	tree_used(&model.tree, 0, BITS_PER_LEAF);
	CHECK(!tree_is_touched(&model.tree, 0));
	model_check(&model);
	model_close(&model);
}
