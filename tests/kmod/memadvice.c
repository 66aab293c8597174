// SPDX-License-Identifier: MIT
/*
 * Every advice of madvise(), prctl() and mlockall(): what it answers on chunks, and what it changes.
 *
 * Models allocators and databases that give advice to whatever they are given as memory. The table
 * below is the one of doc/uapi.md; an answer that changes is a change of the interface.
 */
#include "common.h"
#include <sys/prctl.h>

#define WORD		0xad71ceULL
#define EITHER		(-1)	/* kernels or their configurations differ */

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* The answer when two touched chunks are meant, and their RSS in kB afterwards. */
static const struct advice {
	const char *name;
	int advice;
	int error;
	long rss_kb;
	int cow_error;	/* where it is another one with ARENA_CREATE_FORK_COW */
} advices[] = {
	{ "NORMAL", MADV_NORMAL, 0, 4096 },
	{ "RANDOM", MADV_RANDOM, 0, 4096 },
	{ "SEQUENTIAL", MADV_SEQUENTIAL, 0, 4096 },
	{ "WILLNEED", MADV_WILLNEED, 0, 4096 },
	{ "DONTNEED", MADV_DONTNEED, 0, 0 },
	{ "DONTNEED_LOCKED", MADV_DONTNEED_LOCKED, 0, 0 },
	{ "FREE", MADV_FREE, EINVAL, 4096 },
	{ "DONTFORK", MADV_DONTFORK, 0, 4096 },
	{ "DODUMP", MADV_DODUMP, 0, 4096, EINVAL },
	{ "DONTDUMP", MADV_DONTDUMP, 0, 4096 },
	{ "MERGEABLE", MADV_MERGEABLE, 0, 4096 },
	{ "UNMERGEABLE", MADV_UNMERGEABLE, 0, 4096 },
	{ "HUGEPAGE", MADV_HUGEPAGE, 0, 4096 },
	{ "NOHUGEPAGE", MADV_NOHUGEPAGE, 0, 4096 },
	{ "WIPEONFORK", MADV_WIPEONFORK, EINVAL, 4096 },
	{ "KEEPONFORK", MADV_KEEPONFORK, 0, 4096 },
	{ "COLD", MADV_COLD, 0, 4096 },
	{ "PAGEOUT", MADV_PAGEOUT, 0, 4096 },
	{ "POPULATE_READ", MADV_POPULATE_READ, 0, 4096 },
	{ "POPULATE_WRITE", MADV_POPULATE_WRITE, 0, 4096 },
	{ "COLLAPSE", MADV_COLLAPSE, EITHER, 4096 },
};

static void check_advice(struct __test_metadata *_metadata, int fd, const struct advice *a, int expected)
{
	char *map = space_map(fd, 0, 2);
	int error;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, WORD);
	error = madvise(map, 2 * CHUNK_BYTES, a->advice) ? errno : 0;
	if (expected != EITHER) {
		EXPECT_EQ(expected, error) TH_LOG("MADV_%s", a->name);
	}
	EXPECT_EQ(a->rss_kb, smaps_kb(map, "Rss")) TH_LOG("MADV_%s", a->name);
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, WORD)) TH_LOG("MADV_%s", a->name);
	EXPECT_EQ(0, munmap(map, 2 * CHUNK_BYTES));
}

TEST_F(space, each_advice_has_its_answer)
{
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
		check_advice(_metadata, self->fd, &advices[i], advices[i].error);
}

TEST_F(space, each_advice_has_its_answer_with_copies)
{
	int fd = space_create_full(self->dev, 4, 0, ARENA_CREATE_FORK_COW);

	ASSERT_LE(0, fd);
	for (size_t i = 0; i < ARRAY_SIZE(advices); i++)
		check_advice(_metadata, fd, &advices[i], advices[i].cow_error ?: advices[i].error);
	close(fd);
}

static int lock_with_copies(int fd)
{
	char *map = space_map(fd, 0, 2);

	if (map == MAP_FAILED || mlock(map, 2 * CHUNK_BYTES))
		return 1;
	if (smaps_kb(map, "Rss") != 2 * 2048 || smaps_kb(map, "Locked"))
		return 2;
	return munlock(map, 2 * CHUNK_BYTES) ? 3 : 0;
}

/* Mapped, and no more: what is never swapped needs no lock. */
TEST_F(space, mlock_only_maps_with_copies)
{
	int fd = space_create_full(self->dev, 4, 0, ARENA_CREATE_FORK_COW);

	ASSERT_LE(0, fd);
	EXPECT_EQ(0, IN_CHILD(lock_with_copies(fd)));
	close(fd);
}

/* The one that is meant to lose bytes. */
TEST_F(space, remove_is_a_zap)
{
	char *map = space_map(self->fd, 0, 3);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 3 * CHUNK_BYTES, WORD);
	ASSERT_EQ(0, madvise(map + CHUNK_BYTES, CHUNK_BYTES, MADV_REMOVE)) TH_LOG("%m");
	EXPECT_EQ(SIGBUS, fault_touch(map + CHUNK_BYTES));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
	EXPECT_TRUE(all_words(map + 2 * CHUNK_BYTES, CHUNK_BYTES, WORD));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
	ASSERT_EQ(0, mprotect(map, 3 * CHUNK_BYTES, PROT_READ));
	EXPECT_EQ(0, madvise(map, CHUNK_BYTES, MADV_REMOVE)) TH_LOG("the descriptor may write");
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
}

