// SPDX-License-Identifier: MIT
/*
 * Which thread has which cache of a heap: where caches come from, what becomes of them when their threads end, and who takes over what is in
 * them (heap.c says why).
 */
#include "heap.h"

#include <errno.h>
#include <pthread.h>

#include "checked.h"
#include "os.h"
#include "panic.h"
#include "relief.h"
#include "supplied.h"

/* Addresses that caches are cut from, one after the other: a 64th of the region, within what span_owner() can tell apart. */
#define CACHE_AREA_MAX_BYTES GiB
#define CACHE_AREA_LEAST_BYTES MiB
/* So much of them is opened at a time. */
#define CACHE_SLAB_BYTES (32 * KiB)
#define CACHE_BYTES align_up(sizeof(struct cache), 64)

static pthread_key_t exit_key;	/* fixed once the first heap is live */
static uintptr_t slab_at, slab_limit; /* guarded by lock_setup: open addresses of no cache yet, at the end of what is open */
static size_t area_bytes;	/* fixed with cache_area */

__thread struct cache *heap_caches[HEAPS_MAX] = { [0 ... HEAPS_MAX - 1] = &cache_none };
__thread struct cache **heap_hidden_caches;

/*
 * How often this thread came to its end. Destructors of the program's may run behind ours and allocate; then ours runs again, but only so often
 * (PTHREAD_DESTRUCTOR_ITERATIONS): a cache that was made after the last time would be nobody's for ever.
 */
static __thread unsigned int nr_ends __attribute__((tls_model("initial-exec")));
#define ENDS_WITH_CACHE 2

#define HIDDEN_BYTES align_up(HEAPS_MAX * sizeof(struct cache *), PAGE_BYTES)

/* Where this thread's caches are noted; NULL when out of memory. */
static struct cache **own_caches(void)
{
	if (!checked_is_on())
		return heap_caches;
	if (!heap_hidden_caches)
		heap_hidden_caches = os_table(HIDDEN_BYTES);
	return heap_hidden_caches;
}

static bool has_cache(const struct cache *cache)
{
	return cache && cache != &cache_none;
}

bool heap_has_cache(uint32_t id)
{
	return has_cache(heap_own_cache(id));
}

/* ---------------------------------------------------------------- making */

static int start_area(void)
{
	area_bytes = size_min(size_max(align_up(heap_region()->bytes / 64, CACHE_SLAB_BYTES), CACHE_AREA_LEAST_BYTES), CACHE_AREA_MAX_BYTES);
	cache_area = (uintptr_t)os_reserve_table(area_bytes);
	slab_at = slab_limit = cache_area;
	return cache_area ? 0 : -ENOMEM;
}

static bool open_slab(void)
{
	if (slab_limit + CACHE_SLAB_BYTES > cache_area + area_bytes || os_open_table((void *)slab_limit, CACHE_SLAB_BYTES))
		return false;
	slab_limit += CACHE_SLAB_BYTES;
	return true;
}

static struct cache *cut_cache(void)
{
	if (slab_limit - slab_at < CACHE_BYTES && !open_slab())
		return NULL;
	/* The lower half of an address that is 0 means nobody. */
	if (!(uint32_t)slab_at)
		slab_at += 64;
	slab_at += CACHE_BYTES;
	return (struct cache *)(slab_at - CACHE_BYTES);
}

static struct cache *new_cache(struct heap *heap)
{
	struct cache *cache;

	lock_acquire(&lock_setup);
	cache = cut_cache();
	lock_release(&lock_setup);
	if (!cache)
		return NULL;
	cache->base = heap_region()->base;
	cache->spans = heap_region()->spans;
	cache->remotes = heap_region()->remotes;
	cache->mask = heap_open_mask();
	cache->heap = heap;
	cache_reset(cache);
	lock_acquire(&heap->lock);
	cache->next = heap->caches;
	heap->caches = cache;
	heap->nr_caches++;
	lock_release(&heap->lock);
	return cache;
}

/* ---------------------------------------------------------------- what parked caches have */

/* Where a cache is linked into the list of those with spans of a class. */
static struct cache **left_link(struct cache *cache, unsigned int class)
{
	return &cache->fronts[size_classes[class].front].next_left;
}

void heap_note_left(struct cache *cache, unsigned int class)
{
	struct cache **first = &cache->heap->left[class], **link = left_link(cache, class);

	if (*link)
		return;
	*link = *first ? *first : &cache_none;
	atomic_store_relaxed(first, cache);
}

/* The first one has nothing for anybody now. The caller holds the heap's lock. */
static void forget_left(struct heap *heap, unsigned int class)
{
	struct cache **link = left_link(heap->left[class], class), *next = *link;

	*link = NULL;
	atomic_store_relaxed(&heap->left[class], next == &cache_none ? NULL : next);
}

