// SPDX-License-Identifier: MIT
/*
 * Slow paths of a thread's cache: the next word, the next span, what others have freed, new spans; and the life of spans
 * (span.h). A cache takes no lock, but for pages and for its inbox (asleep.c); all else is left to its thread alone.
 *
 * Two threads at a remote record:
 *
 *	who frees			the owner
 *	freed |= bit			is_queued = 0
 *	is is_queued 0? then 1,		take all of freed
 *	  and into the inbox
 *
 * All sequentially consistent: when the left side finds is_queued set still, its bit was there before the owner's swap, and is taken. If
 * not, the span is queued again, perhaps for nothing. A span that is queued may be empty, gone, or another owner's by then: whoever finds it only looks at the bits.
 */
#include "cache.h"

#include "checked.h"
#include "guard.h"
#include "supplied.h"
#include "heap.h"
#include "loan.h"
#include "panic.h"
#include "relief.h"
#include "spans.h"

/* What fronts without a current span look at. Never written to: a word of zeros is not allocated from. */
static uint64_t no_slots;
/* Nothing is a slot of it. */
static struct span no_span = { .bias = 1 };

#define NO_BIN { .current = PAGE_NONE, .partial = PAGE_NONE }

struct cache cache_none = {
	.fronts = { [0 ... NR_FRONTS - 1] = { .word = &no_slots } },
	.spans = &no_span,
	.bins = { [0 ... NR_CLASSES - 1] = NO_BIN },
};

uintptr_t cache_area;

/* ---------------------------------------------------------------- spans */

static void give_apart(struct cache *cache)
{
	heap_give_group(cache->heap, cache->apart_first, cache->apart);
	cache->nr_pages -= (uint32_t)__builtin_popcountll(cache->apart);
	cache->apart = 0;
}

/* Those apart are the group now. */
static void take_apart(struct cache *cache)
{
	cache->group = cache->apart;
	cache->group_first = cache->apart_first;
	cache->apart = 0;
}

void cache_give_pages(struct cache *cache)
{
	give_apart(cache);
	cache->apart = cache->group;
	cache->apart_first = cache->group_first;
	cache->group = 0;
	give_apart(cache);
}

/* Whether those apart are all that keeps a chunk from being idle. Who frees the others meanwhile finds a chunk in use, as with any page at hand. */
static inline bool is_last_apart(const struct cache *cache)
{
	uint32_t nr_free = atomic_load_relaxed(&cache->heap->pages.region->chunks[cache->apart_first / PAGES_PER_CHUNK].nr_free);

	return unlikely(nr_free >= PAGES_PER_CHUNK - BITS_PER_WORD) && nr_free + (uint32_t)__builtin_popcountll(cache->apart) == PAGES_PER_CHUNK;
}

/*
 * Pages that are not of the group's 64. Once a thread is idle nobody gives back what it has at hand: a chunk stays for the group, but none for those
 * apart from it, which may be elsewhere.
 */
static __attribute__((noinline)) void give_pages_apart(struct cache *cache, uint32_t first, uint64_t pages)
{
	if (first != cache->apart_first)
		give_apart(cache);
	cache->apart_first = first;
	cache->apart |= pages;
	if (is_last_apart(cache))
		give_apart(cache);
}

/*
 * Pages of one span come back, which are of one 64. They go to the heap group by group: the lock is taken once for up to 64 of them. What is
 * allocated goes on from the group meanwhile, so that it stays on few pages and neither takes locks nor looks at others for each span that came back.
 */
static inline void give_pages(struct cache *cache, uint32_t page, uint32_t nr)
{
	uint64_t pages = bits_mask(page % BITS_PER_WORD, nr);

	if (likely((page ^ cache->group_first) < BITS_PER_WORD))
		cache->group |= pages;
	else
		give_pages_apart(cache, page & ~(uint32_t)(BITS_PER_WORD - 1), pages);
}

static inline void give_page(struct cache *cache, uint32_t page)
{
	give_pages(cache, page, 1);
}

