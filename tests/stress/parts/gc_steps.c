// SPDX-License-Identifier: MIT
/* See gc_steps.h. */
#include "tests/stress/parts/gc_steps.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "gc/delay.h"

#define SHELF 16
#define DEPTH_MAX 40
#define NODES_MAX 3000
/* GC_BARRIER_NEW of libarena/gc/collected.h, whose other names are in the way here. */
#define BARRIER_NEW 2u

/* A node that is led to weakly, by all who find this on the second shelf. */
struct weakling {
	struct arena_gc_weak *weak;
	struct arena_gc_ephemeron *ephemeron; /* of the node and a link to it */
	uint64_t id;
	uint64_t is_gone;	/* atomic: somebody has read NULL */
};
ARENA_GC_LAYOUT(weakling_layout, struct weakling, weak, ephemeron);

/* An object of a thread's arena, which keeps a node, whatever becomes of its tree. */
struct holder {
	struct holder *next;
	struct node *node;
	uint64_t id;
};

static struct arena_gc_type *weakling_type, *slot_type;
static struct node *shelf[SHELF];	/* a root, as all of these */
static struct node *globals[8][2];
static struct slot stows[8][PACK];
static struct weakling *weaklings[SHELF];
static struct arena_gc_weak *wanderers[SHELF]; /* references that all threads make lead elsewhere */

/* ---------------------------------------------------------------- what is shared */

static void scan_slot(const void *object, size_t bytes, struct arena_gc_visitor *visitor)
{
	CHECK_EQ(bytes, sizeof(struct slot));
	arena_gc_visit(visitor, arena_gc_load(&((const struct slot *)object)->node));
}

void make_shared(void)
{
	static const struct arena_gc_layout slot_layout = { .name = "slot", .bytes = sizeof(struct slot), .scan = scan_slot };

	weakling_type = arena_gc_type_create(gc, &weakling_layout);
	slot_type = arena_gc_type_create(gc, &slot_layout);
	CHECK(weakling_type && slot_type);
	CHECK_EQ(arena_gc_add_roots(gc, shelf, sizeof(shelf)), 0);
	CHECK_EQ(arena_gc_add_roots(gc, globals, sizeof(globals)), 0);
	CHECK_EQ(arena_gc_add_roots(gc, stows, sizeof(stows)), 0);
	CHECK_EQ(arena_gc_add_roots(gc, weaklings, sizeof(weaklings)), 0);
	CHECK_EQ(arena_gc_add_roots(gc, wanderers, sizeof(wanderers)), 0);
	for (size_t i = 0; i < SHELF; i++) {
		arena_gc_store(&wanderers[i], arena_gc_weak_create(gc, NULL));
		CHECK(wanderers[i]);
	}
}

void drop_shared(void)
{
	for (size_t i = 0; i < SHELF; i++) {
		struct node *node = arena_gc_swap(&shelf[i], NULL);

		arena_gc_store(&weaklings[i], NULL);
		arena_gc_store(&wanderers[i], NULL);
		if (node)
			free_shadows(node->shadow);
	}
	CHECK_EQ(arena_gc_remove_roots(gc, wanderers), 0);
	CHECK_EQ(arena_gc_remove_roots(gc, weaklings), 0);
	CHECK_EQ(arena_gc_remove_roots(gc, stows), 0);
	CHECK_EQ(arena_gc_remove_roots(gc, shelf), 0);
	CHECK_EQ(arena_gc_remove_roots(gc, globals), 0);
}

/* ---------------------------------------------------------------- roots of a thread */

static struct node *get_root(const struct worker *me, size_t tree)
{
	if (tree < TREES / 2)
		return me->on_stack[tree];
	return tree % 2 ? arena_gc_handle_get(me->handles[tree / 2 % 2]) : arena_gc_load(&me->in_globals[tree / 2 % 2]);
}

static void set_root(struct worker *me, size_t tree, struct node *node)
{
	if (tree < TREES / 2)
		me->on_stack[tree] = node;
	else if (tree % 2)
		arena_gc_handle_set(me->handles[tree / 2 % 2], node);
	else
		put(&me->in_globals[tree / 2 % 2], node);
}

