// SPDX-License-Identifier: MIT
/*
 * ARENA_RESERVE_CONTIG: physically contiguous runs, up to 1 GiB, proven by /proc/self/pagemap, which tells root.
 *
 * Models users of devices that want large buffers. The machine (run.vm) is large enough for 1 GiB and freshly booted:
 * on one that is fragmented the answer may be ENOSPC, which the last test provokes.
 */
#include "common.h"

#define RUN_MAX_CHUNKS 512

static int run_reserve(int fd, uint64_t slot, uint64_t nr)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_CONTIG,
				   .offset_bytes = slot * CHUNK_BYTES, .length_bytes = nr * CHUNK_BYTES };
	int error = call_errno(fd, ARENA_IOC_RESERVE, &r);

	return error ? error : r.fresh_chunks == nr ? 0 : -1;
}

/* The frame of the page at @address, which is mapped; 0 when that is not told. */
static uint64_t frame_of(int pagemap, const char *address)
{
	uint64_t entry;

	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)address / PAGE_BYTES * 8)) != 8 || !(entry >> 63))
		return 0;
	return entry & ((1ULL << 55) - 1);
}

/* How many of the chunks lie directly behind the one before them. */
static unsigned int nr_adjacent(char *map, unsigned int nr)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t frame, before = 0;
	unsigned int count = 0;

	for (unsigned int i = 0; i < nr; i++) {
		*(volatile char *)(map + i * CHUNK_BYTES);
		frame = frame_of(pagemap, map + i * CHUNK_BYTES);
		count += i && before && frame == before + CHUNK_BYTES / PAGE_BYTES;
		before = frame;
	}
	close(pagemap);
	return count;
}

static unsigned int run_length(int fd, uint64_t slot, unsigned int nr)
{
	char *map = space_map_bare(fd, slot, nr);
	unsigned int length;

	if (map == MAP_FAILED)
		return 0;
	length = 1 + nr_adjacent(map, nr);
	munmap(map, nr * CHUNK_BYTES);
	return length;
}

TEST_F(space, runs_are_contiguous)
{
	static const unsigned int lengths[] = { 1, 2, 3, 16, 64, 100 };
	uint64_t slot = 3;

	EXPECT_TRUE(module_info(self->dev).features & ARENA_FEATURE_CONTIG);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		ASSERT_EQ(0, run_reserve(self->fd, slot, lengths[i])) TH_LOG("%u chunks", lengths[i]);
		EXPECT_EQ(lengths[i], run_length(self->fd, slot, lengths[i]));
		slot += lengths[i];
	}
	EXPECT_EQ(186, space_stat(self->dev).reserved_chunks);
}

/* The machine's memory is in two pieces, and the first that is looked at is too short: the caps must leave room for both. */
TEST_F(space, one_gibibyte)
{
	long long total = parameter_get("max_total_chunks"), user = parameter_get("max_user_chunks");
	int fd = space_create(self->dev, RUN_MAX_CHUNKS);

	ASSERT_EQ(0, parameter_set("max_total_chunks", 1600));
	ASSERT_EQ(0, parameter_set("max_user_chunks", 1600));
	ASSERT_EQ(0, run_reserve(fd, 0, RUN_MAX_CHUNKS));
	EXPECT_EQ(RUN_MAX_CHUNKS, run_length(fd, 0, RUN_MAX_CHUNKS));
	close(fd);
	ASSERT_EQ(0, parameter_set("max_total_chunks", total));
	ASSERT_EQ(0, parameter_set("max_user_chunks", user));
}

/* Idle chunks of earlier uses are looked at as well, and come zeroed. */
TEST_F(space, from_what_was_given_back)
{
	char *map = space_map(self->fd, 0, 64);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 64 * CHUNK_BYTES, 0x5ec);
	for (uint64_t slot = 0; slot < 64; slot += 2)
		ASSERT_EQ(0, space_zap(self->fd, slot, 1, NULL));
	ASSERT_EQ(0, run_reserve(self->fd, 100, 32));
	EXPECT_EQ(32, run_length(self->fd, 100, 32));
	map = space_map(self->fd, 100, 32);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(all_words(map, 32 * CHUNK_BYTES, 0));
}