static __attribute__((noinline)) void release_wide(struct cache *cache, struct span *span)
{
	uint32_t page = page_of(cache, span), nr = size_classes[span->class].pages;

	for (uint32_t i = 0; i < nr; i++)
		forget_record(&span[i]);
	if (page % BITS_PER_WORD + nr <= BITS_PER_WORD) {
		give_pages(cache, page, nr);
		return;
	}
	heap_give_pages(cache->heap, page, nr);
	cache->nr_pages -= nr;
}

/* An empty span, on no list, goes back to the pages. */
static inline void release(struct cache *cache, struct span *span)
{
	if (unlikely(size_classes[span->class].pages != 1)) {
		release_wide(cache, span);
		return;
	}
	forget_record(span);
	give_page(cache, page_of(cache, span));
}

/* After slots of a span that is neither current nor on a list were freed. */
static inline void settle(struct cache *cache, struct span *span, int32_t used)
{
	span->left = (int16_t)used;
	if (!used)
		release(cache, span);
	else
		partial_push(cache, span);
}

static __attribute__((noinline)) void release_partial(struct cache *cache, struct span *span)
{
	partial_remove(cache, span);
	release(cache, span);
}

static void spend_hurry(struct cache *cache, uint32_t nr)
{
	cache->hurry -= (uint32_t)size_min(cache->hurry, nr);
	cache_set_wait(cache);
}

/* All slots were used when it was left, and so many were freed since, by whomever. */
static inline void settle_full(struct cache *cache, struct span *span)
{
	settle(cache, span, (int32_t)(class_slots(span->class) - span->prev));
}

/* A function of its own, so that others pay for no call. */
static __attribute__((noinline)) void settle_in_hurry(struct cache *cache, struct span *span)
{
	spend_hurry(cache, 1);
	settle_full(cache, span);
}

void cache_free_event(struct cache *cache, struct span *span)
{
	switch (span_state(span)) {
	case SPAN_CURRENT:
		span->left = SPAN_LEFT_MANY;
		break;
	case SPAN_FULL:
		if (unlikely(cache->hurry))
			settle_in_hurry(cache, span);
		else
			settle_full(cache, span);
		break;
	case SPAN_PARTIAL:
		release_partial(cache, span);
		break;
	default:
		panic("broken invariant: a span in state %d counts frees", span->state);
	}
}

/* ---------------------------------------------------------------- what others have freed */

void cache_notify(struct span *span, struct span_remote *remote)
{
	struct cache *owner = span_owner(span);

	/* Without an owner the bit was taken already, and the span is gone. With another one it is told for nothing. */
	if (owner && !atomic_swap_seq_cst(&remote->is_queued, 1u))
		inbox_push(owner, remote, (uint32_t)(remote - heap_region()->remotes));
}

static __attribute__((noreturn, noinline, cold)) void freed_twice(const struct span *span, unsigned int slot)
{
	heap_misuse("free()", (void *)heap_slot_address(span, (uint32_t)(span - heap_region()->spans), slot), "it is free already");
}

/* Free a slot whose owner is another cache, or nobody the caller knows. Any thread. */
static inline void free_remote(struct span *span, struct span_remote *remote, unsigned int slot)
{
	uint64_t bit = (uint64_t)1 << slot % 64;

	/*
	 * The free slots are looked at first: once the bit is set the owner may take it, as it takes others of this span. The
	 * OR pairs with the swap in take_freed(): who gets the slot next sees it as it was left.
	 */
	if ((SEEKS_MISUSE && unlikely(atomic_load_relaxed(&span->free[slot / 64]) & bit)) ||
	    (unlikely(atomic_or_seq_cst(&remote->freed[slot / 64], bit) & bit) && SEEKS_MISUSE))
		freed_twice(span, slot);
	/* Most often it is queued: then a look is cheaper than a swap. */
	if (unlikely(!atomic_load_seq_cst(&remote->is_queued)))
		cache_notify(span, remote);
}

