// SPDX-License-Identifier: MIT
/*
 * Slow paths of a thread's cache: the next word, the next span, what others have freed, new spans; and the life of spans
 * (span.h). A cache takes no lock, but for pages; it is left to its thread alone.
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

static struct span *span_at(const struct cache *cache, uint32_t page)
{
	return &cache->spans[page];
}

static uint32_t page_of(const struct cache *cache, const struct span *span)
{
	return (uint32_t)(span - cache->spans);
}

static unsigned int nr_words(const struct span *span)
{
	return size_classes[span->class].last_slot / 64u + 1;
}

static unsigned int nr_free(const struct span *span)
{
	unsigned int nr = 0;

	for (unsigned int w = 0; w < nr_words(span); w++)
		nr += (unsigned int)__builtin_popcountll(span->free[w]);
	return nr;
}

static int32_t nr_used(const struct span *span)
{
	return (int32_t)(class_slots(span->class) - nr_free(span));
}

static void partial_push(struct cache *cache, struct span *span)
{
	struct bin *bin = &cache->bins[span->class];
	uint32_t page = page_of(cache, span);

	span->prev = PAGE_NONE;
	span->next = bin->partial;
	if (span->next != PAGE_NONE)
		span_at(cache, span->next)->prev = page;
	bin->partial = page;
	span_set_state(span, SPAN_PARTIAL);
}

static void partial_remove(struct cache *cache, struct span *span)
{
	if (span->next != PAGE_NONE)
		span_at(cache, span->next)->prev = span->prev;
	if (span->prev != PAGE_NONE)
		span_at(cache, span->prev)->next = span->next;
	else
		cache->bins[span->class].partial = span->next;
}

/* Pages freed one by one come back group by group: the lock is taken once for up to 64 of them. */
static void give_page(struct cache *cache, uint32_t page)
{
	uint32_t first = page & ~(uint32_t)(BITS_PER_WORD - 1);

	if (first != cache->group_first && cache->group) {
		heap_give_group(cache->heap, cache->group_first, cache->group);
		cache->group = 0;
	}
	cache->group_first = first;
	cache->group |= (uint64_t)1 << page % BITS_PER_WORD;
}

/* An empty span, on no list, goes back to the pages. */
static void release(struct cache *cache, struct span *span)
{
	uint32_t page = page_of(cache, span), nr = size_classes[span->class].pages;

	for (uint32_t i = 0; i < nr; i++) {
		span_set_owner(span_at(cache, page + i), NULL, nr);
		span_set_state(span_at(cache, page + i), SPAN_NONE);
	}
	if (nr == 1)
		give_page(cache, page);
	else
		heap_give_pages(cache->heap, page, nr);
}

/*
 * So many slots of a full span are to be free before it is allocated from again. With the first one it would be current and full again
 * at the next allocation, and every pair of calls a slow one. What waits is an eighth of a span at most, and one slot.
 */
static int32_t full_frees(const struct span *span)
{
	return 1 + size_classes[span->class].last_slot / 8;
}

/* After slots of a span that is neither current nor on a list were freed. */
static void settle(struct cache *cache, struct span *span, int32_t used)
{
	span->left = (int16_t)used;
	if (!used)
		release(cache, span);
	else
		partial_push(cache, span);
}

void cache_free_event(struct cache *cache, struct span *span)
{
	switch (span_state(span)) {
	case SPAN_CURRENT:
		span->left = SPAN_LEFT_MANY;
		break;
	case SPAN_FULL:
		/* All slots were used when it was left; what others have freed since made it partial at once. */
		settle(cache, span, (int32_t)class_slots(span->class) - full_frees(span));
		break;
	case SPAN_PARTIAL:
		partial_remove(cache, span);
		release(cache, span);
		break;
	default:
		panic("broken invariant: a span in state %d counts frees", span->state);
	}
}

/* ---------------------------------------------------------------- what others have freed */

static void inbox_push(struct cache *owner, struct span_remote *remote, uint32_t page)
{
	uint32_t head = atomic_load_relaxed(&owner->inbox);

	do {
		remote->next = head;
		/* The release pairs with the acquire in cache_drain(). */
	} while (!atomic_cas_release(&owner->inbox, &head, page + 1));
}

static void notify(struct span *span, struct span_remote *remote, uint32_t page)
{
	struct cache *owner = span_owner(span);

	/* Most often it is queued: then a look is cheaper than a swap. */
	if (atomic_load_seq_cst(&remote->is_queued))
		return;
	/* Without an owner the bit was taken already, and the span is gone. With another one it is told for nothing. */
	if (owner && !atomic_swap_seq_cst(&remote->is_queued, 1u))
		inbox_push(owner, remote, page);
}