TEST_F(space, refusals)
{
	struct arena_reserve both = { .size = sizeof(both), .flags = ARENA_RESERVE_CONTIG | ARENA_RESERVE_AHEAD,
				      .length_bytes = CHUNK_BYTES };
	int fd = space_create(self->dev, 2 * RUN_MAX_CHUNKS);

	EXPECT_EQ(EINVAL, run_reserve(fd, 0, RUN_MAX_CHUNKS + 1));
	EXPECT_EQ(EINVAL, run_reserve(self->fd, 0, 0));
	EXPECT_EQ(EINVAL, call_errno(fd, ARENA_IOC_RESERVE, &both));
	ASSERT_EQ(0, space_reserve(self->fd, 5, 1, NULL));
	EXPECT_EQ(EBUSY, run_reserve(self->fd, 0, 8)) TH_LOG("a slot is reserved");
	ASSERT_EQ(0, space_keep(self->fd, 5, 1, NULL));
	EXPECT_EQ(EBUSY, run_reserve(self->fd, 0, 8)) TH_LOG("a slot is kept");
	EXPECT_EQ(EBUSY, run_reserve(self->fd, 5, 1));
	EXPECT_EQ(0, run_reserve(self->fd, 6, 8));
	close(fd);
	EXPECT_EQ(9, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, caps_hold_for_the_search)
{
	long long user = parameter_get("max_user_chunks");

	/* What earlier tests have left idle lies anywhere; fresh chunks come in pairs at least. */
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
	ASSERT_EQ(0, parameter_set("max_user_chunks", 16));
	EXPECT_EQ(ENOMEM, run_reserve(self->fd, 0, 17));
	EXPECT_EQ(0, run_reserve(self->fd, 0, 2));
	ASSERT_EQ(0, parameter_set("max_user_chunks", user));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
}

/*
 * All that may be had is looked at, also the few that are left up to a cap. A run of 4 was given back
 * first, so it is found last, after chunks that have no neighbor.
 */
TEST_F(space, the_last_before_the_cap_are_looked_at)
{
	long long user = parameter_get("max_user_chunks");

	ASSERT_EQ(0, run_reserve(self->fd, 0, 40));
	/* What the search has looked at beside. */
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, 4, NULL));
	for (uint64_t slot = 5; slot < 33; slot += 2)
		ASSERT_EQ(0, space_zap(self->fd, slot, 1, NULL));
	/* 22 are left, and 18 idle: 4 that are asked for, 8 more, and then no 8 any more. */
	ASSERT_EQ(0, parameter_set("max_user_chunks", 22 + 18));
	ASSERT_EQ(0, run_reserve(self->fd, 100, 4));
	EXPECT_EQ(4, run_length(self->fd, 100, 4));
	ASSERT_EQ(0, parameter_set("max_user_chunks", user));
}

/*
 * More than lies in one piece: as many chunks as the machine has are in use, half of them are given back, and none is free
 * beside. Which half is random, because slots that follow each other may hold every second chunk of memory. Nothing is
 * lost, nobody is killed.
 */
TEST_F(space, enospc_when_fragmented)
{
	long long total = parameter_get("max_total_chunks"), user = parameter_get("max_user_chunks");
	long long ram = meminfo_kb("MemTotal") / 2048 - 1;
	struct arena_stat before;
	unsigned int seed = 1;
	uint64_t nr = 0;
	int fd;

	ASSERT_EQ(0, parameter_set("max_total_chunks", ram));
	ASSERT_EQ(0, parameter_set("max_user_chunks", ram));
	fd = space_create(self->dev, 4096);
	while (!space_reserve(fd, nr, 8, NULL))
		nr += 8;
	ASSERT_LT(64, nr);
	for (uint64_t slot = 0; slot < nr; slot++)
		if (rand_r(&seed) / 64 % 2)
			ASSERT_EQ(0, space_zap(fd, slot, 1, NULL));
	before = module_stat(self->dev);
	EXPECT_EQ(ENOSPC, run_reserve(self->fd, 0, 128));
	EXPECT_EQ(before.handed_chunks, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, space_reserve(self->fd, 0, 1, NULL)) TH_LOG("single ones are to be had");
	close(fd);
	ASSERT_EQ(0, parameter_set("max_total_chunks", total));
	ASSERT_EQ(0, parameter_set("max_user_chunks", user));
}

TEST_HARNESS_MAIN