/* Bits that others have set become free slots; how many. */
static int32_t take_freed(struct span *span, struct span_remote *remote, uint32_t page)
{
	int32_t nr = 0;

	for (unsigned int w = 0; w < nr_words(span); w++) {
		uint64_t freed = atomic_load_seq_cst(&remote->freed[w]);

		if (!freed)
			continue;
		freed = atomic_swap_acquire(&remote->freed[w], 0u);
		if (SEEKS_MISUSE && span->free[w] & freed)
			heap_misuse("free()", (void *)region_address(heap_region(), page), "an object on this page was freed twice");
		atomic_store_relaxed(&span->free[w], span->free[w] | freed);
		nr += __builtin_popcountll(freed);
	}
	return nr;
}

/* @waits: a full span goes on to wait for slots that are not free yet. */
static void drain_span(struct cache *cache, uint32_t page, bool waits)
{
	struct span *span = span_at(cache, page);
	struct span_remote *remote = &heap_region()->remotes[page];
	int32_t nr;

	if (span_owner(span) != cache) {
		/* It was adopted while it waited here. */
		inbox_pass_on(span, remote);
		return;
	}
	nr = take_freed(span, remote, page);
	if (!nr || span->state == SPAN_CURRENT)
		return;
	/* As many frees as if this thread had done them. */
	if (nr < span->left && (waits || span->state == SPAN_PARTIAL)) {
		span->left = (int16_t)(span->left - nr);
		return;
	}
	if (span->state == SPAN_PARTIAL)
		partial_remove(cache, span);
	else if (unlikely(cache->hurry))
		spend_hurry(cache, 1);
	settle(cache, span, nr_used(span));
}

/* Whoever gives back for a thread that sleeps (asleep.c) is not waited for, unless this one would be refused. */
static bool hold_inbox(struct cache *cache)
{
	if (!relief_is_busy())
		return lock_try(&cache->reading);
	lock_acquire(&cache->reading);
	return true;
}

/* Spans that others gave back count no longer. */
static void forget_given(struct cache *cache)
{
	if (unlikely(atomic_load_relaxed(&cache->nr_given)))
		cache->nr_pages -= atomic_swap_acquire(&cache->nr_given, 0u);
}

static void drain(struct cache *cache, bool waits)
{
	uint32_t page, next;

	if (!atomic_load_relaxed(&cache->inbox) || !hold_inbox(cache))
		return;
	atomic_store_relaxed(&cache->nr_reads, cache->nr_reads + 1);
	/* Pairs with the release in inbox_push(). */
	for (next = atomic_swap_acquire(&cache->inbox, 0u); next;) {
		struct span_remote *remote = &heap_region()->remotes[next - 1];

		page = next - 1;
		next = remote->next;
		/* Before the bits are taken: see the table above. */
		atomic_swap_seq_cst(&remote->is_queued, 0u);
		drain_span(cache, page, waits);
	}
	lock_release(&cache->reading);
}

void cache_drain(struct cache *cache)
{
	drain(cache, true);
}

void cache_drain_parked(struct cache *cache)
{
	drain(cache, false);
	cache_give_pages(cache);
}

/* From where a class is allocated from now on. Sizes up to 256 bytes have one front, larger ones up to four. */
static inline void set_fronts(struct cache *cache, unsigned int class, uint64_t *word, uintptr_t base)
{
	struct front *last = &cache->fronts[size_classes[class].front];

	for (struct front *front = &cache->fronts[size_classes[class].first_front]; front <= last; front++) {
		front->word = word;
		front->base = base;
	}
}

/* A span that is in an inbox would not be put into another one. */
static void forget_inbox(struct cache *cache)
{
	uint32_t next = atomic_swap_acquire(&cache->inbox, 0u);

	while (next) {
		struct span_remote *remote = &heap_region()->remotes[next - 1];

		next = remote->next;
		*remote = (struct span_remote){ 0 };
	}
}

void cache_reset(struct cache *cache)
{
	forget_inbox(cache);
	cache->reading = (struct lock)LOCK_INIT(LOCK_INBOX);
	cache->nr_given = 0;
	cache->nr_reads = cache->nr_reads_seen = 0;
	cache->group = cache->apart = 0;
	cache->group_shift = GROUP_LEAST_SHIFT;
	cache->patience = PATIENCE_SPANS;
	cache->nr_pages = 0;
	cache->hurry = 0;
	cache->waits = WAITS_NONE;
	cache_set_wait(cache);
	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		if (cache->loans)
			cache->loans->of[class] = (struct loan){ 0 };
		cache->bins[class] = (struct bin)NO_BIN;
		set_fronts(cache, class, &no_slots, 0);
		for (unsigned int i = size_classes[class].first_front; i <= size_classes[class].front; i++)
			cache->fronts[i].bytes = size_classes[class].bytes;
	}
}

