// SPDX-License-Identifier: MIT
/*
 * Random operations on two heaps of each source against a naive allocator's books: all live objects, sorted by address. Each object lies
 * apart from all others as far as it may be written, is aligned, belongs to its heap, and holds what was written to it; the books of
 * chunks balance. Sizes are those of programs: mostly small, now and then pages or megabytes.
 *
 * MODEL_STEPS=N does N operations for each source, 10,000 at least; tests/malloc/long/random.sh does many. Fewer are done by default where
 * a sanitizer looks at each access, or the heap at each object (make VERIFY=1). One thread: tests/stress/heap.c is about several.
 * The seed is printed.
 */
#include <stdlib.h>
#include <string.h>

#include "checked.h"
#include "heap.h"
#include "tests/harness.h"

enum { NR_OBJECTS = 3000, NR_STEPS = 1500000, SANITIZED_SHARE = 6, VALIDATE_EVERY = 50000 };
/* Larger objects are written and read at some places only: all of them would be slow. */
enum { WHOLE_BYTES = 4096, NR_PLACES = 16, WORD_BYTES = sizeof(uint64_t) };

struct object {
	unsigned char *data;	/* NULL: not live */
	size_t bytes;		/* asked for, and written */
	size_t usable_bytes;	/* nobody else's */
	uint64_t mark;		/* its words begin with this one */
	size_t heap;
};

enum operation { ALLOC, CALLOC, ALIGNED, REALLOC, FREE, NR_OPERATIONS };

struct world {
	struct heap *heaps[2];
	enum arena_source source;
	struct object objects[NR_OBJECTS];
	struct object *live[NR_OBJECTS];	/* by address */
	size_t nr_live;
	size_t done[NR_OPERATIONS];
	struct random random;
};

/* ---------------------------------------------------------------- the naive books */

