// SPDX-License-Identifier: MIT
/*
 * The programs of several threads; bench/programs.txt says what each models.
 *
 * Two CPUs are enough for all of them. Whoever waits gives its CPU away, because a spinning thread would measure the scheduler.
 */
#include "bench/driver.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_t thread_start(void *(*run)(void *), void *argument)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, argument))
		die("cannot start a thread");
	return thread;
}

/* Run @run once for each of @nr arguments of @bytes each, all at once. */
static void threads_run(void *(*run)(void *), void *arguments, size_t bytes, unsigned int nr)
{
	pthread_t threads[64];

	for (unsigned int i = 0; i < nr; i++)
		threads[i] = thread_start(run, (char *)arguments + i * bytes);
	for (unsigned int i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
}

/* ---------------------------------------------------------------- producer and consumer */

/* A queue of batches: the two threads shall meet in the allocator, and not at each object in the queue. */
enum { REMOTE_BATCH = 128, REMOTE_BATCHES = 32 };

struct queue {
	size_t nr_batches;	/* fixed */
	_Alignas(64) size_t put; /* atomic; batches that are filled: the producer's */
	_Alignas(64) size_t got; /* atomic; batches that are empty again: the consumer's */
	_Alignas(64) void *batches[REMOTE_BATCHES][REMOTE_BATCH];
};

static void *produce(void *argument)
{
	struct queue *queue = argument;
	uint64_t state = random_seed(1);

	for (size_t i = 0; i < queue->nr_batches; i++) {
		while (i - __atomic_load_n(&queue->got, __ATOMIC_ACQUIRE) == REMOTE_BATCHES)
			sched_yield();
		for (size_t j = 0; j < REMOTE_BATCH; j++)
			queue->batches[i % REMOTE_BATCHES][j] = take(16 + random_next(&state) % 241);
		__atomic_store_n(&queue->put, i + 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void consume(struct queue *queue)
{
	for (size_t i = 0; i < queue->nr_batches; i++) {
		while (__atomic_load_n(&queue->put, __ATOMIC_ACQUIRE) == i)
			sched_yield();
		for (size_t j = 0; j < REMOTE_BATCH; j++)
			free(queue->batches[i % REMOTE_BATCHES][j]);
		__atomic_store_n(&queue->got, i + 1, __ATOMIC_RELEASE);
	}
}

static void run_remote(size_t size, struct outcome *outcome)
{
	struct queue *queue = table_new(sizeof(*queue));
	pthread_t producer;

	queue->nr_batches = size / REMOTE_BATCH;
	producer = thread_start(produce, queue);
	consume(queue);
	pthread_join(producer, NULL);
	table_free(queue, sizeof(*queue));
	(void)outcome;
}

/* ---------------------------------------------------------------- server */

/*
 * After P. Larson and M. Krishnan, "Memory allocation for long-running server applications", 1998: a thread replaces random
 * objects of its table, ends, and leaves the table to another one.
 */
enum { LARSON_THREADS = 4, LARSON_ROUNDS = 10, LARSON_SLOTS = 1000 };

struct larson {
	void *slots[LARSON_SLOTS];
	uint64_t state;
	size_t nr;	/* replacements in a round */
};

static void *larson_round(void *argument)
{
	struct larson *larson = argument;

	for (size_t i = 0; i < larson->nr; i++) {
		uint64_t random = random_next(&larson->state);
		void **slot = &larson->slots[random % LARSON_SLOTS];

		free(*slot);
		*slot = take(16 + (random >> 20) % 497);
	}
	return NULL;
}

static void run_larson(size_t size, struct outcome *outcome)
{
	struct larson *tables = table_new(LARSON_THREADS * sizeof(*tables));

	for (unsigned int i = 0; i < LARSON_THREADS; i++) {
		tables[i].state = random_seed(i);
		tables[i].nr = size / LARSON_THREADS / LARSON_ROUNDS;
	}
	for (int round = 0; round < LARSON_ROUNDS; round++)
		threads_run(larson_round, tables, sizeof(*tables), LARSON_THREADS);
	for (unsigned int i = 0; i < LARSON_THREADS; i++)
		for (size_t j = 0; j < LARSON_SLOTS; j++)
			free(tables[i].slots[j]);
	table_free(tables, LARSON_THREADS * sizeof(*tables));
	(void)outcome;
}

/* ---------------------------------------------------------------- objects of one type */

enum { POOL_THREADS = 8, POOL_IN_USE = 8, POOL_BYTES = 64 };

static void *pool_thread(void *argument)
{
	void *objects[POOL_IN_USE];
	size_t nr = *(size_t *)argument;

	for (size_t i = 0; i < nr; i += POOL_IN_USE) {
		for (size_t j = 0; j < POOL_IN_USE; j++)
			objects[j] = memset(take(POOL_BYTES), 1, POOL_BYTES);
		for (size_t j = POOL_IN_USE; j--;) {
			keep(objects[j]);
			free(objects[j]);
		}
	}
	return NULL;
}

static void run_pool(size_t size, struct outcome *outcome)
{
	size_t nr[POOL_THREADS];

	for (size_t i = 0; i < POOL_THREADS; i++)
		nr[i] = size / POOL_THREADS;
	threads_run(pool_thread, nr, sizeof(nr[0]), POOL_THREADS);
	(void)outcome;
}

/* ---------------------------------------------------------------- threads that come and go */

enum { CHURN_THREADS = 2, CHURN_OBJECTS = 100 };

struct churn {
	void *objects[CHURN_OBJECTS];
	uint64_t state;
};

static void *churn_thread(void *argument)
{
	struct churn *churn = argument;

	for (size_t i = 0; i < CHURN_OBJECTS; i++)
		churn->objects[i] = take(mixed_bytes(random_next(&churn->state)));
	for (size_t i = 0; i < CHURN_OBJECTS; i += 2)
		free(churn->objects[i]);
	return NULL;
}

static void run_churn(size_t size, struct outcome *outcome)
{
	struct churn churns[CHURN_THREADS];

	for (unsigned int i = 0; i < CHURN_THREADS; i++)
		churns[i].state = random_seed(i);
	for (size_t done = 0; done < size; done += CHURN_THREADS) {
		threads_run(churn_thread, churns, sizeof(churns[0]), CHURN_THREADS);
		for (unsigned int i = 0; i < CHURN_THREADS; i++)
			for (size_t j = 1; j < CHURN_OBJECTS; j += 2)
				free(churns[i].objects[j]);
	}
	outcome_add(outcome, "rss_end", "MiB", mib(rss_bytes()));
}

/* ---------------------------------------------------------------- 1 KiB by more and more threads */

enum { KIB1_BATCH = 16 };

struct kib1 {
	pthread_barrier_t *all_made;
	size_t nr;	/* objects */
	uint64_t begin_ns, end_ns;
};

static void kib1_batch(void)
{
	void *objects[KIB1_BATCH];

	for (size_t i = 0; i < KIB1_BATCH; i++)
		objects[i] = take(KiB);
	for (size_t i = 0; i < KIB1_BATCH; i++)
		free(objects[i]);
}

static void *kib1_thread(void *argument)
{
	struct kib1 *kib1 = argument;

	kib1_batch();
	pthread_barrier_wait(kib1->all_made);
	kib1->begin_ns = now_ns();
	for (size_t i = 0; i < kib1->nr; i += KIB1_BATCH)
		kib1_batch();
	kib1->end_ns = now_ns();
	return NULL;
}

/* From when the first of the threads that share @size objects begins until the last is done; not how long it takes to make them. */
static uint64_t kib1_ns(size_t size, unsigned int nr_threads)
{
	struct kib1 threads[64];
	uint64_t begin_ns = UINT64_MAX, end_ns = 0;
	pthread_barrier_t all_made;

	if (pthread_barrier_init(&all_made, NULL, nr_threads))
		die("cannot make a barrier");
	for (unsigned int i = 0; i < nr_threads; i++)
		threads[i] = (struct kib1){ .all_made = &all_made, .nr = size / nr_threads };
	threads_run(kib1_thread, threads, sizeof(threads[0]), nr_threads);
	pthread_barrier_destroy(&all_made);
	for (unsigned int i = 0; i < nr_threads; i++) {
		begin_ns = threads[i].begin_ns < begin_ns ? threads[i].begin_ns : begin_ns;
		end_ns = threads[i].end_ns > end_ns ? threads[i].end_ns : end_ns;
	}
	return end_ns - begin_ns;
}

static void run_kib1(size_t size, struct outcome *outcome)
{
	static const unsigned int threads[] = { 1, 2, 4, 16, 64 };
	double object_ns = 0, two_ns = 0;
	char name[24];

	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		object_ns = (double)kib1_ns(size, threads[i]) / (double)size;
		if (threads[i] == 2)
			two_ns = object_ns;
		snprintf(name, sizeof(name), "threads_%u", threads[i]);
		outcome_add(outcome, name, "ns", object_ns);
	}
	/* Allocations per second with 64 threads over those with two: 1 is no collapse. */
	outcome_add(outcome, "scaling", "ratio", two_ns / object_ns);
}

const struct program programs_threads[] = {
	{ "remote", run_remote }, { "larson", run_larson },	{ "pool", run_pool },
	{ "churn", run_churn },	  { "kib1-threads", run_kib1 }, { NULL, NULL },
};
