// SPDX-License-Identifier: MIT
/* Heaps in memory that the program supplies: all is in there, nothing beyond, and it is full when it is full. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena/heap.h"
#include "ctl_proto.h"
#include "heap.h"
#include "supplied.h"
#include "tests/harness.h"
#include "tests/unit/fit.h"

enum { CHUNKS = 8 };

static char *memory; /* odd in every way, between pages that fault */
static size_t memory_bytes;
static struct arena_heap *heap;

static void start_with(size_t bytes)
{
	struct arena_heap_options options = { 0 };
	char *raw = mmap(NULL, bytes + 4 * PAGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(raw != MAP_FAILED);
	CHECK(!mprotect(raw + PAGE_BYTES, align_up(bytes + 13, PAGE_BYTES), PROT_READ | PROT_WRITE));
	memory = raw + PAGE_BYTES + 13;
	memory_bytes = bytes;
	memset(memory, 0xee, bytes);
	options.memory = memory;
	options.memory_bytes = bytes;
	heap = arena_heap_create(&options);
}

static void start(void)
{
	start_with(CHUNKS * CHUNK_BYTES);
	CHECK(heap);
}

static void check_inside(const void *object, size_t bytes)
{
	CHECK((const char *)object >= memory && (const char *)object + bytes <= memory + memory_bytes);
}

TEST(inside, "supplied/every object is inside, belongs to the heap, and keeps what is written")
{
	struct random random = { .state = harness_seed() };
	static struct { unsigned char *at; size_t bytes; } objects[2000];

	start();
	for (int i = 0; i < 100000; i++) {
		size_t which = random_below(&random, 2000);
		unsigned char *at = objects[which].at;

		for (size_t b = 0; at && b < objects[which].bytes; b += objects[which].bytes / 8 + 1)
			CHECK_EQ(at[b], (unsigned char)which);
		if (at && random_below(&random, 4)) {
			arena_heap_free(at);
			objects[which].at = NULL;
			continue;
		}
		objects[which].bytes = random_below(&random, 100) ? random_below(&random, 3000) + 1 : random_below(&random, 300000) + 1;
		at = arena_heap_realloc(heap, at, objects[which].bytes);
		CHECK(at && arena_heap_of(at) == heap && arena_heap_usable_bytes(at) >= objects[which].bytes);
		check_inside(at, objects[which].bytes);
		memset(at, (int)which, objects[which].bytes);
		objects[which].at = at;
	}
	heap_validate((struct heap *)(void *)heap);
}

TEST(full, "supplied/when it is full it is NULL, nothing is taken from the system, and what is freed serves again")
{
	static void *objects[CHUNKS * 30];
	struct arena_heap_stats stats;
	size_t nr = 0, before;

	start();
	before = harness_mappings();
	while (nr < ARRAY_LEN(objects) && (objects[nr] = arena_heap_alloc(heap, 100 * KiB)))
		memset(objects[nr++], 1, 100 * KiB);
	arena_heap_stats(heap, &stats);
	/* A chunk is lost at the front to records, another one to the odd beginning. */
	CHECK(stats.mapped_chunks >= CHUNKS - 2 && nr >= (CHUNKS - 2) * 20 && nr < ARRAY_LEN(objects));
	CHECK(!arena_heap_alloc(heap, 16 * MiB) && !arena_heap_calloc(heap, 1, 100 * KiB));
	CHECK_EQ(harness_mappings(), before);
	for (size_t i = 0; i < nr; i++)
		arena_heap_free(objects[i]);
	arena_heap_trim(heap, SIZE_MAX);
	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.mapped_chunks + stats.idle_chunks, 0);
	CHECK_EQ(stats.handed_chunks, stats.returned_chunks);
	for (size_t i = 0; i < nr; i++)
		CHECK(objects[i] = arena_heap_alloc(heap, 100 * KiB));
	heap_validate((struct heap *)(void *)heap);
}

