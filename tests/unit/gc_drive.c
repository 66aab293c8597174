// SPDX-License-Identifier: MIT
/*
 * The pacer at work: who takes part in marking and when nobody does any more, credit that several spend, assists and how long they are. What the pacer itself
 * decides is asked in gc/pace.c.
 */
#include <pthread.h>
#include <unistd.h>

#include "arena/gc.h"
#include "gc/assist.h"
#include "gc/collected.h"
#include "gc/mark.h"
#include "gc/threads.h"
#include "tests/harness.h"

static uint32_t turn;	/* atomic */

static void set_turn(uint32_t number)
{
	__atomic_store_n(&turn, number, __ATOMIC_RELEASE);
}

static void wait_for_turn(uint32_t number)
{
	while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) < number)
		usleep(200);
}

/* Long enough for another thread to come to where it waits. On a slow machine it may not, and the test sees less. */
static void be_silent(void)
{
	usleep(20000);
}

/* ---------------------------------------------------------------- who takes part */

static struct gc_queue queue;

static void push_one(uintptr_t entry)
{
	struct gc_block *block = gc_queue_get(&queue);

	CHECK(block);
	block->entries[block->nr++] = entry;
	gc_queue_push(&queue, block);
}

static void put_one(uintptr_t expected)
{
	struct gc_block *block = gc_queue_pop(&queue);

	CHECK(block);
	CHECK_EQ(block->entries[0], expected);
	gc_queue_put(&queue, block);
}

TEST(closed, "gc_drive/nobody takes part while the queue is closed, or has nothing")
{
	gc_queue_init(&queue);
	push_one(1);
	CHECK(!gc_queue_enter(&queue));
	gc_queue_open(&queue);
	CHECK(gc_queue_enter(&queue));
	put_one(1);
	CHECK(!gc_queue_enter(&queue));
	gc_queue_leave(&queue);
	gc_queue_leave(&queue);
	CHECK(!gc_queue_await(&queue, true));
	push_one(2);
	CHECK(!gc_queue_enter(&queue));
	CHECK(!gc_queue_await(&queue, true));
	gc_queue_fini(&queue);
}

static void *close_queue(void *unused)
{
	set_turn(1);
	while (gc_queue_await(&queue, true)) {
		put_one(7);
		gc_queue_leave(&queue);
	}
	set_turn(3);
	return unused;
}

TEST(busy, "gc_drive/the queue is closed when nothing is left, and nobody holds anything")
{
	pthread_t closer;

	gc_queue_init(&queue);
	gc_queue_open(&queue);
	CHECK(!pthread_create(&closer, NULL, close_queue, NULL));
	wait_for_turn(1);
	for (int i = 0; i < 10; i++) {
		be_silent();
		CHECK_EQ(__atomic_load_n(&turn, __ATOMIC_ACQUIRE), 1);
		push_one(7);
	}
	be_silent();
	CHECK(queue.is_open);
	gc_queue_leave(&queue);
	wait_for_turn(3);
	CHECK(!queue.is_open && !queue.full);
	CHECK(!pthread_join(closer, NULL));
	gc_queue_fini(&queue);
}

/* ---------------------------------------------------------------- credit */

#define SPENDERS 4

static struct gc_drive drive;

static void *spend(void *sum)
{
	uint64_t taken;

	wait_for_turn(1);
	while ((taken = gc_drive_take_credit(&drive, 3)))
		*(uint64_t *)sum += taken;
	return NULL;
}

TEST(credit, "gc_drive/credit is spent once, whoever takes it")
{
	pthread_t threads[SPENDERS];
	uint64_t sums[SPENDERS] = { 0 }, all = 0;

	gc_drive_init(&drive, 2);
	for (size_t i = 0; i < SPENDERS; i++)
		CHECK(!pthread_create(&threads[i], NULL, spend, &sums[i]));
	gc_drive_did(&drive, 1000000);
	set_turn(1);
	for (size_t i = 0; i < SPENDERS; i++) {
		CHECK(!pthread_join(threads[i], NULL));
		all += sums[i];
	}
	CHECK_EQ(all, 1000000);
	CHECK_EQ(gc_drive_take_credit(&drive, 1), 0);
}

