// SPDX-License-Identifier: MIT
/*
 * fork() with a collected heap: at every step of a cycle, under threads that allocate, out of any thread. The child reads, allocates and
 * collects; the parent goes on as if nothing had happened.
 *
 * GC_FORKS=1000 in the environment makes the run with threads that many forks long; 200 without.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "gc/mark.h"
#include "tests/unit/gc_fixture.h"

/* A child that has not ended by then hangs. Far more than a slow machine needs. */
#define HANG_SECONDS 60

static struct node *cell[2]; /* a root */

static pid_t start_child(void (*function)(const struct fixture *it, void *argument), const struct fixture *it, void *argument)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	alarm(HANG_SECONDS);
	function(it, argument);
	_exit(0);
}

/* The thread answers for nothing meanwhile, and nobody for it. */
static void *wait_for(void *child)
{
	pid_t pid = *(pid_t *)child;
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	if (status)
		harness_fail(__FILE__, __LINE__, "child: status 0x%x", (unsigned int)status);
	return NULL;
}

/* Without harness_child(), which looks for output: some hundred times. */
static void in_child(void (*function)(const struct fixture *it, void *argument), const struct fixture *it, void *argument)
{
	pid_t pid = start_child(function, it, argument);

	arena_gc_blocking(wait_for, &pid);
}

/* A lock of the address sanitizer's allocator, which starts and ends of threads take as well, stays held in the child. */
static void skip_if_sanitized(void)
{
	if (harness_sanitized())
		harness_skip("sanitizers cannot fork a process with threads");
}

/* ---------------------------------------------------------------- a heap with nothing but one thread */

#define DEPTH 10

static void make_garbage(const struct fixture *it, void *unused)
{
	(void)unused;
	new_tree(it, DEPTH);
}

static void read_and_collect(const struct fixture *it, void *tree)
{
	uint64_t freed;

	/* What the parent has left. */
	arena_gc_collect(it->gc);
	freed = stats_of(it->gc).freed_objects;
	CHECK_EQ(count_leaves(tree), 1 << DEPTH);
	elsewhere(it, make_garbage, NULL);
	arena_gc_collect(it->gc);
	CHECK_EQ(stats_of(it->gc).freed_objects - freed, (2 << DEPTH) - 1);
	CHECK_EQ(count_leaves(tree), 1 << DEPTH);
	elsewhere(it, make_garbage, NULL);
	arena_gc_collect(it->gc);
	CHECK_EQ(stats_of(it->gc).freed_objects - freed, 2 * ((2 << DEPTH) - 1));
	arena_gc_keep_alive(tree);
}

static void destroy(const struct fixture *it, void *tree)
{
	read_and_collect(it, tree);
	arena_gc_destroy(it->gc);
}

static void destroy_at_once(const struct fixture *it, void *unused)
{
	(void)unused;
	arena_gc_destroy(it->gc);
}

static void fork_again(const struct fixture *it, void *tree)
{
	in_child(read_and_collect, it, tree);
	read_and_collect(it, tree);
	in_child(destroy, it, tree);
}

TEST(child, "gc_fork/a child reads, allocates and collects; so does its child, and the parent", "ARENA_GCVERIFY=1")
{
	struct fixture it;
	struct node *tree;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	tree = new_tree(&it, DEPTH);
	in_child(fork_again, &it, tree);
	in_child(destroy_at_once, &it, NULL);
	read_and_collect(&it, tree);
	arena_gc_destroy(it.gc);
}

static unsigned int nr_called;

static void count_call(void *unused)
{
	(void)unused;
	nr_called++;
}

static void destroy_and_count(const struct fixture *it, void *unused)
{
	(void)unused;
	arena_gc_destroy(it->gc);
	CHECK_EQ(nr_called, 10);
}

/* The collector finds that all are due, and that the child has no thread for them: it must not start one that nobody waits for. */
TEST(cleanups, "gc_fork/a child that destroys the heap calls the cleanups that are left")
{
	struct fixture it;
	struct node *node;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	node = new_tree(&it, 0);
	for (size_t i = 0; i < 10; i++)
		CHECK(arena_gc_add_cleanup(it.gc, node, count_call, NULL));
	for (size_t i = 0; i < 100; i++)
		in_child(destroy_and_count, &it, NULL);
	arena_gc_keep_alive(node);
	destroy_and_count(&it, NULL);
}

static void *fork_while_blocked(void *context)
{
	const struct fixture *it = context;
	pid_t pid = fork();
	int status;

	if (!pid)
		return context;
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
	(void)it;
	return NULL;
}

TEST(blocking, "gc_fork/out of a function for which others answer", "ARENA_GCVERIFY=1")
{
	struct fixture it;
	struct node *tree;
	bool is_child;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	tree = new_tree(&it, DEPTH);
	is_child = arena_gc_blocking(fork_while_blocked, &it);
	read_and_collect(&it, tree);
	if (is_child)
		_exit(0);
	arena_gc_destroy(it.gc);
}

static void attach_in_child(const struct fixture *it, void *handle)
{
	CHECK_EQ(arena_gc_attach(it->gc), 0);
	read_and_collect(it, arena_gc_handle_get(handle));
}

