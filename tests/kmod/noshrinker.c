// SPDX-License-Identifier: MIT
/*
 * A module that was told not to give anything back under pressure: it says so, and does not.
 *
 * VM: memory=1536M cpus=2, shrinker=0 (noshrinker.vm). What INFO says elsewhere is in uapi_abi.c.
 */
#include "group.h"

#define NR_KEPT 4

TEST_F(space, pressure_takes_nothing_and_no_notice_is_claimed)
{
	struct arena_notice notice = { .size = sizeof(notice) };
	uint64_t idle, returned;

	EXPECT_FALSE(module_info(self->dev).features & ARENA_FEATURE_NOTICE);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 2 * NR_KEPT, NULL));
	ASSERT_EQ(0, space_zap(self->fd, NR_KEPT, NR_KEPT, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, NR_KEPT, NULL));
	idle = idle_chunks(self->dev);
	returned = module_stat(self->dev).returned_chunks;
	EXPECT_LE(NR_KEPT, idle);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, file_write_text("/proc/sys/vm/drop_caches", "2"));
	/* Longer than a notice's grace. */
	sleep_ms(500);
	EXPECT_EQ(idle, idle_chunks(self->dev));
	EXPECT_EQ(returned, module_stat(self->dev).returned_chunks);
	EXPECT_EQ(NR_KEPT, module_stat(self->dev).kept_chunks);
	EXPECT_EQ(0, call_errno(self->fd, ARENA_IOC_NOTICE, &notice));
	EXPECT_EQ(ARENA_NOTICE_NONE, notice.level);
	EXPECT_EQ(0, notice.wanted_bytes);
}

TEST_HARNESS_MAIN
