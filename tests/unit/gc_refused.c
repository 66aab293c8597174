// SPDX-License-Identifier: MIT
/*
 * Memory that the system refuses to a collected heap, at every place where it, or its collector, asks for some. The program is linked with the doors to
 * memory of os.h wrapped (--wrap, tests/build.mk): the @fail_at-th request fails, alone or with all that follow. A fixed workload runs once for each place, with
 * a cycle after each step; whoever asks first, the program's thread or the collector's, is refused. Threads of the library's own are refused in a child, which
 * needs one.
 *
 * What must hold: a refusal is NULL or -ENOMEM, what is reachable stays as it was, and once the system gives again all works.
 */
#include <errno.h>
#include <sys/wait.h>

#include "gc/barrier.h"
#include "gc/graph.h"
#include "gc/look.h"
#include "tests/unit/gc_fixture.h"
#include "thread.h"

enum { DEPTH = 9, STEPS = 3, PLACES_LEAST = 8 };

/* ---------------------------------------------------------------- doors that fail */

static uint32_t is_counting;	/* atomic */
static bool fails_on;		/* not only once */
static uint64_t nr_asked, fail_at; /* nr_asked is atomic; from 1; 0 = never */
static uint64_t nr_failed;	/* atomic */
static size_t only_bytes;	/* tables of other sizes are not refused; 0: all are */
static size_t refused_bytes;	/* the last table that was; atomic */

static bool refuses(void)
{
	uint64_t number;
	bool fails;

	if (!__atomic_load_n(&is_counting, __ATOMIC_ACQUIRE))
		return false;
	number = __atomic_add_fetch(&nr_asked, 1, __ATOMIC_RELAXED);
	fails = fail_at && (fails_on ? number >= fail_at : number == fail_at);
	if (fails)
		__atomic_add_fetch(&nr_failed, 1, __ATOMIC_RELAXED);
	return fails;
}

int __real_os_open(void *base, size_t bytes, enum os_pages pages);
int __wrap_os_open(void *base, size_t bytes, enum os_pages pages);
int __real_os_open_table(void *base, size_t bytes);
int __wrap_os_open_table(void *base, size_t bytes);
void *__real_os_table(size_t bytes);
void *__wrap_os_table(size_t bytes);
void *__real_os_reserve_table(size_t bytes);
void *__wrap_os_reserve_table(size_t bytes);

int __wrap_os_open(void *base, size_t bytes, enum os_pages pages)
{
	return refuses() ? -ENOMEM : __real_os_open(base, bytes, pages);
}

int __wrap_os_open_table(void *base, size_t bytes)
{
	return refuses() ? -ENOMEM : __real_os_open_table(base, bytes);
}

void *__wrap_os_table(size_t bytes)
{
	if ((only_bytes && bytes != only_bytes) || !refuses())
		return __real_os_table(bytes);
	__atomic_store_n(&refused_bytes, bytes, __ATOMIC_RELAXED);
	return NULL;
}

void *__wrap_os_reserve_table(size_t bytes)
{
	return refuses() ? NULL : __real_os_reserve_table(bytes);
}

static bool refuses_threads;

int __real_thread_start(pthread_t *thread, void *(*run)(void *), void *context);
int __wrap_thread_start(pthread_t *thread, void *(*run)(void *), void *context);

int __wrap_thread_start(pthread_t *thread, void *(*run)(void *), void *context)
{
	return refuses_threads ? -EAGAIN : __real_thread_start(thread, run, context);
}

/* ---------------------------------------------------------------- the workload */

/* As new_tree(), NULL when out of memory. */
static struct node *try_tree(const struct fixture *it, unsigned int depth)
{
	struct node *node = arena_gc_alloc(it->gc, it->node), *left, *right;

	if (!node || !depth)
		return node;
	left = try_tree(it, depth - 1);
	right = left ? try_tree(it, depth - 1) : NULL;
	arena_gc_store(&node->left, left);
	arena_gc_store(&node->right, right);
	return right ? node : NULL;
}

static void *attach_and_collect(void *argument)
{
	const struct fixture *it = argument;

	if (arena_gc_attach(it->gc))
		return NULL;
	arena_gc_collect(it->gc);
	try_tree(it, 3);
	return NULL;
}