static struct arena_gc_handle *handle_of_tree(const struct fixture *it)
{
	return arena_gc_handle_create(it->gc, new_tree(it, DEPTH));
}

TEST(unattached, "gc_fork/by a thread that is not attached; the child's attaches", "ARENA_GCVERIFY=1")
{
	struct arena_gc_handle *handle;
	struct fixture it;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	handle = handle_of_tree(&it);
	arena_gc_detach(it.gc);
	in_child(attach_in_child, &it, handle);
	attach_in_child(&it, handle);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- steps of a cycle */

static void allocate_and_collect(const struct fixture *it, void *tree)
{
	struct node *more = new_tree(it, DEPTH);

	arena_gc_store(&cell[1], more);
	CHECK_EQ(arena_gc_local_.barrier, 0);
	read_and_collect(it, tree);
	CHECK_EQ(count_leaves(cell[1]), 1 << DEPTH);
}

/* Another thread that is attached and answers when it is told to: the cycle stays where it is. */
static struct {
	struct arena_gc *gc;
	void (*answer)(void);
	uint32_t is_there, is_free; /* atomic */
} late;

static void *hold_up(void *unused)
{
	CHECK_EQ(arena_gc_attach(late.gc), 0);
	__atomic_store_n(&late.is_there, 1, __ATOMIC_RELEASE);
	late.answer();
	while (!__atomic_load_n(&late.is_free, __ATOMIC_ACQUIRE))
		usleep(200);
	arena_gc_detach(late.gc);
	return unused;
}

static void start_late(const struct fixture *it, pthread_t *holder, void (*answer)(void))
{
	late.gc = it->gc;
	late.answer = answer;
	late.is_there = late.is_free = 0;
	CHECK(!pthread_create(holder, NULL, hold_up, NULL));
	while (!__atomic_load_n(&late.is_there, __ATOMIC_ACQUIRE))
		usleep(200);
}

/* The calling thread has answered so far, and the other one not more than that: the cycle goes no further. */
static void fork_at(void (*own_answer)(void), void (*late_answer)(void))
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, DEPTH);
	pthread_t collector, holder;
	pid_t pid;

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	elsewhere(&it, make_garbage, NULL);
	arena_gc_collect(it.gc);
	start_late(&it, &holder, late_answer);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	own_answer();
	for (int i = 0; i < 3; i++) {
		/* What is noted is the child's to forget, and the parent's to hand over. */
		arena_gc_store(&cell[0], i ? tree->left : tree->right);
		pid = start_child(allocate_and_collect, &it, tree);
		wait_for(&pid);
	}
	__atomic_store_n(&late.is_free, 1, __ATOMIC_RELEASE);
	while (stats_of(it.gc).nr_cycles < 2)
		arena_gc_poll();
	CHECK(!pthread_join(holder, NULL) && !pthread_join(collector, NULL));
	CHECK_EQ(count_leaves(tree), 1 << DEPTH);
	arena_gc_destroy(it.gc);
}

static void answer_nothing(void)
{
}

static void answer_barrier(void)
{
	poll_until(GC_BARRIER_OLD | GC_BARRIER_NEW);
}

static void answer_scan(void)
{
	poll_until(GC_BARRIER_OLD);
}

TEST(steps, "gc_fork/between any two handshakes of a cycle", "ARENA_GCVERIFY=1")
{
	static const struct {
		void (*own)(void), (*late)(void);
	} steps[] = {
		{ wait_for_request, answer_nothing },
		{ wait_for_request, answer_barrier },
		{ answer_barrier, answer_nothing },
		{ poll_until_black, answer_barrier },
		{ answer_scan, poll_until_black },
	};

	skip_if_sanitized();
	for (size_t i = 0; i < ARRAY_LEN(steps); i++)
		fork_at(steps[i].own, steps[i].late);
}

/* Marking goes on, or is over, when the forks come: at any moment. */
TEST(marking, "gc_fork/while objects are marked and swept", "ARENA_GCVERIFY=1")
{
	struct fixture it;
	struct node *tree;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	tree = new_tree(&it, DEPTH);
	arena_gc_store(&cell[0], new_tree(&it, 17));
	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	for (unsigned int i = 0; i < 20; i++) {
		pthread_t collector;

		elsewhere(&it, make_garbage, NULL);
		CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
		if (i % 2)
			poll_until(GC_BARRIER_OLD);
		for (unsigned int n = 0; n < i * 100; n++)
			arena_gc_poll();
		in_child(allocate_and_collect, &it, tree);
		while (stats_of(it.gc).nr_cycles <= i)
			arena_gc_poll();
		CHECK(!pthread_join(collector, NULL));
	}
	arena_gc_keep_alive(tree);
	arena_gc_destroy(it.gc);
}

static void mark_by_hand(struct arena_gc *gc, const struct node *tree)
{
	struct gc_marker marker = { .gc = gc };

	gc_queue_open(&gc->queue);
	gc_mark_address(&marker, (uintptr_t)tree);
	while (gc_mark_some(&marker, UINT32_MAX))
		;
	gc_mark_leave(&marker);
	CHECK(!gc_queue_await(&gc->queue, true));
}

