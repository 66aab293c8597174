// SPDX-License-Identifier: MIT
/* The protocol of a cycle, step by step: what a barrier notes and what its lack loses; and that verification says so. */
#include <signal.h>
#include <stdio.h>

#include "tests/unit/gc_fixture.h"

static struct node *cell[2];	/* a root */
static uint32_t turn;		/* atomic: whose turn it is, in tests with two threads */

static void wait_for_turn(uint32_t number)
{
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != number)
		usleep(200);
}

static void set_turn(uint32_t number)
{
	__atomic_store_n(&turn, number, __ATOMIC_RELEASE);
}

/* The node is led to by what is hidden here, and by nothing else once the stack is wiped. */
static uintptr_t hidden;

__attribute__((noinline)) static void hide_node(const struct fixture *it, uint64_t value)
{
	hidden = ~(uintptr_t)new_node(it, NULL, NULL, value);
}

__attribute__((noinline)) static void store_hidden(struct node **location)
{
	arena_gc_store(location, (void *)~hidden);
}

/* The three ways to change one pointer; the cell holds NULL. */
static void put_by_store(struct node **location, struct node *node)
{
	arena_gc_store(location, node);
}

static void put_by_swap(struct node **location, struct node *node)
{
	CHECK(!arena_gc_swap(location, node));
}

static void put_by_cas(struct node **location, struct node *node)
{
	CHECK(!arena_gc_cas(location, location, node));
	CHECK(arena_gc_cas(location, NULL, node));
}

static void (*const ways_to_put[])(struct node **location, struct node *node) = { put_by_store, put_by_swap, put_by_cas };

static struct node *take_by_store(struct node **location)
{
	struct node *taken = arena_gc_load(location);

	arena_gc_store(location, NULL);
	return taken;
}

static struct node *take_by_swap(struct node **location)
{
	return arena_gc_swap(location, NULL);
}

static struct node *take_by_cas(struct node **location)
{
	struct node *taken = arena_gc_load(location);

	CHECK(arena_gc_cas(location, taken, NULL));
	return taken;
}

static struct node *(*const ways_to_take[])(struct node **location) = { take_by_store, take_by_swap, take_by_cas };

__attribute__((noinline)) static void put_hidden(void (*put)(struct node **location, struct node *node))
{
	put(&cell[0], (void *)~hidden);
}

static void put_unscanned(void (*put)(struct node **location, struct node *node))
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_t other;

	cell[0] = NULL;
	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	hide_node(&it, 7);
	wipe_stack();
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	/* Roots are scanned now. */
	be_silent();
	put_hidden(put);
	wipe_stack();
	poll_until_done(it.gc);
	CHECK(is_alive(it.gc, cell[0], 7));
	CHECK(!pthread_join(other, NULL));
	arena_gc_destroy(it.gc);
}

TEST(new_value, "gc_barrier/what a stack that is not scanned stores to a root that is, by store, swap or cas, is marked", "ARENA_GCVERIFY=1")
{
	for (size_t i = 0; i < ARRAY_LEN(ways_to_put); i++)
		put_unscanned(ways_to_put[i]);
}

static void take_scanned(struct node *(*take)(struct node **location))
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *taken;
	pthread_t other;

	cell[0] = NULL;
	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	hide_node(&it, 7);
	arena_gc_store(&cell[0], new_node(&it, (void *)~hidden, NULL, 8));
	wipe_stack();
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it.gc));
	poll_until(GC_BARRIER_OLD);
	/* Of thousands of threads most store nothing while a cycle runs. */
	CHECK(!gc_own->buffer);
	taken = take(&cell[0]->left);
	CHECK(gc_own->buffer && arena_gc_local_.next == gc_own->buffer->entries + 1);
	poll_until_done(it.gc);
	CHECK(is_alive(it.gc, taken, 7));
	CHECK(!pthread_join(other, NULL));
	arena_gc_destroy(it.gc);
}

TEST(old_value, "gc_barrier/what is taken out of an object that is not scanned yet, by store, swap or cas, is marked", "ARENA_GCVERIFY=1")
{
	for (size_t i = 0; i < ARRAY_LEN(ways_to_take); i++)
		take_scanned(ways_to_take[i]);
}

