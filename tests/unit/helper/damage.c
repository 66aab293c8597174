// SPDX-License-Identifier: MIT
/* damage KIND: does one thing wrong with objects of a heap, for tests/unit/memcheck.sh. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena/heap.h"

static struct arena_heap *heap;
static char *volatile neighbor;
static char *volatile object; /* volatile: the compiler knows what is wrong here */

/* Memcheck speaks when a jump depends on what was never written. */
static int use(char value)
{
	return value == 42 ? puts("forty-two") : 0;
}

static void clean(void)
{
	for (size_t bytes = 0; bytes < 200000; bytes = bytes * 3 / 2 + 1) {
		char *plain = arena_heap_alloc(heap, bytes), *zero = arena_heap_calloc(heap, 1, bytes);
		char *aligned = arena_heap_alloc_aligned(heap, bytes, 512);

		memset(plain, 1, bytes);
		memset(aligned, 1, bytes);
		for (size_t i = 0; i < bytes; i++)
			use((char)(zero[i] + plain[i]));
		plain = arena_heap_realloc(heap, plain, bytes * 2 + 1);
		for (size_t i = 0; i < bytes; i++)
			use(plain[i]);
		arena_heap_free(zero);
		arena_heap_free(plain);
		arena_heap_free(aligned);
	}
	arena_heap_free(object);
	arena_heap_trim(heap, SIZE_MAX);
}

static void uninitialized(void)
{
	use(object[50]);
}

static void read_freed(void)
{
	memset(object, 1, 100);
	arena_heap_free(object);
	use(object[50]);
}

static void write_freed(void)
{
	arena_heap_free(object);
	object[50] = 1;
}

static void overflow(void)
{
	object[100] = 1;
}

static void underflow(void)
{
	object[-1] = 1;
}

static void leak(void)
{
	object = NULL;
}

static void destroyed(void)
{
	memset(object, 1, 100);
	arena_heap_destroy(heap);
	heap = arena_heap_create(NULL);
	object = arena_heap_alloc(heap, 100);
	use(object[50]);
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = {
	{ "clean", clean }, { "uninitialized", uninitialized }, { "read_freed", read_freed }, { "write_freed", write_freed },
	{ "overflow", overflow }, { "underflow", underflow }, { "leak", leak }, { "destroyed", destroyed },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i].name))
			continue;
		heap = arena_heap_create(NULL);
		/* The second one: before it lies another, and no table of the library holds its address. */
		neighbor = arena_heap_alloc(heap, 100);
		object = arena_heap_alloc(heap, 100);
		kinds[i].run();
		return 0;
	}
	fputs("damage: which one?\n", stderr);
	return 2;
}
