// SPDX-License-Identifier: MIT
/*
 * fork() while threads allocate, free each other's objects, come and go. Each child checks and frees what it finds of threads that are not
 * there any more, allocates, and ends. Nothing waits for ever: an alarm ends a child that hangs, which fails the test.
 *
 * What is shared lies on a shelf, taken and put by atomic exchanges: what a child finds there was complete when it was forked.
 */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/harness.h"

/* FORKS in the environment says otherwise. */
#define FORKS_DEFAULT 2000
#define FORKERS 2
#define WORKERS 3
#define SHELF 64
/* Far more than a child needs on a busy machine. */
#define CHILD_SECONDS 60

struct object {
	size_t bytes;
	unsigned char fill[];
};

static struct object *shelf[SHELF]; /* atomic */
static uint64_t nr_forks; /* of all forkers together; fixed before they start */
static int stop; /* atomic */

static void fail_hard(const char *why)
{
	fprintf(stderr, "process %d: %s\n", (int)getpid(), why);
	abort();
}

static struct object *make(struct random *rng)
{
	size_t bytes = sizeof(struct object) + random_below(rng, random_below(rng, 50) ? 600 : 70000);
	struct object *object = malloc(bytes);

	if (!object)
		fail_hard("no memory");
	object->bytes = bytes - sizeof(*object);
	memset(object->fill, (int)(object->bytes % 251), object->bytes);
	return object;
}

static void destroy(struct object *object)
{
	if (!object)
		return;
	for (size_t i = 0; i < object->bytes; i++)
		if (object->fill[i] != object->bytes % 251)
			fail_hard("an object has changed");
	free(object);
}

static void exchange(struct object *object, size_t place)
{
	destroy(__atomic_exchange_n(&shelf[place], object, __ATOMIC_ACQ_REL));
}

static void steps(struct random *rng, size_t nr)
{
	struct object *own[16] = { NULL };

	for (size_t i = 0; i < nr; i++) {
		size_t at = random_below(rng, 16);

		exchange(make(rng), random_below(rng, SHELF));
		destroy(own[at]);
		own[at] = make(rng);
	}
	for (size_t i = 0; i < 16; i++)
		destroy(own[i]);
}

/* A thread that ends leaves its memory to the next one. */
static void *few_steps(void *seed)
{
	struct random rng = { .state = (uintptr_t)seed };

	steps(&rng, 100);
	return NULL;
}

static void *work(void *seed)
{
	struct random rng = { .state = (uintptr_t)seed };

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		pthread_t thread;

		steps(&rng, 200);
		if (!pthread_create(&thread, NULL, few_steps, (void *)(uintptr_t)random_next(&rng)))
			pthread_join(thread, NULL);
	}
	return NULL;
}

static bool ended_well(pid_t child)
{
	int status;

	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* In a child: with the destructors of the program, or without. */
static void end_child(bool at_once)
{
	if (at_once)
		_exit(0);
	exit(0);
}

/* All of the shelf is somebody else's; then as a program of its own, some with threads and children. Says how to end. */
static bool be_child(uint64_t seed, int depth)
{
	struct random rng = { .state = seed };
	pid_t child;

	alarm(CHILD_SECONDS);
	for (size_t i = 0; i < SHELF; i++)
		exchange(NULL, i);
	steps(&rng, 20);
	if (!random_below(&rng, 20)) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, few_steps, (void *)(uintptr_t)seed) || pthread_join(thread, NULL))
			fail_hard("no thread");
	}
	if (depth < 3 && !random_below(&rng, 20)) {
		child = fork();
		if (!child)
			end_child(be_child(seed + 1, depth + 1));
		if (!ended_well(child))
			fail_hard("a nested child failed");
	}
	return random_below(&rng, 2);
}

static void *fork_often(void *argument)
{
	uint64_t seed = harness_seed() + (uintptr_t)argument * nr_forks;

	for (uint64_t i = 0; i < nr_forks / FORKERS; i++) {
		pid_t child = fork();

		if (!child)
			end_child(be_child(seed + i, 0));
		if (!ended_well(child))
			fail_hard("a child failed");
	}
	return NULL;
}

static void start(pthread_t *threads, size_t nr, void *(*function)(void *))
{
	for (size_t i = 0; i < nr; i++)
		CHECK(!pthread_create(&threads[i], NULL, function, (void *)(harness_seed() % 1000 + i)));
}

static void join(pthread_t *threads, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

static void under_load(void *(*function)(void *), size_t nr)
{
	pthread_t workers[WORKERS], others[FORKERS];

	start(workers, WORKERS, work);
	start(others, nr, function);
	join(others, nr);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	join(workers, WORKERS);
	for (size_t i = 0; i < SHELF; i++)
		exchange(NULL, i);
}

TEST(forks, "fork/children of two threads, under three that allocate, and others that come and go")
{
	const char *forks = getenv("FORKS");

	nr_forks = forks ? strtoul(forks, NULL, 10) : FORKS_DEFAULT;
	CHECK(nr_forks >= FORKERS);
	harness_note("%llu forks", (unsigned long long)nr_forks);
	alarm(0); /* The script's time-out is the one that counts. */
	under_load(fork_often, FORKERS);
}

extern char **environ;

/* What a child of vfork() makes and leaves to its parent, whose memory it works in. */
static struct object *volatile left;

/* Apart, so that no variable of the parent's function is one of the child's. An object of the parent's, and objects of its own: some are freed at once,
 * more than a cache holds, one stays. */
static __attribute__((noinline)) void use_parents_memory(struct object *of_parent, uint64_t seed)
{
	struct random rng = { .state = seed };

	destroy(of_parent);
	steps(&rng, 50);
	left = make(&rng);
}

/* The child is this thread for a while, with its cache. */
static pid_t vfork_and_exec(char *const arguments[], struct object *of_parent, uint64_t seed)
{
	pid_t child = vfork();

	if (!child) {
		use_parents_memory(of_parent, seed);
		execv("/bin/true", arguments);
		_exit(1);
	}
	return child;
}

static void *run_programs(void *seed)
{
	static char *const arguments[] = { (char *)(uintptr_t)"true", NULL };
	struct random rng = { .state = (uintptr_t)seed };

	for (int i = 0; i < 100; i++) {
		struct object *kept = make(&rng);
		pid_t child = vfork_and_exec(arguments, make(&rng), random_next(&rng));

		if (!ended_well(child))
			fail_hard("vfork() and execv() failed");
		/* What it did is done: the parent goes on from there. */
		destroy(left);
		steps(&rng, 50);
		destroy(kept);
		if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, environ) || !ended_well(child))
			fail_hard("posix_spawn() failed");
	}
	return NULL;
}

TEST(programs, "fork/vfork and posix_spawn of programs, under three threads that allocate; children of vfork do as well")
{
	under_load(run_programs, 1);
}