TEST(published, "gc_drive/what is owed is published while a cycle runs, and nothing is between two")
{
	struct gc_debt debt = { 0 };
	struct gc_pace view;

	gc_drive_init(&drive, 2);
	CHECK(!gc_drive_is_owed(&drive));
	CHECK_EQ(drive.trigger_bytes, drive.pace.trigger_bytes);
	gc_drive_begin(&drive, 3 * MiB, 3 * MiB);
	CHECK(gc_drive_is_owed(&drive));
	view = gc_drive_view(&drive);
	CHECK_EQ(gc_pace_slice_work(&view), gc_pace_slice_work(&drive.pace));
	CHECK_EQ(gc_pace_owe(&view, &debt, 4096), gc_pace_scale(4096, drive.pace.ratio, GC_PACE_ONE));
	CHECK_EQ(drive.credit_work, 3 * MiB / GC_PACE_LEAD_SHARE);
	gc_drive_did(&drive, 2 * MiB);
	gc_drive_end(&drive, (struct gc_pace_cycle){ .live_bytes = 2 * MiB, .roots_work = 64 * KiB, .heap_bytes = 3 * MiB });
	CHECK(!gc_drive_is_owed(&drive));
	CHECK_EQ(drive.credit_work, 0);
	CHECK_EQ(drive.pace.heap_work, 2 * MiB - 64 * KiB);
	CHECK_EQ(drive.trigger_bytes, drive.pace.trigger_bytes - 2 * MiB);
	gc_drive_set_percent(&drive, GC_PACE_OFF);
	CHECK_EQ(drive.trigger_bytes, UINT64_MAX);
}

/* ---------------------------------------------------------------- assists */

struct node {
	struct node *left, *right;
	uint64_t value;
};
ARENA_GC_LAYOUT(node_layout, struct node, left, right);

static struct node *new_tree(struct arena_gc *gc, struct arena_gc_type *type, unsigned int depth)
{
	struct node *node = arena_gc_alloc(gc, type);

	CHECK(node);
	if (depth) {
		arena_gc_store(&node->left, new_tree(gc, type, depth - 1));
		arena_gc_store(&node->right, new_tree(gc, type, depth - 1));
	}
	return node;
}

static struct arena_gc *new_heap(unsigned int percent)
{
	struct arena_gc *gc = arena_gc_create(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP, .percent = percent });

	CHECK(gc);
	CHECK_EQ(arena_gc_attach(gc), 0);
	return gc;
}

/* A program that does nothing but allocate. The collector may not be late for ever, on however busy a machine. */
TEST(assists, "gc_drive/a program that allocates faster than workers mark assists, in slices that are no longer than asked for but for a span")
{
	struct arena_gc *gc = new_heap(20);
	struct arena_gc_type *type = arena_gc_type_create(gc, &node_layout);
	struct node *live = new_tree(gc, type, 17);
	struct arena_gc_stats stats;

	/* What a worker took is counted when its turn is over, which may be late on a busy machine. */
	while (gc_drive_sums(&gc->drive).nr_slices < 100 || !gc_drive_sums(&gc->drive).worker_ns)
		new_tree(gc, type, 10);
	harness_note("%llu slices in %llu cycles, at most %llu bytes scanned in one", (unsigned long long)gc_drive_sums(&gc->drive).nr_slices,
		     (unsigned long long)atomic_load_relaxed(&gc->drive.nr_begun), (unsigned long long)atomic_load_relaxed(&gc->drive.slice_most_work));
	arena_gc_stats(gc, &stats);
	CHECK(stats.assist_slices >= 100 && stats.assist_ns > 0 && stats.assist_max_work > 0 && stats.collector_ns > 0);
	/* What leads to each other in a span is scanned together. */
	CHECK(atomic_load_relaxed(&gc->drive.slice_most_over) <= GC_WORDS * 64 * arena_gc_usable_bytes(gc, live) + GC_TEST_WORK);
	arena_gc_keep_alive(live);
	arena_gc_destroy(gc);
}

