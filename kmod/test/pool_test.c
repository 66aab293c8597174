// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pools, with real chunks and the real clearing threads, in a group of their own: every
 * sequence of five events, and the locks that taking and giving in turn costs.
 */
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/preempt.h>
#include <linux/topology.h>

#include "../cpu_slot.h"
#include "../group.h"
#include "../place.h"
#include "../pool.h"
#include "suites.h"

enum pool_event {
	TAKE_ONE,
	TAKE_TWO,
	GIVE_ONE_CLEAN,
	GIVE_ONE_DIRTY,
	GIVE_ALL_DIRTY,
	FLUSH_SLOTS,
	NR_EVENTS,
};

#define DEPTH		5
#define NR_SEQUENCES	(6 * 6 * 6 * 6 * 6)
/* Without what cannot be given because it is not held: that depends on no thread. */
#define NR_APPLIED	26388UL
/* What an owner leaves behind. */
#define SECRET		0x5ec4e75ec4e7UL

/**
 * struct pool_walk - the group under test and what is taken from it
 * @group: in no list, so nobody else finds it
 * @held: chunks taken
 * @nr_held: length of @held
 * @taken_before: of the whole module, less what was returned, when the walk began
 * @nr_applied: events that could happen
 * @nr_wrong: those after which something did not hold
 */
struct pool_walk {
	struct pool_group *group;
	struct list_head held;
	unsigned long nr_held;
	u64 taken_before;
	unsigned long nr_applied;
	unsigned long nr_wrong;
};

static u64 chunks_outside(void)
{
	struct pool_stats stats;

	pool_stats(NUMA_NO_NODE, &stats);
	return stats.taken_chunks - stats.returned_chunks;
}

/* Under the lock: the clearing thread moves chunks from one count to the other. */
static unsigned long pool_count(struct pool *pool)
{
	unsigned long nr;

	spin_lock(&pool->lock);
	nr = pool_nr_idle(pool);
	spin_unlock(&pool->lock);
	return nr;
}

/* Without those in slots. */
static unsigned long group_listed(struct pool_group *group)
{
	unsigned long nr = 0;
	int nid;

	for_each_node(nid)
		if (group->pools[nid])
			nr += pool_count(group->pools[nid]);
	return nr;
}

static unsigned long group_idle(struct pool_group *group)
{
	struct cpu_slot_count in_slots = cpu_slot_count(group, NUMA_NO_NODE);

	return group_listed(group) + in_slots.clean + in_slots.dirty;
}

static unsigned long *chunk_word(struct folio *chunk)
{
	return (unsigned long *)folio_address(chunk) + 64;
}

/* A chunk that says it is clean shows nothing of its last owner. */
static bool chunk_is_honest(struct folio *chunk)
{
	return chunk_is_uncleared(chunk) || !*chunk_word(chunk);
}

/* As good as zeroed, for who looks at this word alone. */
static void chunk_clean(struct folio *chunk)
{
	*chunk_word(chunk) = 0;
	chunk_set_uncleared(chunk, false);
}

static bool walk_take(struct pool_walk *walk, unsigned long nr)
{
	struct placement place = { .first = 1ULL << numa_mem_id(), .near = numa_mem_id() };
	bool honest = true;
	struct folio *chunk;
	LIST_HEAD(chunks);

	if (pool_take(walk->group, &place, &chunks, nr, GFP_KERNEL))
		return false;
	list_for_each_entry(chunk, &chunks, lru) {
		honest &= chunk_is_honest(chunk);
		chunk_clean(chunk);
		walk->nr_held++;
		nr--;
	}
	list_splice(&chunks, &walk->held);
	return honest && !nr;
}

static void chunk_soil(struct folio *chunk)
{
	*chunk_word(chunk) = SECRET;
	chunk_set_uncleared(chunk, true);
}

