// SPDX-License-Identifier: MIT
/* The lock of all starts, and what a thread holds, for the check of ranks in builds with ARENA_DEBUG. All else of locks is inline. */
#include "lock.h"

struct lock lock_setup = LOCK_INIT(LOCK_SETUP);

#ifdef ARENA_DEBUG
__thread uint32_t lock_ranks_held; /* the thread's own */
#endif
