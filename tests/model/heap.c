// SPDX-License-Identifier: MIT
/*
 * Random operations on two heaps against what must be true of them: each object holds what was written to it, is aligned, and belongs
 * to its heap; the books of chunks balance. Sizes are those of programs: mostly small, now and then pages or megabytes.
 *
 * One thread: tests/stress/heap.c is about several. The seed is printed.
 */
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "tests/harness.h"

enum { NR_OBJECTS = 3000, NR_STEPS = 1000000, VALIDATE_EVERY = 50000 };

struct object {
	unsigned char *data;
	size_t bytes;
	unsigned char mark;
	size_t heap;
};

struct world {
	struct heap *heaps[2];
	struct object objects[NR_OBJECTS];
	struct random random;
};

static size_t any_size(struct random *random)
{
	switch (random_below(random, 100)) {
	case 0: return random_below(random, 3 * MiB);
	case 1 ... 5: return random_below(random, 64 * KiB);
	case 6 ... 30: return random_below(random, 4000);
	default: return random_below(random, 300);
	}
}

/* At both ends and at a few places between: all of it would be slow for the long ones. */
static void write_marks(struct object *object)
{
	size_t step = object->bytes / 16 + 1;

	for (size_t i = 0; i < object->bytes; i += step)
		object->data[i] = object->mark;
	if (object->bytes)
		object->data[object->bytes - 1] = object->mark;
}

static void check_marks(const struct object *object, size_t bytes)
{
	size_t step = object->bytes / 16 + 1;

	for (size_t i = 0; i < bytes; i += step)
		CHECK_EQ(object->data[i], object->mark);
	if (bytes && bytes == object->bytes)
		CHECK_EQ(object->data[bytes - 1], object->mark);
}

static void took(struct world *world, struct object *object, size_t bytes, size_t align_bytes)
{
	CHECK(object->data);
	CHECK_EQ((uintptr_t)object->data % align_bytes, 0);
	CHECK(heap_of(object->data) == world->heaps[object->heap]);
	CHECK(heap_usable_bytes(object->data) >= bytes);
	object->bytes = bytes;
	object->mark = (unsigned char)random_next(&world->random);
	write_marks(object);
}

static void allocate(struct world *world, struct object *object)
{
	size_t bytes = any_size(&world->random), align = 16;
	struct heap *heap;

	object->heap = random_below(&world->random, 2);
	heap = world->heaps[object->heap];
	switch (random_below(&world->random, 8)) {
	case 0:
		object->data = heap_calloc(heap, bytes);
		for (size_t i = 0; object->data && i < bytes; i++)
			CHECK_EQ(object->data[i], 0);
		break;
	case 1:
		align = (size_t)16 << random_below(&world->random, 9);
		object->data = heap_alloc_aligned(heap, bytes, align);
		break;
	default:
		object->data = heap_alloc(heap, bytes);
	}
	took(world, object, bytes, align);
}

static void reallocate(struct world *world, struct object *object)
{
	size_t bytes = any_size(&world->random) + 1, kept = size_min(bytes, object->bytes);

	object->data = heap_realloc(world->heaps[object->heap], object->data, bytes);
	CHECK(object->data);
	/* What was written at the old places is still there. */
	check_marks(object, kept);
	took(world, object, bytes, 16);
}

static void release(struct world *world, struct object *object)
{
	check_marks(object, object->bytes);
	/* By whichever heap's cache: it belongs where it belongs. */
	heap_free(world->heaps[random_below(&world->random, 2)], object->data);
	object->data = NULL;
}

static void step(struct world *world)
{
	struct object *object = &world->objects[random_below(&world->random, NR_OBJECTS)];

	if (!object->data)
		allocate(world, object);
	else if (random_below(&world->random, 10) == 0)
		reallocate(world, object);
	else
		release(world, object);
}

static void validate(struct world *world)
{
	for (size_t i = 0; i < 2; i++)
		heap_validate(world->heaps[i]);
}

TEST(random_operations, "model/heap: a million operations on two heaps")
{
	static struct world world;
	size_t done = 0;

	world.random.state = harness_seed();
	for (size_t i = 0; i < 2; i++)
		world.heaps[i] = heap_create(ARENA_SOURCE_THP);
	for (; done < NR_STEPS && harness_seconds() < 30; done++) {
		step(&world);
		if (done % VALIDATE_EVERY == 0)
			validate(&world);
	}
	harness_note("%lu operations", (unsigned long)done);
	for (size_t i = 0; i < NR_OBJECTS; i++)
		if (world.objects[i].data)
			release(&world, &world.objects[i]);
	validate(&world);
	for (size_t i = 0; i < 2; i++) {
		heap_flush(world.heaps[i]);
		CHECK_EQ(world.heaps[i]->pages.mapped, 0);
		heap_destroy(world.heaps[i]);
	}
}