TEST(kinds, "supplied/calloc clears, alignments hold, and a limit")
{
	struct arena_heap_options options = { 0 };

	start();
	for (size_t bytes = 1; bytes < MiB; bytes = bytes * 3 + 1) {
		unsigned char *zero = arena_heap_calloc(heap, 1, bytes);

		CHECK(zero);
		for (size_t i = 0; i < bytes; i++)
			CHECK_EQ(zero[i], 0);
	}
	for (size_t align = 16; align <= 64 * KiB; align *= 2) {
		void *object = arena_heap_alloc_aligned(heap, 100, align);

		CHECK(object && (uintptr_t)object % align == 0);
		check_inside(object, 100);
		arena_heap_free(object);
	}
	options.memory = memory;
	options.memory_bytes = memory_bytes;
	arena_heap_destroy(heap);
	options.limit_bytes = 3 * CHUNK_BYTES;
	heap = arena_heap_create(&options);
	CHECK(heap && arena_heap_alloc(heap, 3 * MiB) && !arena_heap_alloc(heap, 4 * MiB));
}

TEST(aligned, "supplied/objects are aligned to as much as the memory has addresses for, wherever it begins")
{
	const struct region *region;

	start_with(64 * MiB);
	CHECK(heap);
	region = ((struct heap *)(void *)heap)->pages.region;
	for (size_t align = CHUNK_BYTES; align <= 64 * MiB; align *= 2) {
		char *objects[2];

		for (size_t i = 0; i < ARRAY_LEN(objects); i++) {
			uintptr_t place = align_up(region->base, align) + i * align;

			objects[i] = arena_heap_alloc_aligned(heap, 1 * MiB, align);
			CHECK_EQ(objects[i] != NULL, place + MiB <= region->base + region->bytes);
			CHECK_EQ((uintptr_t)objects[i] % align, 0);
			if (objects[i])
				check_inside(objects[i], 1 * MiB);
		}
		CHECK(objects[0] != objects[1] || !objects[0]);
		for (size_t i = 0; i < ARRAY_LEN(objects); i++)
			arena_heap_free(objects[i]);
	}
	/* One run in sixteen the memory has such an address. */
	CHECK_EQ(arena_heap_alloc_aligned(heap, 1, 1 * GiB) != NULL, align_up(region->base, GiB) + PAGE_BYTES <= region->base + region->bytes);
	heap_validate((struct heap *)(void *)heap);
}

static bool count(void *nr, void *object, size_t bytes)
{
	check_inside(object, bytes);
	++*(size_t *)nr;
	return true;
}

TEST(walk, "supplied/a walk shows every object")
{
	size_t nr = 0;

	start();
	for (size_t i = 0; i < 1000; i++)
		CHECK(arena_heap_alloc(heap, i * 7));
	CHECK(arena_heap_alloc(heap, 3 * MiB));
	CHECK(arena_heap_walk(heap, count, &nr));
	CHECK_EQ(nr, 1001);
}

TEST(small, "supplied/memory for no chunk makes no heap, for one makes one; options that contradict make none")
{
	static char range[8 * 1024 * 1024];
	const struct arena_heap_options with_source = { .memory = range, .memory_bytes = sizeof(range), .source = ARENA_SOURCE_THP };

	start_with(3 * MiB / 2);
	CHECK(!heap);
	start_with(100);
	CHECK(!heap);
	start_with(4 * MiB + 128 * KiB);
	CHECK(heap && arena_heap_alloc(heap, MiB / 2));
	CHECK(!arena_heap_create(&with_source));
}

static void *churn(void *random)
{
	void *kept[100] = { NULL };

	for (int i = 0; i < 20000; i++) {
		size_t which = random_below(random, 100);

		arena_heap_free(kept[which]);
		kept[which] = arena_heap_alloc(heap, random_below(random, 6000));
		CHECK(kept[which]);
		memset(kept[which], 1, 16);
	}
	for (size_t i = 0; i < 100; i++)
		arena_heap_free(kept[i]);
	return NULL;
}

TEST(threads, "supplied/several threads at once")
{
	struct random randoms[4];
	pthread_t threads[4];

	start();
	for (size_t i = 0; i < 4; i++) {
		randoms[i].state = harness_seed() + i;
		CHECK(!pthread_create(&threads[i], NULL, churn, &randoms[i]));
	}
	for (size_t i = 0; i < 4; i++)
		CHECK(!pthread_join(threads[i], NULL));
	heap_validate((struct heap *)(void *)heap);
	heap_flush((struct heap *)(void *)heap);
	CHECK_EQ(((struct heap *)(void *)heap)->pages.used_pages, 0);
}

static void *volatile victim; /* volatile: the compiler knows what free() is about */

