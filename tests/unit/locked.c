// SPDX-License-Identifier: MIT
/*
 * A program that locks all its memory, what it maps later included, and may lock no more than so much of it. What is given back can be taken again, any
 * number of times; what was freed faults; and at the limit the answer is out of memory.
 *
 * Where the program may lock nothing, and with sanitizers, which lock nothing, the same holds, with another limit.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena/heap.h"
#include "chunk.h"
#include "heap.h"
#include "os.h"
#include "small.h"
#include "tests/harness.h"

enum { NR_ROUNDS = 6, NR_CHUNKS = 32, NR_OBJECTS = 2000 };

#define LIMIT_BYTES (24 * MiB)
#define OBJECT_BYTES ((size_t)100000)

/* ---------------------------------------------------------------- locking */

/* Root may lock beyond any limit. */
static void lose_right(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	CHECK(!syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	data[0].permitted &= ~(1u << CAP_IPC_LOCK);
	CHECK(!syscall(SYS_capset, &header, data));
}

static void limit_to(size_t bytes)
{
	struct rlimit limit;

	CHECK(!getrlimit(RLIMIT_MEMLOCK, &limit));
	limit.rlim_cur = limit.rlim_max = size_min(bytes, limit.rlim_max);
	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit));
}

/* Whether there is a mapping that cannot be dropped now: neither where the program may not lock, nor with sanitizers. */
static bool lock_all(int flags)
{
	char *probe;
	bool is_locked;

	lose_right();
	limit_to(LIMIT_BYTES);
	if (mlockall(flags))
		harness_note("nothing is locked here: %s", strerror(errno));
	probe = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(probe != MAP_FAILED);
	is_locked = madvise(probe, PAGE_BYTES, MADV_DONTNEED);
	munmap(probe, PAGE_BYTES);
	return is_locked;
}

/* What counts against the limit. */
static size_t locked_bytes(void)
{
	char text[4096];
	const char *line;
	unsigned long kib = 0;

	CHECK(os_read_text("/proc/self/status", text, sizeof(text)));
	line = strstr(text, "VmLck:");
	CHECK(line && sscanf(line, "VmLck: %lu", &kib) == 1);
	return kib * KiB;
}

/* ---------------------------------------------------------------- the door */

/* Chunks from @base on that can be opened, all touched. */
static size_t open_some(char *base)
{
	size_t nr = 0;

	for (; nr < NR_CHUNKS; nr++) {
		int error = os_open(base + nr * CHUNK_BYTES, CHUNK_BYTES, OS_PAGES_SMALL);

		CHECK(!error || error == -EAGAIN);
		if (error)
			break;
		memset(base + nr * CHUNK_BYTES, 1, CHUNK_BYTES);
	}
	return nr;
}

TEST(close_locked, "locked/what is locked can be closed at the limit, and counts no more")
{
	char *base = os_reserve(NR_CHUNKS * CHUNK_BYTES, CHUNK_BYTES);
	size_t first, before, mappings;

	lock_all(MCL_FUTURE);
	before = locked_bytes();
	mappings = harness_mappings();
	first = open_some(base);
	harness_note("%zu chunks", first);
	for (size_t round = 0; round < NR_ROUNDS; round++) {
		for (size_t i = 0; i < first; i++) {
			errno = 77;
			CHECK_EQ(os_close(base + i * CHUNK_BYTES, CHUNK_BYTES), 0);
			CHECK_EQ(errno, 77);
			CHECK(harness_faults(base + i * CHUNK_BYTES));
		}
		CHECK_EQ(locked_bytes(), before);
		CHECK_EQ(harness_mappings(), mappings);
		CHECK_EQ(open_some(base), first);
	}
}

TEST(close_over, "locked/what is locked can be closed when the limit is lower by then")
{
	char *base = os_reserve(NR_CHUNKS * CHUNK_BYTES, CHUNK_BYTES);
	size_t nr;

	lock_all(MCL_FUTURE);
	nr = open_some(base);
	limit_to(PAGE_BYTES);
	for (size_t i = 0; i < nr; i++) {
		size_t resident = harness_rss_bytes();

		CHECK_EQ(os_close(base + i * CHUNK_BYTES, CHUNK_BYTES), 0);
		CHECK(harness_faults(base + i * CHUNK_BYTES));
		CHECK(harness_rss_bytes() + CHUNK_BYTES / 2 < resident || harness_sanitized());
	}
}

TEST(drop_locked, "locked/what is locked can be dropped, but not what is in use")
{
	char *base = os_reserve(PAGE_BYTES, PAGE_BYTES);
	bool is_locked = lock_all(MCL_FUTURE);

	CHECK_EQ(os_open(base, PAGE_BYTES, OS_PAGES_SMALL), 0);
	CHECK_EQ(os_is_locking(), is_locked);
	base[0] = 7;
	CHECK(os_drop_unlocked(base, PAGE_BYTES) == (is_locked ? -EINVAL : 0));
	CHECK_EQ(base[0], is_locked ? 7 : 0);
	base[0] = 7;
	CHECK_EQ(os_drop(base, PAGE_BYTES), 0);
	CHECK_EQ(base[0], 0);
	munlockall();
	CHECK_EQ(os_close(base, PAGE_BYTES), 0);
	CHECK(!os_is_locking());
}

