// SPDX-License-Identifier: MIT
/* Heaps on a program's own memory, and on a node of its choice. */
#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arena/heap.h"
#include "arena/profile.h"
#include "guard.h"
#include "heap.h"
#include "tests/harness.h"

enum { FILE_CHUNKS = 16 };

/* A file whose next part each chunk is; what is given back is not used again. */
struct file {
	int fd;
	size_t nr_taken, nr_given;
	char *where[FILE_CHUNKS];	/* address of each part */
	unsigned char dirt;		/* what the file is filled with */
};

static int take(void *context, void *address, size_t bytes)
{
	struct file *file = context;
	size_t nr = bytes / CHUNK_BYTES;

	CHECK_EQ((uintptr_t)address % CHUNK_BYTES, 0);
	CHECK(nr * CHUNK_BYTES == bytes && nr);
	if (file->nr_taken + nr > FILE_CHUNKS)
		return -ENOSPC;
	if (mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file->fd,
		 (off_t)(file->nr_taken * CHUNK_BYTES)) != address)
		return -errno;
	memset(address, file->dirt, bytes);
	for (size_t i = 0; i < nr; i++)
		file->where[file->nr_taken++] = (char *)address + i * CHUNK_BYTES;
	return 0;
}

static void give(void *context, void *address, size_t bytes)
{
	struct file *file = context;

	CHECK_EQ(bytes, CHUNK_BYTES);
	/* Still there. */
	(void)*(volatile char *)address;
	file->nr_given++;
}

static struct arena_heap *heap_in(struct file *file, bool is_zeroed)
{
	const struct arena_heap_hooks hooks = { .take = take, .give = give, .context = file, .is_zeroed = is_zeroed };
	const struct arena_heap_options options = { .hooks = &hooks };
	struct arena_heap *heap;

	file->fd = (int)syscall(SYS_memfd_create, "chunks", 0u);
	CHECK(file->fd >= 0 && !ftruncate(file->fd, FILE_CHUNKS * (off_t)CHUNK_BYTES));
	heap = arena_heap_create(&options);
	CHECK(heap);
	return heap;
}

static void check_balance(struct arena_heap *heap, const struct file *file)
{
	struct arena_heap_stats stats;

	arena_heap_stats(heap, &stats);
	CHECK_EQ(stats.handed_chunks, file->nr_taken);
	CHECK_EQ(stats.returned_chunks, file->nr_given);
	CHECK_EQ(stats.mapped_chunks + stats.idle_chunks, file->nr_taken - file->nr_given);
}

/* What the file holds at an address of the heap. */
static void check_in_file(const struct file *file, const char *object, const char *text)
{
	char copy[64] = "";

	for (size_t i = 0; i < file->nr_taken; i++)
		if (object >= file->where[i] && object < file->where[i] + CHUNK_BYTES)
			CHECK(pread(file->fd, copy, sizeof(copy) - 1, (off_t)(i * CHUNK_BYTES) + (object - file->where[i])) > 0);
	copy[strlen(text)] = 0;
	CHECK_STR(copy, text);
}

TEST(in_file, "hooks/objects are in the program's own memory, the first ones too, and all of it comes back")
{
	struct file file = { .dirt = 0 };
	struct arena_heap *heap = heap_in(&file, true);
	char *small = arena_heap_alloc(heap, 100), *large = arena_heap_alloc(heap, 5 * MiB);

	CHECK(small && large);
	strcpy(small, "small");
	strcpy(large, "large");
	check_in_file(&file, small, "small");
	check_in_file(&file, large, "large");
	check_balance(heap, &file);
	arena_heap_free(large);
	CHECK(arena_heap_trim(heap, SIZE_MAX) >= 2 * CHUNK_BYTES);
	CHECK(file.nr_given >= 2);
	check_balance(heap, &file);
	CHECK(harness_faults(large));
	heap_validate((struct heap *)(void *)heap);
	arena_heap_destroy(heap);
	CHECK_EQ(file.nr_given, file.nr_taken);
	CHECK(harness_faults(small));
}

TEST(full, "hooks/when the program has no more it is NULL, and what is freed serves again")
{
	struct file file = { .dirt = 0 };
	struct arena_heap *heap = heap_in(&file, true);
	void *objects[2000], *first;
	size_t nr = 0;

	while (nr < 2000 && (objects[nr] = arena_heap_alloc(heap, 100000)))
		nr++;
	CHECK(nr > 300 && nr < 400);
	CHECK_EQ(file.nr_taken, FILE_CHUNKS);
	CHECK(!arena_heap_alloc(heap, 40 * MiB));
	first = objects[0];
	arena_heap_free(first);
	CHECK(arena_heap_alloc(heap, 100000) == first);
	check_balance(heap, &file);
	heap_validate((struct heap *)(void *)heap);
}

