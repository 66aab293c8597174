// SPDX-License-Identifier: MIT
/*
 * The one idle chunk that each CPU holds in front of the pools: it is found again, handed to nobody
 * else, and does not stay behind when its CPU goes.
 *
 * VM: memory=1536M cpus=2
 */

#include "common.h"
#include <sched.h>

#define CPU_ONLINE "/sys/devices/system/cpu/cpu1/online"

static uint64_t idle_chunks(int fd)
{
	struct arena_stat s = module_stat(fd);

	return s.clean_chunks + s.dirty_chunks;
}

static int run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static bool is_empty_after_trim(int fd)
{
	return !module_trim(fd, ~0ULL, 0, NULL) && !idle_chunks(fd);
}

/* Take and give in turn: one chunk goes to and fro, and carries nothing over. */
TEST_F(space, the_same_chunk_comes_back_empty)
{
	struct arena_stat before;

	ASSERT_TRUE(WAIT_UNTIL(is_empty_after_trim(self->dev), SETTLE_MS));
	ASSERT_EQ(0, run_on(0));
	before = module_stat(self->dev);
	for (unsigned int i = 0; i < 32; i++) {
		char *map = space_map(self->fd, 0, 1);

		ASSERT_NE(MAP_FAILED, map);
		ASSERT_TRUE(all_words(map, CHUNK_BYTES, 0)) TH_LOG("round %u", i);
		fill(map, CHUNK_BYTES, 0x5ec4e7);
		munmap(map, CHUNK_BYTES);
		ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	}
	EXPECT_GE(before.taken_chunks + 2, module_stat(self->dev).taken_chunks);
}

/* Trimming empties the slots too, and no more than was asked for. */
TEST_F(space, trim_finds_the_slot)
{
	struct arena_trim trimmed;

	ASSERT_TRUE(WAIT_UNTIL(is_empty_after_trim(self->dev), SETTLE_MS));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 4, NULL));
	for (unsigned int i = 0; i < 4; i++)
		ASSERT_EQ(0, space_zap(self->fd, i, 1, NULL));
	EXPECT_EQ(4, idle_chunks(self->dev));
	ASSERT_EQ(0, module_trim(self->dev, 1, 0, &trimmed));
	EXPECT_EQ(1, trimmed.pool_chunks);
	EXPECT_EQ(3, idle_chunks(self->dev));
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, &trimmed));
	EXPECT_EQ(3, trimmed.pool_chunks);
	EXPECT_EQ(0, idle_chunks(self->dev));
}

/* Whether what CPU 1 held went to the system when the CPU went. */
static bool cpu_leaves_its_chunk(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self)
{
	struct arena_stat before, after;

	EXPECT_TRUE(WAIT_UNTIL(is_empty_after_trim(self->dev), SETTLE_MS));
	EXPECT_EQ(0, run_on(1));
	EXPECT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(0, run_on(0));
	before = module_stat(self->dev);
	EXPECT_EQ(0, file_write_text(CPU_ONLINE, "0"));
	after = module_stat(self->dev);
	EXPECT_EQ(0, file_write_text(CPU_ONLINE, "1"));
	return after.returned_chunks == before.returned_chunks + 1 && !idle_chunks(self->dev);
}

/* Several tries, because on a slow machine time may have emptied the slot before. */
TEST_F(space, a_cpu_that_goes_leaves_its_chunk)
{
	unsigned int tries = 5;

	if (access(CPU_ONLINE, W_OK))
		SKIP(return, "no CPU to take offline");
	while (tries && !cpu_leaves_its_chunk(_metadata, self))
		tries--;
	EXPECT_LT(0, tries);
	EXPECT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
}

TEST_HARNESS_MAIN
