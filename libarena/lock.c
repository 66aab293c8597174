// SPDX-License-Identifier: MIT
/* The lock of all starts; what a thread holds, for the check of ranks in builds with ARENA_DEBUG; long work in parts. All else of locks is inline. */
#include "lock.h"

/* The kernel makes some 50 us more of it, which is what waking a thread takes. */
#define PASS_NS 20000u

struct lock lock_setup = LOCK_INIT(LOCK_SETUP);

#ifdef ARENA_DEBUG
__thread uint32_t lock_ranks_held; /* the thread's own */
#endif

void lock_pass(struct lock *lock)
{
	bool is_wanted = atomic_load_relaxed(&lock->word) == 2;

	lock_release(lock);
	if (is_wanted)
		os_sleep_ns(PASS_NS);
}