/* Neither the swap nor the writeback exists for chunks: under pressure they stay as they are. */
TEST_F(space, pageout_of_parts_loses_nothing)
{
	static const int advice[] = { MADV_COLD, MADV_PAGEOUT };
	char *map = space_map(self->fd, 0, 2);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, WORD);
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++) {
		for (size_t page = 0; page < 1024; page += 129)
			EXPECT_EQ(0, madvise(map + page * PAGE_BYTES, PAGE_BYTES, advice[i]));
		EXPECT_EQ(0, madvise(map, 2 * CHUNK_BYTES, advice[i]));
		EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, WORD));
	}
	file_write_text("/proc/sys/vm/drop_caches", "3");
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, WORD));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, map_populate_maps_ahead)
{
	char *map = space_map_flags(self->fd, 0, 4, MAP_POPULATE);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(4 * 2048, smaps_kb(map, "Rss"));
	EXPECT_EQ(4 * 2048, smaps_kb(map, "FilePmdMapped"));
	EXPECT_EQ(4, space_stat(self->dev).live_chunks);
	munmap(map, 4 * CHUNK_BYTES);
	/* Where nothing is reserved it maps what it can, and is no failure, as everywhere. */
	map = space_map_flags(self->fd, 100, 2, MAP_POPULATE | MAP_NORESERVE);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	EXPECT_EQ(4, space_stat(self->dev).reserved_chunks);
}

static int touch_without_huge_pages(int fd)
{
	char *map = space_map(fd, 0, 1);

	if (map == MAP_FAILED || prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
		return 1;
	fill(map, CHUNK_BYTES, WORD);
	if (!all_words(map, CHUNK_BYTES, WORD) || smaps_kb(map, "Rss") != 2048)
		return 2;
	if (space_zap(fd, 0, 1, NULL) || smaps_kb(map, "Rss") || fault_touch(map) != SIGBUS)
		return 3;
	return 0;
}

/* Smaller mappings perhaps, but the same memory. */
TEST_F(space, thp_disable_changes_no_byte)
{
	EXPECT_EQ(0, IN_CHILD(touch_without_huge_pages(self->fd)));
}

static int lock_all(int dev, int fd)
{
	uint64_t reserved;
	char *map;

	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		return 1;
	map = space_map(fd, 0, 2);
	if (map == MAP_FAILED || smaps_kb(map, "Rss") != 2 * 2048)
		return 2;
	reserved = space_stat_of(dev, 0).reserved_chunks;
	/* A range without chunks maps; there is nothing in it to lock. */
	map = space_map_bare(fd, 10, 2);
	if (map == MAP_FAILED || smaps_kb(map, "Rss"))
		return 3;
	if (space_stat_of(dev, 0).reserved_chunks != reserved || fault_touch(map) != SIGBUS)
		return 4;
	return munlockall() ? 5 : 0;
}

TEST_F(space, mlockall_populates_what_is_reserved)
{
	EXPECT_EQ(0, IN_CHILD(lock_all(self->dev, self->fd)));
}

/* Locked on fault only: no chunk is touched before its time. */
TEST_F(space, mlock_onfault_waits)
{
	const int mlock_onfault = 1;
	char *map = space_map(self->fd, 0, 2);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, syscall(SYS_mlock2, map, 2 * CHUNK_BYTES, mlock_onfault)) TH_LOG("%m");
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	map[0] = 1;
	EXPECT_EQ(2048, smaps_kb(map, "Rss"));
	EXPECT_EQ(-1, madvise(map, CHUNK_BYTES, MADV_DONTNEED));
	EXPECT_EQ(EINVAL, errno) TH_LOG("as with all locked memory");
	EXPECT_EQ(-1, mlock(map + CHUNK_BYTES, 2 * CHUNK_BYTES)) TH_LOG("past the mapping");
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(0, munlock(map, 2 * CHUNK_BYTES));
}

TEST_F(space, mlock_of_a_hole_fails)
{
	char *map = space_map_bare(self->fd, 0, 2);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_EQ(-1, mlock(map, 2 * CHUNK_BYTES));
	EXPECT_TRUE(errno == ENOMEM || errno == EFAULT) TH_LOG("%m");
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, mincore_tells_what_a_file_tells)
{
	unsigned char resident[1024];
	char *map = space_map(self->fd, 0, 2);

	ASSERT_NE(MAP_FAILED, map);
	map[0] = 1;
	ASSERT_EQ(0, mincore(map, 2 * CHUNK_BYTES, resident)) TH_LOG("%m");
	for (size_t i = 0; i < 512; i++)
		ASSERT_EQ(1, resident[i] & 1);
	for (size_t i = 512; i < 1024; i++)
		ASSERT_EQ(0, resident[i] & 1);
	EXPECT_EQ(1, space_stat(self->dev).live_chunks) TH_LOG("asking touched a chunk");
}

TEST_F(space, msync_has_nothing_to_do)
{
	char *map = space_map(self->fd, 0, 1);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, WORD);
	EXPECT_EQ(0, msync(map, CHUNK_BYTES, MS_SYNC)) TH_LOG("%m");
	EXPECT_EQ(0, msync(map, CHUNK_BYTES, MS_ASYNC));
	EXPECT_EQ(0, msync(map + 5 * PAGE_BYTES, PAGE_BYTES, MS_SYNC | MS_INVALIDATE));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
}

TEST_HARNESS_MAIN
