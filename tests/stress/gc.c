// SPDX-License-Identifier: MIT
/*
 * Collected heaps under threads that change their graphs while cycles run one after the other.
 *
 * Each thread has trees, whose nodes also lead up, so that each tree is one large cycle; and of each node a *shadow*, in memory that the collector does
 * not look into, which says where the node is and what it must hold. Subtrees grow, are cut off, are moved with nothing but a local
 * variable leading to them meanwhile, and change hands by a shelf. A node that was freed although something led to it does not hold what its shadow
 * says: freed memory is overwritten under ARENA_GCVERIFY=1, and zeroed when it is used again. Roots are on stacks, in globals and in handles. Nodes are
 * led to weakly as well, by references that all threads read, and some have cleanups, of which each is called once and none while anything leads to
 * its node. Nodes and shadows are in parts/gc_nodes.c, what threads do in parts/gc_steps.c.
 *
 * Cycles begin where the pacer says, or each time so many nodes were made, by the thread that made the last one, which waits for it; or both.
 *
 * GC_STRESS_SECONDS=120 in the environment makes each test last that long, at most 200; 1.1 without. The one without verification is a quarter of it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "gc/delay.h"
#include "tests/stress/parts/gc_steps.h"

/* There are a hundred times as many. Where the machine has other things to do, a test goes on for some time until there were these. */
#define CYCLES_PER_SECOND_LEAST 2.0
#define LATE_SECONDS 10

/* A test. */
struct plan {
	unsigned int percent;	/* how much of what lives is allocated until the pacer's next cycle */
	uint64_t collect_each;	/* nodes; 0: cycles are the pacer's */
	bool stops_world;
	bool has_visitors;
	size_t nr_threads;	/* that stay */
	unsigned int part;	/* it takes so much less than the others */
};

static int stop;		/* atomic */

static double run_seconds(const struct plan *plan)
{
	const char *text = getenv("GC_STRESS_SECONDS");
	double seconds = text ? strtod(text, NULL) : 1.1;

	return (seconds > 200 ? 200 : seconds) / (plan->part ? plan->part : 1);
}

/* ---------------------------------------------------------------- threads */

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

static uint64_t nr_cycles(void)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return stats.nr_cycles;
}

/* Cycles, and of those that threads wait for. */
static bool is_enough(double seconds)
{
	return (double)nr_cycles() >= seconds * CYCLES_PER_SECOND_LEAST && (!collect_each || __atomic_load_n(&nr_collected, __ATOMIC_RELAXED));
}

static void *count_down(void *argument)
{
	double seconds = *(double *)argument, end_seconds = harness_seconds() + seconds;
	const struct timespec moment = { .tv_nsec = 10000000 };

	while (harness_seconds() < end_seconds || (!is_enough(seconds) && harness_seconds() < end_seconds + LATE_SECONDS))
		nanosleep(&moment, NULL);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* ---------------------------------------------------------------- a test */

static void set_up(const struct plan *plan)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_THP, .percent = plan->percent, .stops_world = plan->stops_world };

	gc_delay_seed(harness_seed());
	create_heap(&options);
	collect_each = plan->collect_each;
	nr_collected = 0;
	CHECK_EQ(arena_gc_attach(gc), 0);
	make_shared();
	arena_gc_detach(gc);
}

/* Before the last ones, which are there anyway. Threads that wait at the same time may wait for the same one. */
static void check_cycles(const struct plan *plan, double seconds)
{
	uint64_t nr = nr_cycles(), nr_threads = plan->nr_threads + (plan->has_visitors ? 2 : 0);

	harness_note("%llu cycles in %.1f s; threads have waited for %llu", (unsigned long long)nr, seconds, (unsigned long long)nr_collected);
	CHECK(is_enough(seconds));
	CHECK(nr >= nr_collected / nr_threads);
}

/* All that is left goes, and all memory with it. */
static void tear_down(void)
{
	struct arena_gc_stats stats;

	CHECK_EQ(arena_gc_attach(gc), 0);
	drop_shared();
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
	harness_note("%llu objects freed, %llu bytes left, handshake %llu us, runtime %llu us", (unsigned long long)stats.freed_objects,
		     (unsigned long long)stats.live_bytes, (unsigned long long)stats.handshake_max_ns / 1000,
		     (unsigned long long)stats.runtime_max_ns / 1000);
	CHECK_EQ(stats.live_bytes, 0);
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

static void run(const struct plan *plan)
{
	double seconds = run_seconds(plan);

	set_up(plan);
	run_for(seconds, plan->nr_threads, plan->has_visitors);
	check_cycles(plan, seconds);
	tear_down();
}

TEST(alone, "stress/gc: one thread, a cycle for each tenth of what is live, verified", "ARENA_GCVERIFY=1")
{
	run(&(struct plan){ .percent = 10, .nr_threads = 1 });
}

TEST(threads, "stress/gc: four threads that hand trees to each other, verified", "ARENA_GCVERIFY=1")
{
	run(&(struct plan){ .percent = 10, .nr_threads = 4 });
}

TEST(visitors, "stress/gc: two threads, and others that come and go, a cycle each 500 nodes, verified", "ARENA_GCVERIFY=1")
{
	run(&(struct plan){ .percent = ARENA_GC_OFF, .collect_each = 500, .nr_threads = 2, .has_visitors = true });
}

/* Six that stay, and two at a time that come and go. */
TEST(eight, "stress/gc: eight threads, also a cycle each 2,000 nodes, verified", "ARENA_GCVERIFY=1")
{
	run(&(struct plan){ .percent = 50, .collect_each = 2000, .nr_threads = 6, .has_visitors = true });
}

/* Verification stops all threads, which keeps them from some of what they could meet. */
TEST(unverified, "stress/gc: eight threads, not verified")
{
	run(&(struct plan){ .percent = 50, .nr_threads = 6, .has_visitors = true, .part = 4 });
}

TEST(stopped, "stress/gc: two threads, and others that come and go, none of which has barriers, all stopped for marking, verified", "ARENA_GCVERIFY=1")
{
	run(&(struct plan){ .percent = 50, .collect_each = 1000, .stops_world = true, .nr_threads = 2, .has_visitors = true });
}