static bool walk_give(struct pool_walk *walk, unsigned long nr, bool dirty)
{
	LIST_HEAD(chunks);

	if (walk->nr_held < nr || !nr)
		return false;
	walk->nr_held -= nr;
	while (nr--) {
		struct folio *chunk = list_first_entry(&walk->held, struct folio, lru);

		if (dirty)
			chunk_soil(chunk);
		list_move(&chunk->lru, &chunks);
	}
	pool_give(walk->group, &chunks);
	return list_empty(&chunks);
}

/* A chunk that is given clean was never written to. */
static bool held_first_is_clean(struct pool_walk *walk)
{
	return walk->nr_held &&
	       !chunk_is_uncleared(list_first_entry(&walk->held, struct folio, lru));
}

static bool walk_can(struct pool_walk *walk, enum pool_event event)
{
	switch (event) {
	case GIVE_ONE_CLEAN:
		return held_first_is_clean(walk);
	case GIVE_ONE_DIRTY:
	case GIVE_ALL_DIRTY:
		return walk->nr_held;
	default:
		return true;
	}
}

static bool walk_apply(struct pool_walk *walk, enum pool_event event)
{
	switch (event) {
	case TAKE_ONE:
		return walk_take(walk, 1);
	case TAKE_TWO:
		return walk_take(walk, 2);
	case GIVE_ONE_CLEAN:
		return walk_give(walk, 1, false);
	case GIVE_ONE_DIRTY:
		return walk_give(walk, 1, true);
	case GIVE_ALL_DIRTY:
		return walk_give(walk, walk->nr_held, true);
	default:
		cpu_slot_flush(walk->group);
		return !cpu_slot_count(walk->group, NUMA_NO_NODE).clean;
	}
}

/* No chunk is lost, none is counted twice, and a CPU holds one at most. */
static bool walk_holds(struct pool_walk *walk)
{
	struct cpu_slot_count in_slots = cpu_slot_count(walk->group, NUMA_NO_NODE);

	return in_slots.clean + in_slots.dirty <= num_possible_cpus() &&
	       walk->nr_held + group_idle(walk->group) == chunks_outside() - walk->taken_before;
}

static void walk_sequence(struct pool_walk *walk, unsigned int sequence)
{
	unsigned int step;

	for (step = 0; step < DEPTH; step++, sequence /= NR_EVENTS) {
		if (!walk_can(walk, sequence % NR_EVENTS))
			continue;
		walk->nr_applied++;
		if (!walk_apply(walk, sequence % NR_EVENTS) || !walk_holds(walk))
			walk->nr_wrong++;
	}
	/* The next one begins with what the pools hold by now, and nothing in hand. */
	if (walk->nr_held)
		walk_give(walk, walk->nr_held, false);
	cond_resched();
}

/* Wait until no thread works for the group any more: the test's own reference is the last. */
static bool group_is_quiet(struct pool_group *group)
{
	unsigned int tries = 5000;

	cpu_slot_flush(group);
	while (atomic_long_read(&group->refs) > 1 && --tries)
		usleep_range(1000, 2000);
	return tries;
}

static struct pool_walk *walk_make(struct kunit *test)
{
	struct pool_walk *walk = kunit_kzalloc(test, sizeof(*walk), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, walk);
	INIT_LIST_HEAD(&walk->held);
	walk->taken_before = chunks_outside();
	walk->group = group_create(NULL, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, walk->group);
	group_get(walk->group);
	return walk;
}

static int pool_test_init(struct kunit *test)
{
	test->priv = walk_make(test);
	return 0;
}

static void pool_test_exit(struct kunit *test)
{
	struct pool_walk *walk = test->priv;

	if (!walk)
		return;
	KUNIT_EXPECT_TRUE(test, group_is_quiet(walk->group));
	group_destroy(walk->group);
	KUNIT_EXPECT_EQ(test, chunks_outside(), walk->taken_before);
}

