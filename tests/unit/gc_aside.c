// SPDX-License-Identifier: MIT
/* Where threads of the collector's run. The test is such a thread; a mutator is where it is told to be. */
#include <sched.h>

#include "gc/aside.h"
#include "gc/look.h"
#include "gc_fixture.h"

/* A scheduler may move the test between two of its steps. */
#define TRIES 1000

struct other {
	struct arena_gc *gc;
	size_t cpu;
	uint32_t is_ready;	/* atomic */
	uint32_t may_end;	/* atomic */
	bool is_safe;
	uint64_t stays_until_ns;	/* until then who is in its way may not move */
};

static void run_on(const cpu_set_t *cpus)
{
	CHECK_EQ(sched_setaffinity(0, sizeof(*cpus), cpus), 0);
}

static cpu_set_t only(size_t cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	return cpus;
}

static cpu_set_t allowed(void)
{
	cpu_set_t cpus;

	CHECK_EQ(sched_getaffinity(0, sizeof(cpus), &cpus), 0);
	return cpus;
}

static size_t first_cpu(void)
{
	cpu_set_t cpus = allowed();
	size_t cpu = 0;

	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	return cpu;
}

static void *wait_for_end(void *context)
{
	struct other *other = context;

	atomic_store_release(&other->is_ready, 1u);
	while (!atomic_load_acquire(&other->may_end))
		usleep(200);
	return NULL;
}

static void *mutate(void *context)
{
	struct other *other = context;
	cpu_set_t cpus = only(other->cpu);

	run_on(&cpus);
	CHECK_EQ(arena_gc_attach(other->gc), 0);
	if (other->is_safe)
		arena_gc_blocking(wait_for_end, other);
	else
		wait_for_end(other);
	arena_gc_detach(other->gc);
	return NULL;
}

/* Whether the test was moved in one of so many tries, in each of which it begins on the mutator's CPU and may run on @cpus. */
static bool is_moved(struct other other, const cpu_set_t *cpus, int tries)
{
	cpu_set_t there = only(other.cpu), before = allowed(), after;
	bool moved = false;
	pthread_t thread;

	other.gc = arena_gc_create(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP });
	CHECK_EQ(pthread_create(&thread, NULL, mutate, &other), 0);
	while (!atomic_load_acquire(&other.is_ready))
		usleep(200);
	for (int i = 0; i < tries && !moved; i++) {
		run_on(&there);
		run_on(cpus);
		moved = gc_step_aside(&(struct gc_aside){ .stays_until_ns = other.stays_until_ns }, other.gc);
		after = allowed();
		CHECK(CPU_EQUAL(&after, cpus));
	}
	atomic_store_release(&other.may_end, 1u);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	arena_gc_destroy(other.gc);
	run_on(&before);
	return moved;
}

static void need_somewhere_else(void)
{
	cpu_set_t cpus = allowed();

	if (CPU_COUNT(&cpus) < 2)
		harness_skip("one CPU");
	if (!os_cpu_word())
		harness_skip("the C library does not say which CPU a thread is on");
}

TEST(moves, "gc_aside/who is on the CPU of a mutator that runs moves to another one, and may run where it could before")
{
	cpu_set_t cpus = allowed();

	need_somewhere_else();
	CHECK(is_moved((struct other){ .cpu = first_cpu() }, &cpus, TRIES));
}

TEST(next, "gc_aside/who moves on is on another CPU then, and may run where it could before")
{
	cpu_set_t cpus = allowed(), after;
	bool moved = false;

	need_somewhere_else();
	/* More would let a scheduler that moves it now and then do so for it. */
	for (int i = 0; i < 10 && !moved; i++) {
		uint32_t before = atomic_load_relaxed(os_cpu_word());

		gc_move_on(&(struct gc_aside){ 0 }, 0);
		moved = atomic_load_relaxed(os_cpu_word()) != before;
		after = allowed();
		CHECK(CPU_EQUAL(&after, &cpus));
	}
	CHECK(moved);
}

