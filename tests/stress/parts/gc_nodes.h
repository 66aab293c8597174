/* SPDX-License-Identifier: MIT */
/*
 * Nodes of the trees that the stress of collected heaps (gc.c) is made of, and their shadows: in memory that the collector does not look into, where a node is, and
 * what it must hold.
 */
#ifndef TESTS_STRESS_PARTS_GC_NODES_H
#define TESTS_STRESS_PARTS_GC_NODES_H

#include "arena/gc.h"
#include "tests/harness.h"

#define CHILDREN 4

struct shadow;

struct node {
	struct node *child[CHILDREN];
	struct node *up;
	unsigned char *payload;
	struct link *links;	/* an array that holds the children once more */
	struct death_note *death_note;
	struct shadow *shadow;	/* of malloc(): nothing that the collector knows */
	uint64_t id;
};

struct link {
	struct node *to;
};

struct shadow {
	uintptr_t hidden;	/* where the node is, in a form that leads nowhere */
	struct shadow *child[CHILDREN];
	size_t payload_bytes;	/* 0: none */
	size_t nr_links;	/* 0: none */
	size_t links_at;	/* where in them the children are; all others lead to nothing */
	uint64_t id;
};

/* The heap, and how it is used: fixed while threads run. */
extern struct arena_gc *gc;
extern struct arena_gc_type *link_type;
extern bool stores_plainly;	/* it stops all threads to mark, and no store has a barrier */
extern uint64_t collect_each;	/* nodes, until the thread that makes the next one waits for a cycle; 0: never */

/* Atomic: */
extern uint64_t next_id;
extern uint64_t nr_added, nr_called; /* cleanups that are not cancelled */
extern uint64_t nr_collected;	/* cycles that threads have waited for */

/** A heap of these options with the types of nodes. */
void create_heap(const struct arena_gc_options *options);

/** *@location = @value, where no other thread looks but the collector's. */
static inline void put(void *location, const void *value)
{
	if (stores_plainly)
		*(const void **)location = value;
	else
		arena_gc_store(location, value);
}

static inline uintptr_t hide(const void *object)
{
	return ~(uintptr_t)object;
}

struct node *new_node(struct random *rng, struct shadow **shadow);
void set_child(struct node *node, size_t i, struct node *child);
/** Whether the node's cleanup was called: while anything leads to it that must not be. */
bool is_dead(const struct node *node);
void check_node(const struct node *node, const struct shadow *shadow);
/** With all that is below it: how many. */
size_t check_tree(const struct node *node, const struct shadow *shadow);
void free_shadows(struct shadow *shadow);

/** Elsewhere in their array, or in a new one, if the node has links. */
void slide_links(const struct node *node, struct shadow *shadow, struct random *rng);
void renew_links(struct node *node, struct shadow *shadow, struct random *rng);

#endif /* TESTS_STRESS_PARTS_GC_NODES_H */