static void pool_test_sequences(struct kunit *test)
{
	struct pool_walk *walk = test->priv;
	unsigned int sequence;

	for (sequence = 0; sequence < NR_SEQUENCES; sequence++)
		walk_sequence(walk, sequence);
	KUNIT_EXPECT_EQ(test, sequence, 7776U);
	KUNIT_EXPECT_EQ(test, walk->nr_applied, NR_APPLIED);
	KUNIT_EXPECT_EQ(test, walk->nr_wrong, 0UL);
}

#define PAIRS		512

/* Shared locks that PAIRS of take and give cost. */
static long turn_over(struct pool_walk *walk, bool dirty)
{
	long locks, pairs, right = 0;

	migrate_disable();
	locks = atomic_long_read(&pool_locks);
	for (pairs = 0; pairs < PAIRS; pairs++)
		right += walk_take(walk, 1) && walk_give(walk, 1, dirty);
	locks = atomic_long_read(&pool_locks) - locks;
	migrate_enable();
	return right == PAIRS ? locks : LONG_MAX;
}

static void pool_test_locks_clean(struct kunit *test)
{
	struct pool_walk *walk = test->priv;

	KUNIT_ASSERT_TRUE(test, walk_take(walk, 2));
	KUNIT_ASSERT_TRUE(test, walk_give(walk, 2, false));
	KUNIT_ASSERT_TRUE(test, group_is_quiet(walk->group));
	KUNIT_EXPECT_LE(test, turn_over(walk, false), (long)PAIRS / 16);
}

/* Where there is no clean chunk to be had instead. */
static void pool_test_locks_dirty(struct kunit *test)
{
	struct pool_walk *walk = test->priv;

	KUNIT_EXPECT_LE(test, turn_over(walk, true), (long)PAIRS / 16);
}

#define MIXED_CHUNKS	8
#define MIXED_PAIRS	128
/* One to exchange it, one to queue the pool, and four of the thread that zeroes it. */
#define MIXED_LOCKS	6L

/* Shared locks that MIXED_PAIRS of take and give cost when the thread keeps up. */
static long turn_over_slowly(struct pool_walk *walk)
{
	struct pool *pool = walk->group->pools[numa_mem_id()];
	long locks = atomic_long_read(&pool_locks), pairs, right = 0;

	migrate_disable();
	for (pairs = 0; pairs < MIXED_PAIRS; pairs++) {
		right += walk_take(walk, 1) && walk_give(walk, 1, true);
		while (READ_ONCE(pool->is_queued))
			usleep_range(100, 200);
	}
	migrate_enable();
	locks = atomic_long_read(&pool_locks) - locks;
	return right == MIXED_PAIRS ? locks : LONG_MAX;
}

/*
 * Whoever touches what he takes gives it back dirty. The slot holds one chunk, so the thread gets
 * it, and the taker a clean one, by way of the pool: far from one lock for 16, and far cheaper than
 * zeroing.
 */
static void pool_test_locks_mixed(struct kunit *test)
{
	struct pool_walk *walk = test->priv;
	long locks;

	KUNIT_ASSERT_TRUE(test, walk_take(walk, MIXED_CHUNKS));
	KUNIT_ASSERT_TRUE(test, walk_give(walk, MIXED_CHUNKS, false));
	KUNIT_ASSERT_TRUE(test, group_is_quiet(walk->group));
	locks = turn_over_slowly(walk);
	kunit_info(test, "%ld shared locks for 16 times take and give", locks * 16 / MIXED_PAIRS);
	KUNIT_EXPECT_LE(test, locks, MIXED_PAIRS * MIXED_LOCKS);
}

/* A dirty chunk in the slot gives way to a clean one of the pool. */
static void pool_test_prefers_clean(struct kunit *test)
{
	struct pool_walk *walk = test->priv;

	KUNIT_ASSERT_TRUE(test, walk_take(walk, 2));
	migrate_disable();
	walk_give(walk, 1, true);
	KUNIT_EXPECT_EQ(test, cpu_slot_count(walk->group, NUMA_NO_NODE).dirty, 1UL);
	walk_give(walk, 1, false);
	KUNIT_EXPECT_TRUE(test, walk_take(walk, 1));
	KUNIT_EXPECT_TRUE(test, held_first_is_clean(walk));
	walk_give(walk, 1, false);
	migrate_enable();
}

