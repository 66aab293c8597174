// SPDX-License-Identifier: MIT
/* Roots that come and go while they are read. What they keep is tested in gc.c. */
#include "gc/roots.h"

#include <errno.h>
#include <sys/mman.h>

#include "arena/arena.h"

#include "tests/unit/gc_fixture.h"

#define NR_KEPT 8
#define NR_CHURNED 4
/* So that the one who reads lets go of the lock in the middle of one, too. */
#define WORDS ((size_t)24 * KiB / sizeof(uintptr_t))
/* So that they go in several pieces. Behind each is memory that faults. */
#define CHURNED_BYTES ((size_t)1 * MiB)
#define GUARD_BYTES ((size_t)64 * KiB)
#define MARK ((uintptr_t)0xabcd << 32)

static uintptr_t kept[NR_KEPT][WORDS];
static void *churned[NR_CHURNED];
static bool is_over; /* atomic */

/* The first and the last word of each range that stays say which it is. */
static void add_kept(struct arena_gc *gc, unsigned int i)
{
	kept[i][0] = kept[i][WORDS - 1] = MARK + i;
	CHECK_EQ(arena_gc_add_roots(gc, kept[i], sizeof(kept[i])), 0);
}

static void map_churned(void)
{
	for (unsigned int i = 0; i < NR_CHURNED; i++) {
		churned[i] = mmap(NULL, CHURNED_BYTES + GUARD_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(churned[i] != MAP_FAILED);
		CHECK(!mprotect((char *)churned[i] + CHURNED_BYTES, GUARD_BYTES, PROT_NONE));
	}
}

static void *churn(void *context)
{
	struct arena_gc *gc = context;
	bool is_there[NR_CHURNED] = { false };
	uint64_t random = 1;

	CHECK_EQ(arena_gc_attach(gc), 0);
	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		unsigned int i = (unsigned int)((random = random * 6364136223846793005u + 1442695040888963407u) >> 33) % NR_CHURNED;

		CHECK_EQ(is_there[i] ? arena_gc_remove_roots(gc, churned[i]) : arena_gc_add_roots(gc, churned[i], CHURNED_BYTES), 0);
		is_there[i] = !is_there[i];
	}
	arena_gc_detach(gc);
	return NULL;
}

static void count(void *context, uintptr_t word)
{
	unsigned int *seen = context;

	if (word >= MARK && word < MARK + NR_KEPT)
		seen[word - MARK]++;
}

TEST(reading, "gc_roots/ranges that stay are read once each, whatever others come and go meanwhile")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_t other;

	for (unsigned int i = 0; i < NR_KEPT; i++)
		add_kept(it.gc, i);
	map_churned();
	CHECK(!pthread_create(&other, NULL, churn, it.gc));
	for (unsigned int round = 0; round < 1500; round++) {
		unsigned int seen[NR_KEPT] = { 0 };

		CHECK(gc_roots_each(&it.gc->roots, count, seen) >= sizeof(kept));
		for (unsigned int i = 0; i < NR_KEPT; i++)
			CHECK_EQ(seen[i], 2);
		/* Behind the others, of which some go when it is read. */
		CHECK_EQ(arena_gc_remove_roots(it.gc, kept[round % NR_KEPT]), 0);
		add_kept(it.gc, round % NR_KEPT);
	}
	__atomic_store_n(&is_over, true, __ATOMIC_RELEASE);
	CHECK(!pthread_join(other, NULL));
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- a large range that goes */

#define LARGE_WORDS ((size_t)16 * MiB / sizeof(uintptr_t))
static uintptr_t large[LARGE_WORDS];

/* Whether something was asked of this thread while it removed the range, and answered. */
static bool answers_while_removing(void)
{
	struct arena_gc *gc = set_up(ARENA_GC_OFF).gc;
	pthread_t collector;
	uint32_t answered;

	CHECK_EQ(arena_gc_add_roots(gc, large, sizeof(large)), 0);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, gc));
	poll_until(GC_BARRIER_OLD);
	answered = atomic_load_relaxed(&gc_own->answered);
	CHECK_EQ(arena_gc_remove_roots(gc, large), 0);
	answered = atomic_load_relaxed(&gc_own->answered) - answered;
	CHECK_EQ(arena_gc_remove_roots(gc, large), -ENOENT);
	poll_until_done(gc);
	CHECK(!pthread_join(collector, NULL));
	arena_gc_destroy(gc);
	return answered > 0;
}

TEST(large_range, "gc_roots/who removes a large range answers meanwhile")
{
	bool does = false;

	/* On a busy machine the collector may ask later. */
	for (int turn = 0; turn < 20 && !does; turn++)
		does = answers_while_removing();
	CHECK(does);
}

/* ---------------------------------------------------------------- what is in a range that comes */

static struct {
	const struct fixture *it;
	uintptr_t *words;
	uint32_t turn; /* atomic */
} late;

static void set_turn(uint32_t turn)
{
	__atomic_store_n(&late.turn, turn, __ATOMIC_RELEASE);
}

static void wait_for_turn(uint32_t turn)
{
	while (__atomic_load_n(&late.turn, __ATOMIC_ACQUIRE) < turn)
		usleep(200);
}

__attribute__((noinline)) static void reveal(uintptr_t hidden)
{
	*late.words = ~hidden;
}

/* Has an object that nobody else knows; its stack is not scanned when it puts that where no root is yet. */
static void *fill_late(void *unused)
{
	uintptr_t hidden;

	CHECK_EQ(arena_gc_attach(late.it->gc), 0);
	hidden = hidden_node(late.it, 7);
	set_turn(1);
	poll_until_black();
	wait_for_turn(2);
	reveal(hidden);
	wipe_stack();
	set_turn(3);
	wait_for_turn(4);
	arena_gc_detach(late.it->gc);
	return unused;
}

static void add_late(struct fixture *it, int (*add)(struct arena_gc *gc, void *context), void *context)
{
	pthread_t other, collector;

	late.it = it;
	CHECK(!pthread_create(&other, NULL, fill_late, NULL));
	wait_for_turn(1);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it->gc));
	poll_until(GC_BARRIER_OLD);
	set_turn(2);
	wait_for_turn(3);
	CHECK_EQ(add(it->gc, context), 0);
	set_turn(4);
	poll_until_done(it->gc);
	CHECK(!pthread_join(other, NULL) && !pthread_join(collector, NULL));
	CHECK(is_alive(it->gc, (struct node *)*late.words, 7));
}

static int add_range(struct arena_gc *gc, void *words)
{
	return arena_gc_add_roots(gc, words, sizeof(uintptr_t));
}

static int add_arena(struct arena_gc *gc, void *arena)
{
	return arena_gc_scan_arena(gc, arena);
}

TEST(added, "gc_roots/what a thread that is not scanned has put into a range is kept when a scanned one adds that", "ARENA_GCVERIFY=1")
{
	static uintptr_t range[1];
	struct fixture it = set_up(ARENA_GC_OFF);

	late.words = range;
	add_late(&it, add_range, range);
	arena_gc_destroy(it.gc);
}

TEST(added_arena, "gc_roots/the same of an arena", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena *arena = arena_new(NULL);

	late.words = arena_alloc(arena, sizeof(*late.words));
	CHECK(late.words);
	add_late(&it, add_arena, arena);
	arena_free(arena);
	arena_gc_destroy(it.gc);
}
