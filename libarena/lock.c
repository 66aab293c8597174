// SPDX-License-Identifier: MIT
/* The lock of all starts; what a thread holds, for the check of ranks in builds with ARENA_DEBUG; waiting; long work in parts. All else of locks is inline. */
#include "lock.h"

/* The kernel makes some 50 us more of it, which is what waking a thread takes. */
#define PASS_NS 20000u
/*
 * Locks are held for some microseconds at most, and to sleep and be woken takes ten and more: about five are spent on looking. With 30 looks batches of
 * `arena-bench gc --program trees` that meet the sweeper took 38 us at p99.9, with 100 they take 21. (A. Karlin, K. Li, M. Manasse,
 * S. Owicki, "Empirical studies of competitive spinning for a shared-memory multiprocessor", 1991: never more than twice what the best choice would take.)
 */
#define LOOKS 100u

struct lock lock_setup = LOCK_INIT(LOCK_SETUP);

#ifdef ARENA_DEBUG
__thread uint32_t lock_ranks_held; /* the thread's own */
#endif

/* Whether it is the caller's now. Who sleeps was there before: nobody who only looks gets ahead of it for long. */
static bool look_for_a_moment(struct lock *lock)
{
	uint32_t word;

	for (unsigned int i = 0; i < LOOKS && (word = atomic_load_relaxed(&lock->word)) != 2; i++) {
		if (!word && atomic_cas_acquire(&lock->word, &word, 1u))
			return true;
		cpu_relax();
	}
	return false;
}

void lock_await(struct lock *lock)
{
	if (look_for_a_moment(lock))
		return;
	while (atomic_swap_acquire(&lock->word, 2u) != 0)
		os_futex_wait(&lock->word, 2);
}

void lock_pass(struct lock *lock)
{
	bool is_wanted = atomic_load_relaxed(&lock->word) == 2;

	lock_release(lock);
	if (is_wanted)
		os_sleep_ns(PASS_NS);
}