/* Asks for spans, large objects, handles, ranges, copies of stacks, blocks, mutators. */
static void use(const struct fixture *it, struct node **cells)
{
	for (int step = 0; step < STEPS; step++) {
		struct node *tree = try_tree(it, DEPTH);
		struct arena_gc_handle *handle = arena_gc_handle_create(it->gc, tree);
		struct arena_gc_stack *stack = arena_gc_stack_create(it->gc, cells, 16);
		pthread_t thread;

		if (tree)
			arena_gc_store(&cells[step], tree);
		CHECK(!pthread_create(&thread, NULL, attach_and_collect, (void *)(uintptr_t)it));
		arena_gc_alloc_atomic(it->gc, MiB << step);
		arena_gc_collect(it->gc);
		/* All are stopped for it. */
		CHECK(arena_gc_why(it->gc, tree, NULL, 0) >= -EINVAL);
		arena_gc_blocking(join, &thread);
		arena_gc_stack_destroy(it->gc, stack);
		arena_gc_handle_free(it->gc, handle);
	}
}

static struct node *cells[STEPS]; /* a root */

static void run(uint64_t place)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *before = new_tree(&it, DEPTH);

	CHECK_EQ(arena_gc_add_roots(it.gc, cells, sizeof(cells)), 0);
	memset(cells, 0, sizeof(cells));
	fail_at = place;
	nr_asked = nr_failed = 0;
	__atomic_store_n(&is_counting, 1, __ATOMIC_RELEASE);
	use(&it, cells);
	__atomic_store_n(&is_counting, 0, __ATOMIC_RELEASE);
	CHECK_EQ(count_leaves(before), 1 << DEPTH);
	for (size_t i = 0; i < STEPS; i++)
		CHECK(!cells[i] || count_leaves(cells[i]) == 1 << DEPTH);
	CHECK(new_tree(&it, DEPTH) && arena_gc_alloc_atomic(it.gc, 4 * MiB));
	arena_gc_collect(it.gc);
	CHECK_EQ(count_leaves(before), 1 << DEPTH);
	arena_gc_destroy(it.gc);
}

static void run_all(void (*workload)(uint64_t place), bool on)
{
	uint64_t place = 0, nr_refused = 0;

	fails_on = on;
	do {
		workload(++place);
		nr_refused += nr_failed;
	} while (nr_failed);
	harness_note("%lu places, %lu refusals", (unsigned long)place - 1, (unsigned long)nr_refused);
	CHECK(place > PLACES_LEAST);
}

TEST(once, "gc_refused/one request for memory is refused, whichever it is, verification's too", "ARENA_GCVERIFY=1")
{
	run_all(run, false);
}

TEST(on, "gc_refused/and all that follow it", "ARENA_GCVERIFY=0")
{
	run_all(run, true);
}

/* ---------------------------------------------------------------- what is made in the middle of a cycle */

/* More ranges and ephemerons than their tables have room for at first. */
enum { RANGES = 300, EPHEMERONS = 600, TYPES = 3, CLEANUPS = 10 };

static struct node *words[RANGES]; /* each is a range */
static struct kept {
	struct node *key;
	struct arena_gc_weak *weak;
	struct node *typed[TYPES];
	struct arena_gc_ephemeron *ephemerons[EPHEMERONS];
} kept; /* a root */
static size_t nr_words;
static struct arena *arena;
static struct node **arena_cell;
static uint32_t nr_added, nr_called; /* cleanups; the latter is atomic */

/* How often what was refused, in all runs. */
enum kind { TYPE, RANGE, WEAK, EPHEMERON, CLEANUP, ARENA, NR_KINDS };
static uint32_t refusals[NR_KINDS];

static void note_refusal(enum kind kind, bool is_refused)
{
	refusals[kind] += is_refused;
}

static struct node *try_node(const struct fixture *it, struct arena_gc_type *type, uint64_t value)
{
	struct node *node = arena_gc_alloc(it->gc, type);

	if (node)
		node->value = value;
	return node;
}

static void make_types(const struct fixture *it)
{
	for (size_t i = 0; i < TYPES; i++) {
		struct arena_gc_type *type = arena_gc_type_create(it->gc, &node_layout);

		note_refusal(TYPE, !type);
		if (type)
			arena_gc_store(&kept.typed[i], try_node(it, type, i));
	}
}

/* Until one is refused, as with all that there are many of: each refusal is a wait for two cycles. */
static void make_ranges(const struct fixture *it)
{
	for (nr_words = 0; nr_words < RANGES; nr_words++) {
		int error = arena_gc_add_roots(it->gc, &words[nr_words], sizeof(words[0]));

		CHECK(!error || error == -ENOMEM);
		note_refusal(RANGE, error);
		if (error)
			break;
		arena_gc_store(&words[nr_words], try_node(it, it->node, nr_words));
	}
}

