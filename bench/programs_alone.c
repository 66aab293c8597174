// SPDX-License-Identifier: MIT
/*
 * The programs of one thread; bench/programs.txt says what each models.
 *
 * Objects are written at both ends, or wholly where memory is what is measured: an allocator that leaves memory untouched shall
 * not look better than one that prepares it.
 */
#include "bench/driver.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOCAL_SLOTS = 10000, BATCH = 64, SMALL_BYTES = 64 };

static void run_local(size_t size, struct outcome *outcome)
{
	void **slots = table_new(LOCAL_SLOTS * sizeof(*slots));
	uint64_t state = random_seed(0);

	for (size_t i = 0; i < size; i++) {
		uint64_t random = random_next(&state);
		void **slot = &slots[random % LOCAL_SLOTS];

		free(*slot);
		*slot = take(mixed_bytes(random >> 20));
	}
	for (size_t i = 0; i < LOCAL_SLOTS; i++)
		free(slots[i]);
	table_free(slots, LOCAL_SLOTS * sizeof(*slots));
	(void)outcome;
}

static void run_batch64(size_t size, struct outcome *outcome)
{
	void *objects[BATCH];

	for (size_t i = 0; i < size; i += BATCH) {
		for (size_t j = 0; j < BATCH; j++)
			objects[j] = take(SMALL_BYTES);
		for (size_t j = 0; j < BATCH; j++)
			free(objects[j]);
	}
	(void)outcome;
}

static void run_pingpong64(size_t size, struct outcome *outcome)
{
	for (size_t i = 0; i < size; i++)
		free(take(SMALL_BYTES));
	(void)outcome;
}

/* ---------------------------------------------------------------- fragmentation */

/* The objects of one phase, in a table that is large enough for the smallest of them. */
struct crowd {
	void **objects;
	size_t nr, cap;
};

static void crowd_fill(struct crowd *crowd, size_t bytes, size_t least_bytes, size_t most_bytes, uint64_t *state)
{
	for (size_t got = 0; got < bytes && crowd->nr < crowd->cap;) {
		size_t one = least_bytes + random_next(state) % (most_bytes - least_bytes + 1);

		crowd->objects[crowd->nr] = take(one);
		memset(crowd->objects[crowd->nr++], 1, one);
		got += one;
	}
}

/* Free all but every tenth, at random. */
static void crowd_thin(struct crowd *crowd, uint64_t *state)
{
	size_t kept = 0;

	for (size_t i = 0; i < crowd->nr; i++) {
		if (random_next(state) % 10)
			free(crowd->objects[i]);
		else
			crowd->objects[kept++] = crowd->objects[i];
	}
	crowd->nr = kept;
}

static void crowd_free(struct crowd *crowd)
{
	while (crowd->nr)
		free(crowd->objects[--crowd->nr]);
}

/* Less the driver's own table, which is there all the time. */
static void add_rss(struct outcome *outcome, const char *name, const struct crowd *crowd)
{
	outcome_add(outcome, name, "MiB", mib(rss_bytes() - crowd->cap * sizeof(void *)));
}

/* Sizes of --quick only show that it works. */
enum { FRAG_WAIT_MIB = 100 };

static void run_frag(size_t size, struct outcome *outcome)
{
	const struct timespec two_seconds = { .tv_sec = 2 }, moment = { .tv_nsec = 100000000 };
	/* Objects of 16 to 1024 bytes are 520 bytes in the mean; twice as many fit. */
	struct crowd crowd = { .cap = size * MiB / 256 };
	uint64_t state = random_seed(0), start_ns;

	crowd.objects = table_new(crowd.cap * sizeof(void *));
	crowd_fill(&crowd, size * MiB, 16, 1024, &state);
	add_rss(outcome, "rss_live", &crowd);
	crowd_thin(&crowd, &state);
	add_rss(outcome, "rss_thinned", &crowd);
	/* 265 MiB live again of 346, of which a tenth is left. */
	crowd_fill(&crowd, size * MiB / 346 * 265 - size * MiB / 10, 2 * KiB, 6 * KiB, &state);
	add_rss(outcome, "rss_refilled", &crowd);
	crowd_free(&crowd);
	add_rss(outcome, "rss_freed", &crowd);
	start_ns = now_ns();
	nanosleep(size < FRAG_WAIT_MIB ? &moment : &two_seconds, NULL);
	outcome->idle_ns = now_ns() - start_ns;
	add_rss(outcome, "rss_after_2s", &crowd);
	table_free(crowd.objects, crowd.cap * sizeof(void *));
}

/* ---------------------------------------------------------------- large memory */

static void touch_pages(char *memory, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += OS_PAGE_BYTES)
		memory[at] = 1;
	keep(memory);
}

