// SPDX-License-Identifier: MIT
/*
 * Memory cgroups: who creates a space pays for its chunks, and never has more than his group allows.
 *
 * Each test makes a group with a memory.max and works in it as a child, because a process cannot
 * leave a group without being charged for what it had. Groups are below the root, so the parent
 * itself is charged to nobody.
 *
 * VM: memory=1536M cpus=2
 */
#include "group.h"
#include <sys/ptrace.h>
#include <sys/uio.h>

#define LIMIT_CHUNKS	32
/* What the group needs besides chunks: tables, the child itself. */
#define SLACK_CHUNKS	6
/* Promised for what a removed group has idle, from the removal on. */
#define DRAIN_MS	(2000 * slowness())

/* One by one, so that the last one that fits is found. */
static unsigned int reserve_until_refused(int fd, unsigned int first, int *error)
{
	unsigned int nr = 0;

	while (!(*error = space_reserve(fd, first + nr, 1, NULL)))
		nr++;
	return nr;
}

static int work_reserved(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS), error;
	unsigned int nr;

	NEED(1, fd >= 0);
	nr = reserve_until_refused(fd, 0, &error);
	NEED(2, error == ENOMEM);
	NEED(3, nr <= LIMIT_CHUNKS && nr >= LIMIT_CHUNKS - SLACK_CHUNKS);
	NEED(4, group_bytes() <= LIMIT_CHUNKS * CHUNK_BYTES);
	NEED(5, group_bytes() >= nr * CHUNK_BYTES);
	/* What was granted can be touched, all of it. */
	for (unsigned int i = 0; i < nr; i++) {
		char *map = space_map_bare(fd, i, 1);

		NEED(6, map != MAP_FAILED);
		memset(map, 1, PAGE_BYTES);
	}
	/* mmap() refuses as RESERVE does. */
	NEED(7, space_map(fd, nr, LIMIT_CHUNKS) == MAP_FAILED && errno == ENOMEM);
	return 0;
}

TEST_F(space, a_group_gets_no_more_than_its_limit)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_reserved(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

/* Who takes chunks by touching gets a signal at the limit: no OOM kill, and no wait without end. */
static int work_on_touch(int dev)
{
	int fd = space_create_full(dev, SPACE_SLOTS, 0, ARENA_CREATE_ON_TOUCH), signal_nr = 0;
	char *map = space_map_bare(fd, 0, SPACE_SLOTS);
	unsigned int nr = 0;

	NEED(1, fd >= 0 && map != MAP_FAILED);
	while (nr < SPACE_SLOTS && !(signal_nr = fault_write(map + nr * CHUNK_BYTES, nr + 1)))
		nr++;
	NEED(2, signal_nr == SIGBUS);
	NEED(3, nr <= LIMIT_CHUNKS && nr >= LIMIT_CHUNKS - SLACK_CHUNKS);
	NEED(4, group_bytes() <= LIMIT_CHUNKS * CHUNK_BYTES && group_bytes() >= nr * CHUNK_BYTES);
	NEED(5, fault_write(map + (nr + 1) * CHUNK_BYTES, 1) == SIGBUS);
	/* It has what it touched before, and may touch as much again as it gives back. */
	for (unsigned int i = 0; i < nr; i++)
		NEED(6, *(volatile uint64_t *)(map + i * CHUNK_BYTES) == i + 1);
	NEED(7, !space_zap(fd, 0, 1, NULL));
	NEED(8, !fault_write(map + nr * CHUNK_BYTES, 1));
	return 0;
}

TEST_F(space, touches_stop_at_the_limit)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_on_touch(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

/* Kept, idle and quarantined chunks count as well. */
static int work_kept(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS), error;
	unsigned int nr;

	NEED(1, fd >= 0 && !space_reserve(fd, 0, 16, NULL));
	NEED(2, !space_keep(fd, 0, 16, NULL));
	nr = reserve_until_refused(fd, 16, &error);
	NEED(3, error == ENOMEM);
	NEED(4, group_bytes() <= LIMIT_CHUNKS * CHUNK_BYTES);
	NEED(5, nr + 16 <= LIMIT_CHUNKS || module_stat(dev).discarded_chunks >= nr + 16 - LIMIT_CHUNKS);
	return 0;
}

TEST_F(space, kept_chunks_count)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_kept(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

static int work_quarantined(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS), pipes[2], error;
	struct iovec page = { .iov_len = PAGE_BYTES };
	struct arena_reclaim r;
	unsigned int nr;
	char *map;

	NEED(1, fd >= 0 && !pipe(pipes));
	map = space_map(fd, 0, 8);
	NEED(2, map != MAP_FAILED);
	for (unsigned int i = 0; i < 8; i++) {
		page.iov_base = map + i * CHUNK_BYTES;
		*(char *)page.iov_base = 1;
		NEED(3, vmsplice(pipes[1], &page, 1, 0) == (ssize_t)PAGE_BYTES);
	}
	NEED(4, !space_zap(fd, 0, 8, &r) && r.nr_quarantined == 8);
	nr = reserve_until_refused(fd, 0, &error);
	NEED(5, error == ENOMEM);
	NEED(6, nr + 8 <= LIMIT_CHUNKS);
	NEED(7, group_bytes() >= (nr + 8) * CHUNK_BYTES);
	return 0;
}

TEST_F(space, quarantined_chunks_count)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_quarantined(self->dev)));
	GROUP_END();
}

