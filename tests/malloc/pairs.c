// SPDX-License-Identifier: MIT
/*
 * pairs WAY COUNT: so many objects of 64 bytes (ended: of 32 KiB), allocated and freed, for tests/malloc/instructions.sh to count the instructions.
 *
 *	batch		64 objects by malloc(), then free() of them in the same order
 *	ended		the same with 1024 that have a span each, when many threads have ended
 *	ping-pong	each freed before the next one is allocated
 *	inline		ping-pong by the inline functions of arena/heap_inline.h, in a heap of this program
 *	loop		the loop of that alone
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arena/heap_inline.h>

/* valgrind has no more than 500 threads at a time. */
enum { BATCH = 64, BYTES = 64, LARGE_BATCH = 1024, LARGE_BYTES = 32768, NR_ENDED = 400 };

/* Nobody knows what becomes of it. */
static void keep(void *object)
{
	__asm__ volatile("" : : "r"(object) : "memory");
}

static void in_batches(size_t nr, size_t batch, size_t bytes)
{
	static void *objects[LARGE_BATCH];

	for (size_t i = 0; i < nr; i += batch) {
		for (size_t j = 0; j < batch; j++)
			objects[j] = malloc(bytes);
		keep(objects);
		for (size_t j = 0; j < batch; j++)
			free(objects[j]);
	}
}

static void batches(size_t nr)
{
	in_batches(nr, BATCH, BYTES);
}

static pthread_barrier_t all_have;

/* Of every second one an object stays, of another size than those of the batches. */
static void *allocate_and_end(void *number)
{
	void *object = malloc(BYTES);

	keep(object);
	if ((uintptr_t)number % 2)
		free(object);
	/* All at once, so that each thread has a cache of its own. */
	pthread_barrier_wait(&all_have);
	return NULL;
}

static void ended(size_t nr)
{
	static pthread_t threads[NR_ENDED];

	if (pthread_barrier_init(&all_have, NULL, NR_ENDED))
		abort();
	for (size_t i = 0; i < NR_ENDED; i++)
		if (pthread_create(&threads[i], NULL, allocate_and_end, (void *)i))
			abort();
	for (size_t i = 0; i < NR_ENDED; i++)
		pthread_join(threads[i], NULL);
	in_batches(nr, LARGE_BATCH, LARGE_BYTES);
}

static void ping_pong(size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		void *object = malloc(BYTES);

		keep(object);
		free(object);
	}
}

static void inlined(size_t nr)
{
	struct arena_heap *heap = arena_heap_create(NULL);
	struct arena_heap_local *local = heap ? arena_heap_local(heap) : NULL;

	if (!local)
		abort();
	for (size_t i = 0; i < nr; i++) {
		void *object = arena_heap_alloc_inline(heap, local, BYTES);

		keep(object);
		arena_heap_free_inline(local, object);
	}
	arena_heap_destroy(heap);
}

static void loop(size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		keep(NULL);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t nr);
	} ways[] = { { "batch", batches }, { "ended", ended }, { "ping-pong", ping_pong }, { "inline", inlined }, { "loop", loop } };

	for (size_t i = 0; argc == 3 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[1], ways[i].name))
			continue;
		ways[i].run(strtoul(argv[2], NULL, 10));
		return 0;
	}
	fprintf(stderr, "usage: pairs batch|ended|ping-pong|inline|loop COUNT\n");
	return 2;
}