TEST(stuck, "gc_aside/who may run on one CPU only stays there, and moves on in vain")
{
	cpu_set_t before = allowed(), there = only(first_cpu()), after;

	need_somewhere_else();
	run_on(&there);
	gc_move_on(&(struct gc_aside){ 0 }, 0);
	after = allowed();
	CHECK(CPU_EQUAL(&after, &there));
	CHECK_EQ(atomic_load_relaxed(os_cpu_word()), first_cpu());
	run_on(&before);
}

TEST(safe, "gc_aside/a mutator that waits is in nobody's way")
{
	cpu_set_t cpus = allowed();

	CHECK(!is_moved((struct other){ .cpu = first_cpu(), .is_safe = true }, &cpus, 10));
}

/* The collector's, while all are stopped: on the CPU of the one that waits for it. */
static void step_while_stopped(struct arena_gc *gc, void *moved)
{
	cpu_set_t there = only(first_cpu()), before = allowed();

	run_on(&there);
	run_on(&before);
	*(bool *)moved |= gc_step_aside(&(struct gc_aside){ 0 }, gc);
}

static void *stop_often(void *context)
{
	struct other *other = context;
	bool moved = false;

	for (int i = 0; i < 50; i++)
		gc_look(other->gc, step_while_stopped, &moved);
	atomic_store_release(&other->may_end, 1u);
	return moved ? other : NULL;
}

TEST(stopped, "gc_aside/nor is one that is stopped")
{
	struct other other = { .gc = arena_gc_create(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP }) };
	cpu_set_t before = allowed(), there = only(first_cpu());
	pthread_t thread;
	void *moved;

	CHECK_EQ(arena_gc_attach(other.gc), 0);
	CHECK_EQ(pthread_create(&thread, NULL, stop_often, &other), 0);
	run_on(&there);
	while (!atomic_load_acquire(&other.may_end))
		arena_gc_poll();
	run_on(&before);
	CHECK_EQ(pthread_join(thread, &moved), 0);
	CHECK(!moved);
	arena_gc_detach(other.gc);
	arena_gc_destroy(other.gc);
}

TEST(stays, "gc_aside/who has moved stays for a while, 20 times as long as that took beyond its rest")
{
	cpu_set_t cpus = allowed();
	struct gc_aside rested = { 0 };
	bool has_stayed = false;

	need_somewhere_else();
	/* The test may be kept from its CPU before it looks. */
	for (int i = 0; i < TRIES && !has_stayed; i++) {
		struct gc_aside aside = { 0 };
		uint64_t begin_ns = os_clock_ns(), end_ns;

		gc_move_on(&aside, 0);
		end_ns = os_clock_ns();
		CHECK(aside.stays_until_ns > begin_ns && aside.stays_until_ns <= end_ns + 20 * (end_ns - begin_ns));
		has_stayed = aside.stays_until_ns > end_ns + 10 * (end_ns - begin_ns);
	}
	CHECK(has_stayed);
	gc_move_on(&rested, UINT64_MAX);
	CHECK(rested.stays_until_ns <= os_clock_ns());
	CHECK(!is_moved((struct other){ .cpu = first_cpu(), .stays_until_ns = UINT64_MAX }, &cpus, 10));
}

TEST(nowhere, "gc_aside/who may run nowhere else stays")
{
	cpu_set_t cpus = only(first_cpu());

	CHECK(!is_moved((struct other){ .cpu = first_cpu() }, &cpus, 10));
}

TEST(leaves, "gc_aside/who leaves a CPU is on another one when that call returns")
{
	cpu_set_t cpus = allowed();
	struct os_cpus taken = { 0 };
	uint32_t cpu = (uint32_t)first_cpu(), nr_left = 0;

	need_somewhere_else();
	os_cpus_add(&taken, cpu);
	for (int i = 0; i < TRIES && !nr_left; i++) {
		cpu_set_t there = only(cpu);

		run_on(&there);
		run_on(&cpus);
		CHECK(os_leave_cpus(&taken));
		nr_left += *os_cpu_word() != cpu;
	}
	CHECK_EQ(nr_left, 1);
}
