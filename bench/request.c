// SPDX-License-Identifier: MIT
/*
 * A service's request: a handful of objects that live for microseconds.
 *
 * Each request makes 16 objects of 64 bytes, writes all of their words, and gives them back. Rows: glibc and mimalloc (16
 * frees); warm (one arena per thread, reset after each request); cold (arena_new() and arena_free() with revocation
 * per request). 1 and 2 threads, each with its own share of work; time is per object as each thread sees it (the
 * slower thread counts). Bytes, allocations and faults are per request.
 *
 * So small an arena never takes a chunk: it lives on ordinary pages whatever its source, and its rows say so.
 * Not measured: objects freed by another thread than made them.
 */
#include "bench/arena_case.h"
#include "bench/clock.h"
#include "bench/peer.h"
#include "bench/proc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Many short passes: a pass that outlives its time slice on a busy machine measures the neighbors. */
enum { REQUEST_REPS = 100, REQUEST_OBJECTS = 16, MAX_THREADS = 2, MAX_ROWS = MAX_PEERS + 2 * ARENA_NR_SOURCES };

struct object {
	uint64_t words[8];
};
_Static_assert(sizeof(struct object) == 64, "the size that the benchmark is about");

enum row_kind { ROW_PEER, ROW_WARM, ROW_COLD };

struct request_row {
	enum row_kind kind;
	const struct peer *peer;	/* ROW_PEER */
	enum arena_source source;	/* ROW_WARM, ROW_COLD */
	/* Filled by the first thread in the row's first pass. */
	uint64_t bytes;
	uint64_t allocations;
	char source_name[16];
};

/* One run with a given number of threads. Fixed before the threads start, but for what says otherwise. */
struct crew {
	pthread_barrier_t barrier;
	struct request_row rows[MAX_ROWS];	/* the first thread's alone */
	int nr_rows;
	unsigned int nr_threads;
	size_t reps;
	size_t requests;			/* per thread, row and pass */
	struct report *report;
	uint64_t times[MAX_THREADS];		/* each thread its own; read by the first between barriers */
	int errors[MAX_THREADS];		/* likewise, read by all between barriers */
};

struct worker {
	struct crew *crew;
	unsigned int index;
	pthread_t thread;
	struct arena *warm[ARENA_NR_SOURCES];	/* by source; this thread's */
};

/* @alloc is NULL for arenas, known at compile time. */
static inline __attribute__((always_inline)) bool fill(void *(*alloc)(size_t), struct arena *arena,
						       struct object **objects)
{
	for (size_t i = 0; i < REQUEST_OBJECTS; i++) {
		struct object *object = alloc ? alloc(sizeof(*object)) : arena_make_raw(arena, struct object);

		if (!object)
			return false;
		for (size_t word = 0; word < 8; word++)
			object->words[word] = i + word;
		objects[i] = object;
	}
	bench_keep(objects);
	return true;
}

static bool peer_requests(const struct peer *peer, size_t requests)
{
	struct object *objects[REQUEST_OBJECTS];

	for (size_t request = 0; request < requests; request++) {
		if (!fill(peer->alloc, NULL, objects))
			return false;
		for (size_t i = 0; i < REQUEST_OBJECTS; i++)
			peer->free(objects[i]);
	}
	return true;
}

static bool warm_requests(struct arena *arena, size_t requests)
{
	struct object *objects[REQUEST_OBJECTS];

	for (size_t request = 0; request < requests; request++) {
		if (!fill(NULL, arena, objects))
			return false;
		arena_reset(arena);
	}
	return true;
}

static bool cold_requests(enum arena_source source, size_t requests)
{
	struct object *objects[REQUEST_OBJECTS];

	for (size_t request = 0; request < requests; request++) {
		struct arena *arena = arena_case_new(source);

		if (!arena || !fill(NULL, arena, objects))
			return false;
		arena_free(arena);
	}
	return true;
}