/*
 * One chunk for each CPU, not one for each group and CPU. What is in no list of the groups is in a
 * slot, however many of these there are.
 */
static void pool_test_slot_of_two_groups(struct kunit *test)
{
	struct pool_walk *walk = test->priv, *other = walk_make(test);
	int i;

	KUNIT_ASSERT_TRUE(test, walk_take(walk, 2) && walk_take(other, 2));
	KUNIT_ASSERT_EQ(test, group_idle(walk->group) + group_idle(other->group), 0UL);
	migrate_disable();
	for (i = 0; i < 2; i++) {
		KUNIT_EXPECT_TRUE(test, walk_give(walk, 1, false));
		KUNIT_EXPECT_TRUE(test, walk_give(other, 1, false));
	}
	KUNIT_EXPECT_EQ(test, group_listed(walk->group) + group_listed(other->group), 3UL);
	migrate_enable();
	KUNIT_EXPECT_TRUE(test, group_is_quiet(other->group));
	group_destroy(other->group);
}

#define ORDER_CHUNKS	6
#define ORDER_DIRTY	2

/*
 * A pool of its own, of which no clearing thread knows: dirty chunks stay so. They are pushed clean
 * for that, and change lists behind its back.
 */
static struct pool *order_pool(struct kunit *test, struct pool_walk *walk)
{
	struct pool *pool = kunit_kzalloc(test, sizeof(*pool), GFP_KERNEL);
	struct folio *chunk, *next;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pool);
	KUNIT_ASSERT_TRUE(test, walk_take(walk, ORDER_CHUNKS));
	pool->group = walk->group;
	spin_lock_init(&pool->lock);
	raw_spin_lock_init(&pool->hand_lock);
	idle_init(&pool->idle);
	list_for_each_entry_safe(chunk, next, &walk->held, lru) {
		list_del(&chunk->lru);
		pool_push(pool, chunk);
	}
	for (i = 0; i < ORDER_DIRTY; i++) {
		chunk = idle_pop_clean(&pool->idle);
		chunk_soil(chunk);
		idle_push(&pool->idle, chunk);
	}
	return pool;
}

/* What the shrinker takes: dirty before clean, and of each the highest address first. */
static void pool_test_isolate_order(struct kunit *test)
{
	struct pool_walk *walk = test->priv;
	struct pool *pool = order_pool(test, walk);
	struct folio *chunk, *before = NULL;
	int nr = 0;

	KUNIT_EXPECT_EQ(test, pool_try_isolate(pool, ORDER_CHUNKS, &walk->held),
			(unsigned long)ORDER_CHUNKS);
	KUNIT_EXPECT_EQ(test, pool_nr_idle(pool), 0UL);
	/* The first that was taken is the last of the list. */
	list_for_each_entry_reverse(chunk, &walk->held, lru) {
		KUNIT_EXPECT_EQ(test, chunk_is_uncleared(chunk), nr < ORDER_DIRTY);
		if (nr && nr != ORDER_DIRTY)
			KUNIT_EXPECT_LT(test, folio_pfn(chunk), folio_pfn(before));
		before = chunk;
		nr++;
	}
	walk_give(walk, ORDER_CHUNKS, true);
}

