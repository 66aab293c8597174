// SPDX-License-Identifier: MIT
/*
 * Threads that sleep. What others free of a thread's objects waits in its inbox until it looks there (cache.c), and one that sleeps does not: so all
 * that it has ever allocated could be free, and nobody have it. Here somebody else gives it back, span by span, without the thread: it takes no part
 * and may wake up at any moment. Its fast paths pay nothing for that, its slow ones a lock that is free when they look into the inbox.
 *
 * Given back is a span that is full for all its thread knows, and of which others have freed every object.
 * - Nobody else takes the bits of what others have freed, nor an entry of the inbox, while `reading` is held. So such a span stays what it is.
 * - No fast path meets its record: who frees needs an object in it, and who allocates a span that is current. That others have freed all says that
 *   its thread has freed nothing of it since it became full, so that no count of its frees is half made.
 * - It is full from the last store of leave_current() on. From then on a slow path meets it only by a free, by its inbox, or by going through the
 *   records (wait.c), which the lock of news excludes.
 * The thread counts its pages until it looks at nr_given.
 *
 * Limits: a span of which the thread has freed a slot itself is left alone, because it may be about to count that, or have it on a list; and so are
 * spans that are current, and pages at hand: at most 128, and a span of each class. doc/heap.md says what more would cost.
 */
#include "heap.h"
#include "spans.h"

/* Pages of one 64 go back together. */
struct gift {
	struct heap *heap;
	uint64_t pages;		/* bits */
	uint32_t first;		/* of these 64 */
	uint32_t nr;		/* of all so far */
};

static void send(struct gift *gift)
{
	heap_give_group(gift->heap, gift->first, gift->pages);
	gift->pages = 0;
}

static void add(struct gift *gift, uint32_t page, uint32_t nr)
{
	uint32_t first = page & ~(uint32_t)(BITS_PER_WORD - 1);

	gift->nr += nr;
	if (page - first + nr > BITS_PER_WORD) {
		heap_give_pages(gift->heap, page, nr);
		return;
	}
	if (first != gift->first)
		send(gift);
	gift->first = first;
	gift->pages |= bits_mask(page - first, nr);
}

static uint64_t all_slots(unsigned int class, unsigned int word)
{
	return bits_mask(0, (unsigned int)size_min(class_slots(class) - word * 64, 64));
}

/* Whether others have freed all of a span of the cache that is full. */
static bool is_free(const struct span *span, const struct span_remote *remote)
{
	/* A bit there keeps the span as it is, so that its class may be read: who set it knew an object. */
	if (!atomic_load_acquire(&remote->freed[0]))
		return false;
	for (unsigned int w = 0; w < nr_words(span); w++)
		/* Pairs with the OR in free_remote() of cache.c: whoever gets the pages finds them left alone. */
		if (atomic_load_acquire(&remote->freed[w]) != all_slots(span->class, w))
			return false;
	/* Pairs with leave_current() of cache.c. */
	return atomic_load_acquire(&span->state) == SPAN_FULL;
}

/* As a span that its thread has released. */
static void give_span(struct gift *gift, struct span *span, struct span_remote *remote, uint32_t page)
{
	uint32_t nr = size_classes[span->class].pages;

	for (unsigned int w = 0; w < nr_words(span); w++) {
		atomic_store_relaxed(&span->free[w], all_slots(span->class, w));
		atomic_store_relaxed(&remote->freed[w], 0u);
	}
	for (uint32_t i = 0; i < nr; i++)
		forget_record(&span[i]);
	atomic_swap_seq_cst(&remote->is_queued, 0u);
	add(gift, page, nr);
}

/* One entry of the inbox. */
static void look_at(struct cache *cache, struct gift *gift, uint32_t page)
{
	struct span *span = span_at(cache, page);
	struct span_remote *remote = &cache->remotes[page];
	bool is_given = is_free(span, remote);

	/* After that: what is free is full, and nobody adopts it any more. */
	if (span_owner(span) != cache) {
		/* As drain() does it. */
		atomic_swap_seq_cst(&remote->is_queued, 0u);
		inbox_pass_on(span, remote);
	} else if (is_given) {
		give_span(gift, span, remote, page);
	} else {
		/* Still queued. */
		inbox_push(cache, remote, page);
	}
}

bool cache_is_asleep(struct cache *cache)
{
	uint32_t seen = cache->nr_reads_seen;

	cache->nr_reads_seen = atomic_load_relaxed(&cache->nr_reads);
	return atomic_load_relaxed(&cache->inbox) && cache->nr_reads_seen == seen;
}

uint64_t cache_give_asleep(struct cache *cache)
{
	struct gift gift = { .heap = cache->heap };
	uint32_t next;

	/* Its thread is looking itself. */
	if (!atomic_load_relaxed(&cache->inbox) || !lock_try(&cache->reading))
		return 0;
	/* Pairs with the release in inbox_push(). */
	for (next = atomic_swap_acquire(&cache->inbox, 0u); next;) {
		uint32_t page = next - 1;

		next = cache->remotes[page].next;
		look_at(cache, &gift, page);
	}
	send(&gift);
	atomic_add_relaxed(&cache->nr_given, gift.nr);
	lock_release(&cache->reading);
	return gift.nr;
}
