// SPDX-License-Identifier: MIT
/*
 * A trace as a mix: how many objects of which size lived how long. It is what bench/traces holds, and arena-bench-malloc replays.
 *
 *	KIND FIRST LAST STEPS AGE:COUNT... | AGE:COUNT... | ...
 *
 * KIND is malloc or calloc; an object begins with FIRST bytes and has LAST after STEPS calls of realloc. AGE is a class
 * (mix_age_class()) of the number of objects that were made while it lived, or end: it was never freed. | begins the next eighth of
 * the program, by objects made: so what a program builds up and takes down again is there in the mix.
 *
 * Sizes are put together, eight bytes wide up to 1 KiB and a sixteenth beyond; those that grow by powers of two. Each group stands for its most
 * frequent size, and not for a round one, which would please an allocator whose classes are as round. Not kept: threads, alignment, and
 * which object was made beside which.
 */
#include "bench/trace.h"

#include "bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NR_AGES = 40, AGE_END = NR_AGES - 1, NR_PHASES = 8, SMALL_BYTES = 1024 };

struct object {
	uint64_t first_bytes, last_bytes;
	uint64_t born;		/* how many objects were made before */
	uint32_t steps;		/* calls of realloc */
	uint16_t group;		/* of first_bytes; with steps a coarser one, and that of last_bytes */
	uint16_t last_group;
	uint8_t steps_group;
	uint8_t age;		/* class */
	bool is_zero;		/* from calloc */
};

static unsigned int log2_of(uint64_t value)
{
	return 63 - (unsigned int)__builtin_clzl(value | 1);
}

static uint16_t fine_group(uint64_t bytes)
{
	unsigned int power = log2_of(bytes);

	if (bytes <= SMALL_BYTES)
		return (uint16_t)((bytes + 7) / 8);
	return (uint16_t)(SMALL_BYTES + 16 * power + (bytes >> (power - 4) & 15));
}

static void set_groups(struct object *object)
{
	if (!object->steps) {
		object->group = fine_group(object->first_bytes);
		return;
	}
	object->group = (uint16_t)log2_of(object->first_bytes);
	object->last_group = (uint16_t)log2_of(object->last_bytes);
	object->steps_group = (uint8_t)(1 + log2_of(object->steps));
}

/* ---------------------------------------------------------------- objects of a trace */

/* Where the object of each ticket is; tickets are nearly as dense as events. */
struct lives {
	struct object *objects;
	uint32_t *of_ticket;	/* index plus 1; 0: none that is alive */
	uint64_t first_ticket, nr_tickets;
	size_t nr;
};

static struct object *object_of(struct lives *lives, uint64_t ticket)
{
	uint64_t at = ticket - lives->first_ticket;

	return at < lives->nr_tickets && lives->of_ticket[at] ? &lives->objects[lives->of_ticket[at] - 1] : NULL;
}

static void make(struct lives *lives, const struct event *event)
{
	lives->objects[lives->nr] = (struct object){
		.first_bytes = event->bytes, .last_bytes = event->bytes, .born = lives->nr,
		.is_zero = event->op == TRACE_CALLOC, .age = AGE_END,
	};
	lives->of_ticket[event->ticket - lives->first_ticket] = (uint32_t)++lives->nr;
}

static void follow(struct lives *lives, const struct event *event)
{
	struct object *old = object_of(lives, event->old);

	if (event->op == TRACE_FREE && old) {
		old->age = (uint8_t)mix_age_class(lives->nr - 1 - old->born);
		lives->of_ticket[event->old - lives->first_ticket] = 0;
	} else if (event->op == TRACE_REALLOC && old) {
		old->last_bytes = event->bytes;
		old->steps++;
		lives->of_ticket[event->ticket - lives->first_ticket] = lives->of_ticket[event->old - lives->first_ticket];
		lives->of_ticket[event->old - lives->first_ticket] = 0;
	} else if (event->op != TRACE_FREE) {
		make(lives, event);
	}
}

