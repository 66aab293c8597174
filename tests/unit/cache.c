// SPDX-License-Identifier: MIT
/* Caches of threads: what is at hand, how long full spans wait, and what of others' frees is taken when. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "cache.h"
#include "checked.h"
#include "heap.h"
#include "tests/harness.h"
#include "tests/unit/caches.h"

/* ---------------------------------------------------------------- full spans */

TEST(waits, "cache/a full span waits for as many free slots, whoever frees them")
{
	struct heap *heap = fresh_heap();
	void *objects[SLOTS + 1];
	struct cache *cache;
	struct span *span;
	size_t waits;

	take(heap, objects, SLOTS + 1, BYTES);
	cache = heap_own_cache(heap->id);
	span = span_of(objects[0]);
	waits = (SLOTS - 1) / 4 + 1;
	CHECK(span_of(objects[SLOTS - 1]) == span && span_of(objects[SLOTS]) != span);
	CHECK_EQ(span->state, SPAN_FULL);
	give(heap, objects, 3);
	give_elsewhere(heap, objects + 3, waits - 4);
	cache_drain(cache);
	CHECK_EQ(span->state, SPAN_FULL);
	CHECK_EQ(span->left, 1);
	heap_validate(heap);
	give(heap, objects + waits - 1, 1);
	CHECK_EQ(span->state, SPAN_PARTIAL);
	CHECK_EQ(span->left, SLOTS - waits);
	give_elsewhere(heap, objects + waits, 5);
	cache_drain(cache);
	CHECK_EQ(span->left, SLOTS - waits - 5);
	heap_validate(heap);
	give(heap, objects + waits + 5, SLOTS - waits - 6);
	give_elsewhere(heap, objects + SLOTS - 1, 1);
	cache_drain(cache);
	CHECK_EQ(span->state, SPAN_NONE);
	heap_validate(heap);
}

TEST(waits_others, "cache/what others free beyond the wait is counted, and all of a span gives it back")
{
	struct heap *heap = fresh_heap();
	void *objects[2 * SLOTS + 1];
	struct span *some, *all;

	take(heap, objects, 2 * SLOTS + 1, BYTES);
	some = span_of(objects[0]);
	all = span_of(objects[SLOTS]);
	give_elsewhere(heap, objects, SLOTS / 2);
	give_elsewhere(heap, objects + SLOTS, SLOTS);
	cache_drain(heap_own_cache(heap->id));
	CHECK_EQ(some->state, SPAN_PARTIAL);
	CHECK_EQ(some->left, SLOTS / 2);
	CHECK_EQ(all->state, SPAN_NONE);
	heap_validate(heap);
}

TEST(wait_shift, "cache/spans of a cache that holds much wait for less")
{
	struct heap *heap = fresh_heap();
	size_t nr = (WAIT_FEW_PAGES + 100) * SLOTS;
	void **objects = calloc(nr, sizeof(*objects));
	struct cache *cache;

	take(heap, objects, SLOTS + 1, BYTES);
	cache = heap_own_cache(heap->id);
	CHECK_EQ(cache->wait_shift, WAIT_SHIFT_FEW);
	CHECK_EQ(span_of(objects[0])->left, (SLOTS - 1) / 4 + 1);
	take(heap, objects + SLOTS + 1, nr - SLOTS - 1, BYTES);
	CHECK_EQ(cache->wait_shift, WAIT_SHIFT_MANY);
	CHECK_EQ(span_of(objects[nr - 2 * SLOTS])->left, (SLOTS - 1) / 8 + 1);
	/* One that began to wait before counts what it waits for. */
	give(heap, objects, nr);
	heap_validate(heap);
	heap_flush(heap);
	CHECK_EQ(cache->nr_pages, 0);
	take(heap, objects, 1, BYTES);
	CHECK_EQ(cache->wait_shift, WAIT_SHIFT_FEW);
	heap_validate(heap);
	free(objects);
}