/* ---------------------------------------------------------------- allocation */

static uintptr_t slot_address(const struct cache *cache, uint32_t page, unsigned int class, unsigned int slot)
{
	return cache->base + ((uintptr_t)page << PAGE_SHIFT) + size_classes[class].first_bytes + slot * (uintptr_t)size_classes[class].bytes;
}

/* The first word of the current span that has a free slot; false when none has. Only classes below 64 bytes have several words. */
static inline bool next_word(struct cache *cache, struct span *span, uint32_t page, unsigned int class)
{
	unsigned int last = size_classes[class].last_slot / 64u, w = 0;

	while (!span->free[w])
		if (w++ == last)
			return false;
	set_fronts(cache, class, &span->free[w], slot_address(cache, page, class, w * 64));
	return true;
}

static inline void leave_current(struct cache *cache, unsigned int class)
{
	struct span *span = span_at(cache, cache->bins[class].current);

	span->prev = span_waits_for(cache, class);
	span->left = (int16_t)span->prev;
	/* Last: from here on it may be given back, if others have freed all of it. The release pairs with is_free() of asleep.c. */
	atomic_store_release(&span->state, (uint8_t)SPAN_FULL);
}

/* The span has a free slot, and there is patience left. */
static inline void make_current(struct cache *cache, uint32_t page, unsigned int class)
{
	struct span *span = span_at(cache, page);

	span_set_state(span, SPAN_CURRENT);
	span->left = SPAN_LEFT_MANY;
	cache->bins[class].current = page;
	cache->patience--;
	next_word(cache, span, page, class);
}

static void no_current(struct cache *cache, unsigned int class)
{
	cache->bins[class].current = PAGE_NONE;
	set_fronts(cache, class, &no_slots, 0);
}

/* Pages are new here. Their records must not lie beyond what frees may look at. */
static void count_pages(struct cache *cache, uint32_t nr)
{
	forget_given(cache);
	cache->nr_pages += nr;
	spend_hurry(cache, nr);
	cache->mask = heap_open_mask();
}

/* Pages for spans of several: neighbors at hand, or the heap's. */
static uint32_t take_pages(struct cache *cache, uint32_t nr)
{
	unsigned int at = ones_find(cache->group, nr);
	uint32_t page;

	if (at < BITS_PER_WORD) {
		cache->group &= ~bits_mask(at, nr);
		return cache->group_first + at;
	}
	page = heap_take_pages(cache->heap, nr);
	if (page != PAGE_NONE)
		count_pages(cache, nr);
	return page;
}

/* The group is used up. */
static __attribute__((noinline)) void take_group(struct cache *cache)
{
	take_apart(cache);
	if (cache->group)
		return;
	cache->group = heap_take_group(cache->heap, 1u << cache->group_shift, &cache->group_first);
	cache->group_shift = (uint16_t)size_min(cache->group_shift + 1u, GROUP_MOST_SHIFT);
	count_pages(cache, (uint32_t)__builtin_popcountll(cache->group));
}

static inline uint32_t take_page(struct cache *cache)
{
	uint32_t page;

	if (unlikely(!cache->group))
		take_group(cache);
	if (unlikely(!cache->group))
		return PAGE_NONE;
	page = cache->group_first + (uint32_t)word_lowest(cache->group);
	cache->group &= cache->group - 1;
	return page;
}

/* All but the owner. Field by field, because a thread that comes late (see free_remote()) may look at the record. */
static void start_record(struct cache *cache, uint32_t page, unsigned int class)
{
	struct span *span = span_at(cache, page);
	unsigned int nr_slots = class_slots(class);

	/* Its last span was like this one, and all slots were free at its end. */
	if (span->class == class)
		return;
	span->class = (uint8_t)class;
	/* Pairs with cache_find(). */
	atomic_store_relaxed(&span->inverse, class_inverse(class));
	atomic_store_relaxed(&span->bias, slot_address(cache, page, class, 0) * span->inverse);
	for (unsigned int first = 0; first < nr_slots; first += 64)
		atomic_store_relaxed(&span->free[first / 64], bits_mask(0, (unsigned int)size_min(nr_slots - first, 64)));
}

