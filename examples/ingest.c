// SPDX-License-Identifier: MIT
/*
 * What a service does that takes profiles in, as Pyroscope does: each request is parsed and becomes a tree of the stacks in it, by name, and is dropped when it is
 * summed up. Each request's strings and nodes live exactly as long as the request: once on the collected heap, once in an arena that is
 * freed with it. Prints both side by side.
 *
 *	ingest [--requests N] PROFILE...
 *
 * A PROFILE is what ARENA_PROFILE or arena_profile_save() writes (gzipped protobuf, libarena/profile.proto); examples/ingest.sh makes some of real programs.
 */
#include <arena/gc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <zlib.h>

#include "examples/wire.h"

enum { FIELD_SAMPLE = 2, FIELD_MAPPING = 3, FIELD_LOCATION = 4, FIELD_STRING = 6, FIELDS = 16, VALUE_BYTES = 1, LABEL_BYTES = 320, STACK_MOST = 512 };

/* A call, and what its callees allocated. */
struct node {
	const char *label;
	struct node **children;	/* by label */
	uint64_t nr_children, max_children;
	uint64_t self, total;
};
ARENA_GC_LAYOUT(node_layout, struct node, label, children);

struct slot {
	void *to;
};
ARENA_GC_LAYOUT(slot_layout, struct slot, to);

struct input {
	uint8_t *bytes;
	size_t nr;
};

/* Where a request's memory is from: an arena, or NULL for the collected heap. What is wrong with the input ends the program. */
struct request {
	struct arena *arena;
	struct slot *strings, *labels; /* by index; by location's id */
	uint64_t *files;	/* by mapping's id: its name's index */
	uint64_t nr[FIELDS];	/* of each field of the profile */
	uint64_t nr_allocations;
};

static struct arena_gc *gc;
static struct arena_gc_type *node_type, *slot_type;

static void *need(const void *object, const char *what)
{
	if (!object) {
		fprintf(stderr, "ingest: %s\n", what);
		exit(EXIT_FAILURE);
	}
	return (void *)(uintptr_t)object;
}

/* ---------------------------------------------------------------- memory */

static struct node *node_new(struct request *request)
{
	request->nr_allocations++;
	return need(request->arena ? arena_make(request->arena, struct node) : arena_gc_alloc(gc, node_type), "out of memory");
}

static void *pointers_new(struct request *request, size_t nr)
{
	request->nr_allocations++;
	return need(request->arena ? (void *)arena_make_array(request->arena, struct slot, nr) : arena_gc_alloc_array(gc, slot_type, nr), "out of memory");
}

/* Without pointers. */
static void *bytes_new(struct request *request, size_t nr)
{
	request->nr_allocations++;
	return need(request->arena ? arena_calloc(request->arena, 1, nr) : arena_gc_alloc_atomic(gc, nr), "out of memory");
}

static char *text_new(struct request *request, const void *text, size_t nr)
{
	char *copy = bytes_new(request, nr + 1);

	memcpy(copy, text, nr);
	copy[nr] = '\0';
	return copy;
}

/* ---------------------------------------------------------------- the tree */

