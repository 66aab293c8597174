// SPDX-License-Identifier: MIT
/*
 * Heaps: their lives, large objects, and the heap that malloc() is. Which thread has which cache is in heap_threads.c, how pages come and go in heap_pages.c.
 *
 * A cache outlives its thread: when a thread ends its cache is parked, with all the spans that still hold objects, and the next thread that
 * needs one takes it over as it is. So adopting the spans of an ended thread costs nothing. While it waits, running threads take partly used
 * spans from it before they take new pages.
 *
 * fork(): in the child only the caches of the forking thread and the parked ones are whole. The others stay as they were, for
 * ever: their objects can be freed, but their memory is only used again where the child frees a whole span of them (asleep.c).
 *
 * Threads keep the caches that they have of a heap that is destroyed, empty; they serve the next heap of that number.
 *
 * Limits: HEAPS_MAX heaps at a time. Objects beyond CLASS_MAX_BYTES take a lock and whole pages.
 */
#include "heap.h"

#include <errno.h>
#include <string.h>

#include "checked.h"
#include "chunk.h"
#include "guard.h"
#include "supplied.h"
#include "opt.h"
#include "os.h"
#include "panic.h"
#include "profile.h"
#include "publish.h"
#include "relief.h"
#include "scavenger.h"

/* An object must not be longer: sums of addresses would overflow. */
#define OBJECT_MAX_BYTES ((size_t)1 << (ADDRESS_SHIFT - 1))
/* Nor aligned to more: of such places a region has few. */
#define ALIGN_MAX_BYTES GiB

static struct region region;	/* fixed once main_heap is live */
static struct heap heaps[HEAPS_MAX]; /* [0] is malloc()'s */
/* So many, from the first on, were live at some time: nobody touches the pages of the rest. Atomic; written under lock_setup. */
static size_t nr_started;
static uint32_t main_started;	/* atomic; the release in start_main() pairs with heap_main() */

__thread size_t heap_request_bytes;

struct region *heap_region(void)
{
	return &region;
}

/* ---------------------------------------------------------------- life of heaps */

static struct heap *heap_of_pages(struct palloc *pages)
{
	return (struct heap *)(void *)((char *)pages - offsetof(struct heap, pages));
}

/* The region is needed by all heaps; it comes with the first. */
static int start_region(void)
{
	int error = 0;

	/* The last that is made: what was refused the first time is tried again. */
	if (cache_area)
		return 0;
	checked_start();
	if (!region.base)
		error = region_init(&region, size_min(opt_get(OPT_WINDOW_CHUNKS), TREE_LEAVES));
	if (!error)
		error = heap_start_threads();
	if (!error)
		region_set_limit(&region, limit_from_bytes(opt_get(OPT_MEMORY_LIMIT)));
	return error;
}

/*
 * What AUTO means for heaps: what the environment names, else the device, where it is and can give a child of fork() its own copy,
 * else transparent huge pages. A module that is too old is reported by dev.c.
 */
static enum arena_source choose_source(enum arena_source source)
{
	if (!source)
		source = chunk_source_named();
	if (!source)
		source = region_start_dev(&region) ? ARENA_SOURCE_THP : ARENA_SOURCE_DEV;
	return source;
}

/* In the region of all heaps, or in @own. */
static int start_locked(struct heap *heap, enum arena_source source, struct region *own)
{
	int error = start_region();

	source = error ? source : choose_source(source);
	if (!error && source == ARENA_SOURCE_DEV)
		error = region_start_dev(&region);
	if (!error)
		error = palloc_init(&heap->pages, own ? own : &region, source);
	if (error)
		return error;
	/* Once: who frees an object of a heap that was here before, and is late, may hold it (heap_note_news()). */
	if (!heap->lock.rank)
		heap->lock = (struct lock)LOCK_INIT(LOCK_HEAP);
	heap->news = (struct lock)LOCK_INIT(LOCK_NEWS);
	heap->id = (uint32_t)(heap - heaps);
	publish_start(heap);
	heap->callback = (struct heap_callback){ 0 };
	heap->touched = PAGE_NONE;
	heap->is_due = heap->is_low = false;
	heap->is_live = true;
	atomic_store_relaxed(&nr_started, size_max(nr_started, heap->id + 1u));
	return 0;
}

