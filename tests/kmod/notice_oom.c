// SPDX-License-Identifier: MIT
/*
 * The machine runs out of memory while much of it is kept. Reclaim must leave that alone for a
 * grace of a minute, so what is left is the notifier of the OOM killer: it takes kept chunks before
 * anybody is killed, and their owner hears that it was serious.
 *
 * VM: memory=1536M
 */
#include "common.h"
#include <sys/eventfd.h>

#define LEFT_CHUNKS	80		/* 160 MiB stay free, so that the hog is soon done */
#define HOG_MORE_KB	(128L << 10)	/* beyond what is free, a fraction of what is kept */
#define LONG_MS		60000		/* longer than the hog takes, and the most there is */

/* Exits with 0 when it got all its memory; the first to be killed if anybody is. */
static int hog(size_t bytes)
{
	char *memory;

	if (file_write_text("/proc/self/oom_score_adj", "1000"))
		return 1;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 2;
	for (size_t at = 0; at < bytes; at += PAGE_BYTES)
		memory[at] = 1;
	return 0;
}

/* All that the machine has but LEFT_CHUNKS. */
static int keep_many(int fd, int event, uint64_t nr)
{
	struct arena_notice n = { .size = sizeof(n), .flags = ARENA_NOTICE_EVENTFD,
				  .eventfd = event };

	return call_errno(fd, ARENA_IOC_NOTICE, &n) ?: space_reserve(fd, 0, nr, NULL) ?:
	       space_keep(fd, 0, nr, NULL);
}

TEST_F(space, kept_chunks_go_before_anybody_is_killed)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct arena_notice n = { .size = sizeof(n) };
	struct arena_stat before = module_stat(self->dev), after;
	uint64_t nr = (uint64_t)(free_kb() / 2048 - LEFT_CHUNKS);
	struct arena_reserve r;
	eventfd_t count = 0;
	int fd;

	ASSERT_EQ(0, parameter_set("max_total_chunks", meminfo_kb("MemTotal") / 2048));
	ASSERT_EQ(0, parameter_set("max_user_chunks", meminfo_kb("MemTotal") / 2048));
	fd = space_create(self->dev, nr);
	ASSERT_EQ(0, parameter_set("notice_grace_ms", LONG_MS));
	ASSERT_EQ(0, parameter_set("notice_calm_ms", LONG_MS)) TH_LOG("so that the level stays");
	ASSERT_EQ(0, keep_many(fd, event, nr));
	ASSERT_EQ(0, freed_pages_in_lists(FREED_IN_LISTS_LEAST)) TH_LOG("or they break up chunks");
	EXPECT_EQ(0, IN_CHILD(hog((size_t)(free_kb() + HOG_MORE_KB) << 10))) TH_LOG("killed?");
	after = module_stat(self->dev);
	EXPECT_LT(before.discarded_chunks, after.discarded_chunks);
	EXPECT_EQ(0, call_errno(fd, ARENA_IOC_NOTICE, &n));
	EXPECT_EQ(ARENA_NOTICE_CRITICAL, n.level);
	EXPECT_EQ(0, eventfd_read(event, &count));
	EXPECT_LT(0, count);
	ASSERT_EQ(0, space_reserve(fd, 0, nr, &r));
	after = module_stat(self->dev);
	EXPECT_EQ(after.discarded_chunks - before.discarded_chunks, r.fresh_chunks);
	EXPECT_EQ(0, freed_pages_in_lists(FREED_IN_LISTS_DEFAULT));
	close(fd);
	close(event);
}

TEST_HARNESS_MAIN