/* The caller holds the heap's lock. */
static void note_all_left(struct cache *parked)
{
	for (unsigned int class = 1; class < NR_CLASSES; class++)
		if (parked->bins[class].partial != PAGE_NONE)
			heap_note_left(parked, class);
}

/* More may be free in it than is on its lists. The load is one of the two sides at inbox_push(). */
static bool has_news(const struct cache *parked)
{
	return parked->waits >= WAITS_MANY || atomic_load_seq_cst(&parked->inbox);
}

/* Behind the others, so that each has its turn, whatever comes in for this one meanwhile. The caller holds the heap's lock. */
static void note_news(struct heap *heap, struct cache *parked)
{
	if (parked->is_noted)
		return;
	atomic_store_seq_cst(&parked->is_noted, true);
	parked->next_noted = NULL;
	if (heap->noted)
		heap->noted_last->next_noted = parked;
	else
		atomic_store_relaxed(&heap->noted, parked);
	heap->noted_last = parked;
	atomic_store_relaxed(&heap->end_place, heap->end_place + 1);
}

void heap_note_news(struct cache *cache)
{
	struct heap *heap = cache->heap;

	lock_acquire(&heap->lock);
	if (cache->is_parked)
		note_news(heap, cache);
	lock_release(&heap->lock);
}

void heap_note_all_news(struct heap *heap)
{
	for (struct cache *cache = heap_parked(heap); cache; cache = cache->next_parked)
		if (atomic_load_seq_cst(&cache->inbox))
			note_news(heap, cache);
}

/* The first, off the queue, which is not empty. What comes in from now on is noted again. */
static struct cache *pop_noted(struct heap *heap)
{
	struct cache *cache = heap->noted;

	atomic_store_relaxed(&heap->noted, cache->next_noted);
	heap->first_place++;
	atomic_store_seq_cst(&cache->is_noted, false);
	return cache;
}

static void validate_cache(struct cache *parked)
{
	check(parked->is_parked && (parked->waits < WAITS_MANY || parked->is_noted));
	for (unsigned int class = 1; class < NR_CLASSES; class++)
		check(parked->bins[class].partial == PAGE_NONE || *left_link(parked, class));
}

void heap_validate_parked(const struct heap *heap)
{
	uint32_t nr = 0;

	check(!heap->being_read);
	for (struct cache *cache = heap->parked; cache; cache = cache->next_parked, nr++)
		validate_cache(cache);
	check(nr == heap->nr_parked);
	nr = 0;
	for (const struct cache *cache = heap->noted; cache; cache = cache->next_noted, nr++)
		check(cache->is_noted && !cache->next_noted == (cache == heap->noted_last));
	check(nr == heap->end_place - heap->first_place);
}

/* ---------------------------------------------------------------- beginnings and ends of threads */

/* The list of parked caches: last come, first served. The caller holds the heap's lock. */
static void push_parked(struct heap *heap, struct cache *cache)
{
	cache->next_parked = heap->parked;
	heap->parked = cache;
	atomic_store_relaxed(&heap->nr_parked, heap->nr_parked + 1);
	atomic_store_seq_cst(&cache->is_parked, true);
}

/* The first, off the list, or NULL. One that is read stays. */
static struct cache *pop_parked(struct heap *heap)
{
	struct cache **link = &heap->parked, *cache;

	if (*link && *link == heap->being_read)
		link = &(*link)->next_parked;
	cache = *link;
	if (!cache)
		return NULL;
	*link = cache->next_parked;
	atomic_store_relaxed(&heap->nr_parked, heap->nr_parked - 1);
	atomic_store_seq_cst(&cache->is_parked, false);
	return cache;
}

/* A parked cache for a new thread, or NULL. */
static struct cache *take_parked(struct heap *heap)
{
	struct cache *cache;

	if (!atomic_load_relaxed(&heap->nr_parked))
		return NULL;
	lock_acquire(&heap->lock);
	cache = pop_parked(heap);
	lock_release(&heap->lock);
	return cache;
}

struct cache *heap_cache_get(struct heap *heap)
{
	struct cache *cache = heap_own_cache(heap->id), **caches;

	if (has_cache(cache))
		return cache;
	caches = nr_ends < ENDS_WITH_CACHE ? own_caches() : NULL;
	if (!caches)
		return NULL;
	cache = take_parked(heap);
	/* Now: what was freed of it is news to nobody else any more, and this thread may never look. */
	if (cache)
		cache_drain(cache);
	else
		cache = new_cache(heap);
	if (!cache)
		return NULL;
	caches[heap->id] = cache;
	/* May allocate, from the cache that is there now. */
	pthread_setspecific(exit_key, caches);
	return cache;
}