static void free_twice(void *unused)
{
	(void)unused;
	arena_heap_free(victim);
	arena_heap_free(victim);
}

static void free_inside(void *unused)
{
	(void)unused;
	arena_heap_free((char *)victim + 16);
}

static void check_dies(void (*function)(void *))
{
	struct death death;

	harness_child(&death, function, NULL);
	CHECK(harness_died(&death, SIGABRT));
	CHECK_HAS(death.text, "free()");
}

TEST(misuse, "supplied/a double free and a free of the middle are caught")
{
	static const size_t sizes[] = { 20, 1000, 30000, 100000 };

	start();
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		CHECK(arena_heap_alloc(heap, sizes[i]));
		victim = arena_heap_alloc(heap, sizes[i]);
		check_dies(free_twice);
		check_dies(free_inside);
	}
}

/* What the daemon would hear. */
static struct ctl_stats told_daemon(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd;
	struct ctl_header question;
	struct ctl_stats stats;
	struct ctl_join join;

	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/arena-supplied.%d", (int)getpid());
	CHECK(listening >= 0 && !bind(listening, (const struct sockaddr *)&address, sizeof(address)) && !listen(listening, 1));
	CHECK(!arena_daemon_join(address.sun_path));
	unlink(address.sun_path);
	fd = accept(listening, NULL, NULL);
	CHECK_EQ(recv(fd, &join, sizeof(join), 0), (ssize_t)sizeof(join));
	ctl_header_init(&question, CTL_STATS_ASK, sizeof(question), 1);
	CHECK_EQ(send(fd, &question, sizeof(question), 0), (ssize_t)sizeof(question));
	CHECK_EQ(recv(fd, &stats, sizeof(stats), 0), (ssize_t)sizeof(stats));
	arena_daemon_leave();
	return stats;
}

static uint64_t idle_chunks(struct arena_heap *of)
{
	struct arena_heap_stats stats;

	arena_heap_stats(of, &stats);
	return stats.idle_chunks;
}

TEST(not_the_systems, "supplied/its idle chunks are no memory that the system could have: not for the daemon, a trim or another heap's limit")
{
	struct arena_heap *other = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	struct ctl_stats told;

	start();
	arena_heap_free(arena_heap_alloc(heap, fit(3 * CHUNK_BYTES)));
	arena_heap_free(arena_heap_alloc(other, fit(2 * CHUNK_BYTES)));
	CHECK(idle_chunks(heap) == 3 && idle_chunks(other) == 2);
	told = told_daemon();
	CHECK_EQ(told.cached_bytes, 2 * CHUNK_BYTES);
	CHECK_EQ(told.handed_bytes, 2 * CHUNK_BYTES);
	CHECK_EQ(arena_trim(SIZE_MAX), 2 * CHUNK_BYTES);
	CHECK_EQ(idle_chunks(heap), 3);
	CHECK_EQ(arena_heap_set_limit(NULL, 4 * CHUNK_BYTES), 0);
	CHECK(arena_heap_alloc(other, fit(4 * CHUNK_BYTES)) && !arena_heap_alloc(other, 1));
	CHECK_EQ(idle_chunks(heap), 3);
}

TEST(own_idle, "supplied/its idle chunks serve for a longer run, together with what was never used")
{
	size_t nr = 0;

	start();
	while (nr < CHUNKS && arena_heap_alloc(heap, fit(CHUNK_BYTES)))
		nr++;
	arena_heap_destroy(heap);
	/* At the same addresses, which decide how many whole chunks there are. */
	heap = arena_heap_create(&(struct arena_heap_options){ .memory = memory, .memory_bytes = memory_bytes });
	CHECK(heap);
	arena_heap_free(arena_heap_alloc(heap, fit(2 * CHUNK_BYTES)));
	CHECK_EQ(idle_chunks(heap), 2);
	CHECK(arena_heap_alloc(heap, fit((nr - 1) * CHUNK_BYTES)));
	heap_validate((struct heap *)(void *)heap);
}

