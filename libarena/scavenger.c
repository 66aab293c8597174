// SPDX-License-Identifier: MIT
/*
 * Mechanism only: when and how much is pace.h's. The thread sleeps on a futex until chunks become idle; then it looks every TICK_NS
 * until there is nothing left to give. It takes a heap's lock for one chunk at a time, so that nobody waits for more than one. What others have freed of
 * threads that sleep (asleep.c) it looks for by the clock.
 *
 * It is made when a heap has grown, not in free(), which the C library calls with locks held that making a thread takes as well.
 * Where no thread can be made (seccomp, RLIMIT_NPROC) memory goes back by arena_trim() and malloc_trim() only.
 */
#include "scavenger.h"

#include <time.h>

#include "chunk.h"
#include "os.h"
#include "pace.h"
#include "pressure.h"
#include "publish.h"
#include "small.h"
#include "thread.h"

#define TICK_NS ((uint64_t)10 * 1000 * 1000)
/* In one tick: a heap that is held cannot be destroyed, and no thread can begin to use one. */
#define GIVE_MOST_CHUNKS 16
/*
 * Between looks at threads that sleep. What others free of theirs tells nobody, so it is looked for also while nothing goes on: a second
 * after the last that was found, then less and less often, so that a program that is idle is woken four times a minute.
 */
#define ASLEEP_LEAST_NS ((uint64_t)1000 * 1000 * 1000)
#define ASLEEP_MOST_NS (16 * ASLEEP_LEAST_NS)

static uint32_t has_thread;	/* atomic: 1 = made, or being made, or cannot be made */
static uint32_t is_kicked;	/* atomic, futex: 1 = look again before sleeping */
static uint32_t is_pressed;	/* atomic: 1 = give back all that is idle */

static uint64_t cpu_ns(void)
{
	struct timespec spent;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
	return (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
}

/* At most @nr chunks, until @keep are left: others take and give back in between. */
static uint64_t give_back(struct heap *heap, uint64_t nr, uint64_t keep)
{
	uint64_t given = 0, part = 1;

	for (; given < nr && part; given += part) {
		lock_acquire(&heap->lock);
		part = palloc_scavenge(&heap->pages, keep, 1);
		publish(heap);
		lock_release(&heap->lock);
	}
	return given;
}

/* Whether there is more to do soon. */
static bool look_after(struct heap *heap, struct pace *pace, uint64_t now_ns)
{
	uint64_t peak, used, idle, over, nr, begin_ns = cpu_ns();

	heap_read_news(heap);
	lock_acquire(&heap->lock);
	peak = heap->pages.peak;
	used = heap->pages.mapped;
	idle = heap->pages.nr_idle;
	over = palloc_excess(&heap->pages, 0);
	heap->pages.peak = used;
	lock_release(&heap->lock);
	nr = size_min(pace_tick(pace, now_ns, peak, used, idle), GIVE_MOST_CHUNKS);
	/* Beyond a soft limit there is no pace. */
	nr = size_max(nr, size_min(over, idle));
	if (nr)
		pace_spent(pace, give_back(heap, nr, idle - nr), cpu_ns() - begin_ns);
	return idle - nr > PACE_KEEP_CHUNKS && idle - nr > used * PACE_KEEP_PERCENT / 100;
}

static bool press(size_t i)
{
	struct heap *heap = heap_hold_system(i);
	uint64_t given;

	if (!heap)
		return false;
	heap_try_all_news(heap);
	heap_try_asleep(heap, true);
	given = give_back(heap, GIVE_MOST_CHUNKS, 0);
	heap_unhold();
	return given == GIVE_MOST_CHUNKS;
}

/* All that is idle in the process, of arenas and of heaps, without a pace. */
static void press_all(void)
{
	chunk_trim(SIZE_MAX);
	small_trim();
	for (size_t i = 0; i < HEAPS_MAX; i++)
		while (press(i))
			;
}

static bool look_after_all(struct pace *paces)
{
	uint64_t now_ns = os_clock_ns();
	bool more = false;

	for (size_t i = 0; i < HEAPS_MAX; i++) {
		struct heap *heap = heap_hold_system(i);

		if (!heap)
			continue;
		more |= look_after(heap, &paces[i], now_ns);
		heap_unhold();
	}
	return more;
}

/* What stays idle is the system's to take, where the source can tell us before. */
static void keep_all(void)
{
	for (size_t i = 0; i < HEAPS_MAX; i++) {
		struct heap *heap = heap_hold_system(i);

		if (!heap)
			continue;
		lock_acquire(&heap->lock);
		palloc_keep_idle(&heap->pages);
		lock_release(&heap->lock);
		heap_unhold();
	}
}

static uint64_t give_asleep_all(void)
{
	uint64_t nr = 0;

	for (size_t i = 0; i < HEAPS_MAX; i++) {
		struct heap *heap = heap_hold_system(i);

		if (!heap)
			continue;
		nr += heap_try_asleep(heap, false);
		heap_unhold();
	}
	return nr;
}

/* When threads that sleep are looked at; the scavenger's alone. */
struct looks {
	uint64_t next_ns, rest_ns;
};

/* Until something is to be done: at once when that is found here. */
static void rest(struct looks *looks)
{
	uint64_t now_ns = os_clock_ns();

	if (now_ns >= looks->next_ns) {
		looks->rest_ns = give_asleep_all() ? ASLEEP_LEAST_NS : size_min(2 * looks->rest_ns, ASLEEP_MOST_NS);
		looks->next_ns = now_ns + looks->rest_ns;
	}
	/* Chunks that became idle have kicked. Where they do so all the time, as in collected heaps, one look a tick is for all. */
	os_futex_wait_for(&is_kicked, 0, looks->next_ns - now_ns);
	os_sleep_ns(TICK_NS);
}

static void *run(void *unused)
{
	static struct pace paces[HEAPS_MAX]; /* this thread's alone */
	struct looks looks = { .next_ns = os_clock_ns() + ASLEEP_LEAST_NS, .rest_ns = ASLEEP_LEAST_NS };

	(void)unused;
	for (;;) {
		/* Before the look. Who frees a chunk after it finds this 0 (both hold the heap's lock in between), and kicks. */
		atomic_store_relaxed(&is_kicked, 0u);
		/* Pairs with the swap in scavenger_press(): this finds the wish, or that finds is_kicked 0, and kicks. */
		if (atomic_swap_seq_cst(&is_pressed, 0u))
			press_all();
		if (look_after_all(paces)) {
			os_sleep_ns(TICK_NS);
			continue;
		}
		keep_all();
		rest(&looks);
	}
	return NULL;
}

void scavenger_start(void)
{
	/* Making a thread allocates: that must not come here again. */
	if (!atomic_load_relaxed(&has_thread) && !atomic_swap_acquire(&has_thread, 1u) && !thread_start(NULL, run, NULL))
		pressure_start();
}

bool scavenger_is_made(void)
{
	return atomic_load_relaxed(&has_thread);
}

void scavenger_kick(void)
{
	if (atomic_load_relaxed(&is_kicked) || !atomic_load_relaxed(&has_thread))
		return;
	atomic_store_relaxed(&is_kicked, 1u);
	os_futex_wake(&is_kicked);
}

void scavenger_press(void)
{
	atomic_swap_seq_cst(&is_pressed, 1u);
	scavenger_kick();
}

void scavenger_fork_child(void)
{
	atomic_store_relaxed(&is_pressed, 0u);
	atomic_store_relaxed(&has_thread, 0u);
	atomic_store_relaxed(&is_kicked, 0u);
}
