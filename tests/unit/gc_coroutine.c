// SPDX-License-Identifier: MIT
/* Stacks of coroutines, by ucontext: what a suspended one holds, whatever step of a cycle it is left or entered in, and by which thread. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "tests/unit/gc_fixture.h"

#define STACK_BYTES ((size_t)256 * KiB)

/* A coroutine of the test's. Its memory is malloc()'s: nothing that the collector knows but the stack. */
struct coroutine {
	const struct fixture *it;
	struct arena_gc_stack *stack;
	void *memory;
	ucontext_t own, resumer;
	void (*function)(struct coroutine *me);
	uintptr_t hidden;	/* what is passed on, in a form that leads nowhere */
	bool is_over;
};

/* ---------------------------------------------------------------- switching */

static void swap_in(void *coroutine)
{
	struct coroutine *to = coroutine;

	swapcontext(&to->resumer, &to->own);
}

static void swap_out(void *coroutine)
{
	struct coroutine *from = coroutine;

	swapcontext(&from->own, &from->resumer);
}

/* Go on there until it comes back. */
__attribute__((noinline)) static void resume(struct coroutine *to)
{
	arena_gc_stack_switch(to->it->gc, to->stack, swap_in, to);
}

__attribute__((noinline)) static void suspend(struct coroutine *me)
{
	arena_gc_stack_switch(me->it->gc, NULL, swap_out, me);
}

static void begin(unsigned int high, unsigned int low)
{
	struct coroutine *me = (struct coroutine *)((uintptr_t)high << 32 | low);

	me->function(me);
	me->is_over = true;
	suspend(me);
}

static struct coroutine *start(const struct fixture *it, void (*function)(struct coroutine *me))
{
	struct coroutine *me = calloc(1, sizeof(*me));

	CHECK(me);
	me->it = it;
	me->function = function;
	me->memory = malloc(STACK_BYTES);
	CHECK(me->memory);
	me->stack = arena_gc_stack_create(it->gc, me->memory, STACK_BYTES);
	CHECK(me->stack && !getcontext(&me->own));
	me->own.uc_stack.ss_sp = me->memory;
	me->own.uc_stack.ss_size = STACK_BYTES;
	makecontext(&me->own, (void (*)(void))begin, 2, (unsigned int)((uintptr_t)me >> 32), (unsigned int)(uintptr_t)me);
	return me;
}

static void finish(struct coroutine *coroutine)
{
	arena_gc_stack_destroy(coroutine->it->gc, coroutine->stack);
	free(coroutine->memory);
	free(coroutine);
}

static void skip_if_sanitized(void)
{
	if (harness_sanitized())
		harness_skip("sanitizers do not follow threads to other stacks");
}

/* ---------------------------------------------------------------- what a suspended stack holds */

/* Each level of the recursion has a node that nothing else leads to. */
static void descend(struct coroutine *me, unsigned int depth)
{
	struct node *node = new_node(me->it, NULL, NULL, depth);

	suspend(me);
	if (depth)
		descend(me, depth - 1);
	CHECK(is_alive(me->it->gc, node, depth));
	suspend(me);
}

static void descend_20(struct coroutine *me)
{
	descend(me, 20);
}

TEST(holds, "gc_coroutine/objects of suspended stacks are alive, and no longer than these", "ARENA_GCVERIFY=1")
{
	struct coroutine *coroutines[3];
	struct fixture it;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	for (size_t i = 0; i < ARRAY_LEN(coroutines); i++)
		coroutines[i] = start(&it, descend_20);
	for (unsigned int step = 0; step < 42; step++) {
		for (size_t i = 0; i < ARRAY_LEN(coroutines); i++)
			resume(coroutines[i]);
		arena_gc_collect(it.gc);
		if (step < 20)
			CHECK_EQ(stats_of(it.gc).freed_objects, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(coroutines); i++) {
		resume(coroutines[i]);
		CHECK(coroutines[i]->is_over);
		finish(coroutines[i]);
	}
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 63);
	arena_gc_destroy(it.gc);
}

static void hold_one(struct coroutine *me)
{
	struct node *node = new_node(me->it, NULL, NULL, 7);

	suspend(me);
	arena_gc_keep_alive(node);
}

/* The child's first cycle is none that has scanned the stack. */
static void collect_in_child(struct coroutine *coroutine)
{
	alarm(60);
	arena_gc_collect(coroutine->it->gc);
	CHECK_EQ(stats_of(coroutine->it->gc).freed_objects, 0);
	resume(coroutine);
	CHECK(coroutine->is_over);
	_exit(0);
}