TEST(nested, "supplied/memory that is an object of another heap is of the inner heap, also in memory that was supplied")
{
	struct arena_heap *outer = arena_heap_create(NULL), *inner, *innermost;
	char *first = arena_heap_alloc(outer, 800000), *middle, *object;

	memset(first, 1, 800000);
	inner = arena_heap_create(&(struct arena_heap_options){ .memory = arena_heap_alloc(outer, 24 * MiB), .memory_bytes = 24 * MiB });
	middle = arena_heap_alloc(inner, 8 * MiB);
	innermost = arena_heap_create(&(struct arena_heap_options){ .memory = middle, .memory_bytes = 8 * MiB });
	CHECK(inner && middle && innermost);
	CHECK(arena_heap_of(middle) == inner);
	for (int i = 0; i < 100; i++) {
		object = arena_heap_alloc(i % 2 ? inner : innermost, i % 3 ? 100000 : 100);
		CHECK(arena_heap_of(object) == (i % 2 ? inner : innermost));
		arena_heap_free(object);
	}
	/* What was freed within is nobody else's. */
	for (int i = 0; i < 100; i++)
		memset(arena_heap_alloc(outer, 100000), 2, 100000);
	for (size_t i = 0; i < 800000; i++)
		CHECK_EQ(first[i], 1);
	arena_heap_destroy(innermost);
	arena_heap_free(middle);
	heap_validate((struct heap *)(void *)inner);
	heap_validate((struct heap *)(void *)outer);
}

TEST(after, "supplied/the memory of a destroyed heap is the program's again, and other heaps go on")
{
	struct arena_heap *other, *first;
	char *theirs, *object;

	/* A heap that stays, so that where others were is still asked. */
	start();
	first = heap;
	other = arena_heap_create(NULL);
	theirs = arena_heap_alloc(other, 100);
	start();
	object = arena_heap_alloc(heap, 100);
	strcpy(object, "still here");
	strcpy(theirs, "and theirs");
	CHECK(arena_heap_of(theirs) == other);
	arena_heap_destroy(heap);
	CHECK_STR(object, "still here");
	CHECK(!arena_heap_of(object));
	memset(memory, 0, memory_bytes);
	CHECK_STR(theirs, "and theirs");
	arena_heap_free(theirs);
	/* The next heap of that number is an ordinary one. */
	heap = arena_heap_create(NULL);
	CHECK(arena_heap_of(arena_heap_alloc(heap, 100)) == heap);
	CHECK(arena_heap_of(arena_heap_alloc(first, 100)) == first);
	heap_validate((struct heap *)(void *)heap);
}

TEST(records, "supplied/who frees objects of other heaps does not look at the memory, which may be gone by then")
{
	struct arena_heap *other = arena_heap_create(NULL);
	void *theirs[] = { arena_heap_alloc(other, 100), arena_heap_alloc(other, 100000) };
	char *pages;

	start();
	CHECK(theirs[0] && theirs[1] && arena_heap_alloc(heap, 100));
	/* As it is to a thread that found the heap before another one destroyed it. */
	pages = memory - 13;
	CHECK(!mprotect(pages, align_up(memory_bytes + 13, PAGE_BYTES), PROT_NONE));
	for (size_t i = 0; i < ARRAY_LEN(theirs); i++) {
		CHECK(arena_heap_of(theirs[i]) == other && arena_heap_usable_bytes(theirs[i]) >= 100);
		arena_heap_free(theirs[i]);
	}
	CHECK(!arena_heap_of(&theirs));
	CHECK(!mprotect(pages, align_up(memory_bytes + 13, PAGE_BYTES), PROT_READ | PROT_WRITE));
	arena_heap_destroy(heap);
}

static uint32_t is_over; /* atomic; relaxed: only a hint to end */

/* What the scavenger and others that look at all heaps meet. */
static void *check_all(void *nr)
{
	while (!atomic_load_relaxed(&is_over)) {
		struct heap *met = heap_hold(1);

		if (!met)
			continue;
		CHECK(met->supplied && met->pages.place.take);
		CHECK(supplied_heap_of((void *)met->pages.region->base) == met);
		++*(size_t *)nr;
		heap_unhold();
	}
	return NULL;
}

TEST(whole, "supplied/a heap is whole when others can see it")
{
	struct arena_heap_options options = { 0 };
	pthread_t thread;
	size_t nr = 0;

	start();
	options.memory = memory;
	options.memory_bytes = memory_bytes;
	CHECK(!pthread_create(&thread, NULL, check_all, &nr));
	for (size_t i = 0; i < 3000 && harness_seconds() < 10; i++) {
		arena_heap_destroy(heap);
		CHECK(heap = arena_heap_create(&options));
	}
	atomic_store_relaxed(&is_over, 1u);
	CHECK(!pthread_join(thread, NULL));
	harness_note("met %zu times", nr);
}