static void make_ephemerons(const struct fixture *it)
{
	struct node *value;

	arena_gc_store(&kept.weak, arena_gc_weak_create(it->gc, kept.key));
	note_refusal(WEAK, !kept.weak);
	for (size_t i = 0; i < EPHEMERONS && (value = try_node(it, it->node, i)); i++) {
		arena_gc_store(&kept.ephemerons[i], arena_gc_ephemeron_create(it->gc, kept.key, value));
		note_refusal(EPHEMERON, !kept.ephemerons[i]);
		if (!kept.ephemerons[i])
			break;
	}
}

static void count_call(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&nr_called, 1, __ATOMIC_RELAXED);
}

static void make_cleanups(const struct fixture *it)
{
	for (size_t i = 0; i < CLEANUPS; i++) {
		struct node *object = i % 2 ? kept.key : try_node(it, it->node, i);
		bool is_added = object && arena_gc_add_cleanup(it->gc, object, count_call, NULL);

		nr_added += is_added;
		note_refusal(CLEANUP, object && !is_added);
	}
}

static void make_arena(const struct fixture *it)
{
	arena_cell = NULL;
	arena = arena_new(NULL);
	note_refusal(ARENA, !arena);
	if (!arena)
		return;
	CHECK_EQ(arena_gc_scan_arena(it->gc, arena), 0);
	arena_cell = arena_make(arena, struct node *);
	if (arena_cell)
		arena_gc_store(arena_cell, try_node(it, it->node, 5));
}

/* All is made by this thread while it keeps the collector from going on; what is refused lets it. */
static void use_in_cycle(const struct fixture *it)
{
	pthread_t collector;

	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it->gc));
	poll_until_black();
	make_types(it);
	make_ranges(it);
	make_ephemerons(it);
	make_cleanups(it);
	make_arena(it);
	arena_gc_blocking(join, &collector);
	arena_gc_collect(it->gc);
}

static void check_made(const struct fixture *it)
{
	for (size_t i = 0; i < nr_words; i++)
		CHECK(!words[i] || is_alive(it->gc, words[i], i));
	for (size_t i = 0; i < TYPES; i++)
		CHECK(!kept.typed[i] || is_alive(it->gc, kept.typed[i], i));
	CHECK(is_alive(it->gc, kept.key, 1));
	CHECK(!kept.weak || arena_gc_weak_get(kept.weak) == kept.key);
	for (size_t i = 0; i < EPHEMERONS && kept.ephemerons[i]; i++) {
		CHECK(arena_gc_ephemeron_key(kept.ephemerons[i]) == kept.key);
		CHECK(is_alive(it->gc, arena_gc_ephemeron_value(kept.ephemerons[i]), i));
	}
	CHECK(!arena_cell || !*arena_cell || is_alive(it->gc, *arena_cell, 5));
}

static uint32_t all_refusals(void)
{
	uint32_t nr = 0;

	for (size_t i = 0; i < NR_KINDS; i++)
		nr += refusals[i];
	return nr;
}

static void drop_made(const struct fixture *it)
{
	for (size_t i = 0; i < nr_words; i++)
		CHECK_EQ(arena_gc_remove_roots(it->gc, &words[i]), 0);
	if (nr_words < RANGES)
		CHECK_EQ(arena_gc_remove_roots(it->gc, &words[nr_words]), -ENOENT);
	if (arena)
		arena_free(arena);
	memset(words, 0, sizeof(words));
	memset(&kept, 0, sizeof(kept));
}

/* The same with memory. */
static void use_all(const struct fixture *it)
{
	uint32_t before = all_refusals();

	arena_gc_store(&kept.key, new_node(it, NULL, NULL, 1));
	use_in_cycle(it);
	CHECK_EQ(all_refusals(), before);
	check_made(it);
	drop_made(it);
}

static void *ballast[2 * PAGES_PER_CHUNK]; /* a root; two take a page */

static bool has_page_left(struct heap *heap)
{
	uint64_t used;

	lock_acquire(&heap->lock);
	used = heap->pages.used_pages;
	lock_release(&heap->lock);
	return used % PAGES_PER_CHUNK || gc_own->pages.group;
}

/* Other kinds of objects than those that are there need memory of the system: no page is left in the chunk, nor at hand. */
static void fill_chunk(const struct fixture *it)
{
	CHECK_EQ(arena_gc_add_roots(it->gc, ballast, sizeof(ballast)), 0);
	for (size_t i = 0; has_page_left(it->gc->space.heap); i++) {
		CHECK(i < ARRAY_LEN(ballast));
		arena_gc_store(&ballast[i], arena_gc_alloc_atomic(it->gc, PAGE_BYTES / 2));
	}
	/* The one that was to be next. */
	arena_gc_trim(it->gc);
}

