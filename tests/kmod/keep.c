// SPDX-License-Identifier: MIT
/*
 * KEEP: chunks that an owner can do without but would like back.
 *
 * Models an allocator's cache of empty chunks. Taking them back is cheap and tells what is left of
 * them; meanwhile they stay charged, and memory pressure or the administrator may take them, which
 * the owner sees as fresh chunks full of zeros.
 *
 * VM: memory=1536M cpus=2
 */
#include "common.h"
#include <linux/capability.h>

#define NR_CHUNKS	32
#define LENGTH_BYTES	(NR_CHUNKS * CHUNK_BYTES)
#define NR_HOG_CHUNKS	96
#define WORD(i)		(0xabcd000000000000ULL | (i))

static void fill_chunks(char *map, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++)
		fill(map + i * CHUNK_BYTES, CHUNK_BYTES, WORD(i));
}

static unsigned int intact_chunks(const char *map, unsigned int first, unsigned int nr)
{
	unsigned int count = 0;

	for (unsigned int i = first; i < first + nr; i++)
		count += all_words(map + i * CHUNK_BYTES, CHUNK_BYTES, WORD(i));
	return count;
}

TEST_F(space, kept_then_reserved_is_intact)
{
	char *map = space_map(self->fd, 0, NR_CHUNKS);
	struct arena_reclaim kept;
	struct arena_reserve reserved;

	ASSERT_NE(MAP_FAILED, map);
	fill_chunks(map, 0, NR_CHUNKS);
	ASSERT_EQ(0, space_keep(self->fd, 0, NR_CHUNKS, &kept));
	EXPECT_EQ(NR_CHUNKS, kept.nr_chunks);
	EXPECT_EQ(0, kept.nr_quarantined);
	ASSERT_EQ(0, space_reserve(self->fd, 0, NR_CHUNKS, &reserved));
	EXPECT_EQ(NR_CHUNKS, reserved.kept_chunks);
	EXPECT_EQ(0, reserved.fresh_chunks);
	EXPECT_EQ(NR_CHUNKS, intact_chunks(map, 0, NR_CHUNKS));
	ASSERT_EQ(0, space_reserve(self->fd, 0, NR_CHUNKS, &reserved));
	EXPECT_EQ(0, reserved.kept_chunks) TH_LOG("they were not kept any more");
}

TEST_F(space, kept_chunks_stay_charged)
{
	char *map = space_map(self->fd, 0, NR_CHUNKS);
	struct arena_space_stat s;

	ASSERT_NE(MAP_FAILED, map);
	fill_chunks(map, 0, NR_CHUNKS);
	ASSERT_EQ(0, space_keep(self->fd, 0, NR_CHUNKS, NULL));
	s = space_stat(self->dev);
	EXPECT_EQ(NR_CHUNKS, s.reserved_chunks);
	EXPECT_EQ(NR_CHUNKS, s.kept_chunks);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).kept_chunks);
	ASSERT_EQ(0, space_reserve(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_EQ(0, space_stat(self->dev).kept_chunks);
	EXPECT_EQ(0, module_stat(self->dev).kept_chunks);
}

/* Keeping twice counts once. */
TEST_F(space, keep_is_idempotent)
{
	struct arena_reserve reserved;

	ASSERT_EQ(0, space_reserve(self->fd, 0, 4, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 1, 2, NULL));
	EXPECT_EQ(4, module_stat(self->dev).kept_chunks);
	EXPECT_EQ(4, space_stat(self->dev).kept_chunks);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 4, &reserved));
	EXPECT_EQ(4, reserved.kept_chunks);
	EXPECT_EQ(0, module_stat(self->dev).kept_chunks);
}

/* Kept ranges that are split by what is done to a part of them. */
TEST_F(space, parts_of_a_kept_range)
{
	char *map = space_map(self->fd, 0, 16);
	struct arena_reserve reserved;
	struct arena_reclaim reclaim;

	ASSERT_NE(MAP_FAILED, map);
	fill_chunks(map, 0, 16);
	ASSERT_EQ(0, space_keep(self->fd, 0, 16, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 4, 4, &reserved));
	EXPECT_EQ(4, reserved.kept_chunks);
	EXPECT_EQ(12, space_stat(self->dev).kept_chunks);
	ASSERT_EQ(0, space_zap(self->fd, 10, 3, &reclaim));
	EXPECT_EQ(3, reclaim.nr_chunks);
	EXPECT_EQ(9, space_stat(self->dev).kept_chunks);
	EXPECT_EQ(13, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(4, intact_chunks(map, 4, 4));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 16, &reserved));
	EXPECT_EQ(9, reserved.kept_chunks);
	EXPECT_EQ(3, reserved.fresh_chunks);
	EXPECT_EQ(10, intact_chunks(map, 0, 10));
	EXPECT_TRUE(all_words(map + 10 * CHUNK_BYTES, 3 * CHUNK_BYTES, 0));
	EXPECT_EQ(3, intact_chunks(map, 13, 3));
}

