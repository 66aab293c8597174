// SPDX-License-Identifier: MIT
/* Heaps: sizes, alignment, realloc, misuse, remote frees, ends of threads, and memory that comes back. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "arena/heap.h"
#include "checked.h"
#include "heap.h"
#include "os.h"
#include "pace.h"
#include "tests/harness.h"

/* Under the lock, because the scavenger may be at work. */
static struct arena_heap_stats counts(struct heap *heap)
{
	struct arena_heap_stats stats;

	arena_heap_stats((struct arena_heap *)(void *)heap, &stats);
	return stats;
}

static struct heap *fresh_heap(void)
{
	struct heap *heap = heap_create(ARENA_SOURCE_THP);

	CHECK(heap);
	return heap;
}

TEST(sizes, "heap/every size to 40,000 is usable, aligned and apart from its neighbor")
{
	struct heap *heap = fresh_heap();
	char *before = NULL;
	size_t before_bytes = 0;

	for (size_t bytes = 0; bytes <= 40000; bytes += bytes < 2100 ? 1 : 97) {
		char *object = heap_alloc(heap, bytes);

		CHECK(object);
		CHECK_EQ((uintptr_t)object % 16, 0);
		CHECK(heap_usable_bytes(object) >= bytes);
		CHECK(heap_of(object) == heap);
		memset(object, 0xa5, bytes);
		for (size_t i = 0; i < before_bytes; i++)
			CHECK_EQ(before[i], (char)0x5a);
		memset(object, 0x5a, bytes);
		if (before)
			heap_free(heap, before);
		before = object;
		before_bytes = bytes;
	}
	heap_free(heap, before);
	heap_free(heap, NULL);
	heap_validate(heap);
}

TEST(large, "heap/objects of 33 KiB to 5 MiB, and their neighbors")
{
	struct heap *heap = fresh_heap();
	char *objects[40];

	for (size_t i = 0; i < 40; i++) {
		size_t bytes = (33 + i * 131) * KiB;

		objects[i] = heap_alloc(heap, bytes);
		CHECK(objects[i]);
		memset(objects[i], (int)i, bytes);
	}
	for (size_t i = 0; i < 40; i++) {
		CHECK_EQ(objects[i][0], i);
		CHECK_EQ(objects[i][(33 + i * 131) * KiB - 1], i);
		heap_free(heap, objects[i]);
	}
	heap_validate(heap);
	CHECK_EQ(counts(heap).mapped_chunks, 0);
	heap_scavenge(heap, 0, UINT64_MAX);
	CHECK_EQ(counts(heap).idle_chunks, 0);
	heap_validate(heap);
}

TEST(aligned, "heap/alignments of 16 bytes to 1 GiB, and no more")
{
	struct heap *heap = fresh_heap();

	for (size_t align = 16; align <= GiB; align *= 2)
		for (size_t bytes = 1; bytes <= 300000; bytes = bytes * 3 + 5) {
			void *object = heap_alloc_aligned(heap, bytes, align);

			CHECK(object);
			CHECK_EQ((uintptr_t)object % align, 0);
			memset(object, 1, bytes);
			CHECK(heap_usable_bytes(object) >= bytes);
			heap_free(heap, object);
		}
	CHECK(!heap_alloc_aligned(heap, 1, 2 * GiB));
	heap_validate(heap);
}

TEST(calloc_zero, "heap/calloc is zero also where memory was used before")
{
	struct heap *heap = fresh_heap();

	for (int round = 0; round < 3; round++)
		for (size_t bytes = 1; bytes < 14 * MiB; bytes = bytes * 2 + 3) {
			unsigned char *object = heap_calloc(heap, bytes);

			CHECK(object);
			for (size_t i = 0; i < bytes; i++)
				CHECK_EQ(object[i], 0);
			memset(object, 0xff, bytes);
			heap_free(heap, object);
		}
}

static size_t resident_pages(unsigned char *object, size_t bytes)
{
	unsigned char is_resident[4096];
	size_t nr = 0;

	CHECK(bytes / PAGE_BYTES <= sizeof(is_resident));
	CHECK_EQ(mincore(object, bytes, is_resident), 0);
	for (size_t i = 0; i < bytes / PAGE_BYTES; i++)
		nr += is_resident[i] & 1;
	return nr;
}

