// SPDX-License-Identifier: MIT
/*
 * Use after free as a program meets it: every access faults, and the report says which arena it was, where it was made and
 * where it was freed. Models single stale pointers; how many can be caught at a time is in revoke.c.
 */
#include "fault.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "geometry.h"
#include "tests/harness.h"

static struct arena *make(enum arena_source source)
{
	const struct arena_options options = { .source = source, .name = "parser" };
	struct arena *arena = arena_new_at(&options, "parse.c:12");

	CHECK(arena);
	CHECK_EQ(arena_source_of(arena), source);
	return arena;
}

#define REPORT_END " bytes into arena \"parser\" (made at parse.c:12, freed at parse.c:40)\n"

TEST_EACH_SOURCE(one_object, "fault/arena of one object")
{
	struct arena *arena = make(source);
	char *object = arena_alloc(arena, 24);

	CHECK(object);
	memset(object, 1, 24);
	arena_free_at(arena, "parse.c:40");
	CHECK_FAULTS(object, " to freed memory: 0" REPORT_END);
	CHECK_FAULTS(object + 23, " to freed memory: 23" REPORT_END);
	CHECK_FAULTS((char *)align_up((uintptr_t)object + 1, PAGE_BYTES) - 1, REPORT_END);
}

TEST_EACH_SOURCE(reserved, "fault/arena of one object in a chunk")
{
	const struct arena_options options = { .source = source, .name = "parser", .reserve_bytes = 1 };
	struct arena *arena = arena_new_at(&options, "parse.c:12");
	char *object = arena ? arena_alloc(arena, 24) : NULL;
	struct arena_stats stats;

	CHECK(object);
	arena_stats(arena, &stats);
	CHECK_EQ(stats.nr_chunks, 1);
	memset(object, 1, 24);
	arena_free_at(arena, "parse.c:40");
	CHECK_FAULTS(object, " to freed memory: 0" REPORT_END);
	CHECK_FAULTS(object + CHUNK_BYTES - 1, " to freed memory: 2097151" REPORT_END);
}

#define OBJECT_BYTES 1000
#define OBJECTS 12000 /* 12 MB: all stages of small runs, and some chunks */

TEST_EACH_SOURCE(large, "fault/first, middle and last object of a large arena")
{
	static char *objects[OBJECTS];
	struct arena *arena = make(source);
	struct arena_stats stats;

	for (size_t i = 0; i < OBJECTS; i++) {
		objects[i] = arena_alloc(arena, OBJECT_BYTES);
		CHECK(objects[i]);
		memset(objects[i], (int)i, OBJECT_BYTES);
	}
	arena_stats(arena, &stats);
	CHECK(stats.nr_chunks >= 5 && stats.page_bytes > 0);
	arena_free_at(arena, "parse.c:40");
	CHECK_FAULTS(objects[0], " to freed memory: 0" REPORT_END);
	CHECK_FAULTS(objects[OBJECTS / 2], REPORT_END);
	CHECK_FAULTS(objects[OBJECTS - 1] + OBJECT_BYTES - 1, REPORT_END);
	for (size_t i = 0; i < OBJECTS; i++)
		CHECK(harness_faults(objects[i]) && harness_faults(objects[i] + OBJECT_BYTES - 1));
}

TEST_EACH_SOURCE(released, "fault/objects before a releasing reset")
{
	struct arena *arena = make(source);
	char *small = arena_alloc(arena, 100), *large = arena_alloc(arena, 3 * CHUNK_BYTES);
	struct arena_stats stats;

	CHECK(small && large);
	memset(large, 1, 3 * CHUNK_BYTES);
	arena_reset_release_at(arena, "parse.c:33");
	CHECK_FAULTS(small, " bytes into arena \"parser\" (made at parse.c:12, released at parse.c:33)\n");
	CHECK_FAULTS(large + 2 * CHUNK_BYTES, "released at parse.c:33)\n");
	arena_stats(arena, &stats);
	CHECK_EQ(stats.held_bytes, 0);
	small = arena_alloc(arena, 100);
	CHECK(small);
	memset(small, 1, 100);
	arena_free_at(arena, "parse.c:40");
	CHECK_FAULTS(small, ", freed at parse.c:40)\n");
}

static void write_byte(void *address)
{
	volatile char *volatile byte = address; /* hides constant addresses from the compiler */

	*byte = 1;
}

TEST(writes, "fault/writes fault too")
{
	struct arena *arena = arena_new(NULL);
	void *object = arena_alloc(arena, 8);
	struct death death;

	arena_free(arena);
	harness_child(&death, write_byte, object);
	CHECK(harness_died(&death, SIGSEGV) || harness_died(&death, SIGBUS));
	CHECK_HAS(death.text, "0 bytes into an unnamed arena (made at tests/unit/fault.c:");
}

/* ---------------------------------------------------------------- the handler */

TEST(kind_of_death, "fault/the process dies by SIGSEGV")
{
	struct death death;
	struct arena *arena = make(ARENA_SOURCE_PAGES);
	char *object = arena_alloc(arena, 8);

	arena_free(arena);
	harness_child(&death, write_byte, object);
	if (harness_sanitized())
		harness_skip("the sanitizer ends the process in its own way");
	CHECK_EQ(death.signal, SIGSEGV);
}