/* Further pages of a span lead to the first one. */
static void start_inside(struct cache *cache, const struct span *first, uint32_t nr)
{
	uint32_t page = page_of(cache, first);

	for (uint32_t i = 1; i < nr; i++) {
		struct span *span = span_at(cache, page + i);

		span->back = (uint16_t)i;
		span->class = CLASS_NONE;
		atomic_store_relaxed(&span->inverse, first->inverse);
		atomic_store_relaxed(&span->bias, first->bias);
		span_set_state(span, SPAN_INSIDE);
		atomic_store_relaxed(&span->owner, SPAN_WIDE);
	}
}

static uint32_t new_span(struct cache *cache, unsigned int class)
{
	uint32_t nr = size_classes[class].pages;
	uint32_t page = nr == 1 ? take_page(cache) : take_pages(cache, nr);

	if (page == PAGE_NONE)
		return PAGE_NONE;
	start_record(cache, page, class);
	span_set_owner(span_at(cache, page), cache, nr);
	if (CHECKED_VERIFY)
		checked_new_span(slot_address(cache, page, class, 0), class);
	start_inside(cache, span_at(cache, page), nr);
	return page;
}

/* A span that waits for its turn, off the list; PAGE_NONE when none does. */
static inline uint32_t take_partial(struct cache *cache, unsigned int class)
{
	struct bin *bin = &cache->bins[class];
	uint32_t page = bin->partial;

	if (page != PAGE_NONE)
		bin->partial = span_at(cache, page)->next;
	return page;
}

/* A page at hand that was of the class before, so that its record is as it should be. */
static inline uint32_t take_page_as_it_is(struct cache *cache, unsigned int class)
{
	struct span *span;
	uint32_t page;

	if (!cache->group || size_classes[class].pages != 1 || CHECKED_VERIFY)
		return PAGE_NONE;
	page = cache->group_first + (uint32_t)word_lowest(cache->group);
	span = span_at(cache, page);
	if (span->class != class)
		return PAGE_NONE;
	cache->group &= cache->group - 1;
	span_set_owner(span, cache, 1);
	return page;
}

/* A class whose word is used up gets another one of those at hand: most often there is one. Takes no lock. */
static inline __attribute__((always_inline)) bool refill_at_hand(struct cache *cache, unsigned int class)
{
	uint32_t current = cache->bins[class].current, page;

	if (size_classes[class].last_slot >= 64 && current != PAGE_NONE && next_word(cache, span_at(cache, current), current, class))
		return true;
	if (unlikely(!cache->patience))
		return false;
	page = take_partial(cache, class);
	if (page == PAGE_NONE)
		page = take_page_as_it_is(cache, class);
	if (page == PAGE_NONE)
		return false;
	if (current != PAGE_NONE)
		leave_current(cache, class);
	make_current(cache, page, class);
	return true;
}

/* A span with free slots that others may have to do with: what they have freed is in the inbox, what ended threads left in their caches. */
static uint32_t others_span(struct cache *cache, unsigned int class)
{
	uint32_t page;

	cache->patience = PATIENCE_SPANS;
	cache_drain(cache);
	page = take_partial(cache, class);
	if (page == PAGE_NONE && atomic_load_relaxed(&cache->heap->nr_parked))
		page = heap_adopt(cache->heap, cache, class);
	return page;
}

/*
 * A span of a class of which none is at hand; PAGE_NONE when out of memory. Pages at hand go first: they cost neither a lock nor a line that others
 * write, and what others free meanwhile comes in larger portions. That waits as long as there is patience: pages at hand may never be used up.
 */