static void drop_tree(struct worker *me, size_t tree)
{
	set_root(me, tree, NULL);
	free_shadows(me->shadows[tree]);
	me->shadows[tree] = NULL;
	me->nr_nodes[tree] = 0;
}

/* ---------------------------------------------------------------- steps */

/* Down from the root by chance. */
static struct node *random_node(struct worker *me, size_t tree, struct shadow **shadow)
{
	struct node *node = get_root(me, tree);

	*shadow = me->shadows[tree];
	for (size_t depth = random_below(&me->rng, DEPTH_MAX); node && depth; depth--) {
		size_t i = random_below(&me->rng, CHILDREN);

		if (!(*shadow)->child[i])
			break;
		check_node(node, *shadow);
		node = node->child[i];
		*shadow = (*shadow)->child[i];
	}
	return node;
}

static void grow(struct worker *me, size_t tree)
{
	struct shadow *shadow, *fresh_shadow;
	struct node *node = random_node(me, tree, &shadow), *fresh = new_node(&me->rng, &fresh_shadow);
	size_t i = random_below(&me->rng, CHILDREN);

	if (!node) {
		set_root(me, tree, fresh);
		me->shadows[tree] = fresh_shadow;
	} else {
		free_shadows(shadow->child[i]);
		shadow->child[i] = fresh_shadow;
		set_child(node, i, fresh);
	}
	if (++me->nr_nodes[tree] > NODES_MAX)
		drop_tree(me, tree);
}

/* What allocates and polls while a local variable alone leads to something. */
static void make_noise(struct worker *me)
{
	switch (random_below(&me->rng, 8)) {
	case 0:
		for (size_t i = random_below(&me->rng, 300); i; i--)
			CHECK(arena_gc_alloc(gc, link_type));
		break;
	case 1:
		CHECK(arena_gc_alloc_conservative(gc, 1 + random_below(&me->rng, 3000)));
		break;
	case 2:
		sched_yield();
		break;
	default:
		break;
	}
	arena_gc_poll();
}

static void cut(struct worker *me, size_t tree)
{
	struct shadow *shadow;
	struct node *node = random_node(me, tree, &shadow);
	size_t i = random_below(&me->rng, CHILDREN);

	if (!node)
		return;
	free_shadows(shadow->child[i]);
	shadow->child[i] = NULL;
	set_child(node, i, NULL);
}

/* A subtree that nothing leads to any more but what is returned; NULL: there is none. */
static struct node *cut_out(struct worker *me, size_t tree, struct shadow **cut_shadow)
{
	struct shadow *shadow;
	struct node *node = random_node(me, tree, &shadow), *out;
	size_t i = random_below(&me->rng, CHILDREN);

	if (!node || !shadow->child[i])
		return NULL;
	out = arena_gc_load(&node->child[i]);
	*cut_shadow = shadow->child[i];
	set_child(node, i, NULL);
	shadow->child[i] = NULL;
	put(&out->up, NULL);
	return out;
}

/* The tree becomes this one, of which there is no telling how large it is. */
static void adopt(struct worker *me, size_t tree, struct node *node)
{
	set_root(me, tree, node);
	me->shadows[tree] = node ? node->shadow : NULL;
	me->nr_nodes[tree] = node ? check_tree(node, node->shadow) : 0;
}

/* Into a tree, or in its place. */
static void put_in(struct worker *me, size_t tree, struct node *in, struct shadow *in_shadow, size_t nr_nodes)
{
	struct shadow *shadow;
	struct node *node = random_node(me, tree, &shadow);
	size_t i = random_below(&me->rng, CHILDREN);

	if (!node || shadow->child[i]) {
		drop_tree(me, tree);
		adopt(me, tree, in);
		return;
	}
	shadow->child[i] = in_shadow;
	set_child(node, i, in);
	me->nr_nodes[tree] += nr_nodes;
}

/* Out of one place, and into another one later. */
static void move(struct worker *me, size_t from, size_t to)
{
	struct shadow *shadow;
	struct node *moved = cut_out(me, from, &shadow);

	if (!moved)
		return;
	make_noise(me);
	put_in(me, to, moved, shadow, me->nr_nodes[from] / 4);
}