/* How many live objects begin below @address. */
static size_t books_rank(const struct world *world, const unsigned char *address)
{
	size_t low = 0, high = world->nr_live;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (world->live[middle]->data < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void check_apart(const struct object *low, const struct object *high)
{
	/* Also objects of no bytes have addresses of their own. */
	if ((uintptr_t)low->data + size_max(low->usable_bytes, 1) > (uintptr_t)high->data)
		harness_fail(__FILE__, __LINE__, "%zu bytes at %p and %zu at %p overlap", low->usable_bytes, (void *)low->data,
			     high->usable_bytes, (void *)high->data);
}

/* Neighbors are enough: all others are apart already. */
static void books_add(struct world *world, struct object *object)
{
	size_t rank = books_rank(world, object->data);
	struct object **place = &world->live[rank];

	if (rank > 0)
		check_apart(place[-1], object);
	if (rank < world->nr_live)
		check_apart(object, *place);
	memmove(place + 1, place, (world->nr_live - rank) * sizeof(*place));
	*place = object;
	world->nr_live++;
}

static void books_remove(struct world *world, struct object *object)
{
	size_t rank = books_rank(world, object->data);
	struct object **place = &world->live[rank];

	CHECK(rank < world->nr_live && *place == object);
	world->nr_live--;
	memmove(place, place + 1, (world->nr_live - rank) * sizeof(*place));
}

/* ---------------------------------------------------------------- content */

/* Another one in each place of an object, so that what has moved is seen. */
static uint64_t word_at(const struct object *object, size_t at)
{
	return object->mark + at * UINT64_C(0x9e3779b97f4a7c15);
}

static void put_word(const struct object *object, size_t at, size_t nr_bytes)
{
	uint64_t word = word_at(object, at);

	memcpy(object->data + at, &word, nr_bytes);
}

static bool has_word(const struct object *object, size_t at, size_t nr_bytes)
{
	uint64_t word = word_at(object, at);

	return !memcmp(object->data + at, &word, nr_bytes);
}

static size_t step_of(size_t bytes)
{
	return bytes <= WHOLE_BYTES ? WORD_BYTES : bytes / NR_PLACES / WORD_BYTES * WORD_BYTES;
}

/* All words or those of some places, the last one, and the bytes behind it. */
static void write_content(const struct object *object)
{
	size_t step = step_of(object->bytes), tail = object->bytes % WORD_BYTES, words = object->bytes - tail;

	for (size_t at = 0; at < words; at += step)
		put_word(object, at, WORD_BYTES);
	if (words)
		put_word(object, words - WORD_BYTES, WORD_BYTES);
	put_word(object, words, tail);
}

/* Whether the first @bytes are as they were written. */
static void check_content(const struct object *object, size_t bytes)
{
	size_t step = step_of(object->bytes), tail = object->bytes % WORD_BYTES, words = object->bytes - tail;
	bool good = true;

	for (size_t at = 0; at + WORD_BYTES <= bytes; at += step)
		good &= has_word(object, at, WORD_BYTES);
	if (words && words <= bytes)
		good &= has_word(object, words - WORD_BYTES, WORD_BYTES);
	if (bytes == object->bytes)
		good &= has_word(object, words, tail);
	if (!good)
		harness_fail(__FILE__, __LINE__, "%zu bytes at %p do not hold what was written", object->bytes, (void *)object->data);
}

static bool is_zero(const unsigned char *data, size_t bytes)
{
	return !bytes || (!data[0] && !memcmp(data, data + 1, bytes - 1));
}

/* ---------------------------------------------------------------- operations */

static size_t any_size(struct random *random)
{
	switch (random_below(random, 100)) {
	case 0: return random_below(random, 3 * MiB);
	case 1 ... 5: return random_below(random, 64 * KiB);
	case 6 ... 30: return random_below(random, 4000);
	default: return random_below(random, 300);
	}
}

/* Huge pages are as few as the machine has reserved; everything else there is enough of. */
static bool is_refused(const struct world *world, const void *data)
{
	CHECK(data || world->source == ARENA_SOURCE_HUGETLB);
	return !data;
}

static void took(struct world *world, struct object *object, size_t bytes, size_t align_bytes)
{
	CHECK_EQ((uintptr_t)object->data % align_bytes, 0);
	CHECK(heap_of(object->data) == world->heaps[object->heap]);
	object->bytes = bytes;
	object->usable_bytes = heap_usable_bytes(object->data);
	CHECK(object->usable_bytes >= bytes);
	object->mark = random_next(&world->random);
	books_add(world, object);
	write_content(object);
}

static enum operation any_allocation(struct random *random)
{
	size_t any = random_below(random, 8);

	return any == 0 ? CALLOC : any == 1 ? ALIGNED : ALLOC;
}

static void allocate(struct world *world, struct object *object)
{
	enum operation operation = any_allocation(&world->random);
	size_t bytes = any_size(&world->random), align = 16;
	struct heap *heap;

	object->heap = random_below(&world->random, 2);
	heap = world->heaps[object->heap];
	world->done[operation]++;
	switch (operation) {
	case CALLOC:
		object->data = heap_calloc(heap, bytes);
		CHECK(!object->data || is_zero(object->data, bytes));
		break;
	case ALIGNED:
		align = (size_t)16 << random_below(&world->random, 9);
		object->data = heap_alloc_aligned(heap, bytes, align);
		break;
	default:
		object->data = heap_alloc(heap, bytes);
	}
	if (!is_refused(world, object->data))
		took(world, object, bytes, align);
}

static void reallocate(struct world *world, struct object *object)
{
	size_t bytes = any_size(&world->random) + 1, kept = size_min(bytes, object->bytes);
	unsigned char *data;

	world->done[REALLOC]++;
	data = heap_realloc(world->heaps[object->heap], object->data, bytes);
	if (is_refused(world, data)) {
		check_content(object, object->bytes);
		return;
	}
	books_remove(world, object);
	object->data = data;
	/* What was written at the old places is still there. */
	check_content(object, kept);
	took(world, object, bytes, 16);
}

static void release(struct world *world, struct object *object)
{
	world->done[FREE]++;
	check_content(object, object->bytes);
	books_remove(world, object);
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

/* ---------------------------------------------------------------- the test */

static size_t steps_wanted(void)
{
	const char *text = getenv("MODEL_STEPS");

	if (text)
		return strtoull(text, NULL, 10);
	return harness_sanitized() || checked_is_on() ? NR_STEPS / SANITIZED_SHARE : NR_STEPS;
}

/* All of them were done, and none of the kinds was left out. */
static void check_done(const struct world *world, size_t wanted)
{
	const size_t *done = world->done;
	size_t sum = 0;

	harness_note("%zu operations: %zu alloc, %zu calloc, %zu aligned, %zu realloc, %zu free", wanted, done[ALLOC], done[CALLOC],
		     done[ALIGNED], done[REALLOC], done[FREE]);
	for (size_t i = 0; i < NR_OPERATIONS; i++) {
		sum += done[i];
		CHECK(done[i] >= wanted / 50);
	}
	CHECK_EQ(sum, wanted);
}

static void end(struct world *world)
{
	for (size_t i = 0; i < NR_OBJECTS; i++)
		if (world->objects[i].data)
			release(world, &world->objects[i]);
	CHECK_EQ(world->nr_live, 0);
	validate(world);
	for (size_t i = 0; i < 2; i++) {
		heap_flush(world->heaps[i]);
		CHECK_EQ(world->heaps[i]->pages.mapped, 0);
		heap_destroy(world->heaps[i]);
	}
}

TEST_EACH_SOURCE(random_operations, "model/heap: millions of operations on two heaps")
{
	static struct world world;
	size_t wanted = steps_wanted();

	world.source = source;
	world.random.state = harness_seed();
	for (size_t i = 0; i < 2; i++)
		world.heaps[i] = heap_create(source);
	for (size_t i = 0; i < wanted; i++) {
		step(&world);
		if (i % VALIDATE_EVERY == 0)
			validate(&world);
	}
	check_done(&world, wanted);
	end(&world);
}
