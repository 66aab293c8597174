// SPDX-License-Identifier: MIT
/* Numbers of heaps: the identity at every moment, JSON that says the same, and what other processes read. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena/heap.h"
#include "arena/gc.h"
#include "arena/shared.h"
#include "checked.h"
#include "os.h"
#include "pace.h"
#include "publish.h"
#include "tests/harness.h"

static struct heap *heap;

static struct arena_heap *outer(void)
{
	return (struct arena_heap *)(void *)heap;
}

static void step(void **kept, size_t nr, struct random *random)
{
	size_t i = random_below(random, nr);

	arena_heap_free(kept[i]);
	kept[i] = arena_heap_alloc(outer(), random_below(random, 20) ? random_below(random, 9000) : random_below(random, 4 * MiB));
}

TEST(identity, "publish/handed = mapped + idle + returned after every step, and what is held is what the heap's chunks are")
{
	struct random random = { .state = harness_seed() };
	struct arena_heap_stats stats;
	void *kept[64] = { NULL };

	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(heap);
	for (int i = 0; i < 5000; i++) {
		uint64_t held = 0;

		step(kept, 64, &random);
		if (i % 100 == 0)
			arena_heap_trim(outer(), random_below(&random, 10 * MiB));
		/* The scavenger may be at work. */
		lock_acquire(&heap->lock);
		heap_count(heap, &stats);
		for (uint32_t chunk = 0; chunk < 64; chunk++)
			held += heap_region()->chunks[chunk].pages == &heap->pages && heap_region()->chunks[chunk].is_backed;
		lock_release(&heap->lock);
		CHECK_EQ(stats.handed_chunks, stats.mapped_chunks + stats.idle_chunks + stats.returned_chunks);
		CHECK_EQ(stats.mapped_chunks + stats.idle_chunks, held);
	}
	CHECK(stats.returned_chunks > 10);
}

TEST(json, "publish/json says of each heap the same as the struct")
{
	const struct arena_heap_options options = { .source = ARENA_SOURCE_PAGES, .limit_bytes = 64 * MiB };
	struct arena_heap *one = arena_heap_create(NULL), *two = arena_heap_create(&options);
	struct arena_heap_stats stats;
	char *text;

	CHECK(one && two && arena_heap_alloc(one, 9 * MiB));
	arena_heap_free(arena_heap_alloc(two, 7 * MiB));
	CHECK(arena_heap_alloc(two, 100));
	arena_heap_stats(two, &stats);
	text = arena_heap_json();
	CHECK_EQ(harness_number_after(text, "\"heap\":1", "\"mapped_chunks\":"), 5);
	CHECK_EQ(harness_number_after(text, "\"heap\":2,\"source\":\"pages\"", "\"limit_chunks\":"), 32);
	CHECK_EQ(harness_number_after(text, "\"heap\":2", "\"handed_chunks\":"), stats.handed_chunks);
	CHECK_EQ(harness_number_after(text, "\"heap\":2", "\"mapped_chunks\":"), 1);
	CHECK_EQ(harness_number_after(text, "\"heap\":2", "\"idle_chunks\":"), stats.idle_chunks);
	CHECK_EQ(harness_number_after(text, "\"heap\":2", "\"used_bytes\":"), stats.used_bytes);
	CHECK_EQ(text[strlen(text) - 1], '}');
	free(text);
}

/* ---------------------------------------------------------------- shared */

/* The descriptor of a process, opened for reading as others do it; -1 when there is none. */
static int find_shared(pid_t pid, int flags)
{
	char path[64], link[64];
	ssize_t length;

	for (int fd = 0; fd < 1200; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
		length = readlink(path, link, sizeof(link) - 1);
		link[length > 0 ? length : 0] = 0;
		if (!strcmp(link, "/memfd:" ARENA_SHARED_NAME " (deleted)"))
			return open(path, flags | O_CLOEXEC);
	}
	return -1;
}

static const struct arena_shared *map_shared(pid_t pid)
{
	int fd = find_shared(pid, O_RDONLY);
	const struct arena_shared *shared;
	struct stat file;

	CHECK(fd >= 0);
	CHECK(!fstat(fd, &file));
	shared = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, fd, 0);
	CHECK(shared != MAP_FAILED);
	close(fd);
	CHECK_EQ(shared->magic, ARENA_SHARED_MAGIC);
	CHECK_EQ(shared->version, ARENA_SHARED_VERSION);
	CHECK_EQ(shared->bytes, file.st_size);
	CHECK_EQ(shared->pid, pid);
	return shared;
}

