// SPDX-License-Identifier: MIT
/*
 * A memory cgroup at its limit, filled with kept chunks, allocates ordinary memory. Its killer warns
 * nobody and does not wait long, so the kept chunks must go before it strikes, grace or not; and
 * the owner must hear of it.
 */
#include "common.h"
#include <sys/eventfd.h>
#include <sys/stat.h>

#define GROUP		"/sys/fs/cgroup/arena-notice/"
#define OTHER		"/sys/fs/cgroup/arena-notice-other/"
#define LIMIT		"100663296\n"	/* 96 MiB */
#define KEPT_CHUNKS	36		/* 72 MiB */
#define ANON_BYTES	(64UL << 20)
#define LONG_MS		20000

static int group_make(const char *path)
{
	char file[128];

	rmdir(path);
	snprintf(file, sizeof(file), "%smemory.max", path);
	return mkdir(path, 0755) || file_write_text(file, LIMIT);
}

static int group_join(const char *path)
{
	char file[128], pid[32];

	snprintf(file, sizeof(file), "%scgroup.procs", path);
	snprintf(pid, sizeof(pid), "%d\n", getpid());
	return file_write_text(file, pid);
}

static long long group_event(const char *path, const char *name)
{
	char file[128], text[512], *at;

	snprintf(file, sizeof(file), "%smemory.events", path);
	if (file_read_text(file, text, sizeof(text)))
		return -1;
	at = strstr(text, name);
	return at ? atoll(at + strlen(name) + 1) : -1;
}

static int keep_some(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS);
	char *map = space_map(fd, 0, KEPT_CHUNKS);

	if (map == MAP_FAILED)
		return -1;
	for (unsigned int i = 0; i < KEPT_CHUNKS; i++)
		map[i * CHUNK_BYTES] = 1;
	return space_keep(fd, 0, KEPT_CHUNKS, NULL) ? -1 : fd;
}

/* Keeps, and then needs the memory for something else. Exit status: which step failed. */
static int keep_and_allocate(int dev, int event)
{
	struct arena_notice n = { .size = sizeof(n), .flags = ARENA_NOTICE_EVENTFD,
				  .eventfd = event };
	struct arena_reserve r;
	char *anon;
	int fd;

	if (group_join(GROUP))
		return 1;
	fd = keep_some(dev);
	if (fd < 0 || call_errno(fd, ARENA_IOC_NOTICE, &n))
		return 2;
	anon = mmap(NULL, ANON_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (anon == MAP_FAILED)
		return 3;
	for (size_t i = 0; i < ANON_BYTES; i += PAGE_BYTES)
		anon[i] = 1;
	munmap(anon, ANON_BYTES);
	/* What went is said. */
	if (space_reserve(fd, 0, KEPT_CHUNKS, &r))
		return 4;
	return r.fresh_chunks && r.fresh_chunks + r.kept_chunks == KEPT_CHUNKS ? 0 : 5;
}

/* Keeps without touching anything for as long as the pipe is open. */
static int keep_and_wait(int dev, int ready, int done)
{
	char byte = 1;

	if (group_join(OTHER) || keep_some(dev) < 0 || write(ready, &byte, 1) != 1)
		return 1;
	return read(done, &byte, 1) != 0;
}

TEST_F_TIMEOUT(space, kept_chunks_go_before_the_killer_comes, 100)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), ready[2], done[2];
	long long grace_ms = parameter_get("notice_grace_ms");
	uint64_t before = module_stat(self->dev).discarded_chunks;
	struct arena_stat after;
	eventfd_t count = 0;
	char byte;
	pid_t other;

	ASSERT_EQ(0, group_make(GROUP));
	ASSERT_EQ(0, group_make(OTHER));
	/* That they are charged shows when there is a cgroup. */
	ASSERT_TRUE(module_info(self->dev).features & ARENA_FEATURE_MEMCG);
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(done));
	ASSERT_EQ(0, parameter_set("notice_grace_ms", LONG_MS));
	other = fork();
	if (!other) {
		close(done[1]);
		_exit(keep_and_wait(self->dev, ready[1], done[0]));
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	EXPECT_EQ(0, IN_CHILD(keep_and_allocate(self->dev, event)));
	EXPECT_EQ(0, group_event(GROUP, "oom_kill"));
	EXPECT_EQ(0, eventfd_read(event, &count));
	after = module_stat(self->dev);
	EXPECT_LT(before, after.discarded_chunks);
	/* Those of another cgroup are not asked for, let alone taken. */
	EXPECT_EQ(KEPT_CHUNKS, space_stat_of(self->dev, other).kept_chunks);
	EXPECT_EQ(0, parameter_set("notice_grace_ms", grace_ms));
	close(done[1]);
	EXPECT_EQ(0, child_status(other));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_TRUE(WAIT_UNTIL(!rmdir(GROUP), SETTLE_MS));
	EXPECT_TRUE(WAIT_UNTIL(!rmdir(OTHER), SETTLE_MS));
}