/* A heap of next to nothing: roots are the work. */
TEST(roots, "gc_drive/what there is to scan at most has the roots of the last cycle in it")
{
	static uint64_t range[8 * MiB / sizeof(uint64_t)];
	struct arena_gc *gc = new_heap(ARENA_GC_OFF);

	CHECK_EQ(arena_gc_add_roots(gc, range, sizeof(range)), 0);
	arena_gc_collect(gc);
	arena_gc_collect(gc);
	CHECK(gc->drive.pace.worst_work >= sizeof(range));
	CHECK_EQ(arena_gc_remove_roots(gc, range), 0);
	arena_gc_collect(gc);
	arena_gc_collect(gc);
	CHECK(gc->drive.pace.worst_work < sizeof(range));
	arena_gc_destroy(gc);
}

/* Elements of an array are left off in the middle of the array. */
TEST(pieces, "gc_drive/an assist scans no more of a long array than its slice asks for")
{
	struct arena_gc *gc = new_heap(ARENA_GC_OFF);
	struct arena_gc_type *type = arena_gc_type_create(gc, &node_layout);
	struct node *array = arena_gc_alloc_array(gc, type, 100000);
	struct gc_marker marker = { .gc = gc };

	CHECK(array);
	gc_queue_open(&gc->queue);
	gc_mark_address(&marker, (uintptr_t)array);
	for (int i = 0; i < 10; i++) {
		CHECK(gc_mark_some(&marker, 1000));
		CHECK(marker.work <= (uint64_t)(i + 1) * 1008);
	}
	gc_mark_leave(&marker);
	CHECK(gc_queue_enter(&gc->queue));
	CHECK(!gc_mark_some(&marker, UINT32_MAX));
	CHECK_EQ(marker.work, arena_gc_usable_bytes(gc, array));
	gc_mark_leave(&marker);
	CHECK_EQ(gc->nr_marked, 1);
	CHECK(!gc_queue_await(&gc->queue, true));
	arena_gc_keep_alive(array);
}

/* ---------------------------------------------------------------- workers */

/* A cycle that only this test runs, with more to mark than will be. */
static struct node *begin_cycle(struct arena_gc *gc)
{
	struct node *array = arena_gc_alloc_array(gc, arena_gc_type_create(gc, &node_layout), 50000);
	struct gc_marker marker = { .gc = gc };

	CHECK(array);
	gc_drive_begin(&gc->drive, gc_heap_bytes(gc), 64 * MiB);
	gc_queue_open(&gc->queue);
	gc_mark_address(&marker, (uintptr_t)array);
	gc_mark_leave(&marker);
	return array;
}

TEST(paid, "gc_drive/what is owed is paid from credit first, then in slices, one at a time below the goal")
{
	struct arena_gc *gc = new_heap(100);
	struct gc_mutator *mutator = gc_mutator_of(gc);
	struct node *array = begin_cycle(gc);
	uint64_t slice_work = gc->drive.slice_work;

	atomic_store_relaxed(&gc->drive.credit_work, (uint64_t)GiB);
	mutator->taken_bytes = 16 * KiB;
	gc_assist(mutator);
	CHECK(gc->drive.credit_work < GiB && gc->drive.credit_work > 0);
	CHECK_EQ(gc_drive_sums(&gc->drive).nr_slices, 0);
	atomic_store_relaxed(&gc->drive.credit_work, (uint64_t)0);
	for (unsigned int i = 1; i <= 3; i++) {
		mutator->taken_bytes = 16 * KiB;
		gc_assist(mutator);
		CHECK_EQ(gc_drive_sums(&gc->drive).nr_slices, i);
	}
	CHECK(gc->drive.slice_most_work > slice_work / 2 && gc->drive.slice_most_work <= slice_work + sizeof(struct node));
	arena_gc_keep_alive(array);
}

