// SPDX-License-Identifier: MIT
/*
 * Random operations on a few arenas against a naive reference that remembers each object and what was written to it. Finds
 * overlaps, lost contents, wrong alignment, wrong statistics. Models one thread; says nothing of speed.
 */
#include <stdlib.h>
#include <string.h>

#include "chunk.h"
#include "geometry.h"
#include "internal.h"
#include "small.h"
#include "tests/harness.h"
#include "window.h"

#define ARENAS 6
#define OBJECTS_MAX 40000
/* Guests without hardware help do not get through all steps. */
#define CASE_SECONDS 15

struct object {
	unsigned char *data;
	size_t bytes;
	unsigned char stamp;
};

struct model {
	struct arena *arena;
	enum arena_source source;
	size_t limit_bytes;
	size_t nr;
	size_t used_bytes;	/* without alignment */
	struct object *objects;
};

static struct random rng;
static struct model models[ARENAS];
static enum arena_source asked;
static unsigned char *gone[1024]; /* addresses that must fault */
static size_t nr_gone;
static bool may_fail;	/* allocation, also without a limit */
static bool check_faults = true;

static void write_stamp(struct object *object)
{
	object->stamp = (unsigned char)random_next(&rng);
	/* Large objects are stamped at both ends and at some places between. */
	if (object->bytes <= 4096) {
		memset(object->data, object->stamp, object->bytes);
		return;
	}
	memset(object->data, object->stamp, 64);
	memset(object->data + object->bytes - 64, object->stamp, 64);
	for (size_t at = 0; at < object->bytes; at += 4096)
		object->data[at] = object->stamp;
}

static void check_stamp(const struct object *object)
{
	size_t step = object->bytes <= 4096 ? 1 : 4096;

	for (size_t at = 0; at < object->bytes; at += step)
		CHECK(object->data[at] == object->stamp);
	if (object->bytes)
		CHECK(object->data[object->bytes - 1] == object->stamp);
}

static void check_all(const struct model *model)
{
	struct arena_stats stats;

	for (size_t i = 0; i < model->nr; i++)
		check_stamp(&model->objects[i]);
	arena_validate(model->arena);
	arena_stats(model->arena, &stats);
	CHECK(stats.used_bytes >= model->used_bytes && stats.held_bytes >= stats.used_bytes);
	CHECK(!model->limit_bytes || stats.held_bytes <= model->limit_bytes);
}

static int by_address(const void *a, const void *b)
{
	const struct object *x = a, *y = b;

	return (x->data > y->data) - (x->data < y->data);
}

/* Costs a sort, so it is asked for rarely. */
static void check_overlap(void)
{
	static struct object all[ARENAS * OBJECTS_MAX];
	size_t nr = 0;

	for (size_t m = 0; m < ARENAS; m++)
		for (size_t i = 0; i < models[m].nr; i++)
			if (models[m].objects[i].bytes)
				all[nr++] = models[m].objects[i];
	qsort(all, nr, sizeof(*all), by_address);
	for (size_t i = 1; i < nr; i++)
		CHECK(all[i - 1].data + all[i - 1].bytes <= all[i].data);
}

static size_t random_bytes(void)
{
	switch (random_below(&rng, 200)) {
	case 0: return random_below(&rng, 3 * CHUNK_BYTES);
	case 1: case 2: case 3: return random_below(&rng, 100000);
	case 4: return 0;
	default: return random_below(&rng, 300);
	}
}

static void create(struct model *model)
{
	struct arena_options options = { .source = asked, .name = "model" };

	options.limit_bytes = random_below(&rng, 3) ? 0 : random_below(&rng, 16 * MiB) + 4096;
	if (!options.limit_bytes && !random_below(&rng, 4))
		options.reserve_bytes = random_below(&rng, 3 * CHUNK_BYTES);
	model->limit_bytes = options.limit_bytes;
	model->arena = arena_new(&options);
	if (!model->arena && may_fail) {
		options.reserve_bytes = 0;
		model->arena = arena_new(&options);
	}
	model->nr = model->used_bytes = 0;
	CHECK(model->arena);
	CHECK_EQ(arena_source_of(model->arena), asked);
}

static void note_gone(const struct model *model)
{
	const struct object *object = model->nr ? &model->objects[random_below(&rng, model->nr)] : NULL;

	/* An object of no bytes may lie at the end of a run, where another arena's memory begins. */
	if (object && object->bytes)
		gone[nr_gone++ % 1024] = object->data;
}

static void forget(struct model *model)
{
	model->nr = model->used_bytes = 0;
}

