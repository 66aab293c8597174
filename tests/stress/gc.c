// SPDX-License-Identifier: MIT
/*
 * Collected heaps under threads that change their graphs while cycles run one after the other.
 *
 * Each thread has trees, whose nodes also lead up, so that each tree is one large cycle; and of each node a *shadow*, in memory that the collector does
 * not look into, which says where the node is and what it must hold. Subtrees grow, are cut off, are moved with nothing but a local
 * variable leading to them meanwhile, and change hands by a shelf. A node that was freed although something led to it does not hold what its shadow
 * says: freed memory is overwritten under ARENA_GCVERIFY=1, and zeroed when it is used again. Roots are on stacks, in globals and in handles. Nodes are
 * led to weakly as well, by references that all threads read, and some have cleanups, of which each is called once and none while anything leads to
 * its node.
 *
 * GC_STRESS_SECONDS=120 in the environment makes each test last that long, at most 200; 1.5 without.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "arena/gc.h"
#include "tests/harness.h"

#define SHELF 16
#define TREES 8
#define CHILDREN 4
#define PEEKS 8
#define DEPTH_MAX 40
#define NODES_MAX 3000
/* GC_BARRIER_NEW of libarena/gc/collected.h, whose other names are in the way here. */
#define BARRIER_NEW 2u

struct shadow;

struct node {
	struct node *child[CHILDREN];
	struct node *up;
	unsigned char *payload;
	struct node **links;	/* an array that holds the children once more */
	struct death_note *death_note;
	struct shadow *shadow;	/* of malloc(): nothing that the collector knows */
	uint64_t id;
};
ARENA_GC_LAYOUT(node_layout, struct node, child[0], child[1], child[2], child[3], up, payload, links, death_note);

/* Of some nodes: the argument of a cleanup. */
struct death_note {
	uint64_t id;
	uint64_t is_called;	/* atomic */
};

struct link {
	struct node *to;
};
ARENA_GC_LAYOUT(link_layout, struct link, to);

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

struct shadow {
	uintptr_t hidden;	/* where the node is, in a form that leads nowhere */
	struct shadow *child[CHILDREN];
	size_t payload_bytes;	/* 0: none */
	size_t nr_links;	/* 0: none */
	uint64_t id;
};

/* A thread of the test. */
struct worker {
	struct random rng;
	struct node **on_stack; /* roots: half of the trees */
	struct node **in_globals;
	struct node **peeked;	/* on the stack as well */
	uint64_t peeked_ids[PEEKS];
	struct arena_gc_handle *handles[2];
	struct node **range;	/* roots of malloc(), now here, now there; a ninth tree is in it */
	struct shadow *shadows[TREES];
	size_t nr_nodes[TREES];
	struct arena *arena;	/* of holders, or NULL; scanned */
	struct holder *holders;
	uint64_t nr_checked;
};

static struct arena_gc *gc;
static struct arena_gc_type *node_type, *link_type, *weakling_type;
static struct node *shelf[SHELF];	/* a root */
static struct node *globals[8][2];	/* a root */
static struct weakling *weaklings[SHELF]; /* a root */
static uint64_t next_id;		/* atomic */
static uint64_t nr_added, nr_called;	/* atomic: cleanups that are not cancelled */
static int stop;			/* atomic */

static double run_seconds(void)
{
	const char *text = getenv("GC_STRESS_SECONDS");
	double seconds = text ? strtod(text, NULL) : 1.5;

	return seconds > 200 ? 200 : seconds;
}

static uintptr_t hide(const struct node *node)
{
	return ~(uintptr_t)node;
}

/* ---------------------------------------------------------------- nodes and shadows */

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
	arena_gc_store(&node->payload, payload);
}