static void run_in_cycle(uint64_t place)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *before = new_tree(&it, DEPTH);

	CHECK_EQ(arena_gc_add_roots(it.gc, &kept, sizeof(kept)), 0);
	arena_gc_store(&kept.key, new_node(&it, NULL, NULL, 1));
	arena_trim(SIZE_MAX);
	fill_chunk(&it);
	fail_at = place;
	nr_asked = nr_failed = nr_added = nr_called = 0;
	__atomic_store_n(&is_counting, 1, __ATOMIC_RELEASE);
	use_in_cycle(&it);
	check_made(&it);
	__atomic_store_n(&is_counting, 0, __ATOMIC_RELEASE);
	arena_gc_collect(it.gc);
	check_made(&it);
	drop_made(&it);
	use_all(&it);
	CHECK_EQ(count_leaves(before), 1 << DEPTH);
	arena_gc_destroy(it.gc);
	CHECK_EQ(nr_called, nr_added);
}

TEST(once_in_cycle, "gc_refused/to types, ranges, weak references, ephemerons, cleanups and arenas in the middle of a cycle one is refused",
     "ARENA_GCVERIFY=1")
{
	run_all(run_in_cycle, false);
}

TEST(on_in_cycle, "gc_refused/and all that follow it, there too", "ARENA_GCVERIFY=0")
{
	run_all(run_in_cycle, true);
	for (size_t i = 0; i < NR_KINDS; i++)
		CHECK(refusals[i]);
}

/* ---------------------------------------------------------------- a stack without a copy */

struct sight {
	const struct node *node;
	const struct gc_mutator *mutator;
	bool is_copied;
	size_t nr;	/* words of the thread's stack that lead to it */
};

static void see(void *context, const struct gc_root *root, uintptr_t word)
{
	struct sight *sight = context;

	if (word != (uintptr_t)sight->node || root->kind != ARENA_GC_ROOT_STACK)
		return;
	CHECK_EQ(root->thread_id, sight->mutator->thread_id);
	CHECK_EQ(gc_stack_word(root->location), word);
	sight->nr++;
}

static void look(struct arena_gc *gc, void *context)
{
	struct sight *sight = context;

	sight->is_copied = sight->mutator->stack.copy;
	gc_graph_roots(gc, see, sight);
}

TEST(lent, "gc_refused/a stack for which there is no copy is looked at where it is", "ARENA_GCVERIFY=0")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *node = new_tree(&it, DEPTH);
	struct sight sight = { .node = node, .mutator = gc_mutator_of(it.gc) };

	fails_on = true;
	fail_at = 1;
	nr_asked = nr_failed = 0;
	__atomic_store_n(&is_counting, 1, __ATOMIC_RELEASE);
	CHECK_EQ(gc_look(it.gc, look, &sight), 0);
	__atomic_store_n(&is_counting, 0, __ATOMIC_RELEASE);
	CHECK(!sight.is_copied && sight.nr && nr_failed);
	CHECK_EQ(count_leaves(node), 1 << DEPTH);
	/* With memory there is a copy again. */
	CHECK_EQ(gc_look(it.gc, look, &sight), 0);
	CHECK(sight.is_copied);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- no thread for the collector */

/* Far more than a slow machine needs. */
#define HANG_SECONDS 60

static void live_without_collector(const struct fixture *it, struct node *tree)
{
	struct arena_gc_step step;

	refuses_threads = true;
	CHECK_EQ(arena_gc_why(it->gc, tree, &step, 1), -ENOMEM);
	CHECK_EQ(arena_gc_leaks(it->gc, &step, 1), -ENOMEM);
	CHECK_EQ(arena_gc_dump(it->gc, STDERR_FILENO), -ENOMEM);
	arena_gc_collect(it->gc);
	CHECK_EQ(stats_of(it->gc).nr_cycles, 0);
	arena_gc_set_limit(it->gc, &(struct arena_gc_limit){ .bytes = 16 * MiB, .policy = ARENA_GC_FAIL });
	while (arena_gc_alloc_atomic(it->gc, MiB))
		;
	arena_gc_set_limit(it->gc, &(struct arena_gc_limit){ .bytes = 16 * MiB, .policy = ARENA_GC_OVERSHOOT });
	CHECK(arena_gc_alloc_atomic(it->gc, MiB));
	refuses_threads = false;
	CHECK(arena_gc_why(it->gc, tree, &step, 1) > 0);
	CHECK_EQ(count_leaves(tree), 1 << DEPTH);
}