/* Leaves `nr` idle chunks behind that are charged to the group. */
static int work_fill_pool(int dev, unsigned int nr)
{
	int fd = space_create(dev, SPACE_SLOTS);

	NEED(1, fd >= 0 && !space_reserve(fd, 0, nr, NULL));
	NEED(2, !space_zap(fd, 0, nr, NULL));
	NEED(3, idle_chunks(dev) >= nr);
	NEED(4, group_bytes() >= nr * CHUNK_BYTES);
	return 0;
}

static int work_idle(int dev)
{
	int answer = work_fill_pool(dev, 24), fd = space_create(dev, SPACE_SLOTS), error;
	uint64_t taken = module_stat(dev).taken_chunks;
	unsigned int nr;

	NEED(answer, !answer);
	/* Its own idle chunks are used again, and nothing beside them. */
	NEED(5, !space_reserve(fd, 0, 20, NULL));
	NEED(6, module_stat(dev).taken_chunks == taken);
	nr = 20 + reserve_until_refused(fd, 20, &error);
	NEED(7, error == ENOMEM && nr <= LIMIT_CHUNKS && nr >= LIMIT_CHUNKS - SLACK_CHUNKS);
	return 0;
}

TEST_F(space, idle_chunks_count_and_are_used_again)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_idle(self->dev)));
	GROUP_END();
}

TEST_F(space, idle_chunks_stay_in_their_group)
{
	uint64_t idle, bytes;

	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_fill_pool(self->dev, 24)));
	idle = idle_chunks(self->dev);
	bytes = group_bytes();
	EXPECT_LE(24, idle);
	/* Somebody outside takes as many and more: none of those. */
	EXPECT_EQ(0, space_reserve(self->fd, 0, 40, NULL));
	EXPECT_LE(24, idle_chunks(self->dev));
	EXPECT_LE(bytes, group_bytes() + CHUNK_BYTES);
	GROUP_END();
}

/* 64 MiB of ordinary memory in a group of 96 MiB whose pools hold 80. */
static int work_idle_gives_way(int dev)
{
	size_t bytes = 32 * CHUNK_BYTES;
	int answer = work_fill_pool(dev, 40);
	char *map;

	NEED(answer, !answer);
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	NEED(5, map != MAP_FAILED);
	for (size_t at = 0; at < bytes; at += PAGE_BYTES)
		map[at] = 1;
	return 0;
}

TEST_F(space, idle_chunks_give_way_to_ordinary_memory)
{
	uint64_t returned = module_stat(self->dev).returned_chunks;

	GROUP_OR_SKIP(48);
	EXPECT_EQ(0, IN_GROUP(work_idle_gives_way(self->dev)));
	EXPECT_EQ(0, group_kills());
	EXPECT_LE(returned + 20, module_stat(self->dev).returned_chunks);
	GROUP_END();
}