TEST(calloc_untouched, "heap/calloc of chunks that were used before takes no memory for what is not touched, nor others")
{
	struct heap *heap = heap_create(ARENA_SOURCE_THP);
	size_t bytes = 9 * MiB;
	unsigned char *object;

	CHECK(heap && heap_alloc(heap, 300000));
	if (checked_is_on())
		harness_skip("what is freed is written to where objects are looked after");
	for (int round = 0; round < 3; round++) {
		object = heap_calloc(heap, bytes);
		CHECK(object);
		for (size_t i = 0; i < bytes; i++)
			CHECK_EQ(object[i], 0);
		memset(object, 0xff, bytes);
		heap_free(heap, object);
		object = heap_calloc(heap, bytes);
		CHECK(object);
		CHECK_EQ(resident_pages(object, 8 * MiB), 0);
		CHECK_EQ(counts(heap).handed_chunks, 6);
		heap_free(heap, object);
	}
	heap_validate(heap);
	heap_destroy(heap);
}

TEST(realloc_keeps, "heap/realloc keeps what is there, in place where it can")
{
	struct heap *heap = fresh_heap();
	unsigned char *object = NULL;
	size_t have = 0;

	for (size_t bytes = 1; bytes < 20 * MiB; bytes = bytes * 3 / 2 + 1) {
		object = heap_realloc(heap, object, bytes);
		CHECK(object);
		for (size_t i = 0; i < have; i += 61)
			CHECK_EQ(object[i], (unsigned char)(i * 7));
		for (size_t i = 0; i < bytes; i++)
			object[i] = (unsigned char)(i * 7);
		have = bytes;
	}
	for (; have > 1; have /= 3) {
		object = heap_realloc(heap, object, have);
		CHECK(object);
		for (size_t i = 0; i < have; i += 61)
			CHECK_EQ(object[i], (unsigned char)(i * 7));
	}
	heap_free(heap, object);
	heap_validate(heap);
	CHECK_EQ(counts(heap).handed_chunks, counts(heap).mapped_chunks + counts(heap).idle_chunks + counts(heap).returned_chunks);
}

TEST(realloc_in_place, "heap/realloc leaves objects where they are when they fit, when less is asked for, and when what is behind is free")
{
	struct heap *heap = fresh_heap();
	char *small = heap_alloc(heap, 1000), *large = heap_alloc(heap, 40 * KiB), *behind;

	if (checked_is_on())
		harness_skip("a resized object always moves where objects are looked after");
	CHECK(small && large);
	CHECK(heap_realloc(heap, small, 1024) == small && heap_realloc(heap, small, 600) == small);
	CHECK(heap_realloc(heap, large, 200 * KiB) == large);
	CHECK_EQ(heap_usable_bytes(large), 200 * KiB);
	behind = heap_alloc(heap, 40 * KiB);
	CHECK(behind == large + 200 * KiB);
	/* What it gives back serves at once. */
	CHECK(heap_realloc(heap, large, 100 * KiB) == large);
	CHECK(heap_alloc(heap, 100 * KiB) == large + 100 * KiB);
	CHECK(heap_realloc(heap, large, 101 * KiB) != large);
	heap_validate(heap);
}

TEST(realloc_absurd, "heap/realloc to more than there are addresses fails and keeps the object")
{
	struct heap *heap = fresh_heap();
	unsigned char *object = heap_alloc(heap, 300000);

	CHECK(object);
	memset(object, 7, 300000);
	/* The number of pages modulo 2^32 is small. */
	CHECK(!heap_realloc(heap, object, ((size_t)1 << 44) + 50000));
	CHECK(!heap_realloc(heap, object, SIZE_MAX - 100));
	CHECK(heap_usable_bytes(object) >= 300000);
	for (size_t i = 0; i < 300000; i++)
		CHECK_EQ(object[i], 7);
	heap_free(heap, object);
	heap_validate(heap);
}

static uint32_t chunk_of(const void *object)
{
	return region_page(heap_region(), (uintptr_t)object) / PAGES_PER_CHUNK;
}

/* A number of chunks whose tables are opened together, the last of them at the end of a page of each table. */
enum { EDGE_CHUNKS = 512 };

TEST(realloc_edge, "heap/realloc grows behind the last chunk whose tables are there")
{
	struct heap *heap = fresh_heap();
	void *object;

	/* Nothing is written: up to the edge these are addresses. Each is a chunk, also where the heap adds some bytes to look after them. */
	do {
		object = heap_alloc(heap, CHUNK_BYTES - PAGE_BYTES / 2);
		CHECK(object);
	} while (chunk_of(object) + 1 < EDGE_CHUNKS);
	CHECK_EQ(chunk_of(object) + 1, EDGE_CHUNKS);
	CHECK_EQ(heap_region()->nr_open, EDGE_CHUNKS);
	CHECK(heap_realloc(heap, object, 2 * CHUNK_BYTES));
	CHECK(heap_region()->nr_open > EDGE_CHUNKS);
	heap_validate(heap);
	heap_destroy(heap);
}

