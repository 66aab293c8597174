// SPDX-License-Identifier: MIT
/*
 * Chunks asked for ahead come from where RESERVE would look for them: on the nodes of the policy, the
 * cpuset and the space, also for somebody who runs on a node that has no memory.
 *
 * Needs two nodes with memory (numa_ahead.vm), else it skips.
 */
#include "common.h"
#include <linux/mempolicy.h>
#include <sched.h>

#define NR 8

static uint64_t clean_on(int node)
{
	char path[96], text[64];

	snprintf(path, sizeof(path), "/sys/class/misc/arena/node%d/clean_chunks", node);
	return file_read_text(path, text, sizeof(text)) ? 0 : (uint64_t)atoll(text);
}

static uint64_t clean_on_others(int node)
{
	uint64_t nr = 0;

	for (int other = 0; other < 8; other++)
		nr += other == node ? 0 : clean_on(other);
	return nr;
}

static bool has_memory(int node)
{
	char path[96], text[4096];
	unsigned long kb = 0;
	const char *total;

	snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/meminfo", node);
	if (file_read_text(path, text, sizeof(text)))
		return false;
	total = strstr(text, "MemTotal:");
	return total && sscanf(total, "MemTotal: %lu", &kb) == 1 && kb;
}

static int policy_set(int mode, uint64_t nodes)
{
	return (int)syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, nodes ? 65UL : 0UL);
}

static int range_ahead(int fd, unsigned int nr)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_AHEAD,
				   .length_bytes = nr * CHUNK_BYTES };

	return call_errno(fd, ARENA_IOC_RESERVE, &r);
}

static int processor_set(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

TEST_F(space, chunks_made_ahead_obey_the_policy)
{
	int nr_nodes = 0;

	for (int node = 0; node < 8; node++) {
		if (!has_memory(node))
			continue;
		nr_nodes++;
		ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
		ASSERT_EQ(0, policy_set(MPOL_BIND, 1ULL << node)) TH_LOG("%m");
		ASSERT_EQ(0, range_ahead(self->fd, NR));
		EXPECT_TRUE(WAIT_UNTIL(clean_on(node) >= NR, SETTLE_MS)) TH_LOG("node %d", node);
		EXPECT_EQ(0, clean_on_others(node));
	}
	policy_set(MPOL_DEFAULT, 0);
	if (nr_nodes < 2)
		SKIP(return, "needs two nodes with memory");
}

TEST_F(space, chunks_made_ahead_obey_the_space)
{
	struct arena_create c = { .size = sizeof(c), .nr_slots = 64 };

	for (int node = 0; node < 8; node++) {
		int fd;

		if (!has_memory(node))
			continue;
		ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
		c.node_mask = 1ULL << node;
		fd = ioctl(self->dev, ARENA_IOC_CREATE, &c);
		ASSERT_LE(0, fd);
		ASSERT_EQ(0, range_ahead(fd, NR));
		EXPECT_TRUE(WAIT_UNTIL(clean_on(node) >= NR, SETTLE_MS)) TH_LOG("node %d", node);
		EXPECT_EQ(0, clean_on_others(node));
		close(fd);
	}
}

TEST_F(space, chunks_are_made_ahead_for_every_processor)
{
	long nr_cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (int cpu = 0; cpu < nr_cpus; cpu++) {
		ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
		ASSERT_EQ(0, processor_set(cpu)) TH_LOG("%m");
		ASSERT_EQ(0, range_ahead(self->fd, NR));
		EXPECT_TRUE(WAIT_UNTIL(module_stat(self->dev).clean_chunks >= NR, SETTLE_MS))
			TH_LOG("processor %d", cpu);
	}
}

TEST_HARNESS_MAIN
