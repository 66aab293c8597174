// SPDX-License-Identifier: MIT
/* What becomes of caches whose threads have ended: who takes over what is in them, and what others have freed of it. */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>

#include "heap.h"
#include "tests/harness.h"
#include "tests/unit/caches.h"

static void *leave_some(void *argument)
{
	struct gift *gift = argument;

	take(gift->heap, gift->objects, gift->nr, BYTES);
	for (size_t i = 0; i < gift->nr; i += 2)
		heap_free(gift->heap, gift->objects[i]);
	return NULL;
}

TEST(adopted, "heap_threads/spans of ended threads serve when no page is at hand, and count for who has them")
{
	struct heap *heap = fresh_heap();
	static void *left[10 * SLOTS], *objects[200 * SLOTS];
	struct gift gift = { heap, left, ARRAY_LEN(left) };
	struct cache *cache;
	pthread_t thread;

	/* So that this thread does not take over the cache itself. */
	take(heap, objects, 1, BYTES);
	cache = heap_own_cache(heap->id);
	CHECK(!pthread_create(&thread, NULL, leave_some, &gift));
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(heap->nr_parked, 1);
	take(heap, objects + 1, 8 * SLOTS - 1, BYTES);
	CHECK(span_owner(span_of(left[1])) != cache);
	take(heap, objects + 8 * SLOTS, ARRAY_LEN(objects) - 8 * SLOTS, BYTES);
	for (size_t i = 1; i < ARRAY_LEN(left); i += 2)
		CHECK(span_owner(span_of(left[i])) == cache);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	heap_validate(heap);
}

TEST(adopted_beyond, "heap_threads/frees of objects in spans that were adopted are fast ones, wherever those are")
{
	struct heap *heap = fresh_heap();
	static void *left[10 * SLOTS];
	struct gift gift = { heap, left, ARRAY_LEN(left) };
	struct cache *cache;
	pthread_t thread;
	uint64_t slot;

	heap_alloc(heap, BYTES);
	cache = heap_own_cache(heap->id);
	/* What the thread leaves is behind all that this one has met. */
	while (cache->group || heap->pages.used_pages < PAGES_PER_CHUNK)
		heap_alloc(heap, PAGE_BYTES);
	CHECK(heap_alloc(heap, heap_open_bytes()));
	CHECK(!pthread_create(&thread, NULL, leave_some, &gift));
	CHECK(!pthread_join(thread, NULL));
	for (size_t i = 0; i < SLOTS; i++)
		heap_alloc(heap, BYTES);
	CHECK(span_owner(span_of(left[ARRAY_LEN(left) - 1])) == cache);
	CHECK(cache_find(cache, left[ARRAY_LEN(left) - 1], &slot) == span_of(left[ARRAY_LEN(left) - 1]));
	CHECK_EQ(cache->mask, heap_open_mask());
	heap_validate(heap);
}

static void *fill_and_leave(void *argument)
{
	struct gift *gift = argument;

	take(gift->heap, gift->objects, gift->nr, BYTES);
	return NULL;
}

static void *thin_and_leave(void *argument)
{
	struct gift *gift = argument;

	fill_and_leave(gift);
	for (size_t i = 0; i < gift->nr; i += FEW)
		heap_free(gift->heap, gift->objects[i]);
	return NULL;
}

/* A thread ends whose spans are full but for few objects: these it frees itself, or this one does. */
static void check_few_left(bool elsewhere)
{
	struct heap *heap = fresh_heap();
	static void *left[1000 * SLOTS], *objects[ARRAY_LEN(left) / FEW];
	struct gift gift = { heap, left, ARRAY_LEN(left) };
	pthread_t thread;
	uint64_t used;

	/* A cache of its own, with nothing at hand. */
	take(heap, objects, 1, BYTES);
	CHECK(!pthread_create(&thread, NULL, elsewhere ? fill_and_leave : thin_and_leave, &gift));
	CHECK(!pthread_join(thread, NULL));
	while (heap_own_cache(heap->id)->group)
		heap_alloc(heap, PAGE_BYTES);
	for (size_t i = 0; elsewhere && i < ARRAY_LEN(left); i += FEW)
		heap_free(heap, left[i]);
	used = heap->pages.used_pages;
	take(heap, objects, ARRAY_LEN(objects), BYTES);
	CHECK_EQ(heap->pages.used_pages, used);
	CHECK_EQ(cached_pages(heap), used);
	heap_validate(heap);
}