static void flush(struct cache *cache)
{
	cache_clean(cache);
	cache_give_pages(cache);
	cache->group_shift = GROUP_LEAST_SHIFT;
}

void heap_flush(struct heap *heap)
{
	if (heap->supplied)
		supplied_flush(heap);
	if (checked_is_on())
		checked_flush(heap);
	/* First, because some of it is passed on to this thread: what was freed of spans that it has adopted since. */
	heap_read_all_news(heap);
	if (has_cache(heap_own_cache(heap->id)))
		flush(heap_own_cache(heap->id));
}

void heap_end_waits(struct heap *heap)
{
	struct cache *own = heap_own_cache(heap->id);

	if (heap->supplied)
		own = supplied_cache(heap);
	/* So that none of the parked caches is read, and who is refused meanwhile waits for the end of it. */
	lock_acquire(&heap->news);
	cache_end_waits(heap, has_cache(own) ? own : NULL);
	lock_release(&heap->news);
}

/* As it is left, for the thread that takes it over. */
static void park(struct cache *cache)
{
	struct heap *heap = cache->heap;

	flush(cache);
	/* In a hurry nothing waits, nor where nothing is. */
	cache->waits = cache->hurry || !cache->nr_pages ? WAITS_NONE : WAITS_MANY;
	lock_acquire(&heap->lock);
	push_parked(heap, cache);
	note_all_left(cache);
	if (has_news(cache))
		note_news(heap, cache);
	lock_release(&heap->lock);
}

/* The end of a thread. Destructors that run later and allocate get a cache again, and this is called again. */
static void park_all(void *caches_of_thread)
{
	struct cache **caches = caches_of_thread;

	nr_ends++;
	/* No heap is destroyed, or made in the place of one, meanwhile. */
	lock_acquire(&lock_setup);
	for (size_t i = 0; i < HEAPS_MAX; i++) {
		struct cache *cache = caches[i];

		caches[i] = &cache_none;
		if (has_cache(cache))
			park(cache);
	}
	lock_release(&lock_setup);
	if (caches == heap_hidden_caches) {
		heap_hidden_caches = NULL;
		os_unreserve(caches, HIDDEN_BYTES);
	}
}

/* ---------------------------------------------------------------- what is free of ended threads */

/* Whether ended threads may have left something there, for who holds no lock. An allocation in memory of the program holds a
 * lock that comes after that of news. */
static bool has_parked(const struct heap *heap)
{
	return !heap->supplied && atomic_load_relaxed(&heap->nr_parked);
}

/* Whether a cache is in the queue whose place is before @end. */
static bool has_before(const struct heap *heap, uint32_t end)
{
	return (int32_t)(end - heap->first_place) > 0;
}

/* One that has news, for the caller alone, or NULL. Of those before @end. */
static struct cache *take_news(struct heap *heap, uint32_t end)
{
	struct cache *cache = NULL;

	lock_acquire(&heap->lock);
	while (!cache && has_before(heap, end)) {
		cache = pop_noted(heap);
		if (!cache->is_parked || !has_news(cache))
			cache = NULL;
	}
	atomic_store_relaxed(&heap->being_read, cache);
	lock_release(&heap->lock);
	return cache;
}

/* It may be adopted from again, also what was found, and taken over. */
static void put_back(struct heap *heap, struct cache *cache)
{
	lock_acquire(&heap->lock);
	note_all_left(cache);
	atomic_store_relaxed(&heap->being_read, NULL);
	lock_release(&heap->lock);
}

/*
 * What others have freed of an ended thread has no other reader. Its full spans wait for nobody, which is seen to once. The caller holds the lock
 * of news, which fork() takes as well: a cache that is read would be lost to the child. Of those before @end, as take_news().
 */
static bool read_news(struct heap *heap, uint32_t end)
{
	struct cache *parked = take_news(heap, end);

	if (!parked)
		return false;
	cache_drain_parked(parked);
	if (parked->waits == WAITS_MANY) {
		cache_end_some_waits(parked);
		parked->waits = WAITS_FEW;
	}
	put_back(heap, parked);
	return true;
}

/* @waits: for who reads, or searches (cache_end_waits()). */
static bool read_next(struct heap *heap, uint32_t end, bool waits)
{
	bool has_read;

	if (!has_parked(heap))
		return false;
	if (waits)
		lock_acquire(&heap->news);
	else if (!lock_try(&heap->news))
		return false;
	has_read = read_news(heap, end);
	lock_release(&heap->news);
	return has_read;
}

