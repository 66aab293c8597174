// SPDX-License-Identifier: MIT
/* See gc_nodes.h. */
#include "tests/stress/parts/gc_nodes.h"

#include <stdlib.h>
#include <string.h>

ARENA_GC_LAYOUT(node_layout, struct node, child[0], child[1], child[2], child[3], up, payload, links, death_note);
ARENA_GC_LAYOUT(link_layout, struct link, to);

/* Of some nodes: the argument of a cleanup. */
struct death_note {
	uint64_t id;
	uint64_t is_called;	/* atomic */
};

struct arena_gc *gc;
struct arena_gc_type *link_type;
bool stores_plainly;
uint64_t collect_each;
uint64_t next_id;
uint64_t nr_added, nr_called;
uint64_t nr_collected;

static struct arena_gc_type *node_type;

void create_heap(const struct arena_gc_options *options)
{
	gc = arena_gc_create(options);
	CHECK(gc);
	stores_plainly = options->stops_world;
	node_type = arena_gc_type_create(gc, &node_layout);
	link_type = arena_gc_type_create(gc, &link_layout);
	CHECK(node_type && link_type);
}

/* ---------------------------------------------------------------- making nodes */

static unsigned char fill_of(uint64_t id)
{
	return (unsigned char)(id * 37 | 1);
}

static size_t payload_bytes(struct random *rng)
{
	switch (random_below(rng, 64)) {
	case 0: return 32768 + random_below(rng, 100000);
	case 1: case 2: return 1 + random_below(rng, 8000);
	case 3: case 4: case 5: case 6: case 7: case 8: return 1 + random_below(rng, 400);
	default: return 0;
	}
}

static void add_payload(struct node *node, struct shadow *shadow, struct random *rng)
{
	unsigned char *payload;

	shadow->payload_bytes = payload_bytes(rng);
	if (!shadow->payload_bytes)
		return;
	payload = arena_gc_alloc_atomic(gc, shadow->payload_bytes);
	CHECK(payload);
	memset(payload, fill_of(shadow->id), shadow->payload_bytes);
	put(&node->payload, payload);
}

/* Now and then one that is scanned in pieces. */
static void add_links(struct node *node, struct shadow *shadow, struct random *rng)
{
	struct link *links;

	if (random_below(rng, 8))
		return;
	shadow->nr_links = CHILDREN + random_below(rng, 20);
	if (!random_below(rng, 100))
		shadow->nr_links += 20000;
	shadow->links_at = shadow->nr_links - CHILDREN;
	links = arena_gc_alloc_array(gc, link_type, shadow->nr_links);
	CHECK(links);
	put(&node->links, links);
}

static void call_cleanup(void *argument)
{
	struct death_note *note = argument;

	CHECK(note->id && note->id <= __atomic_load_n(&next_id, __ATOMIC_RELAXED));
	CHECK(!__atomic_exchange_n(&note->is_called, 1, __ATOMIC_RELAXED));
	__atomic_add_fetch(&nr_called, 1, __ATOMIC_RELAXED);
}

static void add_cleanup(struct node *node, struct random *rng)
{
	struct death_note *note;
	struct arena_gc_cleanup *cleanup;

	if (random_below(rng, 8))
		return;
	note = arena_gc_alloc_atomic(gc, sizeof(*note));
	CHECK(note);
	note->id = node->id;
	put(&node->death_note, note);
	cleanup = arena_gc_add_cleanup(gc, node, call_cleanup, note);
	CHECK(cleanup);
	if (!random_below(rng, 8))
		CHECK(arena_gc_cancel_cleanup(cleanup));
	else
		__atomic_add_fetch(&nr_added, 1, __ATOMIC_RELAXED);
}

bool is_dead(const struct node *node)
{
	return node->death_note && __atomic_load_n(&node->death_note->is_called, __ATOMIC_RELAXED);
}

/* Whoever's turn it is waits, and all others go on. */
static void collect_in_turn(void)
{
	static uint64_t nr_made; /* atomic */

	if (!collect_each || __atomic_add_fetch(&nr_made, 1, __ATOMIC_RELAXED) % collect_each)
		return;
	arena_gc_collect(gc);
	__atomic_add_fetch(&nr_collected, 1, __ATOMIC_RELAXED);
}