TEST(forked, "gc_coroutine/a stack that was scanned in a cycle which a fork drops is scanned in the child's", "ARENA_GCVERIFY=1")
{
	struct fixture it;
	struct coroutine *coroutine;
	pthread_t collector;
	int status;
	pid_t pid;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	coroutine = start(&it, hold_one);
	resume(coroutine);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	/* The first round is asked for when all stacks have been read. */
	while (gc_request_of(atomic_load_seq_cst(&it.gc->asked)) != GC_REQUEST_FLUSH) {
		arena_gc_poll();
		usleep(200);
	}
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		collect_in_child(coroutine);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
	poll_until_done(it.gc);
	CHECK(!pthread_join(collector, NULL));
	resume(coroutine);
	CHECK(coroutine->is_over);
	finish(coroutine);
	arena_gc_destroy(it.gc);
}

TEST(dropped, "gc_coroutine/a stack that is destroyed in the middle keeps nothing")
{
	struct coroutine *coroutine;
	struct fixture it;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	coroutine = start(&it, hold_one);
	resume(coroutine);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 0);
	finish(coroutine);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 1);
	arena_gc_destroy(it.gc);
}

static void *run_and_leave(void *coroutine)
{
	struct coroutine *me = coroutine;

	CHECK_EQ(arena_gc_attach(me->it->gc), 0);
	resume(me);
	arena_gc_detach(me->it->gc);
	return NULL;
}