/* Neighbors that were kept one by one are one range to whoever reserves them. */
TEST_F(space, ranges_merge)
{
	static const unsigned int order[] = { 3, 1, 7, 0, 5, 2, 6, 4 };
	char *map = space_map(self->fd, 0, 8);
	struct arena_reserve reserved;

	ASSERT_NE(MAP_FAILED, map);
	fill_chunks(map, 0, 8);
	for (unsigned int i = 0; i < 8; i++) {
		ASSERT_EQ(0, space_keep(self->fd, order[i], 1, NULL));
		EXPECT_EQ(i + 1, space_stat(self->dev).kept_chunks);
	}
	ASSERT_EQ(0, space_reserve(self->fd, 0, 8, &reserved));
	EXPECT_EQ(8, reserved.kept_chunks);
	EXPECT_EQ(8, intact_chunks(map, 0, 8));
}

/* Every subset of six slots: kept, reserved and empty mixed, against plain counting. */
TEST_F(space, all_patterns_of_six_slots)
{
	for (unsigned int pattern = 0; pattern < 64; pattern++) {
		struct arena_reserve reserved;
		unsigned int nr_kept = (unsigned int)__builtin_popcount(pattern);

		ASSERT_EQ(0, space_reserve(self->fd, 0, 6, NULL));
		for (unsigned int i = 0; i < 6; i++) {
			if (pattern & (1U << i)) {
				ASSERT_EQ(0, space_keep(self->fd, i, 1, NULL));
			}
		}
		EXPECT_EQ(nr_kept, space_stat(self->dev).kept_chunks);
		ASSERT_EQ(0, space_zap(self->fd, pattern % 6, 1, NULL));
		nr_kept -= pattern >> (pattern % 6) & 1;
		EXPECT_EQ(nr_kept, space_stat(self->dev).kept_chunks);
		EXPECT_EQ(5, space_stat(self->dev).reserved_chunks);
		ASSERT_EQ(0, space_reserve(self->fd, 0, 6, &reserved));
		EXPECT_EQ(nr_kept, reserved.kept_chunks) TH_LOG("pattern %#x", pattern);
		EXPECT_EQ(1, reserved.fresh_chunks) TH_LOG("pattern %#x", pattern);
	}
	EXPECT_EQ(0, module_stat(self->dev).kept_chunks);
}

/* An access to a kept chunk is the owner's mistake: old bytes or SIGBUS, never another's data. */
TEST_F(space, access_while_kept)
{
	char *map = space_map(self->fd, 0, 4);
	uint64_t value;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill_chunks(map, 0, 4);
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	for (unsigned int i = 0; i < 4; i++) {
		int signal_nr = fault_read(map + i * CHUNK_BYTES, &value);

		EXPECT_TRUE(signal_nr == SIGBUS || value == WORD(i));
	}
}

TEST_F(space, never_touched_chunks_can_be_kept)
{
	char *map = space_map(self->fd, 0, 4);
	struct arena_reserve reserved;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 4, &reserved));
	EXPECT_EQ(4, reserved.kept_chunks);
	EXPECT_TRUE(all_words(map, 4 * CHUNK_BYTES, 0));
}

/* Mapping a kept range reserves it: the same chunks, not others. */
TEST_F(space, mmap_of_a_kept_range)
{
	char *map = space_map(self->fd, 0, 4);

	ASSERT_NE(MAP_FAILED, map);
	fill_chunks(map, 0, 4);
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	map = space_map(self->fd, 0, 4);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(4, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(0, space_stat(self->dev).kept_chunks);
	EXPECT_EQ(4, intact_chunks(map, 0, 4));
}

TEST_F(space, trim_discards_kept_chunks)
{
	char *map = space_map(self->fd, 0, NR_CHUNKS);
	struct arena_reserve reserved;
	struct arena_trim trim;
	uint64_t discarded = module_stat(self->dev).discarded_chunks;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill_chunks(map, 0, NR_CHUNKS);
	ASSERT_EQ(0, space_keep(self->fd, 8, 8, NULL));
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, ARENA_TRIM_KEPT, &trim));
	EXPECT_EQ(8, trim.discarded_chunks);
	EXPECT_EQ(discarded + 8, module_stat(self->dev).discarded_chunks);
	EXPECT_EQ(0, module_stat(self->dev).kept_chunks);
	EXPECT_EQ(NR_CHUNKS - 8, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(SIGBUS, fault_touch(map + 8 * CHUNK_BYTES));
	EXPECT_EQ((NR_CHUNKS - 8) * 2048, smaps_kb(map, "Rss"));
	ASSERT_EQ(0, space_reserve(self->fd, 0, NR_CHUNKS, &reserved));
	EXPECT_EQ(8, reserved.fresh_chunks);
	EXPECT_EQ(0, reserved.kept_chunks);
	EXPECT_TRUE(all_words(map + 8 * CHUNK_BYTES, 8 * CHUNK_BYTES, 0));
	EXPECT_EQ(8, intact_chunks(map, 0, 8));
	EXPECT_EQ(NR_CHUNKS - 16, intact_chunks(map, 16, NR_CHUNKS - 16));
}