static int tally_peer(struct request_row *row)
{
	struct object *objects[REQUEST_OBJECTS];

	if (!fill(row->peer->alloc, NULL, objects))
		return bench_fail("request: %s: out of memory", row->peer->name);
	for (size_t i = 0; i < REQUEST_OBJECTS; i++) {
		row->bytes += row->peer->usable_bytes(objects[i]) + row->peer->header_bytes;
		row->peer->free(objects[i]);
	}
	row->allocations = REQUEST_OBJECTS;
	snprintf(row->source_name, sizeof(row->source_name), MALLOC_SOURCE);
	return 0;
}

static int tally_arena(struct request_row *row, struct arena_case *c)
{
	struct object *objects[REQUEST_OBJECTS];
	struct arena_stats stats;

	if (!fill(NULL, c->arena, objects))
		return bench_fail("request: out of memory");
	if (arena_case_check(c, objects[REQUEST_OBJECTS - 1]))
		return 1;
	arena_stats(c->arena, &stats);
	row->bytes = stats.used_bytes;
	snprintf(row->source_name, sizeof(row->source_name), "%s", arena_case_source_name(c->arena));
	return 0;
}

static int tally_warm(struct request_row *row, struct arena *warm)
{
	struct arena_case c = { .arena = warm, .source = row->source };
	int error;

	arena_memory(&c.before);
	error = tally_arena(row, &c);
	arena_reset(warm);
	return error;
}

static int tally_cold(struct request_row *row)
{
	struct arena_stats stats;
	struct arena_case c;

	if (arena_case_open(&c, row->source) || tally_arena(row, &c))
		return 1;
	arena_stats(c.arena, &stats);
	row->allocations = 1 + stats.nr_chunks;
	arena_free(c.arena);
	return arena_case_check_revoked(&c);
}

/* One thread's share of one pass. */
static int run_row(struct worker *worker, const struct request_row *row)
{
	struct crew *crew = worker->crew;
	uint64_t start = clock_now();
	bool done = false;

	switch (row->kind) {
	case ROW_PEER:
		done = peer_requests(row->peer, crew->requests);
		break;
	case ROW_WARM:
		done = warm_requests(worker->warm[row->source], crew->requests);
		break;
	case ROW_COLD:
		done = cold_requests(row->source, crew->requests);
		break;
	}
	crew->times[worker->index] = clock_now() - start;
	return done ? 0 : bench_fail("request: out of memory");
}

static void report_row(const struct crew *crew, const struct request_row *row, uint64_t faults)
{
	static const char *const kinds[] = { [ROW_WARM] = "warm", [ROW_COLD] = "cold" };
	const char *kind = row->kind == ROW_PEER ? row->peer->name : kinds[row->kind];
	double requests = (double)crew->requests;
	uint64_t slowest = 0;
	char name[48];

	for (unsigned int i = 0; i < crew->nr_threads; i++)
		slowest = crew->times[i] > slowest ? crew->times[i] : slowest;
	snprintf(name, sizeof(name), "request/%u/%s", crew->nr_threads, kind);
	report_add(crew->report, "arena", name, row->source_name, "time", clock_unit(),
		   (double)slowest / (requests * REQUEST_OBJECTS));
	report_add(crew->report, "arena", name, row->source_name, "bytes", "bytes", (double)row->bytes);
	report_add(crew->report, "arena", name, row->source_name, "allocations", "count", (double)row->allocations);
	report_add(crew->report, "arena", name, row->source_name, "faults", "count",
		   (double)faults / (requests * crew->nr_threads));
}

/* Between barriers every thread sees the same errors, so all leave together. */
static bool crew_failed(const struct crew *crew)
{
	int errors = 0;

	for (unsigned int i = 0; i < crew->nr_threads; i++)
		errors |= crew->errors[i];
	return errors;
}

static bool crew_wait_failed(struct crew *crew)
{
	bool failed;

	pthread_barrier_wait(&crew->barrier);
	failed = crew_failed(crew);
	/* Nobody writes errors or times again before all have read them. */
	pthread_barrier_wait(&crew->barrier);
	return failed;
}

/* One pass of all threads; false when any failed. The first thread prepares and reports. */
static bool crew_pass(struct worker *worker, struct request_row *row, bool timed)
{
	struct crew *crew = worker->crew;
	bool is_first = worker->index == 0;
	uint64_t faults = is_first ? proc_minor_faults() : 0;
	bool failed;

	pthread_barrier_wait(&crew->barrier);
	crew->errors[worker->index] |= run_row(worker, row);
	failed = crew_wait_failed(crew);
	if (is_first && timed && !failed)
		report_row(crew, row, proc_minor_faults() - faults);
	return !failed;
}

