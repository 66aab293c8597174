// SPDX-License-Identifier: MIT
/* Arenas that hold pointers into a collected heap: what they keep, that they go in each phase of a cycle, and clones. */
#include <errno.h>
#include <signal.h>

#include "gc_fixture.h"

/* An object of an arena. */
struct holder {
	struct holder *next;
	struct node *node;
	uint64_t value;
};

static struct arena *new_arena(const struct fixture *it)
{
	struct arena *arena = arena_new(NULL);

	CHECK(arena);
	CHECK_EQ(arena_gc_scan_arena(it->gc, arena), 0);
	return arena;
}

static struct holder *hold(const struct fixture *it, struct arena *arena, struct holder *next, uint64_t value)
{
	struct holder *holder = arena_make(arena, struct holder);

	CHECK(holder);
	holder->next = next;
	holder->value = value;
	arena_gc_store(&holder->node, new_node(it, NULL, NULL, value));
	return holder;
}

static uint64_t nr_arenas(void)
{
	struct arena_memory memory;

	arena_memory(&memory);
	return memory.nr_arenas;
}

/* What a test has in an arena, made where nobody looks. */
struct held {
	struct arena *arena;
	struct holder *first;
	size_t nr;
};

static void fill(const struct fixture *it, void *argument)
{
	struct held *held = argument;

	for (size_t i = 0; i < held->nr; i++)
		held->first = hold(it, held->arena, held->first, i);
}

static void check_held(const struct fixture *it, void *argument)
{
	const struct held *held = argument;
	size_t nr = 0;

	for (const struct holder *holder = held->first; holder; holder = holder->next, nr++)
		CHECK(is_alive(it->gc, holder->node, holder->value));
	CHECK_EQ(nr, held->nr);
}

TEST(kept, "gc_arena/an arena of pages and chunks keeps what it leads to, until it is freed", "ARENA_GCVERIFY=1")
{
	const size_t sizes[] = { 1, 100, 5000, 200000 };
	struct fixture it = set_up(ARENA_GC_OFF);
	uint64_t before = 0;

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct held held = { .arena = new_arena(&it), .nr = sizes[i] };

		elsewhere(&it, fill, &held);
		for (int j = 0; j < 2; j++)
			arena_gc_collect(it.gc);
		CHECK_EQ(stats_of(it.gc).freed_objects, before);
		elsewhere(&it, check_held, &held);
		arena_free(held.arena);
		arena_gc_collect(it.gc);
		CHECK_EQ(stats_of(it.gc).freed_objects, before + sizes[i]);
		before += sizes[i];
	}
	CHECK_EQ(nr_arenas(), 0);
	arena_gc_destroy(it.gc);
}

static void touch(void *at)
{
	*(volatile char *)at = 1;
}

/* The calling thread has answered the first request of a cycle, and not the next: roots are not read. */
static pthread_t begin_cycle(const struct fixture *it)
{
	pthread_t other;

	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it->gc));
	poll_until(GC_BARRIER_OLD | GC_BARRIER_NEW);
	CHECK(!gc_own->is_black);
	return other;
}

TEST(early, "gc_arena/one that is freed before a cycle comes to it goes when it has, and what was loaded stays", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct held held = { .arena = new_arena(&it), .nr = 1000 };
	struct node *taken;
	struct death death;
	pthread_t other;

	elsewhere(&it, fill, &held);
	other = begin_cycle(&it);
	taken = arena_gc_load(&held.first->next->node);
	arena_free(held.arena);
	CHECK_EQ(nr_arenas(), 1);
	CHECK(it.gc->annexes.first && it.gc->annexes.first->is_dropped);
	poll_until_done(it.gc);
	CHECK(!pthread_join(other, NULL));
	CHECK(is_alive(it.gc, taken, 998));
	CHECK_EQ(nr_arenas(), 0);
	CHECK(!it.gc->annexes.first);
	/* All of it was a root of that cycle, and goes with the next. */
	CHECK_EQ(stats_of(it.gc).freed_objects, 0);
	arena_gc_collect(it.gc);
	/* A stale word of this stack may keep some. */
	CHECK(stats_of(it.gc).freed_objects >= 990 && stats_of(it.gc).freed_objects <= 999);
	if (!harness_thread_sanitized()) {
		harness_child(&death, touch, held.first);
		CHECK(harness_died(&death, SIGSEGV) || harness_died(&death, SIGABRT));
	}
	arena_gc_keep_alive(taken);
	arena_gc_destroy(it.gc);
}

