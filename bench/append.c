// SPDX-License-Identifier: MIT
/*
 * A slice of structs that grows by append: what a parser does that does not know how many there will be.
 *
 * Rows: glibc and mimalloc (an array doubled by realloc(), then free()); warm (a slice in an arena that is reset after
 * each pass and keeps its memory); cold (new arena, slice, free with revocation). Elements have a string, its length
 * and a number, as in Go's string header: 24 bytes. Time is per element and includes giving everything back.
 *
 * Not measured: reading the slice, and slices that are not the last object of their arena (those are copied).
 */
#include "bench/arena_case.h"
#include "bench/peer.h"

#include <stdio.h>

enum { APPEND_REPS = 21 };

struct person {
	const char *name;
	size_t name_bytes;
	long age;
};

typedef ARENA_SLICE(struct person) person_slice;

static inline struct person person_of(size_t i)
{
	return (struct person){ .name = "Alex", .name_bytes = 4, .age = (long)i };
}

/* Capacity doubles, from 1, as with amortized growth everywhere. */
static bool peer_grow(const struct peer *peer, person_slice *slice, struct pass *pass)
{
	size_t cap = slice->cap ? 2 * slice->cap : 1;
	struct person *data = peer->realloc(slice->data, cap * sizeof(*data));

	if (!data)
		return false;
	slice->data = data;
	slice->cap = cap;
	pass->allocations++;
	if (pass->check)
		pass->bytes += peer->usable_bytes(data) + peer->header_bytes;
	return true;
}

static int peer_pass(const struct peer *peer, size_t objects, struct pass *pass)
{
	person_slice slice = { 0 };

	pass_resume(pass);
	for (size_t i = 0; i < objects; i++) {
		if (slice.len == slice.cap && !peer_grow(peer, &slice, pass))
			return bench_fail("append: %s: out of memory", peer->name);
		slice.data[slice.len++] = person_of(i);
	}
	bench_keep(slice.data);
	peer->free(slice.data);
	pass_pause(pass);
	return 0;
}

/* The slice is a local variable, as in a program and in peer_pass(). Returns where the elements are, or NULL. */
static const struct person *arena_fill(struct arena *arena, size_t objects)
{
	person_slice slice = { 0 };

	for (size_t i = 0; i < objects; i++)
		if (!arena_slice_push(arena, &slice, person_of(i)))
			return NULL;
	bench_keep(slice.data);
	return slice.data;
}

static uint64_t chunks_of(const struct arena *arena, uint64_t *used_bytes)
{
	struct arena_stats stats;

	arena_stats(arena, &stats);
	*used_bytes = stats.used_bytes;
	return stats.nr_chunks;
}

static int warm_pass(const struct arena_case *c, size_t objects, struct pass *pass)
{
	uint64_t chunks = chunks_of(c->arena, &pass->bytes);
	const struct person *data;

	pass_resume(pass);
	data = arena_fill(c->arena, objects);
	if (!data)
		return bench_fail("append: warm: out of memory");
	pass_pause(pass);
	pass->allocations = chunks_of(c->arena, &pass->bytes) - chunks;
	if (pass->check && arena_case_check(c, &data[objects - 1]))
		return 1;
	pass_resume(pass);
	arena_reset(c->arena);
	pass_pause(pass);
	return 0;
}

static int cold_pass(enum arena_source source, size_t objects, struct pass *pass)
{
	struct arena_case c = { .source = source };
	const struct person *data;

	if (pass->check)
		arena_memory(&c.before);
	pass_resume(pass);
	c.arena = arena_case_new(source);
	data = c.arena ? arena_fill(c.arena, objects) : NULL;
	if (!data)
		return bench_fail("append: cold: out of memory");
	pass_pause(pass);
	pass->allocations = 1 + chunks_of(c.arena, &pass->bytes);
	if (pass->check && arena_case_check(&c, &data[objects - 1]))
		return 1;
	pass_resume(pass);
	arena_free(c.arena);
	pass_pause(pass);
	return pass->check ? arena_case_check_revoked(&c) : 0;
}

static int peer_rep(const struct peer *peer, size_t objects, struct report *report)
{
	struct pass tally = { .check = true }, pass = { 0 };
	char name[32];

	peer->settle();
	if (peer_pass(peer, objects, &tally) || peer_pass(peer, objects, &pass))
		return 1;
	snprintf(name, sizeof(name), "append/%s", peer->name);
	pass_report(report, name, MALLOC_SOURCE, &pass, &tally, objects);
	return 0;
}

static int arena_rep(const struct arena_case *warm, size_t objects, struct report *report)
{
	const char *source = arena_source_name(warm->source);
	struct pass tally = { .check = true }, pass = { 0 };

	if (warm_pass(warm, objects, &tally) || warm_pass(warm, objects, &pass))
		return 1;
	pass_report(report, "append/warm", source, &pass, &pass, objects);
	tally = (struct pass){ .check = true };
	pass = (struct pass){ 0 };
	if (cold_pass(warm->source, objects, &tally) || cold_pass(warm->source, objects, &pass))
		return 1;
	pass_report(report, "append/cold", source, &pass, &pass, objects);
	return 0;
}

int bench_append(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : APPEND_REPS, nr_peers;
	const struct peer *peers = peer_all(&nr_peers);
	enum arena_source sources[ARENA_NR_SOURCES];
	struct arena_case warm[ARENA_NR_SOURCES];
	int nr = arena_case_sources(options, ARENA_SOURCE_THP, sources), error = nr < 0;

	for (int i = 0; i < nr && !error; i++)
		error = arena_case_open(&warm[i], sources[i]);
	for (size_t rep = 0; rep < reps && !error; rep++) {
		for (size_t i = 0; i < nr_peers && !error; i++)
			error = peer_rep(&peers[i], options->objects, report);
		for (int i = 0; i < nr && !error; i++)
			error = arena_rep(&warm[i], options->objects, report);
	}
	if (error)
		return 1;
	for (int i = 0; i < nr; i++)
		arena_free(warm[i].arena);
	return 0;
}
