// SPDX-License-Identifier: MIT
/*
 * What a child inherits: the same memory (FORK_SHARE), or a copy that is made chunk by chunk when
 * somebody writes (FORK_COW).
 *
 * Models trees of processes, each with its own data. handed_chunks counts a chunk that several
 * processes share once, so it says exactly what was copied. Leaks are in fork_leak.c, concurrency
 * and shortage in fork_race.c.
 */
#include "common.h"
#include "fork.h"
#include <sched.h>

TEST_F(space, flags_of_fork)
{
	uint64_t both = ARENA_FEATURE_FORK_COW | ARENA_FEATURE_FORK_SHARE;

	EXPECT_EQ(both, module_info(self->dev).features & both);
	EXPECT_EQ(-1, space_create_full(self->dev, 8, 0, ARENA_CREATE_FORK_COW | ARENA_CREATE_FORK_SHARE));
	EXPECT_EQ(EINVAL, errno);
}

static int check_and_write(char *map, uint64_t expected, uint64_t word)
{
	if (!all_marked(map, NR_CHUNKS, expected))
		return 1;
	mark_all(map, NR_CHUNKS, word);
	return all_marked(map, NR_CHUNKS, word) ? 0 : 2;
}

TEST_F(space, share_is_the_same_memory)
{
	int fd = space_create_full(self->dev, NR_CHUNKS, 0, ARENA_CREATE_FORK_SHARE);
	char *map = space_map(fd, 0, NR_CHUNKS);

	ASSERT_NE(MAP_FAILED, map);
	mark_all(map, NR_CHUNKS, 1);
	EXPECT_EQ(0, IN_CHILD(check_and_write(map, 1, 2)));
	EXPECT_TRUE(all_marked(map, NR_CHUNKS, 2));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, IN_CHILD(space_zap(fd, 0, 1, NULL)));
	fault_catch();
	EXPECT_EQ(SIGBUS, fault_touch(map)) TH_LOG("a child may give back what is everybody's");
	munmap(map, NR_CHUNKS * CHUNK_BYTES);
	close(fd);
}

TEST_F(cow, child_sees_and_does_not_change)
{
	mark_all(self->map, NR_CHUNKS, 1);
	EXPECT_EQ(0, IN_CHILD(check_and_write(self->map, 1, 2)));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
	mark_all(self->map, NR_CHUNKS, 3);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks) TH_LOG("in place");
}

/* The parent writes while the child looks on. */
TEST_F(cow, parent_does_not_change_the_child)
{
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks) TH_LOG("fork copies nothing");
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	EXPECT_EQ(0, helper_do(&child, 'r', NR_CHUNKS, 1));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks) TH_LOG("reading copies nothing");
	mark_all(self->map, 3, 2);
	EXPECT_EQ(NR_CHUNKS + 3, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, helper_do(&child, 'r', NR_CHUNKS, 1));
	EXPECT_EQ(0, helper_do(&child, 'w', 4, 3));
	EXPECT_EQ(NR_CHUNKS + 4, module_stat(self->dev).handed_chunks)
		TH_LOG("the child is alone with three, and copies one");
	EXPECT_TRUE(all_marked(self->map, 3, 2));
	EXPECT_TRUE(all_marked(self->map + 3 * CHUNK_BYTES, NR_CHUNKS - 3, 1));
	helper_end(&child);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

TEST_F(cow, everything_stays_mapped_by_pmds)
{
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = helper_start(self->map, self->fd);
	mark_all(self->map, NR_CHUNKS, 2);
	EXPECT_EQ(NR_CHUNKS * 2048, smaps_kb(self->map, "FilePmdMapped"));
	EXPECT_EQ(0, helper_do(&child, 'w', NR_CHUNKS, 3));
	EXPECT_EQ(0, helper_do(&child, 'p', NR_CHUNKS, 0));
	helper_end(&child);
}

