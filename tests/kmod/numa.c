// SPDX-License-Identifier: MIT
/*
 * Where chunks come from: memory policies of the process and of its mappings, cpusets, a space's own mask.
 *
 * Models programs that place their memory by hand on machines where some node has no processor and some
 * no memory. Needs two nodes with memory (numa.vm), else it skips.
 */
#include "common.h"
#include <linux/mempolicy.h>
#include <sched.h>
#include <sys/stat.h>

#define NODES 64
#define CGROUP "/sys/fs/cgroup/arena-numa"

/* The newer modes, by number where the headers are older. */
#define PREFERRED_MANY 5
#define WEIGHTED_INTERLEAVE 6

static int memory[NODES], nr_memory;	/* nodes with memory, rising */

/* Reads "0-2,5" into @nodes; returns how many. */
static int nodes_read(const char *path, int *nodes)
{
	int nr = 0, first, last, used;
	char text[256], *at = text;

	if (file_read_text(path, text, sizeof(text)))
		return 0;
	while (sscanf(at, "%d%n", &first, &used) == 1) {
		at += used;
		last = first;
		if (*at == '-' && sscanf(at + 1, "%d%n", &last, &used) == 1)
			at += used + 1;
		for (; first <= last && nr < NODES; first++)
			nodes[nr++] = first;
		at += *at == ',';
	}
	return nr;
}

static int policy_set(int mode, uint64_t nodes)
{
	return (int)syscall(SYS_set_mempolicy, mode, nodes ? &nodes : NULL, nodes ? 65UL : 0UL);
}

static int policy_bind(char *map, size_t nr, int mode, uint64_t nodes)
{
	return (int)syscall(SYS_mbind, map, nr * CHUNK_BYTES, mode, nodes ? &nodes : NULL, nodes ? 65UL : 0UL, 0);
}

/* The node of the chunk that is mapped at @map. */
static int node_at(const char *map)
{
	int node = -1;

	if (syscall(SYS_get_mempolicy, &node, NULL, 0UL, map, MPOL_F_NODE | MPOL_F_ADDR))
		return -errno;
	return node;
}

static unsigned int chunks_on(const char *map, unsigned int nr, int node)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < nr; i++)
		count += node_at(map + i * CHUNK_BYTES) == node;
	return count;
}

#define NEEDS_TWO_NODES()								\
	do {										\
		nr_memory = nodes_read("/sys/devices/system/node/has_memory", memory);	\
		if (nr_memory < 2)							\
			SKIP(return, "needs two nodes with memory");			\
	} while (0)

TEST_F(space, bind_is_obeyed)
{
	NEEDS_TWO_NODES();
	for (int i = 0; i < nr_memory; i++) {
		char *map;

		ASSERT_EQ(0, policy_set(MPOL_BIND, 1ULL << memory[i])) TH_LOG("%m");
		map = space_map(self->fd, (uint64_t)i * 8, 8);
		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(8, chunks_on(map, 8, memory[i])) TH_LOG("node %d", memory[i]);
	}
}

/* What one node gave back is no reason to take it for another. */
TEST_F(space, idle_chunks_of_other_nodes_stay)
{
	char *map;

	NEEDS_TWO_NODES();
	ASSERT_EQ(0, policy_set(MPOL_BIND, 1ULL << memory[0]));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 8, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, 8, NULL));
	ASSERT_EQ(0, policy_set(MPOL_BIND, 1ULL << memory[1]));
	map = space_map(self->fd, 0, 8);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(8, chunks_on(map, 8, memory[1]));
}

TEST_F(space, preferred_is_obeyed)
{
	char *map;

	NEEDS_TWO_NODES();
	for (int i = 0; i < nr_memory; i++) {
		ASSERT_EQ(0, policy_set(MPOL_PREFERRED, 1ULL << memory[i]));
		map = space_map(self->fd, (uint64_t)i * 4, 4);
		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(4, chunks_on(map, 4, memory[i]));
	}
	ASSERT_EQ(0, policy_set(PREFERRED_MANY, 1ULL << memory[0] | 1ULL << memory[1]));
	map = space_map(self->fd, 64, 4);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(4, chunks_on(map, 4, memory[0]) + chunks_on(map, 4, memory[1]));
}

static bool is_interleaved(const char *map, unsigned int first, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++)
		if (node_at(map + i * CHUNK_BYTES) != memory[(first + i) % (unsigned int)nr_memory])
			return false;
	return true;
}

