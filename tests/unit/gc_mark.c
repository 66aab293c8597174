// SPDX-License-Identifier: MIT
/* Marking: objects that lead to others of their own span, and elsewhere, in several orders of addresses. */
#include <stddef.h>
#include <stdlib.h>

#include "arena/gc.h"
#include "tests/unit/gc_fixture.h"

static struct node *cell[1];	/* a root */

#define BESIDE 20000u

/* The next live one on the way from 0, which meets all of them. */
struct way {
	size_t (*next)(size_t i);
};

static size_t next_above(size_t i) { return (i + 1) % BESIDE; }
static size_t next_below(size_t i) { return (i + BESIDE - 1) % BESIDE; }
static size_t next_far(size_t i) { return (i + 7919) % BESIDE; }
static size_t next_mixed(size_t i) { return i % 500 == 499 ? (i / 500 * 21 + 7) % (BESIDE / 500) * 500 : i + 1; }

/* A ring in which each leads into the middle of the next one, and to one elsewhere that nothing else leads to; between them lies as much that leads to them and is garbage. */
static void make_ring(const struct fixture *it, void *argument)
{
	const struct way *way = argument;
	struct node **nodes = calloc(BESIDE, sizeof(nodes[0]));

	CHECK(nodes);
	for (size_t i = 0; i < BESIDE; i++) {
		nodes[i] = new_node(it, NULL, NULL, i);
		new_node(it, nodes[i], nodes[i], 0);
	}
	for (size_t i = 0; i < BESIDE; i++) {
		arena_gc_store(&nodes[i]->left, &nodes[way->next(i)]->value);
		arena_gc_store(&nodes[next_far(i)]->right, new_node(it, NULL, NULL, next_far(i)));
	}
	arena_gc_store(&cell[0], nodes[0]);
	free(nodes);
}

static void check_ring(const struct fixture *it, const struct way *way)
{
	const struct node *node = cell[0];
	size_t at = 0;

	for (size_t i = 0; i < BESIDE; i++) {
		CHECK(is_alive(it->gc, node, at) && is_alive(it->gc, node->right, at));
		node = (const struct node *)((uintptr_t)node->left - offsetof(struct node, value));
		at = way->next(at);
	}
	CHECK(!at && node == cell[0]);
}

static void try_way(struct way way)
{
	struct fixture it = set_up(ARENA_GC_OFF);

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	elsewhere(&it, make_ring, &way);
	for (int i = 0; i < 3; i++) {
		arena_gc_collect(it.gc);
		CHECK_EQ(stats_of(it.gc).freed_objects, BESIDE);
		CHECK_EQ(stats_of(it.gc).live_bytes, 2 * BESIDE * sizeof(struct node));
		check_ring(&it, &way);
	}
	arena_gc_store(&cell[0], NULL);
	arena_gc_destroy(it.gc);
}

TEST(beside, "gc/objects that lead to others beside them are marked once, and no others, in whatever order they lie", "ARENA_GCVERIFY=1")
{
	try_way((struct way){ next_above });
	try_way((struct way){ next_below });
	try_way((struct way){ next_far });
	try_way((struct way){ next_mixed });
}
