// SPDX-License-Identifier: MIT
/*
 * No byte of one owner is ever seen by the next one.
 *
 * Models two users of one machine, one of whom reads everything he is given. The first writes a
 * pattern and loses its chunks in each of the ways there are; the second reserves at least as
 * many and looks at all of them. A page that somebody still refers to (here: a pipe) must stay
 * with its old contents, out of circulation, until the reference is gone.
 */
#include "common.h"
#include <sys/uio.h>

#define NR_CHUNKS	16
#define LENGTH_BYTES	(NR_CHUNKS * CHUNK_BYTES)
#define SECRET		0x5ec2e75ec2e75ec2ULL
#define OTHER		0x07e207e207e207e2ULL

static char *map_secret(int fd)
{
	char *map = space_map(fd, 0, NR_CHUNKS);

	if (map != MAP_FAILED)
		fill(map, LENGTH_BYTES, SECRET);
	return map;
}

/* Reserves more than the pool can hold from before, and is 0 if all of it reads as zeros. */
static int next_owner(uint32_t reserve_flags, uint64_t leave_word)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	int fd = space_create(dev, 2 * NR_CHUNKS);
	char *map = space_map_bare(fd, 0, 2 * NR_CHUNKS);
	struct arena_reserve r = { .size = sizeof(r), .flags = reserve_flags,
				   .length_bytes = 2 * LENGTH_BYTES };

	if (map == MAP_FAILED || call_errno(fd, ARENA_IOC_RESERVE, &r))
		return 2;
	if (!all_words(map, 2 * LENGTH_BYTES, 0))
		return 1;
	fill(map, 2 * LENGTH_BYTES, leave_word);
	return 0;
}

TEST_F(space, zap_then_other_process)
{
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
}

TEST_F(space, zap_then_clearing_at_touch)
{
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_EQ(0, IN_CHILD(next_owner(ARENA_RESERVE_NO_CLEAR, OTHER)));
}

TEST_F(space, zap_then_same_space)
{
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_TRUE(all_words(map, LENGTH_BYTES, 0));
}

/* A chunk that was reserved without clearing and never touched goes back uncleared. */
TEST_F(space, untouched_chunks_do_not_pass_as_clean)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_NO_CLEAR,
				   .length_bytes = LENGTH_BYTES };
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	ASSERT_EQ(0, call_errno(self->fd, ARENA_IOC_RESERVE, &r));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
}

/* Kept chunks that were given back belong to nobody any more either. */
TEST_F(space, keep_then_zap)
{
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_keep(self->fd, 0, NR_CHUNKS, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
}

TEST_F(space, close_then_other_process)
{
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, munmap(map, LENGTH_BYTES));
	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
}

/* Writes the secret in a space of its own, tells so through `ready`, and waits to be killed. */
static int owner_until_killed(int ready, int pipe_out)
{
	int fd = space_create(open(DEVICE, O_RDWR | O_CLOEXEC), NR_CHUNKS);
	char *map = map_secret(fd);
	struct iovec page = { .iov_base = map, .iov_len = PAGE_BYTES };

	if (map == MAP_FAILED)
		return 1;
	if (pipe_out >= 0 && vmsplice(pipe_out, &page, 1, 0) != (ssize_t)PAGE_BYTES)
		return 2;
	if (write(ready, "!", 1) != 1)
		return 3;
	for (;;)
		pause();
}