void cache_free_remote(struct span *span, uint32_t page, unsigned int slot)
{
	struct span_remote *remote = &heap_region()->remotes[page];
	uint64_t bit = (uint64_t)1 << slot % 64;

	/*
	 * The free slots are looked at first: once the bit is set the owner may take it, as it takes others of this span. The
	 * OR pairs with the swap in take_freed(): who gets the slot next sees it as it was left.
	 */
	if (atomic_load_relaxed(&span->free[slot / 64]) & bit ||
	    atomic_or_seq_cst(&remote->freed[slot / 64], bit) & bit)
		heap_misuse("free()", (void *)heap_slot_address(span, page, slot), "it is free already");
	notify(span, remote, page);
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
		if (span->free[w] & freed)
			heap_misuse("free()", (void *)region_address(heap_region(), page), "an object on this page was freed twice");
		atomic_store_relaxed(&span->free[w], span->free[w] | freed);
		nr += __builtin_popcountll(freed);
	}
	return nr;
}

static bool has_freed(const struct span_remote *remote)
{
	uint64_t any = 0;

	for (unsigned int w = 0; w < SPAN_WORDS; w++)
		any |= atomic_load_seq_cst(&remote->freed[w]);
	return any;
}

static void drain_span(struct cache *cache, uint32_t page)
{
	struct span *span = span_at(cache, page);
	struct span_remote *remote = &heap_region()->remotes[page];
	int32_t nr;

	if (span_owner(span) != cache) {
		/* It was adopted while it waited here. */
		if (has_freed(remote))
			notify(span, remote, page);
		return;
	}
	nr = take_freed(span, remote, page);
	if (!nr || span->state == SPAN_CURRENT)
		return;
	if (span->state == SPAN_PARTIAL)
		partial_remove(cache, span);
	settle(cache, span, nr_used(span));
}

void cache_drain(struct cache *cache)
{
	uint32_t page, next;

	if (!atomic_load_relaxed(&cache->inbox))
		return;
	/* Pairs with the release in inbox_push(). */
	for (next = atomic_swap_acquire(&cache->inbox, 0u); next;) {
		struct span_remote *remote = &heap_region()->remotes[next - 1];

		page = next - 1;
		next = remote->next;
		/* Before the bits are taken: see the table above. */
		atomic_swap_seq_cst(&remote->is_queued, 0u);
		drain_span(cache, page);
	}
}

/* From where a class is allocated from now on. Sizes up to 256 bytes have one front, larger ones up to four. */
static void set_fronts(struct cache *cache, unsigned int class, uint64_t *word, uintptr_t base)
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
	cache->group = 0;
	cache->group_shift = GROUP_LEAST_SHIFT;
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

/* The next word of the current span that has a free slot; false when none has. Only classes below 64 bytes have several words. */
static bool next_word(struct cache *cache, struct span *span, unsigned int class)
{
	unsigned int last = size_classes[class].last_slot / 64u, w = 0;

	while (!span->free[w])
		if (w++ == last)
			return false;
	set_fronts(cache, class, &span->free[w], slot_address(cache, page_of(cache, span), class, w * 64));
	return true;
}

static void leave_current(struct cache *cache, unsigned int class)
{
	struct span *span = span_at(cache, cache->bins[class].current);

	span_set_state(span, SPAN_FULL);
	span->left = (int16_t)full_frees(span);
}

/* The span has a free slot. */
static void make_current(struct cache *cache, uint32_t page, unsigned int class)
{
	struct span *span = span_at(cache, page);

	span_set_state(span, SPAN_CURRENT);
	span->left = SPAN_LEFT_MANY;
	cache->bins[class].current = page;
	next_word(cache, span, class);
}

static void no_current(struct cache *cache, unsigned int class)
{
	cache->bins[class].current = PAGE_NONE;
	set_fronts(cache, class, &no_slots, 0);
}

static uint32_t take_page(struct cache *cache)
{
	uint32_t page;

	if (!cache->group) {
		cache->group = heap_take_group(cache->heap, 1u << cache->group_shift, &cache->group_first);
		cache->group_shift += cache->group_shift < GROUP_MOST_SHIFT;
	}
	if (!cache->group)
		return PAGE_NONE;
	page = cache->group_first + (uint32_t)__builtin_ctzll(cache->group);
	cache->group &= cache->group - 1;
	return page;
}

