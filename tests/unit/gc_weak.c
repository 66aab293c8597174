// SPDX-License-Identifier: MIT
/* Weak references of collected heaps: what they lead to goes, and what was read stays, in each phase of a cycle. */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "arena/gc.h"
#include "gc_threads.h"
#include "gc_weak.h"
#include "tests/harness.h"

struct node {
	struct node *left, *right;
	uint64_t value;
};
ARENA_GC_LAYOUT(node_layout, struct node, left, right);

struct fixture {
	struct arena_gc *gc;
	struct arena_gc_type *node;
};

static struct fixture set_up(void)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_THP, .percent = ARENA_GC_OFF };
	struct fixture it = { .gc = arena_gc_create(&options) };

	CHECK(it.gc);
	CHECK_EQ(arena_gc_attach(it.gc), 0);
	it.node = arena_gc_type_create(it.gc, &node_layout);
	CHECK(it.node);
	return it;
}

static struct node *new_node(const struct fixture *it, struct node *left, uint64_t value)
{
	struct node *node = arena_gc_alloc(it->gc, it->node);

	CHECK(node);
	arena_gc_store(&node->left, left);
	node->value = value;
	return node;
}

static uint64_t nr_freed(struct arena_gc *gc)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return stats.freed_objects;
}

static uint64_t nr_cycles(struct arena_gc *gc)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return stats.nr_cycles;
}

/* What a function leaves on a stack must not keep what it made: it runs on one that nobody looks at afterwards. */
struct call {
	const struct fixture *it;
	void (*function)(const struct fixture *it, void *argument);
	void *argument;
};

static void *run_call(void *argument)
{
	const struct call *call = argument;

	CHECK_EQ(arena_gc_attach(call->it->gc), 0);
	call->function(call->it, call->argument);
	arena_gc_detach(call->it->gc);
	return NULL;
}

static void *join(void *thread)
{
	CHECK(!pthread_join(*(pthread_t *)thread, NULL));
	return NULL;
}

static void elsewhere(const struct fixture *it, void (*function)(const struct fixture *it, void *argument), void *argument)
{
	struct call call = { it, function, argument };
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run_call, &call));
	arena_gc_blocking(join, &thread);
}

static void *collect(void *gc)
{
	arena_gc_collect(gc);
	return NULL;
}

/* A cycle begins on another thread, and this one is at the given request of it: it has answered that, and will not answer the next before it polls. */
static pthread_t begin_cycle(const struct fixture *it, enum gc_request until)
{
	pthread_t other;

	CHECK(!pthread_create(&other, NULL, collect, it->gc));
	while (gc_request_of(gc_own->answered) != until) {
		arena_gc_poll();
		usleep(100);
	}
	return other;
}

static void end_cycle(const struct fixture *it, pthread_t other)
{
	uint64_t nr = nr_cycles(it->gc);

	while (nr_cycles(it->gc) == nr) {
		arena_gc_poll();
		usleep(100);
	}
	CHECK(!pthread_join(other, NULL));
}

/* ---------------------------------------------------------------- what goes */

static struct node global;	/* no object of any heap */

/* Ten that lead to garbage, of three nodes each; what they are made with leaves no trace. */
static void point_at_garbage(const struct fixture *it, void *argument)
{
	struct arena_gc_weak **weak = argument;

	for (size_t i = 0; i < 10; i++) {
		struct node *node = new_node(it, new_node(it, new_node(it, NULL, 1), 2), 3);

		arena_gc_weak_set(weak[i], i % 2 ? (void *)node : (void *)&node->value);
		CHECK(arena_gc_weak_get(weak[i]) == (i % 2 ? (void *)node : (void *)&node->value));
	}
}

TEST(cleared, "gc_weak/what only weak references lead to is freed, and they lead to nothing", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up();
	struct arena_gc_weak *weak[13];
	struct node *kept = new_node(&it, NULL, 7);

	for (size_t i = 0; i < 13; i++) {
		weak[i] = arena_gc_weak_create(it.gc, i == 10 ? &kept->right : i == 11 ? (void *)&global : NULL);
		CHECK(weak[i]);
	}
	elsewhere(&it, point_at_garbage, weak);
	arena_gc_collect(it.gc);
	CHECK_EQ(nr_freed(it.gc), 30);
	for (size_t i = 0; i < 10; i++)
		CHECK(!arena_gc_weak_get(weak[i]));
	CHECK(arena_gc_weak_get(weak[10]) == &kept->right && arena_gc_weak_get(weak[11]) == &global && !arena_gc_weak_get(weak[12]));
	arena_gc_weak_set(weak[3], kept);
	arena_gc_collect(it.gc);
	CHECK(arena_gc_weak_get(weak[3]) == kept);
	arena_gc_keep_alive(kept);
	arena_gc_destroy(it.gc);
}

#define MANY 10000

static void make_many(const struct fixture *it, void *argument)
{
	struct node *kept = *(struct node **)argument;

	for (size_t i = 0; i < MANY; i++)
		CHECK(arena_gc_weak_create(it->gc, i % 2 ? kept : new_node(it, NULL, i)));
}