/* ---------------------------------------------------------------- misuse */

static void *volatile victim; /* volatile: the compiler knows what free() is about */
static struct heap *victim_heap;

static void free_victim(void *unused)
{
	(void)unused;
	heap_free(victim_heap, victim);
}

static void *free_victim_thread(void *unused)
{
	free_victim(unused);
	return NULL;
}

static void free_twice(void *unused)
{
	free_victim(unused);
	free_victim(unused);
}

static void free_twice_elsewhere(void *unused)
{
	pthread_t thread;

	free_victim(unused);
	pthread_create(&thread, NULL, free_victim_thread, NULL);
	pthread_join(thread, NULL);
}

static void free_elsewhere_twice(void *unused)
{
	pthread_t thread;

	pthread_create(&thread, NULL, free_victim_thread, NULL);
	pthread_join(thread, NULL);
	free_twice_elsewhere(unused);
}

static void resize_victim(void *unused)
{
	(void)unused;
	victim = heap_realloc(victim_heap, victim, 20);
}

static void resize_freed(void *unused)
{
	free_victim(unused);
	resize_victim(unused);
}

static void check_dies(void (*function)(void *), void *object, const char *says)
{
	struct death death;

	victim = object;
	harness_child(&death, function, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, says);
}

TEST(double_free, "heap/a double free is caught, whoever frees, small, middle and large")
{
	static const size_t sizes[] = { 1, 16, 24, 48, 64, 512, 1024, 1025, 5000, 32768, 32769, 3000000 };

	victim_heap = fresh_heap();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		void *keeps = heap_alloc(victim_heap, sizes[i]), *object = heap_alloc(victim_heap, sizes[i]);

		check_dies(free_twice, object, "free");
		if (!harness_thread_sanitized()) {
			check_dies(free_twice_elsewhere, object, "free");
			check_dies(free_elsewhere_twice, object, "free");
		}
		heap_free(victim_heap, keeps);
	}
}

/* Programs ask for less when they are refused; what is granted and is not there has them killed. */
TEST(too_much, "heap/more than the machine has is refused, and what is there is still to be had")
{
	struct heap *heap = fresh_heap();
	struct sysinfo info;
	void *object;
	char mode = '0';
	int fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && read(fd, &mode, 1) == 1 && !close(fd) && !sysinfo(&info));
	/* Where that is 1 the machine grants anything. */
	CHECK(mode == '1' || !heap_alloc(heap, (info.totalram + info.totalswap) * info.mem_unit + CHUNK_BYTES));
	object = heap_alloc(heap, 10);
	CHECK(object);
	heap_free(heap, object);
	heap_validate(heap);
}

static void destroy_twice(void *unused)
{
	struct heap *heap = fresh_heap();

	(void)unused;
	heap_destroy(heap);
	heap_destroy(heap);
}

TEST(destroyed_twice, "heap/a heap that is destroyed twice is told of as that")
{
	check_dies(destroy_twice, NULL, "arena_heap_destroy(): this is no heap, or it was destroyed before");
}

TEST(interior_free, "heap/a free of the middle of an object is caught, and so is realloc, also of a free one")
{
	static const size_t sizes[] = { 17, 24, 48, 64, 512, 1024, 1500, 5000, 32768, 32769, 3000000 };

	victim_heap = fresh_heap();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		char *object = heap_alloc(victim_heap, sizes[i]);

		check_dies(free_victim, object + 16, "free");
		check_dies(free_victim, object + 1, "free");
		check_dies(free_victim, object + sizes[i] - 1, "free");
		check_dies(resize_victim, object + 16, "realloc");
		check_dies(resize_victim, object + 1, "realloc");
		check_dies(resize_freed, object, "realloc");
	}
}

