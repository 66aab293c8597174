// SPDX-License-Identifier: MIT
/* Out of memory is an answer: under a limit of addresses, calls return NULL, nothing dies, and what was made stays valid. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "arena/heap.h"
#include "chunk.h"
#include "geometry.h"
#include "heap.h"
#include "internal.h"
#include "small.h"
#include "tests/harness.h"

static void limit_addresses(size_t bytes)
{
	const struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	if (harness_sanitized())
		harness_skip("a sanitizer needs more addresses than that");
	CHECK(!setrlimit(RLIMIT_AS, &limit));
}

static void limit_private(size_t bytes)
{
	const struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };

	if (harness_sanitized())
		harness_skip("a sanitizer needs more memory than that");
	CHECK(!setrlimit(RLIMIT_DATA, &limit));
}

static size_t fill(struct arena *arena, size_t bytes)
{
	size_t nr = 0;
	char *object;

	while (nr < 1000000 && (object = arena_alloc(arena, bytes))) {
		memset(object, 1, bytes < 100 ? bytes : 100);
		nr++;
	}
	return nr;
}

static void check_usable(enum arena_source source)
{
	const struct arena_options options = { .source = source };

	for (size_t round = 0; round < 20; round++) {
		struct arena *arena = arena_new(&options);

		CHECK(arena);
		CHECK(fill(arena, 1 * MiB) >= 4);
		arena_validate(arena);
		arena_reset(arena);
		CHECK(arena_alloc(arena, 10));
		arena_free(arena);
		chunk_validate();
		small_validate();
	}
}

TEST(addresses, "nomem/4 GiB of addresses")
{
	limit_addresses(4 * GiB);
	check_usable(ARENA_SOURCE_PAGES);
	check_usable(arena_source_check(ARENA_SOURCE_THP) ? ARENA_SOURCE_PAGES : ARENA_SOURCE_THP);
}

/* The window is larger than the limit by then. */
TEST(late_limit, "nomem/a limit that comes late")
{
	const struct arena_options options = { .source = ARENA_SOURCE_PAGES };
	struct arena *arena = arena_new(&options);

	CHECK(arena && arena_alloc(arena, 100));
	limit_addresses(4 * GiB);
	for (size_t i = 0; i < 100000; i++)
		if (!arena_alloc(arena, 1000))
			break;
	arena_validate(arena);
	arena_free(arena);
	chunk_validate();
	small_validate();
}

TEST(few_addresses, "nomem/512 MiB of addresses")
{
	limit_addresses(512 * MiB);
	check_usable(ARENA_SOURCE_PAGES);
}

TEST(too_few_addresses, "nomem/no addresses at all")
{
	limit_addresses(16 * MiB);
	for (size_t i = 0; i < 10; i++)
		CHECK(!arena_new(NULL));
}

TEST(data, "nomem/a limit of private memory")
{
	limit_private(4 * GiB);
	check_usable(ARENA_SOURCE_PAGES);
}

TEST(small_arenas, "nomem/small arenas until addresses end")
{
	static struct arena *arenas[200000];
	size_t nr = 0;

	limit_addresses(256 * MiB);
	while (nr < 200000) {
		arenas[nr] = arena_new(NULL);
		if (!arenas[nr])
			break;
		nr++;
		if (!arena_alloc(arenas[nr - 1], 100))
			break;
	}
	CHECK(nr > 1000 && nr < 200000);
	harness_note("%zu arenas", nr);
	for (size_t i = 0; i < nr; i++)
		arena_free(arenas[i]);
	small_validate();
}

/* ---------------------------------------------------------------- heaps */

/* Objects of 1 MiB until there are no more, all freed again. */
static size_t fill_heap(struct arena_heap *heap)
{
	static char *objects[10000];
	size_t nr = 0;

	while (nr < ARRAY_LEN(objects) && (objects[nr] = arena_heap_alloc(heap, 1 * MiB))) {
		objects[nr][0] = (char)nr;
		nr++;
	}
	for (size_t i = 0; i < nr; i++) {
		CHECK_EQ(objects[i][0], (char)i);
		arena_heap_free(objects[i]);
	}
	heap_validate((struct heap *)(void *)heap);
	return nr;
}

/* Under a limit of so many MiB a heap of at least @least MiB; again and again. */
static void check_heap(size_t limit_mib, size_t least, enum arena_source source)
{
	struct arena_heap *heap;

	heap = arena_heap_create(&(struct arena_heap_options){ .source = source });
	CHECK(heap);
	for (int round = 0; round < 3; round++) {
		size_t nr = fill_heap(heap);

		harness_note("%zu MiB", nr);
		CHECK(nr >= least && nr < limit_mib);
		for (size_t bytes = 1; bytes < 100000; bytes = bytes * 3)
			CHECK(arena_heap_alloc(heap, bytes));
		arena_heap_trim(heap, SIZE_MAX);
	}
}

TEST(heap_4g, "nomem/a heap in 4 GiB of addresses")
{
	/* Of which one small page in a MiB is touched: machines have less memory than that. */
	limit_addresses(4096 * MiB);
	check_heap(4096, 3500, ARENA_SOURCE_PAGES);
}

