// SPDX-License-Identifier: MIT
/* Walks of stacks: callers are found in their order, in every thread, and nothing is read that is not there. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "stack.h"
#include "tests/harness.h"

static uintptr_t addresses[STACK_MAX];
static volatile unsigned int nr_addresses; /* also written by a handler */

static __attribute__((noinline, aligned(256))) int inner(int depth)
{
	nr_addresses = stack_walk(addresses);
	__asm__ volatile("");
	return depth;
}

static __attribute__((noinline, aligned(256))) int recurse(int depth)
{
	/* Through memory, else the compiler makes it a loop. */
	volatile int more = depth ? recurse(depth - 1) : inner(depth);

	return more + 1;
}

static bool is_in(uintptr_t address, int (*function)(int))
{
	/* They are shorter, and so far apart. */
	return address > (uintptr_t)function && address - (uintptr_t)function < 256;
}

/* inner, then recurse as often as it was called. */
static void check_callers(unsigned int nr)
{
	CHECK(nr_addresses > nr);
	CHECK(is_in(addresses[0], inner));
	for (unsigned int i = 1; i <= nr; i++)
		CHECK(is_in(addresses[i], recurse));
}

TEST(callers, "stack/callers of the main thread, innermost first")
{
	CHECK_EQ(recurse(5), 6);
	check_callers(6);
	CHECK(!is_in(addresses[7], recurse));
}

TEST(deep, "stack/a deep stack is cut")
{
	CHECK_EQ(recurse(1000), 1001);
	CHECK_EQ(nr_addresses, STACK_MAX);
	check_callers(STACK_MAX - 1);
}

static void *in_thread(void *unused)
{
	(void)unused;
	recurse(3);
	check_callers(4);
	return NULL;
}

TEST(thread, "stack/callers of other threads, also on stacks that the program gave them")
{
	size_t bytes = (size_t)1 << 18;
	void *memory = aligned_alloc(4096, bytes);
	pthread_attr_t attributes;
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, in_thread, NULL) && !pthread_join(thread, NULL));
	CHECK(!pthread_attr_init(&attributes) && !pthread_attr_setstack(&attributes, memory, bytes));
	CHECK(!pthread_create(&thread, &attributes, in_thread, NULL) && !pthread_join(thread, NULL));
	free(memory);
}

static ucontext_t back, coroutine;

static void on_coroutine(void)
{
	nr_addresses = 1000;
	recurse(3);
}

TEST(foreign, "stack/only the caller is found on a stack that is not the thread's")
{
	size_t bytes = (size_t)1 << 18;

	CHECK(!getcontext(&coroutine));
	/* On one page with the frames. */
	coroutine.uc_stack.ss_sp = aligned_alloc(4096, bytes);
	coroutine.uc_stack.ss_size = bytes;
	coroutine.uc_link = &back;
	makecontext(&coroutine, on_coroutine, 0);
	CHECK(!swapcontext(&back, &coroutine));
	CHECK_EQ(nr_addresses, 1);
	CHECK(is_in(addresses[0], inner));
	recurse(1);
	check_callers(2);
}

static void on_signal(int number)
{
	(void)number;
	recurse(3);
}

static void *raise_in_thread(void *stack)
{
	const stack_t alternate = { .ss_sp = stack, .ss_size = 1 << 16 };
	stack_t before;

	CHECK(!sigaltstack(&alternate, &before));
	nr_addresses = 1000;
	/* The first walk of this thread: its own stack is found all the same. */
	CHECK(!raise(SIGUSR1));
	CHECK(nr_addresses <= 1);
	CHECK(!nr_addresses || is_in(addresses[0], inner));
	/* A sanitizer unmaps what it finds there when the thread ends. */
	CHECK(!sigaltstack(&before, NULL));
	return in_thread(NULL);
}

TEST(alternate, "stack/a handler on a stack of its own comes first, and the thread's is found afterwards")
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	void *stack = aligned_alloc(4096, 1 << 16);
	pthread_t thread;

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	CHECK(!pthread_create(&thread, NULL, raise_in_thread, stack) && !pthread_join(thread, NULL));
	free(stack);
}

#ifdef __x86_64__
static const char *wild;

/* Beyond the red zone. As in code without frame pointers: the register holds anything. */
static __attribute__((noinline)) unsigned int walk_from(uintptr_t frame)
{
	unsigned int nr;

	__asm__ volatile("sub $128, %%rsp\n\tpush %%rbp\n\tsub $8, %%rsp\n\tmov %1, %%rbp\n\tcall *%2\n\tadd $8, %%rsp\n\tpop %%rbp\n\tadd $128, %%rsp"
			 : "=a"(nr)
			 : "r"(frame), "r"(stack_walk), "D"(addresses)
			 : "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11", "memory", "cc");
	return nr;
}

TEST(garbage, "stack/a frame pointer that is none ends the walk", "ARENA_FAULT_HANDLER=0")
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	const uintptr_t values[] = { 0, 1, 8, here + 1, here - 4096, (uintptr_t)&wild, (uintptr_t)-16, (uintptr_t)-1, (uintptr_t)1 << 46 };

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		CHECK(walk_from(values[i]) <= STACK_MAX);
}
#endif

TEST(name, "stack/the name of an address is that of the call's file and where it is there, cut where there is no room")
{
	char name[200], cut[5];
	struct text text;

	recurse(1);
	text_init(&text, name, sizeof(name));
	stack_put_name(&text, addresses[0]);
	/* Linked statically, without symbols for the linker: the file, or the address alone. */
	CHECK(strstr(name, "0x"));
	text_init(&text, cut, sizeof(cut));
	stack_put_name(&text, addresses[0]);
	CHECK_EQ(strlen(cut), 4);
	text_init(&text, name, sizeof(name));
	stack_put_name(&text, 0x1001);
	CHECK_STR(name, "0x1000");
}

static unsigned int three(uintptr_t *out, unsigned int max)
{
	for (unsigned int i = 0; i < 3 && i < max; i++)
		out[i] = 100 + i;
	return 3;
}

TEST(walker, "stack/another way to walk takes its place")
{
	stack_set_walker(three);
	CHECK_EQ(stack_walk(addresses), 3);
	CHECK_EQ(addresses[2], 102);
	stack_set_walker(NULL);
	CHECK(stack_walk(addresses) > 1);
}