/* Where @label is among the children, or belongs. */
static uint64_t place_of(const struct node *node, const char *label)
{
	uint64_t low = 0, high = node->nr_children;

	while (low < high) {
		uint64_t middle = (low + high) / 2;

		if (strcmp(node->children[middle]->label, label) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void make_room(struct request *request, struct node *node)
{
	uint64_t max = node->max_children ? 2 * node->max_children : 2;
	struct node **larger;

	if (node->nr_children < node->max_children)
		return;
	larger = pointers_new(request, max);
	for (uint64_t i = 0; i < node->nr_children; i++)
		arena_gc_store(&larger[i], node->children[i]);
	arena_gc_store(&node->children, larger);
	node->max_children = max;
}

static struct node *child_of(struct request *request, struct node *node, const char *label)
{
	uint64_t place = place_of(node, label);
	struct node *child;

	if (place < node->nr_children && !strcmp(node->children[place]->label, label))
		return node->children[place];
	child = node_new(request);
	arena_gc_store(&child->label, label);
	make_room(request, node);
	for (uint64_t i = node->nr_children++; i > place; i--)
		arena_gc_store(&node->children[i], node->children[i - 1]);
	arena_gc_store(&node->children[place], child);
	return child;
}

static uint64_t sum_up(const struct node *node)
{
	uint64_t sum = node->self * 3 + node->total;

	for (const char *at = node->label; at && *at; at++)
		sum = sum * 31 + (unsigned char)*at;
	for (uint64_t i = 0; i < node->nr_children; i++)
		sum = sum * 7 + sum_up(node->children[i]);
	return sum;
}

/* ---------------------------------------------------------------- parsing */

static void count_fields(struct request *request, struct wire wire)
{
	struct wire_field field;

	while (wire_next(&wire, &field))
		if (field.number < FIELDS)
			request->nr[field.number]++;
	need(wire.is_good ? &wire : NULL, "not a profile");
}

/* An id, which must be one of 1 to the number of @number's. */
static uint64_t checked_id(const struct request *request, unsigned int number, uint64_t id)
{
	need(id && id <= request->nr[number] ? request : NULL, "an id that is none");
	return id;
}

static void take_mapping(struct request *request, struct wire wire)
{
	uint64_t id = 0, file = 0;
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		id = field.number == 1 ? field.value : id;
		file = field.number == 5 ? field.value : file;
	}
	request->files[checked_id(request, FIELD_MAPPING, id)] = file < request->nr[FIELD_STRING] ? file : 0;
}

/* "FILE+0xADDRESS": what a reader without the files' symbols can say of it. */
static void take_location(struct request *request, struct wire wire)
{
	uint64_t id = 0, mapping = 0, address = 0;
	struct wire_field field;
	char label[LABEL_BYTES];
	int len;

	while (wire_next(&wire, &field)) {
		id = field.number == 1 ? field.value : id;
		mapping = field.number == 2 ? field.value : mapping;
		address = field.number == 3 ? field.value : address;
	}
	len = snprintf(label, sizeof(label), "%.256s+%#llx", mapping <= request->nr[FIELD_MAPPING] ? (char *)request->strings[request->files[mapping]].to : "",
		       (unsigned long long)address);
	arena_gc_store(&request->labels[checked_id(request, FIELD_LOCATION, id)].to, text_new(request, label, (size_t)len));
}

/* The outermost call is the last location. */
static void take_sample(struct request *request, struct wire wire, struct node *root)
{
	uint64_t ids[STACK_MOST], values[STACK_MOST], nr_ids = 0, nr_values = 0, bytes;
	struct wire_field field;
	struct node *node = root;

	while (wire_next(&wire, &field)) {
		if (field.number == 1)
			nr_ids = wire_numbers(&field, ids, nr_ids, STACK_MOST);
		if (field.number == 2)
			nr_values = wire_numbers(&field, values, nr_values, STACK_MOST);
	}
	bytes = nr_values > VALUE_BYTES ? values[VALUE_BYTES] : 0;
	node->total += bytes;
	for (uint64_t i = nr_ids; i; i--) {
		node = child_of(request, node, request->labels[checked_id(request, FIELD_LOCATION, ids[i - 1])].to);
		node->total += bytes;
	}
	node->self += bytes;
}

static void take_fields(struct request *request, struct wire wire, unsigned int number, struct node *root)
{
	uint64_t nr_strings = 0;
	struct wire_field field;

	while (wire_next(&wire, &field)) {
		if (field.number != number)
			continue;
		if (number == FIELD_STRING)
			arena_gc_store(&request->strings[nr_strings++].to, text_new(request, field.text, field.nr));
		else if (number == FIELD_MAPPING)
			take_mapping(request, wire_of(&field));
		else if (number == FIELD_LOCATION)
			take_location(request, wire_of(&field));
		else
			take_sample(request, wire_of(&field), root);
	}
}

/* What a request is for: here the tree's digest. */
static uint64_t ingest(struct request *request, const struct input *input)
{
	static const unsigned int order[] = { FIELD_STRING, FIELD_MAPPING, FIELD_LOCATION, FIELD_SAMPLE };
	struct wire wire = { input->bytes, input->bytes + input->nr, true };
	struct node *root = node_new(request);

	count_fields(request, wire);
	need(request->nr[FIELD_STRING] ? request : NULL, "not a profile");
	request->strings = pointers_new(request, request->nr[FIELD_STRING]);
	request->labels = pointers_new(request, request->nr[FIELD_LOCATION] + 1);
	request->files = bytes_new(request, (request->nr[FIELD_MAPPING] + 1) * sizeof(*request->files));
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		take_fields(request, wire, order[i], root);
	return sum_up(root);
}

/* ---------------------------------------------------------------- both ways */

struct cost {
	double cpu_ms, elapsed_ms;
	uint64_t nr_allocations, digest, nr_cycles;
};

static double cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
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

static void serve_one(struct cost *cost, const struct input *input, bool in_arena)
{
	struct request request = { .arena = in_arena ? need(arena_new(NULL), "no arena") : NULL };

	cost->digest = cost->digest * 31 + ingest(&request, input);
	cost->nr_allocations += request.nr_allocations;
	if (request.arena)
		arena_free(request.arena);
}

static struct cost serve(const struct input *inputs, size_t nr_inputs, size_t nr_requests, bool in_arenas)
{
	struct cost cost = { 0 };

	/* What was left of another way is not this one's. */
	arena_gc_collect(gc);
	cost = (struct cost){ .cpu_ms = -cpu_ms(), .elapsed_ms = -now_ms(), .nr_cycles = -nr_cycles() };
	for (size_t i = 0; i < nr_requests; i++)
		serve_one(&cost, &inputs[i % nr_inputs], in_arenas);
	cost.cpu_ms += cpu_ms();
	cost.elapsed_ms += now_ms();
	cost.nr_cycles += nr_cycles();
	return cost;
}

static void print(const char *name, const struct cost *cost, size_t nr_requests)
{
	printf("%-10s %12.3f %12.3f %14.1f %10llu\n", name, cost->cpu_ms / (double)nr_requests, cost->elapsed_ms / (double)nr_requests,
	       (double)cost->nr_allocations / (double)nr_requests, (unsigned long long)cost->nr_cycles);
}

static struct input read_input(const char *path)
{
	gzFile file = need(gzopen(path, "rb"), path);
	struct input input = { 0 };
	int nr;

	do {
		input.bytes = need(realloc(input.bytes, input.nr + (1 << 16)), "out of memory");
		nr = gzread(file, input.bytes + input.nr, 1 << 16);
		input.nr += nr > 0 ? (size_t)nr : 0;
	} while (nr > 0);
	gzclose(file);
	need(nr < 0 ? NULL : input.bytes, path);
	return input;
}

static int compare(const struct input *inputs, size_t nr_inputs, size_t nr_requests)
{
	struct cost collected, freed;

	gc = need(arena_gc_create(NULL), "no collected heap");
	node_type = need(arena_gc_type_create(gc, &node_layout), "out of memory");
	slot_type = need(arena_gc_type_create(gc, &slot_layout), "out of memory");
	if (arena_gc_attach(gc))
		return EXIT_FAILURE;
	printf("request       CPU (ms) elapsed (ms)    allocations cycles (all)\n");
	collected = serve(inputs, nr_inputs, nr_requests, false);
	print("collector", &collected, nr_requests);
	freed = serve(inputs, nr_inputs, nr_requests, true);
	print("arena", &freed, nr_requests);
	arena_gc_destroy(gc);
	if (collected.digest == freed.digest)
		return EXIT_SUCCESS;
	fputs("ingest: the trees are not the same\n", stderr);
	return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	bool has_number = argc > 2 && !strcmp(argv[1], "--requests");
	size_t nr_requests = has_number ? strtoul(argv[2], NULL, 10) : 1000, nr_inputs;
	struct input *inputs;
	int status;

	argv += has_number ? 3 : 1;
	nr_inputs = (size_t)(argc - (has_number ? 3 : 1));
	if (!nr_inputs || !nr_requests) {
		fputs("usage: ingest [--requests N] PROFILE...\n", stderr);
		return 2;
	}
	inputs = need(calloc(nr_inputs, sizeof(*inputs)), "out of memory");
	for (size_t i = 0; i < nr_inputs; i++)
		inputs[i] = read_input(argv[i]);
	status = compare(inputs, nr_inputs, nr_requests);
	for (size_t i = 0; i < nr_inputs; i++)
		free(inputs[i].bytes);
	free(inputs);
	return status;
}