static void check_same(const struct arena_shared_heap *shared)
{
	struct arena_heap_stats stats;
	struct arena_shared_heap copy;
	uint64_t sequence;

	/* The scavenger may be at work between two looks. */
	do {
		CHECK(arena_shared_read(shared, &copy));
		sequence = copy.sequence;
		arena_heap_stats(outer(), &stats);
		CHECK(arena_shared_read(shared, &copy));
	} while (copy.sequence != sequence);
	CHECK_EQ(copy.is_live, 1);
	CHECK_EQ(copy.source, heap->pages.source);
	CHECK_EQ(copy.handed_chunks, stats.handed_chunks);
	CHECK_EQ(copy.mapped_chunks, stats.mapped_chunks);
	CHECK_EQ(copy.idle_chunks, stats.idle_chunks);
	CHECK_EQ(copy.returned_chunks, stats.returned_chunks);
	CHECK_EQ(copy.used_bytes, stats.used_bytes);
}

TEST(supplied, "publish/so is what a heap in memory of the program gives back when it is beyond 95 % of its limit", "ARENA_SHARED_STATS=1")
{
	enum { HAS = 40, LIMIT = 20 };
	struct arena_heap_options options = { .memory_bytes = HAS * CHUNK_BYTES, .limit_bytes = LIMIT * CHUNK_BYTES };
	void *objects[LIMIT];

	options.memory = mmap(NULL, options.memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(options.memory != MAP_FAILED);
	heap = (struct heap *)(void *)arena_heap_create(&options);
	CHECK(heap);
	for (size_t i = 0; i < LIMIT; i++)
		CHECK((objects[i] = arena_heap_alloc(outer(), CHUNK_BYTES)));
	for (size_t i = 0; i < LIMIT; i += 2)
		arena_heap_free(objects[i]);
	/* As when another thread has just made it grow. */
	atomic_store_relaxed(&heap->is_due, true);
	CHECK(arena_heap_alloc(outer(), CHUNK_BYTES));
	CHECK_EQ(heap->pages.nr_idle, 8);
	check_same(&map_shared(getpid())->heaps[heap->id]);
}

TEST(by_itself, "publish/so is what the scavenger gives back while the program does nothing", "ARENA_SHARED_STATS=1")
{
	struct arena_heap_stats stats;

	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	heap = heap_create(ARENA_SOURCE_PAGES);
	arena_heap_free(arena_heap_alloc(outer(), 64 * MiB));
	do {
		os_sleep_ns(10000000);
		arena_heap_stats(outer(), &stats);
	} while (stats.idle_chunks > PACE_KEEP_CHUNKS && harness_seconds() < 60);
	CHECK_EQ(stats.idle_chunks, PACE_KEEP_CHUNKS);
	check_same(&map_shared(getpid())->heaps[heap->id]);
}

TEST(for_another, "publish/so is what a heap gives back for another one, near the limit of the process", "ARENA_SHARED_STATS=1")
{
	enum { LIMIT = 40 };
	struct arena_heap *other = arena_heap_create(&(struct arena_heap_options){ .source = ARENA_SOURCE_PAGES });
	struct arena_heap_stats stats;

	if (checked_is_on())
		harness_skip("what is freed rests where objects are looked after");
	heap = heap_create(ARENA_SOURCE_PAGES);
	CHECK(!arena_heap_set_limit(NULL, LIMIT * CHUNK_BYTES));
	/* Too little for a scavenger. */
	arena_heap_free(arena_heap_alloc(outer(), 6 * CHUNK_BYTES));
	CHECK_EQ(heap->pages.nr_idle, 6);
	CHECK(arena_heap_alloc(other, (LIMIT - 6) * CHUNK_BYTES));
	/* The scavenger has been started by now, and may be at work. */
	arena_heap_stats(outer(), &stats);
	CHECK(stats.returned_chunks >= 2);
	check_same(&map_shared(getpid())->heaps[heap->id]);
}

TEST(same, "publish/what others read is what the heap says, after every kind of change", "ARENA_SHARED_STATS=1")
{
	struct random random = { .state = harness_seed() };
	struct arena_shared_heap copy;
	const struct arena_shared *shared;
	void *kept[64] = { NULL };

	heap = heap_create(ARENA_SOURCE_THP);
	shared = map_shared(getpid());
	for (int i = 0; i < 3000; i++) {
		step(kept, 64, &random);
		if (i % 100 == 0)
			arena_heap_trim(outer(), random_below(&random, 10 * MiB));
		if (i % 100 == 50)
			heap_scavenge(heap, 1, UINT64_MAX);
		check_same(&shared->heaps[heap->id]);
	}
	heap_destroy(heap);
	CHECK(arena_shared_read(&shared->heaps[1], &copy));
	CHECK_EQ(copy.is_live, 0);
}

TEST(collected, "publish/after each cycle others read what lives in a collected heap and where it goes", "ARENA_SHARED_STATS=1")
{
	struct arena_gc *gc = arena_gc_create(&(struct arena_gc_options){ .source = ARENA_SOURCE_THP, .percent = 100 });
	const struct arena_shared_heap *shared = &map_shared(getpid())->heaps[1];
	struct arena_shared_heap copy;
	struct arena_gc_stats stats;

	CHECK(gc && arena_shared_read(shared, &copy));
	CHECK(copy.is_live && copy.is_collected && !copy.nr_cycles && copy.goal_bytes == 4 * MiB);
	for (int i = 0; i < 3; i++)
		arena_gc_collect(gc);
	arena_gc_stats(gc, &stats);
	CHECK(arena_shared_read(shared, &copy));
	CHECK_EQ(copy.nr_cycles, stats.nr_cycles);
	CHECK_EQ(copy.live_bytes, stats.live_bytes);
	CHECK_EQ(copy.goal_bytes, stats.goal_bytes);
	arena_gc_destroy(gc);
	/* The next one with that number has none. */
	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(arena_shared_read(shared, &copy));
	CHECK(copy.is_live && !copy.is_collected);
}

TEST(sealed, "publish/nobody else can write to it or cut it short", "ARENA_SHARED_STATS=1")
{
	int fd;

	heap = heap_create(ARENA_SOURCE_THP);
	fd = find_shared(getpid(), O_RDWR);
	CHECK(fd >= 0);
	CHECK(ftruncate(fd, 0) && errno == EPERM);
	if (!(fcntl(fd, F_GET_SEALS) & 0x10))
		harness_skip("this kernel has no seal against writers");
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
}

TEST(off, "publish/not asked for, there is no descriptor")
{
	heap = heap_create(ARENA_SOURCE_THP);
	CHECK(arena_heap_alloc(outer(), 100));
	CHECK_EQ(find_shared(getpid(), O_RDONLY), -1);
	CHECK(!heap->shared);
}

static uint32_t is_over; /* atomic; relaxed: only a hint to end */

static void *churn(void *random)
{
	void *kept[64] = { NULL };

	while (!atomic_load_relaxed(&is_over))
		step(kept, 64, random);
	return NULL;
}

TEST(consistent, "publish/the identity holds in each copy while two threads change it", "ARENA_SHARED_STATS=1")
{
	struct random randoms[2] = { { .state = harness_seed() }, { .state = harness_seed() + 1 } };
	const struct arena_shared *shared;
	uint64_t last = 0, changes = 0;
	pthread_t threads[2];

	heap = heap_create(ARENA_SOURCE_PAGES);
	shared = map_shared(getpid());
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_create(&threads[i], NULL, churn, &randoms[i]));
	while (changes < 2000 && harness_seconds() < 60) {
		struct arena_shared_heap copy;

		if (!arena_shared_read(&shared->heaps[heap->id], &copy))
			continue;
		CHECK_EQ(copy.handed_chunks, copy.mapped_chunks + copy.idle_chunks + copy.returned_chunks);
		CHECK(copy.used_bytes <= copy.mapped_chunks * CHUNK_BYTES);
		CHECK(copy.used_bytes > 0 || !copy.mapped_chunks);
		changes += copy.sequence != last;
		last = copy.sequence;
	}
	atomic_store_relaxed(&is_over, 1u);
	for (size_t i = 0; i < 2; i++)
		CHECK(!pthread_join(threads[i], NULL));
	CHECK(changes > 1);
}

static void in_child(void *shared_of_parent)
{
	const struct arena_shared *parents = shared_of_parent, *shared = map_shared(getpid());
	uint64_t before = parents->heaps[heap->id].sequence;

	CHECK_EQ(shared->heaps[heap->id].used_bytes, parents->heaps[heap->id].used_bytes);
	CHECK(arena_heap_alloc(outer(), 20 * MiB));
	check_same(&shared->heaps[heap->id]);
	CHECK_EQ(parents->heaps[heap->id].sequence, before);
}

TEST(child, "publish/a child of fork has numbers of its own, also where the program closed the descriptor", "ARENA_SHARED_STATS=1")
{
	const struct arena_shared *shared;
	struct death death;

	heap = heap_create(ARENA_SOURCE_PAGES);
	CHECK(arena_heap_alloc(outer(), 3 * MiB));
	shared = map_shared(getpid());
	harness_child(&death, in_child, (void *)(uintptr_t)shared);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
	for (int fd = 3; fd < 1200; fd++)
		close(fd);
	harness_child(&death, in_child, (void *)(uintptr_t)shared);
	CHECK_EQ(death.signal, 0);
	CHECK_EQ(death.status, 0);
}