static uint32_t next_span(struct cache *cache, unsigned int class)
{
	uint32_t nr = size_classes[class].pages;
	bool is_at_hand = ones_find(cache->group, nr) < BITS_PER_WORD || (nr == 1 && cache->apart);
	uint32_t page = is_at_hand && cache->patience ? PAGE_NONE : others_span(cache, class);

	return page == PAGE_NONE ? new_span(cache, class) : page;
}

/* The same when no span of the class is at hand; false when out of memory. */
static __attribute__((noinline)) bool refill_afresh(struct cache *cache, unsigned int class)
{
	struct bin *bin = &cache->bins[class];
	uint32_t page;

	/* What others have freed of it meanwhile is in the inbox. */
	if (bin->current != PAGE_NONE)
		leave_current(cache, class);
	bin->current = PAGE_NONE;
	page = next_span(cache, class);
	if (likely(page != PAGE_NONE))
		make_current(cache, page, class);
	else
		no_current(cache, class);
	return likely(page != PAGE_NONE);
}

static __attribute__((noinline)) bool refill(struct cache *cache, unsigned int class)
{
	return refill_at_hand(cache, class) || refill_afresh(cache, class);
}

/* @object, when the program was told of growth. The lock of a heap in memory of the program is held here: see supplied_alloc(). */
static void *settled(struct heap *heap, void *object)
{
	if (unlikely(heap_is_due(heap)) && !heap->supplied)
		relief_settle(heap);
	return object;
}

static void *alloc_refused(struct heap *heap, unsigned int class)
{
	return heap->supplied ? NULL : relief_alloc(heap, class);
}

/* An object that is sampled, if the next one is; NULL when it is not. It lives on pages of its own. */
static void *alloc_sampled(struct loan *loan, unsigned int class, struct heap *heap)
{
	uint64_t mean_bytes = profile_mean();
	uint32_t bytes = size_classes[class].bytes;

	if (!mean_bytes)
		return NULL;
	if (loan->mean_bytes != mean_bytes)
		loan->skip = sample_skip(profile_random(), mean_bytes, bytes);
	loan->mean_bytes = mean_bytes;
	if (loan->skip)
		return NULL;
	loan->skip = sample_skip(profile_random(), mean_bytes, bytes);
	return heap_alloc_sampled(heap, bytes, mean_bytes);
}

/* The slow path while there is sampling, or was. */
static __attribute__((noinline)) void *alloc_lending(struct cache *cache, unsigned int class, struct heap *heap)
{
	struct front *front = &cache->fronts[size_classes[class].front];
	struct loan *loan = &cache->loans->of[class];
	void *object;

	loan_return(cache, class);
	object = alloc_sampled(loan, class, heap);
	/* Walking the stack may have allocated from this class. */
	loan_return(cache, class);
	if (!object) {
		if (!*front->word && !refill(cache, class))
			return alloc_refused(heap, class);
		front_take(front, &object);
		loan->skip -= loan->skip > 0;
	}
	if (atomic_load_relaxed(&profile_mean_word))
		loan_take(cache, class);
	return settled(heap, object);
}

/* When nothing of the class is at hand, or other things are to be looked at. The object is taken before the program is told of growth: it may trim. */
static __attribute__((noinline)) void *alloc_slower(struct cache *cache, unsigned int class, struct heap *heap)
{
	void *object = NULL;

	if (unlikely(cache == &cache_none)) {
		cache = heap_cache_get(heap);
		/* Something may be at hand by now: that the thread has a cache is noted by a function that allocates, from that cache. */
		return likely(cache) ? cache_alloc(cache, class, heap) : heap_alloc_alone(heap, class);
	}
	if (unlikely(loan_wanted(cache)) && !heap->supplied && loan_open(cache))
		return alloc_lending(cache, class, heap);
	if (unlikely(!refill(cache, class)))
		return alloc_refused(heap, class);
	front_take(&cache->fronts[size_classes[class].front], &object);
	return settled(heap, object);
}

void *cache_alloc_slow(struct cache *cache, unsigned int class, struct heap *heap)
{
	void *object;

	/* As in a fast path: cache_none has nothing at hand. */
	if (likely(!loan_wanted(cache)) && likely(refill_at_hand(cache, class)) &&
	    likely(front_take(&cache->fronts[size_classes[class].front], &object)))
		return object;
	return alloc_slower(cache, class, heap);
}