static void allocate(struct model *model)
{
	size_t bytes = random_bytes(), align = (size_t)1 << random_below(&rng, random_below(&rng, 50) ? 7 : 22);
	struct object *object = &model->objects[model->nr];

	if (model->nr == OBJECTS_MAX)
		return;
	object->data = arena_alloc_aligned(model->arena, bytes, align);
	if (!object->data) {
		CHECK(model->limit_bytes || may_fail);
		return;
	}
	CHECK((uintptr_t)object->data % align == 0);
	object->bytes = bytes;
	write_stamp(object);
	model->used_bytes += bytes;
	model->nr++;
}

static void resize(struct model *model)
{
	struct object *object;
	size_t bytes = random_bytes(), kept;
	unsigned char *data;

	if (!model->nr)
		return;
	object = &model->objects[random_below(&rng, 2) ? model->nr - 1 : random_below(&rng, model->nr)];
	kept = size_min(size_min(bytes, object->bytes), 64);
	data = arena_realloc(model->arena, object->data, object->bytes, bytes);
	if (!data) {
		check_stamp(object);
		return;
	}
	for (size_t i = 0; i < kept; i++)
		CHECK(data[i] == object->stamp);
	model->used_bytes += bytes;
	model->used_bytes -= size_min(model->used_bytes, object->bytes + bytes); /* a lower bound is enough */
	object->data = data;
	object->bytes = bytes;
	write_stamp(object);
}

static void step(struct model *model)
{
	size_t choice = random_below(&rng, 20000);

	if (choice < 10) {
		check_all(model);
		note_gone(model);
		arena_free(model->arena);
		create(model);
	} else if (choice < 20) {
		check_all(model);
		arena_reset(model->arena);
		forget(model);
	} else if (choice < 25) {
		check_all(model);
		note_gone(model);
		arena_reset_release(model->arena);
		forget(model);
	} else if (choice < 1000) {
		resize(model);
	} else if (choice < 1010) {
		arena_trim(random_below(&rng, 8 * CHUNK_BYTES));
	} else {
		allocate(model);
	}
}

/* Accessible still, and counted as such: there was no room in the address map. */
static bool is_deferred(const void *address)
{
	struct window *window = window_lookup((uintptr_t)address);

	return window->state[window_unit(window, (uintptr_t)address)] == UNIT_DEFERRED;
}

static void check_gone(void)
{
	size_t nr_deferred = 0;
	struct arena_memory memory;

	for (size_t i = 0; check_faults && i < size_min(nr_gone, 1024); i++)
		if (!harness_faults(gone[i])) {
			CHECK(is_deferred(gone[i]));
			nr_deferred++;
		}
	arena_memory(&memory);
	CHECK(!nr_deferred || memory.deferred_arenas);
}

static void run(enum arena_source which, size_t steps)
{
	size_t i;

	/* Tools that check each access make each one slow, as guests without hardware help do. */
	if (harness_sanitized() || which == ARENA_SOURCE_DEV || which == ARENA_SOURCE_HUGETLB)
		steps /= 10;
	rng.state = harness_seed();
	asked = which;
	/* Their memory may be used up by what the model keeps. */
	may_fail |= which == ARENA_SOURCE_DEV || which == ARENA_SOURCE_HUGETLB;
	for (size_t m = 0; m < ARENAS; m++) {
		models[m].objects = calloc(OBJECTS_MAX, sizeof(struct object));
		create(&models[m]);
	}
	for (i = 0; i < steps && harness_seconds() < CASE_SECONDS; i++) {
		step(&models[random_below(&rng, ARENAS)]);
		if (i % (steps / 20) == 0) {
			check_overlap();
			chunk_validate();
			small_validate();
			check_gone();
		}
	}
	for (size_t m = 0; m < ARENAS; m++)
		check_all(&models[m]);
	/* Even the slowest machine must have seen something. */
	CHECK(i >= 1000 && nr_gone > 0);
	harness_note("%zu of %zu steps, %zu objects seen to fault", i, steps, size_min(nr_gone, 1024));
}

TEST_EACH_SOURCE(model, "model/arena")
{
	run(source, 2000000);
}

TEST(model_closed, "model/arena without guard pages and few mappings", "ARENA_GUARD=0", "ARENA_MAP_LIMIT=200")
{
	run(ARENA_SOURCE_PAGES, 500000);
}

TEST(model_tight, "model/arena with few addresses", "ARENA_SMALL_CHUNKS=64", "ARENA_WINDOW_CHUNKS=512",
     "ARENA_REST_CHUNKS=4", "ARENA_CACHED_CHUNKS=2")
{
	may_fail = true;
	check_faults = false; /* addresses come back early */
	run(ARENA_SOURCE_PAGES, 300000);
}