static void be_flipped(const struct fixture *it, void *tree)
{
	for (uint32_t i = 1; i < gc_kinds(&it->gc->types); i++)
		CHECK_EQ(it->gc->types.kinds[i].gen, it->gc->types.gen);
	read_and_collect(it, tree);
}

TEST(half, "gc_fork/when lists were just becoming unswept they all are in the child", "ARENA_GCVERIFY=1")
{
	struct fixture it;
	struct node *tree;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	tree = new_tree(&it, DEPTH);
	CHECK(arena_gc_alloc_atomic(it.gc, 100));
	/* As the collector does it, which has come to no kind yet. */
	mark_by_hand(it.gc, tree);
	it.gc->types.gen++;
	in_child(be_flipped, &it, tree);
	arena_gc_keep_alive(tree);
}

/* ---------------------------------------------------------------- other threads */

static uint32_t nr_sitting; /* atomic */

/* With spans in its hands. */
static void *sit(void *argument)
{
	const struct fixture *it = argument;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	new_tree(it, DEPTH);
	CHECK(arena_gc_alloc_atomic(it->gc, 100000));
	__atomic_add_fetch(&nr_sitting, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&nr_sitting, __ATOMIC_ACQUIRE) < 100)
		usleep(1000);
	return NULL;
}

static void free_all(const struct fixture *it, void *unused)
{
	(void)unused;
	arena_gc_detach(it->gc);
	arena_gc_collect(it->gc);
	CHECK_EQ(stats_of(it->gc).live_bytes, 0);
	CHECK_EQ(it->gc->space.heap->pages.used_pages, 0);
}

TEST(lost, "gc_fork/what threads had that are not there any more is found, to the page", "ARENA_GCVERIFY=1")
{
	pthread_t threads[4];
	struct fixture it;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(!pthread_create(&threads[i], NULL, sit, &it));
	while (__atomic_load_n(&nr_sitting, __ATOMIC_ACQUIRE) < ARRAY_LEN(threads))
		usleep(200);
	in_child(free_all, &it, NULL);
	__atomic_store_n(&nr_sitting, 100, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(!pthread_join(threads[i], NULL));
	arena_gc_destroy(it.gc);
}

static int is_over; /* atomic */

/* Allocates and stores all the time; what it has built is in a root when it is done with it. */
static void *work(void *argument)
{
	const struct fixture *it = argument;
	struct random rng = { harness_seed() };
	struct node *slots[16] = { 0 };
	struct arena_gc_handle *handle;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	handle = arena_gc_handle_create(it->gc, NULL);
	CHECK(handle);
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		slots[random_below(&rng, 16)] = new_tree(it, (unsigned int)random_below(&rng, 8));
		arena_gc_handle_set(handle, slots[random_below(&rng, 16)]);
		CHECK(arena_gc_alloc_atomic(it->gc, random_below(&rng, random_below(&rng, 50) ? 500 : 50000)));
		/* The heap stays small: what is tested is the moment, and each fork copies its tables. */
		if (!random_below(&rng, 16))
			usleep(100);
	}
	arena_gc_keep_alive(slots);
	arena_gc_handle_free(it->gc, handle);
	arena_gc_detach(it->gc);
	return NULL;
}

static void *collect_again_and_again(void *argument)
{
	const struct fixture *it = argument;

	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE))
		arena_gc_collect(it->gc);
	return NULL;
}

static void use_in_child(const struct fixture *it, void *argument)
{
	struct node **trees = argument;

	for (unsigned int i = 0; i < 8; i++) {
		CHECK_EQ(count_leaves(trees[i]), 1u << i);
		CHECK_EQ(count_leaves(new_tree(it, 6)), 1 << 6);
	}
	arena_gc_collect(it->gc);
	arena_gc_collect(it->gc);
	for (unsigned int i = 0; i < 8; i++)
		CHECK_EQ(count_leaves(trees[i]), 1u << i);
}

TEST(threads, "gc_fork/under threads that allocate and cycles that follow each other", "ARENA_GCVERIFY=1")
{
	const char *text = getenv("GC_FORKS");
	unsigned int nr = text ? (unsigned int)strtoul(text, NULL, 10) : 200, done = 0;
	struct node *trees[8];
	pthread_t threads[3];
	struct fixture it;

	skip_if_sanitized();
	it = set_up_with(&(struct arena_gc_options){ .source = ARENA_SOURCE_PAGES, .percent = 20 });
	for (unsigned int i = 0; i < 8; i++)
		trees[i] = new_tree(&it, i);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		CHECK(!pthread_create(&threads[i], NULL, i ? work : collect_again_and_again, &it));
	for (; done < nr && (text || harness_seconds() < 20); done++) {
		in_child(use_in_child, &it, trees);
		CHECK_EQ(count_leaves(new_tree(&it, 6)), 1 << 6);
	}
	harness_note("%u forks, %lu cycles", done, (unsigned long)stats_of(it.gc).nr_cycles);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		arena_gc_blocking(join, &threads[i]);
	arena_gc_destroy(it.gc);
}