TEST_F(space, trim_stops_where_told)
{
	struct arena_trim trim;

	ASSERT_EQ(0, space_reserve(self->fd, 0, 16, NULL));
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, 16, NULL));
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, &trim));
	EXPECT_EQ(0, trim.discarded_chunks) TH_LOG("kept chunks only with ARENA_TRIM_KEPT");
	EXPECT_EQ(16, space_stat(self->dev).kept_chunks);
	ASSERT_EQ(0, module_trim(self->dev, 5, ARENA_TRIM_KEPT, &trim));
	EXPECT_EQ(5, trim.pool_chunks + trim.discarded_chunks);
	ASSERT_EQ(0, module_trim(self->dev, 0, ARENA_TRIM_KEPT, &trim));
	EXPECT_EQ(0, trim.pool_chunks + trim.discarded_chunks);
	EXPECT_EQ(11, space_stat(self->dev).kept_chunks);
}

/* What TRIM gives back arrives at the page allocator; a quarter is left to whatever else goes on. */
TEST_F(space, trim_empties_the_pool)
{
	struct arena_trim trim;
	struct arena_stat s;
	long before_kb;

	ASSERT_EQ(0, space_reserve(self->fd, 0, 64, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, 64, NULL));
	before_kb = free_kb();
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, &trim));
	s = module_stat(self->dev);
	EXPECT_EQ(0, s.clean_chunks + s.dirty_chunks);
	EXPECT_LT(0, trim.pool_chunks);
	EXPECT_LE(before_kb + (long)trim.pool_chunks * 1536, free_kb());
}

static int trim_without_capability(int dev, int fd)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return 1;
	data[CAP_TO_INDEX(CAP_SYS_RESOURCE)].effective &= ~CAP_TO_MASK(CAP_SYS_RESOURCE);
	if (syscall(SYS_capset, &header, data))
		return 2;
	if (module_trim(dev, ~0ULL, 0, NULL) != EPERM)
		return 3;
	if (module_trim(fd, ~0ULL, ARENA_TRIM_KEPT, NULL) != EPERM)
		return 4;
	return module_trim(dev, 0, 0, NULL) == EPERM ? 0 : 5;
}

TEST_F(space, trim_needs_a_capability)
{
	ASSERT_EQ(0, space_reserve(self->fd, 0, 4, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	EXPECT_EQ(0, IN_CHILD(trim_without_capability(self->dev, self->fd)));
	EXPECT_EQ(4, space_stat(self->dev).kept_chunks);
}

/* Takes memory until somebody has discarded kept chunks, and is the first to be killed if not. */
static int hog(int dev, uint64_t discarded)
{
	file_write_text("/proc/self/oom_score_adj", "1000");
	for (;;) {
		char *memory = mmap(NULL, 4 * CHUNK_BYTES, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		if (memory == MAP_FAILED)
			return 1;
		if (module_stat(dev).discarded_chunks >= discarded)
			return 0;
	}
}

TEST_F_TIMEOUT(space, pressure_discards_kept_chunks, 90)
{
	char *map = space_map(self->fd, 0, NR_HOG_CHUNKS);
	uint64_t discarded = module_stat(self->dev).discarded_chunks, fresh;
	struct arena_reserve reserved;
	unsigned int intact;

	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < NR_HOG_CHUNKS; i++)
		*(uint64_t *)(void *)(map + i * CHUNK_BYTES) = WORD(i);
	ASSERT_EQ(0, space_keep(self->fd, 0, NR_HOG_CHUNKS, NULL));
	ASSERT_EQ(0, IN_CHILD(hog(self->dev, discarded + 8))) stat_print(self->dev);
	fresh = module_stat(self->dev).discarded_chunks - discarded;
	EXPECT_EQ(NR_HOG_CHUNKS - fresh, space_stat(self->dev).reserved_chunks);
	ASSERT_EQ(0, space_reserve(self->fd, 0, NR_HOG_CHUNKS, &reserved));
	EXPECT_LE(8, reserved.fresh_chunks);
	EXPECT_EQ(NR_HOG_CHUNKS, reserved.fresh_chunks + reserved.kept_chunks);
	intact = 0;
	for (unsigned int i = 0; i < NR_HOG_CHUNKS; i++) {
		uint64_t value = *(uint64_t *)(void *)(map + i * CHUNK_BYTES);

		EXPECT_TRUE(value == 0 || value == WORD(i));
		intact += value == WORD(i);
	}
	EXPECT_EQ(reserved.kept_chunks, intact);
}

TEST_HARNESS_MAIN
