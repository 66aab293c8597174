// SPDX-License-Identifier: MIT
/*
 * A program with a collected heap, for tests/unit/gc_timeline.sh: three threads that allocate, one of which waits now and then, and eight cycles at
 * least. "die" ends it in the middle.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena/gc.h"

#define THREADS 3
#define CYCLES 8

struct node {
	struct node *next;
	uint64_t value;
};
ARENA_GC_LAYOUT(node_layout, struct node, next);

static struct arena_gc *gc;
static struct arena_gc_type *type;

static void *rest(void *unused)
{
	usleep(1000);
	return unused;
}

static uint64_t cycles(void)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return stats.nr_cycles;
}

static void *run(void *number)
{
	struct node *list = NULL;

	if (arena_gc_attach(gc))
		abort();
	for (uint64_t i = 0; cycles() < CYCLES; i++) {
		struct node *node = arena_gc_alloc(gc, type);

		arena_gc_store(&node->next, i % 1000 ? list : NULL);
		list = node;
		if (i % 5000 == 0 && number)
			arena_gc_blocking(rest, NULL);
	}
	arena_gc_detach(gc);
	return NULL;
}

int main(int argc, char **argv)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_PAGES, .percent = 25 };
	pthread_t threads[THREADS];
	char *json;

	gc = arena_gc_create(&options);
	type = gc ? arena_gc_type_create(gc, &node_layout) : NULL;
	if (!type)
		return 1;
	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run, i ? argv : NULL))
			return 1;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	json = arena_gc_json(gc);
	if (!json)
		return 1;
	puts(json);
	free(json);
	if (argc > 1 && !strcmp(argv[1], "die")) {
		fflush(stdout);
		raise(SIGKILL);
	}
	arena_gc_destroy(gc);
	return 0;
}