/* Answers at once, takes what the other thread has put into the cell, and holds it. */
static void *hold_from_cell(void *argument)
{
	const struct fixture *it = argument;
	struct node *held;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	set_turn(1);
	while (!arena_gc_local_.barrier) {
		arena_gc_poll();
		usleep(200);
	}
	set_turn(2);
	wait_for_turn(3);
	held = arena_gc_load(&cell[1]);
	set_turn(4);
	poll_until_done(it->gc);
	CHECK(is_alive(it->gc, held, 7));
	arena_gc_detach(it->gc);
	return NULL;
}

TEST(apart, "gc_barrier/no stack counts as scanned while a thread stores without a barrier", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_t collector, holder;

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	hide_node(&it, 7);
	wipe_stack();
	CHECK(!pthread_create(&holder, NULL, hold_from_cell, &it));
	wait_for_turn(1);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	/* The other thread has answered, and this one has not. */
	wait_for_turn(2);
	CHECK_EQ(arena_gc_local_.barrier, 0);
	store_hidden(&cell[1]);
	set_turn(3);
	wait_for_turn(4);
	arena_gc_store(&cell[1], NULL);
	wipe_stack();
	poll_until_done(it.gc);
	CHECK(!pthread_join(holder, NULL));
	CHECK(!pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

/* The linker has stores of this file call it (tests/build.mk). */
void __real_arena_gc_shade_(const void *old_value, const void *new_value);
void __wrap_arena_gc_shade_(const void *old_value, const void *new_value);

static __thread bool stops_in_store;

/* The barrier is behind this, the store still to come. */
void __wrap_arena_gc_shade_(const void *old_value, const void *new_value)
{
	__real_arena_gc_shade_(old_value, new_value);
	if (!stops_in_store)
		return;
	stops_in_store = false;
	set_turn(2);
	wait_for_turn(3);
}

/* Until this stack counts as scanned; or for a while, because it does not as long as the other thread is in its store. */
static void poll_until_scanned_or_late(void)
{
	for (size_t i = 0; i < 500 && arena_gc_local_.barrier != GC_BARRIER_OLD; i++) {
		arena_gc_poll();
		usleep(200);
	}
}

static uintptr_t hidden_parent;

/* Stores what is hidden without a barrier, forgets it, and takes it out again. */
static void *put_and_take(void *argument)
{
	const struct fixture *it = argument;
	struct node *held;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	set_turn(1);
	wait_for_turn(2);
	CHECK_EQ(arena_gc_local_.barrier, 0);
	store_hidden(&((struct node *)~hidden_parent)->left);
	wipe_stack();
	poll_until_scanned_or_late();
	held = arena_gc_load(&((struct node *)~hidden_parent)->left);
	set_turn(3);
	poll_until_done(it->gc);
	CHECK(is_alive(it->gc, held, 7));
	arena_gc_detach(it->gc);
	return NULL;
}

TEST(twice, "gc_barrier/no stack counts as scanned while a store is under way that began when not all had a barrier", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *parent = new_node(&it, NULL, NULL, 8);
	pthread_t collector, other;

	hidden_parent = ~(uintptr_t)parent;
	hide_node(&it, 7);
	wipe_stack();
	CHECK(!pthread_create(&other, NULL, put_and_take, &it));
	wait_for_turn(1);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until(GC_BARRIER_OLD | GC_BARRIER_NEW);
	/* It reads that nothing is there, and removes what the other thread stores meanwhile. */
	stops_in_store = true;
	arena_gc_store(&parent->left, NULL);
	poll_until_done(it.gc);
	CHECK(!pthread_join(other, NULL));
	CHECK(!pthread_join(collector, NULL));
	arena_gc_keep_alive(parent);
	arena_gc_destroy(it.gc);
}

static void *blocked_for_a_while(void *unused)
{
	be_silent();
	return unused;
}

TEST(safe, "gc_barrier/what a thread noted before it blocked is flushed, and what it holds is alive", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *taken;
	pthread_t other;

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	arena_gc_store(&cell[0], new_tree(&it, 10));
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	taken = arena_gc_load(&cell[0]);
	arena_gc_store(&cell[0], NULL);
	while (!stats_of(it.gc).nr_cycles)
		CHECK(arena_gc_blocking(blocked_for_a_while, &it) == &it);
	CHECK_EQ(count_leaves(taken), 1 << 10);
	CHECK_EQ(arena_gc_local_.barrier, 0);
	CHECK(!pthread_join(other, NULL));
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- what is wrong is said */

static void plain_store(void *argument)
{
	const struct fixture *it = argument;
	pthread_t other;

	CHECK_EQ(arena_gc_add_roots(it->gc, cell, sizeof(cell)), 0);
	hide_node(it, 7);
	wipe_stack();
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it->gc));
	poll_until_black();
	be_silent();
	cell[0] = (void *)~hidden;
	wipe_stack();
	poll_until_done(it->gc);
}

/* Out of thin air, as from memory that the collector does not know. */
static void store_freed(void *argument)
{
	const struct fixture *it = argument;

	CHECK_EQ(arena_gc_add_roots(it->gc, cell, sizeof(cell)), 0);
	arena_gc_store(&cell[0], new_node(it, new_node(it, NULL, NULL, 2), NULL, 1));
	hide_node(it, 7);
	wipe_stack();
	arena_gc_collect(it->gc);
	CHECK(is_gone(it->gc, hidden));
	store_hidden(&cell[0]->right);
	arena_gc_collect(it->gc);
}

static void plain_store_to_handle(void *argument)
{
	const struct fixture *it = argument;
	struct arena_gc_handle *handle = arena_gc_handle_create(it->gc, NULL);
	pthread_t other;

	fprintf(stderr, "stored to %p\n", (void *)handle);
	hide_node(it, 7);
	wipe_stack();
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it->gc));
	poll_until_black();
	be_silent();
	*(const void **)handle = (const void *)~hidden;
	wipe_stack();
	poll_until_done(it->gc);
}