TEST(reclaim_locked, "locked/a hole among addresses can be closed when the limit is lower than it is long")
{
	char *base = os_reserve(CHUNK_BYTES, CHUNK_BYTES);

	lock_all(MCL_FUTURE);
	limit_to(locked_bytes() + PAGE_BYTES);
	os_unreserve(base, CHUNK_BYTES);
	CHECK_EQ(os_reclaim(base, CHUNK_BYTES), 0);
	CHECK(os_reclaim(base, CHUNK_BYTES) == -EEXIST);
	CHECK(harness_faults(base) && harness_faults(base + CHUNK_BYTES - 1));
}

TEST(reserve_locked, "locked/addresses that are reserved count for nothing")
{
	size_t before;
	char *base;

	lock_all(MCL_FUTURE);
	before = locked_bytes();
	base = os_reserve(16 * PAGE_BYTES, PAGE_BYTES);
	CHECK(base);
	CHECK_EQ(locked_bytes(), before);
	os_unreserve(base, 8 * PAGE_BYTES);
	CHECK_EQ(os_reclaim(base, 8 * PAGE_BYTES), 0);
	CHECK_EQ(locked_bytes(), before);
}

/* ---------------------------------------------------------------- arenas and heaps */

static void need(enum arena_source source)
{
	if (arena_source_check(source))
		harness_skip("no source %s here: %s", arena_source_name(source), strerror(-arena_source_check(source)));
}

/* Huge pages of hugetlb are not locked, and others may take some meanwhile: fewer than there are. 0: no limit. */
static size_t own_limit(enum arena_source source)
{
	return source == ARENA_SOURCE_HUGETLB ? 8 * CHUNK_BYTES : 0;
}

/* With sanitizers nothing is locked: once is enough to see that it works. */
static size_t nr_rounds(void)
{
	return harness_sanitized() ? 1 : NR_ROUNDS;
}

/* How many objects there is memory for, at most NR_OBJECTS; the last is @*last. */
static size_t fill_arena(struct arena *arena, char **last)
{
	size_t nr = 0;
	char *object;

	for (; nr < NR_OBJECTS && (object = arena_alloc(arena, OBJECT_BYTES)); nr++) {
		memset(object, 1, OBJECT_BYTES);
		*last = object;
	}
	return nr;
}

static size_t run_arena(enum arena_source source)
{
	const struct arena_options options = { .source = source, .limit_bytes = own_limit(source) };
	struct arena *arena = arena_new(&options);
	struct arena_memory memory;
	char *last = NULL;
	size_t nr;

	CHECK(arena);
	nr = fill_arena(arena, &last);
	arena_free(arena);
	CHECK(!last || harness_faults(last));
	arena_memory(&memory);
	CHECK_EQ(memory.deferred_arenas, 0);
	arena_trim(SIZE_MAX);
	chunk_validate();
	small_validate();
	return nr;
}

TEST_EACH_SOURCE(arenas, "locked/arenas that are freed fault, and make room for as much", "ARENA_MAP_LIMIT=20000")
{
	size_t before, nr;

	need(source);
	CHECK(arena_new(&(struct arena_options){ .source = source }));
	lock_all(MCL_FUTURE);
	/* Of the addresses that were open before. */
	run_arena(source);
	before = locked_bytes();
	nr = run_arena(source);
	harness_note("%zu objects", nr);
	for (size_t round = 0; round < nr_rounds(); round++) {
		CHECK_EQ(run_arena(source), nr);
		/* Small arenas have some more open than they use. */
		CHECK(locked_bytes() <= before + CHUNK_BYTES);
	}
}

TEST(deferred, "locked/arenas without room in the address map give their memory back", "ARENA_GUARD=0", "ARENA_MAP_LIMIT=1")
{
	struct arena *arena = arena_new(NULL);
	char *object;

	lock_all(MCL_FUTURE);
	CHECK(arena);
	object = arena_alloc(arena, 1000);
	CHECK(object);
	memset(object, 7, 1000);
	arena_free(arena);
	CHECK(harness_faults(object) || !object[0]);
}

/* Its tables are there before all is locked. */
static size_t run_heap(struct arena_heap *heap)
{
	static void *objects[NR_OBJECTS]; /* one process a test */
	struct arena_heap_stats stats;
	size_t nr = 0;

	while (nr < NR_OBJECTS && (objects[nr] = arena_heap_alloc(heap, OBJECT_BYTES)))
		memset(objects[nr++], 1, OBJECT_BYTES);
	for (size_t i = 0; i < nr; i++)
		arena_heap_free(objects[i]);
	arena_heap_trim(heap, SIZE_MAX);
	heap_validate((struct heap *)(void *)heap);
	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.idle_chunks, 0);
	return nr;
}

TEST_EACH_SOURCE(heaps, "locked/heaps give back what is locked, and make room for as much")
{
	struct arena_heap *heap;
	size_t nr, before;

	need(source);
	heap = arena_heap_create(&(struct arena_heap_options){ .source = source, .limit_bytes = own_limit(source) });
	CHECK(heap);
	arena_heap_free(arena_heap_alloc(heap, 1));
	lock_all(MCL_FUTURE);
	nr = run_heap(heap);
	harness_note("%zu objects", nr);
	before = locked_bytes();
	for (size_t round = 0; round < nr_rounds(); round++) {
		nr = round ? nr : run_heap(heap);
		CHECK_EQ(run_heap(heap), nr);
		CHECK_EQ(locked_bytes(), before);
	}
	arena_heap_destroy(heap);
}