TEST(few_left, "heap_threads/what is free of ended threads serves before more pages, whoever freed it, however little it is of a span")
{
	check_few_left(false);
	check_few_left(true);
}

static void leave_full(struct heap *heap, void **objects, size_t nr)
{
	struct gift gift = { heap, objects, nr };
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, fill_and_leave, &gift));
	CHECK(!pthread_join(thread, NULL));
}

TEST(sought_once, "heap_threads/full spans of an ended thread that wait are looked for once, and all of them before a refusal")
{
	struct heap *heap = fresh_heap();
	static void *left[2][100 * SLOTS];
	struct span *span;

	heap_alloc(heap, BYTES);
	leave_full(heap, left[0], ARRAY_LEN(left[0]));
	span = span_of(left[0][50 * SLOTS]);
	heap_free(heap, left[0][0]);
	CHECK(heap_read_news(heap));
	CHECK(!heap_read_news(heap));
	make_wait(span);
	heap_free(heap, left[0][60 * SLOTS]);
	CHECK(heap_read_news(heap));
	CHECK_EQ(span_of(left[0][60 * SLOTS])->state, SPAN_PARTIAL);
	CHECK_EQ(span->state, SPAN_FULL);
	heap_end_waits(heap);
	CHECK_EQ(span->state, SPAN_PARTIAL);
	heap_cache_get(heap)->hurry = 0;
	leave_full(heap, left[1], ARRAY_LEN(left[1]));
	heap_end_waits(heap);
	CHECK(!heap_read_news(heap));
}

/* One in a thread that another one outlives: two caches. */
static void *leave_two(void *argument)
{
	struct gift *gift = argument;

	fill_and_leave(&gift[0]);
	leave_full(gift[1].heap, gift[1].objects, gift[1].nr);
	return NULL;
}

TEST(by_turns, "heap_threads/of several ended threads each has its turn, whatever others go on to free of one")
{
	struct heap *heap = fresh_heap();
	void *left[2][SLOTS];
	struct gift gifts[2] = { { heap, left[0], SLOTS }, { heap, left[1], SLOTS } };
	struct cache *caches[2];
	unsigned int first;
	pthread_t thread;

	heap_alloc(heap, BYTES);
	CHECK(!pthread_create(&thread, NULL, leave_two, gifts));
	CHECK(!pthread_join(thread, NULL));
	for (unsigned int i = 0; i < 2; i++)
		caches[i] = span_owner(span_of(left[i][0]));
	CHECK(caches[0] != caches[1]);
	while (heap_read_news(heap))
		;
	first = heap->parked == caches[1];
	heap_free(heap, left[!first][0]);
	heap_free(heap, left[first][0]);
	for (unsigned int i = 1; i <= 2; i++) {
		CHECK(heap_read_news(heap));
		heap_free(heap, left[first][i]);
	}
	CHECK(caches[first]->inbox && !caches[!first]->inbox);
	CHECK_EQ(heap->nr_parked, 2);
	heap_validate(heap);
}

static void *take_over(void *argument)
{
	const struct gift *gift = argument;
	const struct cache *cache;

	/* From a span that is at hand: nothing else makes the thread look. */
	CHECK(heap_alloc(gift->heap, BYTES));
	cache = heap_own_cache(gift->heap->id);
	CHECK(cache == span_owner(span_of(gift->objects[gift->nr - 1])));
	CHECK(!cache->inbox);
	return NULL;
}

TEST(inherited, "heap_threads/a thread that takes over a cache takes in at once what others have freed of it")
{
	struct heap *heap = fresh_heap();
	static void *objects[20 * SLOTS + 1];
	struct gift gift = { heap, objects, ARRAY_LEN(objects) };
	pthread_t thread;

	heap_alloc(heap, BYTES);
	leave_full(heap, objects, ARRAY_LEN(objects));
	give(heap, objects, 10 * SLOTS);
	CHECK(heap->parked->inbox);
	CHECK(!pthread_create(&thread, NULL, take_over, &gift));
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	heap_validate(heap);
}

enum { NR_ROUND = 5 };

/* Of the heap's parked caches; how many. */
static size_t parked_caches(const struct heap *heap, const struct cache **caches)
{
	size_t nr = 0;

	for (const struct cache *cache = heap->parked; cache; cache = cache->next_parked) {
		CHECK(nr < NR_ROUND);
		caches[nr++] = cache;
	}
	return nr;
}

static void *left_round[NR_ROUND];
static pthread_barrier_t all_have;

