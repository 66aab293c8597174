/* SPDX-License-Identifier: MIT */
/* The library's own threads. */
#ifndef LIBARENA_THREAD_H
#define LIBARENA_THREAD_H

#include <pthread.h>

/**
 * A thread on a small stack that runs none of the program's handlers: all signals are blocked but SIGSEGV and SIGBUS, so that a fault in it can be
 * reported as one in any other. *@thread is to be joined; NULL: nobody joins it. 0 or -errno. Allocates, as pthread_create() does.
 */
int thread_start(pthread_t *thread, void *(*run)(void *), void *context);

#endif /* LIBARENA_THREAD_H */