/* A fresh process would give zeroed memory for nothing: all of it is dirtied and freed before. */
static void run_calloc64m(size_t size, struct outcome *outcome)
{
	size_t bytes = 64 * MiB;

	for (size_t i = 0; i < size; i++) {
		char *memory = take(bytes);

		memset(memory, 1, bytes);
		keep(memory);
		free(memory);
		memory = calloc(1, bytes);
		if (!memory)
			die("out of memory");
		touch_pages(memory, bytes);
		free(memory);
	}
	(void)outcome;
}

enum { NODE_BYTES = 128 };

struct node {
	struct node *next;
	char rest[NODE_BYTES - sizeof(struct node *)];
};

/* The largest power of two. */
static size_t power_below(size_t nr)
{
	return (size_t)1 << (63 - __builtin_clzl(nr));
}

/*
 * i -> factor * i + odd visits all of a power of two if the factor leaves 1 when it is divided by 4; this one jumps far, over other
 * distances each time. A shuffled table would do as well, but take longer than all the rest.
 */
static struct node *link_nodes(struct node **nodes, size_t nr)
{
	size_t at = 0;

	for (size_t i = 0; i < nr; i++) {
		size_t next = (at * 0xd1342543de82ef95U + 1) & (nr - 1);

		nodes[at]->next = nodes[next];
		at = next;
	}
	return nodes[0];
}

static uint64_t chase(struct node *node, size_t steps)
{
	uint64_t start_ns = now_ns();

	for (size_t i = 0; i < steps; i++)
		node = node->next;
	keep(node);
	return now_ns() - start_ns;
}

static void run_chase(size_t size, struct outcome *outcome)
{
	size_t nr = power_below(size * MiB / NODE_BYTES);
	struct node **nodes = table_new(nr * sizeof(*nodes)), *first;

	for (size_t i = 0; i < nr; i++)
		nodes[i] = take(NODE_BYTES);
	first = link_nodes(nodes, nr);
	outcome_add(outcome, "step", "ns", (double)chase(first, nr) / (double)nr);
	for (size_t i = 0; i < nr; i++)
		free(nodes[i]);
	table_free(nodes, nr * sizeof(*nodes));
}

/* ---------------------------------------------------------------- idle */

enum { IDLE_BYTES = 4 * 1024, IDLE_LIMIT_MS = 10000, IDLE_STEP_MS = 10 };

/* As rss_bytes(), but without a call of malloc(): a program that looks at itself so is idle still. */
static size_t rss_bytes_idle(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[128], *rest;
	ssize_t len = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (len <= 0)
		die("cannot read /proc/self/statm");
	close(fd);
	text[len] = '\0';
	strtoul(text, &rest, 10);
	return strtoul(rest, NULL, 10) * OS_PAGE_BYTES;
}

/* Everything is freed, nothing is called any more: when nine tenths are back, and what is two seconds later. */
static void watch(size_t low_bytes, size_t high_bytes, struct outcome *outcome)
{
	const struct timespec step = { .tv_nsec = IDLE_STEP_MS * 1000000 };
	uint64_t start_ns = now_ns(), ms = 0, back_ms = IDLE_LIMIT_MS;
	size_t after_2s = 0;

	while (ms < IDLE_LIMIT_MS && (back_ms == IDLE_LIMIT_MS || !after_2s)) {
		size_t bytes = rss_bytes_idle();

		ms = (now_ns() - start_ns) / 1000000;
		if (back_ms == IDLE_LIMIT_MS && bytes <= low_bytes + (high_bytes - low_bytes) / 10)
			back_ms = ms;
		if (ms >= 2000 && !after_2s)
			after_2s = bytes;
		nanosleep(&step, NULL);
	}
	outcome->idle_ns = now_ns() - start_ns;
	/* The limit says that it never happened. */
	outcome_add(outcome, "back_90", "ms", (double)back_ms);
	outcome_add(outcome, "rss_after_2s", "MiB", mib(after_2s));
}

static void run_idle(size_t size, struct outcome *outcome)
{
	size_t nr = size * MiB / IDLE_BYTES, low_bytes = rss_bytes(), high_bytes;
	void **objects = table_new(nr * sizeof(*objects));

	for (size_t i = 0; i < nr; i++)
		objects[i] = take(IDLE_BYTES);
	high_bytes = rss_bytes();
	for (size_t i = 0; i < nr; i++)
		free(objects[i]);
	table_free(objects, nr * sizeof(*objects));
	watch(low_bytes, high_bytes - nr * sizeof(*objects), outcome);
}

const struct program programs_alone[] = {
	{ "local", run_local },	  { "batch64", run_batch64 },	  { "pingpong64", run_pingpong64 },
	{ "frag", run_frag },	  { "calloc64m", run_calloc64m }, { "chase", run_chase },
	{ "idle", run_idle },	  { NULL, NULL },
};