TEST(foreign_free, "heap/a free of the stack, of nothing, and behind the last slot of a page is caught")
{
	char *object, on_stack[64];

	victim_heap = fresh_heap();
	/* A slot of 48 bytes either way. */
	object = heap_alloc(victim_heap, checked_is_on() ? 32 : 48);
	check_dies(free_victim, on_stack, "no memory of a heap");
	check_dies(free_victim, (void *)8, "no memory of a heap");
	check_dies(free_victim, (char *)((uintptr_t)object & ~(uintptr_t)4095) + 85 * 48, "no object begins there");
	check_dies(free_victim, object + 64 * MiB, "no object begins there");
	/* What does not divide a page is at its front. */
	check_dies(free_victim, (char *)((uintptr_t)object & ~(uintptr_t)4095), "no object begins there");
	/* A cache's mask leads all these to the record of the object's own page. */
	for (unsigned int shift = 30; shift < 46; shift++) {
		check_dies(free_victim, object + ((size_t)1 << shift), "no ");
		check_dies(free_victim, object - ((size_t)1 << shift), "no memory of a heap");
	}
}

/* ---------------------------------------------------------------- threads */

enum { NR_REMOTE = 20000 };

static void *free_all(void *objects)
{
	for (size_t i = 0; i < NR_REMOTE; i++)
		heap_free(victim_heap, ((void **)objects)[i]);
	return NULL;
}

TEST(remote, "heap/what another thread frees is used again")
{
	static void *objects[NR_REMOTE];
	uint64_t peak = 0;

	victim_heap = fresh_heap();
	for (int round = 0; round < 20; round++) {
		pthread_t thread;

		for (size_t i = 0; i < NR_REMOTE; i++) {
			objects[i] = heap_alloc(victim_heap, 16 + i % 700);
			CHECK(objects[i]);
			memset(objects[i], 1, 16 + i % 700);
		}
		CHECK(!pthread_create(&thread, NULL, free_all, objects));
		pthread_join(thread, NULL);
		if (round == 1)
			peak = victim_heap->pages.most_held;
	}
	CHECK(victim_heap->pages.most_held <= peak + 1);
	heap_validate(victim_heap);
}

static void *fill(void *objects)
{
	for (size_t i = 0; i < NR_REMOTE; i++) {
		((void **)objects)[i] = heap_alloc(victim_heap, 64);
		memset(((void **)objects)[i], 1, 64);
	}
	return NULL;
}

static size_t nr_caches(const struct heap *heap)
{
	size_t nr = 0;

	for (const struct cache *cache = heap->caches; cache; cache = cache->next)
		nr++;
	return nr;
}

TEST(ended, "heap/spans of ended threads serve the next ones, and so do their caches")
{
	static void *objects[NR_REMOTE];

	victim_heap = fresh_heap();
	for (int round = 0; round < 50; round++) {
		pthread_t thread;

		CHECK(!pthread_create(&thread, NULL, fill, objects));
		pthread_join(thread, NULL);
		free_all(objects);
	}
	CHECK(victim_heap->pages.most_held <= 3);
	/* Of a thread at a time; this one only frees. */
	CHECK_EQ(nr_caches(victim_heap), 1);
	heap_validate(victim_heap);
}

static pthread_barrier_t all_have_one;

static void *have_one(void *unused)
{
	void *object = heap_alloc(victim_heap, 64);

	pthread_barrier_wait(&all_have_one);
	heap_free(victim_heap, object);
	return unused;
}

TEST(first_chunk, "heap/ten threads that use little fit the first chunk")
{
	pthread_t threads[10];

	victim_heap = fresh_heap();
	CHECK(!pthread_barrier_init(&all_have_one, NULL, 10));
	for (size_t i = 0; i < 10; i++)
		CHECK(!pthread_create(&threads[i], NULL, have_one, NULL));
	for (size_t i = 0; i < 10; i++)
		pthread_join(threads[i], NULL);
	/* It is of ordinary pages; the next one would be a huge one. */
	CHECK_EQ(victim_heap->pages.most_held, 1);
	heap_validate(victim_heap);
}

TEST(no_owner, "heap/a span that was given back has no owner, whatever its slots were")
{
	struct heap *heap = fresh_heap();

	for (size_t bytes = 16; bytes <= 32 * KiB; bytes *= 2) {
		void *objects[600];
		struct span *span;
		uint32_t page;

		for (size_t i = 0; i < 600; i++)
			CHECK(objects[i] = heap_alloc(heap, bytes - 16));
		span = heap_find_span(objects[300], &page, "test");
		CHECK(span_owner(span) == heap_own_cache(heap->id));
		for (size_t i = 0; i < 600; i++)
			heap_free(heap, objects[i]);
		/* A thread whose free comes late asks. */
		if (span_state(span) == SPAN_NONE)
			CHECK(!span_owner(span));
		else
			CHECK(span_owner(span) == heap_own_cache(heap->id));
	}
}