TEST(wait_few, "cache/spans of few slots wait for 16, or half of them, unless the cache holds much")
{
	static const struct {
		size_t bytes, slots, waits, waits_where_many;
	} sizes[] = { { 64, 64, 16, 8 }, { 96, 42, 16, 6 }, { 128, 32, 16, 4 }, { 144, 28, 14, 4 }, { 256, 16, 8, 2 }, { 1024, 4, 2, 1 }, { 4096, 1, 1, 1 } };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct heap *heap = fresh_heap();
		void *objects[65], *last[65], *many;
		size_t pages = 0;

		take(heap, objects, sizes[i].slots + 1, sizes[i].bytes);
		CHECK_EQ(span_of(objects[0])->state, SPAN_FULL);
		CHECK_EQ(span_of(objects[0])->left, sizes[i].waits);
		/* Spans of another size, until it holds much. */
		for (many = NULL; heap_own_cache(heap->id)->nr_pages <= WAIT_FEW_PAGES; pages++)
			take(heap, &many, 1, 3584);
		CHECK(pages <= WAIT_FEW_PAGES);
		take(heap, last, sizes[i].slots + 1, sizes[i].bytes);
		CHECK_EQ(span_of(last[0])->left, sizes[i].waits_where_many);
		heap_validate(heap);
		heap_destroy(heap);
	}
}

/* ---------------------------------------------------------------- where memory is short */

enum { SHORT_BYTES = 3 * CHUNK_BYTES };

/* Memory for two chunks: a limit of the heap, or what the program supplies. */
static struct heap *short_heap(bool is_supplied)
{
	struct arena_heap_options options = { .memory_bytes = SHORT_BYTES };
	struct heap *heap;

	if (is_supplied) {
		options.memory = mmap(NULL, SHORT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(options.memory != MAP_FAILED);
		heap = (struct heap *)(void *)arena_heap_create(&options);
		CHECK(heap);
		return heap;
	}
	heap = fresh_heap();
	heap_set_limit(heap, limit_from_bytes(2 * CHUNK_BYTES));
	return heap;
}

/* How many there are until it is refused. */
static size_t fill(struct heap *heap, void **objects, size_t most, size_t bytes)
{
	size_t nr = 0;

	while (nr < most && (objects[nr] = heap_alloc(heap, bytes)))
		nr++;
	CHECK(nr < most);
	return nr;
}

/* A full heap: of @objects one in FEW is freed, by another thread or this one, and as many are to be had again. */
static void check_again(struct heap *heap, void **objects, size_t nr, size_t bytes, bool elsewhere)
{
	static void *few[2 * CHUNK_BYTES / 16 / FEW + 1];
	size_t nr_few = 0, nr_again = 0;

	for (size_t i = 0; i < nr; i += FEW)
		few[nr_few++] = objects[i];
	if (elsewhere)
		give_elsewhere(heap, few, nr_few);
	else
		give(heap, few, nr_few);
	while (heap_alloc(heap, bytes))
		nr_again++;
	CHECK_EQ(nr_again, nr_few);
	heap_validate(heap);
}

TEST(again, "cache/before a refusal whatever is free is found, whoever freed it, however little it is of a span")
{
	static const size_t sizes[] = { 16, 64, 700, 3000 };
	static void *objects[2 * CHUNK_BYTES / 16 + 1];

	for (unsigned int i = 0; i < 4 * ARRAY_LEN(sizes); i++) {
		size_t bytes = sizes[i / 4];
		struct heap *heap = short_heap(i & 1);
		size_t nr = fill(heap, objects, ARRAY_LEN(objects), bytes);

		/* One that was refused something, and one that was not. */
		check_again(heap, objects, nr, bytes, i & 2);
		heap_destroy(heap);
		heap = short_heap(i & 1);
		take(heap, objects, nr, bytes);
		check_again(heap, objects, nr, bytes, i & 2);
		heap_destroy(heap);
	}
}

TEST(hurry, "cache/full spans wait for one free slot where memory was short, and for more again after some pages or spans")
{
	static void *objects[2 * CHUNK_BYTES / BYTES + 1];
	struct heap *heap = short_heap(false);
	size_t nr = fill(heap, objects, ARRAY_LEN(objects), BYTES), taken = 0;
	struct cache *cache = heap_own_cache(heap->id);
	uint32_t hurry = cache->hurry;

	CHECK(hurry);
	CHECK_EQ(cache->wait_shift, WAIT_SHIFT_NONE);
	for (size_t i = 0; i < hurry; i++) {
		CHECK_EQ(cache->hurry, hurry - i);
		heap_free(heap, objects[i * SLOTS]);
		CHECK_EQ(span_of(objects[i * SLOTS + 1])->state, SPAN_PARTIAL);
	}
	CHECK_EQ(cache->wait_shift, WAIT_SHIFT_FEW);
	heap_validate(heap);
	while (heap_alloc(heap, BYTES))
		taken++;
	CHECK_EQ(taken, hurry);
	CHECK_EQ(cache->hurry, hurry);
	/* Pages count as well. */
	heap_set_limit(heap, limit_from_bytes(100 * CHUNK_BYTES));
	take(heap, objects, hurry * SLOTS + SLOTS, BYTES);
	CHECK_EQ(cache->hurry, 0);
	CHECK_EQ(cache->wait_shift, WAIT_SHIFT_MANY);
	CHECK(nr > hurry * SLOTS + SLOTS);
	heap_validate(heap);
}

TEST(hurry_others, "cache/spans that others bring back count as well")
{
	static void *objects[2 * CHUNK_BYTES / BYTES + 1];
	struct heap *heap = short_heap(false);
	struct cache *cache;
	uint32_t hurry;

	fill(heap, objects, ARRAY_LEN(objects), BYTES);
	cache = heap_own_cache(heap->id);
	hurry = cache->hurry;
	for (size_t i = 1; i <= hurry; i++) {
		give_elsewhere(heap, &objects[i * SLOTS], 3);
		cache_drain(cache);
		CHECK_EQ(cache->hurry, hurry - i);
		/* Not a second time. */
		give_elsewhere(heap, &objects[i * SLOTS + 3], 1);
		cache_drain(cache);
		CHECK_EQ(cache->hurry, hurry - i);
	}
	CHECK_EQ(cache->wait_shift, WAIT_SHIFT_FEW);
	heap_validate(heap);
}

enum { SEARCHED = 64 };

/* Whether another thread had the heap's lock when of two spans that waited one was found and the other was not yet. */
static struct search {
	struct heap *heap;
	struct span *first, *last;
	bool is_done;		/* atomic */
	bool was_between;
} search;

static void *look_between(void *unused)
{
	while (!atomic_load_relaxed(&search.is_done)) {
		lock_acquire(&search.heap->lock);
		search.was_between |= span_state(search.first) == SPAN_PARTIAL && span_state(search.last) == SPAN_FULL;
		lock_release(&search.heap->lock);
	}
	return unused;
}

/* A heap with a span that waits in each of many chunks. */
static void make_search(void)
{
	static void *objects[SEARCHED * SLOTS + 1];

	search = (struct search){ .heap = fresh_heap() };
	for (unsigned int i = 0; i < SEARCHED; i++)
		CHECK(heap_alloc(search.heap, CHUNK_BYTES - PAGE_BYTES));
	take(search.heap, objects, ARRAY_LEN(objects), BYTES);
	for (unsigned int i = 0; i < SEARCHED; i++) {
		struct span *span = span_of(objects[i * SLOTS]);

		make_wait(span);
		search.first = !search.first || span < search.first ? span : search.first;
		search.last = span > search.last ? span : search.last;
	}
	CHECK(search.last - search.first > (ptrdiff_t)((SEARCHED - 2) * PAGES_PER_CHUNK));
}

/* Of many searches one is met: how soon depends on the machine. */
TEST(parts, "cache/others have the heap's lock in turn while its records are gone through before a refusal")
{
	bool was_between = false;
	pthread_t thread;

	while (!was_between && harness_seconds() < 60) {
		make_search();
		CHECK(!pthread_create(&thread, NULL, look_between, NULL));
		heap_end_waits(search.heap);
		atomic_store_relaxed(&search.is_done, true);
		CHECK(!pthread_join(thread, NULL));
		CHECK_EQ(search.last->state, SPAN_PARTIAL);
		was_between = search.was_between;
		heap_destroy(search.heap);
	}
	CHECK(was_between);
}

/* ---------------------------------------------------------------- what others free of a busy thread's */

static struct cache *busy_cache(struct heap *heap, void **others, size_t nr)
{
	struct cache *cache;