TEST_F(space, interleave_goes_by_slot)
{
	uint64_t all = 0;
	char *map;

	NEEDS_TWO_NODES();
	for (int i = 0; i < nr_memory; i++)
		all |= 1ULL << memory[i];
	ASSERT_EQ(0, policy_set(MPOL_INTERLEAVE, all));
	map = space_map(self->fd, 5, 12);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_interleaved(map, 5, 12));
	ASSERT_EQ(0, space_zap(self->fd, 7, 1, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 5, 12, NULL));
	EXPECT_TRUE(is_interleaved(map, 5, 12)) TH_LOG("one slot at a time, too");
	if (policy_set(WEIGHTED_INTERLEAVE, all))
		return;
	map = space_map(self->fd, 100, 6);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_TRUE(is_interleaved(map, 100, 6));
}

/* Each processor's nearest memory; a processor on a node without memory gets some all the same. */
TEST_F(space, local_by_default)
{
	int with_cpu[NODES], nr_cpu, cpus[NODES];
	char path[96], *map;
	cpu_set_t set;

	NEEDS_TWO_NODES();
	nr_cpu = nodes_read("/sys/devices/system/node/has_cpu", with_cpu);
	ASSERT_LT(0, nr_cpu);
	for (int i = 0; i < nr_cpu; i++) {
		bool has_memory = false;

		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/cpulist", with_cpu[i]);
		ASSERT_LT(0, nodes_read(path, cpus));
		CPU_ZERO(&set);
		CPU_SET(cpus[0], &set);
		ASSERT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
		map = space_map(self->fd, (uint64_t)i * 4, 4);
		ASSERT_NE(MAP_FAILED, map) TH_LOG("node %d", with_cpu[i]);
		for (int j = 0; j < nr_memory; j++)
			has_memory |= memory[j] == with_cpu[i];
		if (has_memory)
			EXPECT_EQ(4, chunks_on(map, 4, with_cpu[i])) TH_LOG("node %d", with_cpu[i]);
	}
}

TEST_F(space, mbind_is_obeyed)
{
	char *map;

	NEEDS_TWO_NODES();
	map = space_map_bare(self->fd, 0, 24);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, policy_set(MPOL_BIND, 1ULL << memory[0]));
	ASSERT_EQ(0, policy_bind(map + 4 * CHUNK_BYTES, 8, MPOL_BIND, 1ULL << memory[1])) TH_LOG("%m");
	ASSERT_EQ(0, policy_bind(map + 12 * CHUNK_BYTES, 4, MPOL_INTERLEAVE, 1ULL << memory[0] | 1ULL << memory[1]));
	ASSERT_EQ(0, space_reserve(self->fd, 2, 20, NULL));
	EXPECT_EQ(2, chunks_on(map + 2 * CHUNK_BYTES, 2, memory[0]));
	EXPECT_EQ(8, chunks_on(map + 4 * CHUNK_BYTES, 8, memory[1]));
	EXPECT_EQ(2, chunks_on(map + 12 * CHUNK_BYTES, 4, memory[1]));
	EXPECT_EQ(6, chunks_on(map + 16 * CHUNK_BYTES, 6, memory[0])) TH_LOG("the task's again");
	/* Taken back: the task's policy counts again. */
	ASSERT_EQ(0, space_zap(self->fd, 0, 24, NULL));
	ASSERT_EQ(0, policy_bind(map, 24, MPOL_DEFAULT, 0));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 24, NULL));
	EXPECT_EQ(24, chunks_on(map, 24, memory[0]));
}

TEST_F(space, mbind_is_reported)
{
	uint64_t nodes = 0;
	int mode = -1;
	char *map;

	NEEDS_TWO_NODES();
	map = space_map_bare(self->fd, 0, 2);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, policy_bind(map, 2, MPOL_BIND, 1ULL << memory[1]));
	ASSERT_EQ(0, syscall(SYS_get_mempolicy, &mode, &nodes, 65UL, map, MPOL_F_ADDR)) TH_LOG("%m");
	EXPECT_EQ(MPOL_BIND, mode);
	EXPECT_EQ(1ULL << memory[1], nodes);
}

TEST_F(space, mbind_counts_for_a_touch)
{
	int fd;
	char *map;

	NEEDS_TWO_NODES();
	fd = space_create_full(self->dev, 8, 0, ARENA_CREATE_ON_TOUCH);
	map = space_map(fd, 0, 8);
	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	for (int i = 0; i < 2; i++) {
		char *half = map + (size_t)i * 4 * CHUNK_BYTES;

		ASSERT_EQ(0, policy_bind(half, 4, MPOL_BIND, 1ULL << memory[i]));
		for (int j = 0; j < 4; j++)
			ASSERT_EQ(0, fault_write(half + (size_t)j * CHUNK_BYTES, 1));
		EXPECT_EQ(4, chunks_on(half, 4, memory[i]));
	}
	EXPECT_EQ(0, munmap(map, 8 * CHUNK_BYTES));
	close(fd);
}

