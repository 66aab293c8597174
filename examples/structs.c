// SPDX-License-Identifier: MIT
/*
 * 100,000 structs in a slice, over and over: on the collected heap, where the slice grows by append and leaves its old arrays to the
 * collector, and in an arena that is freed at once. Prints how often the collector had to run for it.
 *
 *	structs [PASSES]
 */
#include <arena/gc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { STRUCTS = 100000, DOUBLED = 256 };

struct record {
	const char *name;
	size_t name_len;
	uint64_t age;
};
ARENA_GC_LAYOUT(record_layout, struct record, name);

/* What all passes of a way took. */
struct cost {
	uint64_t bytes, allocations, sum;
};

static struct arena_gc *gc;
static struct arena_gc_type *record_type;

static void *need(void *object)
{
	if (!object) {
		fputs("structs: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return object;
}

static struct record *array_new(size_t nr, struct cost *cost)
{
	cost->bytes += nr * sizeof(struct record);
	cost->allocations++;
	return need(arena_gc_alloc_array(gc, record_type, nr));
}

/* As Go's append: twice as large while it is small, later by a quarter. */
static size_t grown(size_t capacity)
{
	if (!capacity)
		return 1;
	return capacity < DOUBLED ? 2 * capacity : capacity + (capacity + 3 * DOUBLED) / 4;
}

/* Each struct is copied with its pointer by a store that the collector knows of. */
static void copy(struct record *to, const struct record *from)
{
	arena_gc_store(&to->name, from->name);
	to->name_len = from->name_len;
	to->age = from->age;
}

static void append_collected(struct cost *cost)
{
	struct record *slice = NULL;
	size_t capacity = 0;

	for (size_t len = 0; len < STRUCTS; len++) {
		if (len == capacity) {
			struct record *larger = array_new(grown(capacity), cost);

			for (size_t i = 0; i < len; i++)
				copy(&larger[i], &slice[i]);
			slice = larger;
			capacity = grown(capacity);
		}
		copy(&slice[len], &(struct record){ "Alex", 4, 123 });
	}
	cost->sum += slice[STRUCTS / 2].age + slice[STRUCTS - 1].name_len;
}

static void fill_arena(struct cost *cost)
{
	struct arena *arena = need(arena_new(NULL));
	struct record *slice = need(arena_make_array(arena, struct record, STRUCTS));
	struct arena_stats stats;

	for (size_t i = 0; i < STRUCTS; i++) {
		struct record *record = need(arena_make(arena, struct record));

		*record = (struct record){ "Alex", 4, 123 };
		slice[i] = *record;
	}
	cost->sum += slice[STRUCTS / 2].age + slice[STRUCTS - 1].name_len;
	arena_stats(arena, &stats);
	cost->bytes += stats.used_bytes;
	cost->allocations++;
	arena_free(arena);
}

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static uint64_t nr_cycles(void)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return stats.nr_cycles;
}

static uint64_t run(const char *name, void (*pass)(struct cost *cost), unsigned long passes)
{
	struct cost cost = { 0 };
	double start_ms, nr = (double)passes;
	uint64_t cycles;

	/* What was left of another way is not this one's. */
	arena_gc_collect(gc);
	cycles = nr_cycles();
	start_ms = now_ms();
	for (unsigned long i = 0; i < passes; i++)
		pass(&cost);
	printf("%-10s %10.3f %10.2f %12.1f %12.2f\n", name, (now_ms() - start_ms) / nr, (double)cost.bytes / 1e6 / nr,
	       (double)cost.allocations / nr, (double)(nr_cycles() - cycles) / nr);
	return cost.sum;
}

int main(int argc, char **argv)
{
	unsigned long passes = argc > 1 ? strtoul(argv[1], NULL, 10) : 100;
	uint64_t collected, freed;

	gc = need(arena_gc_create(NULL));
	record_type = need(arena_gc_type_create(gc, &record_layout));
	if (!passes || arena_gc_attach(gc))
		return EXIT_FAILURE;
	printf("each pass       ms         MB  allocations       cycles\n");
	collected = run("collector", append_collected, passes);
	freed = run("arena", fill_arena, passes);
	arena_gc_destroy(gc);
	return collected == freed ? EXIT_SUCCESS : EXIT_FAILURE;
}