static void free_and_read(void *unused)
{
	struct arena *arena = arena_new(NULL);
	char *object = arena_alloc(arena, 8);

	(void)unused;
	arena_free(arena);
	write_byte(object);
}

static void check_silent(void)
{
	struct death death;

	harness_child(&death, free_and_read, NULL);
	CHECK(harness_died(&death, SIGSEGV) || harness_died(&death, SIGBUS));
	CHECK(!strstr(death.text, "arena: access"));
}

TEST(off_by_environment, "fault/handler off in the environment", "ARENA_FAULT_HANDLER=0")
{
	check_silent();
}

TEST(off_by_call, "fault/handler off by a call")
{
	struct death death;

	arena_fault_handler_enable(false);
	check_silent();
	arena_fault_handler_enable(true);
	harness_child(&death, free_and_read, NULL);
	CHECK_HAS(death.text, "arena: access at 0x");
}

static void say(const char *words)
{
	ssize_t done = write(STDERR_FILENO, words, strlen(words));

	(void)done; /* the parent will miss it */
}

static void earlier_plain(int signal_number)
{
	say(signal_number == SIGSEGV ? "earlier handler got SIGSEGV\n" : "earlier handler got SIGBUS\n");
	_exit(9);
}

static void earlier_info(int signal_number, siginfo_t *info, void *context)
{
	(void)signal_number;
	say(info->si_addr == (void *)16 && context ? "earlier handler got 0x10 and context\n" : "something else\n");
	_exit(9);
}

static void install(struct sigaction *action)
{
	CHECK(!sigaction(SIGSEGV, action, NULL) && !sigaction(SIGBUS, action, NULL));
}

TEST(chains_plain, "fault/passes on to an earlier handler")
{
	struct sigaction action = { .sa_handler = earlier_plain };
	struct death death;

	install(&action);
	harness_child(&death, free_and_read, NULL);
	CHECK_EQ(death.status, 9);
	CHECK_HAS(death.text, "arena: access at 0x");
	CHECK_HAS(death.text, "earlier handler got SIG");
}

static void foreign_fault(void *unused)
{
	(void)unused;
	CHECK(arena_new(NULL));
	write_byte((void *)16);
}

TEST(chains_info, "fault/passes on faults that are not ours, without a word")
{
	struct sigaction action = { .sa_sigaction = earlier_info, .sa_flags = SA_SIGINFO };
	struct death death;

	install(&action);
	harness_child(&death, foreign_fault, NULL);
	CHECK_EQ(death.status, 9);
	CHECK_STR(death.text, "earlier handler got 0x10 and context\n");
}

static void sent_signal(void *unused)
{
	(void)unused;
	CHECK(arena_new(NULL));
	kill(getpid(), SIGSEGV);
	sleep(1);
}

TEST(sent, "fault/a signal that was sent ends the process as ever")
{
	struct death death;

	harness_child(&death, sent_signal, NULL);
	CHECK(harness_died(&death, SIGSEGV));
	CHECK(!strstr(death.text, "arena: access"));
}

static sigjmp_buf jump;

static void jump_out(int signal_number)
{
	(void)signal_number;
	siglongjmp(jump, 1);
}

TEST(recovers, "fault/an earlier handler may jump out, again and again")
{
	struct sigaction action = { .sa_handler = jump_out, .sa_flags = SA_NODEFER };
	volatile int nr = 0;
	char *volatile object;

	install(&action);
	object = arena_alloc(arena_new(NULL), 8);
	for (volatile int i = 0; i < 3; i++) {
		struct arena *arena = arena_new(NULL);

		object = arena_alloc(arena, 8);
		arena_free(arena);
		if (!sigsetjmp(jump, 1))
			write_byte(object);
		else
			nr++;
	}
	CHECK_EQ(nr, 3);
}

/* The third time the test has failed, and must end. */
static void say_called(void)
{
	static volatile int nr_calls;

	say("called\n");
	if (++nr_calls == 3)
		_exit(8);
}

/* Returns, so that the access faults again. */
static void count_call(int signal_number)
{
	(void)signal_number;
	say_called();
}

TEST(once, "fault/an earlier handler that is to be called once is called once")
{
	struct sigaction action = { .sa_handler = count_call, .sa_flags = (int)SA_RESETHAND };
	struct death death;
	const char *first;

	install(&action);
	harness_child(&death, free_and_read, NULL);
	CHECK(harness_died(&death, SIGSEGV) || harness_died(&death, SIGBUS));
	first = strstr(death.text, "called\n");
	CHECK(first && !strstr(first + 1, "called\n"));
}

static void fault_again(int signal_number)
{
	(void)signal_number;
	say_called();
	write_byte((void *)16);
}

static void faults_in_handler(void *unused)
{
	struct sigaction action = { .sa_handler = fault_again };

	(void)unused;
	install(&action);
	foreign_fault(NULL);
}