/* Those of a parent end without having begun here: they are left out. */
static bool find_lives(const struct trace *trace, struct lives *lives)
{
	*lives = (struct lives){ .first_ticket = trace->first_ticket };
	lives->nr_tickets = trace->nr ? trace->events[trace->nr - 1].ticket + 1 - trace->first_ticket : 0;
	lives->objects = calloc(trace->nr + 1, sizeof(*lives->objects));
	lives->of_ticket = calloc(lives->nr_tickets + 1, sizeof(*lives->of_ticket));
	if (!lives->objects || !lives->of_ticket)
		return false;
	for (size_t i = 0; i < trace->nr; i++)
		follow(lives, &trace->events[i]);
	for (size_t i = 0; i < lives->nr; i++)
		set_groups(&lives->objects[i]);
	return true;
}

/* ---------------------------------------------------------------- groups */

static int compare_groups(const struct object *x, const struct object *y)
{
	if (x->is_zero != y->is_zero)
		return x->is_zero - y->is_zero;
	if (x->steps_group != y->steps_group)
		return x->steps_group - y->steps_group;
	return x->group != y->group ? x->group - y->group : x->last_group - y->last_group;
}

static int compare(const void *a, const void *b)
{
	const struct object *x = a, *y = b;
	int groups = compare_groups(x, y);

	return groups ? groups : (x->first_bytes > y->first_bytes) - (x->first_bytes < y->first_bytes);
}

/* Objects are sorted by size. */
static const struct object *most_frequent(const struct object *objects, size_t nr)
{
	size_t best = 0, best_nr = 0, start = 0;

	for (size_t i = 0; i < nr; i++) {
		if (objects[i].first_bytes != objects[start].first_bytes)
			start = i;
		if (i + 1 - start > best_nr) {
			best_nr = i + 1 - start;
			best = start;
		}
	}
	return &objects[best];
}

static void print_ages(const size_t ages[NR_AGES])
{
	for (unsigned int age = 0; age < AGE_END; age++)
		if (ages[age])
			printf(" %u:%zu", age, ages[age]);
	if (ages[AGE_END])
		printf(" end:%zu", ages[AGE_END]);
}

/* Of @nr_all objects these @nr are alike. */
static void print_group(const struct object *objects, size_t nr, size_t nr_all)
{
	const struct object *model = most_frequent(objects, nr);
	size_t ages[NR_PHASES][NR_AGES] = { 0 };
	unsigned int last = 0;

	printf("%s %" PRIu64 " %" PRIu64 " %u", model->is_zero ? "calloc" : "malloc", model->first_bytes, model->last_bytes,
	       model->steps);
	for (size_t i = 0; i < nr; i++) {
		unsigned int phase = (unsigned int)(objects[i].born * NR_PHASES / nr_all);

		ages[phase][objects[i].age]++;
		last = phase > last ? phase : last;
	}
	for (unsigned int phase = 0; phase <= last; phase++) {
		if (phase)
			printf(" |");
		print_ages(ages[phase]);
	}
	putchar('\n');
}

int bench_mix(const char *path)
{
	struct trace trace;
	struct lives lives;

	if (trace_read(path, &trace))
		return 1;
	if (!find_lives(&trace, &lives))
		return bench_fail("%s: out of memory", path);
	qsort(lives.objects, lives.nr, sizeof(*lives.objects), compare);
	printf("# %zu objects in %zu calls\n", lives.nr, trace.nr);
	for (size_t i = 0, end; i < lives.nr; i = end) {
		for (end = i + 1; end < lives.nr && !compare_groups(&lives.objects[i], &lives.objects[end]); end++)
			;
		print_group(&lives.objects[i], end - i, lives.nr);
	}
	free(lives.objects);
	free(lives.of_ticket);
	free(trace.events);
	return fflush(stdout) || ferror(stdout) ? bench_fail("cannot write") : 0;
}
