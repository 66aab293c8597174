// SPDX-License-Identifier: MIT
/* A heap with a limit has nothing ahead: what it would take from those that need it now is more than what it saves. */
#include "gc/ahead.h"

void gc_ahead_wish(struct arena_gc *gc)
{
	if (atomic_load_relaxed(&gc->drive.has_limit) || atomic_swap_acquire(&gc->wants_chunk, true))
		return;
	atomic_add_seq_cst(&gc->kicks, 1u);
	os_futex_wake_all(&gc->kicks);
}

void gc_ahead(struct arena_gc *gc)
{
	if (likely(!atomic_load_relaxed(&gc->wants_chunk)))
		return;
	/* Where there is no room for one nobody asks again in this cycle: each page would wake the collector in vain. The limit may be newer than the wish. */
	if (atomic_load_relaxed(&gc->drive.has_limit) || gc_space_prepare(&gc->space))
		atomic_store_relaxed(&gc->wants_chunk, false);
}