TEST(no_thread, "gc_refused/the child of a fork that gets no thread is told so, or refused, and waits for nobody", "ARENA_GCVERIFY=0")
{
	struct fixture it;
	struct node *tree;
	int status;
	pid_t pid;

	if (harness_sanitized())
		harness_skip("sanitizers cannot fork a process with threads");
	it = set_up(ARENA_GC_OFF);
	tree = new_tree(&it, DEPTH);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		alarm(HANG_SECONDS);
		live_without_collector(&it, tree);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- notes of what is dead */

struct dead_value {
	struct arena_gc_ephemeron *ephemeron;
	struct arena_gc_weak *weak;
};

static void make_dead_value(const struct fixture *it, void *argument)
{
	struct dead_value *roots = argument;
	struct node *value = new_node(it, new_node(it, NULL, NULL, 1), NULL, 2);

	arena_gc_store(&roots->ephemeron, arena_gc_ephemeron_create(it->gc, new_node(it, NULL, NULL, 3), value));
	arena_gc_store(&roots->weak, arena_gc_weak_create(it->gc, value));
	CHECK(roots->ephemeron && roots->weak);
}

/* No block is left, nor memory for one. */
static struct gc_block *take_all_blocks(struct gc_queue *queue)
{
	struct gc_block *all = NULL, *block;

	fails_on = true;
	fail_at = 1;
	nr_asked = 0;
	__atomic_store_n(&is_counting, 1, __ATOMIC_RELEASE);
	while ((block = gc_queue_get(queue))) {
		block->next = all;
		all = block;
	}
	return all;
}

static void give_blocks_back(struct gc_queue *queue, struct gc_block *all)
{
	struct gc_block *next;

	__atomic_store_n(&is_counting, 0, __ATOMIC_RELEASE);
	for (; all; all = next) {
		next = all->next;
		gc_queue_put(queue, all);
	}
}

/* A collector that has settled what is dead, and is kept from clearing it. */
static void poll_until_closed(const struct arena_gc *gc)
{
	while (!(__atomic_load_n(&gc->weak.word, __ATOMIC_ACQUIRE) & 1)) {
		arena_gc_poll();
		usleep(200);
	}
}

TEST(dead, "gc_refused/without memory for a note, another value for an ephemeron whose key is dead does not bring the old one back")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	static struct dead_value roots;
	struct gc_block *blocks;
	pthread_t collector;

	CHECK_EQ(arena_gc_add_roots(it.gc, &roots, sizeof(roots)), 0);
	elsewhere(&it, make_dead_value, &roots);
	lock_acquire(&it.gc->whole_lock);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_closed(it.gc);
	CHECK_EQ(arena_gc_local_.barrier, GC_BARRIER_OLD);
	gc_barrier_drop(gc_own);
	blocks = take_all_blocks(&it.gc->queue);
	arena_gc_ephemeron_set(roots.ephemeron, NULL);
	CHECK(!arena_gc_weak_get(roots.weak));
	give_blocks_back(&it.gc->queue, blocks);
	lock_release(&it.gc->whole_lock);
	poll_until_done(it.gc);
	CHECK(!pthread_join(collector, NULL));
	CHECK_EQ(stats_of(it.gc).freed_objects, 3);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- verification */

static void collect_refused(const struct fixture *it, const struct node *tree)
{
	struct gc_block *blocks = take_all_blocks(&it->gc->queue);

	only_bytes = __atomic_load_n(&refused_bytes, __ATOMIC_RELAXED);
	arena_gc_collect(it->gc);
	give_blocks_back(&it->gc->queue, blocks);
	only_bytes = 0;
	CHECK_EQ(count_leaves(tree), 1 << DEPTH);
}

/* Without all, and then without memory for blocks alone; before and behind them there is enough. */
static void verify_refused(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, DEPTH);

	(void)unused;
	arena_gc_collect(it.gc);
	fails_on = true;
	fail_at = 1;
	__atomic_store_n(&is_counting, 1, __ATOMIC_RELEASE);
	arena_gc_collect(it.gc);
	__atomic_store_n(&is_counting, 0, __ATOMIC_RELEASE);
	CHECK_EQ(count_leaves(tree), 1 << DEPTH);
	collect_refused(&it, tree);
	arena_gc_collect(it.gc);
	arena_gc_destroy(it.gc);
}

TEST(verified, "gc_refused/without memory to verify a cycle that is said, and it goes on", "ARENA_GCVERIFY=1")
{
	struct death death;

	harness_child(&death, verify_refused, NULL);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
	CHECK_STR(death.text, "arena: gc verify: cycle 2 is not verified, or not to the end: no memory\n"
		  "arena: gc verify: cycle 3 is not verified, or not to the end: no memory\n");
}
