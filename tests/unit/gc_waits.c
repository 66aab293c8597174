// SPDX-License-Identifier: MIT
/* Who waits for whom: what must not wait for each other. A test that hangs is ended by a signal. */
#include "gc_fixture.h"
#include "gc/look.h"

#define MOST_SECONDS 30

/* ---------------------------------------------------------------- two heaps that are stopped */

struct pair {
	struct arena_gc *heaps[2];
	uint32_t nr_done;	/* atomic */
};

/* With the other heap first for the other thread. */
struct member {
	struct pair *pair;
	int first;
};

static bool is_asked(const struct gc_mutator *mutator)
{
	return atomic_load_seq_cst(&mutator->gc->asked) != mutator->answered;
}

/* If one asks for something, give the other one time to do so too: then both cycles go in step, and want to stop all at the same time. */
static void wait_for_both(void)
{
	for (int i = 0; i < 30 && is_asked(gc_own) != is_asked(gc_own->next_own); i++)
		usleep(1000);
}

static void *poll_both(void *context)
{
	const struct member *member = context;
	struct pair *pair = member->pair;

	CHECK_EQ(arena_gc_attach(pair->heaps[member->first]), 0);
	CHECK_EQ(arena_gc_attach(pair->heaps[!member->first]), 0);
	while (atomic_load_relaxed(&pair->nr_done) < 2) {
		wait_for_both();
		arena_gc_poll();
	}
	return NULL;
}

static void look_at_nothing(struct arena_gc *gc, void *unused)
{
	(void)gc;
	(void)unused;
}

static void *look_at(void *gc)
{
	gc_look(gc, look_at_nothing, NULL);
	return NULL;
}

TEST(stopped, "gc_waits/two heaps with the same threads are stopped one after the other")
{
	struct pair pair = { .heaps = { arena_gc_create(NULL), arena_gc_create(NULL) } };
	struct member members[2] = { { &pair, 0 }, { &pair, 1 } };
	pthread_t threads[2], lookers[2];

	alarm(MOST_SECONDS);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, poll_both, &members[i]));
	for (int i = 0; i < 2; i++)
		while (gc_threads_running(pair.heaps[i]) < 2)
			usleep(1000);
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_create(&lookers[i], NULL, look_at, pair.heaps[i]));
	for (int i = 0; i < 2; i++) {
		CHECK(!pthread_join(lookers[i], NULL));
		atomic_add_relaxed(&pair.nr_done, 1u);
	}
	for (int i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	for (int i = 0; i < 2; i++)
		arena_gc_destroy(pair.heaps[i]);
}

/* ---------------------------------------------------------------- the end of a heap */

static struct arena_gc *ending;
static uint32_t is_in_cleanup;	/* atomic */

static void collect_at_the_end(void *unused)
{
	(void)unused;
	atomic_store_release(&is_in_cleanup, 1u);
	while (!atomic_load_acquire(&ending->cleanups.is_ending)) {
		arena_gc_poll();
		usleep(200);
	}
	arena_gc_collect(ending);
}

static void add_to_garbage(const struct fixture *it, void *unused)
{
	(void)unused;
	CHECK(arena_gc_add_cleanup(it->gc, new_node(it, NULL, NULL, 1), collect_at_the_end, NULL));
}

TEST(destroyed, "gc_waits/a heap is destroyed by an attached thread while a cleanup waits for a cycle")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	alarm(MOST_SECONDS);
	ending = it.gc;
	elsewhere(&it, add_to_garbage, NULL);
	arena_gc_collect(it.gc);
	while (!atomic_load_acquire(&is_in_cleanup)) {
		arena_gc_poll();
		usleep(200);
	}
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- the end of a thread */

static void *sleep_for_ever(void *unused)
{
	while (!unused)
		pause();
	return NULL;
}

static void *be_blocked(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	return arena_gc_blocking(sleep_for_ever, NULL);
}

/* All are stopped, also who is about to end. */
static void cancel_one(struct arena_gc *gc, void *thread)
{
	CHECK(!pthread_cancel(*(pthread_t *)thread));
	be_silent();
	for (const struct gc_mutator *mutator = gc_threads_first(gc); mutator; mutator = mutator->next)
		CHECK(atomic_load_acquire(&mutator->state) != GC_GONE);
}

TEST(cancelled, "gc_waits/a thread that is cancelled where it answers for nothing ends when nobody answers for it")
{
	struct fixture it;
	pthread_t thread;

	if (harness_sanitized())
		harness_skip("sanitizers do not see what a thread that was cancelled leaves behind");
	it = set_up(ARENA_GC_OFF);
	alarm(MOST_SECONDS);
	CHECK(!pthread_create(&thread, NULL, be_blocked, it.gc));
	while (gc_threads_first(it.gc) == gc_own || gc_threads_running(it.gc) > 1)
		usleep(1000);
	gc_look(it.gc, cancel_one, &thread);
	arena_gc_blocking(join, &thread);
	arena_gc_collect(it.gc);
	arena_gc_destroy(it.gc);
}

/* The cycle in which somebody was looked for. */
static void note_cycle(struct arena_gc *gc, void *cycle)
{
	*(uint64_t *)cycle = atomic_load_relaxed(&gc->drive.nr_begun);
}

struct asker {
	struct arena_gc *gc;
	pthread_t thread;
	uint64_t first, second;
};

static void *ask_again(void *context)
{
	struct asker *asker = context;

	CHECK_EQ(gc_look(asker->gc, note_cycle, &asker->second), 0);
	return NULL;
}

static void note_while_asked(struct arena_gc *gc, void *context)
{
	struct asker *asker = context;

	note_cycle(gc, &asker->first);
	CHECK(!pthread_create(&asker->thread, NULL, ask_again, asker));
	while (!gc_look_is_wanted(gc))
		usleep(200);
}

/* Threads that ask one after the other would keep all stopped for as long as they ask. */
TEST(asked, "gc_waits/who asks something while all are stopped for another's question waits for a cycle of its own")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct asker asker = { .gc = it.gc };

	alarm(MOST_SECONDS);
	CHECK_EQ(gc_look(it.gc, note_while_asked, &asker), 0);
	arena_gc_blocking(join, &asker.thread);
	CHECK(asker.second != asker.first);
	arena_gc_destroy(it.gc);
}