/* Who got the space from its creator, and is in no group at all, spends the creator's memory. */
TEST_F(space, the_creator_pays_whoever_touches)
{
	uint64_t before, nr;
	int fd, error;
	char *map;

	GROUP_OR_SKIP(LIMIT_CHUNKS);
	fd = space_of_group(self->dev);
	ASSERT_LE(0, fd);
	before = group_bytes();
	map = space_map(fd, 0, 10);
	ASSERT_NE(MAP_FAILED, map);
	memset(map, 1, 10 * CHUNK_BYTES);
	EXPECT_LE(before + 10 * CHUNK_BYTES, group_bytes() + group_slack_bytes());
	nr = 10 + reserve_until_refused(fd, 10, &error);
	EXPECT_EQ(ENOMEM, error);
	EXPECT_GE(LIMIT_CHUNKS, nr);
	munmap(map, 10 * CHUNK_BYTES);
	close(fd);
	GROUP_END();
}

/* Sends where chunks appear by a touch, and stops, so that somebody else touches. */
static int work_traced(int dev, int out)
{
	int fd = space_create_full(dev, 4, 0, ARENA_CREATE_ON_TOUCH);
	long *map = (long *)(void *)space_map_bare(fd, 0, 4);

	NEED(1, fd >= 0 && map != MAP_FAILED);
	NEED(2, write(out, &map, sizeof(map)) == (ssize_t)sizeof(map));
	NEED(3, !ptrace(PTRACE_TRACEME, 0, NULL, NULL) && !raise(SIGSTOP));
	for (unsigned int i = 0; i < 4; i++)
		NEED(4, map[i * CHUNK_BYTES / sizeof(long)] == 7);
	return 0;
}

/* A debugger's touch is a touch: it takes chunks in the debugger's context, for the creator. */
TEST_F(space, the_creator_pays_whoever_pokes)
{
	int out[2], status = 0;
	uint64_t before;
	char *map = NULL;
	pid_t child;

	GROUP_OR_SKIP(LIMIT_CHUNKS);
	ASSERT_EQ(0, pipe(out));
	child = fork();
	if (!child)
		_exit(file_write_text(GROUP "/cgroup.procs", "0") ? 99 : work_traced(self->dev, out[1]));
	ASSERT_EQ(child, waitpid(child, &status, WUNTRACED));
	ASSERT_TRUE(WIFSTOPPED(status)) TH_LOG("status %#x", status);
	ASSERT_EQ(sizeof(map), read(out[0], &map, sizeof(map)));
	before = group_bytes();
	for (unsigned int i = 0; i < 4; i++)
		EXPECT_EQ(0, ptrace(PTRACE_POKEDATA, child, map + i * CHUNK_BYTES, 7L));
	EXPECT_LE(before + 4 * CHUNK_BYTES, group_bytes() + group_slack_bytes());
	ASSERT_EQ(0, ptrace(PTRACE_CONT, child, NULL, NULL));
	EXPECT_EQ(0, child_status(child));
	close(out[0]);
	close(out[1]);
	GROUP_END();
}

TEST_F(space, a_removed_group_leaves_no_idle_chunks)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_fill_pool(self->dev, 24)));
	EXPECT_LE(24, idle_chunks(self->dev));
	GROUP_END();
	EXPECT_TRUE(WAIT_UNTIL(!idle_chunks(self->dev), DRAIN_MS));
}

/* A space that outlives its group keeps working, and its idle chunks do not stay. */
TEST_F(space, a_space_outlives_its_group)
{
	int fd;

	GROUP_OR_SKIP(LIMIT_CHUNKS);
	fd = space_of_group(self->dev);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, space_reserve(fd, 0, 8, NULL));
	GROUP_END();
	EXPECT_EQ(0, space_reserve(fd, 8, 8, NULL));
	EXPECT_EQ(0, space_zap(fd, 0, 12, NULL));
	EXPECT_TRUE(WAIT_UNTIL(!idle_chunks(self->dev), DRAIN_MS));
	EXPECT_EQ(0, space_reserve(fd, 0, 4, NULL));
	close(fd);
}