/* A cgroup that is far from its limit is asked as the system's own processes are: with a grace. */
TEST_F_TIMEOUT(space, far_from_the_limit_there_is_a_grace, 100)
{
	long long grace_ms = parameter_get("notice_grace_ms");
	int ready[2], done[2];
	char byte;
	pid_t other;

	ASSERT_EQ(0, group_make(OTHER));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, pipe(done));
	ASSERT_EQ(0, parameter_set("notice_grace_ms", LONG_MS));
	other = fork();
	if (!other) {
		close(done[1]);
		_exit(keep_and_wait(self->dev, ready[1], done[0]));
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	/* More often than a cgroup at its limit may ask. */
	for (unsigned int i = 0; i < 40; i++) {
		ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
		ASSERT_EQ(0, file_write_text("/proc/sys/vm/drop_caches", "2\n"));
	}
	EXPECT_EQ(KEPT_CHUNKS, space_stat_of(self->dev, other).kept_chunks);
	EXPECT_EQ(0, parameter_set("notice_grace_ms", grace_ms));
	close(done[1]);
	EXPECT_EQ(0, child_status(other));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_TRUE(WAIT_UNTIL(!rmdir(OTHER), SETTLE_MS));
}

/* Keeps, and then is slowed down in RESERVE, which holds the lock of what it keeps. */
static int keep_and_be_slow(int dev, int ready)
{
	char byte = 1;
	int fd;

	if (group_join(GROUP))
		return 1;
	fd = keep_some(dev);
	/* Room for what it keeps, so that nobody asks for that before it is in RESERVE. */
	if (fd < 0 || file_write_text(GROUP "memory.max", "max\n") ||
	    file_write_text(GROUP "memory.high", "83886080\n") || write(ready, &byte, 1) != 1)
		return 2;
	space_reserve(fd, KEPT_CHUNKS, KEPT_CHUNKS, NULL);
	/* Too early: nothing was shown. */
	return 3;
}

/* Nobody's lock keeps what others keep from being asked for and taken. */
TEST_F_TIMEOUT(space, one_who_is_slow_stops_nobody, 100)
{
	long long grace_ms = parameter_get("notice_grace_ms");
	int ready[2], status;
	char byte;
	pid_t slow;

	ASSERT_EQ(0, group_make(GROUP));
	ASSERT_EQ(0, pipe(ready));
	ASSERT_EQ(0, parameter_set("notice_grace_ms", 0));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 8, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, 8, NULL));
	slow = fork();
	if (!slow)
		_exit(keep_and_be_slow(self->dev, ready[1]));
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	/* It is in RESERVE, and its group's reclaim has asked for what it keeps. */
	sleep_ms(1000);
	ASSERT_EQ(8, space_stat(self->dev).kept_chunks);
	EXPECT_TRUE(WAIT_UNTIL(!module_trim(self->dev, ~0ULL, 0, NULL) &&
			       !file_write_text("/proc/sys/vm/drop_caches", "2\n") &&
			       space_stat(self->dev).kept_chunks < 8, 3 * SETTLE_MS));
	EXPECT_EQ(0, waitpid(slow, &status, WNOHANG));
	kill(slow, SIGKILL);
	EXPECT_EQ(slow, waitpid(slow, &status, 0));
	EXPECT_EQ(0, parameter_set("notice_grace_ms", grace_ms));
	EXPECT_TRUE(WAIT_UNTIL(!rmdir(GROUP), SETTLE_MS));
}

TEST_HARNESS_MAIN
