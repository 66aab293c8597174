// SPDX-License-Identifier: MIT
/*
 * What real programs asked of malloc(), once more: the sizes and lifetimes of bench/traces (mix.c says what is in such a file), in random
 * order. A round makes exactly the objects of the mix; those that were never freed go at its end, as when the program ends.
 *
 * The round is worked out before anything is measured, as a table of operations of four bytes: what is measured is the allocator, not
 * random numbers. Every object is written at both ends and once in each page between.
 */
#include "bench/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIX(name, file) \
	__asm__(".pushsection .rodata\n" \
		#name ":\n" \
		".incbin \"" file "\"\n" \
		".byte 0\n" \
		".popsection\n"); \
	extern const char name[] __attribute__((visibility("hidden")));

MIX(mix_python3, "bench/traces/python3.mix")
MIX(mix_gcc, "bench/traces/gcc.mix")
MIX(mix_sqlite3, "bench/traces/sqlite3.mix")
MIX(mix_redis, "bench/traces/redis.mix")

enum { CELLS_MAX = 1 << 16, PHASES_MAX = 8, SIZES_MAX = 4096, SLOTS_MAX = 1 << 18, AGE_END = 255, STEPS_MAX = 64 };
#define NONE UINT32_MAX

/* Objects that are alike. */
struct cell {
	uint64_t first_bytes, last_bytes;
	uint32_t steps;
	uint32_t count;
	uint8_t phase;		/* the eighth of the round that they are made in */
	uint8_t age;		/* class, as bench/trace.h has it */
	bool is_zero;
};

enum op_kind { OP_MALLOC, OP_CALLOC, OP_REALLOC, OP_FREE };

struct op {
	uint32_t kind : 2;
	uint32_t size : 12;	/* index into sizes */
	uint32_t slot : 18;
};

_Static_assert(sizeof(struct op) == 4, "as small as it gets: the table passes through the caches");

/* An object of the round, while that is worked out. */
struct birth {
	uint32_t cell;
	uint32_t slot;
	uint32_t limit;		/* it is freed before the birth of this number */
	uint32_t steps_done;
	uint32_t next;		/* that something happens to before the same birth */
};

struct round {
	struct cell cells[CELLS_MAX];
	uint64_t sizes[SIZES_MAX];
	uint32_t nr_cells, nr_sizes;
	uint32_t nr_births, nr_ops, ops_cap, nr_slots, nr_free_slots;
	struct birth *births;
	uint32_t *due;		/* per birth: the first object that something happens to before it */
	struct op *ops;
	uint32_t free_slots[SLOTS_MAX];
	uint64_t state;		/* of random_next() */
};

/* ---------------------------------------------------------------- reading */

/* "AGE:COUNT"; what comes after it. */
static const char *read_count(const char *at, struct cell *cell)
{
	char *end = (char *)(uintptr_t)at + strlen("end");

	if (*at == 'e')
		cell->age = AGE_END;
	else
		cell->age = (uint8_t)strtoul(at, &end, 10);
	if (*end != ':' || cell->phase >= PHASES_MAX)
		die("a mix is damaged");
	cell->count = (uint32_t)strtoul(end + 1, &end, 10);
	return end;
}

static void add_cell(struct round *round, const struct cell *cell)
{
	if (round->nr_cells == CELLS_MAX)
		die("a mix is too large");
	round->cells[round->nr_cells++] = *cell;
	round->nr_births += cell->count;
	round->ops_cap += cell->count * (2 + cell->steps);
}

/* One cell for each age in each phase. */
static void read_line(struct round *round, const char *line)
{
	struct cell cell = { .is_zero = *line == 'c' };
	const char *at;
	char *end;

	cell.first_bytes = strtoul(line + strlen("malloc "), &end, 10);
	cell.last_bytes = strtoul(end, &end, 10);
	cell.steps = (uint32_t)strtoul(end, &end, 10);
	if (cell.steps > STEPS_MAX)
		cell.steps = STEPS_MAX;
	for (at = end; *at == ' ';) {
		if (*++at == '|') {
			cell.phase++;
			at++;
			continue;
		}
		at = read_count(at, &cell);
		add_cell(round, &cell);
	}
}