TEST(heap_512m, "nomem/a heap in 512 MiB of addresses")
{
	limit_addresses(512 * MiB);
	check_heap(512, 400, ARENA_SOURCE_THP);
}

TEST(heap_128m, "nomem/a heap in 128 MiB of addresses")
{
	limit_addresses(128 * MiB);
	check_heap(128, 90, ARENA_SOURCE_THP);
}

TEST(heap_private, "nomem/a heap under a limit of private memory of 512 MiB")
{
	limit_private(512 * MiB);
	check_heap(512, 400, ARENA_SOURCE_THP);
}

TEST(heap_private_late, "nomem/a limit of private memory that comes late leaves a heap what it has, and refuses more")
{
	struct arena_heap *heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	char *kept = arena_heap_alloc(heap, 100 * MiB);
	size_t nr;

	CHECK(kept);
	limit_private(512 * MiB);
	nr = fill_heap(heap);
	harness_note("%zu MiB", nr);
	CHECK(nr >= 300 && nr < 412);
	memset(kept, 1, 100 * MiB);
	arena_heap_free(kept);
	CHECK(fill_heap(heap) > nr);
}

TEST(heap_aligned, "nomem/objects of a heap in 2 GiB of addresses are aligned to up to 512 MiB, and hold no more than others")
{
	struct arena_heap *heap;
	char *objects[2];

	limit_addresses(2 * GiB);
	heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	CHECK(heap && arena_heap_alloc(heap, 1));
	for (size_t align = 1 * MiB; align <= 512 * MiB; align *= 2)
		for (size_t bytes = 1; bytes <= 64 * MiB; bytes = bytes * 4096 + MiB) {
			for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
				objects[i] = arena_heap_alloc_aligned(heap, bytes, align);
				CHECK(objects[i]);
				CHECK_EQ((uintptr_t)objects[i] % align, 0);
				objects[i][0] = objects[i][bytes - 1] = 1;
			}
			for (size_t i = 0; i < ARRAY_LEN(objects); i++)
				arena_heap_free(objects[i]);
		}
	/* Of addresses that are not to be had. */
	CHECK(!arena_heap_alloc_aligned(heap, 3 * GiB, 64 * MiB));
	CHECK(!arena_heap_alloc_aligned(heap, 1, 2 * GiB));
	heap_validate((struct heap *)(void *)heap);
	CHECK(fill_heap(heap) > 1000);
}

TEST(heap_grows, "nomem/the addresses of heaps grow behind the last, if these are nobody's, and go back when they are free")
{
	struct arena_heap *heap;
	struct region *region;
	size_t first, nr;
	char *object;
	void *end;

	limit_addresses(512 * MiB);
	heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	CHECK(heap);
	region = heap_region();
	first = region->nr_chunks;
	CHECK(first < region->max_chunks);
	/* In one piece across what was the end. */
	object = arena_heap_alloc(heap, (first + 5) * CHUNK_BYTES);
	CHECK(object);
	CHECK(region->nr_chunks >= first + 5 && region->nr_chunks <= first + 6);
	object[0] = object[(first + 5) * CHUNK_BYTES - 1] = 1;
	arena_heap_free(object);
	arena_heap_trim(heap, SIZE_MAX);
	CHECK_EQ(region->nr_chunks, first);
	/* Somebody else is there. */
	end = (void *)(region->base + first * CHUNK_BYTES);
	CHECK(mmap(end, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == end);
	nr = fill_heap(heap);
	CHECK(nr <= first * CHUNK_BYTES / MiB);
	CHECK_EQ(region->nr_chunks, first);
	CHECK(!munmap(end, PAGE_BYTES));
	CHECK(fill_heap(heap) > nr);
	arena_heap_trim(heap, SIZE_MAX);
	CHECK_EQ(region->nr_chunks, first);
}

TEST(heap_none, "nomem/no addresses for heaps at all")
{
	limit_addresses(16 * MiB);
	for (int i = 0; i < 10; i++)
		CHECK(!arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP }));
	CHECK_EQ(arena_heap_set_limit(NULL, 1 * GiB), -ENOMEM);
}

/* The region is larger than the limit by then. */
TEST(heap_late, "nomem/a limit that comes late leaves a heap what it has, and refuses more")
{
	struct arena_heap *heap = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	char *objects[20];

	for (size_t i = 0; i < 20; i++)
		CHECK((objects[i] = arena_heap_alloc(heap, CHUNK_BYTES)));
	limit_addresses(1 * GiB);
	for (size_t i = 0; i < 5; i++)
		arena_heap_free(objects[i]);
	objects[0] = arena_heap_alloc(heap, CHUNK_BYTES);
	CHECK(objects[0]);
	CHECK(!arena_heap_alloc(heap, 100 * CHUNK_BYTES));
	memset(objects[0], 1, CHUNK_BYTES);
	arena_heap_free(objects[0]);
	for (size_t i = 5; i < 20; i++) {
		memset(objects[i], 1, CHUNK_BYTES);
		arena_heap_free(objects[i]);
	}
	arena_heap_trim(heap, SIZE_MAX);
	heap_validate((struct heap *)(void *)heap);
	arena_heap_destroy(heap);
}