static void *hole;

/* As mmap() with MAP_FIXED and MAP_HUGETLB does where no huge page is free: what was there is gone. */
static int leave_hole(void *context, void *address, size_t bytes)
{
	(void)context;
	hole = address;
	CHECK(!munmap(address, bytes));
	return -ENOMEM;
}

TEST(unfilled, "hooks/addresses that a hook has unmapped and not filled stay the heap's")
{
	const struct arena_heap_hooks hooks = { .take = leave_hole };
	struct arena_heap *heap = arena_heap_create(&(struct arena_heap_options){ .hooks = &hooks });

	CHECK(heap && !arena_heap_alloc(heap, 100) && hole);
	CHECK(mmap(hole, CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED);
	arena_heap_destroy(heap);
}

TEST(dirty, "hooks/calloc clears memory that the program does not call zeroed")
{
	struct file file = { .dirt = 0xff };
	struct arena_heap *heap = heap_in(&file, false);

	for (size_t bytes = 1; bytes < 3 * MiB; bytes = bytes * 3 + 1) {
		unsigned char *object = arena_heap_calloc(heap, 1, bytes);

		CHECK(object);
		for (size_t i = 0; i < bytes; i++)
			CHECK_EQ(object[i], 0);
	}
}

TEST(absurd, "hooks/options that contradict each other make no heap")
{
	const struct arena_heap_hooks no_take = { .give = give }, hooks = { .take = take };
	const struct arena_heap_options options[] = {
		{ .hooks = &no_take },
		{ .hooks = &hooks, .is_on_node = true },
		{ .source = ARENA_SOURCE_DEV, .is_on_node = true },
		{ .is_on_node = true, .node = 1023 },
		{ .is_on_node = true, .node = UINT32_MAX },
	};

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		CHECK(!arena_heap_create(&options[i]));
	CHECK(arena_heap_create(NULL));
}

/* Every object is a sample, and guarded where that may be. */
static void sample_all(void)
{
	CHECK_EQ(arena_profile_start(&(struct arena_profile_options){ .mean_bytes = 1, .seed = 1, .guarded_objects = 100 }), 0);
}

TEST(sampled, "hooks/sampled objects are in the program's own memory, too")
{
	struct arena_heap *heap, *other = arena_heap_create(NULL);
	struct file file = { .dirt = 0 };

	sample_all();
	CHECK(guard_owns(arena_heap_alloc(other, 100)));
	heap = heap_in(&file, true);
	for (size_t i = 0; i < 20; i++) {
		char *object = arena_heap_alloc(heap, 100);

		CHECK(object && !guard_owns(object));
		strcpy(object, "sample");
		check_in_file(&file, object, "sample");
	}
	heap_validate((struct heap *)(void *)heap);
}

/* ---------------------------------------------------------------- nodes */

static bool has_node(unsigned int node)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", node);
	return !access(path, F_OK);
}

/* Objects of all kinds, touched. */
static void fill(struct arena_heap *heap, char **objects, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		size_t bytes = i ? (size_t)100 << i : 10;

		objects[i] = arena_heap_alloc(heap, bytes);
		CHECK(objects[i]);
		memset(objects[i], 1, bytes);
	}
}

TEST(policy, "hooks/all memory of a heap on a node has its policy, the first chunk and samples too, and only there")
{
	const struct arena_heap_options options = { .is_on_node = true, .node = 0 };
	struct arena_heap *heap = arena_heap_create(&options), *other = arena_heap_create(NULL);
	char *objects[32], *elsewhere = arena_heap_alloc(other, 100);
	unsigned long mask[16];
	int mode;

	if (!heap && !has_node(0))
		harness_skip("this kernel knows no nodes");
	CHECK(heap);
	fill(heap, objects, 16);
	sample_all();
	fill(heap, objects + 16, 16);
	for (size_t i = 0; i < 32; i++) {
		CHECK(!syscall(SYS_get_mempolicy, &mode, mask, 1025ul, objects[i], (unsigned long)MPOL_F_ADDR));
		CHECK_EQ(mode, MPOL_PREFERRED);
		CHECK_EQ(mask[0], 1);
	}
	CHECK(!syscall(SYS_get_mempolicy, &mode, mask, 1025ul, elsewhere, (unsigned long)MPOL_F_ADDR));
	CHECK_EQ(mode, MPOL_DEFAULT);
}