static void *leave_one(void *heap)
{
	static uint32_t nr_left; /* atomic */

	left_round[atomic_add_relaxed(&nr_left, 1u)] = heap_alloc(heap, BYTES);
	pthread_barrier_wait(&all_have);
	return NULL;
}

/* Threads at once, each with a cache of its own, which have ended when this returns. */
static void end_round(struct heap *heap, void *(*run)(void *heap))
{
	pthread_t threads[NR_ROUND];

	CHECK(!pthread_barrier_init(&all_have, NULL, NR_ROUND));
	for (size_t i = 0; i < NR_ROUND; i++)
		CHECK(!pthread_create(&threads[i], NULL, run, heap));
	for (size_t i = 0; i < NR_ROUND; i++)
		CHECK(!pthread_join(threads[i], NULL));
}

TEST(once_round, "heap_threads/what was freed of ended threads is read once round: each is looked at once, and all are where they were")
{
	struct heap *heap = fresh_heap();
	const struct cache *before[NR_ROUND], *after[NR_ROUND];

	end_round(heap, leave_one);
	heap_read_all_news(heap);
	CHECK(!heap_read_news(heap));
	CHECK_EQ(parked_caches(heap, before), NR_ROUND);
	/* Of some of them, neither the first nor the last. */
	for (size_t i = 0; i < NR_ROUND; i++)
		if (span_owner(span_of(left_round[i])) == before[1] || span_owner(span_of(left_round[i])) == before[3])
			heap_free(heap, left_round[i]);
	CHECK(before[1]->inbox && before[3]->inbox);
	heap_read_all_news(heap);
	CHECK(!before[1]->inbox && !before[3]->inbox);
	CHECK_EQ(parked_caches(heap, after), NR_ROUND);
	CHECK(!memcmp(before, after, sizeof(before)));
	CHECK_EQ(heap->nr_parked, NR_ROUND);
	heap_validate(heap);
}

/* A thread leaves a span, this one frees a bit of it, adopts it, and frees the rest: the bit is in the inbox of who has left it. */
static void *adopt_with_news(void *argument)
{
	struct gift *gift = argument;
	struct heap *heap = gift->heap;
	struct gift left = { heap, gift->objects, SLOTS };
	pthread_t thread;
	void *last;

	heap_alloc(heap, PAGE_BYTES);
	CHECK(!pthread_create(&thread, NULL, leave_some, &left));
	CHECK(!pthread_join(thread, NULL));
	while (heap_own_cache(heap->id)->group)
		heap_alloc(heap, PAGE_BYTES);
	heap_free(heap, left.objects[1]);
	last = heap_alloc(heap, BYTES);
	CHECK(span_owner(span_of(last)) == heap_own_cache(heap->id));
	CHECK(span_of(last) == span_of(left.objects[3]));
	heap_free(heap, last);
	for (size_t i = 3; i < SLOTS; i += 2)
		heap_free(heap, left.objects[i]);
	return NULL;
}

TEST(passed_on, "heap_threads/what was freed of a span before it was adopted is found by a trim, and if its next owner has ended as well")
{
	struct heap *heap = fresh_heap();
	void *objects[SLOTS];
	struct gift gift = { heap, objects, SLOTS };
	const struct span *span;
	pthread_t thread;

	adopt_with_news(&gift);
	span = &heap_region()->spans[region_page(heap_region(), (uintptr_t)objects[1])];
	CHECK_EQ(span->state, SPAN_CURRENT);
	heap_flush(heap);
	CHECK_EQ(span->state, SPAN_NONE);
	CHECK(!pthread_create(&thread, NULL, adopt_with_news, &gift));
	CHECK(!pthread_join(thread, NULL));
	span = &heap_region()->spans[region_page(heap_region(), (uintptr_t)objects[1])];
	CHECK_EQ(span->state, SPAN_PARTIAL);
	heap_read_all_news(heap);
	CHECK_EQ(span->state, SPAN_NONE);
	CHECK(!heap_read_news(heap));
	heap_validate(heap);
}

static pthread_barrier_t may_end;

static void *have_and_wait(void *heap)
{
	CHECK(heap_alloc(heap, BYTES));
	pthread_barrier_wait(&all_have);
	pthread_barrier_wait(&may_end);
	return NULL;
}

static void *read_all(void *heap)
{
	heap_read_all_news(heap);
	return NULL;
}

