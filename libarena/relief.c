// SPDX-License-Identifier: MIT
/*
 * Steps before a refusal, cheapest first, and after each the allocation is tried again. What this thread has at hand and what was freed of ended ones
 * goes back, and slots that are free in spans that wait for more serve (cache.h). What is idle in the heap goes back, and unless its own limit is what
 * refuses, what this thread has at hand of other heaps, and what is idle anywhere. The program's functions are called, the heap's and that of the process, for as long as one of them says that it
 * helped.
 *
 * A refusal is met deep inside an allocation, where the thread's cache is being changed. So the steps are taken at its end, where nothing is
 * left half done, and whatever the program's function does, allocate and free included, meets a cache that is whole. What is refused inside
 * the function is refused at once: functions are never called recursively. What the thread asked for is forgotten first (heap_request_bytes):
 * the objects that others make meanwhile, the C library's for the scavenger among them, are not of that length.
 */
#include "relief.h"

#include <errno.h>

#include "publish.h"
#include "scavenger.h"
#include "supplied.h"

/* Of one refusal: a function that always says that it helped must not hold the program for ever. */
#define CALLS_MOST 16u

/* This thread is taking the steps. */
static __thread bool is_busy __attribute__((tls_model("initial-exec")));

bool relief_is_busy(void)
{
	return is_busy;
}

/* For the process; guarded by lock_setup. */
static struct heap_callback process_callback;

void relief_set_callback(arena_pressure_fn *function, void *context)
{
	lock_acquire(&lock_setup);
	process_callback = (struct heap_callback){ function, context };
	lock_release(&lock_setup);
}

static bool call(const struct heap_callback *callback, enum arena_pressure level, size_t want_bytes)
{
	return callback->function && callback->function(level, want_bytes, callback->context);
}

/* Whether one of the program's functions says that it helped. No lock is held while they run. */
static bool call_all(struct heap *heap, enum arena_pressure level, size_t want_bytes)
{
	struct heap_callback own, process;
	int saved = errno;
	bool helped;

	lock_acquire(&heap->lock);
	own = heap->callback;
	lock_release(&heap->lock);
	lock_acquire(&lock_setup);
	process = process_callback;
	lock_release(&lock_setup);
	helped = call(&own, level, want_bytes);
	helped |= call(&process, level, want_bytes);
	errno = saved;
	return helped;
}

/* ---------------------------------------------------------------- soft */

/* Of the @i-th heap what all are over by, at most one part; whether there may be more. */
static bool give_back_excess_part(size_t i)
{
	struct heap *heap = heap_hold_system(i);
	uint64_t nr;

	if (!heap)
		return false;
	lock_acquire(&heap->lock);
	nr = palloc_scavenge(&heap->pages, 0, size_min(region_excess(heap_region(), 0), HEAP_PART_CHUNKS));
	publish(heap);
	lock_pass(&heap->lock);
	heap_unhold();
	return nr == HEAP_PART_CHUNKS;
}

/* Until all heaps together are under their soft limit, or nothing is idle. */
static void give_back_excess(void)
{
	for (size_t i = 0; i < HEAPS_MAX && region_excess(heap_region(), 0); i++)
		while (give_back_excess_part(i))
			;
}

static uint64_t excess_chunks(struct heap *heap)
{
	uint64_t excess;

	lock_acquire(&heap->lock);
	excess = palloc_excess(&heap->pages, 0);
	lock_release(&heap->lock);
	return excess;
}

void relief_settle(struct heap *heap)
{
	uint64_t excess;

	if (is_busy)
		return;
	is_busy = true;
	heap_request_bytes = 0;
	atomic_store_relaxed(&heap->is_due, false);
	scavenger_start();
	give_back_excess();
	excess = excess_chunks(heap);
	/* The scavenger, which brings others under their limit, has no business in memory of the program. */
	if (excess && heap->supplied) {
		heap_scavenge(heap, 0, excess);
		excess = excess_chunks(heap);
	}
	if (excess)
		call_all(heap, ARENA_PRESSURE_SOFT, excess * CHUNK_BYTES);
	is_busy = false;
}

/* ---------------------------------------------------------------- hard */

/* At most @max chunks of the @i-th heap: none can be made or destroyed, and no thread can begin to use one, while it is held. */
static uint64_t give_back_part(size_t i, uint64_t max)
{
	struct heap *heap = heap_hold_system(i);
	uint64_t nr;

	if (!heap)
		return 0;
	nr = heap_scavenge(heap, 0, max);
	heap_unhold();
	return nr;
}