static struct heap *start_main(void)
{
	int error = 0;

	lock_acquire(&lock_setup);
	if (!heaps[0].is_live)
		error = start_locked(&heaps[0], ARENA_SOURCE_AUTO, NULL);
	/* A program cannot do without malloc(). */
	if (error && opt_source()) {
		report("source %s is not to be had (error %d): malloc() uses thp", opt_source(), -error);
		error = start_locked(&heaps[0], ARENA_SOURCE_THP, NULL);
	}
	if (!error)
		atomic_store_release(&main_started, 1u);
	lock_release(&lock_setup);
	return error ? NULL : &heaps[0];
}

struct heap *heap_main(void)
{
	return likely(atomic_load_acquire(&main_started)) ? &heaps[0] : start_main();
}

static struct heap *create(enum arena_source source, struct region *own, struct supplied *supplied)
{
	struct heap *heap = NULL;

	lock_acquire(&lock_setup);
	for (size_t i = 1; i < HEAPS_MAX && !heap; i++)
		if (!heaps[i].is_live)
			heap = &heaps[i];
	if (heap) {
		heap->supplied = supplied;
		if (start_locked(heap, source, own))
			heap = NULL;
		else if (supplied)
			supplied_start(heap);
	}
	lock_release(&lock_setup);
	return heap;
}

struct heap *heap_create(enum arena_source source)
{
	return create(source, NULL, NULL);
}

struct heap *heap_create_in(struct region *own, struct supplied *supplied)
{
	return create(ARENA_SOURCE_PAGES, own, supplied);
}

/* Idle chunks, in parts: HEAP_PART_CHUNKS says why. */
static uint64_t give_back(struct heap *heap, uint64_t keep, uint64_t max)
{
	/* At most as many as there are: others may free on. */
	uint64_t nr = 0, part, most = size_min(max, atomic_load_relaxed(&heap->pages.region->nr_taken));

	do {
		lock_acquire(&heap->lock);
		part = palloc_scavenge(&heap->pages, keep, size_min(most - nr, HEAP_PART_CHUNKS));
		publish(heap);
		lock_pass(&heap->lock);
		nr += part;
	} while (part == HEAP_PART_CHUNKS && nr < most);
	return nr;
}

uint64_t heap_scavenge(struct heap *heap, uint64_t keep, uint64_t max)
{
	if (checked_is_on())
		checked_flush(heap);
	heap_read_all_news(heap);
	heap_give_asleep(heap);
	return give_back(heap, keep, max);
}

void heap_set_limit(struct heap *heap, struct limit limit)
{
	uint64_t excess;

	lock_acquire(&heap->lock);
	heap->pages.limit = limit;
	excess = palloc_excess(&heap->pages, 0);
	lock_release(&heap->lock);
	give_back(heap, 0, excess);
}

int heap_set_process_limit(struct limit limit)
{
	int error;

	lock_acquire(&lock_setup);
	error = start_region();
	lock_release(&lock_setup);
	if (error)
		return error;
	region_set_limit(&region, limit);
	if (region_excess(&region, 0))
		relief_give_back(UINT64_MAX);
	return 0;
}

/* No object of the heap is one any more, for whoever asks for it later. */
static void wipe_records(const struct heap *heap)
{
	uint32_t nr_open = atomic_load_acquire(&region.nr_open); /* pairs with open_tables() of region.c */

	for (uint32_t chunk = 0; chunk < nr_open; chunk++) {
		if (atomic_load_relaxed(&region.chunks[chunk].pages) != &heap->pages)
			continue;
		for (size_t page = chunk * PAGES_PER_CHUNK; page < (chunk + 1) * PAGES_PER_CHUNK; page++)
			if (region.spans[page].state != SPAN_NONE) {
				if (region.spans[page].state == SPAN_LARGE)
					profile_remove(region.spans[page].next);
				region.spans[page] = (struct span){ 0 };
				region.remotes[page] = (struct span_remote){ 0 };
			}
	}
}

