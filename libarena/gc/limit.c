// SPDX-License-Identifier: MIT
/*
 * A limit counts what the system counts: whole chunks with memory, and the tables that describe them. For the pacer only pages in use count: the rest of their
 * chunks is room for objects, and idle chunks go back at once where others are needed.
 *
 * The pacer's limit is that of whole chunks as well: one that it took for larger than it is would leave it without an idea of when to begin a cycle.
 *
 * Under the policy *overshoot* a thread that may go beyond takes the limit away for its one allocation, and it comes back with the last that does. Others that
 * allocate at that moment get beyond as well; they would have been told the same.
 *
 * Under the policy *fail* an allocation may have waited for cycle after cycle, each of which freed enough for it, and others were there before. It is not refused
 * for that, nor where what lives seems not to fit, of which much may be others' garbage: it has a cycle for itself, and no other thread takes spans or pages until it has what it asked for,
 * or is refused because that is not to be had. Others go on with what they have, and wait where they would need more. Of several such each has its turn.
 */
#include "gc/limit.h"

#include <errno.h>

#include "gc/cgroup.h"
#include "gc/cycle.h"
#include "gc/threads.h"
#include "opt.h"
#include "relief.h"

/* Without a limit, when the system has no memory: the second one frees what was allocated while the first one ran. */
#define REFUSAL_CYCLES 2
/* A page, and what it costs in tables: a span's record at most, and an entry of the map. */
#define PAGE_COST_BYTES (PAGE_BYTES + sizeof(struct gc_span) + sizeof(uint32_t))
#define CHUNK_COST_BYTES (PAGES_PER_CHUNK * PAGE_COST_BYTES)

/* ---------------------------------------------------------------- memory */

/* Pages of spans. Others of their chunks cannot go back, but can be used: they are room, not overhead. */
static uint64_t used_bytes(struct arena_gc *gc)
{
	struct heap *heap = gc->space.heap;
	uint64_t nr;

	lock_acquire(&heap->lock);
	nr = heap->pages.used_pages;
	lock_release(&heap->lock);
	return nr * PAGE_COST_BYTES;
}

void gc_limit_measure(struct arena_gc *gc)
{
	uint64_t heap_bytes = gc_heap_bytes(gc);

	if (gc_drive_has_limit(&gc->drive))
		gc_drive_memory(&gc->drive, heap_bytes, gc_pace_over(used_bytes(gc), heap_bytes));
}

static uint64_t chunks_of(uint64_t bytes)
{
	return size_max(bytes / CHUNK_COST_BYTES, 1);
}

static struct limit limit_of(uint64_t bytes)
{
	return limit_from_bytes(bytes == UINT64_MAX ? 0 : chunks_of(bytes) * CHUNK_BYTES);
}

/* The heap's lock is held. What is over goes back without it. */
static void settle_and_release(struct arena_gc *gc)
{
	struct heap *heap = gc->space.heap;
	uint64_t excess;

	heap->pages.limit = gc->nr_over ? limit_of(UINT64_MAX) : gc->limit;
	excess = palloc_excess(&heap->pages, 0);
	lock_release(&heap->lock);
	if (excess)
		heap_scavenge(heap, 0, excess);
}

static void set_heap_limit(struct arena_gc *gc, uint64_t bytes)
{
	lock_acquire(&gc->space.heap->lock);
	gc->limit = limit_of(bytes);
	settle_and_release(gc);
}

/* One more thread goes beyond the limit, or, -1, one less. */
static void count_over(struct arena_gc *gc, int32_t change)
{
	lock_acquire(&gc->space.heap->lock);
	gc->nr_over += (uint32_t)change;
	settle_and_release(gc);
}

/* ---------------------------------------------------------------- a refusal */

static void wait_for_cycle(struct arena_gc *gc, struct gc_refusal *refusal)
{
	uint64_t begin_ns = os_clock_ns();

	if (!gc_cycle_wait(gc))
		gc_pace_wait_no_more(&refusal->wait);
	gc_drive_waited(&gc->drive, os_clock_ns() - begin_ns);
}

static void *wait_while_alone(void *context)
{
	struct arena_gc *gc = context;
	uint32_t alone;

	/* Pairs with end_alone(). */
	while ((alone = atomic_load_acquire(&gc->alone)))
		os_futex_wait(&gc->alone, alone);
	return NULL;
}

static void begin_alone(struct gc_mutator *mutator, struct gc_refusal *refusal)
{
	uint32_t nobody = 0;

	while (!atomic_cas_acquire(&mutator->gc->alone, &nobody, mutator->thread_id)) {
		gc_blocking(wait_while_alone, mutator->gc);
		nobody = 0;
	}
	refusal->is_alone = true;
}

static void end_alone(struct arena_gc *gc)
{
	atomic_store_release(&gc->alone, 0u);
	os_futex_wake_all(&gc->alone);
}

