// SPDX-License-Identifier: MIT
/*
 * ARENA_IOC_POPULATE: what is mapped afterwards, by what, and what is refused.
 *
 * Models a program that wants its faults before its deadline. That no fault is left is shown by the
 * module's counter of faults and by Rss, which a touch would change.
 */
#include "common.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define CHUNK_KB ((long)(CHUNK_BYTES / 1024))

static int populate_bytes(int fd, uint64_t address, uint64_t length_bytes, uint64_t *nr_chunks)
{
	struct arena_populate p = { .size = sizeof(p), .address = address, .length_bytes = length_bytes };
	int error = call_errno(fd, ARENA_IOC_POPULATE, &p);

	if (nr_chunks)
		*nr_chunks = p.nr_chunks;
	return error;
}

static int populate(int fd, const char *map, uint64_t nr)
{
	return populate_bytes(fd, (uintptr_t)map, nr * CHUNK_BYTES, NULL);
}

TEST_F(space, maps_every_chunk_by_a_pmd)
{
	char *map = space_map(self->fd, 3, 100);
	uint64_t nr_chunks = 0, faults;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, populate_bytes(self->fd, (uintptr_t)map, 100 * CHUNK_BYTES, &nr_chunks));
	EXPECT_EQ(100, nr_chunks);
	EXPECT_EQ(100 * CHUNK_KB, smaps_kb(map, "Rss"));
	EXPECT_EQ(100 * CHUNK_KB, smaps_kb(map, "FilePmdMapped"));
	EXPECT_EQ(100, space_stat(self->dev).live_chunks);
	faults = module_stat(self->dev).fault_count;
	for (int i = 0; i < 100; i++)
		map[i * (long)CHUNK_BYTES + 77] = 1;
	EXPECT_EQ(faults, module_stat(self->dev).fault_count);
	EXPECT_EQ(0, populate(self->fd, map, 100)) TH_LOG("a second time");
	EXPECT_EQ(faults, module_stat(self->dev).fault_count);
}

TEST_F(space, zeros_what_was_reserved_uncleared)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_NO_CLEAR,
				   .length_bytes = 8 * CHUNK_BYTES };
	char *map = space_map(self->fd, 0, 8);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 8 * CHUNK_BYTES, 0x5ec);
	ASSERT_EQ(0, space_zap(self->fd, 0, 8, NULL));
	ASSERT_EQ(0, call_errno(self->fd, ARENA_IOC_RESERVE, &r));
	ASSERT_EQ(0, populate(self->fd, map, 8));
	EXPECT_TRUE(all_words(map, 8 * CHUNK_BYTES, 0));
}

TEST_F(space, stops_at_a_slot_that_is_not_reserved)
{
	char *map = space_map_bare(self->fd, 0, 4);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 2, NULL));
	EXPECT_EQ(EFAULT, populate(self->fd, map, 4));
	EXPECT_EQ(2 * CHUNK_KB, smaps_kb(map, "Rss")) TH_LOG("what came before stays");
	EXPECT_EQ(SIGBUS, fault_touch(map + 2 * CHUNK_BYTES));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, takes_on_touch)
{
	int fd = space_create_full(self->dev, 4, 0, ARENA_CREATE_ON_TOUCH);
	char *map = space_map(fd, 0, 4);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, populate(fd, map, 4));
	EXPECT_EQ(4 * CHUNK_KB, smaps_kb(map, "Rss"));
	EXPECT_EQ(0, munmap(map, 4 * CHUNK_BYTES));
	close(fd);
}

TEST_F(space, refuses_what_is_not_this_space)
{
	int fd = space_create(self->dev, 4);
	char *other = space_map(fd, 0, 4), *map = space_map(self->fd, 0, 4);
	char *heap = mmap(NULL, 4 * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t inside = ((uintptr_t)heap + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1);

	ASSERT_NE(MAP_FAILED, other);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(EFAULT, populate(self->fd, other, 4));
	EXPECT_EQ(EFAULT, populate(self->dev, map, 4));
	EXPECT_EQ(EFAULT, populate_bytes(self->fd, inside, CHUNK_BYTES, NULL));
	EXPECT_EQ(0, smaps_kb(heap, "Rss"));
	ASSERT_EQ(0, munmap(map + CHUNK_BYTES, CHUNK_BYTES));
	EXPECT_EQ(EFAULT, populate(self->fd, map, 4));
	EXPECT_EQ(CHUNK_KB, smaps_kb(map, "Rss"));
	EXPECT_EQ(0, smaps_kb(map + 2 * CHUNK_BYTES, "Rss"));
	EXPECT_EQ(0, munmap(other, 4 * CHUNK_BYTES));
	close(fd);
}

TEST_F(space, refuses_hostile_ranges)
{
	static const uint64_t addresses[] = { 0, CHUNK_BYTES, 1ULL << 46, 1ULL << 47, 1ULL << 62, 1ULL << 63,
					      -CHUNK_BYTES };
	static const uint64_t lengths[] = { CHUNK_BYTES, 1ULL << 47, 1ULL << 63, -CHUNK_BYTES };
	char *map = space_map(self->fd, 0, 2);

	ASSERT_NE(MAP_FAILED, map);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
		for (size_t j = 0; j < ARRAY_SIZE(lengths); j++)
			EXPECT_EQ(EFAULT, populate_bytes(self->fd, addresses[i], lengths[j], NULL));
	for (size_t j = 1; j < ARRAY_SIZE(lengths); j++)
		EXPECT_EQ(EFAULT, populate_bytes(self->fd, (uintptr_t)map, lengths[j], NULL));
	EXPECT_EQ(EINVAL, populate_bytes(self->fd, (uintptr_t)map, 0, NULL));
	EXPECT_EQ(EINVAL, populate_bytes(self->fd, (uintptr_t)map, 4096, NULL));
	EXPECT_EQ(EINVAL, populate_bytes(self->fd, (uintptr_t)map + 4096, CHUNK_BYTES, NULL));
}

TEST_F(space, obeys_the_protection)
{
	char *map = space_map(self->fd, 0, 3);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, mprotect(map, CHUNK_BYTES, PROT_READ));
	ASSERT_EQ(0, mprotect(map + 2 * CHUNK_BYTES, CHUNK_BYTES, PROT_NONE));
	EXPECT_EQ(0, populate(self->fd, map, 2));
	EXPECT_EQ(SIGSEGV, fault_write(map, 1));
	EXPECT_EQ(CHUNK_KB, smaps_kb(map, "Rss"));
	EXPECT_EQ(EFAULT, populate(self->fd, map + 2 * CHUNK_BYTES, 1));
	EXPECT_EQ(0, smaps_kb(map + 2 * CHUNK_BYTES, "Rss"));
}