void heap_destroy(struct heap *heap)
{
	if (!heap->id || !heap->is_live)
		panic("arena_heap_destroy(): this is no heap, or it was destroyed before");
	if (checked_is_on() && !heap->supplied)
		checked_forget(heap);
	lock_acquire(&lock_setup);
	for (struct cache *cache = heap->caches; cache; cache = cache->next)
		cache_reset(cache);
	if (heap->supplied)
		supplied_forget(heap);
	else
		wipe_records(heap);
	guard_free_all(heap, profile_remove);
	palloc_fini(&heap->pages);
	publish_end(heap);
	heap->is_live = false;
	lock_release(&lock_setup);
}

/* ---------------------------------------------------------------- all of them */

struct heap *heap_at(size_t i)
{
	return i < atomic_load_relaxed(&nr_started) && heaps[i].is_live ? &heaps[i] : NULL;
}

struct heap *heap_hold(size_t i)
{
	if (i >= atomic_load_relaxed(&nr_started))
		return NULL;
	lock_acquire(&lock_setup);
	if (heaps[i].is_live)
		return &heaps[i];
	lock_release(&lock_setup);
	return NULL;
}

struct heap *heap_hold_system(size_t i)
{
	struct heap *heap = heap_hold(i);

	if (!heap || !heap->supplied)
		return heap;
	heap_unhold();
	return NULL;
}

/* Mostly the next heap is held at once. */
void heap_unhold(void)
{
	lock_pass(&lock_setup);
}

/* ---------------------------------------------------------------- what an address is */

void heap_misuse(const char *what, const void *object, const char *why)
{
	panic("%s of %p: %s", what, object, why);
}

/* The acquire pairs with open_tables() of region.c. */
size_t heap_open_bytes(void)
{
	return atomic_load_acquire(&region.nr_open) * CHUNK_BYTES;
}

/* They are a power of two: see open_tables() of region.c. */
uint64_t heap_open_mask(void)
{
	return (heap_open_bytes() / PAGE_BYTES - 1) * sizeof(struct span);
}

uintptr_t heap_slot_address(const struct span *span, uint32_t page, unsigned int slot)
{
	return region_address(&region, page) + size_classes[span->class].first_bytes + slot * (uintptr_t)size_classes[span->class].bytes;
}

unsigned int heap_find_slot(const struct span *span, const void *object, const char *what)
{
	uint64_t product = (uintptr_t)object * span->inverse - span->bias;

	if (SEEKS_MISUSE && word_rotate_right(product, SLOT_SHIFT) >= class_slots(span->class))
		heap_misuse(what, object, "no object begins there");
	return (unsigned int)(product >> SLOT_SHIFT);
}

/* The one of all heaps, unless it is memory of the program's. */
static const struct region *region_of(const void *object)
{
	const struct heap *heap = supplied_heap_of(object);

	return unlikely(heap) ? heap->pages.region : &region;
}

struct span *heap_find_span(const void *object, uint32_t *page, const char *what)
{
	const struct region *at = region_of(object);
	uintptr_t offset = (uintptr_t)object - at->base;
	struct span *span;

	if (SEEKS_MISUSE && offset >= atomic_load_acquire(&at->nr_open) * CHUNK_BYTES)
		heap_misuse(what, object, "this is no memory of a heap");
	*page = (uint32_t)(offset >> PAGE_SHIFT);
	span = &at->spans[*page];
	if (span_state(span) == SPAN_INSIDE) {
		*page -= span->back;
		span -= span->back;
	}
	if (SEEKS_MISUSE && span_state(span) == SPAN_NONE)
		heap_misuse(what, object, "no object begins there: it is free already, or never was one");
	if (SEEKS_MISUSE && span_state(span) == SPAN_LARGE && offset % PAGE_BYTES)
		heap_misuse(what, object, "it points into an object, not to its beginning");
	return span;
}

struct heap *heap_of(const void *object)
{
	uintptr_t offset = (uintptr_t)object - region.base;
	struct heap *supplied = supplied_heap_of(object);
	struct palloc *pages;

	/* First, because memory that is supplied may be an object of another heap, or lie where a shorter region was longer once. */
	if (unlikely(supplied))
		return supplied;
	if (guard_owns(object))
		return guard_owner(object);
	if (!region.base || offset >= heap_open_bytes())
		return NULL;
	pages = atomic_load_relaxed(&region.chunks[offset / CHUNK_BYTES].pages);
	return pages ? heap_of_pages(pages) : NULL;
}

