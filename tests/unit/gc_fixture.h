/* SPDX-License-Identifier: MIT */
/* What tests of collected heaps have in common: a heap with a type of nodes, things done where nobody looks, and steps of a cycle. */
#ifndef TESTS_UNIT_GC_FIXTURE_H
#define TESTS_UNIT_GC_FIXTURE_H

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "arena/gc.h"
#include "gc/collected.h"
#include "gc/threads.h"
#include "tests/harness.h"

struct node {
	struct node *left, *right;
	uint64_t value;
};
ARENA_GC_LAYOUT(node_layout, struct node, left, right);

struct fixture {
	struct arena_gc *gc;
	struct arena_gc_type *node;
};

static inline struct fixture set_up_with(const struct arena_gc_options *options)
{
	struct fixture it = { .gc = arena_gc_create(options) };

	CHECK(it.gc);
	CHECK_EQ(arena_gc_attach(it.gc), 0);
	it.node = arena_gc_type_create(it.gc, &node_layout);
	CHECK(it.node);
	return it;
}

static inline struct fixture set_up(unsigned int percent)
{
	return set_up_with(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP, .percent = percent });
}

static inline struct arena_gc_stats stats_of(struct arena_gc *gc)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return stats;
}

static inline struct node *new_node(const struct fixture *it, struct node *left, struct node *right, uint64_t value)
{
	struct node *node = arena_gc_alloc(it->gc, it->node);

	CHECK(node && !node->left && !node->right && !node->value);
	arena_gc_store(&node->left, left);
	arena_gc_store(&node->right, right);
	node->value = value;
	return node;
}

static inline struct node *new_tree(const struct fixture *it, unsigned int depth)
{
	struct node *left, *right;

	if (!depth)
		return new_node(it, NULL, NULL, 1);
	left = new_tree(it, depth - 1);
	right = new_tree(it, depth - 1);
	return new_node(it, left, right, left->value + right->value);
}

static inline uint64_t count_leaves(const struct node *node)
{
	return node->left ? count_leaves(node->left) + count_leaves(node->right) : 1;
}

/* ---------------------------------------------------------------- hiding */

/* Overwrite what calls have left on the stack. */
__attribute__((noinline, unused)) static void wipe_stack(void)
{
	volatile char area[16384];

	memset((char *)area, 0, sizeof(area));
	__asm__ volatile("" : : "r"(area) : "memory");
}

/* A node that is led to by what is returned, and by nothing else once the stack is wiped. */
__attribute__((noinline, unused)) static uintptr_t hidden_node(const struct fixture *it, uint64_t value)
{
	return ~(uintptr_t)new_node(it, NULL, NULL, value);
}

__attribute__((noinline, unused)) static bool is_alive(struct arena_gc *gc, const struct node *node, uint64_t value)
{
	return node && arena_gc_usable_bytes(gc, node) && node->value == value;
}

__attribute__((noinline, unused)) static bool is_gone(struct arena_gc *gc, uintptr_t hidden)
{
	return !arena_gc_usable_bytes(gc, (const void *)~hidden);
}

/* What a function leaves on a stack must not keep what it made: it runs on one that nobody looks at afterwards. */
struct elsewhere {
	const struct fixture *it;
	void (*function)(const struct fixture *it, void *argument);
	void *argument;
};

static inline void *run_elsewhere(void *argument)
{
	const struct elsewhere *call = argument;

	CHECK_EQ(arena_gc_attach(call->it->gc), 0);
	call->function(call->it, call->argument);
	arena_gc_detach(call->it->gc);
	return NULL;
}

static inline void *join(void *thread)
{
	CHECK(!pthread_join(*(pthread_t *)thread, NULL));
	return NULL;
}

static inline void elsewhere(const struct fixture *it, void (*function)(const struct fixture *it, void *argument), void *argument)
{
	struct elsewhere call = { it, function, argument };
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run_elsewhere, &call));
	arena_gc_blocking(join, &thread);
}

/* ---------------------------------------------------------------- a cycle, step by step */

static inline void *collect_elsewhere(void *gc)
{
	arena_gc_collect(gc);
	return NULL;
}

/* Answer until stores do what @barrier says. */
static inline void poll_until(uint32_t barrier)
{
	while (arena_gc_local_.barrier != barrier) {
		arena_gc_poll();
		usleep(200);
	}
}

/* Barriers are on everywhere; roots are looked at. */
static inline void poll_until_black(void)
{
	while (!gc_own->is_black) {
		arena_gc_poll();
		usleep(200);
	}
	CHECK_EQ(arena_gc_local_.barrier, GC_BARRIER_OLD | GC_BARRIER_NEW);
}

static inline void poll_until_done(struct arena_gc *gc)
{
	while (!stats_of(gc).nr_cycles) {
		arena_gc_poll();
		usleep(200);
	}
}

/* Something is asked for, and not answered. */
static inline void wait_for_request(void)
{
	while (!__atomic_load_n(&arena_gc_local_.attention, __ATOMIC_ACQUIRE))
		usleep(200);
}

/* Long enough for the collector to come to where it waits for this thread. On a slow machine it may not, and the test sees less. */
static inline void be_silent(void)
{
	usleep(30000);
}

#endif /* TESTS_UNIT_GC_FIXTURE_H */