/* What was reserved and not touched is zero in both. */
TEST_F(cow, untouched_chunks)
{
	struct helper child = helper_start(self->map, self->fd);

	EXPECT_EQ(0, helper_do(&child, 'w', 2, 7));
	EXPECT_TRUE(all_words(self->map, 4 * CHUNK_BYTES, 0));
	mark_all(self->map, NR_CHUNKS, 8);
	EXPECT_EQ(0, helper_do(&child, 'r', 2, 7));
	EXPECT_EQ(0, helper_do(&child, 'z', NR_CHUNKS - 2, 2));
	helper_end(&child);
}

/* Chunks that still have to be cleared at touch, reserved before the fork. */
TEST_F(cow, uncleared_chunks)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_NO_CLEAR,
				   .length_bytes = NR_CHUNKS * CHUNK_BYTES };
	struct helper child;

	for (unsigned int i = 0; i < NR_CHUNKS; i++)
		fill(self->map + i * CHUNK_BYTES, CHUNK_BYTES, 0x5ec7e7);
	parameter_set("clear_max_chunks_per_s", 1);
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	ASSERT_EQ(0, call_errno(self->fd, ARENA_IOC_RESERVE, &r));
	child = helper_start(self->map, self->fd);
	EXPECT_TRUE(all_words(self->map, CHUNK_BYTES, 0));
	mark_all(self->map, 2, 9);
	EXPECT_EQ(0, helper_do(&child, 'z', NR_CHUNKS, 0));
	EXPECT_EQ(0, helper_do(&child, 'w', 4, 10));
	EXPECT_TRUE(all_marked(self->map, 2, 9));
	EXPECT_TRUE(all_words(self->map + 2 * CHUNK_BYTES, (NR_CHUNKS - 2) * CHUNK_BYTES, 0));
	helper_end(&child);
	parameter_set("clear_max_chunks_per_s", 1024);
}

static int fork_and_check(char *map, int fd, int depth, uint64_t word)
{
	int below = 0;

	if (!all_marked(map, NR_CHUNKS, word))
		return 1;
	mark_all(map, NR_CHUNKS / 2, word + 1);
	mark_all(map + NR_CHUNKS / 2 * CHUNK_BYTES, NR_CHUNKS / 2, word + 1);
	if (depth)
		below = IN_CHILD(fork_and_check(map, fd, depth - 1, word + 1));
	if (below)
		return below;
	return all_marked(map, NR_CHUNKS, word + 1) ? 0 : 2;
}

TEST_F(cow, nested_forks)
{
	mark_all(self->map, NR_CHUNKS, 1);
	EXPECT_EQ(0, IN_CHILD(fork_and_check(self->map, self->fd, 5, 1)));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

/* The middle of three generations dies first. */
static int fork_and_die(char *map, int fd, int report)
{
	pid_t pid = fork();
	int ok;

	if (pid)
		return pid < 0;
	sleep_ms(50);
	ok = all_marked(map, NR_CHUNKS, 1);
	mark_all(map, NR_CHUNKS, 5);
	ok = ok && all_marked(map, NR_CHUNKS, 5);
	_exit(write(report, &ok, sizeof(ok)) != sizeof(ok));
}

TEST_F(cow, orphans)
{
	int ends[2], ok = 0;

	ASSERT_EQ(0, pipe(ends));
	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(0, IN_CHILD(fork_and_die(self->map, self->fd, ends[1])));
	mark_all(self->map, 4, 2);
	ASSERT_EQ((ssize_t)sizeof(ok), read(ends[0], &ok, sizeof(ok)));
	EXPECT_TRUE(ok);
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

/* Each process has ranges of its own. */
TEST_F(cow, giving_back_is_private)
{
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(0, helper_do(&child, 'Z', 4, 0));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	ASSERT_EQ(0, space_zap(self->fd, 4, 4, NULL));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks) TH_LOG("each holds the other half");
	EXPECT_EQ(0, helper_do(&child, 'b', 4, 0)) TH_LOG("gone for the child");
	fault_catch();
	EXPECT_EQ(4U, fault_count(self->map + 4 * CHUNK_BYTES, 4, SIGBUS));
	EXPECT_EQ(0, helper_do(&child, 'R', 4, 0));
	EXPECT_EQ(0, helper_do(&child, 'z', 4, 0)) TH_LOG("zeros, not the old bytes");
	EXPECT_TRUE(all_marked(self->map, 4, 1));
	helper_end(&child);
	EXPECT_TRUE(handed_settles(self->dev, 4));
}

TEST_F(cow, kept_ranges_are_not_inherited)
{
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(0, helper_do(&child, 'b', 4, 0));
	EXPECT_EQ(0, helper_do(&child, 'R', 4, 0));
	EXPECT_EQ(0, helper_do(&child, 'z', 4, 0));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 4, NULL));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	helper_end(&child);
}