size_t heap_usable_bytes(const void *object)
{
	const struct span *span;
	uint32_t page;

	if (guard_owns(object))
		return guard_usable_bytes(object, "malloc_usable_size()");
	if (checked_is_on() && !supplied_heap_of(object))
		return checked_bytes(object, "malloc_usable_size()");
	span = heap_find_span(object, &page, "malloc_usable_size()");
	return span_state(span) == SPAN_LARGE ? span->large_pages * PAGE_BYTES : size_classes[span->class].bytes;
}

/* ---------------------------------------------------------------- large objects */

/* The span of a new object, or NULL. */
static struct span *take_large(struct heap *heap, size_t nr, size_t align_pages, bool *is_zero)
{
	struct region *at = heap->pages.region;
	struct span *span = NULL;
	uint32_t page;

	heap_lock(heap);
	page = palloc_run(&heap->pages, (uint32_t)nr, (uint32_t)align_pages, is_zero);
	if (page != PAGE_NONE) {
		span = &at->spans[page];
		span->class = CLASS_NONE;
		span->large_pages = (uint32_t)nr;
		span->next = SAMPLE_NONE;
		span_set_state(span, SPAN_LARGE);
	}
	heap_unlock(heap);
	return span;
}

static void *large_object(const struct region *at, const struct span *span)
{
	return (void *)region_address(at, (uint32_t)(span - at->spans));
}

/* An object that has no neighbors to be counted with. */
static void sample_large(const struct heap *heap, struct span *span)
{
	size_t bytes = span->large_pages * PAGE_BYTES;
	uint64_t mean_bytes = heap->supplied ? 0 : profile_mean();

	if (mean_bytes && sample_hits(profile_random(), mean_bytes, bytes))
		span->next = profile_add(SITE_HEAP, mean_bytes, bytes);
}

void *heap_alloc_large(struct heap *heap, size_t bytes, size_t align_bytes, bool *is_zero)
{
	size_t nr = pages_from_bytes(size_max(bytes, 1)), align_pages = size_max(align_bytes / PAGE_BYTES, 1);
	struct region *at = heap->pages.region;
	uintptr_t lowest = align_up(at->base, align_bytes);
	struct span *span;

	/* Not even alone. */
	if (bytes > OBJECT_MAX_BYTES || lowest + nr * PAGE_BYTES > at->base + at->bytes)
		return NULL;
	span = take_large(heap, nr, align_pages, is_zero);
	if (likely(span))
		sample_large(heap, span);
	if (unlikely(heap_is_due(heap)))
		relief_settle(heap);
	if (unlikely(!span))
		return relief_alloc_large(heap, bytes, align_bytes, is_zero);
	return large_object(at, span);
}

/* What was asked for, if it is of that class. */
static size_t request_within(size_t class_bytes)
{
	size_t bytes = heap_request_bytes;

	size_t slot_bytes = bytes + checked_tail_bytes();

	return bytes && slot_bytes <= class_bytes && size_classes[class_of(slot_bytes)].bytes == class_bytes ? bytes : class_bytes;
}

/* Guarded objects lie apart from the heap: none of one whose memory is to be in a place of its own. */
static bool may_guard(const struct heap *heap)
{
	return !heap->pages.place.take && heap->pages.place.node < 0;
}

void *heap_alloc_sampled(struct heap *heap, size_t bytes, uint64_t mean_bytes)
{
	uint32_t sample = profile_add(SITE_HEAP, mean_bytes, bytes);
	void *object = may_guard(heap) ? guard_alloc(heap, request_within(bytes), sample) : NULL;
	struct span *span;
	bool is_zero;

	if (object)
		return object;
	span = take_large(heap, pages_from_bytes(bytes), 1, &is_zero);
	if (!span) {
		profile_remove(sample);
		return NULL;
	}
	span->next = sample;
	return large_object(&region, span);
}