static void read_mix(struct round *round, const char *mix)
{
	for (const char *line = mix; *line; line += strcspn(line, "\n") + 1)
		if (*line != '#')
			read_line(round, line);
}

/* ---------------------------------------------------------------- working out */

static uint32_t size_index(struct round *round, uint64_t bytes)
{
	uint32_t i = 0;

	while (i < round->nr_sizes && round->sizes[i] != bytes)
		i++;
	if (i == SIZES_MAX)
		die("a mix has too many sizes");
	round->sizes[i] = bytes;
	round->nr_sizes += i == round->nr_sizes;
	return i;
}

static void add_op(struct round *round, enum op_kind kind, uint64_t bytes, uint32_t slot)
{
	round->ops[round->nr_ops++] = (struct op){ .kind = kind & 3, .size = size_index(round, bytes) & 4095, .slot = slot & (SLOTS_MAX - 1) };
}

static uint32_t take_slot(struct round *round)
{
	if (round->nr_free_slots)
		return round->free_slots[--round->nr_free_slots];
	if (round->nr_slots == SLOTS_MAX)
		die("a mix has too many objects at a time");
	return round->nr_slots++;
}

/* An age of the class, evenly. */
static uint64_t age_of(struct round *round, unsigned int class)
{
	return class ? ((uint64_t)1 << (class - 1)) + random_next(&round->state) % ((uint64_t)1 << (class - 1)) : 0;
}

static void shuffle(struct round *round, struct birth *births, uint32_t nr)
{
	while (nr > 1) {
		uint32_t other = (uint32_t)(random_next(&round->state) % nr--), cell = births[other].cell;

		births[other].cell = births[nr].cell;
		births[nr].cell = cell;
	}
}

/* Each object of the mix once, phase by phase, in random order. */
static void set_births(struct round *round)
{
	uint32_t nr = 0;

	for (uint8_t phase = 0; phase < PHASES_MAX; phase++) {
		uint32_t first = nr;

		for (uint32_t i = 0; i < round->nr_cells; i++)
			for (uint32_t j = 0; round->cells[i].phase == phase && j < round->cells[i].count; j++)
				round->births[nr++].cell = i;
		shuffle(round, round->births + first, nr - first);
	}
}

static void plan(struct round *round, uint32_t birth, uint32_t when)
{
	round->births[birth].next = round->due[when];
	round->due[when] = birth;
}

/* When the object that was born as @number has its next step, or ends. Steps are spread evenly over its life. */
static void plan_next(struct round *round, uint32_t number)
{
	struct birth *birth = &round->births[number];
	const struct cell *cell = &round->cells[birth->cell];
	uint64_t life = birth->limit - number - 1, step = birth->steps_done + 1;

	plan(round, number, (uint32_t)(number + 1 + (step > cell->steps ? life : life * step / (cell->steps + 1))));
}

static void begin(struct round *round, uint32_t number)
{
	struct birth *birth = &round->births[number];
	const struct cell *cell = &round->cells[birth->cell];
	uint64_t limit = cell->age == AGE_END ? round->nr_births : number + 1 + age_of(round, cell->age);

	birth->limit = (uint32_t)(limit < round->nr_births ? limit : round->nr_births);
	birth->slot = take_slot(round);
	add_op(round, cell->is_zero ? OP_CALLOC : OP_MALLOC, cell->first_bytes, birth->slot);
	plan_next(round, number);
}

/* Evenly as well; objects may shrink. */
static uint64_t bytes_after(const struct cell *cell, uint32_t steps)
{
	int64_t more = (int64_t)(cell->last_bytes - cell->first_bytes);

	return cell->first_bytes + (uint64_t)(more * (int64_t)steps / (int64_t)cell->steps);
}

