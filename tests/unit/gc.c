// SPDX-License-Identifier: MIT
/* Collected heaps: types, objects of all sizes, garbage in cycles, roots and handles, threads that come and go, bad input. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "arena/gc.h"
#include "gc_cycle.h"
#include "gc_heap.h"
#include "tests/harness.h"

struct node {
	struct node *left, *right;
	uint64_t value;
};
ARENA_GC_LAYOUT(node_layout, struct node, left, right);

/* What a test works with. */
struct fixture {
	struct arena_gc *gc;
	struct arena_gc_type *node;
};

static struct fixture set_up(unsigned int percent)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_THP, .percent = percent };
	struct fixture it = { .gc = arena_gc_create(&options) };

	CHECK(it.gc);
	CHECK_EQ(arena_gc_attach(it.gc), 0);
	it.node = arena_gc_type_create(it.gc, &node_layout);
	CHECK(it.node);
	return it;
}

static struct arena_gc_stats stats_of(struct arena_gc *gc)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return stats;
}

/* Overwrite what calls have left on the stack. */
__attribute__((noinline)) static void wipe_stack(void)
{
	volatile char area[16384];

	memset((char *)area, 0, sizeof(area));
	__asm__ volatile("" : : "r"(area) : "memory");
}

static struct node *new_node(const struct fixture *it, struct node *left, struct node *right, uint64_t value)
{
	struct node *node = arena_gc_alloc(it->gc, it->node);

	CHECK(node && !node->left && !node->right && !node->value);
	arena_gc_store(&node->left, left);
	arena_gc_store(&node->right, right);
	node->value = value;
	return node;
}

static struct node *new_tree(const struct fixture *it, unsigned int depth)
{
	struct node *left, *right;

	if (!depth)
		return new_node(it, NULL, NULL, 1);
	left = new_tree(it, depth - 1);
	right = new_tree(it, depth - 1);
	return new_node(it, left, right, left->value + right->value);
}

static uint64_t count_leaves(const struct node *node)
{
	return node->left ? count_leaves(node->left) + count_leaves(node->right) : 1;
}

__attribute__((noinline)) static void make_garbage(const struct fixture *it)
{
	struct node *tree = new_tree(it, 14);

	/* In cycles, so that counting references would not do. */
	for (struct node *node = tree; node->left; node = node->left)
		arena_gc_store(&node->right, tree);
}

TEST(garbage, "gc/garbage in cycles is freed, what the stack leads to is not")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, 12);

	make_garbage(&it);
	wipe_stack();
	arena_gc_collect(it.gc);
	/* A stale word may keep some of it. */
	CHECK(stats_of(it.gc).freed_objects >= (1 << 14));
	CHECK_EQ(count_leaves(tree), 1 << 12);
	CHECK_EQ(tree->value, 1 << 12);
	CHECK(stats_of(it.gc).nr_cycles == 1);
	arena_gc_keep_alive(tree);
	arena_gc_destroy(it.gc);
}
