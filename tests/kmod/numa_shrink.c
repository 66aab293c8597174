// SPDX-License-Identifier: MIT
/*
 * The shrinker gives back chunks of the node that is short of memory, and of no other.
 *
 * The kernel's debug interface of shrinkers asks for one node, as kswapd of that node would, and
 * without a shortage that has others ask too.
 */
#include "common.h"
#include <glob.h>
#include <sys/stat.h>

#define SYSFS	"/sys/class/misc/arena/"
#define SHRINK	"/sys/kernel/debug/shrinker/arena-*/scan"
#define NR	8U	/* chunks on each node */

/* Chunks that idle on a node, or -1 if there is no such node. */
static long long node_idle(int node)
{
	long long sum = 0;

	for (int i = 0; i < 2; i++) {
		char path[128], text[32];

		snprintf(path, sizeof(path), SYSFS "node%d/%s_chunks", node, i ? "clean" : "dirty");
		if (file_read_text(path, text, sizeof(text)))
			return -1;
		sum += atoll(text);
	}
	return sum;
}

/* Asks for chunks of a node that are charged to the root cgroup, where the test is. */
static int node_shrink(const char *path, int node, unsigned int chunks)
{
	struct stat root = { .st_ino = 0 };
	char text[96];

	stat("/sys/fs/cgroup", &root);
	snprintf(text, sizeof(text), "%lu %d %lu\n", (unsigned long)root.st_ino, node,
		 chunks * (unsigned long)(CHUNK_BYTES / PAGE_BYTES));
	return file_write_text(path, text);
}

/* Leaves NR chunks idle on a node. */
static bool node_fill(int dev, int node)
{
	struct arena_create c = { .size = sizeof(c), .nr_slots = NR, .node_mask = 1ULL << node };
	int fd = ioctl(dev, ARENA_IOC_CREATE, &c);
	bool filled = fd >= 0 && !space_reserve(fd, 0, NR, NULL) && !space_zap(fd, 0, NR, NULL);

	close(fd);
	/* The shrinker only tries the lock, which the clearing thread may have. */
	return filled && WAIT_UNTIL(!module_stat(dev).dirty_chunks, SETTLE_MS);
}

TEST_F(space, only_the_node_that_asks_shrinks)
{
	glob_t found;

	if (glob(SHRINK, 0, NULL, &found))
		SKIP(return, "this kernel shows no shrinkers");
	if (node_idle(0) < 0 || node_idle(1) < 0)
		SKIP(return, "needs two nodes");
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
	ASSERT_TRUE(node_fill(self->dev, 0));
	ASSERT_TRUE(node_fill(self->dev, 1));
	ASSERT_EQ(NR, node_idle(0));
	ASSERT_EQ(NR, node_idle(1));
	ASSERT_EQ(0, node_shrink(found.gl_pathv[0], 1, 3));
	EXPECT_EQ(NR - 3, node_idle(1));
	ASSERT_EQ(0, node_shrink(found.gl_pathv[0], 1, 2 * NR));
	EXPECT_EQ(0, node_idle(1));
	EXPECT_EQ(NR, node_idle(0));
	ASSERT_EQ(0, node_shrink(found.gl_pathv[0], 0, 2 * NR));
	EXPECT_EQ(0, node_idle(0));
	globfree(&found);
}

TEST_HARNESS_MAIN
