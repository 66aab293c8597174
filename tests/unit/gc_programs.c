// SPDX-License-Identifier: MIT
/*
 * The programs of `arena-bench gc` on collected heaps of each source: they come to the same as with malloc() and free(), whose driver has
 * printed the numbers below. In VMs all sources are to be had (tests/vm/build.mk).
 */
#include <pthread.h>
#include <stdlib.h>

/* The harness has one of that name. */
#define random_next programs_random_next
#include "bench/gc/programs.h"
#undef random_next
#define RUNTIME_ARENA
#include "bench/gc/runtime.h"
#include "gc/collected.h"
#include "tests/harness.h"

enum { THREADS_MAX = 4 };

/* ---------------------------------------------------------------- what programs want of their driver */

struct arena_gc *rt_heap;
struct arena_gc_type *rt_pointer_type;
__thread unsigned int batch_left;

void die(const char *what)
{
	harness_fail(__FILE__, __LINE__, "%s", what);
	abort();
}

/* Nobody measures. */
void batch_end(void)
{
	batch_left = BATCH_ALLOCATIONS;
}

struct arena_gc_type *rt_make(const struct arena_gc_layout *layout)
{
	struct arena_gc_type *type = arena_gc_type_create(rt_heap, layout);

	CHECK(type);
	return type;
}

/* ---------------------------------------------------------------- runs */

struct cell {
	void *to;
};
ARENA_GC_LAYOUT(pointer_layout, struct cell, to);

static const struct program {
	const char *name;
	program_fn *run;
	unsigned int nr_threads;
	size_t size;
	uint64_t checksum;	/* as `arena-bench-gc-malloc NAME SIZE` prints it */
	bool is_large;		/* 60 MB live: minutes under the thread sanitizer, which is not shown more by them */
} programs[] = {
	{ "trees", run_trees, 1, 12, 0x6b16094d2060f443, true },
	{ "gcbench", run_gcbench, 1, 8, 0x00000019242918c0, false },
	{ "gcbench4", run_gcbench, 4, 8, 0x000bcf40e277df44, false },
	{ "splay", run_splay, 1, 100, 0x92f233bc6bc6c804, true },
	{ "lru", run_lru, 1, 30000, 0x00000000000b50ce, false },
	{ "intern", run_intern, 1, 50000, 0x00005d307162c4d8, false },
	{ "large", run_large, 1, 4, 0x3e43e35452c202a2, false },
	{ "large4", run_large, 4, 2, 0xad332dc3e66f0250, false },	/* `large4 8`: what each of them has */
};

struct worker {
	const struct program *program;
	unsigned int number;
	uint64_t checksum;
	pthread_t thread;
};

static void *work(void *argument)
{
	struct worker *worker = argument;

	batch_left = BATCH_ALLOCATIONS;
	rt_begin();
	worker->checksum = worker->program->run(worker->program->size, worker->number);
	rt_end();
	return NULL;
}

/* All threads of a program, as its driver sums them up. */
static uint64_t run(const struct program *program)
{
	struct worker workers[THREADS_MAX];
	uint64_t checksum = 0;

	for (unsigned int i = 0; i < program->nr_threads; i++) {
		workers[i] = (struct worker){ .program = program, .number = i };
		CHECK(!pthread_create(&workers[i].thread, NULL, work, &workers[i]));
	}
	for (unsigned int i = 0; i < program->nr_threads; i++) {
		CHECK(!pthread_join(workers[i].thread, NULL));
		checksum = checksum * 31 + workers[i].checksum;
	}
	return checksum;
}

static void set_up(enum arena_source source)
{
	rt_heap = arena_gc_create(&(struct arena_gc_options){ .source = source, .percent = 25 });
	CHECK(rt_heap);
	CHECK_EQ(rt_heap->space.heap->pages.source, source);
	rt_pointer_type = rt_make(&pointer_layout);
	trees_prepare();
	splay_prepare();
	tables_prepare();
}

TEST_EACH_SOURCE(all, "gc_programs/trees, GCBench, splay, a cache, strings, a large forest: the same as with malloc()")
{
	struct arena_gc_stats stats;
	uint64_t nr_cycles = 0;

	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		/* Of huge pages only as many are reserved for tests as the others need. */
		if (programs[i].is_large && (harness_thread_sanitized() || source == ARENA_SOURCE_HUGETLB))
			continue;
		set_up(source);
		if (run(&programs[i]) != programs[i].checksum)
			harness_fail(__FILE__, __LINE__, "%s comes to something else", programs[i].name);
		arena_gc_collect(rt_heap);
		arena_gc_stats(rt_heap, &stats);
		/* No thread is left that could hold any. */
		CHECK_EQ(stats.live_bytes, 0);
		nr_cycles += stats.nr_cycles;
		arena_gc_destroy(rt_heap);
	}
	harness_note("%lu cycles", (unsigned long)nr_cycles);
}