/* All that happens before birth @when. */
static void go_on(struct round *round, uint32_t when)
{
	while (round->due[when] != NONE) {
		uint32_t number = round->due[when];
		struct birth *birth = &round->births[number];
		const struct cell *cell = &round->cells[birth->cell];

		round->due[when] = birth->next;
		if (birth->steps_done == cell->steps) {
			add_op(round, OP_FREE, 0, birth->slot);
			round->free_slots[round->nr_free_slots++] = birth->slot;
			continue;
		}
		birth->steps_done++;
		add_op(round, OP_REALLOC, bytes_after(cell, birth->steps_done), birth->slot);
		plan_next(round, number);
	}
}

static void work_out(struct round *round)
{
	size_t births_bytes = round->nr_births * sizeof(*round->births), due_bytes = (round->nr_births + 1) * sizeof(*round->due);

	round->births = table_new(births_bytes);
	round->due = table_new(due_bytes);
	memset(round->due, 0xff, due_bytes);
	set_births(round);
	for (uint32_t i = 0; i < round->nr_births; i++) {
		go_on(round, i);
		begin(round, i);
	}
	go_on(round, round->nr_births);
	table_free(round->due, due_bytes);
	table_free(round->births, births_bytes);
}

/* ---------------------------------------------------------------- replay */

static void touch(char *object, size_t bytes)
{
	if (!object)
		die("out of memory");
	if (!bytes)
		return;
	for (size_t at = 0; at < bytes; at += OS_PAGE_BYTES)
		object[at] = 1;
	object[bytes - 1] = 1;
	keep(object);
}

static void replay(const struct op *ops, uint32_t nr, const uint64_t *sizes, void **slots)
{
	for (uint32_t i = 0; i < nr; i++) {
		void **slot = &slots[ops[i].slot];
		size_t bytes = sizes[ops[i].size];

		if (ops[i].kind == OP_FREE) {
			free(*slot);
			continue;
		}
		if (ops[i].kind == OP_MALLOC)
			*slot = malloc(bytes);
		else if (ops[i].kind == OP_CALLOC)
			*slot = calloc(1, bytes);
		else
			*slot = realloc(*slot, bytes);
		touch(*slot, bytes);
	}
}

static struct round *prepare(const char *mix, struct outcome *outcome)
{
	uint64_t start_ns = now_ns(), start_cpu_ns = cpu_ns();
	struct round *round = table_new(sizeof(*round));

	round->state = random_seed(0);
	read_mix(round, mix);
	round->ops = table_new(round->ops_cap * sizeof(*round->ops));
	work_out(round);
	peak_rss_reset();
	outcome->idle_ns = now_ns() - start_ns;
	outcome->idle_cpu_ns = cpu_ns() - start_cpu_ns;
	return round;
}

static void run_mix(const char *mix, size_t rounds, struct outcome *outcome)
{
	struct round *round = prepare(mix, outcome);
	size_t slots_bytes = round->nr_slots * sizeof(void *), ops_bytes = round->ops_cap * sizeof(*round->ops);
	void **slots = table_new(slots_bytes);

	for (size_t i = 0; i < rounds; i++)
		replay(round->ops, round->nr_ops, round->sizes, slots);
	outcome->table_bytes = slots_bytes + ops_bytes + sizeof(*round);
	table_free(slots, slots_bytes);
	table_free(round->ops, ops_bytes);
	table_free(round, sizeof(*round));
}

static void run_python3(size_t size, struct outcome *outcome)
{
	run_mix(mix_python3, size, outcome);
}

static void run_gcc(size_t size, struct outcome *outcome)
{
	run_mix(mix_gcc, size, outcome);
}

static void run_sqlite3(size_t size, struct outcome *outcome)
{
	run_mix(mix_sqlite3, size, outcome);
}

static void run_redis(size_t size, struct outcome *outcome)
{
	run_mix(mix_redis, size, outcome);
}

const struct program programs_mix[] = {
	{ "trace-python3", run_python3 }, { "trace-gcc", run_gcc }, { "trace-sqlite3", run_sqlite3 },
	{ "trace-redis", run_redis },	  { NULL, NULL },
};
