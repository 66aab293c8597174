// SPDX-License-Identifier: MIT
/*
 * arena-bench-pages: the page allocator from inside, which no public function reaches. `arena-bench pages` starts it, and counts its
 * instructions with callgrind.
 *
 *	arena-bench-pages pair N	a page from a thread's cache and back, N times
 *	arena-bench-pages run N		N runs of 64 pages from a fragmented tree of 64 GiB, and back
 *	arena-bench-pages threads N	N pages from the heap and back, in groups of up to 64, by 1 to 64 threads
 *
 * No page is touched: what is measured is bookkeeping. It prints words METRIC:UNIT=NUMBER.
 */
/* What hands a page to a thread is inlined where it is used, and so it is here. */
#include "cache.c" /* NOLINT(bugprone-suspicious-include) */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"
#include "tree.h"

enum { TREE_BENCH_LEAVES = 64 * 512, RUN_PAGES = 64, RUNS = 1024, THREADS_MAX = 64, GROUPS_AT_ONCE = 4 };

static void stop(const char *what)
{
	fprintf(stderr, "arena-bench-pages: %s\n", what);
	exit(1);
}

static void print(const char *name, uint64_t ns, size_t nr)
{
	printf("%s:ns=%.6g ", name, (double)ns / (double)nr);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---------------------------------------------------------------- a page from the cache */

/* Callgrind looks at this function alone, and at take_run(). */
__attribute__((noinline)) static void pair_loop(struct cache *cache, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		give_page(cache, take_page(cache));
}

static void run_pair(size_t nr)
{
	struct heap *heap = heap_main();
	struct cache *cache = heap ? heap_cache_get(heap) : NULL;
	uint64_t start_ns;

	if (!cache)
		stop("no heap");
	/* The cache takes a group now. */
	give_page(cache, take_page(cache));
	start_ns = os_clock_ns();
	pair_loop(cache, nr);
	print("pair", os_clock_ns() - start_ns, nr);
}

/* ---------------------------------------------------------------- a run from a tree */

static void *table(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (memory == MAP_FAILED)
		stop("no memory");
	return memory;
}

/* Half of all pages are in use, in pieces of 8 to 71; one free piece in 64 is long enough for a run. */
static void fragment(struct bits *leaf, uint64_t *state)
{
	unsigned int at = 0;

	while (at < BITS_PER_LEAF) {
		uint64_t random = random_next(state);
		unsigned int used = 8 + (unsigned int)(random % 64), unused = 8 + (unsigned int)(random >> 8) % 48;

		if ((random >> 16) % 64 == 0)
			unused = RUN_PAGES + 16;
		used = used < BITS_PER_LEAF - at ? used : BITS_PER_LEAF - at;
		bits_use(leaf, at, used);
		at += used + unused;
	}
}

static void make_tree(struct tree *tree, struct bits *leaves)
{
	uint64_t state = 88172645463325252U;

	*tree = (struct tree){ .leaves = leaves, .nr_leaves = TREE_BENCH_LEAVES };
	for (unsigned int level = 0; level < TREE_LEVELS; level++)
		tree->level[level] = table(tree_level_entries(TREE_BENCH_LEAVES, level) * sizeof(uint64_t));
	for (size_t i = 0; i < TREE_BENCH_LEAVES; i++)
		fragment(&leaves[i], &state);
	tree_freed(tree, 0, (size_t)TREE_BENCH_LEAVES * BITS_PER_LEAF);
}

/* A run may reach into the next leaf. */
static void mark(struct bits *leaves, size_t page, void (*how)(struct bits *, unsigned int, unsigned int))
{
	unsigned int first = (unsigned int)(page % BITS_PER_LEAF);
	unsigned int here = first + RUN_PAGES <= BITS_PER_LEAF ? RUN_PAGES : BITS_PER_LEAF - first;

	how(&leaves[page / BITS_PER_LEAF], first, here);
	if (here < RUN_PAGES)
		how(&leaves[page / BITS_PER_LEAF + 1], 0, RUN_PAGES - here);
}

__attribute__((noinline)) static size_t take_run(struct tree *tree, struct bits *leaves)
{
	size_t page = tree_find(tree, RUN_PAGES);

	if (page == TREE_NONE)
		stop("the tree is full");
	mark(leaves, page, bits_use);
	tree_used(tree, page, RUN_PAGES);
	return page;
}

static void give_run(struct tree *tree, struct bits *leaves, size_t page)
{
	mark(leaves, page, bits_free);
	tree_freed(tree, page, RUN_PAGES);
}

/* Those that are taken next lie far apart, as they do after runs were freed in any order. */
static void mix(size_t *pages, size_t nr, uint64_t *state)
{
	for (; nr > 1; nr--) {
		size_t other = random_next(state) % nr, page = pages[other];

		pages[other] = pages[nr - 1];
		pages[nr - 1] = page;
	}
}

static void run_run(size_t nr)
{
	struct bits *leaves = table(TREE_BENCH_LEAVES * sizeof(*leaves));
	static size_t pages[RUNS];
	uint64_t state = 1, take_ns = 0, give_ns = 0;
	size_t done;
	struct tree tree;

	make_tree(&tree, leaves);
	for (done = 0; done < nr; done += RUNS) {
		uint64_t start_ns = os_clock_ns(), middle_ns;

		for (size_t i = 0; i < RUNS; i++)
			pages[i] = take_run(&tree, leaves);
		middle_ns = os_clock_ns();
		take_ns += middle_ns - start_ns;
		mix(pages, RUNS, &state);
		middle_ns = os_clock_ns();
		for (size_t i = 0; i < RUNS; i++)
			give_run(&tree, leaves, pages[i]);
		give_ns += os_clock_ns() - middle_ns;
	}
	print("run_of_64", take_ns, done);
	print("run_of_64_back", give_ns, done);
}

/* ---------------------------------------------------------------- threads */

struct job {
	struct heap *heap;
	size_t nr;	/* pages to take and give back */
};

/* As a cache takes pages and gives them back, but several groups: one would be the same again and again. */
static void *turn_over(void *argument)
{
	const struct job *job = argument;
	uint64_t groups[GROUPS_AT_ONCE];
	uint32_t firsts[GROUPS_AT_ONCE];

	for (size_t done = 0; done < job->nr;) {
		for (size_t i = 0; i < GROUPS_AT_ONCE; i++) {
			groups[i] = heap_take_group(job->heap, 64, &firsts[i]);
			if (!groups[i])
				stop("out of pages");
			done += (size_t)__builtin_popcountll(groups[i]);
		}
		for (size_t i = 0; i < GROUPS_AT_ONCE; i++)
			heap_give_group(job->heap, firsts[i], groups[i]);
	}
	return NULL;
}

static void run_with(struct heap *heap, size_t nr, unsigned int nr_threads)
{
	struct job job = { .heap = heap, .nr = nr / nr_threads };
	uint64_t start_ns = os_clock_ns();
	pthread_t threads[THREADS_MAX];
	char name[24];

	for (unsigned int i = 0; i < nr_threads; i++)
		if (pthread_create(&threads[i], NULL, turn_over, &job))
			stop("no thread");
	for (unsigned int i = 0; i < nr_threads; i++)
		pthread_join(threads[i], NULL);
	snprintf(name, sizeof(name), "threads_%u", nr_threads);
	print(name, os_clock_ns() - start_ns, nr);
}

static void run_threads(size_t nr)
{
	struct heap *heap = heap_main();

	if (!heap)
		stop("no heap");
	for (unsigned int nr_threads = 1; nr_threads <= THREADS_MAX; nr_threads *= 2)
		run_with(heap, nr, nr_threads);
}

int main(int argc, char **argv)
{
	size_t nr = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (!nr)
		stop("usage: arena-bench-pages pair|run|threads N");
	if (!strcmp(argv[1], "pair"))
		run_pair(nr);
	else if (!strcmp(argv[1], "run"))
		run_run(nr);
	else if (!strcmp(argv[1], "threads"))
		run_threads(nr);
	else
		stop("no such part");
	putchar('\n');
	return fflush(stdout) ? 1 : 0;
}