static void *leave_many(void *list)
{
	for (size_t i = 0; i < 4000; i++)
		((void **)list)[i] = heap_alloc(victim_heap, 1000);
	return NULL;
}

TEST(left_behind, "heap/objects of an ended thread that are freed later go back")
{
	static void *list[4000];
	pthread_t thread;

	victim_heap = fresh_heap();
	CHECK(!pthread_create(&thread, NULL, leave_many, list));
	CHECK(!pthread_join(thread, NULL));
	for (size_t i = 0; i < 4000; i++)
		heap_free(victim_heap, list[i]);
	heap_scavenge(victim_heap, 0, UINT64_MAX);
	CHECK_EQ(victim_heap->pages.used_pages, 0);
	CHECK_EQ(victim_heap->pages.mapped + victim_heap->pages.nr_idle, 0);
	heap_validate(victim_heap);
}

TEST(goes_back, "heap/when everything is freed the chunks go back")
{
	enum { NR = 200000 };
	struct heap *heap = fresh_heap();
	void **objects = heap_alloc(heap, NR * sizeof(*objects));
	size_t before, after;

	for (size_t i = 0; i < NR; i++) {
		objects[i] = heap_alloc(heap, 300);
		memset(objects[i], 1, 300);
	}
	before = harness_rss_bytes();
	for (size_t i = 0; i < NR; i++)
		heap_free(heap, objects[i]);
	heap_free(heap, objects);
	heap_scavenge(heap, 0, UINT64_MAX);
	after = harness_rss_bytes();
	heap_validate(heap);
	CHECK(counts(heap).mapped_chunks <= 2);
	if (!harness_sanitized())
		CHECK(after + 50 * MiB < before);
}

TEST(destroy, "heap/a destroyed heap takes everything with it, and the next one starts anew")
{
	for (int round = 0; round < 100; round++) {
		struct heap *heap = fresh_heap();
		char *object = heap_alloc(heap, 100);

		CHECK(object);
		memset(object, 1, 100);
		CHECK(heap_alloc(heap, 9 * MiB));
		CHECK_EQ(counts(heap).mapped_chunks, 6);
		heap_destroy(heap);
		CHECK(!heap_of(object));
	}
}

/* Done with its heap, and about to end. */
static void *use_and_end(void *ready)
{
	for (size_t i = 0; i < 40; i++)
		heap_free(victim_heap, heap_alloc(victim_heap, (size_t)16 << i % 10));
	atomic_store_release((uint32_t *)ready, 1u);
	return NULL;
}

TEST(destroyed_at_end, "heap/a heap is destroyed, and another made in its place, while threads that used it end")
{
	for (int i = 0; i < (harness_thread_sanitized() ? 100 : 500); i++) {
		uint32_t ready = 0;
		pthread_t thread;
		void *object;

		victim_heap = heap_create(ARENA_SOURCE_PAGES);
		CHECK(victim_heap && !pthread_create(&thread, NULL, use_and_end, &ready));
		while (!atomic_load_acquire(&ready))
			;
		heap_destroy(victim_heap);
		victim_heap = heap_create(ARENA_SOURCE_PAGES);
		object = heap_alloc(victim_heap, 100);
		CHECK(object && !pthread_join(thread, NULL));
		heap_free(victim_heap, object);
		heap_validate(victim_heap);
		heap_destroy(victim_heap);
	}
}

/* The kernel unmaps what is there before it looks whether there are huge pages. */
TEST(no_holes, "heap/where memory was refused the heap keeps its addresses")
{
	struct heap *heap = heap_create(ARENA_SOURCE_HUGETLB);
	const struct region *region = heap_region();
	uintptr_t at = region->base, base, limit;

	CHECK(heap);
	while (heap_alloc(heap, 64 * MiB))
		;
	for (; at < region->base + region->bytes; at = limit) {
		CHECK(os_find_mapping(at, &base, &limit));
		CHECK(base <= at);
	}
}

TEST(many_heaps, "heap/sixty-three heaps at a time, one is one too many")
{
	struct heap *heaps[HEAPS_MAX];

	for (size_t i = 1; i < HEAPS_MAX; i++) {
		heaps[i] = fresh_heap();
		CHECK(heap_alloc(heaps[i], 10));
	}
	CHECK(!heap_create(ARENA_SOURCE_THP));
	for (size_t i = 1; i < HEAPS_MAX; i++)
		heap_destroy(heaps[i]);
	CHECK(heap_create(ARENA_SOURCE_PAGES));
}

