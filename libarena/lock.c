// SPDX-License-Identifier: MIT
/* What a thread holds, for the check of ranks in builds with ARENA_DEBUG. All else of locks is inline; other builds have nothing here. */
#include "lock.h"

#ifdef ARENA_DEBUG
__thread uint32_t lock_ranks_held; /* the thread's own */
#endif