struct node *new_node(struct random *rng, struct shadow **shadow)
{
	struct node *node;

	collect_in_turn();
	node = arena_gc_alloc(gc, node_type);
	CHECK(node && !node->id && !node->up && !node->child[0] && !node->links);
	*shadow = calloc(1, sizeof(**shadow));
	CHECK(*shadow);
	node->shadow = *shadow;
	node->id = (*shadow)->id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
	(*shadow)->hidden = hide(node);
	add_payload(node, *shadow, rng);
	add_links(node, *shadow, rng);
	add_cleanup(node, rng);
	return node;
}

void set_child(struct node *node, size_t i, struct node *child)
{
	if (node->links)
		put(&node->links[node->shadow->links_at + i].to, child);
	put(&node->child[i], child);
	if (child)
		put(&child->up, node);
}

/* ---------------------------------------------------------------- looking at them */

static void check_payload(const struct node *node, const struct shadow *shadow)
{
	unsigned char fill = fill_of(shadow->id);
	size_t last = shadow->payload_bytes - 1;

	if (!shadow->payload_bytes)
		return;
	if (node->payload[0] != fill || node->payload[last] != fill || node->payload[last / 2] != fill)
		harness_fail(__FILE__, __LINE__, "the payload of node %llu is not what it was", (unsigned long long)shadow->id);
}

void check_node(const struct node *node, const struct shadow *shadow)
{
	if (hide(node) != shadow->hidden || node->id != shadow->id || node->shadow != shadow)
		harness_fail(__FILE__, __LINE__, "node %llu is not where or what it was", (unsigned long long)shadow->id);
	CHECK(!is_dead(node));
	check_payload(node, shadow);
	for (size_t i = 0; i < CHILDREN; i++) {
		CHECK(!node->child[i] == !shadow->child[i]);
		CHECK(!node->child[i] || hide(node->child[i]) == shadow->child[i]->hidden);
		CHECK(!shadow->nr_links || node->links[shadow->links_at + i].to == node->child[i]);
	}
	CHECK(shadow->nr_links <= CHILDREN || !node->links[shadow->links_at ? 0 : shadow->nr_links - 1].to);
}

size_t check_tree(const struct node *node, const struct shadow *shadow)
{
	size_t nr = 1;

	check_node(node, shadow);
	for (size_t i = 0; i < CHILDREN; i++)
		if (shadow->child[i]) {
			CHECK(node->child[i]->up == node);
			nr += check_tree(node->child[i], shadow->child[i]);
		}
	return nr;
}

void free_shadows(struct shadow *shadow)
{
	if (!shadow)
		return;
	for (size_t i = 0; i < CHILDREN; i++)
		free_shadows(shadow->child[i]);
	free(shadow);
}

/* ---------------------------------------------------------------- many stores at once */

/* Of what overlaps, from or towards the end; arrays of many pieces as a whole. */
void slide_links(const struct node *node, struct shadow *shadow, struct random *rng)
{
	size_t nr = shadow->nr_links, from = shadow->links_at, at, behind;

	if (!nr)
		return;
	at = random_below(rng, nr - CHILDREN + 1);
	behind = at + CHILDREN;
	if (at < from)
		arena_gc_move(gc, link_type, node->links, node->links + (from - at), nr - (from - at));
	else
		arena_gc_move(gc, link_type, node->links + (at - from), node->links, nr - (at - from));
	arena_gc_clear(gc, link_type, node->links, at);
	arena_gc_clear(gc, link_type, node->links + behind, nr - behind);
	shadow->links_at = at;
}

void renew_links(struct node *node, struct shadow *shadow, struct random *rng)
{
	size_t nr = CHILDREN + random_below(rng, 20), at = random_below(rng, nr - CHILDREN + 1);
	struct link *fresh;

	if (!shadow->nr_links)
		return;
	fresh = arena_gc_alloc_array(gc, link_type, nr);
	CHECK(fresh);
	arena_gc_copy(gc, link_type, fresh + at, node->links + shadow->links_at, CHILDREN);
	put(&node->links, fresh);
	shadow->nr_links = nr;
	shadow->links_at = at;
}
