// SPDX-License-Identifier: MIT
/*
 * pairs WAY COUNT: so many objects of 64 bytes, allocated and freed, for tests/malloc/instructions.sh to count the instructions.
 *
 *	batch		64 objects by malloc(), then free() of them in the same order
 *	ping-pong	each freed before the next one is allocated
 *	inline		ping-pong by the inline functions of arena/heap_inline.h, in a heap of this program
 *	loop		the loop of that alone
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arena/heap_inline.h>

enum { BATCH = 64, BYTES = 64 };

/* Nobody knows what becomes of it. */
static void keep(void *object)
{
	__asm__ volatile("" : : "r"(object) : "memory");
}

static void batches(size_t nr)
{
	void *objects[BATCH];

	for (size_t i = 0; i < nr; i += BATCH) {
		for (size_t j = 0; j < BATCH; j++)
			objects[j] = malloc(BYTES);
		keep(objects);
		for (size_t j = 0; j < BATCH; j++)
			free(objects[j]);
	}
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
	} ways[] = { { "batch", batches }, { "ping-pong", ping_pong }, { "inline", inlined }, { "loop", loop } };

	for (size_t i = 0; argc == 3 && i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (strcmp(argv[1], ways[i].name))
			continue;
		ways[i].run(strtoul(argv[2], NULL, 10));
		return 0;
	}
	fprintf(stderr, "usage: pairs batch|ping-pong|inline|loop COUNT\n");
	return 2;
}