/* Now and then one that is scanned in pieces. */
static void add_links(struct node *node, struct shadow *shadow, struct random *rng)
{
	struct node **links;

	if (random_below(rng, 8))
		return;
	shadow->nr_links = CHILDREN + random_below(rng, 20);
	if (!random_below(rng, 100))
		shadow->nr_links += 20000;
	links = arena_gc_alloc_array(gc, link_type, shadow->nr_links);
	CHECK(links);
	arena_gc_store(&node->links, links);
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
	arena_gc_store(&node->death_note, note);
	cleanup = arena_gc_add_cleanup(gc, node, call_cleanup, note);
	CHECK(cleanup);
	if (!random_below(rng, 8))
		CHECK(arena_gc_cancel_cleanup(cleanup));
	else
		__atomic_add_fetch(&nr_added, 1, __ATOMIC_RELAXED);
}

static bool is_dead(const struct node *node)
{
	return node->death_note && __atomic_load_n(&node->death_note->is_called, __ATOMIC_RELAXED);
}

static struct node *new_node(struct worker *me, struct shadow **shadow)
{
	struct node *node = arena_gc_alloc(gc, node_type);

	CHECK(node && !node->id && !node->up && !node->child[0] && !node->links);
	*shadow = calloc(1, sizeof(**shadow));
	CHECK(*shadow);
	node->shadow = *shadow;
	node->id = (*shadow)->id = __atomic_add_fetch(&next_id, 1, __ATOMIC_RELAXED);
	(*shadow)->hidden = hide(node);
	add_payload(node, *shadow, &me->rng);
	add_links(node, *shadow, &me->rng);
	add_cleanup(node, &me->rng);
	return node;
}

static void set_child(struct node *node, size_t i, struct node *child)
{
	if (node->links)
		arena_gc_store(&node->links[node->shadow->nr_links - 1 - i], child);
	arena_gc_store(&node->child[i], child);
	if (child)
		arena_gc_store(&child->up, node);
}

static void check_payload(const struct node *node, const struct shadow *shadow)
{
	unsigned char fill = fill_of(shadow->id);
	size_t last = shadow->payload_bytes - 1;

	if (!shadow->payload_bytes)
		return;
	if (node->payload[0] != fill || node->payload[last] != fill || node->payload[last / 2] != fill)
		harness_fail(__FILE__, __LINE__, "the payload of node %llu is not what it was", (unsigned long long)shadow->id);
}

static void check_node(const struct node *node, const struct shadow *shadow)
{
	if (hide(node) != shadow->hidden || node->id != shadow->id || node->shadow != shadow)
		harness_fail(__FILE__, __LINE__, "node %llu is not where or what it was", (unsigned long long)shadow->id);
	CHECK(!is_dead(node));
	check_payload(node, shadow);
	for (size_t i = 0; i < CHILDREN; i++) {
		CHECK(!node->child[i] == !shadow->child[i]);
		CHECK(!node->child[i] || hide(node->child[i]) == shadow->child[i]->hidden);
		CHECK(!shadow->nr_links || node->links[shadow->nr_links - 1 - i] == node->child[i]);
	}
}

static size_t check_tree(struct worker *me, const struct node *node, const struct shadow *shadow)
{
	size_t nr = 1;

	check_node(node, shadow);
	me->nr_checked++;
	for (size_t i = 0; i < CHILDREN; i++)
		if (shadow->child[i]) {
			CHECK(node->child[i]->up == node);
			nr += check_tree(me, node->child[i], shadow->child[i]);
		}
	return nr;
}