uint64_t relief_give_back(uint64_t max)
{
	/* At most as many as there are: others may free on. */
	uint64_t nr = 0, part, most = size_min(max, atomic_load_relaxed(&heap_region()->nr_taken));

	for (size_t i = 0; i < HEAPS_MAX && nr < most; i++)
		do {
			part = give_back_part(i, size_min(most - nr, HEAP_PART_CHUNKS));
			nr += part;
		} while (part == HEAP_PART_CHUNKS && nr < most);
	return nr;
}

/* Whether so much fits into the limits of a heap that holds nothing else: if not, no step can help. */
static bool is_possible(struct heap *heap, size_t bytes)
{
	uint64_t nr = chunks_from_bytes(bytes);
	bool possible;

	lock_acquire(&heap->lock);
	possible = limit_allows(&heap->pages.limit, 0, nr);
	lock_release(&heap->lock);
	return possible && region_allows(heap->pages.region, nr);
}

/* What the heap has and could not use. Full spans hold only objects of classes. */
static void find_own(struct heap *heap, unsigned int class)
{
	heap_flush(heap);
	if (class != CLASS_NONE)
		heap_end_waits(heap);
}

/* Whether the heap's own limit lets it have what others give back, for so much in one piece. None gives anything to a heap in memory of the program. */
static bool may_grow(struct heap *heap, size_t bytes)
{
	bool may;

	lock_acquire(&heap->lock);
	may = !heap->supplied && limit_allows(&heap->pages.limit, palloc_held(&heap->pages), chunks_from_bytes(bytes));
	lock_release(&heap->lock);
	return may;
}

/* What this thread has at hand of others: it may be all that keeps chunks of theirs from being idle, and nobody else can give it back. */
static void flush_others(const struct heap *heap)
{
	for (size_t i = 0; i < HEAPS_MAX; i++) {
		struct heap *other = heap_has_cache((uint32_t)i) ? heap_hold_system(i) : NULL;

		if (!other)
			continue;
		if (other != heap)
			heap_flush(other);
		heap_unhold();
	}
}

/* All that is idle in the heap, and anywhere if that can be of use to it. */
static void find_all(struct heap *heap, unsigned int class, size_t bytes)
{
	find_own(heap, class);
	heap_scavenge(heap, 0, UINT64_MAX);
	if (!may_grow(heap, bytes))
		return;
	flush_others(heap);
	relief_give_back(UINT64_MAX);
}

/* The @step-th step, from 0 on. False: there is none left. */
static bool take_step(struct heap *heap, unsigned int step, unsigned int class, size_t bytes)
{
	switch (step) {
	case 0:
		if (!is_possible(heap, bytes))
			return false;
		find_own(heap, class);
		return true;
	case 1:
		find_all(heap, class, bytes);
		return true;
	default:
		if (step - 1 > CALLS_MOST || !call_all(heap, ARENA_PRESSURE_HARD, bytes))
			return false;
		/* What the program has freed may be anywhere, and of ended threads. */
		find_all(heap, class, bytes);
		return true;
	}
}

static void *alloc_class(struct heap *heap, unsigned int class)
{
	if (heap->supplied)
		return supplied_alloc(heap, size_classes[class].bytes, 1);
	return cache_alloc(heap_caches[heap->id], class, heap);
}

/* Some object of the size that may be had now: of a class, unless that is CLASS_NONE. */
static void *alloc_again(struct heap *heap, unsigned int class, size_t bytes, size_t align_bytes, bool *is_zero)
{
	void *object = NULL;

	if (is_busy)
		return NULL;
	is_busy = true;
	heap_request_bytes = 0;
	for (unsigned int step = 0; !object && take_step(heap, step, class, bytes); step++)
		object = class == CLASS_NONE ? heap_alloc_large(heap, bytes, align_bytes, is_zero)
					     : alloc_class(heap, class);
	is_busy = false;
	return object;
}

void *relief_alloc(struct heap *heap, unsigned int class)
{
	return alloc_again(heap, class, size_classes[class].bytes, 1, NULL);
}

void *relief_alloc_large(struct heap *heap, size_t bytes, size_t align_bytes, bool *is_zero)
{
	return alloc_again(heap, CLASS_NONE, bytes, align_bytes, is_zero);
}
