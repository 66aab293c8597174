// SPDX-License-Identifier: MIT
/*
 * A program with a collected heap, for tests/unit/gc_timeline.sh: three threads that allocate, two of which wait now and then; eight cycles at
 * least, and some assists. "die" ends it in the middle.
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

/* That cycle has ended: enough of them, and not the only one in which a thread assisted, which is lost when the program dies. */
static bool is_over(void)
{
	static uint64_t last; /* atomic */
	uint64_t until = __atomic_load_n(&last, __ATOMIC_RELAXED);
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	if (!until && stats.assist_slices) {
		until = stats.nr_cycles + 2 > CYCLES ? stats.nr_cycles + 2 : CYCLES;
		__atomic_store_n(&last, until, __ATOMIC_RELAXED);
	}
	return until && stats.nr_cycles >= until;
}

static void *run(void *number)
{
	struct node *list = NULL;

	if (arena_gc_attach(gc))
		abort();
	for (uint64_t i = 0; !is_over(); i++) {
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