/* Where no PMD is possible every page must be there all the same. */
TEST_F(space, maps_single_pages_where_it_must)
{
	char *map = space_map(self->fd, 0, 4);
	uint64_t faults;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, madvise(map, CHUNK_BYTES, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, mprotect(map + CHUNK_BYTES + 8 * PAGE_BYTES, PAGE_BYTES, PROT_READ));
	ASSERT_EQ(0, populate(self->fd, map, 4));
	faults = module_stat(self->dev).fault_count;
	for (size_t at = 0; at < 4 * CHUNK_BYTES; at += PAGE_BYTES)
		*(volatile char *)(map + at);
	EXPECT_EQ(faults, module_stat(self->dev).fault_count);
	EXPECT_EQ(2 * CHUNK_KB, smaps_kb(map + 2 * CHUNK_BYTES, "FilePmdMapped"));
}

TEST_F(space, the_other_ways_to_populate)
{
	char *map = space_map_flags(self->fd, 0, 4, MAP_POPULATE), *bare;

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(4 * CHUNK_KB, smaps_kb(map, "Rss"));
	bare = space_map_bare(self->fd, 4, 4);
	ASSERT_NE(MAP_FAILED, bare);
	ASSERT_EQ(0, space_reserve(self->fd, 4, 4, NULL));
	EXPECT_EQ(0, madvise(bare, 2 * CHUNK_BYTES, MADV_POPULATE_READ)) TH_LOG("%m");
	EXPECT_EQ(0, madvise(bare + 2 * CHUNK_BYTES, 2 * CHUNK_BYTES, MADV_POPULATE_WRITE)) TH_LOG("%m");
	EXPECT_EQ(8 * CHUNK_KB, smaps_kb(map, "Rss") + (bare == map + 4 * CHUNK_BYTES ? 0 : smaps_kb(bare, "Rss")));
	ASSERT_EQ(0, space_zap(self->fd, 4, 4, NULL));
	EXPECT_EQ(-1, madvise(bare, 2 * CHUNK_BYTES, MADV_POPULATE_WRITE));
	EXPECT_EQ(EFAULT, errno);
}

/* A zap may come between any two chunks: EFAULT then, never a hang, never a stale chunk. */
TEST_F(space, races_with_zap)
{
	char *map = space_map(self->fd, 0, 64);
	int64_t limit_ms = now_ms() + 1500;
	pid_t child;

	ASSERT_NE(MAP_FAILED, map);
	child = fork();
	if (!child) {
		for (;;) {
			space_zap(self->fd, 0, 64, NULL);
			space_reserve(self->fd, 0, 64, NULL);
		}
	}
	ASSERT_LT(0, child);
	while (now_ms() < limit_ms) {
		int error = populate(self->fd, map, 64);

		ASSERT_TRUE(error == 0 || error == EFAULT) TH_LOG("%d", error);
	}
	kill(child, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_status(child));
	ASSERT_EQ(0, space_zap(self->fd, 0, 64, NULL));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
}

/* In a child with copies: it populates what it wrote and what it shares, and changes nothing for the parent. */
TEST_F(space, in_a_space_with_copies)
{
	int fd = space_create_full(self->dev, 8, 0, ARENA_CREATE_FORK_COW);
	char *map = space_map(fd, 0, 8);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, populate(fd, map, 8));
	EXPECT_EQ(8 * CHUNK_KB, smaps_kb(map, "FilePmdMapped"));
	fill(map, 8 * CHUNK_BYTES, 6);
	EXPECT_EQ(0, IN_CHILD(({
		bool same;

		populate(fd, map, 8);
		same = smaps_kb(map, "Rss") == 8 * CHUNK_KB && all_words(map, 8 * CHUNK_BYTES, 6);
		fill(map, 8 * CHUNK_BYTES, 7);
		!same;
	})));
	EXPECT_TRUE(all_words(map, 8 * CHUNK_BYTES, 6));
	EXPECT_EQ(0, munmap(map, 8 * CHUNK_BYTES));
	close(fd);
}

TEST_HARNESS_MAIN