TEST(placement, "hooks/memory of a heap on the second node is there")
{
	const struct arena_heap_options options = { .is_on_node = true, .node = 1 };
	struct arena_heap *heap = arena_heap_create(&options);
	char *objects[16];

	if (!has_node(1)) {
		CHECK(!heap);
		harness_skip("this machine has one node");
	}
	CHECK(heap);
	fill(heap, objects, 16);
	for (size_t i = 0; i < 16; i++) {
		int node = -1;
		void *page = (void *)((uintptr_t)objects[i] & ~(PAGE_BYTES - 1));

		CHECK(!syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0));
		CHECK_EQ(node, 1);
	}
}

/* ---------------------------------------------------------------- a long trim beside other threads */

enum { TRIM_CHUNKS = 512 };

static struct {
	const struct lock *lock; /* that is held, and wanted by the other thread */
	uint32_t is_ready;	/* atomic: the release pairs with the acquire in free_when_ready() */
	uint32_t nr_given;	/* atomic, relaxed: a hint to begin */
	uint32_t is_done;	/* atomic: the release pairs with the acquire in give_beside() */
} trimmed;

static int take_untouched(void *context, void *address, size_t bytes)
{
	(void)context;
	return mmap(address, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == address ? 0 : -errno;
}

/* The lock is held: the other thread comes to wait for it, unless it had it. */
static void give_beside(void *context, void *address, size_t bytes)
{
	(void)context;
	(void)address;
	CHECK_EQ(bytes, CHUNK_BYTES);
	atomic_store_relaxed(&trimmed.nr_given, trimmed.nr_given + 1);
	while (atomic_load_relaxed(&trimmed.lock->word) != 2 && !atomic_load_acquire(&trimmed.is_done))
		sched_yield();
}

/* Allocate from @heap, or, when that is NULL, make another one. */
static void *work_beside(void *heap)
{
	uint32_t nr_given;
	void *got;

	/* So that it has a cache of that heap. */
	if (heap)
		arena_heap_free(arena_heap_alloc(heap, 100));
	atomic_store_release(&trimmed.is_ready, 1u);
	while (!atomic_load_relaxed(&trimmed.nr_given))
		sched_yield();
	got = heap ? arena_heap_alloc(heap, 100000) : (void *)arena_heap_create(NULL);
	nr_given = atomic_load_relaxed(&trimmed.nr_given);
	harness_note("done after %u chunks", (unsigned int)nr_given);
	CHECK(got && nr_given < TRIM_CHUNKS);
	atomic_store_release(&trimmed.is_done, 1u);
	return got;
}

static struct arena_heap *heap_given_beside(void)
{
	const struct arena_heap_hooks hooks = { .take = take_untouched, .give = give_beside };

	return arena_heap_create(&(struct arena_heap_options){ .hooks = &hooks });
}

static void free_when_ready(void *object)
{
	while (!atomic_load_acquire(&trimmed.is_ready))
		sched_yield();
	arena_heap_free(object);
}

TEST(beside, "hooks/another thread allocates while a trim gives chunks back")
{
	struct arena_heap *heap = heap_given_beside();
	char *object = arena_heap_alloc(heap, TRIM_CHUNKS * CHUNK_BYTES - MiB);
	struct heap *it = (struct heap *)(void *)heap;
	pthread_t thread;

	CHECK(object);
	trimmed.lock = &it->lock;
	CHECK(!pthread_create(&thread, NULL, work_beside, heap));
	free_when_ready(object);
	arena_heap_trim(heap, SIZE_MAX);
	CHECK(!pthread_join(thread, NULL));
	/* Its objects are in two. */
	CHECK(trimmed.nr_given >= TRIM_CHUNKS - 2);
	heap_validate(it);
}

TEST(beside_all, "hooks/another thread makes a heap while a trim of all gives chunks back")
{
	struct arena_heap *heap = heap_given_beside();
	char *object = arena_heap_alloc(heap, TRIM_CHUNKS * CHUNK_BYTES - MiB);
	pthread_t thread;

	CHECK(object);
	trimmed.lock = &lock_setup;
	CHECK(!pthread_create(&thread, NULL, work_beside, NULL));
	free_when_ready(object);
	arena_trim(SIZE_MAX);
	CHECK(!pthread_join(thread, NULL));
	CHECK_EQ(trimmed.nr_given, TRIM_CHUNKS);
	heap_validate((struct heap *)(void *)heap);
}
