// SPDX-License-Identifier: MIT
/*
 * A program whose allocations are known, for profile.sh: it prints what each of its functions allocates and keeps, as
 *
 *	FUNCTION ALLOCATED_OBJECTS ALLOCATED_BYTES KEPT_OBJECTS KEPT_BYTES
 *
 * where bytes are those of size classes. Models: two call sites in strict turn, a cache that never shrinks, a buffer that grows, a pool of
 * threads. With "wait" it raises SIGUSR2 and waits for standard input to end; with "leave" it ends without freeing anything; with "late" it
 * reads what it has freed, with "behind-page", "behind-object", "before-page" and "before-object" it writes outside of what it has, with "far" until that faults; with "ask" the C library itself is the first to allocate in a
 * thread, with a lock of that thread held; with "storm" threads allocate while SIGALRM comes every 200 us, of which not even errno may tell.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define NR 400000u
#define THREADS 4u
/* Some hundred signals long, if nobody else is on the machine. */
#define STORM_ROUNDS 10u

void *churn(void);
void *keep(void);
void *from_thread(void *unused);
void *grow(void);
void *zeroed(void);

/* Not inlined, and the call not the last: a return address in each. */
#define SITE __attribute__((noinline))

SITE void *churn(void)
{
	void *volatile object = malloc(100);

	return object;
}

SITE void *keep(void)
{
	void *volatile object = malloc(112);

	return object;
}

SITE void *zeroed(void)
{
	void *volatile object = calloc(10, 300);

	return object;
}

SITE void *from_thread(void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < NR / THREADS; i++) {
		void *volatile object = malloc(64);

		free(object);
	}
	return NULL;
}

SITE void *grow(void)
{
	char *volatile buffer = NULL;

	for (size_t pages = 16; pages <= 4096; pages += 16)
		buffer = realloc(buffer, pages * 4096);
	return buffer;
}

/* One that lies at the end of its page, or at the beginning, as guarded objects do in turn; NULL when nothing lies so. */
static char *keep_at(int at_end)
{
	for (int i = 0; i < 16; i++) {
		char *object = keep();
		size_t offset = (uintptr_t)object % 4096;

		if (offset == (at_end ? 4096 - 112 : 0))
			return object;
	}
	return NULL;
}

/* Writes 16 bytes behind the end of 112 bytes, or a byte before their beginning, where that is another page or where it is the same one, and frees them. */
static int write_outside(const char *where)
{
	int is_behind = !strncmp(where, "behind", 6), at_end = is_behind == !strcmp(strchr(where, '-'), "-page");
	char *volatile object = keep_at(at_end);

	if (!object)
		return 3;
	object[is_behind ? 127 : -1] = 1;
	printf("written\n");
	fflush(stdout);
	free(object);
	return 0;
}

/* What no program should do. */
static int misuse(const char *how)
{
	char *volatile object;

	if (strchr(how, '-'))
		return write_outside(how);
	object = keep();
	while (!strcmp(how, "far"))
		*object++ = 1;
	free(object);
	printf("%d\n", object[5]);
	return 0;
}

static int is_misuse(const char *how)
{
	return !strcmp(how, "late") || !strcmp(how, "far") || !strncmp(how, "behind-", 7) || !strncmp(how, "before-", 7);
}

static void run_threads(void *(*function)(void *))
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, function, NULL))
			abort();
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void *ask_bounds(void *unused)
{
	pthread_attr_t attributes;

	(void)unused;
	if (pthread_getattr_np(pthread_self(), &attributes))
		abort();
	pthread_attr_destroy(&attributes);
	return churn();
}

static int ask(void)
{
	pthread_t thread;
	void *object;

	if (pthread_create(&thread, NULL, ask_bounds, NULL) || pthread_join(thread, &object))
		abort();
	free(object);
	free(ask_bounds(NULL));
	return 0;
}

static void *in_storm(void *unused)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	errno = EDOM;
	for (unsigned int i = 0; i < STORM_ROUNDS; i++)
		from_thread(unused);
	if (errno != EDOM)
		abort();
	return NULL;
}

/* The threads that allocate get the signals, not the one that waits. */
static int storm(void)
{
	const struct itimerval often = { .it_interval = { .tv_usec = 200 }, .it_value = { .tv_usec = 200 } }, never = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	run_threads(in_storm);
	setitimer(ITIMER_REAL, &never, NULL);
	printf("from_thread %u %u 0 0\n", STORM_ROUNDS * NR, STORM_ROUNDS * NR * 64);
	return 0;
}

static void *kept[NR];

static void wait_for_end(void)
{
	char byte;

	raise(SIGUSR2);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	void *buffer;

	if (argc > 1 && is_misuse(argv[1]))
		return misuse(argv[1]);
	if (argc > 1 && !strcmp(argv[1], "ask"))
		return ask();
	if (argc > 1 && !strcmp(argv[1], "storm"))
		return storm();
	for (unsigned int i = 0; i < NR; i++) {
		free(churn());
		kept[i] = keep();
		if (i % 20 == 0)
			free(zeroed());
	}
	run_threads(from_thread);
	buffer = grow();
	printf("churn %u %u 0 0\n", NR, NR * 112);
	printf("keep %u %u %u %u\n", NR, NR * 112, NR, NR * 112);
	printf("zeroed %u %u 0 0\n", NR / 20, NR / 20 * 3072);
	printf("from_thread %u %u 0 0\n", NR, NR * 64);
	printf("grow - - 1 %u\n", 4096 * 4096);
	fflush(stdout);
	if (argc > 1 && !strcmp(argv[1], "wait"))
		wait_for_end();
	if (argc > 1 && !strcmp(argv[1], "leave"))
		return 0;
	for (unsigned int i = 0; i < NR; i++)
		free(kept[i]);
	free(buffer);
	return 0;
}