static void free_shadows(struct shadow *shadow)
{
	if (!shadow)
		return;
	for (size_t i = 0; i < CHILDREN; i++)
		free_shadows(shadow->child[i]);
	free(shadow);
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
		arena_gc_store(&me->in_globals[tree / 2 % 2], node);
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
	struct node *node = random_node(me, tree, &shadow), *fresh = new_node(me, &fresh_shadow);
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

/* Out of one place, and into another one later. */
static void move(struct worker *me, size_t from, size_t to)
{
	struct shadow *shadow, *moved_shadow;
	struct node *node = random_node(me, from, &shadow), *moved;
	size_t i = random_below(&me->rng, CHILDREN);

	if (!node || !shadow->child[i])
		return;
	moved = arena_gc_load(&node->child[i]);
	moved_shadow = shadow->child[i];
	set_child(node, i, NULL);
	shadow->child[i] = NULL;
	arena_gc_store(&moved->up, NULL);
	make_noise(me);
	node = random_node(me, to, &shadow);
	i = random_below(&me->rng, CHILDREN);
	if (!node || shadow->child[i]) {
		drop_tree(me, to);
		set_root(me, to, moved);
		me->shadows[to] = moved_shadow;
		me->nr_nodes[to] = check_tree(me, moved, moved_shadow);
		return;
	}
	shadow->child[i] = moved_shadow;
	set_child(node, i, moved);
	me->nr_nodes[to] += me->nr_nodes[from] / 4;
}

/* A tree for one that another thread has put there. */
static void exchange(struct worker *me, size_t tree)
{
	size_t place = random_below(&me->rng, SHELF);
	struct node *own = get_root(me, tree), *other;

	make_noise(me);
	other = arena_gc_swap(&shelf[place], own);
	set_root(me, tree, other);
	me->shadows[tree] = other ? other->shadow : NULL;
	me->nr_nodes[tree] = other ? check_tree(me, other, other->shadow) : 0;
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
		check_tree(me, node, node->shadow);
	other = get_root(me, 0);
	set_root(me, 0, node);
	me->shadows[0] = node ? node->shadow : NULL;
	me->range = calloc(8, sizeof(*me->range));
	CHECK(me->range);
	CHECK_EQ(arena_gc_add_roots(gc, me->range, 8 * sizeof(*me->range)), 0);
	arena_gc_store(&me->range[3], other);
}

/*
 * Trees of others, looked at where they lie: what this thread has loaded once it may look at for as long as it likes, whatever becomes of the tree. Ids do not
 * change after a node was handed over.
 */
static void peek(struct worker *me)
{
	size_t i = random_below(&me->rng, PEEKS);

	if (me->peeked[i] && (me->peeked[i]->id != me->peeked_ids[i] || is_dead(me->peeked[i])))
		harness_fail(__FILE__, __LINE__, "node %llu, which a local variable leads to, is gone", (unsigned long long)me->peeked_ids[i]);
	me->peeked[i] = arena_gc_load(&shelf[random_below(&me->rng, SHELF)]);
	me->peeked_ids[i] = me->peeked[i] ? me->peeked[i]->id : 0;
}

static void put_weakling(struct worker *me, size_t place)
{
	struct shadow *shadow;
	struct node *node = random_node(me, random_below(&me->rng, TREES), &shadow);
	struct weakling *weakling = node ? arena_gc_alloc(gc, weakling_type) : NULL;
	struct link *link = weakling ? arena_gc_alloc(gc, link_type) : NULL;

	if (!link)
		return;
	arena_gc_store(&link->to, node);
	arena_gc_store(&weakling->weak, arena_gc_weak_create(gc, node));
	arena_gc_store(&weakling->ephemeron, arena_gc_ephemeron_create(gc, node, link));
	CHECK(weakling->weak && weakling->ephemeron);
	weakling->id = node->id;
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

/* The node may have been cut off long ago, and have died or not: but if this thread gets it, it keeps it, as all it peeks at. */
static void peek_weakly(struct worker *me)
{
	size_t place = random_below(&me->rng, SHELF), i = random_below(&me->rng, PEEKS);
	struct weakling *weakling = arena_gc_load(&weaklings[place]);
	bool was_gone = weakling && __atomic_load_n(&weakling->is_gone, __ATOMIC_ACQUIRE);
	struct node *node = weakling ? arena_gc_weak_get(weakling->weak) : NULL;

	CHECK(!node || !was_gone);
	if (node) {
		check_weakly(weakling, node);
		me->peeked[i] = node;
		me->peeked_ids[i] = node->id;
	} else if (weakling) {
		__atomic_store_n(&weakling->is_gone, 1, __ATOMIC_RELEASE);
	}
	if (!node || !random_below(&me->rng, 4))
		put_weakling(me, place);
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
	arena_gc_store(&holder->node, node);
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
	me->peeked[0] = me->holders ? me->holders->node : NULL;
	me->peeked_ids[0] = me->holders ? me->holders->id : 0;
	free_holders(me);
}

static void *doze(void *nothing)
{
	sched_yield();
	return nothing;
}

static void step(struct worker *me)
{
	size_t tree = random_below(&me->rng, TREES);

	/* Where a new value must be shaded: this stack has not been looked at, and what it hands out now and then forgets nobody else has. */
	if (arena_gc_local_.barrier & BARRIER_NEW && !random_below(&me->rng, 4))
		exchange_in_silence(me);
	switch (random_below(&me->rng, 32)) {
	case 0: case 13: case 14: exchange(me, tree); break;
	case 1: case 2: cut(me, tree); break;
	case 3: case 4: case 5: case 6: move(me, tree, random_below(&me->rng, TREES)); break;
	case 7: make_noise(me); break;
	case 8: arena_gc_blocking(doze, NULL); break;
	case 9:
		if (me->shadows[tree] && !random_below(&me->rng, 16))
			check_tree(me, get_root(me, tree), me->shadows[tree]);
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
	default: grow(me, tree); break;
	}
}

/* ---------------------------------------------------------------- threads */

static void begin(struct worker *me, size_t number)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	me->rng.state = harness_seed() * 31 + number;
	me->in_globals = globals[number % 8];
	me->range = calloc(8, sizeof(*me->range));
	CHECK(me->range);
	CHECK_EQ(arena_gc_add_roots(gc, me->range, 8 * sizeof(*me->range)), 0);
	for (size_t i = 0; i < 2; i++) {
		me->handles[i] = arena_gc_handle_create(gc, NULL);
		CHECK(me->handles[i]);
	}
}

static void end(struct worker *me)
{
	for (size_t tree = 0; tree < TREES; tree++) {
		if (me->shadows[tree])
			check_tree(me, get_root(me, tree), me->shadows[tree]);
		drop_tree(me, tree);
	}
	if (me->range[3])
		free_shadows(me->range[3]->shadow);
	CHECK_EQ(arena_gc_remove_roots(gc, me->range), 0);
	free(me->range);
	free_holders(me);
	for (size_t i = 0; i < 2; i++)
		arena_gc_handle_free(gc, me->handles[i]);
}

static void *work(void *argument)
{
	struct node *on_stack[TREES / 2] = { NULL }, *peeked[PEEKS] = { NULL };
	struct worker me = { .on_stack = on_stack, .peeked = peeked };

	begin(&me, (uintptr_t)argument);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		step(&me);
	end(&me);
	arena_gc_keep_alive(on_stack);
	arena_gc_keep_alive(peeked);
	arena_gc_detach(gc);
	return NULL;
}

/* Comes, takes part for a moment, and goes, half of the times without a word. */
static void *visit(void *argument)
{
	struct node *on_stack[TREES / 2] = { NULL }, *peeked[PEEKS] = { NULL };
	struct worker me = { .on_stack = on_stack, .peeked = peeked };

	begin(&me, (uintptr_t)argument);
	for (size_t i = 0; i < 100; i++)
		step(&me);
	end(&me);
	arena_gc_keep_alive(on_stack);
	arena_gc_keep_alive(peeked);
	if ((uintptr_t)argument % 2)
		arena_gc_detach(gc);
	return NULL;
}

static void send_visitors(void)
{
	uintptr_t number = 1000;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_t threads[2];

		/* Of different globals, and of none that the others use. */
		for (size_t i = 0; i < 2; i++)
			CHECK(!pthread_create(&threads[i], NULL, visit, (void *)(number + 6 + i)));
		for (size_t i = 0; i < 2; i++)
			CHECK(!pthread_join(threads[i], NULL));
		number += 8;
	}
}

