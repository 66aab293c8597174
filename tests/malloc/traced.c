// SPDX-License-Identifier: MIT
/*
 * A program to be traced: trace.sh runs it with libarena-trace.so and knows which calls it makes. Sizes tell them from those that the C
 * library makes for itself.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *self; /* the path of this program */

/* A size that no machine has, and an alignment that is none; volatile, because compilers refuse to pass them. */
static volatile size_t absurd = SIZE_MAX / 2, odd = 100;

static void must(int good)
{
	if (!good)
		abort();
}

static void calls(void)
{
	char *object = malloc(10001), *zero = calloc(101, 100), *aligned;
	void *more = NULL;

	must(object && zero && !zero[10099]);
	object = realloc(object, 10002);
	must(object != NULL);
	errno = 0;
	must(!realloc(object, absurd) && errno == ENOMEM && !malloc(absurd) && !reallocarray(zero, absurd, 4));
	object = reallocarray(object, 2, 10003);
	must(object != NULL);
	free(zero);
	errno = 99;
	free(object);
	must(errno == 99);
	aligned = aligned_alloc(64, 10004);
	must(aligned && (uintptr_t)aligned % 64 == 0);
	must(!posix_memalign(&more, 4096, 10005) && more);
	free(more);
	free(aligned);
	aligned = memalign(odd, 10006);
	must(aligned && (uintptr_t)aligned % 128 == 0);
	must(!realloc(aligned, 0));
	free(NULL);
}

/* ---------------------------------------------------------------- threads */

enum { NR_THREADS = 4, NR_OBJECTS = 5000, NR_SHORT = 200 };

static char *handed[NR_THREADS][NR_OBJECTS]; /* atomic */

/* Each frees what the one before it allocates. */
static void *work(void *number)
{
	size_t own = (size_t)(uintptr_t)number, before = (own + NR_THREADS - 1) % NR_THREADS;

	for (size_t i = 0; i < NR_OBJECTS; i++) {
		__atomic_store_n(&handed[own][i], malloc(20001 + own), __ATOMIC_RELEASE);
		free(__atomic_exchange_n(&handed[before][i], NULL, __ATOMIC_ACQUIRE));
	}
	return NULL;
}

static void *work_once(void *unused)
{
	free(malloc(20010));
	return unused;
}

static void threads(void)
{
	pthread_t all[NR_THREADS];

	for (size_t i = 0; i < NR_THREADS; i++)
		must(!pthread_create(&all[i], NULL, work, (void *)(uintptr_t)i));
	for (size_t i = 0; i < NR_THREADS; i++)
		must(!pthread_join(all[i], NULL));
	for (size_t i = 0; i < NR_SHORT; i++)
		must(!pthread_create(&all[0], NULL, work_once, NULL) && !pthread_join(all[0], NULL));
}

/* ---------------------------------------------------------------- processes */

static void wait_for(pid_t child)
{
	int status;

	must(child > 0 && waitpid(child, &status, 0) == child && !status);
}

static void children(void)
{
	char *object = malloc(30001);
	pid_t child;

	must(object != NULL);
	child = fork();
	if (!child) {
		free(object);
		free(malloc(30002));
		child = fork();
		if (!child) {
			free(malloc(30003));
			_exit(0);
		}
		wait_for(child);
		execl(self, self, "calls", (char *)NULL);
		_exit(1);
	}
	wait_for(child);
	child = vfork();
	if (!child) {
		execl(self, self, "calls", (char *)NULL);
		_exit(1);
	}
	wait_for(child);
	free(object);
}

static void killed(void)
{
	free(malloc(40001));
	kill(getpid(), SIGKILL);
}

/* As a daemon does. More events than a block takes. */
static void closed(void)
{
	for (int fd = 3; fd < 1000; fd++)
		close(fd);
	must(!chdir("/"));
	for (int i = 0; i < 50000; i++)
		free(malloc(50001));
}

int main(int argc, char **argv)
{
	self = argv[0];
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "calls"))
			calls();
		else if (!strcmp(argv[i], "threads"))
			threads();
		else if (!strcmp(argv[i], "children"))
			children();
		else if (!strcmp(argv[i], "killed"))
			killed();
		else if (!strcmp(argv[i], "closed"))
			closed();
		else
			return 2;
	}
	return 0;
}