/* ---------------------------------------------------------------- freeing */

void cache_free_slot(struct cache *cache, struct span *span, unsigned int slot, const void *object)
{
	uint64_t bit = (uint64_t)1 << slot % 64;

	if (SEEKS_MISUSE && span->free[slot / 64] & bit)
		heap_misuse("free()", object, "it is free already");
	atomic_store_relaxed(&span->free[slot / 64], span->free[slot / 64] | bit);
	if (--span->left == 0)
		cache_free_event(cache, span);
}

void cache_free_foreign(struct cache *cache, struct span *span, unsigned int slot, void *object)
{
	uint32_t owner = atomic_load_relaxed(&span->owner);

	if (owner == SPAN_WIDE) {
		span -= span->back;
		owner = atomic_load_relaxed(&span->owner);
	}
	if (owner == (cache_name(cache) | SPAN_WIDE))
		cache_free_slot(cache, span, slot, object);
	else if (likely(owner))
		free_remote(span, &cache->remotes[span - cache->spans], slot);
	else
		cache_free_slow(object);
}

void cache_free_any(void *object)
{
	struct cache *cache;
	uint32_t page;
	struct span *span;
	unsigned int slot;

	span = heap_find_span(object, &page, "free()");
	if (span_state(span) == SPAN_LARGE) {
		heap_free_large(span, page, object);
		return;
	}
	slot = heap_find_slot(span, object, "free()");
	/* This thread may have a cache of that heap even though it was asked through another one. */
	cache = span_owner(span);
	if (cache && cache == heap_own_cache(cache->heap->id))
		cache_free_slot(cache, span, slot, object);
	else
		free_remote(span, &heap_region()->remotes[page], slot);
}

void cache_free_slow(void *object)
{
	struct heap *supplied = supplied_heap_of(object);

	if (!object)
		return;
	if (unlikely(supplied))
		supplied_free(supplied, object);
	else if (guard_owns(object))
		profile_remove(guard_free(object));
	else if (checked_is_on())
		checked_free(object);
	else
		cache_free_any(object);
}

/* ---------------------------------------------------------------- end and validation */

void cache_clean(struct cache *cache)
{
	drain(cache, false);
	forget_given(cache);
	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		struct bin *bin = &cache->bins[class];
		uint32_t page = bin->current;
		bool has_free;

		if (cache->loans)
			loan_return(cache, class);
		if (page == PAGE_NONE)
			continue;
		/* Before it is left: full, it may be somebody else's at once. */
		has_free = nr_free(span_at(cache, page));
		leave_current(cache, class);
		no_current(cache, class);
		if (has_free)
			settle(cache, span_at(cache, page), nr_used(span_at(cache, page)));
	}
}

static void validate_bin(const struct cache *cache, unsigned int class)
{
	const struct bin *bin = &cache->bins[class];
	uint32_t prev = PAGE_NONE;

	for (unsigned int i = size_classes[class].first_front; i <= size_classes[class].front; i++) {
		check(cache->fronts[i].word == cache->fronts[size_classes[class].front].word && cache->fronts[i].bytes == size_classes[class].bytes);
		check(bin->current != PAGE_NONE || !*cache->fronts[i].word);
	}
	check(bin->current == PAGE_NONE || span_at(cache, bin->current)->state == SPAN_CURRENT);
	for (uint32_t page = bin->partial; page != PAGE_NONE; page = span_at(cache, page)->next) {
		const struct span *span = span_at(cache, page);

		check(span->state == SPAN_PARTIAL && span->class == class && span_owner(span) == cache);
		check(prev == PAGE_NONE || span->prev == prev);
		check(span->left == nr_used(span) && span->left > 0 && nr_free(span));
		prev = page;
	}
}

void cache_validate(const struct cache *cache)
{
	check(!no_slots && cache->patience <= PATIENCE_SPANS && (cache->wait_shift == WAIT_SHIFT_NONE) == (cache->hurry > 0));
	for (unsigned int class = 1; class < NR_CLASSES; class++)
		validate_bin(cache, class);
}