static int tally_row(struct worker *worker, struct request_row *row)
{
	switch (row->kind) {
	case ROW_PEER:
		return tally_peer(row);
	case ROW_WARM:
		return tally_warm(row, worker->warm[row->source]);
	case ROW_COLD:
		return tally_cold(row);
	}
	return 1;
}

static int prepare_row(struct worker *worker, struct request_row *row)
{
	if (row->kind == ROW_PEER)
		row->peer->settle();
	return row->source_name[0] ? 0 : tally_row(worker, row);
}

static int worker_open(struct worker *worker, enum arena_source source)
{
	worker->warm[source] = arena_case_new(source);
	return worker->warm[source] ? 0 : bench_fail("request: cannot make an arena");
}

static void *worker_main(void *argument)
{
	struct worker *worker = argument;
	struct crew *crew = worker->crew;

	for (int i = 0; i < crew->nr_rows; i++)
		if (crew->rows[i].kind == ROW_WARM)
			crew->errors[worker->index] |= worker_open(worker, crew->rows[i].source);
	if (crew_wait_failed(crew))
		return NULL;
	for (size_t rep = 0; rep < crew->reps; rep++) {
		for (int i = 0; i < crew->nr_rows; i++) {
			if (worker->index == 0)
				crew->errors[0] |= prepare_row(worker, &crew->rows[i]);
			if (!crew_pass(worker, &crew->rows[i], false) || !crew_pass(worker, &crew->rows[i], true))
				return NULL;
		}
	}
	for (int source = 0; source < ARENA_NR_SOURCES; source++)
		arena_free(worker->warm[source]);
	return NULL;
}

static void crew_rows(struct crew *crew, const enum arena_source *sources, int nr_sources)
{
	size_t nr_peers;
	const struct peer *peers = peer_all(&nr_peers);

	for (size_t i = 0; i < nr_peers; i++)
		crew->rows[crew->nr_rows++] = (struct request_row){ .kind = ROW_PEER, .peer = &peers[i] };
	for (int i = 0; i < nr_sources; i++) {
		crew->rows[crew->nr_rows++] = (struct request_row){ .kind = ROW_WARM, .source = sources[i] };
		crew->rows[crew->nr_rows++] = (struct request_row){ .kind = ROW_COLD, .source = sources[i] };
	}
}

/* The calling thread is the first worker: with one thread the process stays single-threaded, which glibc rewards. */
static int crew_run(struct crew *crew)
{
	struct worker workers[MAX_THREADS] = { { .crew = crew } };
	unsigned int started;

	pthread_barrier_init(&crew->barrier, NULL, crew->nr_threads);
	for (started = 1; started < crew->nr_threads; started++) {
		workers[started] = (struct worker){ .crew = crew, .index = started };
		if (pthread_create(&workers[started].thread, NULL, worker_main, &workers[started])) {
			bench_fail("request: cannot start a thread");
			exit(1);	/* those that run wait at the barrier for good */
		}
	}
	worker_main(&workers[0]);
	for (unsigned int i = 1; i < started; i++)
		pthread_join(workers[i].thread, NULL);
	pthread_barrier_destroy(&crew->barrier);
	return crew_failed(crew);
}

int bench_request(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : REQUEST_REPS;
	enum arena_source sources[ARENA_NR_SOURCES];
	int nr = arena_case_sources(options, ARENA_SOURCE_THP, sources);

	if (nr < 0)
		return 1;
	/* Rows would share one name: such an arena is the same on every source. */
	if (nr > 1)
		nr = 1;
	for (unsigned int threads = 1; threads <= MAX_THREADS; threads++) {
		struct crew crew = { .nr_threads = threads, .reps = reps, .report = report };

		crew.requests = options->requests / reps ? options->requests / reps : 1;
		crew_rows(&crew, sources, nr);
		if (crew_run(&crew))
			return 1;
	}
	return 0;
}