/* What nobody takes for pool_idle_s seconds goes back. */
TEST_F(space, idle_chunks_go_back_after_a_while)
{
	parameter_set("pool_max_chunks", 400);
	ASSERT_EQ(0, parameter_set("pool_idle_s", 1));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 20, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, 20, NULL));
	EXPECT_LE(20, idle_chunks(self->dev));
	EXPECT_TRUE(WAIT_UNTIL(!idle_chunks(self->dev), 3 * SETTLE_MS));
	parameter_set("pool_idle_s", 60);
}

static int range_ahead(int fd, unsigned int nr, uint32_t more_flags)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_AHEAD | more_flags,
				   .length_bytes = nr * CHUNK_BYTES };

	return call_errno(fd, ARENA_IOC_RESERVE, &r);
}

/* Made ready in the background, charged to the group, and nothing but a request. */
static int work_ahead(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS);
	uint64_t bytes = group_bytes(), taken;

	NEED(1, fd >= 0 && !range_ahead(fd, 16, 0));
	NEED(2, WAIT_UNTIL(module_stat(dev).clean_chunks >= 16, SETTLE_MS));
	NEED(3, module_stat(dev).handed_chunks == 0);
	NEED(4, group_bytes() + group_slack_bytes() >= bytes + 16 * CHUNK_BYTES);
	taken = module_stat(dev).taken_chunks;
	NEED(5, !space_reserve(fd, 0, 16, NULL));
	NEED(6, module_stat(dev).taken_chunks == taken);
	/* What is reserved already is not asked for again. */
	NEED(7, !range_ahead(fd, 16, 0));
	sleep_ms(100);
	NEED(8, !idle_chunks(dev));
	/* More than the group may have: as much as there is, and nobody waits. */
	NEED(9, !range_ahead(fd, 200, 0));
	sleep_ms(300);
	NEED(10, group_bytes() <= LIMIT_CHUNKS * CHUNK_BYTES);
	NEED(11, range_ahead(fd, 16, ARENA_RESERVE_NO_CLEAR) == EINVAL);
	NEED(12, range_ahead(fd, 0, 0) == EINVAL);
	return 0;
}

TEST_F(space, chunks_made_ahead_are_charged)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_ahead(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

/*
 * Before anybody is refused for want of memory the idle chunks of others go. They lie in the pools of
 * the group, which nobody uses, and fill what the machine has left.
 */
TEST_F(space, idle_chunks_of_others_go_before_a_refusal)
{
	uint64_t total = (uint64_t)parameter_get("max_total_chunks"), before, nr;
	int error = 0;

	GROUP_OR_SKIP(400);
	ASSERT_EQ(0, IN_GROUP(work_fill_pool(self->dev, 240)));
	EXPECT_LE(240, idle_chunks(self->dev));
	before = (uint64_t)free_kb() / 2048;
	ASSERT_EQ(0, parameter_set("max_total_chunks", meminfo_kb("MemTotal") / 2048));
	ASSERT_EQ(0, parameter_set("max_user_chunks", meminfo_kb("MemTotal") / 2048));
	close(self->fd);
	self->fd = space_create(self->dev, before + 200);
	ASSERT_LE(0, self->fd);
	nr = before + 60;
	error = space_reserve(self->fd, 0, nr, NULL);
	EXPECT_EQ(0, error) TH_LOG("%" PRIu64 " chunks, %" PRIu64 " free", nr, before);
	EXPECT_GT(240, idle_chunks(self->dev));
	parameter_set("max_total_chunks", (long long)total);
	parameter_set("max_user_chunks", (long long)total / 4 * 3);
	GROUP_END();
}

/* RESERVE above memory.high is slowed down by the core, never refused by us and nobody is killed. */
static int work_high(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS);

	NEED(1, fd >= 0 && !file_write_text(GROUP "/memory.high", "16M"));
	NEED(2, !space_reserve(fd, 0, 12, NULL));
	return 0;
}