static void *count_down(void *argument)
{
	double end_seconds = harness_seconds() + *(double *)argument;

	while (harness_seconds() < end_seconds) {
		const struct timespec moment = { .tv_nsec = 10000000 };

		nanosleep(&moment, NULL);
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void set_up(unsigned int percent)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_THP, .percent = percent };

	gc = arena_gc_create(&options);
	CHECK(gc);
	node_type = arena_gc_type_create(gc, &node_layout);
	link_type = arena_gc_type_create(gc, &link_layout);
	weakling_type = arena_gc_type_create(gc, &weakling_layout);
	CHECK(node_type && link_type && weakling_type);
	CHECK_EQ(arena_gc_attach(gc), 0);
	CHECK_EQ(arena_gc_add_roots(gc, shelf, sizeof(shelf)), 0);
	CHECK_EQ(arena_gc_add_roots(gc, globals, sizeof(globals)), 0);
	CHECK_EQ(arena_gc_add_roots(gc, weaklings, sizeof(weaklings)), 0);
	arena_gc_detach(gc);
}

/* All that is left goes, and all memory with it. */
static void tear_down(void)
{
	struct arena_gc_stats stats;

	CHECK_EQ(arena_gc_attach(gc), 0);
	for (size_t i = 0; i < SHELF; i++) {
		struct node *node = arena_gc_swap(&shelf[i], NULL);

		arena_gc_store(&weaklings[i], NULL);
		if (node)
			free_shadows(node->shadow);
	}
	CHECK_EQ(arena_gc_remove_roots(gc, weaklings), 0);
	CHECK_EQ(arena_gc_remove_roots(gc, shelf), 0);
	CHECK_EQ(arena_gc_remove_roots(gc, globals), 0);
	/* What is found dead has its cleanups called, and then these are garbage too. Detached, so that no stale word of this stack keeps anything. */
	do {
		arena_gc_run_cleanups(gc);
		arena_gc_detach(gc);
		arena_gc_collect(gc);
		CHECK_EQ(arena_gc_attach(gc), 0);
	} while (__atomic_load_n(&nr_called, __ATOMIC_RELAXED) < nr_added);
	CHECK_EQ(__atomic_load_n(&nr_called, __ATOMIC_RELAXED), nr_added);
	arena_gc_detach(gc);
	arena_gc_collect(gc);
	arena_gc_stats(gc, &stats);
	harness_note("%llu cycles, %llu objects freed, %llu bytes left, handshake %llu us, runtime %llu us", (unsigned long long)stats.nr_cycles,
		     (unsigned long long)stats.freed_objects, (unsigned long long)stats.live_bytes,
		     (unsigned long long)stats.handshake_max_ns / 1000, (unsigned long long)stats.runtime_max_ns / 1000);
	CHECK_EQ(stats.live_bytes, 0);
	CHECK(stats.nr_cycles > 2);
	arena_gc_destroy(gc);
}