bool heap_read_news(struct heap *heap)
{
	return read_next(heap, atomic_load_relaxed(&heap->end_place), false);
}

/*
 * Once round: each that is there is looked at, whoever else reads, and whatever threads end meanwhile. That it ends counts on threads which do not end
 * faster than others begin.
 */
static bool read_round(struct heap *heap, bool waits)
{
	uint32_t end = atomic_load_relaxed(&heap->end_place);
	bool has_read = false;

	while (read_next(heap, end, waits))
		has_read = true;
	return has_read;
}

/*
 * Others may free on. But what was freed of spans that another one has adopted since is passed on to that one, whose turn may have been before; or that was noted
 * while this thread waited for who read.
 */
static void read_all_news(struct heap *heap, bool waits)
{
	if (read_round(heap, waits) || waits)
		read_round(heap, waits);
}

void heap_read_all_news(struct heap *heap)
{
	read_all_news(heap, true);
}

void heap_try_all_news(struct heap *heap)
{
	read_all_news(heap, false);
}

/* The lock of news is held, also against fork(), in whose child nobody would release the inboxes that are held. */
static uint64_t give_asleep(struct heap *heap, bool all)
{
	struct cache *cache;
	uint64_t nr = 0;

	lock_acquire(&heap->lock);
	cache = heap->caches;
	lock_release(&heap->lock);
	for (; cache; cache = cache->next)
		if (cache_is_asleep(cache) || all)
			nr += cache_give_asleep(cache);
	lock_release(&heap->news);
	return nr;
}

uint64_t heap_give_asleep(struct heap *heap)
{
	lock_acquire(&heap->news);
	return give_asleep(heap, true);
}

uint64_t heap_try_asleep(struct heap *heap, bool all)
{
	return lock_try(&heap->news) ? give_asleep(heap, all) : 0;
}

/* Noted, or what is read just now. */
static bool may_have_news(const struct heap *heap)
{
	return atomic_load_relaxed(&heap->noted) || atomic_load_relaxed(&heap->being_read);
}

/* Whether it is worth to take the lock. Who would be refused takes it in any case, so as not to miss what changes hands just now. */
static bool may_adopt(const struct heap *heap, unsigned int class)
{
	return has_parked(heap) && (relief_is_busy() || atomic_load_relaxed(&heap->left[class]) || may_have_news(heap));
}

/* A partly used span that a parked cache has. */
static uint32_t adopt_from(struct cache *parked, struct cache *cache, unsigned int class)
{
	uint32_t page = parked->bins[class].partial;
	struct span *span;

	if (page == PAGE_NONE)
		return PAGE_NONE;
	span = &heap_region()->spans[page];
	parked->bins[class].partial = span->next;
	span_set_owner(span, cache, size_classes[class].pages);
	parked->nr_pages -= size_classes[class].pages;
	cache->nr_pages += size_classes[class].pages;
	return page;
}

/* @news: whether there may be one in spite of what is returned. */
static uint32_t adopt(struct heap *heap, struct cache *cache, unsigned int class, bool *news)
{
	uint32_t page = PAGE_NONE;

	lock_acquire(&heap->lock);
	while (page == PAGE_NONE && heap->left[class]) {
		struct cache *parked = heap->left[class];

		/* Who has it for himself, or parks it, notes it again. */
		if (parked->is_parked && parked != heap->being_read)
			page = adopt_from(parked, cache, class);
		if (page == PAGE_NONE)
			forget_left(heap, class);
	}
	*news = may_have_news(heap);
	lock_release(&heap->lock);
	return page;
}

/* One cache at a time, so that no allocation pays for all of them. Nor does one wait for who reads, unless it would be refused. */
static bool read_some_news(struct heap *heap)
{
	if (relief_is_busy())
		lock_acquire(&heap->news);
	else if (!lock_try(&heap->news))
		return false;
	read_news(heap, atomic_load_relaxed(&heap->end_place));
	lock_release(&heap->news);
	return true;
}

uint32_t heap_adopt(struct heap *heap, struct cache *cache, unsigned int class)
{
	uint32_t page;
	bool news;

	if (!may_adopt(heap, class))
		return PAGE_NONE;
	page = adopt(heap, cache, class, &news);
	if (page == PAGE_NONE && news && read_some_news(heap))
		page = adopt(heap, cache, class, &news);
	/* Its record may lie beyond those that this cache has heard of. */
	if (page != PAGE_NONE)
		cache->mask = heap_open_mask();
	return page;
}

/* ---------------------------------------------------------------- start */

int heap_start_threads(void)
{
	int error = start_area();

	if (!error && pthread_key_create(&exit_key, park_all))
		panic("no key is left for the ends of threads");
	return error;
}