/* ---------------------------------------------------------------- heaps of the same number */

static pthread_barrier_t in_turn;

/* Its cache is parked when the ordinary heap that it was of is no more. */
static void *outlive(void *ordinary)
{
	CHECK(arena_heap_alloc(ordinary, 100));
	pthread_barrier_wait(&in_turn);
	pthread_barrier_wait(&in_turn);
	return NULL;
}

static void *use(void *ordinary)
{
	CHECK(arena_heap_alloc(ordinary, 100));
	return NULL;
}

/* A heap in memory where there was one whose threads ended, some before it and some after. */
static struct heap *start_after_others(void)
{
	struct arena_heap *ordinary = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_THP });
	pthread_t first, second;

	CHECK(ordinary && !pthread_barrier_init(&in_turn, NULL, 2));
	CHECK(!pthread_create(&first, NULL, use, ordinary) && !pthread_create(&second, NULL, outlive, ordinary));
	CHECK(!pthread_join(first, NULL));
	pthread_barrier_wait(&in_turn);
	arena_heap_destroy(ordinary);
	start();
	CHECK((void *)heap == (void *)ordinary);
	pthread_barrier_wait(&in_turn);
	CHECK(!pthread_join(second, NULL));
	return (struct heap *)(void *)heap;
}

TEST(left, "supplied/what ended threads left in a heap of the same number is nothing to it")
{
	struct heap *inner = start_after_others();

	CHECK(inner->nr_parked);
	CHECK(arena_heap_alloc(heap, 100));
	CHECK(!heap_read_news(inner));
	while (arena_heap_alloc(heap, 1000))
		;
	for (const struct cache *cache = inner->parked; cache; cache = cache->next_parked)
		CHECK(!cache->hurry && !cache->nr_pages);
	heap_validate(inner);
}

/* As while another thread, before a refusal, goes through the heap's records: it may wait for the lock that an allocation holds. */
static bool alloc_while_searched(enum arena_pressure pressure, size_t want_bytes, void *context)
{
	struct heap *inner = context;

	(void)want_bytes;
	if (pressure == ARENA_PRESSURE_HARD) {
		lock_acquire(&inner->news);
		CHECK(arena_heap_alloc(heap, 100));
		lock_release(&inner->news);
	}
	return false;
}

TEST(searched, "supplied/an allocation does not wait for who goes through the heap's records, also not near another heap's limit")
{
	struct arena_heap_options options = { .source = ARENA_SOURCE_THP, .limit_bytes = CHUNK_BYTES, .on_pressure = alloc_while_searched };
	struct arena_heap *limited;

	options.context = start_after_others();
	limited = arena_heap_create(&options);
	CHECK(limited);
	/* Ends by SIGALRM when it waits. */
	alarm(10);
	while (arena_heap_alloc(limited, 1000))
		;
	alarm(0);
}

/* ---------------------------------------------------------------- fork */

static uint32_t is_locked, is_forked; /* atomic: the release of each pairs with the acquire of the other thread */

/* As in the middle of an allocation; over when who forks waits for the lock, or did not. */
static void *hold_region(void *lock)
{
	lock_acquire(lock);
	atomic_store_release(&is_locked, 1u);
	while (atomic_load_relaxed(&((struct lock *)lock)->word) != 2 && !atomic_load_acquire(&is_forked))
		;
	lock_release(lock);
	return NULL;
}

TEST(forks, "supplied/a child of a fork in the middle of another thread's allocation can allocate")
{
	pthread_t thread;
	int status;
	pid_t pid;

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	start();
	CHECK(!pthread_create(&thread, NULL, hold_region, &((struct heap *)(void *)heap)->pages.region->lock));
	while (!atomic_load_acquire(&is_locked))
		;
	pid = fork();
	if (!pid) {
		/* Ends by SIGALRM when the lock stayed behind. */
		alarm(5);
		_exit(!arena_heap_alloc(heap, 100));
	}
	atomic_store_release(&is_forked, 1u);
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	CHECK(!pthread_join(thread, NULL));
	CHECK(arena_heap_alloc(heap, 100));
	heap_validate((struct heap *)(void *)heap);
}