TEST_F(cow, discarding_takes_from_one_only)
{
	struct arena_trim trim;
	struct helper child;

	mark_all(self->map, NR_CHUNKS, 1);
	child = helper_start(self->map, self->fd);
	ASSERT_EQ(0, space_keep(self->fd, 0, NR_CHUNKS, NULL));
	ASSERT_EQ(0, module_trim(self->dev, UINT64_MAX, ARENA_TRIM_KEPT, &trim));
	EXPECT_EQ(0, trim.discarded_chunks) TH_LOG("the child still has them");
	EXPECT_EQ(0, helper_do(&child, 'r', NR_CHUNKS, 1));
	fault_catch();
	EXPECT_EQ(NR_CHUNKS, fault_count(self->map, NR_CHUNKS, SIGBUS));
	helper_end(&child);
	EXPECT_TRUE(handed_settles(self->dev, 0));
}

/* The last mapping of a process takes its memory along, whoever has the descriptor. */
TEST_F(cow, munmap_empties_a_view)
{
	size_t half = NR_CHUNKS / 2 * CHUNK_BYTES;

	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(0, munmap(self->map, half));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	ASSERT_EQ(0, munmap(self->map + half, half));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	self->map = space_map(self->fd, 0, NR_CHUNKS);
	ASSERT_NE(MAP_FAILED, self->map);
	EXPECT_TRUE(all_words(self->map, CHUNK_BYTES, 0));
}

/* A hole that is filled again is a mapping like any other: nothing of it is left at the end. */
TEST_F(cow, refilled_hole_ends_with_its_view)
{
	char *hole = self->map + CHUNK_BYTES;

	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(0, munmap(hole, CHUNK_BYTES));
	ASSERT_EQ(hole, mmap(hole, CHUNK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_FIXED | MAP_NORESERVE, self->fd, CHUNK_BYTES));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	ASSERT_EQ(0, munmap(self->map, NR_CHUNKS * CHUNK_BYTES));
	EXPECT_TRUE(handed_settles(self->dev, 0));
}

static int stranger(int fd)
{
	char *map;

	if (space_reserve(fd, 0, 1, NULL) != ENXIO || space_zap(fd, 0, 1, NULL) != ENXIO)
		return 1;
	map = space_map(fd, 0, NR_CHUNKS);
	if (map == MAP_FAILED || !all_words(map, NR_CHUNKS * CHUNK_BYTES, 0))
		return 2;
	mark_all(map, NR_CHUNKS, 77);
	return space_zap(fd, 0, 1, NULL) ? 3 : 0;
}

/* A descriptor gives no access to somebody else's memory. */
TEST_F(cow, descriptor_without_mapping)
{
	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(0, madvise(self->map, NR_CHUNKS * CHUNK_BYTES, MADV_DONTFORK));
	EXPECT_EQ(0, IN_CHILD(stranger(self->fd)));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
	ASSERT_EQ(0, madvise(self->map, NR_CHUNKS * CHUNK_BYTES, MADV_DOFORK));
	EXPECT_EQ(0, IN_CHILD(check_and_write(self->map, 1, 2)));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
}

TEST_HARNESS_MAIN
