// SPDX-License-Identifier: MIT
/*
 * The one idle chunk that each CPU holds in front of the pools: it is found again, handed to nobody
 * else, and does not stay behind when its CPU goes.
 *
 * VM: memory=1536M cpus=2
 */

#include "group.h"
#include <sched.h>

#define CPU_ONLINE "/sys/devices/system/cpu/cpu1/online"

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

/* Whether memory pressure on CPU 0 gets the one idle chunk there is, which CPU 1 holds. */
static bool pressure_finds_it(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self)
{
	struct arena_stat before;

	EXPECT_TRUE(WAIT_UNTIL(is_empty_after_trim(self->dev), SETTLE_MS));
	EXPECT_EQ(0, run_on(1));
	EXPECT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(0, run_on(0));
	before = module_stat(self->dev);
	EXPECT_EQ(0, file_write_text("/proc/sys/vm/drop_caches", "2"));
	return module_stat(self->dev).returned_chunks == before.returned_chunks + 1 &&
	       !idle_chunks(self->dev);
}

/* The shrinker only tries locks, and time may move the chunk meanwhile: hence several tries. */
TEST_F(space, the_shrinker_finds_the_slot_of_another_cpu)
{
	unsigned int tries = 5;

	if (access(CPU_ONLINE, F_OK))
		SKIP(return, "no second CPU");
	while (tries && !pressure_finds_it(_metadata, self))
		tries--;
	EXPECT_LT(0, tries);
}

/* The group has no chunk to spare but the one that it has just given back, on CPU 1. */
static int work_slot_before_refusal(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS);
	unsigned int nr = 0;

	NEED(1, fd >= 0 && !run_on(1));
	while (!space_reserve(fd, nr, 1, NULL))
		nr++;
	for (unsigned int i = 0; i < 8; i++) {
		NEED(2, nr > 4 && !run_on(1));
		NEED(3, !space_zap(fd, nr - 1, 1, NULL));
		NEED(4, !run_on(0));
		NEED(5, !space_reserve(fd, nr - 1, 1, NULL));
	}
	return 0;
}

TEST_F(space, the_slot_of_another_cpu_comes_before_a_refusal)
{
	if (access(CPU_ONLINE, F_OK))
		SKIP(return, "no second CPU");
	GROUP_OR_SKIP(16);
	EXPECT_EQ(0, IN_GROUP(work_slot_before_refusal(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

TEST_HARNESS_MAIN
