// SPDX-License-Identifier: MIT
/*
 * What the threads of the library's have in common. They do little, and sleep most of the time; the program must notice of them no more
 * than that they are there.
 */
#include "thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>

#include "base.h"

/* Only touched as far as used: a few pages. arena_trim() is the deepest call; thread-local storage of the program comes out of the same memory. */
#define STACK_BYTES (256 * KiB)

/* With the default stack when @stack_bytes is 0. */
static int create(pthread_t *thread, bool is_joined, size_t stack_bytes, void *(*run)(void *), void *context)
{
	pthread_attr_t attributes;
	int error = pthread_attr_init(&attributes);

	if (error)
		return -error;
	if (stack_bytes)
		pthread_attr_setstacksize(&attributes, stack_bytes);
	pthread_attr_setdetachstate(&attributes, is_joined ? PTHREAD_CREATE_JOINABLE : PTHREAD_CREATE_DETACHED);
	error = pthread_create(thread, &attributes, run, context);
	pthread_attr_destroy(&attributes);
	return -error;
}

int thread_start(pthread_t *thread, void *(*run)(void *), void *context)
{
	sigset_t blocked, before;
	pthread_t unused;
	int error;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGSEGV);
	sigdelset(&blocked, SIGBUS);
	pthread_sigmask(SIG_BLOCK, &blocked, &before);
	error = create(thread ? thread : &unused, thread, STACK_BYTES, run, context);
	/* A program with much thread-local storage needs a larger stack than that. */
	if (error == -EINVAL)
		error = create(thread ? thread : &unused, thread, 0, run, context);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}