TEST(ends_meanwhile, "heap_threads/what was freed of ended threads is read of all, also when others end meanwhile")
{
	struct heap *heap = fresh_heap();
	void *objects[SLOTS];
	pthread_t ends, reads;

	CHECK(!pthread_barrier_init(&all_have, NULL, 2) && !pthread_barrier_init(&may_end, NULL, 2));
	heap_alloc(heap, BYTES);
	CHECK(!pthread_create(&ends, NULL, have_and_wait, heap));
	pthread_barrier_wait(&all_have);
	leave_full(heap, objects, SLOTS);
	heap_read_all_news(heap);
	heap_free(heap, objects[0]);
	lock_acquire(&heap->news);
	CHECK(!pthread_create(&reads, NULL, read_all, heap));
	while (atomic_load_relaxed(&heap->news.word) != 2)
		sched_yield();
	pthread_barrier_wait(&may_end);
	CHECK(!pthread_join(ends, NULL));
	CHECK_EQ(heap->nr_parked, 2);
	lock_release(&heap->news);
	CHECK(!pthread_join(reads, NULL));
	CHECK(!heap_read_news(heap));
	heap_validate(heap);
}

static void *use_and_wait(void *heap)
{
	heap_free(heap, heap_alloc(heap, BYTES));
	pthread_barrier_wait(&all_have);
	return NULL;
}

static bool has_left(const struct heap *heap)
{
	for (unsigned int class = 1; class < NR_CLASSES; class++)
		if (heap->left[class])
			return true;
	return false;
}

TEST(nothing_left, "heap_threads/nobody looks at caches of ended threads that left nothing, nor again at what was found")
{
	struct heap *heap = fresh_heap();
	unsigned int class = class_of(BYTES);

	heap_alloc(heap, BYTES);
	end_round(heap, use_and_wait);
	CHECK_EQ(heap->nr_parked, NR_ROUND);
	CHECK(!heap->noted && !has_left(heap));
	/* The same caches, by other threads: each leaves an object. */
	end_round(heap, leave_one);
	CHECK_EQ(heap->nr_parked, NR_ROUND);
	CHECK(heap->noted && heap->left[class]);
	/* All of it is adopted, then nobody is on a list. */
	for (size_t i = 0; i < (NR_ROUND + 1) * SLOTS || heap->left[class]; i++)
		heap_alloc(heap, BYTES);
	heap_read_all_news(heap);
	CHECK(!heap->noted && !has_left(heap));
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	heap_validate(heap);
}

/* ---------------------------------------------------------------- frees while threads end */

enum { NR_HANDED = 3 * SLOTS, HANDED_ROUNDS = 2000 };

static void *handed[NR_HANDED];
static sem_t is_handed, is_freed;

static void *hand_and_end(void *heap)
{
	take(heap, handed, NR_HANDED, BYTES);
	sem_post(&is_handed);
	return NULL;
}

static void *free_handed(void *heap)
{
	for (unsigned int i = 0; i < HANDED_ROUNDS; i++) {
		while (sem_wait(&is_handed))
			;
		give(heap, handed, NR_HANDED);
		sem_post(&is_freed);
	}
	return NULL;
}

/* Takes pages, so that it adopts, and reads news, meanwhile. */
static void hand_once(struct heap *heap)
{
	void *objects[2 * SLOTS], *wide[4];
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, hand_and_end, heap));
	take(heap, wide, ARRAY_LEN(wide), CLASS_MAX_BYTES);
	take(heap, objects, ARRAY_LEN(objects), BYTES);
	CHECK(!pthread_join(thread, NULL));
	while (sem_wait(&is_freed))
		;
	give(heap, objects, ARRAY_LEN(objects));
	give(heap, wide, ARRAY_LEN(wide));
}

TEST(while_ending, "heap_threads/nothing is lost of what others free while its thread ends, others take it over, adopt, and read news")
{
	struct heap *heap = fresh_heap();
	pthread_t frees;

	CHECK(!sem_init(&is_handed, 0, 0) && !sem_init(&is_freed, 0, 0));
	CHECK(!pthread_create(&frees, NULL, free_handed, heap));
	for (unsigned int i = 0; i < HANDED_ROUNDS; i++) {
		hand_once(heap);
		for (const struct cache *cache = heap->parked; cache; cache = cache->next_parked)
			CHECK(!cache->inbox || cache->is_noted);
		if (i % 100)
			continue;
		heap_read_all_news(heap);
		heap_validate(heap);
	}
	CHECK(!pthread_join(frees, NULL));
	heap_flush(heap);
	CHECK_EQ(heap->pages.used_pages, 0);
	heap_validate(heap);
}

enum { NR_STEPS = 500 * SLOTS };