static void run_for(double seconds, size_t nr_threads, bool has_visitors)
{
	pthread_t threads[8], clock;

	__atomic_store_n(&stop, 0, __ATOMIC_RELAXED);
	CHECK(!pthread_create(&clock, NULL, count_down, &seconds));
	for (size_t i = 0; i < nr_threads; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
	if (has_visitors)
		send_visitors();
	for (size_t i = 0; i < nr_threads; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(!pthread_join(clock, NULL));
}

static void run(size_t nr_threads, bool has_visitors)
{
	run_for(run_seconds(), nr_threads, has_visitors);
}

TEST(alone, "stress/gc: one thread, a cycle for each tenth of what is live, verified", "ARENA_GCVERIFY=1")
{
	set_up(10);
	run(1, false);
	tear_down();
}

TEST(threads, "stress/gc: four threads that hand trees to each other, verified", "ARENA_GCVERIFY=1")
{
	set_up(10);
	run(4, false);
	tear_down();
}

TEST(visitors, "stress/gc: two threads, and others that come and go, verified", "ARENA_GCVERIFY=1")
{
	set_up(10);
	run(2, true);
	tear_down();
}

/* Six that stay, and two at a time that come and go. Verification stops all threads, which keeps them from some of what they could meet. */
static void run_eight(void)
{
	set_up(50);
	run_for(run_seconds() / 2, 6, true);
	tear_down();
}

TEST(eight, "stress/gc: eight threads, verified, then without verification")
{
	setenv("ARENA_GCVERIFY", "1", 1);
	run_eight();
	unsetenv("ARENA_GCVERIFY");
	run_eight();
}