/* All but the owner. Field by field, because a thread that comes late (see cache_free_remote()) may look at the record. */
static void start_record(struct cache *cache, uint32_t page, unsigned int class)
{
	struct span *span = span_at(cache, page);
	unsigned int nr_slots = class_slots(class);

	/* Its last span was like this one, and all slots were free at its end. */
	if (span->class == class)
		return;
	span->class = (uint8_t)class;
	span->inverse = class_inverse(class);
	span->bias = slot_address(cache, page, class, 0) * span->inverse;
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
		span->inverse = first->inverse;
		span->bias = first->bias;
		span_set_state(span, SPAN_INSIDE);
		atomic_store_relaxed(&span->owner, SPAN_WIDE);
	}
}

static uint32_t new_span(struct cache *cache, unsigned int class)
{
	uint32_t nr = size_classes[class].pages;
	uint32_t page = nr == 1 ? take_page(cache) : heap_take_pages(cache->heap, nr);

	if (page == PAGE_NONE)
		return PAGE_NONE;
	start_record(cache, page, class);
	span_set_owner(span_at(cache, page), cache, nr);
	cache->mask = heap_open_mask();
	if (CHECKED_VERIFY)
		checked_new_span(slot_address(cache, page, class, 0), class);
	start_inside(cache, span_at(cache, page), nr);
	return page;
}

/* The first of the list. */
static uint32_t take_partial(struct cache *cache, struct bin *bin)
{
	uint32_t page = bin->partial;

	if (page == PAGE_NONE)
		return PAGE_NONE;
	bin->partial = span_at(cache, page)->next;
	if (bin->partial != PAGE_NONE)
		span_at(cache, bin->partial)->prev = PAGE_NONE;
	return page;
}

/* A span with free slots for a bin that has none: what is there before what is new. */
static uint32_t next_span(struct cache *cache, struct bin *bin, unsigned int class)
{
	uint32_t page = take_partial(cache, bin);

	if (page != PAGE_NONE)
		return page;
	if (atomic_load_relaxed(&cache->inbox))
		cache_drain(cache);
	page = take_partial(cache, bin);
	if (page == PAGE_NONE && atomic_load_relaxed(&cache->heap->nr_parked))
		page = heap_adopt(cache->heap, cache, class);
	return page == PAGE_NONE ? new_span(cache, class) : page;
}

/* A class whose word is used up gets one with a free slot; false when out of memory. */
static bool refill(struct cache *cache, unsigned int class)
{
	struct bin *bin = &cache->bins[class];
	uint32_t page;

	if (bin->current != PAGE_NONE) {
		if (size_classes[class].last_slot >= 64 && next_word(cache, span_at(cache, bin->current), class))
			return true;
		/* What others have freed of it meanwhile is in the inbox. */
		leave_current(cache, class);
	}
	page = next_span(cache, bin, class);
	if (likely(page != PAGE_NONE))
		make_current(cache, page, class);
	else
		no_current(cache, class);
	return likely(page != PAGE_NONE);
}

/* The lock of a heap in memory of the program is held here: see supplied_alloc(). */
static void settle_growth(struct heap *heap)
{
	if (unlikely(heap_is_due(heap)) && !heap->supplied)
		relief_settle(heap);
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
static void *alloc_lending(struct cache *cache, unsigned int class, struct heap *heap)
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
	settle_growth(heap);
	return object;
}

void *cache_alloc_slow(struct cache *cache, unsigned int class, struct heap *heap)
{
	if (cache == &cache_none && !(cache = heap_cache_get(heap)))
		return NULL;
	if (unlikely(loan_wanted(cache)) && !heap->supplied && loan_open(cache))
		return alloc_lending(cache, class, heap);
	if (unlikely(!refill(cache, class)))
		return alloc_refused(heap, class);
	settle_growth(heap);
	return cache_alloc(cache, class, heap);
}

/* ---------------------------------------------------------------- freeing */

void cache_free_slot(struct cache *cache, struct span *span, unsigned int slot, const void *object)
{
	uint64_t bit = (uint64_t)1 << slot % 64;

	if (span->free[slot / 64] & bit)
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
	else if (owner)
		cache_free_remote(span, (uint32_t)(span - heap_region()->spans), slot);
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
		cache_free_remote(span, page, slot);
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
	cache_drain(cache);
	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		struct bin *bin = &cache->bins[class];
		uint32_t page = bin->current;

		if (cache->loans)
			loan_return(cache, class);
		if (page == PAGE_NONE)
			continue;
		leave_current(cache, class);
		no_current(cache, class);
		if (nr_free(span_at(cache, page)))
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
		check(span->prev == prev && span->left == nr_used(span) && span->left > 0 && nr_free(span));
		prev = page;
	}
}

void cache_validate(const struct cache *cache)
{
	check(!no_slots);
	for (unsigned int class = 1; class < NR_CLASSES; class++)
		validate_bin(cache, class);
}