/* The program may drop what it can do without. */
static void tell(struct arena_gc *gc)
{
	struct gc_callback callback;
	int saved = errno;

	lock_acquire(&gc->lock);
	callback = gc->callback;
	lock_release(&gc->lock);
	if (callback.function)
		callback.function(gc, callback.context);
	errno = saved;
}

static bool lift_limit(struct arena_gc *gc, struct gc_refusal *refusal)
{
	refusal->is_over = true;
	count_over(gc, 1);
	return true;
}

static bool wait_without_limit(struct arena_gc *gc, struct gc_refusal *refusal)
{
	if (refusal->nr_cycles++ >= REFUSAL_CYCLES)
		return false;
	gc_cycle_wait(gc);
	/* What heaps have idle, this one too, may be all that there is no room for. */
	relief_give_back(UINT64_MAX);
	return true;
}

bool gc_limit_help(struct gc_mutator *mutator, struct gc_refusal *refusal)
{
	struct arena_gc *gc = mutator->gc;
	bool has_looked = !mutator->was_kept_out;

	mutator->was_kept_out = false;
	/* A verdict is for who has found that there is no room. */
	if (!has_looked || gc_is_kept_out(mutator)) {
		gc_blocking(wait_while_alone, gc);
		return true;
	}
	/* It was not the limit that refused it. */
	if (refusal->is_over)
		return false;
	if (!gc_drive_has_limit(&gc->drive))
		return wait_without_limit(gc, refusal);
	switch (gc_drive_verdict(&gc->drive, &refusal->wait)) {
	case GC_PACE_COLLECT:
		wait_for_cycle(gc, refusal);
		return true;
	case GC_PACE_ALONE:
		begin_alone(mutator, refusal);
		wait_for_cycle(gc, refusal);
		return true;
	case GC_PACE_TELL:
		tell(gc);
		return true;
	case GC_PACE_OVERSHOOT:
		return lift_limit(gc, refusal);
	case GC_PACE_GO:
	case GC_PACE_FAIL:
		break;
	}
	return false;
}

void gc_limit_end(struct gc_mutator *mutator, const struct gc_refusal *refusal)
{
	if (unlikely(refusal->is_over))
		count_over(mutator->gc, -1);
	if (unlikely(refusal->is_alone))
		end_alone(mutator->gc);
}

void gc_limit_fork_child(struct arena_gc *gc)
{
	atomic_store_relaxed(&gc->alone, 0u);
	lock_acquire(&gc->space.heap->lock);
	gc->nr_over = 0;
	gc->space.heap->pages.limit = gc->limit;
	lock_release(&gc->space.heap->lock);
}

/* ---------------------------------------------------------------- settings */

static void set_limit(struct arena_gc *gc, uint64_t bytes, enum gc_pace_policy policy)
{
	set_heap_limit(gc, bytes);
	gc_drive_set_limit(&gc->drive, bytes == UINT64_MAX ? bytes : chunks_of(bytes) * CHUNK_COST_BYTES, policy);
	gc_limit_measure(gc);
}

void gc_limit_init(struct arena_gc *gc, uint32_t percent)
{
	uint64_t limit_bytes = opt_get(OPT_GC_LIMIT);

	gc->limit = gc->space.heap->pages.limit;
	gc_drive_set_percent(&gc->drive, percent ? percent : opt_gc_percent());
	gc_drive_set_share(&gc->drive, (uint32_t)opt_get(OPT_GC_SHARE));
	if (limit_bytes)
		set_limit(gc, limit_bytes, GC_PACE_POLICY_OVERSHOOT);
}

void arena_gc_set_percent(struct arena_gc *gc, unsigned int percent)
{
	gc_drive_set_percent(&gc->drive, percent ? percent : 100);
}

void arena_gc_set_share(struct arena_gc *gc, unsigned int percent)
{
	gc_drive_set_share(&gc->drive, percent ? percent : GC_PACE_SHARE_PERCENT);
}

void arena_gc_set_limit(struct arena_gc *gc, const struct arena_gc_limit *limit)
{
	lock_acquire(&gc->lock);
	gc->callback = (struct gc_callback){ limit->function, limit->context };
	lock_release(&gc->lock);
	set_limit(gc, limit->bytes ? limit->bytes : UINT64_MAX, limit->policy == ARENA_GC_FAIL ? GC_PACE_POLICY_FAIL : GC_PACE_POLICY_OVERSHOOT);
}

void arena_gc_set_enabled(struct arena_gc *gc, bool is_enabled)
{
	gc_drive_set_enabled(&gc->drive, is_enabled);
}

size_t arena_gc_trim(struct arena_gc *gc)
{
	return heap_scavenge(gc->space.heap, 0, UINT64_MAX) * CHUNK_BYTES;
}

/* ---------------------------------------------------------------- the cgroup's limit */

uint64_t arena_gc_cgroup_bytes(void)
{
	uint64_t bytes = gc_cgroup_limit("/proc/self", "");

	return bytes == UINT64_MAX ? 0 : bytes;
}