TEST(other_thread, "gc_coroutine/a stack goes on when the thread that left it has ended", "ARENA_GCVERIFY=1")
{
	struct coroutine *coroutine;
	struct fixture it;
	pthread_t thread;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	coroutine = start(&it, descend_20);
	for (unsigned int step = 0; step < 43; step++) {
		CHECK(!pthread_create(&thread, NULL, run_and_leave, coroutine));
		arena_gc_blocking(join, &thread);
		arena_gc_collect(it.gc);
	}
	CHECK(coroutine->is_over);
	finish(coroutine);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- steps of a cycle */

/* Another thread that is attached and answers no further than told: the cycle stays where it is. */
static struct {
	const struct fixture *it;
	void (*answer)(void);
	struct coroutine *resumed; /* when it has answered, and be left again; or NULL */
	uint32_t turn; /* atomic */
} late;

static void set_turn(uint32_t turn)
{
	__atomic_store_n(&late.turn, turn, __ATOMIC_RELEASE);
}

static void wait_for_turn(uint32_t turn)
{
	while (__atomic_load_n(&late.turn, __ATOMIC_ACQUIRE) != turn)
		usleep(200);
}

static void *be_late(void *unused)
{
	CHECK_EQ(arena_gc_attach(late.it->gc), 0);
	set_turn(1);
	late.answer();
	if (late.resumed)
		resume(late.resumed);
	set_turn(2);
	wait_for_turn(3);
	arena_gc_detach(late.it->gc);
	return unused;
}

static void start_late(const struct fixture *it, pthread_t *thread, void (*answer)(void))
{
	late.it = it;
	late.answer = answer;
	CHECK(!pthread_create(thread, NULL, be_late, NULL));
	wait_for_turn(1);
}

static void answer_scan(void)
{
	poll_until(GC_BARRIER_OLD);
}

/* Hands out the node and forgets it. */
static void hand_out(struct coroutine *me)
{
	me->hidden = hidden_node(me->it, 7);
	for (volatile uintptr_t held = ~me->hidden; held;) {
		me->hidden = 0;
		suspend(me);
		me->hidden = ~held;
		held = 0;
	}
	wipe_stack();
	suspend(me);
}

/* What this thread, which is scanned, gets from a stack that is not, must have been noted. */
TEST(enter, "gc_coroutine/a stack that was not scanned is, before a scanned thread goes on there", "ARENA_GCVERIFY=1")
{
	pthread_t collector, other;
	struct coroutine *coroutine;
	struct fixture it;
	struct node *node;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	coroutine = start(&it, hand_out);
	resume(coroutine);
	start_late(&it, &other, poll_until_black);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	answer_scan();
	resume(coroutine);
	node = (struct node *)~coroutine->hidden;
	wait_for_turn(2);
	set_turn(3);
	poll_until_done(it.gc);
	CHECK(is_alive(it.gc, node, 7));
	CHECK(!pthread_join(other, NULL) && !pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

/* Holds what it is given, from the second time on. */
static void take_in(struct coroutine *me)
{
	struct node *volatile node; /* else the compiler may keep what is hidden, and bring it to light later */

	suspend(me);
	suspend(me);
	node = (struct node *)~me->hidden;
	suspend(me);
	CHECK(is_alive(me->it->gc, node, 7));
}

/* The stack counts as scanned when this thread, which is not, goes on there with what nobody else has. */
TEST(unscanned, "gc_coroutine/a stack that ran on a thread that was not scanned is scanned again", "ARENA_GCVERIFY=1")
{
	pthread_t collector, other;
	struct coroutine *coroutine;
	struct fixture it;

	skip_if_sanitized();
	it = set_up(ARENA_GC_OFF);
	coroutine = start(&it, take_in);
	coroutine->hidden = hidden_node(&it, 7);
	wipe_stack();
	resume(coroutine);
	late.resumed = coroutine;
	start_late(&it, &other, answer_scan);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	wait_for_turn(2);
	resume(coroutine);
	wipe_stack();
	set_turn(3);
	poll_until_done(it.gc);
	resume(coroutine);
	CHECK(coroutine->is_over);
	CHECK(!pthread_join(other, NULL) && !pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- many, on some threads */

#define COROUTINES 24
#define WALKERS 3

static struct {
	struct fixture it;
	struct coroutine *all[COROUTINES];
	uint32_t is_taken[COROUTINES]; /* atomic */
	int is_over; /* atomic */
} many;

/* Builds a tree, node by node, suspended between any two, and looks at it; again and again. */
static struct node *build(struct coroutine *me, unsigned int depth)
{
	struct node *left, *right;

	suspend(me);
	if (!depth)
		return new_node(me->it, NULL, NULL, 1);
	left = build(me, depth - 1);
	right = build(me, depth - 1);
	return new_node(me->it, left, right, left->value + right->value);
}

static void build_again_and_again(struct coroutine *me)
{
	while (!__atomic_load_n(&many.is_over, __ATOMIC_RELAXED)) {
		struct node *tree = build(me, 5);

		CHECK_EQ(tree->value, 1 << 5);
		CHECK_EQ(count_leaves(tree), 1 << 5);
	}
}

static void *walk(void *argument)
{
	struct random rng = { harness_seed() + (uintptr_t)argument };

	CHECK_EQ(arena_gc_attach(many.it.gc), 0);
	while (!__atomic_load_n(&many.is_over, __ATOMIC_ACQUIRE)) {
		size_t i = random_below(&rng, COROUTINES);

		if (__atomic_exchange_n(&many.is_taken[i], 1, __ATOMIC_ACQUIRE))
			continue;
		resume(many.all[i]);
		__atomic_store_n(&many.is_taken[i], 0, __ATOMIC_RELEASE);
		arena_gc_poll();
	}
	arena_gc_detach(many.it.gc);
	return NULL;
}

TEST(migrate, "gc_coroutine/24 coroutines that build trees on 3 threads, now here, now there", "ARENA_GCVERIFY=1")
{
	pthread_t threads[WALKERS];
	uint64_t cycles = 0;

	skip_if_sanitized();
	many.it = set_up(ARENA_GC_OFF);
	for (size_t i = 0; i < COROUTINES; i++)
		many.all[i] = start(&many.it, build_again_and_again);
	for (uintptr_t i = 0; i < WALKERS; i++)
		CHECK(!pthread_create(&threads[i], NULL, walk, (void *)i));
	for (; harness_seconds() < 1.5 || cycles < 10; cycles++)
		arena_gc_collect(many.it.gc);
	__atomic_store_n(&many.is_over, 1, __ATOMIC_RELEASE);
	for (size_t i = 0; i < WALKERS; i++)
		arena_gc_blocking(join, &threads[i]);
	harness_note("%lu cycles", (unsigned long)cycles);
	for (size_t i = 0; i < COROUTINES; i++)
		finish(many.all[i]);
	arena_gc_destroy(many.it.gc);
}

/* ---------------------------------------------------------------- who waits for whom */

/* A thread that keeps the queue's lock, so that who marks waits where it is. */
struct keeper {
	struct gc_queue *queue;
	bool is_kept, is_over;
};

static void *keep(void *argument)
{
	struct keeper *keeper = argument;

	lock_acquire(&keeper->queue->lock);
	__atomic_store_n(&keeper->is_kept, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&keeper->is_over, __ATOMIC_ACQUIRE))
		usleep(200);
	lock_release(&keeper->queue->lock);
	return NULL;
}

/* A stack that nobody runs on. */
static uintptr_t words[8];

static void fill_words(const struct fixture *it, void *unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		words[i] = (uintptr_t)new_node(it, NULL, NULL, i);
}

/* The collector has copied it, and waits for the queue. */
static void wait_until_copied(struct arena_gc *gc, struct arena_gc_stack *stack)
{
	bool is_copied = false;

	while (!is_copied || __atomic_load_n(&gc->queue.lock.word, __ATOMIC_ACQUIRE) != 2) {
		usleep(200);
		lock_acquire(&stack->lock);
		is_copied = stack->scanned;
		lock_release(&stack->lock);
	}
}

TEST(outside, "gc_coroutine/who makes, leaves or ends a stack does not wait until the collector has marked what is on another")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc_stack *stack = arena_gc_stack_create(it.gc, words, sizeof(words));
	struct keeper keeper = { .queue = &it.gc->queue };
	pthread_t collector, other;

	elsewhere(&it, fill_words, NULL);
	stack->low = stack->base;
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	wait_for_request();
	CHECK(!pthread_create(&other, NULL, keep, &keeper));
	while (!__atomic_load_n(&keeper.is_kept, __ATOMIC_ACQUIRE))
		usleep(200);
	arena_gc_poll();
	wait_until_copied(it.gc, stack);
	CHECK(lock_try(&it.gc->stacks_lock));
	lock_release(&it.gc->stacks_lock);
	/* Also the one that it comes from, and the one that it would come to. */
	arena_gc_stack_destroy(it.gc, arena_gc_stack_create(it.gc, words, sizeof(words)));
	arena_gc_stack_destroy(it.gc, stack);
	__atomic_store_n(&keeper.is_over, true, __ATOMIC_RELEASE);
	poll_until_done(it.gc);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		CHECK(is_alive(it.gc, (const struct node *)words[i], i));
	CHECK(!pthread_join(other, NULL) && !pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

TEST(ended, "gc_coroutine/stacks that end while the collector goes through the list are not read, and none is left out")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc_stack *stacks[4];
	struct keeper keeper = { .queue = &it.gc->queue };
	pthread_t collector, other;

	elsewhere(&it, fill_words, NULL);
	/* The last one is the first of the list. */
	for (size_t i = 0; i < 4; i++) {
		stacks[i] = arena_gc_stack_create(it.gc, &words[2 * i], 2 * sizeof(words[0]));
		stacks[i]->low = stacks[i]->base;
	}
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	wait_for_request();
	CHECK(!pthread_create(&other, NULL, keep, &keeper));
	while (!__atomic_load_n(&keeper.is_kept, __ATOMIC_ACQUIRE))
		usleep(200);
	arena_gc_poll();
	wait_until_copied(it.gc, stacks[3]);
	arena_gc_stack_destroy(it.gc, stacks[2]);
	arena_gc_stack_destroy(it.gc, stacks[0]);
	__atomic_store_n(&keeper.is_over, true, __ATOMIC_RELEASE);
	poll_until_done(it.gc);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		CHECK_EQ(!!arena_gc_usable_bytes(it.gc, (const void *)words[i]), i / 2 % 2);
	CHECK(!pthread_join(other, NULL) && !pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- bad input */

static void destroy_own(struct coroutine *me)
{
	arena_gc_stack_destroy(me->it->gc, me->stack);
}

static void with_coroutine(void *function)
{
	struct fixture it = set_up(ARENA_GC_OFF);

	resume(start(&it, *(void (**)(struct coroutine *))function));
}

static void swap_nothing(void *unused)
{
	(void)unused;
}

static void answer_elsewhere(void *unused)
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct coroutine *coroutine = start(&it, destroy_own);

	(void)unused;
	arena_gc_stack_switch(it.gc, coroutine->stack, swap_nothing, NULL);
	arena_gc_collect(it.gc);
}

TEST(misuse, "gc_coroutine/misuse aborts and says why")
{
	void (*own)(struct coroutine *) = destroy_own;
	struct death death;

	skip_if_sanitized();
	harness_child(&death, with_coroutine, &own);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "runs on the stack");
	harness_child(&death, answer_elsewhere, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "not its own");
}
