// SPDX-License-Identifier: MIT
/*
 * Binary trees of nodes of 24 bytes, as the benchmarks of most collectors have them.
 *
 *	trees		a forest of 128 trees of 16,383 nodes: 67 MB in slots of 32 bytes. Trees are made and dropped; one in 8 replaces one of the forest
 *	half_trees	half of that: for two threads
 *	large		a forest of SIZE MiB in which little changes: it is read, and a tree replaced now and then
 *	gcbench		J. Ellis, P. Kovac and H. Boehm's GCBench: short-lived trees of growing depth, top-down and bottom-up, beside a long-lived one
 *	idle		no objects at all: what the machine does to a thread
 */
#include "bench/gc/programs.h"
#include "bench/gc/runtime.h"

enum { DEPTH = 13, TREE_NODES = (2 << DEPTH) - 1, FOREST = 128, REPLACED = 8, SLOT_BYTES = 32 };

struct node {
	struct node *left, *right;
	uint64_t value;
};
RT_TYPE(node_type, struct node, left, right);

void trees_prepare(void)
{
	RT_MAKE(node_type);
}

static struct node *node_new(struct node *left, struct node *right, uint64_t value)
{
	struct node *node = rt_new(node_type);

	rt_set(&node->left, left);
	rt_set(&node->right, right);
	node->value = value;
	return node;
}

/* Children first. */
static struct node *build_up(unsigned int depth, uint64_t *value)
{
	struct node *left, *right;

	if (!depth)
		return node_new(NULL, NULL, ++*value);
	left = build_up(depth - 1, value);
	right = build_up(depth - 1, value);
	return node_new(left, right, ++*value);
}

static uint64_t sum(const struct node *node)
{
	return node ? node->value + 3 * sum(node->left) + 5 * sum(node->right) : 0;
}

static void tree_free(struct node *node)
{
	if (!RT_FREES || !node)
		return;
	tree_free(node->left);
	tree_free(node->right);
	rt_free(node);
}

/* ---------------------------------------------------------------- forests */

static struct node **forest_new(size_t nr, uint64_t *value)
{
	struct node **forest = rt_pointers(nr);

	for (size_t i = 0; i < nr; i++)
		rt_set(&forest[i], build_up(DEPTH, value));
	return forest;
}

static uint64_t forest_end(struct node **forest, size_t nr)
{
	uint64_t total = 0;

	for (size_t i = 0; i < nr; i++) {
		total = 7 * total + sum(forest[i]);
		tree_free(forest[i]);
	}
	rt_free(forest);
	return total;
}

static uint64_t change_forest(size_t nr, size_t size)
{
	uint64_t value = 0, total = 0;
	struct node **forest = forest_new(nr, &value);

	for (size_t i = 0; i < size; i++) {
		struct node *tree = build_up(DEPTH, &value), *old;
		size_t place = i / REPLACED % nr;

		total += tree->left->value;
		if (i % REPLACED) {
			tree_free(tree);
			continue;
		}
		old = forest[place];
		rt_set(&forest[place], tree);
		tree_free(old);
	}
	return total + forest_end(forest, nr);
}

uint64_t run_trees(size_t size, unsigned int thread)
{
	(void)thread;
	return change_forest(FOREST, size);
}

uint64_t run_half_trees(size_t size, unsigned int thread)
{
	(void)thread;
	return change_forest(FOREST / 2, size / 2);
}

/* Down a tree by chance. */
static uint64_t walk(const struct node *node, uint64_t path)
{
	uint64_t total = 0;

	for (; node; path >>= 1) {
		total += node->value;
		node = path & 1 ? node->right : node->left;
	}
	return total;
}

/* As many new trees as a quarter of the forest; for each of their nodes a walk. */
uint64_t run_large(size_t size, unsigned int thread)
{
	size_t nr = (size << 20) / (TREE_NODES * SLOT_BYTES) + 1;
	uint64_t value = thread, total = 0, random = random_seed(thread);
	struct node **forest = forest_new(nr, &value);

	for (size_t i = 0; i < nr / 4; i++) {
		struct node *tree = build_up(DEPTH, &value), *old;
		size_t place;

		for (size_t j = 0; j < TREE_NODES; j++) {
			uint64_t path = random_next(&random);

			total += walk(forest[(path >> 32) % nr], path);
		}
		place = random_next(&random) % nr;
		old = forest[place];
		rt_set(&forest[place], tree);
		tree_free(old);
	}
	return total + forest_end(forest, nr);
}

/* ---------------------------------------------------------------- GCBench */

enum { DEPTH_LEAST = 4, ARRAY_WORDS = 500000 };

/* Parents first: each node is stored into after it was made. */
static void build_down(struct node *node, unsigned int depth, uint64_t *value)
{
	if (!depth)
		return;
	rt_set(&node->left, node_new(NULL, NULL, ++*value));
	rt_set(&node->right, node_new(NULL, NULL, ++*value));
	build_down(node->left, depth - 1, value);
	build_down(node->right, depth - 1, value);
}

static uint64_t try_depth(unsigned int depth, unsigned int depth_most, uint64_t *value)
{
	size_t nr = 2 * ((size_t)(2 << (depth_most + 2)) - 1) / ((size_t)(2 << depth) - 1);
	uint64_t total = 0;

	for (size_t i = 0; i < nr; i++) {
		struct node *tree = node_new(NULL, NULL, ++*value);

		build_down(tree, depth, value);
		total += tree->left->value;
		tree_free(tree);
		tree = build_up(depth, value);
		total += tree->right->value;
		tree_free(tree);
	}
	return total;
}

static uint64_t *array_new(void)
{
	uint64_t *array = rt_text(ARRAY_WORDS * sizeof(*array));

	for (size_t i = 0; i < ARRAY_WORDS; i++)
		array[i] = i * i;
	return array;
}

/* @size is the largest depth. */
uint64_t run_gcbench(size_t size, unsigned int thread)
{
	unsigned int depth_most = (unsigned int)size;
	struct node *tree, *stretch;
	uint64_t value = thread, total = 0, *array;

	stretch = build_up(depth_most + 2, &value);
	total += stretch->value;
	tree_free(stretch);
	tree = node_new(NULL, NULL, ++value);
	build_down(tree, depth_most, &value);
	array = array_new();
	for (unsigned int depth = DEPTH_LEAST; depth <= depth_most; depth += 2)
		total += try_depth(depth, depth_most, &value);
	total += sum(tree) + array[ARRAY_WORDS / 2];
	tree_free(tree);
	rt_free(array);
	return total;
}

/* ---------------------------------------------------------------- nothing */

/* About as long for a batch as trees takes. */
uint64_t run_idle(size_t size, unsigned int thread)
{
	uint64_t random = random_seed(thread);

	for (size_t i = 0; i < size * TREE_NODES; i++) {
		for (int j = 0; j < 4; j++)
			random_next(&random);
		if (!--batch_left)
			batch_end();
	}
	return random;
}