/* Starts such an owner, waits until it has its memory, kills it. */
static int owner_killed(int pipe_out)
{
	int ready[2];
	pid_t child;
	char byte;

	if (pipe(ready))
		return -1;
	child = fork();
	if (!child) {
		close(ready[0]);
		_exit(owner_until_killed(ready[1], pipe_out));
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		return child_status(child);
	close(ready[0]);
	kill(child, SIGKILL);
	return child_status(child) == 128 + SIGKILL ? 0 : -1;
}

TEST_F(space, kill_then_other_process)
{
	ASSERT_EQ(0, owner_killed(-1));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
}

/* Reads the spliced page and says whether it is still all secret. */
static bool pipe_holds_secret(int pipe_in)
{
	static char page[4096] __attribute__((aligned(8)));

	return read(pipe_in, page, sizeof(page)) == sizeof(page) &&
	       all_words(page, sizeof(page), SECRET);
}

static bool quarantine_is(int dev, uint64_t chunks, int64_t ms)
{
	return WAIT_UNTIL(module_stat(dev).quarantined_chunks == chunks, ms);
}

TEST_F(space, pipe_keeps_the_old_bytes)
{
	struct arena_reclaim reclaim;
	struct iovec page;
	int ends[2];
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	page = (struct iovec){ .iov_base = map + 3 * CHUNK_BYTES + 4096, .iov_len = PAGE_BYTES };
	ASSERT_EQ(PAGE_BYTES, vmsplice(ends[1], &page, 1, 0)) TH_LOG("%m");

	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, &reclaim));
	EXPECT_EQ(NR_CHUNKS, reclaim.nr_chunks);
	EXPECT_EQ(1, reclaim.nr_quarantined);
	EXPECT_EQ(1, module_stat(self->dev).quarantined_chunks);
	EXPECT_EQ(1, space_stat(self->dev).quarantined_chunks);
	EXPECT_TRUE(stat_settles(self->dev));

	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
	EXPECT_TRUE(pipe_holds_secret(ends[0]));
	EXPECT_TRUE(quarantine_is(self->dev, 0, 3 * SETTLE_MS)) TH_LOG("the pipe is empty");
	EXPECT_EQ(0, space_stat(self->dev).quarantined_chunks);
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
}

TEST_F(space, pipe_outlives_its_killed_owner)
{
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(0, owner_killed(ends[1]));
	EXPECT_TRUE(quarantine_is(self->dev, 1, SETTLE_MS)) stat_print(self->dev);
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
	EXPECT_TRUE(pipe_holds_secret(ends[0]));
	EXPECT_TRUE(quarantine_is(self->dev, 0, 3 * SETTLE_MS)) stat_print(self->dev);
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
}

/* Closing the pipe instead of reading it releases the page as well. */
TEST_F(space, closed_pipe_releases_the_page)
{
	struct iovec page;
	int ends[2];
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	page = (struct iovec){ .iov_base = map, .iov_len = PAGE_BYTES };
	ASSERT_EQ(PAGE_BYTES, vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_TRUE(quarantine_is(self->dev, 1, 0));
	close(ends[0]);
	close(ends[1]);
	EXPECT_TRUE(quarantine_is(self->dev, 0, 3 * SETTLE_MS)) stat_print(self->dev);
}

/* A slot whose old chunk is in quarantine takes a new one at once, and the two stay apart. */
TEST_F(space, slot_is_reusable_during_quarantine)
{
	struct iovec page;
	int ends[2];
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	page = (struct iovec){ .iov_base = map, .iov_len = PAGE_BYTES };
	ASSERT_EQ(PAGE_BYTES, vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 0));
	fill(map, CHUNK_BYTES, OTHER);
	EXPECT_TRUE(pipe_holds_secret(ends[0]));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, OTHER));
	EXPECT_TRUE(quarantine_is(self->dev, 0, 3 * SETTLE_MS)) stat_print(self->dev);
}

/* A kept chunk with a foreign reference: the owner may have it back, nobody else. */
TEST_F(space, kept_chunk_in_a_pipe_is_not_passed_on)
{
	struct arena_trim trim;
	struct iovec page;
	int ends[2];
	char *map = map_secret(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	page = (struct iovec){ .iov_base = map, .iov_len = PAGE_BYTES };
	ASSERT_EQ(PAGE_BYTES, vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, space_keep(self->fd, 0, NR_CHUNKS, NULL));
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, ARENA_TRIM_KEPT, &trim));
	EXPECT_LE(NR_CHUNKS - 1, trim.discarded_chunks);
	EXPECT_EQ(0, IN_CHILD(next_owner(0, OTHER)));
	EXPECT_TRUE(pipe_holds_secret(ends[0]));
	EXPECT_TRUE(quarantine_is(self->dev, 0, 3 * SETTLE_MS)) stat_print(self->dev);
}

TEST_HARNESS_MAIN