void heap_free_large(struct span *span, uint32_t page, const void *object)
{
	struct heap *heap = heap_of(object);
	uint32_t sample = SAMPLE_NONE;
	bool is_large;

	heap_lock(heap);
	/* Two threads that free it at once both come here. */
	is_large = !SEEKS_MISUSE || span_state(span) == SPAN_LARGE;
	if (is_large) {
		span_set_state(span, SPAN_NONE);
		palloc_free(&heap->pages, page, span->large_pages);
		sample = span->next;
	}
	heap_unlock(heap);
	profile_remove(sample);
	if (!is_large)
		heap_misuse("free()", object, "it is free already");
}

/* Grow or shrink where it is. */
static bool resize_large(struct heap *heap, struct span *span, uint32_t page, size_t bytes)
{
	uint32_t nr, old = span->large_pages;
	bool done = true;

	if (bytes > region.bytes)
		return false;
	nr = (uint32_t)pages_from_bytes(bytes);
	heap_lock(heap);
	if (nr > old)
		done = palloc_extend(&heap->pages, page + old, nr - old);
	else if (nr < old)
		palloc_free(&heap->pages, page + nr, old - nr);
	if (done)
		span->large_pages = nr;
	heap_unlock(heap);
	/* For the profile it is another object. */
	if (done && nr != old) {
		profile_remove(span->next);
		span->next = SAMPLE_NONE;
		sample_large(heap, span);
	}
	return done;
}

/* ---------------------------------------------------------------- other forms */

void *heap_alloc_slow(struct heap *heap, size_t bytes)
{
	bool is_zero;

	if (unlikely(heap->supplied))
		return supplied_alloc(heap, bytes, 1);
	if (checked_is_on())
		return checked_alloc(heap, bytes, 1);
	if (bytes <= CLASS_MAX_BYTES)
		return cache_alloc(heap_caches[heap->id], class_of(bytes), heap);
	return heap_alloc_large(heap, bytes, 1, &is_zero);
}

void *heap_calloc(struct heap *heap, size_t bytes)
{
	bool is_zero = false;
	void *object;

	if (bytes <= CLASS_MAX_BYTES || (checked_is_on() && !heap->supplied)) {
		object = heap_alloc(heap, bytes);
		return object ? memset(object, 0, bytes) : NULL;
	}
	object = heap_alloc_large(heap, bytes, 1, &is_zero);
	if (object && !is_zero)
		region_clear(heap->pages.region, object, bytes);
	return object;
}

unsigned int heap_aligned_class(unsigned int class, size_t align_bytes)
{
	for (; class < NR_CLASSES; class++)
		if (!(size_classes[class].bytes % align_bytes))
			return class;
	return CLASS_NONE;
}

void *heap_alloc_aligned(struct heap *heap, size_t bytes, size_t align_bytes)
{
	unsigned int class = CLASS_NONE;
	bool is_zero;

	if (align_bytes > ALIGN_MAX_BYTES || bytes > OBJECT_MAX_BYTES)
		return NULL;
	if (unlikely(heap->supplied))
		return supplied_alloc(heap, bytes, align_bytes);
	if (checked_is_on())
		return checked_alloc(heap, bytes, align_bytes);
	if (bytes <= CLASS_MAX_BYTES && align_bytes <= PAGE_BYTES)
		class = heap_aligned_class(class_of(bytes), align_bytes);
	if (class != CLASS_NONE)
		return cache_alloc(heap_caches[heap->id], class, heap);
	return heap_alloc_large(heap, bytes, align_bytes, &is_zero);
}

/* Whether an object may stay where it is: it fits, and would not leave more than half unused. */
static bool stays(size_t usable_bytes, size_t bytes)
{
	return bytes <= usable_bytes && (bytes > usable_bytes / 2 || usable_bytes <= 64);
}

/* An object in a span of slots begins there, and is not free: one that may stay where it is never meets free(), which looks. */
static void check_slot(const struct span *span, const void *object, const char *what)
{
	unsigned int slot = heap_find_slot(span, object, what);

	if (SEEKS_MISUSE && atomic_load_relaxed(&span->free[slot / 64]) >> slot % 64 & 1)
		heap_misuse(what, object, "it is free already");
}

