// SPDX-License-Identifier: MIT
/*
 * A machine that charges no kernel memory to cgroups: the module says so, and works as if there were
 * none.
 *
 * VM: memory=1536M cpus=2, cgroup.memory=nokmem (nokmem.vm)
 */
#include "common.h"
#include <sys/stat.h>

#define GROUP "/sys/fs/cgroup/arena-nokmem"

static int work(int dev)
{
	int fd = space_create(dev, 64), error;

	if (fd < 0)
		return 1;
	/* Twice what the group may have. */
	error = space_reserve(fd, 0, 32, NULL);
	if (error)
		return 2;
	return space_zap(fd, 0, 32, NULL) ? 3 : 0;
}

TEST_F(space, nothing_is_charged_and_nothing_claimed)
{
	if (mkdir(GROUP, 0755) || file_write_text(GROUP "/memory.max", "32M"))
		SKIP(return, "no memory cgroup");
	EXPECT_FALSE(module_info(self->dev).features & ARENA_FEATURE_MEMCG);
	EXPECT_EQ(0, IN_CHILD(file_write_text(GROUP "/cgroup.procs", "0") ? 99 : work(self->dev)));
	EXPECT_EQ(0, space_reserve(self->fd, 0, 32, NULL));
	EXPECT_TRUE(WAIT_UNTIL(!rmdir(GROUP), SETTLE_MS));
}

TEST_HARNESS_MAIN