static int space_create_on(int dev, uint64_t nr_slots, uint64_t node_mask)
{
	struct arena_create c = { .size = sizeof(c), .nr_slots = nr_slots, .node_mask = node_mask };

	return ioctl(dev, ARENA_IOC_CREATE, &c);
}

TEST_F(space, node_mask_is_obeyed)
{
	int online[NODES], nr, fd;
	uint64_t known = 0, has = 0;
	char *map;

	NEEDS_TWO_NODES();
	for (int i = 0; i < nr_memory; i++) {
		has |= 1ULL << memory[i];
		fd = space_create_on(self->dev, 8, 1ULL << memory[i]);
		ASSERT_LE(0, fd) TH_LOG("%m");
		map = space_map(fd, 0, 4);
		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(4, chunks_on(map, 4, memory[i]));
		/* A policy chooses among the nodes of the mask; a strict one may leave none. */
		ASSERT_EQ(0, policy_set(MPOL_PREFERRED, 1ULL << memory[!i]));
		EXPECT_EQ(0, space_reserve(fd, 0, 6, NULL));
		ASSERT_EQ(0, policy_set(MPOL_BIND, 1ULL << memory[!i]));
		EXPECT_EQ(ENOMEM, space_reserve(fd, 0, 8, NULL));
		ASSERT_EQ(0, policy_set(MPOL_DEFAULT, 0));
		EXPECT_EQ(0, munmap(map, 4 * CHUNK_BYTES));
		close(fd);
	}
	nr = nodes_read("/sys/devices/system/node/online", online);
	for (int i = 0; i < nr; i++)
		known |= 1ULL << online[i];
	for (int node = 0; node < NODES; node++) {
		fd = space_create_on(self->dev, 1, 1ULL << node);
		EXPECT_EQ(!!(has & 1ULL << node), fd >= 0) TH_LOG("node %d", node);
		EXPECT_TRUE(fd >= 0 || errno == EINVAL) TH_LOG("%m");
		if (fd >= 0)
			close(fd);
	}
	fd = space_create_on(self->dev, 1, known);
	EXPECT_LE(0, fd);
	close(fd);
	EXPECT_EQ(-1, space_create_on(self->dev, 1, ~0ULL));
}

/* The caps are moved out of the way, so that it is the node that says no. */
TEST_F(space, strict_node_that_is_full)
{
	long long total = parameter_get("max_total_chunks"), user = parameter_get("max_user_chunks");
	long long ram = meminfo_kb("MemTotal") / 2048 - 8;
	struct arena_stat before;
	int fd;

	NEEDS_TWO_NODES();
	ASSERT_EQ(0, parameter_set("max_total_chunks", ram));
	ASSERT_EQ(0, parameter_set("max_user_chunks", ram));
	fd = space_create(self->dev, 1024);
	ASSERT_EQ(0, policy_set(MPOL_BIND, 1ULL << memory[1]));
	before = module_stat(self->dev);
	/* More than one of two nodes has, and less than all have together. */
	EXPECT_EQ(ENOMEM, space_reserve(fd, 0, (uint64_t)ram * 3 / 5, NULL));
	EXPECT_EQ(before.handed_chunks, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, space_reserve(fd, 0, 8, NULL)) TH_LOG("what fits is to be had");
	close(fd);
	ASSERT_EQ(0, parameter_set("max_total_chunks", total));
	ASSERT_EQ(0, parameter_set("max_user_chunks", user));
}

static int cgroup_write(const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", file[0] == '/' ? "/sys/fs/cgroup" : CGROUP, file);
	return file_write_text(path, text);
}

/* A process whose cpuset moves takes the next chunks from where it is allowed then. */
TEST_F(space, cpuset_that_moves)
{
	char text[16], *map;

	NEEDS_TWO_NODES();
	if (mkdir(CGROUP, 0755) || cgroup_write("cpuset.mems", ""))
		SKIP(return, "no cpuset controller");
	for (int i = 0; i < nr_memory; i++) {
		snprintf(text, sizeof(text), "%d", memory[i]);
		ASSERT_EQ(0, cgroup_write("cpuset.mems", text));
		snprintf(text, sizeof(text), "%d", getpid());
		if (!i)
			ASSERT_EQ(0, cgroup_write("cgroup.procs", text));
		map = space_map(self->fd, (uint64_t)i * 4, 4);
		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(4, chunks_on(map, 4, memory[i])) TH_LOG("node %d", memory[i]);
	}
	snprintf(text, sizeof(text), "%d", getpid());
	EXPECT_EQ(0, cgroup_write("/cgroup.procs", text));
	EXPECT_EQ(0, rmdir(CGROUP));
}

TEST_HARNESS_MAIN
