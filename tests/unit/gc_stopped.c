// SPDX-License-Identifier: MIT
/* Heaps for programs without barriers: all threads wait while objects are marked. No store in this file has a barrier. */
#include <signal.h>
#include <stdlib.h>

#include "tests/unit/gc_fixture.h"

static struct node *cell[2]; /* a root */

static struct fixture set_up_stopped(unsigned int percent)
{
	return set_up_with(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP, .percent = percent, .stops_world = true });
}

static struct node *plain_node(const struct fixture *it, struct node *left, struct node *right, uint64_t value)
{
	struct node *node = arena_gc_alloc(it->gc, it->node);

	CHECK(node && !node->left && !node->right && !node->value);
	*node = (struct node){ left, right, value };
	return node;
}

static struct node *plain_tree(const struct fixture *it, unsigned int depth)
{
	struct node *left, *right;

	if (!depth)
		return plain_node(it, NULL, NULL, 1);
	left = plain_tree(it, depth - 1);
	right = plain_tree(it, depth - 1);
	return plain_node(it, left, right, left->value + right->value);
}

static void make_garbage(const struct fixture *it, void *unused)
{
	(void)unused;
	plain_tree(it, 12)->left->left = NULL;
}

TEST(garbage, "gc_stopped/garbage is freed, what stacks and roots lead to is not", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up_stopped(ARENA_GC_OFF);
	struct node *tree = plain_tree(&it, 10);

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	cell[1] = plain_tree(&it, 10);
	for (unsigned int i = 1; i <= 3; i++) {
		elsewhere(&it, make_garbage, NULL);
		arena_gc_collect(it.gc);
		CHECK_EQ(stats_of(it.gc).freed_objects, i * ((2u << 12) - 1));
		CHECK_EQ(count_leaves(tree), 1 << 10);
		CHECK_EQ(count_leaves(cell[1]), 1 << 10);
	}
	arena_gc_destroy(it.gc);
}

TEST(copies, "gc_stopped/no copy of a stack is left for a cycle in which its thread is gone")
{
	struct fixture it = set_up_stopped(ARENA_GC_OFF);

	arena_gc_collect(it.gc);
	CHECK_EQ(gc_own->stack.copy_words, 0);
	arena_gc_destroy(it.gc);
}

/* What is hidden moves between a root that was read, a stack and an object, without a barrier: with others running it would be lost. */
static int is_over; /* atomic */

static void *shuffle(void *argument)
{
	const struct fixture *it = argument;
	struct node *held[8] = { 0 };
	struct random rng = { harness_seed() };

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		held[i] = plain_tree(it, 5);
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		size_t from = random_below(&rng, 8), to = random_below(&rng, 8);
		struct node *box = plain_node(it, held[from], held[to], 7);

		held[from] = held[to] = NULL;
		plain_node(it, NULL, NULL, 8);
		held[from] = box->right;
		held[to] = box->left;
		box->left = box->right = NULL;
		CHECK_EQ(count_leaves(held[from]), 1 << 5);
		CHECK_EQ(count_leaves(held[to]), 1 << 5);
	}
	arena_gc_detach(it->gc);
	return NULL;
}

TEST(threads, "gc_stopped/threads that move pointers without a barrier lose none", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up_stopped(50);
	pthread_t threads[3];
	unsigned int nr = 0;

	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(!pthread_create(&threads[i], NULL, shuffle, &it));
	for (; nr < 30 || harness_seconds() < 1; nr++)
		arena_gc_collect(it.gc);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		arena_gc_blocking(join, &threads[i]);
	CHECK(stats_of(it.gc).freed_objects > 0);
	CHECK(stats_of(it.gc).stopped_ns >= stats_of(it.gc).stopped_max_ns);
	arena_gc_destroy(it.gc);
}

static void make_weak(const struct fixture *it, void *argument)
{
	struct arena_gc_weak **weak = argument;

	weak[0] = arena_gc_weak_create(it->gc, plain_node(it, NULL, NULL, 1));
	cell[0] = plain_node(it, NULL, NULL, 2);
	weak[1] = arena_gc_weak_create(it->gc, cell[0]);
	CHECK(weak[0] && weak[1]);
}

TEST(weak, "gc_stopped/weak references to what is dead are cleared")
{
	struct fixture it = set_up_stopped(ARENA_GC_OFF);
	struct arena_gc_weak *weak[2];

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	elsewhere(&it, make_weak, weak);
	arena_gc_collect(it.gc);
	CHECK(!arena_gc_weak_get(weak[0]));
	CHECK(arena_gc_weak_get(weak[1]) == cell[0]);
	arena_gc_destroy(it.gc);
}

/* It does not answer while the other one waits, and the statistics say so. */
static uint32_t nr_there;	/* atomic */

/* Stops as soon as it is asked to. */
static void *poll_often(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	__atomic_add_fetch(&nr_there, 1, __ATOMIC_RELEASE);
	poll_until_done(gc);
	arena_gc_detach(gc);
	return NULL;
}