/* A tree for one that another thread has put there. */
static void exchange(struct worker *me, size_t tree)
{
	size_t place = random_below(&me->rng, SHELF);
	struct node *own = get_root(me, tree);

	make_noise(me);
	adopt(me, tree, arena_gc_swap(&shelf[place], own));
}

/* The same, unless another thread was faster. What has been taken away and brought back meanwhile is as good. */
static void exchange_if_there(struct worker *me, size_t tree)
{
	size_t place = random_below(&me->rng, SHELF);
	struct node *own = get_root(me, tree), *other = arena_gc_load(&shelf[place]);

	make_noise(me);
	if (arena_gc_cas(&shelf[place], other, own))
		adopt(me, tree, other);
}

static void spin(struct worker *me, size_t most)
{
	for (volatile size_t i = random_below(&me->rng, most); i; i--)
		;
}

/* For some time without an answer: others have answered before, and take what is here now, or have put here what this takes. */
static void exchange_in_silence(struct worker *me)
{
	for (size_t i = random_below(&me->rng, 6); i; i--) {
		size_t tree = random_below(&me->rng, TREES / 2);
		struct node *other;

		spin(me, 5000);
		other = arena_gc_swap(&shelf[random_below(&me->rng, SHELF)], get_root(me, tree));
		set_root(me, tree, other);
		me->shadows[tree] = other ? other->shadow : NULL;
		me->nr_nodes[tree] = NODES_MAX / 2;
	}
	spin(me, 20000);
}

/* The range of roots that a tree is in goes, and a local variable is all that leads to it. */
static void move_range(struct worker *me)
{
	struct node **range = me->range, *node = arena_gc_load(&range[3]);
	struct node *other;

	CHECK_EQ(arena_gc_remove_roots(gc, range), 0);
	free(range);
	make_noise(me);
	if (node)
		check_tree(node, node->shadow);
	other = get_root(me, 0);
	set_root(me, 0, node);
	me->shadows[0] = node ? node->shadow : NULL;
	me->range = calloc(8, sizeof(*me->range));
	CHECK(me->range);
	CHECK_EQ(arena_gc_add_roots(gc, me->range, 8 * sizeof(*me->range)), 0);
	put(&me->range[3], other);
}

/* What it leads to is looked at once more some time later. Ids do not change after a node was handed over. */
static void remember(struct worker *me, struct node *node)
{
	size_t i = random_below(&me->rng, PEEKS);

	if (me->peeked[i] && (me->peeked[i]->id != me->peeked_ids[i] || is_dead(me->peeked[i])))
		harness_fail(__FILE__, __LINE__, "node %llu, which a local variable leads to, is gone", (unsigned long long)me->peeked_ids[i]);
	me->peeked[i] = node;
	me->peeked_ids[i] = node ? node->id : 0;
}

/* Trees of others, where they lie: what this thread has loaded once it may look at for as long as it likes, whatever becomes of the tree. */
static void peek(struct worker *me)
{
	remember(me, arena_gc_load(&shelf[random_below(&me->rng, SHELF)]));
}

static void put_weakling(struct worker *me, size_t place)
{
	struct shadow *shadow;
	struct node *node = random_node(me, random_below(&me->rng, TREES), &shadow);
	struct weakling *weakling = node ? arena_gc_alloc(gc, weakling_type) : NULL;
	struct link *link = weakling ? arena_gc_alloc(gc, link_type) : NULL;

	if (!link)
		return;
	put(&link->to, node);
	put(&weakling->weak, arena_gc_weak_create(gc, random_below(&me->rng, 2) ? node : NULL));
	put(&weakling->ephemeron, arena_gc_ephemeron_create(gc, node, link));
	CHECK(weakling->weak && weakling->ephemeron);
	weakling->id = node->id;
	make_noise(me);
	arena_gc_weak_set(weakling->weak, node);
	make_noise(me);
	CHECK(arena_gc_weak_get(weakling->weak) == node);
	arena_gc_store(&weaklings[place], weakling);
}