TEST(references, "gc_weak/weak references that nothing leads to are freed, whatever they lead to", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up();
	struct node *kept = new_node(&it, NULL, 7);

	for (size_t i = 1; i <= 3; i++) {
		elsewhere(&it, make_many, &kept);
		arena_gc_collect(it.gc);
		CHECK_EQ(nr_freed(it.gc), i * (MANY + MANY / 2));
		CHECK(!it.gc->weak.all.first);
	}
	arena_gc_keep_alive(kept);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- while a cycle runs */

static void point_at_node(const struct fixture *it, void *weak)
{
	arena_gc_weak_set(weak, new_node(it, new_node(it, NULL, 8), 7));
}

__attribute__((noinline)) static void check_node(const struct node *node)
{
	CHECK(node);
	CHECK_EQ(node->value, 7);
	CHECK_EQ(node->left->value, 8);
}

TEST(reading, "gc_weak/what is read while a cycle marks stays, and is counted once", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);
	struct node *node;
	pthread_t other;

	elsewhere(&it, point_at_node, weak);
	other = begin_cycle(&it, GC_REQUEST_SCAN);
	node = arena_gc_weak_get(weak);
	CHECK_EQ(it.gc->weak.word, 2);
	end_cycle(&it, other);
	check_node(node);
	CHECK(arena_gc_weak_get(weak) == node);
	CHECK_EQ(nr_freed(it.gc), 0);
	/* It is marked by now, and read as if there were no weak references. */
	other = begin_cycle(&it, GC_REQUEST_FLUSH);
	CHECK(arena_gc_weak_get(weak) == node);
	CHECK_EQ(it.gc->weak.word, 2);
	end_cycle(&it, other);
	check_node(node);
	arena_gc_destroy(it.gc);
}

TEST(closed, "gc_weak/a read while it is settled what is dead gets nothing, and clears nothing", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);
	struct node *kept = new_node(&it, NULL, 7);
	pthread_t other;

	elsewhere(&it, point_at_node, weak);
	other = begin_cycle(&it, GC_REQUEST_SCAN);
	/* As the collector would; it waits for this thread. */
	CHECK(gc_weak_close(it.gc, gc_weak_word(it.gc)));
	CHECK(!arena_gc_weak_get(weak) && weak->target);
	arena_gc_weak_set(weak, kept);
	gc_weak_open(it.gc);
	end_cycle(&it, other);
	CHECK(arena_gc_weak_get(weak) == kept);
	CHECK_EQ(nr_freed(it.gc), 2);
	arena_gc_keep_alive(kept);
	arena_gc_destroy(it.gc);
}

TEST(late, "gc_weak/a read behind the last round gets nothing, or what stays", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);
	struct node *node;
	pthread_t other;

	elsewhere(&it, point_at_node, weak);
	other = begin_cycle(&it, GC_REQUEST_FLUSH);
	/* The collector comes to clear it meanwhile, unless the machine is busy: then this is a read as in the test above. */
	usleep(30000);
	CHECK(arena_gc_local_.barrier);
	node = arena_gc_weak_get(weak);
	end_cycle(&it, other);
	if (node)
		check_node(node);
	CHECK(arena_gc_weak_get(weak) == node);
	arena_gc_destroy(it.gc);
}

TEST(count, "gc_weak/the collector does not close when something was read since it looked")
{
	struct fixture it = set_up();
	uint64_t word = gc_weak_word(it.gc);

	it.gc->weak.word += 2;
	CHECK(!gc_weak_close(it.gc, word));
	CHECK_EQ(it.gc->weak.word, 2);
	CHECK(gc_weak_close(it.gc, gc_weak_word(it.gc)));
	CHECK_EQ(it.gc->weak.word, 3);
	gc_weak_open(it.gc);
	CHECK_EQ(it.gc->weak.word, 2);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- chains */

struct element {
	struct link link;
	unsigned int value;
};

static bool has_bit(void *mask, struct link *link)
{
	return link_entry(link, struct element, link)->value & *(unsigned int *)mask;
}

TEST(chain, "gc_weak/sifting a chain leaves what is to stay, in its order")
{
	for (unsigned int nr = 0; nr <= 8; nr++)
		for (unsigned int stays = 0; stays < 1u << nr; stays++) {
			struct element elements[8];
			struct gc_chain chain = { NULL };
			struct link *link;
			unsigned int yes = 1;

			for (unsigned int i = 0; i < nr; i++) {
				elements[i].value = stays >> i & 1;
				gc_chain_push(&chain, &elements[i].link);
			}
			gc_chain_sift(&chain, has_bit, &yes);
			link = gc_chain_first(&chain);
			for (unsigned int i = nr; i--;)
				if (stays >> i & 1) {
					CHECK(link == &elements[i].link);
					link = link->next;
				}
			CHECK(!link);
		}
}

/* ---------------------------------------------------------------- misuse */

static void read_detached(void *unused)
{
	struct fixture it = set_up(), other = set_up();
	struct arena_gc_weak *weak = arena_gc_weak_create(it.gc, NULL);

	(void)unused;
	arena_gc_detach(it.gc);
	begin_cycle(&other, GC_REQUEST_BARRIER);
	arena_gc_weak_get(weak);
}

TEST(misuse, "gc_weak/misuse aborts and says why")
{
	struct death death;

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	harness_child(&death, read_detached, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "not attached to its heap");
}