/* Of a list that another thread marks nothing is left for others; the heap must not grow by all that they allocate meanwhile. */
TEST(waits, "gc_drive/who owes at the ceiling and finds nothing to mark waits for as long, and that counts as the program's time")
{
	struct arena_gc *gc = new_heap(100);
	struct gc_mutator *mutator = gc_mutator_of(gc);
	uint64_t bucket_ns = 1000 * 1000 * 1000;

	CHECK(arena_gc_alloc_atomic(gc, 1 * MiB));
	gc_drive_begin(&gc->drive, gc_heap_bytes(gc), 64 * MiB);
	atomic_store_relaxed(&gc->drive.credit_work, (uint64_t)0);
	gc->drive.pace.goal_bytes = gc->drive.pace.ceiling_bytes = 64 * KiB;
	gc->drive.pace.bucket_ns = bucket_ns;
	gc_drive_set_enabled(&gc->drive, true);
	mutator->taken_bytes = 16 * KiB;
	gc_assist(mutator);
	CHECK_EQ(gc_drive_sums(&gc->drive).nr_slices, 0);
	CHECK(gc->drive.pace.bucket_ns <= bucket_ns - GC_PACE_MOST_WAIT_SLICES * GC_PACE_SLICE_NS);
}

/* How many objects a marker of @nr_children hands over in the middle of its work. */
static unsigned int handed_over(struct arena_gc *gc, struct arena_gc_type *type, size_t nr_children, uint32_t nr_hungry)
{
	struct node *array = arena_gc_alloc_array(gc, type, nr_children);
	struct gc_marker marker = { .gc = gc };
	struct gc_block *block;
	unsigned int nr = 0;

	for (size_t i = 0; i < nr_children; i++)
		arena_gc_store(&array[i].left, arena_gc_alloc(gc, type));
	gc_queue_open(&gc->queue);
	atomic_store_relaxed(&gc->queue.nr_hungry, nr_hungry);
	gc_mark_address(&marker, (uintptr_t)array);
	CHECK(gc_mark_some(&marker, arena_gc_usable_bytes(gc, array)));
	atomic_store_relaxed(&gc->queue.nr_hungry, 0u);
	while ((block = gc_queue_pop(&gc->queue))) {
		nr += block->nr;
		for (uint32_t i = 0; i < block->nr; i++)
			gc_mark_address(&marker, block->entries[i]);
		gc_queue_put(&gc->queue, block);
	}
	while (gc_mark_some(&marker, UINT32_MAX))
		;
	gc_mark_leave(&marker);
	CHECK(!gc_queue_await(&gc->queue, true));
	arena_gc_keep_alive(array);
	return nr;
}

TEST(shares, "gc_drive/who has much to mark gives half of it to who has nothing, and to nobody else")
{
	struct arena_gc *gc = new_heap(ARENA_GC_OFF);
	struct arena_gc_type *type = arena_gc_type_create(gc, &node_layout);
	unsigned int nr = handed_over(gc, type, 300, 1);

	CHECK(nr >= 140 && nr <= 150);
	CHECK_EQ(handed_over(gc, type, 300, 0), 0);
	CHECK_EQ(handed_over(gc, type, 4, 1), 0);
}

/* Two workers of eight CPUs are enough, however few there are; while nobody runs but the collector all eight may work. */
TEST(helpers, "gc_drive/workers mark together: each object is marked once, and nothing is left", "ARENA_GC_CPUS=8", "ARENA_GCVERIFY=1")
{
	struct arena_gc *gc = new_heap(ARENA_GC_OFF);
	struct arena_gc_type *type = arena_gc_type_create(gc, &node_layout);
	struct node *live = new_tree(gc, type, 17);
	struct arena_gc_stats stats;

	/* On a busy machine the collector may be done before the others are there. */
	for (int i = 0; i < 3 || (i < 50 && !atomic_load_relaxed(&gc->crew.helped_work)); i++) {
		arena_gc_collect(gc);
		CHECK(gc->nr_marked >= (2 << 17) - 1 && gc->nr_marked < (2 << 17) + 1000);
	}
	harness_note("%u helpers marked %llu KiB", gc->crew.nr_helpers, (unsigned long long)gc->crew.helped_work / 1024);
	CHECK_EQ(gc->crew.nr_helpers, 7);
	CHECK(gc->crew.helped_work > 0);
	CHECK(!gc->queue.is_open && !gc->queue.nr_busy && !gc->queue.full);
	arena_gc_stats(gc, &stats);
	CHECK_EQ(stats.freed_objects, 0);
	arena_gc_keep_alive(live);
	arena_gc_destroy(gc);
}