static void check_weakly(const struct weakling *weakling, const struct node *node)
{
	const struct link *link = arena_gc_ephemeron_value(weakling->ephemeron);

	CHECK_EQ(node->id, weakling->id);
	CHECK(!is_dead(node));
	CHECK(arena_gc_ephemeron_key(weakling->ephemeron) == node && link && link->to == node);
}

/* Others may be doing the same. */
static void change_value(struct weakling *weakling, const struct node *node)
{
	struct link *link = arena_gc_alloc(gc, link_type);

	CHECK(link);
	put(&link->to, node);
	arena_gc_ephemeron_set(weakling->ephemeron, link);
}

/* The node may have been cut off long ago, and have died or not: but if this thread gets it, it keeps it, as all it peeks at. */
static void peek_weakly(struct worker *me)
{
	size_t place = random_below(&me->rng, SHELF);
	struct weakling *weakling = arena_gc_load(&weaklings[place]);
	bool was_gone = weakling && __atomic_load_n(&weakling->is_gone, __ATOMIC_ACQUIRE);
	struct node *node = weakling ? arena_gc_weak_get(weakling->weak) : NULL;

	CHECK(!node || !was_gone);
	if (node) {
		check_weakly(weakling, node);
		remember(me, node);
		if (!random_below(&me->rng, 4))
			change_value(weakling, node);
	} else if (weakling) {
		__atomic_store_n(&weakling->is_gone, 1, __ATOMIC_RELEASE);
	}
	if (!node || !random_below(&me->rng, 4))
		put_weakling(me, place);
}

/* Where a reference leads that all threads change: to whatever one of them had then, or nowhere because that is dead. */
static void wander(struct worker *me)
{
	struct arena_gc_weak *weak = wanderers[random_below(&me->rng, SHELF)];
	struct node *node = arena_gc_weak_get(weak);
	struct shadow *shadow;

	if (node) {
		CHECK(node->id && node->id <= __atomic_load_n(&next_id, __ATOMIC_RELAXED) && !is_dead(node));
		remember(me, node);
	}
	arena_gc_weak_set(weak, random_node(me, random_below(&me->rng, TREES), &shadow));
}

static void free_holders(struct worker *me)
{
	arena_free(me->arena);
	me->arena = NULL;
	me->holders = NULL;
}

static void hold(struct worker *me)
{
	struct shadow *shadow;
	struct node *node = random_node(me, random_below(&me->rng, TREES), &shadow);
	struct holder *holder = node ? arena_make(me->arena, struct holder) : NULL;

	if (!holder)
		return;
	put(&holder->node, node);
	holder->id = node->id;
	holder->next = me->holders;
	me->holders = holder;
}

/* It comes, keeps nodes, and goes, without regard to cycles; what was taken out of it stays. */
static void use_arena(struct worker *me)
{
	if (!me->arena) {
		me->arena = arena_new(NULL);
		CHECK(me->arena);
		CHECK_EQ(arena_gc_scan_arena(gc, me->arena), 0);
	}
	hold(me);
	for (const struct holder *holder = me->holders; holder; holder = holder->next)
		CHECK(holder->node->id == holder->id && !is_dead(holder->node));
	if (random_below(&me->rng, 16))
		return;
	remember(me, me->holders ? me->holders->node : NULL);
	free_holders(me);
}

/* It stays without anything that leads to it, and keeps a node. */
static void use_anchor(struct worker *me)
{
	struct link *anchor = me->anchor ? (struct link *)~me->anchor : arena_gc_alloc_uncollectable(gc, link_type);
	struct shadow *shadow;

	CHECK(anchor);
	if (!me->anchor) {
		put(&anchor->to, random_node(me, random_below(&me->rng, TREES), &shadow));
		me->anchor_id = anchor->to ? anchor->to->id : 0;
		me->anchor = hide(anchor);
		return;
	}
	CHECK(anchor->to ? anchor->to->id == me->anchor_id && !is_dead(anchor->to) : !me->anchor_id);
	if (random_below(&me->rng, 4))
		return;
	remember(me, anchor->to);
	arena_gc_make_collectable(gc, anchor);
	me->anchor = 0;
}