/* In a child that makes the heap itself: threads do not survive a fork. */
static void with_heap(void *argument)
{
	struct fixture it = set_up(ARENA_GC_OFF);

	(*(void (**)(void *))argument)(&it);
}

/* On a busy machine what is stored may be found because nobody has looked there yet. */
static void child_that_says(struct death *death, void (*function)(void *argument), const char *says)
{
	for (int tries = 0; tries < 10; tries++) {
		harness_child(death, with_heap, &function);
		if (strstr(death->text, says))
			return;
	}
}

/* A dozen cycles; one, when nobody looks through what he has noted (gc/barrier.c). */
TEST(flood, "gc_barrier/a thread that stores faster than others look at what it notes does not keep a cycle from ending", "ARENA_GCVERIFY=0")
{
	struct fixture it = set_up(100);
	struct node *tree = new_tree(&it, 17), *node = NULL;

	for (size_t i = 0; i < 3000000; i++) {
		node = new_node(&it, NULL, NULL, i);
		for (unsigned int k = 0; k < 4; k++)
			arena_gc_store(&node->left, tree);
	}
	CHECK(stats_of(it.gc).nr_cycles >= 6);
	CHECK_EQ(node->left->value, 1 << 17);
	arena_gc_destroy(it.gc);
}

TEST(lost, "gc_barrier/verification ends a program that has stored without a barrier, or what was freed", "ARENA_GCVERIFY=1")
{
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	child_that_says(&death, plain_store, "a store without its barrier");
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "a store without its barrier");
	harness_child(&death, with_heap, &(void (*)(void *)){ store_freed });
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "where no object is any more");
}

TEST(where, "gc_barrier/verification says which root holds what is lost, and which handle", "ARENA_GCVERIFY=1")
{
	char expected[64], *address;
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	child_that_says(&death, plain_store, "gc verify: root");
	snprintf(expected, sizeof(expected), "gc verify: root %p holds", (void *)&cell[0]);
	CHECK_HAS(death.text, expected);
	child_that_says(&death, plain_store_to_handle, "gc verify: handle");
	CHECK_HAS(death.text, "stored to ");
	address = strstr(death.text, "stored to ") + strlen("stored to ");
	snprintf(expected, sizeof(expected), "gc verify: handle %.*s holds", (int)strcspn(address, "\n"), address);
	CHECK_HAS(death.text, expected);
}