TEST_F(space, memory_high_refuses_nothing)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_high(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

#define COW_CHUNKS 8U
/* For page tables and the child once the group is full of chunks: less than a chunk. */
#define BALLAST_BYTES (CHUNK_BYTES / 2)

/* A child sees what was there at the fork, or SIGBUS; how often the latter, or 99. */
static int cow_lost(const char *map)
{
	int lost = 0;

	for (unsigned int i = 0; i < COW_CHUNKS; i++) {
		uint64_t word = 0;
		int signal_nr = fault_read(map + i * CHUNK_BYTES, &word);

		if (signal_nr ? signal_nr != SIGBUS : word != i + 1)
			return 99;
		lost += signal_nr == SIGBUS;
	}
	return lost;
}

static int cow_child(const char *map, int go[2])
{
	char byte;

	/* So that it ends with its parent. */
	close(go[1]);
	return read(go[0], &byte, 1) == 1 ? cow_lost(map) : 99;
}

static int cow_write_all(char *map)
{
	for (unsigned int i = 0; i < COW_CHUNKS; i++)
		NEED(1, !fault_write(map + i * CHUNK_BYTES, 100 + i));
	for (unsigned int i = 0; i < COW_CHUNKS; i++)
		NEED(2, *(volatile uint64_t *)(map + i * CHUNK_BYTES) == 100 + i);
	return 0;
}

static int work_cow(int dev)
{
	int fd = space_create_full(dev, SPACE_SLOTS, 0, ARENA_CREATE_FORK_COW), go[2], error, lost;
	char *map = space_map(fd, 0, COW_CHUNKS), *ballast;
	pid_t child;

	NEED(1, map != MAP_FAILED && !pipe(go));
	for (unsigned int i = 0; i < COW_CHUNKS; i++)
		*(volatile uint64_t *)(map + i * CHUNK_BYTES) = i + 1;
	child = fork();
	if (!child)
		_exit(cow_child(map, go));
	ballast = mmap(NULL, BALLAST_BYTES, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	NEED(2, ballast != MAP_FAILED && child > 0);
	reserve_until_refused(fd, COW_CHUNKS, &error);
	NEED(3, error == ENOMEM && !munmap(ballast, BALLAST_BYTES));
	NEED(4, !cow_write_all(map));
	NEED(5, group_bytes() <= LIMIT_CHUNKS * CHUNK_BYTES);
	NEED(6, write(go[1], "", 1) == 1);
	lost = child_status(child);
	NEED(7, lost > 0 && lost <= (int)COW_CHUNKS);
	return 0;
}

/* No memory for copies within the limit: the parent writes, and the child gets SIGBUS there. */
TEST_F(space, a_parent_at_the_limit_loses_nothing)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_cow(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

static int run_reserve(int fd, unsigned int first, unsigned int nr)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_CONTIG,
				   .offset_bytes = first * CHUNK_BYTES,
				   .length_bytes = nr * CHUNK_BYTES };

	return call_errno(fd, ARENA_IOC_RESERVE, &r);
}

static int work_run(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS), error;

	/* What fits counts. No more than two: longer runs need luck once memory has been in use. */
	NEED(1, fd >= 0 && !run_reserve(fd, 0, 2));
	NEED(2, group_bytes() >= 2 * CHUNK_BYTES);
	error = run_reserve(fd, 2, 2 * LIMIT_CHUNKS);
	NEED(3, error == ENOSPC || error == ENOMEM);
	NEED(4, group_bytes() <= LIMIT_CHUNKS * CHUNK_BYTES);
	/* Not even when it is the chunks that it has already that make it too long. */
	error = run_reserve(fd, 2, LIMIT_CHUNKS - 1);
	NEED(5, error == ENOSPC || error == ENOMEM);
	NEED(6, group_bytes() <= LIMIT_CHUNKS * CHUNK_BYTES);
	NEED(7, module_stat(dev).handed_chunks == 2);
	return 0;
}

TEST_F(space, runs_stay_within_the_limit)
{
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_run(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
}

TEST_HARNESS_MAIN