static void *doze(void *nothing)
{
	sched_yield();
	return nothing;
}

static void *join(void *thread)
{
	CHECK(!pthread_join(*(pthread_t *)thread, NULL));
	return NULL;
}

/* A thread that puts a tree on the shelf, for good. */
static void *carry(void *argument)
{
	struct node *node = argument, *other;
	struct worker me = { .rng.state = node->id };

	check_tree(node, node->shadow);
	make_noise(&me);
	other = arena_gc_swap(&shelf[node->id % SHELF], node);
	if (other)
		free_shadows(other->shadow);
	return NULL;
}

/* It is the only one to have the tree, from before it runs. */
static void send_courier(struct worker *me, size_t tree)
{
	struct shadow *shadow;
	struct node *node = cut_out(me, tree, &shadow);
	pthread_t thread;

	if (!node)
		return;
	CHECK_EQ(arena_gc_thread_create(gc, &thread, NULL, carry, node), 0);
	arena_gc_blocking(join, &thread);
}

/* ---------------------------------------------------------------- packs */

static struct slot *slots_of(const struct worker *me)
{
	return me->pack ? me->pack : me->stowed;
}

static void check_pack(const struct worker *me)
{
	const struct slot *slots = slots_of(me);

	for (size_t i = 0; i < PACK; i++) {
		CHECK_EQ(slots[i].id, me->pack_shadows[i] ? me->pack_shadows[i]->id : 0);
		CHECK(!slots[i].node == !me->pack_shadows[i]);
		if (slots[i].node)
			check_node(slots[i].node, me->pack_shadows[i]);
	}
}

static void put_in_pack(struct worker *me, size_t tree)
{
	size_t i = random_below(&me->rng, PACK);
	struct slot *slot = &slots_of(me)[i];
	struct shadow *shadow;
	struct node *node = cut_out(me, tree, &shadow);

	if (!node)
		return;
	make_noise(me);
	free_shadows(me->pack_shadows[i]);
	me->pack_shadows[i] = shadow;
	slot->id = node->id;
	put(&slot->node, node);
}

static void take_out_of_pack(struct worker *me, size_t tree)
{
	size_t i = random_below(&me->rng, PACK);
	struct slot *slot = &slots_of(me)[i];
	struct shadow *shadow = me->pack_shadows[i];
	struct node *node = arena_gc_load(&slot->node);

	if (!node)
		return;
	slot->id = 0;
	put(&slot->node, NULL);
	me->pack_shadows[i] = NULL;
	make_noise(me);
	put_in(me, tree, node, shadow, NODES_MAX / 16);
}

/* All of it in a new object; what it was in may hold it for some time. */
static void renew_pack(struct worker *me)
{
	struct slot *old = slots_of(me), *fresh = arena_gc_alloc_array(gc, slot_type, PACK);

	CHECK(fresh);
	arena_gc_copy(gc, slot_type, fresh, old, PACK);
	if (!me->pack || random_below(&me->rng, 2))
		arena_gc_clear(gc, slot_type, old, PACK);
	me->pack = fresh;
}

/* To globals, out of an object that nothing leads to any more. */
static void stow_pack(struct worker *me)
{
	if (!me->pack)
		return;
	arena_gc_copy(gc, slot_type, me->stowed, me->pack, PACK);
	me->pack = NULL;
}

/* The first ones go. */
static void shift_pack(struct worker *me)
{
	size_t nr = 1 + random_below(&me->rng, PACK - 1), left = PACK - nr;
	struct slot *slots = slots_of(me);

	for (size_t i = 0; i < nr; i++)
		free_shadows(me->pack_shadows[i]);
	memmove(me->pack_shadows, me->pack_shadows + nr, left * sizeof(*me->pack_shadows));
	memset(me->pack_shadows + left, 0, nr * sizeof(*me->pack_shadows));
	arena_gc_move(gc, slot_type, slots, slots + nr, left);
	arena_gc_clear(gc, slot_type, slots + left, nr);
}