TEST(late, "gc_arena/one that was scanned, or came later, goes at once, and what was loaded stays", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct held held = { .arena = new_arena(&it), .nr = 10 }, later = { .nr = 10 };
	struct node *taken[2];
	pthread_t other;

	elsewhere(&it, fill, &held);
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it.gc));
	poll_until(GC_BARRIER_OLD);
	later.arena = new_arena(&it);
	fill(&it, &later);
	taken[0] = arena_gc_load(&held.first->node);
	taken[1] = arena_gc_load(&later.first->node);
	arena_free(held.arena);
	arena_free(later.arena);
	CHECK_EQ(nr_arenas(), 0);
	poll_until_done(it.gc);
	CHECK(!pthread_join(other, NULL));
	CHECK(is_alive(it.gc, taken[0], 9) && is_alive(it.gc, taken[1], 9));
	arena_gc_destroy(it.gc);
}

static const struct fixture *late_fixture;

/* Answers the first request of a cycle, and no more until it may go. */
static void *be_late(void *may_go)
{
	const struct fixture *it = late_fixture;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	poll_until(GC_BARRIER_OLD | GC_BARRIER_NEW);
	while (!__atomic_load_n((bool *)may_go, __ATOMIC_ACQUIRE))
		usleep(200);
	arena_gc_detach(it->gc);
	return NULL;
}

/* Else a program that makes an arena for each request could make them faster than they are scanned. */
TEST(black, "gc_arena/one that is made before any is scanned, by a thread whose objects are black already, goes at once", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct held held = { .nr = 10 };
	pthread_t other, collector;
	struct node *taken;
	bool may_go = false;

	late_fixture = &it;
	CHECK(!pthread_create(&other, NULL, be_late, &may_go));
	while (gc_threads_running(it.gc) < 2)
		usleep(200);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	CHECK(!it.gc->annexes.is_scanned);
	held.arena = new_arena(&it);
	fill(&it, &held);
	taken = arena_gc_load(&held.first->node);
	arena_free(held.arena);
	CHECK_EQ(nr_arenas(), 0);
	__atomic_store_n(&may_go, true, __ATOMIC_RELEASE);
	poll_until_done(it.gc);
	CHECK(!pthread_join(other, NULL) && !pthread_join(collector, NULL));
	CHECK(is_alive(it.gc, taken, 9));
	arena_gc_destroy(it.gc);
}

TEST(reset, "gc_arena/what a reset or a smaller size leaves out while a cycle begins is shaded", "ARENA_GCVERIFY=1")
{
	for (int i = 0; i < 3; i++) {
		struct fixture it = set_up(ARENA_GC_OFF);
		struct held held = { .arena = new_arena(&it), .nr = 1000 };
		struct node **nodes = NULL;
		pthread_t other;

		elsewhere(&it, fill, &held);
		nodes = arena_make_array(held.arena, struct node *, 100);
		arena_gc_store(&nodes[99], held.first->node);
		arena_gc_store(&held.first->node, NULL);
		other = begin_cycle(&it);
		if (i == 0)
			arena_reset(held.arena);
		else if (i == 1)
			arena_reset_release(held.arena);
		else
			CHECK(arena_realloc(held.arena, nodes, 100 * sizeof(*nodes), sizeof(*nodes)) == nodes);
		poll_until_done(it.gc);
		CHECK(!pthread_join(other, NULL));
		CHECK_EQ(stats_of(it.gc).freed_objects, 0);
		arena_gc_collect(it.gc);
		CHECK_EQ(stats_of(it.gc).freed_objects, i < 2 ? 1000 : 1);
		held.nr = 10;
		held.first = NULL;
		elsewhere(&it, fill, &held);
		arena_gc_collect(it.gc);
		elsewhere(&it, check_held, &held);
		arena_free(held.arena);
		arena_gc_destroy(it.gc);
	}
}

static struct arena *orphan;