static void *fill_and_free(size_t bytes)
{
	void *first = NULL, *object;

	/* A list through the objects themselves. */
	for (size_t have = 0; have < bytes; have += 4000) {
		object = heap_alloc(victim_heap, 4000);
		CHECK(object);
		memset(object, 1, 4000);
		*(void **)object = first;
		first = object;
	}
	while (first) {
		object = first;
		first = *(void **)object;
		heap_free(victim_heap, object);
	}
	return NULL;
}

TEST(comes_back, "heap/a heap that is freed goes back by itself while the program sleeps")
{
	double end;

	victim_heap = fresh_heap();
	fill_and_free(128 * MiB);
	CHECK(counts(victim_heap).handed_chunks >= 64);
	end = harness_seconds() + 60;
	while (harness_seconds() < end && counts(victim_heap).idle_chunks > 2)
		usleep(10000);
	harness_note("%lu chunks idle after %.1f s", (unsigned long)counts(victim_heap).idle_chunks,
		     harness_seconds() - (end - 60));
	CHECK(counts(victim_heap).idle_chunks <= 2);
	heap_validate(victim_heap);
}

/* It decides how much to give, and gives it chunk by chunk. */
TEST(beside_trim, "heap/the scavenger leaves what it decided to leave, also when somebody else gives back meanwhile")
{
	struct heap *heap = heap_create(ARENA_SOURCE_PAGES);

	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	for (int round = 0; round < 30; round++) {
		void *object = heap_alloc(heap, 48 * MiB);
		uint64_t idle;

		CHECK(object);
		/* So that it takes a while. */
		memset(object, 1, 48 * MiB);
		heap_free(heap, object);
		idle = counts(heap).idle_chunks;
		/* Until it has begun. */
		while (idle > PACE_KEEP_CHUNKS && counts(heap).idle_chunks == idle)
			;
		heap_scavenge(heap, PACE_KEEP_CHUNKS, UINT64_MAX);
		for (int i = 0; i < 1000; i++)
			CHECK_EQ(counts(heap).idle_chunks, PACE_KEEP_CHUNKS);
	}
	heap_validate(heap);
}

/* ---------------------------------------------------------------- sources */

static void child_of_fork(void *unused)
{
	unsigned char *object = victim;

	(void)unused;
	for (size_t i = 0; i < 5 * MiB; i += 4096)
		CHECK_EQ(object[i], 7);
	memset(object, 9, 3 * MiB);
	/* And what is freed and allocated is the child's alone. */
	heap_free(victim_heap, object);
	object = heap_alloc(victim_heap, 7 * MiB);
	CHECK(object);
	memset(object, 11, 7 * MiB);
	for (int i = 0; i < 10000; i++)
		heap_free(victim_heap, heap_alloc(victim_heap, 100));
}

TEST_EACH_SOURCE(each_source, "heap/large objects are of the heap's source, small ones start on pages, forks part")
{
	struct death death;
	unsigned char *large;
	char *small;

	if (arena_source_check(source))
		harness_skip("no source %s here: %s", arena_source_name(source), strerror(-arena_source_check(source)));
	victim_heap = heap_create(source);
	CHECK(victim_heap);
	small = heap_alloc(victim_heap, 100);
	victim = large = heap_calloc(victim_heap, 5 * MiB);
	CHECK(small && large);
	CHECK_EQ(heap_region()->chunks[chunk_of(large)].source, source);
	for (size_t i = 0; i < 5 * MiB; i++)
		CHECK_EQ(large[i], 0);
	memset(large, 7, 5 * MiB);
	strcpy(small, "hello");
	/* The kernel may kill a child that writes to hugetlb memory: it is only for who asks. */
	if (source != ARENA_SOURCE_HUGETLB && !harness_thread_sanitized()) {
		harness_child(&death, child_of_fork, NULL);
		CHECK_EQ(death.signal, 0);
		CHECK_EQ(death.status, 0);
	}
	for (size_t i = 0; i < 5 * MiB; i++)
		CHECK_EQ(large[i], 7);
	CHECK_STR(small, "hello");
	heap_free(victim_heap, large);
	heap_flush(victim_heap);
	heap_scavenge(victim_heap, 0, UINT64_MAX);
	CHECK_EQ(counts(victim_heap).mapped_chunks, 1);
	CHECK(harness_faults(large));
	heap_validate(victim_heap);
	heap_destroy(victim_heap);
	CHECK(harness_faults(small));
}