	take(heap, others, nr, BYTES);
	cache = heap_own_cache(heap->id);
	return cache;
}

TEST(busy_pages, "cache/a thread whose own frees bring back as many pages as it takes looks into its inbox")
{
	enum { NR = 1000 * SLOTS, WORK = 500 };
	static void *others[NR], *objects[WORK];
	struct heap *heap = fresh_heap();
	struct cache *cache = busy_cache(heap, others, NR);
	unsigned int round = 0;

	for (; round < 20; round++) {
		for (size_t i = 0; i < WORK; i++)
			objects[i] = heap_alloc(heap, 16 + i * 37 % 400);
		give(heap, objects, WORK);
	}
	give_elsewhere(heap, others, NR);
	CHECK(cache->inbox);
	for (round = 0; cache->inbox && round < 100; round++) {
		for (size_t i = 0; i < WORK; i++)
			objects[i] = heap_alloc(heap, 16 + i * 37 % 400);
		give(heap, objects, WORK);
	}
	CHECK(round < 100);
	CHECK(heap->pages.used_pages <= 3 * BITS_PER_WORD);
	heap_validate(heap);
}

TEST(busy_spans, "cache/so does one whose own spans come back again and again")
{
	enum { NR = 500 * SLOTS, OWN = 64 * SLOTS };
	static void *others[NR], *objects[OWN];
	struct heap *heap = fresh_heap();
	struct cache *cache = busy_cache(heap, others, NR);
	struct random random = { harness_seed() };
	size_t nr = 0;

	take(heap, objects, OWN, BYTES);
	give_elsewhere(heap, others, NR);
	CHECK(cache->inbox);
	for (; cache->inbox && nr < 2 * PATIENCE_SPANS * SLOTS; nr++) {
		void **at = &objects[random_below(&random, OWN)];

		heap_free(heap, *at);
		*at = heap_alloc(heap, BYTES);
	}
	CHECK(!cache->inbox);
	heap_validate(heap);
}

/* ---------------------------------------------------------------- pages at hand */

TEST(counted, "cache/a cache knows how many pages it has, also of what ended threads left")
{
	struct heap *heap = fresh_heap();
	static void *objects[6000];
	struct random random = { harness_seed() };

	for (size_t i = 0; i < ARRAY_LEN(objects); i++)
		objects[i] = heap_alloc(heap, 1 + random_next(&random) % (random_next(&random) % 8 ? 300 : 32 * KiB));
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	give(heap, objects, ARRAY_LEN(objects) / 2);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	give_elsewhere(heap, objects + ARRAY_LEN(objects) / 2, ARRAY_LEN(objects) / 4);
	take(heap, objects, ARRAY_LEN(objects) / 2, 5000);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	give(heap, objects, ARRAY_LEN(objects) / 2);
	give(heap, objects + ARRAY_LEN(objects) / 4 * 3, ARRAY_LEN(objects) / 4);
	heap_flush(heap);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	CHECK_EQ(heap->pages.used_pages, 0);
	heap_validate(heap);
}

TEST(at_hand, "cache/pages at hand go before what others have freed, and that before more pages")
{
	struct heap *heap = fresh_heap();
	static void *objects[300 * SLOTS];
	size_t nr = ARRAY_LEN(objects), taken = 0;
	struct cache *cache;
	uint64_t used;

	take(heap, objects, nr, BYTES);
	cache = heap_own_cache(heap->id);
	while (cache->group)
		heap_alloc(heap, PAGE_BYTES);
	give(heap, objects, 100 * SLOTS);
	CHECK(cache->group || cache->apart);
	give_elsewhere(heap, objects + 100 * SLOTS, nr - 100 * SLOTS);
	CHECK(cache->inbox);
	used = heap->pages.used_pages;
	for (; cache->inbox; taken++)
		heap_alloc(heap, PAGE_BYTES);
	CHECK(taken > 1 && taken <= 2 * BITS_PER_WORD + 1);
	CHECK(heap->pages.used_pages <= used);
	heap_validate(heap);
}

TEST(two_groups, "cache/pages that come back from all over leave the group that is allocated from alone")
{
	struct heap *heap = fresh_heap();
	static void *objects[600];
	struct cache *cache;
	uint32_t first;

	take(heap, objects, ARRAY_LEN(objects), PAGE_BYTES);
	cache = heap_own_cache(heap->id);
	CHECK(cache->group);
	first = cache->group_first;
	for (size_t i = 0; i < ARRAY_LEN(objects); i += 50)
		heap_free(heap, objects[i]);
	CHECK(cache->group && cache->group_first == first);
	CHECK_EQ(__builtin_popcountll(cache->apart), 1);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	heap_validate(heap);
}

/* Numbers in which order all of @nr are freed: from the front, from the back, or anyhow. */
static void order(size_t *numbers, size_t nr, int kind)
{
	struct random random = { .state = harness_seed() };

	for (size_t i = 0; i < nr; i++)
		numbers[i] = kind == 1 ? nr - 1 - i : i;
	for (size_t i = nr; kind == 2 && i > 1; i--) {
		size_t other = random_below(&random, i), number = numbers[i - 1];

		numbers[i - 1] = numbers[other];
		numbers[other] = number;
	}
}

TEST(one_chunk, "cache/when all is freed what is at hand keeps one chunk from being idle, in whatever order it came back")
{
	enum { LEAST = 3 * PAGES_PER_CHUNK, MOST = 5 * PAGES_PER_CHUNK };
	static void *objects[MOST];
	static size_t numbers[MOST];

	for (int kind = 0; kind < 3; kind++) {
		struct heap *heap = fresh_heap();
		struct cache *cache;
		size_t nr = 0;

		/* Until a chunk has just been begun: what comes back before it is of another one. */
		do {
			CHECK(nr < MOST);
			take(heap, &objects[nr++], 1, PAGE_BYTES);
			cache = heap_own_cache(heap->id);
		} while (nr < LEAST || !cache->group || cache->group_first % PAGES_PER_CHUNK);
		order(numbers, nr, kind);
		for (size_t i = 0; i < nr; i++)
			heap_free(heap, objects[numbers[i]]);
		CHECK_EQ(heap->pages.mapped, 1);
		CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
		heap_validate(heap);
	}
}

TEST(wide, "cache/spans of several pages are neighbors at hand, and come back there")
{
	enum { WIDE_BYTES = 704, WIDE_SLOTS = 2 * PAGE_BYTES / WIDE_BYTES };
	struct heap *heap = fresh_heap();
	void *objects[WIDE_SLOTS + 1], *small;
	struct cache *cache;
	uint64_t group, used;

	take(heap, &small, 1, BYTES);
	cache = heap_own_cache(heap->id);
	used = heap->pages.used_pages;
	group = cache->group;
	take(heap, objects, WIDE_SLOTS + 1, WIDE_BYTES);
	CHECK(span_of(objects[WIDE_SLOTS]) == span_of(objects[0]) + 2);
	CHECK_EQ(__builtin_popcountll(cache->group), __builtin_popcountll(group) - 4);
	CHECK_EQ(heap->pages.used_pages, used);
	give(heap, objects, WIDE_SLOTS);
	CHECK_EQ(__builtin_popcountll(cache->group), __builtin_popcountll(group) - 2);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	/* More than there are neighbors at hand. */
	take(heap, objects, WIDE_SLOTS, 30720);
	CHECK(heap->pages.used_pages > used);
	give(heap, objects, WIDE_SLOTS);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	heap_validate(heap);
}

/* ---------------------------------------------------------------- lists */

TEST(removed, "cache/spans that become empty leave their list from the front, the middle and the end")
{
	static const unsigned char orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	struct heap *heap = fresh_heap();
	void *objects[3 * SLOTS + 1];

	for (size_t i = 0; i < ARRAY_LEN(orders); i++) {
		take(heap, objects, ARRAY_LEN(objects), BYTES);
		for (size_t j = 0; j < 3; j++)
			give(heap, objects + j * SLOTS, SLOTS / 2);
		heap_validate(heap);
		for (size_t j = 0; j < 3; j++) {
			give(heap, objects + orders[i][j] * SLOTS + SLOTS / 2, SLOTS / 2);
			heap_validate(heap);
		}
		give(heap, objects + 3 * SLOTS, 1);
		heap_flush(heap);
		CHECK_EQ(heap->pages.used_pages, 0);
	}
}

/* ---------------------------------------------------------------- a thread's first */

/* What the C library allocates to note a thread's cache, it allocates from that cache: who asked for the cache has still none at hand. */
TEST(first, "cache/a thread's first object is from the same span as what noting its cache has allocated")
{
	struct heap *heap = fresh_heap();
	const void *noted = heap_alloc(heap, 500), *object = cache_alloc_slow(&cache_none, class_of(500), heap);

	CHECK(object && span_of(object) == span_of(noted));
	CHECK_EQ(span_of(object)->state, SPAN_CURRENT);
	heap_validate(heap);
}

/* ---------------------------------------------------------------- slots */

TEST(slot_bytes, "cache/the size of an object in use of this thread's is known without a look elsewhere")
{
	struct heap *heap = fresh_heap();
	void *objects[2] = { heap_alloc(heap, 100), heap_alloc(heap, 100) };
	struct cache *cache = heap_own_cache(heap->id);

	CHECK_EQ(cache_slot_bytes(cache, objects[0]), 112);
	CHECK_EQ(cache_slot_bytes(cache, (char *)objects[0] + 16), 0);
	CHECK_EQ(cache_slot_bytes(cache, &heap), 0);
	CHECK_EQ(cache_slot_bytes(cache, NULL), 0);
	CHECK_EQ(cache_slot_bytes(&cache_none, objects[0]), 0);
	heap_free(heap, objects[0]);
	CHECK_EQ(cache_slot_bytes(cache, objects[0]), 0);
	/* Not of a span of several pages, nor of one page's own. */
	CHECK_EQ(cache_slot_bytes(cache, heap_alloc(heap, 700)), 0);
	CHECK_EQ(cache_slot_bytes(cache, heap_alloc(heap, 100 * KiB)), 0);
}