static void *stepped[2][NR_STEPS];
static size_t begun, done; /* atomic: steps */

static void *free_in_steps(void *heap)
{
	for (size_t i = 0; i < NR_STEPS; i++) {
		while (atomic_load_acquire(&begun) == i) /* pairs with step() */
			sched_yield();
		heap_free(heap, stepped[1][i]);
		atomic_store_release(&done, i + 1); /* pairs with step() */
	}
	return NULL;
}

/* Two frees of an ended thread's: one makes news, the other comes while these are read. */
static void step(struct heap *heap, size_t i)
{
	const struct cache *parked = heap->parked;

	heap_free(heap, stepped[0][i]);
	atomic_store_release(&begun, i + 1); /* pairs with free_in_steps() */
	heap_read_news(heap);
	while (atomic_load_acquire(&done) == i) /* pairs with free_in_steps() */
		sched_yield();
	CHECK(!parked->inbox || parked->is_noted);
}

TEST(while_read, "heap_threads/what others free of an ended thread while news of it is read is news again")
{
	struct heap *heap = fresh_heap();
	pthread_t frees;

	heap_alloc(heap, PAGE_BYTES);
	leave_full(heap, &stepped[0][0], 2 * NR_STEPS);
	CHECK(!pthread_create(&frees, NULL, free_in_steps, heap));
	for (size_t i = 0; i < NR_STEPS; i++)
		step(heap, i);
	CHECK(!pthread_join(frees, NULL));
	heap_read_all_news(heap);
	CHECK(!heap->parked->inbox);
	CHECK_EQ(cached_pages(heap), heap->pages.used_pages);
	heap_validate(heap);
}

/* ---------------------------------------------------------------- many threads at once */

enum { THREADS_MOST = 400 };

struct crowd {
	struct heap *heap;
	size_t bytes;		/* of an object */
	sem_t has_allocated, goes_on;
	uint32_t nr_without;	/* atomic: threads that got no cache */
};

static void *allocate_and_wait(void *argument)
{
	struct crowd *crowd = argument;
	char *objects[16];

	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		CHECK((objects[i] = heap_alloc(crowd->heap, crowd->bytes)));
		memset(objects[i], (int)i, crowd->bytes);
	}
	if (!heap_has_cache(crowd->heap->id))
		atomic_add_relaxed(&crowd->nr_without, 1u);
	sem_post(&crowd->has_allocated);
	while (sem_wait(&crowd->goes_on))
		;
	for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
		CHECK_EQ(objects[i][crowd->bytes - 1], i);
		heap_free(crowd->heap, objects[i]);
	}
	return NULL;
}

/* @nr threads that all have objects at once; returns how many chunks the heap has then. */
static uint64_t crowd_run(struct crowd *crowd, size_t nr)
{
	pthread_t threads[THREADS_MOST];
	uint64_t held;

	CHECK(crowd->heap && !sem_init(&crowd->goes_on, 0, 0) && !sem_init(&crowd->has_allocated, 0, 0));
	for (size_t i = 0; i < nr; i++)
		CHECK(!pthread_create(&threads[i], NULL, allocate_and_wait, crowd));
	for (size_t i = 0; i < nr; i++)
		while (sem_wait(&crowd->has_allocated))
			;
	held = palloc_held(&crowd->heap->pages);
	for (size_t i = 0; i < nr; i++)
		sem_post(&crowd->goes_on);
	for (size_t i = 0; i < nr; i++)
		CHECK(!pthread_join(threads[i], NULL));
	heap_validate(crowd->heap);
	return held;
}

/* What they have is three quarters of it. */
TEST(small_together, "heap_threads/96 threads with 16 KiB each do with a heap's first chunk")
{
	struct crowd crowd = { .heap = fresh_heap(), .bytes = KiB };

	CHECK_EQ(crowd_run(&crowd, 96), 1);
}

TEST(without_cache, "heap_threads/threads for whose caches there are no addresses allocate all the same", "ARENA_WINDOW_CHUNKS=32")
{
	struct crowd crowd = { .heap = heap_create(ARENA_SOURCE_PAGES), .bytes = 100 };

	crowd_run(&crowd, THREADS_MOST);
	harness_note("%u of %u threads without a cache", crowd.nr_without, THREADS_MOST);
	CHECK(crowd.nr_without);
	heap_flush(crowd.heap);
	heap_scavenge(crowd.heap, 0, UINT64_MAX);
	CHECK_EQ(crowd.heap->pages.used_pages, 0);
}