static void use_pack(struct worker *me, size_t tree)
{
	switch (random_below(&me->rng, 16)) {
	case 0: shift_pack(me); break;
	case 1: case 2: case 3: renew_pack(me); break;
	case 4: case 5: stow_pack(me); break;
	case 6: case 7: case 8: case 9: take_out_of_pack(me, tree); break;
	default: put_in_pack(me, tree); break;
	}
	make_noise(me);
	check_pack(me);
}

static void drop_pack(struct worker *me)
{
	check_pack(me);
	for (size_t i = 0; i < PACK; i++) {
		const struct slot *slot = &slots_of(me)[i];

		if (slot->node)
			check_tree(slot->node, me->pack_shadows[i]);
		free_shadows(me->pack_shadows[i]);
	}
	arena_gc_clear(gc, slot_type, me->stowed, PACK);
}

static void change_links(struct worker *me, size_t tree)
{
	struct shadow *shadow;
	struct node *node = random_node(me, tree, &shadow);

	if (!node)
		return;
	if (random_below(&me->rng, 2))
		slide_links(node, shadow, &me->rng);
	else
		renew_links(node, shadow, &me->rng);
}

/* ---------------------------------------------------------------- all of them */

void step(struct worker *me)
{
	size_t tree = random_below(&me->rng, TREES);

	/* Where a new value must be shaded: this stack has not been looked at, and what it hands out now and then forgets nobody else has. */
	if (arena_gc_local_.barrier & BARRIER_NEW && !random_below(&me->rng, 4))
		exchange_in_silence(me);
	switch (random_below(&me->rng, 40)) {
	case 0: case 13: exchange(me, tree); break;
	case 14: exchange_if_there(me, tree); break;
	case 1: case 2: cut(me, tree); break;
	case 3: case 4: case 5: case 6: move(me, tree, random_below(&me->rng, TREES)); break;
	case 7: make_noise(me); break;
	case 8: case 28: arena_gc_blocking(doze, NULL); break;
	case 9:
		if (me->shadows[tree] && !random_below(&me->rng, 16))
			check_tree(get_root(me, tree), me->shadows[tree]);
		break;
	case 10:
		if (!random_below(&me->rng, 64))
			drop_tree(me, tree);
		break;
	case 11:
		if (!random_below(&me->rng, 16))
			exchange_in_silence(me);
		break;
	case 12: move_range(me); break;
	case 15: case 16: peek(me); break;
	case 17: case 18: peek_weakly(me); break;
	case 19: use_arena(me); break;
	case 20: wander(me); break;
	case 21: use_anchor(me); break;
	case 22: case 23: change_links(me, tree); break;
	case 24: case 25: case 26: use_pack(me, tree); break;
	case 27:
		if (!random_below(&me->rng, 64))
			send_courier(me, tree);
		break;
	default: grow(me, tree); break;
	}
}

void begin(struct worker *me, size_t number)
{
	gc_delay_seed(harness_seed() * 31 + number);
	CHECK_EQ(arena_gc_attach(gc), 0);
	me->rng.state = harness_seed() * 31 + number;
	me->in_globals = globals[number % 8];
	me->stowed = stows[number % 8];
	me->range = calloc(8, sizeof(*me->range));
	CHECK(me->range);
	CHECK_EQ(arena_gc_add_roots(gc, me->range, 8 * sizeof(*me->range)), 0);
	for (size_t i = 0; i < 2; i++) {
		me->handles[i] = arena_gc_handle_create(gc, NULL);
		CHECK(me->handles[i]);
	}
}

void end(struct worker *me)
{
	for (size_t tree = 0; tree < TREES; tree++) {
		if (me->shadows[tree])
			check_tree(get_root(me, tree), me->shadows[tree]);
		drop_tree(me, tree);
	}
	if (me->range[3])
		free_shadows(me->range[3]->shadow);
	CHECK_EQ(arena_gc_remove_roots(gc, me->range), 0);
	free(me->range);
	free_holders(me);
	drop_pack(me);
	if (me->anchor)
		arena_gc_make_collectable(gc, (void *)~me->anchor);
	for (size_t i = 0; i < 2; i++)
		arena_gc_handle_free(gc, me->handles[i]);
}