size_t heap_slot_bytes(const void *object, const char *what)
{
	uint32_t page;
	const struct span *span = heap_find_span(object, &page, what);

	if (span_state(span) == SPAN_LARGE)
		return span->large_pages * PAGE_BYTES;
	check_slot(span, object, what);
	return size_classes[span->class].bytes;
}

static void *realloc_move(struct heap *heap, void *object, size_t usable, size_t bytes)
{
	void *fresh = heap_alloc(heap, bytes);

	/* Less is always to be had. */
	if (!fresh)
		return bytes <= usable ? object : NULL;
	memcpy(fresh, object, size_min(usable, bytes));
	heap_free(heap, object);
	return fresh;
}

/* Objects that are not small ones of this thread. */
static __attribute__((noinline)) void *realloc_slow(struct heap *heap, void *object, size_t bytes)
{
	struct span *span;
	uint32_t page;
	size_t usable;
	bool is_large;

	if (!object)
		return heap_alloc(heap, bytes);
	if (guard_owns(object))
		return realloc_move(heap, object, guard_usable_bytes(object, "realloc()"), bytes);
	if (checked_is_on() && !heap->supplied)
		return checked_realloc(heap, object, bytes);
	span = heap_find_span(object, &page, "realloc()");
	is_large = span_state(span) == SPAN_LARGE;
	if (!is_large)
		check_slot(span, object, "realloc()");
	usable = is_large ? span->large_pages * PAGE_BYTES : size_classes[span->class].bytes;
	if (is_large ? bytes > CLASS_MAX_BYTES && resize_large(heap_of(object), span, page, bytes) : stays(usable, bytes))
		return object;
	return realloc_move(heap, object, usable, bytes);
}

void *heap_realloc(struct heap *heap, void *object, size_t bytes)
{
	size_t usable = cache_slot_bytes(heap_caches[heap->id], object);

	if (unlikely(!usable))
		return realloc_slow(heap, object, bytes);
	return stays(usable, bytes) ? object : realloc_move(heap, object, usable, bytes);
}

/* ---------------------------------------------------------------- validation, fork */

void heap_validate(struct heap *heap)
{
	/* Of what is given back for threads that sleep all is, or nothing. */
	lock_acquire(&heap->news);
	lock_acquire(&heap->lock);
	heap_validate_parked(heap);
	palloc_validate(&heap->pages);
	for (const struct cache *cache = heap->caches; cache; cache = cache->next)
		cache_validate(cache);
	cache_validate_waits(heap);
	lock_release(&heap->lock);
	lock_release(&heap->news);
}

/* Who forks holds lock_setup, so that no heap comes or goes. A heap in memory of the program has a region of its own. */
void heap_fork_prepare(void)
{
	for (size_t i = 0; i < nr_started; i++)
		if (heaps[i].is_live) {
			lock_acquire_nested(&heaps[i].news);
			if (heaps[i].supplied)
				supplied_lock(&heaps[i]);
			lock_acquire_nested(&heaps[i].lock);
			if (heaps[i].supplied)
				lock_acquire_nested(&heaps[i].pages.region->lock);
		}
	if (region.base)
		lock_acquire_nested(&region.lock);
}

void heap_fork_done(void)
{
	if (region.base)
		lock_release_nested(&region.lock);
	for (size_t i = 0; i < nr_started; i++)
		if (heaps[i].is_live) {
			if (heaps[i].supplied)
				lock_release_nested(&heaps[i].pages.region->lock);
			lock_release_nested(&heaps[i].lock);
			if (heaps[i].supplied)
				supplied_unlock(&heaps[i]);
			lock_release_nested(&heaps[i].news);
		}
}

void heap_fork_child(void)
{
	/* Before anything that takes memory. */
	publish_fork_child();
	for (size_t i = 0; i < nr_started; i++)
		if (heaps[i].is_live)
			heap_note_all_news(&heaps[i]);
		else
			heaps[i].lock = (struct lock){ 0 }; /* A late free of the parent's may hold it: start_locked(). */
	heap_fork_done();
	scavenger_fork_child();
	for (size_t i = 0; i < nr_started; i++)
		if (heaps[i].is_live && heaps[i].touched != PAGE_NONE)
			heap_give_touched(&heaps[i]);
}
