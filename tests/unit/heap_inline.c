// SPDX-License-Identifier: MIT
/* The functions of arena/heap_inline.h: with those of arena/heap.h on the same objects, with all kinds of heaps, and misuse. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "arena/heap_inline.h"
#include "heap.h"
#include "tests/harness.h"

#define NR_OBJECTS 20000u

static struct arena_heap *fresh(void)
{
	struct arena_heap *heap = arena_heap_create(NULL);

	CHECK(heap);
	return heap;
}

static size_t size_of(size_t i)
{
	return i * 7919 % 1100;
}

static void *alloc_filled(struct arena_heap *heap, struct arena_heap_local *local, size_t i)
{
	char *object = i % 3 ? arena_heap_alloc_inline(heap, local, size_of(i)) : arena_heap_alloc(heap, size_of(i));

	CHECK(object && arena_heap_usable_bytes(object) >= size_of(i));
	memset(object, (int)(i & 0xff), size_of(i));
	return object;
}

static void free_checked(struct arena_heap_local *local, unsigned char *object, size_t i)
{
	for (size_t at = 0; at < size_of(i); at++)
		CHECK(object[at] == (i & 0xff));
	if (i % 2)
		arena_heap_free_inline(local, object);
	else
		arena_heap_free(object);
}

/* All at once, then in another order, then the same again. */
static void use(struct arena_heap *heap, size_t nr)
{
	struct arena_heap_local *local = arena_heap_local(heap);
	void **objects = calloc(nr, sizeof(void *));

	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < nr; i++)
			objects[i] = alloc_filled(heap, local, i);
		for (size_t i = 0; i < nr; i++) {
			size_t at = i * 7 % nr;

			free_checked(local, objects[at], at);
		}
	}
	free(objects);
}

TEST(both, "heap_inline/objects of either way are freed by the other, with all that is in them")
{
	struct arena_heap *heap = fresh();
	struct arena_heap_stats stats;

	use(heap, NR_OBJECTS);
	heap_validate((struct heap *)(void *)heap);
	arena_heap_trim(heap, SIZE_MAX);
	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.used_bytes, 0);
	arena_heap_destroy(heap);
}

TEST(at_hand, "heap_inline/a pair allocates without a call: the object that was freed last comes back")
{
	struct arena_heap *heap = fresh();
	struct arena_heap_local *local = arena_heap_local(heap);
	void *object = arena_heap_alloc(heap, 64);

	/* Where objects are looked after nothing is at hand. */
	if (local == (struct arena_heap_local *)(void *)&cache_none)
		return;
	arena_heap_free_inline(local, object);
	CHECK(*local->fronts[3].word);
	CHECK_EQ((uintptr_t)arena_heap_alloc_inline(heap, local, 64), (uintptr_t)object);
	arena_heap_destroy(heap);
}

TEST(others, "heap_inline/objects of other heaps, of a heap in memory of the program, large ones and NULL")
{
	static _Alignas(4096) char memory[16 << 20];
	struct arena_heap_options options = { .memory = memory, .memory_bytes = sizeof(memory) };
	struct arena_heap *heap = fresh(), *other = fresh(), *supplied = arena_heap_create(&options);
	struct arena_heap_local *local = arena_heap_local(heap);

	CHECK(supplied);
	use(supplied, 1000);
	for (size_t bytes = 0; bytes < 4 << 20; bytes = bytes * 2 + 1) {
		arena_heap_free_inline(local, arena_heap_alloc(other, bytes));
		arena_heap_free_inline(local, arena_heap_alloc_inline(heap, local, bytes));
		if (bytes < 1 << 20)
			arena_heap_free_inline(local, arena_heap_alloc_inline(supplied, arena_heap_local(supplied), bytes));
	}
	arena_heap_free_inline(local, NULL);
	arena_heap_destroy(supplied);
	arena_heap_destroy(other);
	arena_heap_destroy(heap);
}

struct task {
	struct arena_heap *heap;
	void *objects[NR_OBJECTS];
};

static void *free_elsewhere(void *context)
{
	struct task *task = context;
	struct arena_heap_local *local = arena_heap_local(task->heap);

	for (size_t i = 0; i < NR_OBJECTS; i++)
		free_checked(local, task->objects[i], i);
	use(task->heap, 1000);
	return NULL;
}

TEST(threads, "heap_inline/another thread frees what this one allocated, and ends")
{
	static struct task task;
	struct arena_heap_local *local;
	pthread_t thread;

	task.heap = fresh();
	local = arena_heap_local(task.heap);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < NR_OBJECTS; i++)
			task.objects[i] = alloc_filled(task.heap, local, i);
		CHECK_EQ(pthread_create(&thread, NULL, free_elsewhere, &task), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
	}
	heap_validate((struct heap *)(void *)task.heap);
	arena_heap_destroy(task.heap);
}

static void free_twice(void *object)
{
	struct arena_heap_local *local = arena_heap_local(arena_heap_of(object));

	arena_heap_free_inline(local, object);
	arena_heap_free_inline(local, object);
}

static void free_inside(void *object)
{
	arena_heap_free_inline(arena_heap_local(arena_heap_of(object)), (char *)object + 16);
}

TEST(misuse, "heap_inline/a double free and a free of the middle are caught")
{
	struct arena_heap *heap = fresh();
	void (*const wrong[])(void *) = { free_twice, free_inside };

	for (size_t bytes = 20; bytes < 100000; bytes *= 7)
		for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
			struct death death;

			harness_child(&death, wrong[i], arena_heap_alloc(heap, bytes));
			CHECK(harness_died(&death, SIGABRT));
			CHECK_HAS(death.text, "free");
		}
	arena_heap_destroy(heap);
}