TEST(pauses, "gc_stopped/a pause is told as long as threads have waited, until the last one had stopped included")
{
	struct fixture it = set_up_stopped(ARENA_GC_OFF);
	pthread_t collector, other;
	struct arena_gc_latency latency;

	CHECK(!pthread_create(&other, NULL, poll_often, it.gc));
	while (!__atomic_load_n(&nr_there, __ATOMIC_ACQUIRE))
		usleep(200);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	wait_for_request();
	be_silent();
	poll_until_done(it.gc);
	CHECK(!pthread_join(collector, NULL));
	/* be_silent() takes 30 ms. */
	CHECK(stats_of(it.gc).stopped_max_ns >= 20000000);
	CHECK_EQ(stats_of(it.gc).stopped_max_ns, stats_of(it.gc).stopped_ns);
	CHECK(stats_of(it.gc).handshake_max_ns >= 20000000);
	/* The other thread has waited so long in the library. */
	CHECK(stats_of(it.gc).runtime_max_ns >= 20000000);
	arena_gc_latency(it.gc, &latency);
	CHECK(latency.runtime.max_ns >= stats_of(it.gc).runtime_max_ns && latency.handshake.max_ns >= 20000000);
	arena_gc_blocking(join, &other);
	arena_gc_destroy(it.gc);
}

static bool may_leave, has_left; /* atomic */

static void *wait_to_leave(void *unused)
{
	while (!__atomic_load_n(&may_leave, __ATOMIC_ACQUIRE))
		usleep(1000);
	return unused;
}

static void *leave(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	arena_gc_blocking(wait_to_leave, NULL);
	__atomic_store_n(&has_left, true, __ATOMIC_RELEASE);
	arena_gc_detach(gc);
	return NULL;
}

/* The state of the other of two threads; far more than a slow machine needs. */
static bool becomes(struct arena_gc *gc, enum gc_state state)
{
	for (int ms = 0; ms < 20000; ms++) {
		struct gc_mutator *mutator = gc_threads_first(gc);

		mutator = mutator == gc_own ? mutator->next : mutator;
		if (mutator && atomic_load_acquire(&mutator->state) == state)
			return true;
		usleep(1000);
	}
	return false;
}

TEST(held, "gc_stopped/who answers for nothing when all are stopped goes on when they do, and not before")
{
	struct fixture it = set_up_stopped(ARENA_GC_OFF);
	struct arena_gc_latency latency;
	pthread_t collector, other;

	CHECK(!pthread_create(&other, NULL, leave, it.gc));
	CHECK(becomes(it.gc, GC_SAFE));
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	/* Answered for, while this one is waited for. */
	CHECK(becomes(it.gc, GC_CLAIMED));
	__atomic_store_n(&may_leave, true, __ATOMIC_RELEASE);
	be_silent();
	CHECK(!__atomic_load_n(&has_left, __ATOMIC_ACQUIRE));
	poll_until_done(it.gc);
	arena_gc_blocking(join, &other);
	CHECK(has_left);
	CHECK(!pthread_join(collector, NULL));
	/* It felt the wait in the library: be_silent() takes 30 ms, in which this thread was not. */
	arena_gc_latency(it.gc, &latency);
	CHECK(latency.runtime.max_ns >= 20000000);
	arena_gc_destroy(it.gc);
}

/* Far more than one turn of the collector's. */
#define LARGE_DEPTH 17

TEST(parallel, "gc_stopped/while all are stopped a large heap is marked by as many threads as there are CPUs, each object once", "ARENA_GC_CPUS=4", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up_stopped(ARENA_GC_OFF);
	struct node *tree = plain_tree(&it, LARGE_DEPTH);

	elsewhere(&it, make_garbage, NULL);
	/* On a busy machine the collector may be done before the others are there. */
	for (int cycle = 0; cycle < 50 && !atomic_load_relaxed(&it.gc->crew.helped_work); cycle++) {
		arena_gc_collect(it.gc);
		CHECK_EQ(it.gc->crew.nr_helpers, 3);
		CHECK_EQ(it.gc->nr_marked, (2u << LARGE_DEPTH) - 1);
	}
	harness_note("%llu KiB of %llu cycles were marked by helpers", (unsigned long long)it.gc->crew.helped_work / 1024,
		     (unsigned long long)stats_of(it.gc).nr_cycles);
	CHECK(it.gc->crew.helped_work > 0);
	CHECK_EQ(stats_of(it.gc).freed_objects, (2u << 12) - 1);
	CHECK_EQ(count_leaves(tree), 1 << LARGE_DEPTH);
	arena_gc_destroy(it.gc);
}

static void collect_once(void *unused)
{
	struct fixture it = set_up_stopped(ARENA_GC_OFF);

	(void)unused;
	arena_gc_collect(it.gc);
	arena_gc_destroy(it.gc);
}

TEST(trace, "gc_stopped/the line of a cycle tells the pause")
{
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	setenv("ARENA_GCTRACE", "1", 1);
	harness_child(&death, collect_once, NULL);
	CHECK_HAS(death.text, "gc 1 @0.");
	CHECK_HAS(death.text, " ms stopped");
}
