// SPDX-License-Identifier: MIT
/*
 * A library that uses malloc() wherever libraries do: in its constructor and destructor, in handlers of fork(), in variables of
 * threads. Programs of this folder are linked with it, so that its constructor comes before theirs, and open a copy of it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PLUG_API __attribute__((visibility("default")))

PLUG_API int plug_forks(void);
PLUG_API char *plug_text(void);

static char *kept;
static int forks;	/* how often a handler ran */
static __thread char *of_thread;

/* A small and a large one, which need locks of the heap. */
static void use_memory(void)
{
	char *small = malloc(100), *large = malloc(300000);

	if (!small || !large)
		abort();
	memset(small, 1, 100);
	memset(large, 1, 300000);
	free(small);
	free(large);
}

static void on_fork(void)
{
	use_memory();
	forks++;
}

__attribute__((constructor)) static void start(void)
{
	use_memory();
	kept = strdup("kept since the constructor");
	pthread_atfork(on_fork, on_fork, on_fork);
}

__attribute__((destructor)) static void end(void)
{
	use_memory();
	free(kept);
}

int plug_forks(void)
{
	return forks;
}

/* Text of this thread, on the heap. */
char *plug_text(void)
{
	if (!of_thread)
		of_thread = strdup(kept);
	return of_thread;
}
