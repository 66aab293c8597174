// SPDX-License-Identifier: MIT
/* Threads of collected heaps that attach and detach by themselves: what they begin with, and what becomes of it. */
#include <errno.h>
#include <limits.h>
#include <signal.h>

#include "tests/unit/gc_fixture.h"

#define CYCLES 3

/* The argument is on no stack but this one's. */
static void *hold(void *argument)
{
	struct node *node = argument;

	CHECK(gc_own);
	for (int i = 0; i < CYCLES; i++) {
		arena_gc_collect(gc_own->gc);
		CHECK_EQ(node->value, 7);
	}
	return (void *)(uintptr_t)node->value;
}

__attribute__((noinline)) static void start_with_node(const struct fixture *it, pthread_t *thread)
{
	CHECK_EQ(arena_gc_thread_create(it->gc, thread, NULL, hold, new_node(it, NULL, NULL, 7)), 0);
}

static void *result_of(void *thread)
{
	void *result;

	CHECK(!pthread_join(*(pthread_t *)thread, &result));
	return result;
}

TEST(argument, "gc_spawn/an object that a thread begins with is alive on its way and after")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	for (int i = 0; i < 20; i++) {
		pthread_t thread;

		start_with_node(&it, &thread);
		wipe_stack();
		CHECK_EQ((uintptr_t)arena_gc_blocking(result_of, &thread), 7);
	}
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 20);
	arena_gc_destroy(it.gc);
}

/* With a cycle beside it that has read the roots already. */
TEST(marking, "gc_spawn/an object that a thread begins with while a cycle marks is alive", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	uintptr_t hidden = hidden_node(&it, 7);
	pthread_t collector, thread;

	wipe_stack();
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	be_silent();
	CHECK_EQ(arena_gc_thread_create(it.gc, &thread, NULL, hold, (void *)~hidden), 0);
	wipe_stack();
	CHECK_EQ((uintptr_t)arena_gc_blocking(result_of, &thread), 7);
	CHECK(!pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

static uint32_t nr_ended; /* atomic */

static void *end_detached(void *argument)
{
	arena_gc_detach(argument);
	__atomic_add_fetch(&nr_ended, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *end_by_exit(void *argument)
{
	__atomic_add_fetch(&nr_ended, 1, __ATOMIC_RELEASE);
	pthread_exit(argument);
}

TEST(ends, "gc_spawn/a thread may detach itself, end in the middle, or be joined by nobody; the creator need not be attached")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_attr_t attributes;
	pthread_t threads[2];

	arena_gc_detach(it.gc);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	CHECK_EQ(arena_gc_thread_create(it.gc, &threads[0], &attributes, end_detached, it.gc), 0);
	CHECK_EQ(arena_gc_thread_create(it.gc, &threads[0], NULL, end_detached, it.gc), 0);
	CHECK_EQ(arena_gc_thread_create(it.gc, &threads[1], NULL, end_by_exit, it.gc), 0);
	CHECK(!pthread_join(threads[0], NULL));
	CHECK(result_of(&threads[1]) == it.gc);
	while (__atomic_load_n(&nr_ended, __ATOMIC_ACQUIRE) != 3)
		usleep(200);
	pthread_attr_destroy(&attributes);
	arena_gc_destroy(it.gc);
}

static void create_too_large(const struct fixture *it, void *hidden)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	CHECK(!pthread_attr_setstacksize(&attributes, (size_t)1 << 46));
	CHECK(arena_gc_thread_create(it->gc, &thread, &attributes, hold, (void *)~*(uintptr_t *)hidden) < 0);
	pthread_attr_destroy(&attributes);
}

TEST(refused, "gc_spawn/a thread that cannot be had is an error, and keeps nothing")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	uintptr_t hidden = hidden_node(&it, 7);

	elsewhere(&it, create_too_large, &hidden);
	arena_gc_collect(it.gc);
	CHECK(is_gone(it.gc, hidden));
	arena_gc_destroy(it.gc);
}

static void create_unattached(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *node = new_node(&it, NULL, NULL, 7);
	pthread_t thread;

	(void)unused;
	arena_gc_detach(it.gc);
	arena_gc_thread_create(it.gc, &thread, NULL, hold, node);
}

TEST(misuse, "gc_spawn/an object of a thread that is not attached is refused")
{
	struct death death;

	harness_child(&death, create_unattached, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "the argument is an object");
}