/* The shrinker waits for nobody. */
static void pool_test_isolate_gives_up(struct kunit *test)
{
	struct pool_walk *walk = test->priv;
	struct pool *pool = order_pool(test, walk);

	spin_lock(&pool->lock);
	KUNIT_EXPECT_EQ(test, pool_try_isolate(pool, ORDER_CHUNKS, &walk->held), 0UL);
	KUNIT_EXPECT_TRUE(test, list_empty(&walk->held));
	spin_unlock(&pool->lock);
	KUNIT_EXPECT_EQ(test, pool_try_isolate(pool, ORDER_CHUNKS, &walk->held),
			(unsigned long)ORDER_CHUNKS);
	walk_give(walk, ORDER_CHUNKS, true);
}

/* What is being zeroed is taken like all else, last and as it is: its thread may get no CPU. */
static void pool_test_isolate_hand(struct kunit *test)
{
	struct pool_walk *walk = test->priv;
	struct pool *pool = order_pool(test, walk);
	struct folio *chunk = pool_clear_begin(pool);

	KUNIT_EXPECT_EQ(test, pool_nr_idle(pool), (unsigned long)ORDER_CHUNKS);
	KUNIT_EXPECT_EQ(test, pool_try_isolate(pool, ORDER_CHUNKS, &walk->held),
			(unsigned long)ORDER_CHUNKS);
	KUNIT_EXPECT_PTR_EQ(test, chunk, list_first_entry(&walk->held, struct folio, lru));
	KUNIT_EXPECT_TRUE(test, chunk_is_uncleared(chunk));
	/* It is somebody's by now. */
	pool_clear_end(pool);
	KUNIT_EXPECT_TRUE(test, chunk_is_uncleared(chunk));
	KUNIT_EXPECT_EQ(test, pool_nr_idle(pool), 0UL);
	walk_give(walk, ORDER_CHUNKS, true);
}

/* Who wants fewer leaves it, and it comes back clean. */
static void pool_test_isolate_leaves_hand(struct kunit *test)
{
	struct pool_walk *walk = test->priv;
	struct pool *pool = order_pool(test, walk);
	struct folio *chunk = pool_clear_begin(pool);

	KUNIT_EXPECT_EQ(test, pool_try_isolate(pool, ORDER_CHUNKS - 1, &walk->held),
			ORDER_CHUNKS - 1UL);
	KUNIT_EXPECT_PTR_EQ(test, pool->in_hand, chunk);
	pool_clear_end(pool);
	KUNIT_EXPECT_FALSE(test, chunk_is_uncleared(chunk));
	KUNIT_EXPECT_EQ(test, pool_try_isolate(pool, 2, &walk->held), 1UL);
	walk_give(walk, ORDER_CHUNKS, true);
}

/* One lock for many. */
static void pool_test_locks_batch(struct kunit *test)
{
	struct pool_walk *walk = test->priv;
	long locks;

	KUNIT_ASSERT_TRUE(test, walk_take(walk, 16));
	locks = atomic_long_read(&pool_locks);
	KUNIT_EXPECT_TRUE(test, walk_give(walk, 16, false));
	KUNIT_EXPECT_TRUE(test, walk_take(walk, 16));
	KUNIT_EXPECT_LE(test, atomic_long_read(&pool_locks) - locks, 4L);
	walk_give(walk, 16, false);
}

static struct kunit_case pool_cases[] = {
	KUNIT_CASE(pool_test_sequences),
	KUNIT_CASE(pool_test_locks_clean),
	KUNIT_CASE(pool_test_locks_dirty),
	KUNIT_CASE(pool_test_locks_mixed),
	KUNIT_CASE(pool_test_locks_batch),
	KUNIT_CASE(pool_test_isolate_order),
	KUNIT_CASE(pool_test_isolate_gives_up),
	KUNIT_CASE(pool_test_isolate_hand),
	KUNIT_CASE(pool_test_isolate_leaves_hand),
	KUNIT_CASE(pool_test_prefers_clean),
	KUNIT_CASE(pool_test_slot_of_two_groups),
	{}
};

struct kunit_suite pool_suite = {
	.name = "arena-pool",
	.init = pool_test_init,
	.exit = pool_test_exit,
	.test_cases = pool_cases,
};