TEST(recursion, "fault/an earlier handler that faults ends the process")
{
	struct death death;

	harness_child(&death, faults_in_handler, NULL);
	CHECK(harness_died(&death, SIGSEGV));
	CHECK_STR(death.text, "called\n");
}

static void check_mask(int signal_number)
{
	sigset_t blocked;

	sigprocmask(SIG_BLOCK, NULL, &blocked);
	say(sigismember(&blocked, SIGUSR1) && sigismember(&blocked, signal_number) ? "blocked\n" : "not blocked\n");
	_exit(9);
}

TEST(mask, "fault/an earlier handler runs under its own mask")
{
	struct sigaction action = { .sa_handler = check_mask };
	struct death death;

	sigaddset(&action.sa_mask, SIGUSR1);
	install(&action);
	harness_child(&death, foreign_fault, NULL);
	CHECK_EQ(death.status, 9);
	CHECK_STR(death.text, "blocked\n");
}

static void ignored_signal(void *unused)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	struct arena *arena;

	(void)unused;
	install(&action);
	arena = arena_new(NULL);
	CHECK(arena);
	kill(getpid(), SIGSEGV);
	kill(getpid(), SIGBUS);
	arena_free(arena);
	free_and_read(NULL);
}

TEST(ignored, "fault/a signal that was ignored still is, and later faults are reported")
{
	struct death death;

	harness_child(&death, ignored_signal, NULL);
	CHECK(harness_died(&death, SIGSEGV) || harness_died(&death, SIGBUS));
	CHECK_HAS(death.text, "arena: access at 0x");
}

static void look_below_stack(void *unused)
{
	stack_t stack;

	(void)unused;
	CHECK(!sigaltstack(NULL, &stack) && (stack.ss_flags & SS_DISABLE));
	CHECK(arena_new(NULL));
	CHECK(!sigaltstack(NULL, &stack) && !(stack.ss_flags & SS_DISABLE));
	CHECK(harness_faults((char *)stack.ss_sp - 1) && !harness_faults(stack.ss_sp));
}

TEST(stack_guard, "fault/a page below the alternate stack faults")
{
	struct death death;

	if (harness_sanitized())
		harness_skip("the sanitizer gives threads an alternate stack of its own");
	harness_child(&death, look_below_stack, NULL);
	CHECK(!death.signal && !death.status);
}

/* Deeper than any stack. */
static size_t overflow(size_t depth)
{
	volatile char here[4096];

	here[0] = (char)depth;
	return depth ? overflow(depth - 1) + (size_t)here[0] : 0;
}

static void overflow_stack(void *unused)
{
	(void)unused;
	CHECK(arena_new(NULL));
	overflow(SIZE_MAX);
}

TEST(stack_overflow, "fault/a stack that runs over still ends by SIGSEGV")
{
	struct death death;

	/* The stack may end inside its own code, with a lock held that our handler's entry wants. */
	if (harness_thread_sanitized())
		harness_skip("thread sanitizer runs on the stack that overflows");
	harness_child(&death, overflow_stack, NULL);
	CHECK(harness_died(&death, SIGSEGV));
	CHECK(!strstr(death.text, "arena: access"));
}

/* ---------------------------------------------------------------- arena_describe() */

TEST(offsets, "fault/offsets count on over the arena's runs")
{
	struct arena *arena = make(ARENA_SOURCE_PAGES);
	char *first = arena_alloc(arena, 4096), *second = arena_alloc(arena, 4096 * 4);
	char *large = arena_alloc(arena, CHUNK_BYTES);
	char text[200];

	CHECK(first && second && large);
	CHECK_EQ(arena_describe(first + 4095, text, sizeof(text)), 0);
	CHECK_HAS(text, " 4095 bytes into");
	CHECK_EQ(arena_describe(second, text, sizeof(text)), 0);
	CHECK_HAS(text, " 4096 bytes into");
	arena_free_at(arena, "parse.c:40");
	CHECK_FAULTS(large + 7, " 20487" REPORT_END);
}

TEST(describe, "fault/describe")
{
	struct arena *arena = make(ARENA_SOURCE_PAGES);
	char *object = arena_alloc(arena, 100);
	char text[200], tiny[10];

	CHECK_EQ(arena_describe(object + 7, text, sizeof(text)), 0);
	CHECK_STR(text, "living memory: 7 bytes into arena \"parser\" (made at parse.c:12)");
	arena_free_at(arena, "parse.c:40");
	CHECK_EQ(arena_describe(object + 7, text, sizeof(text)), 0);
	CHECK_STR(text, "freed memory: 7 bytes into arena \"parser\" (made at parse.c:12, freed at parse.c:40)");
	CHECK_EQ(arena_describe(object, tiny, sizeof(tiny)), 0);
	CHECK_STR(tiny, "freed mem");
	CHECK_EQ(arena_describe(text, text, sizeof(text)), -ENOENT);
	CHECK_EQ(arena_describe(NULL, text, sizeof(text)), -ENOENT);
	CHECK_EQ(arena_describe(object, text, 0), -EINVAL);
	CHECK_EQ(arena_describe(object + 64 * CHUNK_BYTES, text, sizeof(text)), 0);
	CHECK_HAS(text, "memory of no arena");
}
