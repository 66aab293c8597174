// SPDX-License-Identifier: MIT
/* What ARENA_GCTRACE=1 prints: a line for each cycle, and who keeps one waiting. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/gc_fixture.h"

static void collect_twice(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, 16);

	(void)unused;
	arena_gc_collect(it.gc);
	arena_gc_collect(it.gc);
	arena_gc_keep_alive(tree);
	arena_gc_destroy(it.gc);
}

/* N is a number, D one with decimals. */
static bool matches(const char *text, const char *line)
{
	char pattern[1024], *end = pattern;
	regex_t regex;
	bool is_there;

	for (const char *c = line; *c; c++)
		end += sprintf(end, *c == 'N' ? "[0-9]+" : *c == 'D' ? "[0-9]+[.][0-9][0-9]" : *c == '+' ? "[+]" : "%c", *c);
	CHECK(!regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB));
	is_there = !regexec(&regex, text, 0, NULL, 0);
	regfree(&regex);
	return is_there;
}

TEST(trace, "gc_trace/ARENA_GCTRACE=1 prints a line for each cycle, in Go's order")
{
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	setenv("ARENA_GCTRACE", "1", 1);
	harness_child(&death, collect_twice, NULL);
	CHECK(!death.signal && !death.status);
	CHECK(matches(death.text, "gc 1 @Ds N%: D+D+D ms clock, 0+D/D/0+0 ms cpu, N->N->3 MB, N MB goal, N MB stacks, N MB globals, 1 P; "
				  "D/D ms sweep, D ms runtime, D ms handshake, N rounds\n"));
	CHECK(matches(death.text, "gc 2 @Ds N%: D+D+D ms clock, "));
	CHECK(!strstr(death.text, "gc 3 "));
}

/* Little to mark, much to sweep: counted together they would come to more than the collector can take in the time of marking. */
TEST(apart, "gc_trace/CPU time of marking is no more than fits its time, and that of sweeping is told apart")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	const struct gc_cycle *cycle = &it.gc->cycle;
	uint64_t most_ns;

	for (size_t i = 0; i < 2000000; i++)
		CHECK(arena_gc_alloc(it.gc, it.node));
	arena_gc_collect(it.gc);
	/* The kernel's two clocks differ by less. */
	most_ns = (cycle->end_ns - cycle->start_ns + 20000) * (1 + it.gc->crew.nr_helpers);
	CHECK(cycle->cpu_ns && cycle->cpu_ns <= most_ns);
	CHECK(cycle->sweep_cpu_ns && cycle->sweep_ns);
	harness_note("mark %lu of %lu us, sweep %lu of %lu us", (unsigned long)(cycle->cpu_ns / 1000), (unsigned long)((cycle->end_ns - cycle->start_ns) / 1000),
		     (unsigned long)(cycle->sweep_cpu_ns / 1000), (unsigned long)(cycle->sweep_ns / 1000));
	arena_gc_destroy(it.gc);
}

#define LATE 3

static uint32_t nr_there;	/* atomic */
static bool is_over;		/* atomic */

static void *be_late(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	fprintf(stderr, "late: %ld\n", (long)gettid());
	__atomic_add_fetch(&nr_there, 1, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
		usleep(1000);
	arena_gc_detach(gc);
	return NULL;
}

static void collect_late(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_t threads[LATE], collector;

	(void)unused;
	for (size_t i = 0; i < LATE; i++)
		CHECK(!pthread_create(&threads[i], NULL, be_late, it.gc));
	while (__atomic_load_n(&nr_there, __ATOMIC_ACQUIRE) < LATE)
		usleep(1000);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	wait_for_request();
	usleep(200000);
	__atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
	poll_until_done(it.gc);
	CHECK(!pthread_join(collector, NULL));
}

/* How many of them it does not name. */
static unsigned int nameless(const char *text)
{
	unsigned int nr = LATE;

	for (const char *line = text; (line = strstr(line, "late: "));) {
		char says[64];

		line += strlen("late: ");
		snprintf(says, sizeof(says), "thread %lu has not answered for ", strtoul(line, NULL, 10));
		nr -= !!strstr(text, says);
	}
	return nr;
}

TEST(late, "gc_trace/the trace names each thread that has not answered for 10 ms")
{
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	setenv("ARENA_GCTRACE", "1", 1);
	harness_child(&death, collect_late, NULL);
	/* On a busy machine the collector may come too late to notice. */
	for (int tries = 1; tries < 10 && nameless(death.text); tries++)
		harness_child(&death, collect_late, NULL);
	CHECK_EQ(nameless(death.text), 0);
}
