// SPDX-License-Identifier: MIT
/*
 * Many threads making, filling, resetting, handing over and freeing arenas, with validation whenever all stand still. Models a server
 * whose requests each have an arena, some of which another thread finishes. Not a benchmark.
 */
#include <pthread.h>
#include <string.h>

#include "atomic.h"
#include "chunk.h"
#include "geometry.h"
#include "internal.h"
#include "small.h"
#include "tests/harness.h"

#define THREADS 6
#define ROUNDS 5
#define STEPS 4000
/* Guests without hardware help do not get through all steps. */
#define ROUND_SECONDS 3

static enum arena_source asked;
static pthread_barrier_t barrier;
/* Arenas on their way from one thread to another; atomic, release in hand_over() pairs with the acquire there. */
static struct arena *shelf[8];

/* Fill an arena with objects that carry its address, and check all of them at the end. */
static void use(struct arena *arena, struct random *rng)
{
	uintptr_t *objects[64];
	size_t nr = random_below(rng, 64), bytes = random_below(rng, 50) ? 16 + random_below(rng, 500) : 300000;

	for (size_t i = 0; i < nr; i++) {
		objects[i] = arena_alloc(arena, bytes);
		if (!objects[i]) {
			nr = i;
			break;
		}
		objects[i][0] = (uintptr_t)arena;
		objects[i][bytes / sizeof(uintptr_t) - 1] = (uintptr_t)arena;
	}
	for (size_t i = 0; i < nr; i++)
		CHECK(objects[i][0] == (uintptr_t)arena &&
		      objects[i][bytes / sizeof(uintptr_t) - 1] == (uintptr_t)arena);
}

static struct arena *hand_over(struct arena *arena, size_t place)
{
	return __atomic_exchange_n(&shelf[place], arena, __ATOMIC_ACQ_REL);
}

static void one_step(struct random *rng)
{
	const struct arena_options options = { .source = asked, .limit_bytes = 32 * MiB };
	struct arena *arena = arena_new(&options);
	struct arena_memory memory;

	CHECK(arena);
	use(arena, rng);
	switch (random_below(rng, 8)) {
	case 0: arena_reset(arena); break;
	case 1: arena_reset_release(arena); break;
	case 2: arena = hand_over(arena, random_below(rng, 8)); break;
	case 3: arena_memory(&memory); break;
	case 4: random_below(rng, 20) ? 0 : arena_trim(CHUNK_BYTES); break;
	default: break;
	}
	if (!arena)
		return;
	use(arena, rng);
	arena_validate(arena);
	arena_free(arena);
}

static void *work(void *argument)
{
	struct random rng = { .state = harness_seed() + (uintptr_t)argument };
	size_t steps = harness_sanitized() ? STEPS / 10 : STEPS;

	for (size_t round = 0; round < ROUNDS; round++) {
		double end = harness_seconds() + ROUND_SECONDS;

		for (size_t i = 0; i < steps && harness_seconds() < end; i++)
			one_step(&rng);
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD) {
			chunk_validate();
			small_validate();
		}
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void run(enum arena_source source)
{
	pthread_t threads[THREADS];
	struct arena_memory memory;

	asked = source;
	CHECK(!pthread_barrier_init(&barrier, NULL, THREADS));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
	for (size_t i = 0; i < THREADS; i++)
		CHECK(!pthread_join(threads[i], NULL));
	for (size_t i = 0; i < 8; i++)
		arena_free(hand_over(NULL, i));
	arena_trim(SIZE_MAX);
	arena_memory(&memory);
	CHECK_EQ(memory.nr_arenas, 0);
	CHECK_EQ(memory.deferred_arenas, 0);
	CHECK_EQ(memory.small_bytes, 0);
	for (int i = 0; i < ARENA_NR_SOURCES; i++) {
		CHECK_EQ(memory.source[i].handed_chunks, memory.source[i].returned_chunks);
		CHECK_EQ(memory.source[i].mapped_chunks + memory.source[i].cached_chunks, 0);
	}
	chunk_validate();
	small_validate();
}

TEST_EACH_SOURCE(threads, "stress/arena")
{
	run(source);
}

TEST(threads_closed, "stress/arena without guard pages and few mappings", "ARENA_GUARD=0", "ARENA_MAP_LIMIT=100")
{
	run(ARENA_SOURCE_PAGES);
}
