// SPDX-License-Identifier: MIT
/*
 * Threads that are attached before the program's function runs, and detached behind it.
 *
 * What the new thread begins with is on no stack while it travels: the creator may be scanned and forget it, and the thread is not attached yet. So it is in a
 * handle until the thread has loaded it. The creator waits until then, answering for nothing, and so learns of an attachment that has failed.
 */
#include <errno.h>

#include "gc/roots.h"
#include "gc/threads.h"

enum { SPAWN_STARTING, SPAWN_STARTED };

/* On the creator's stack: the thread looks at it no more once it is started. */
struct spawn {
	struct arena_gc *gc;
	void *(*function)(void *argument);
	struct arena_gc_handle *argument;
	int error;
	uint32_t state;		/* atomic, futex; the release in tell_creator() pairs with wait_for_start() */
};

static void tell_creator(struct spawn *spawn, int error)
{
	spawn->error = error;
	atomic_store_release(&spawn->state, (uint32_t)SPAWN_STARTED);
	os_futex_wake(&spawn->state);
}

static void *run(void *context)
{
	struct spawn *spawn = context;
	struct arena_gc *gc = spawn->gc;
	void *(*function)(void *argument) = spawn->function;
	int error = gc_attach(gc);
	void *argument = error ? NULL : arena_gc_handle_get(spawn->argument), *result;

	tell_creator(spawn, error);
	if (error)
		return NULL;
	result = function(argument);
	/* It may have detached itself. */
	if (gc_mutator_of(gc))
		gc_detach(gc_mutator_of(gc));
	return result;
}

static void *wait_for_start(void *context)
{
	struct spawn *spawn = context;

	/* Pairs with tell_creator(). */
	while (atomic_load_acquire(&spawn->state) == SPAWN_STARTING)
		os_futex_wait(&spawn->state, SPAWN_STARTING);
	return NULL;
}

static bool is_joinable(const pthread_attr_t *attributes)
{
	int state = PTHREAD_CREATE_JOINABLE;

	if (attributes)
		pthread_attr_getdetachstate(attributes, &state);
	return state == PTHREAD_CREATE_JOINABLE;
}

static int start(struct spawn *spawn, pthread_t *thread, const pthread_attr_t *attributes)
{
	int error = -pthread_create(thread, attributes, run, spawn);

	if (error)
		return error;
	gc_blocking(wait_for_start, spawn);
	if (spawn->error && is_joinable(attributes))
		pthread_join(*thread, NULL);
	return spawn->error;
}

/* Whose stack is not looked at has no right to an object. */
static void check_creator(struct arena_gc *gc, const void *argument)
{
	if (!gc_mutator_of(gc) && arena_gc_usable_bytes(gc, argument))
		panic("arena_gc_thread_create(): the argument is an object, and the calling thread is not attached (arena_gc_attach())");
}

int arena_gc_thread_create(struct arena_gc *gc, pthread_t *thread, const pthread_attr_t *attributes, void *(*function)(void *argument), void *argument)
{
	struct spawn spawn = { .gc = gc, .function = function };
	int error;

	check_creator(gc, argument);
	spawn.argument = gc_handle_get(&gc->roots);
	if (!spawn.argument)
		return -ENOMEM;
	arena_gc_handle_set(spawn.argument, argument);
	error = start(&spawn, thread, attributes);
	arena_gc_handle_set(spawn.argument, NULL);
	gc_handle_put(&gc->roots, spawn.argument);
	return error;
}