TEST(outlive, "gc_arena/an arena outlives its heap, and belongs to one heap only")
{
	struct fixture it = set_up(ARENA_GC_OFF), other = set_up(ARENA_GC_OFF);

	orphan = new_arena(&it);
	CHECK_EQ(arena_gc_scan_arena(it.gc, orphan), 0);
	CHECK(arena_gc_scan_arena(other.gc, orphan) == -EBUSY);
	arena_gc_destroy(it.gc);
	CHECK(arena_alloc(orphan, 100000));
	CHECK_EQ(arena_gc_scan_arena(other.gc, orphan), 0);
	arena_gc_collect(other.gc);
	arena_gc_destroy(other.gc);
	arena_free(orphan);
}

static void clone_all(const struct fixture *it, void *argument)
{
	struct held *held = argument;
	struct node *nodes = arena_make_array(held->arena, struct node, 3);

	for (size_t i = 0; i < 3; i++) {
		arena_gc_store(&nodes[i].left, new_node(it, NULL, NULL, i));
		nodes[i].value = 10 + i;
	}
	arena_gc_store(&nodes[2].right, nodes[0].left);
	*(struct node **)held->first = arena_gc_clone(it->gc, it->node, nodes, 3);
	((char **)held->first)[1] = arena_gc_clone_string(it->gc, "all of it");
	arena_free(held->arena);
}

TEST(clones, "gc_arena/clones outlive their arena, with what they lead to in the heap", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	void *clones[2];
	struct held held = { .arena = new_arena(&it), .first = (void *)clones };
	struct node *nodes;

	elsewhere(&it, clone_all, &held);
	arena_gc_collect(it.gc);
	nodes = clones[0];
	for (size_t i = 0; i < 3; i++)
		CHECK(nodes[i].value == 10 + i && nodes[i].left->value == i);
	CHECK(nodes[2].right == nodes[0].left && !nodes[1].right);
	CHECK_STR(clones[1], "all of it");
	arena_gc_destroy(it.gc);
}

static uintptr_t hidden[2];

static void ignore(void *argument)
{
	(void)argument;
}

static void hold_and_add(const struct fixture *it, void *argument)
{
	struct held *held = argument;

	fill(it, held);
	hidden[0] = ~(uintptr_t)held->first->node;
	hidden[1] = ~(uintptr_t)new_node(it, NULL, NULL, 1);
	CHECK(arena_gc_add_cleanup(it->gc, held->first->node, ignore, (void *)~hidden[1]));
}

TEST(why, "gc_arena/arenas and cleanups are told of as what keeps objects")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct held held = { .arena = new_arena(&it), .nr = 1 };
	struct arena_gc_step steps[2];

	elsewhere(&it, hold_and_add, &held);
	CHECK_EQ(arena_gc_why(it.gc, (void *)~hidden[0], steps, 2), 1);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_ARENA);
	CHECK_EQ(arena_gc_why(it.gc, (void *)~hidden[1], steps, 2), 2);
	CHECK_EQ(steps[0].root, ARENA_GC_ROOT_CLEANUP);
	CHECK_STR(steps[0].type, "cleanup");
	arena_gc_destroy(it.gc);
	arena_free(held.arena);
}

/* An arena of which each object of the heap that is dropped frees its own, while it is scanned. */
static void free_arena(void *arena)
{
	arena_free(arena);
}

static void make_owners(const struct fixture *it, void *unused)
{
	(void)unused;
	for (size_t i = 0; i < 50; i++) {
		struct node *owner = new_node(it, NULL, NULL, i);
		struct held held = { .arena = new_arena(it), .nr = 100 };

		fill(it, &held);
		CHECK(arena_gc_add_cleanup(it->gc, owner, free_arena, held.arena));
	}
}

TEST(owners, "gc_arena/arenas whose handles were dropped are freed by cleanups, with what they kept", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	elsewhere(&it, make_owners, NULL);
	CHECK_EQ(nr_arenas(), 50);
	do {
		arena_gc_collect(it.gc);
	} while (nr_arenas());
	arena_gc_collect(it.gc);
	CHECK(stats_of(it.gc).freed_objects >= 50 * 101);
	arena_gc_destroy(it.gc);
}

static void free_detached(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena *arena = new_arena(&it);

	(void)unused;
	arena_gc_detach(it.gc);
	arena_free(arena);
}

TEST(misuse, "gc_arena/freeing an arena that is scanned without being attached aborts and says why")
{
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	harness_child(&death, free_detached, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "holds pointers into a collected heap");
}
