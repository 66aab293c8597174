// SPDX-License-Identifier: MIT
/* The memory cgroups of a process: systems of both versions, hybrid ones and containers, as files that are made up. */
#include "gc/cgroup.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base.h"
#include "tests/harness.h"

/* Below it: proc/cgroup, proc/mountinfo, and all mount points. */
static char base[64];

static void write_file(const char *path, const char *text)
{
	char whole[8192];
	FILE *file;

	CHECK(snprintf(whole, sizeof(whole), "%s%s", base, path) < (int)sizeof(whole));
	for (char *slash = whole + strlen(base) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
		*slash = 0;
		mkdir(whole, 0700);
	}
	file = fopen(whole, "w");
	CHECK(file && fputs(text, file) >= 0 && !fclose(file));
}

static void make_system(const char *cgroup, const char *mountinfo)
{
	snprintf(base, sizeof(base), "/tmp/gc_cgroup.XXXXXX");
	CHECK(mkdtemp(base));
	write_file("/proc/cgroup", cgroup);
	write_file("/proc/mountinfo", mountinfo);
}

static uint64_t limit(void)
{
	char proc[128];

	snprintf(proc, sizeof(proc), "%s/proc", base);
	return gc_cgroup_limit(proc, base);
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
	(void)stat, (void)type, (void)walk;
	return remove(path);
}

static void remove_system(void)
{
	CHECK(!nftw(base, remove_one, 8, FTW_DEPTH | FTW_PHYS));
}

/* What version 1 says where there is no limit. */
#define V1_NONE "9223372036854771712\n"

#define OTHERS "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" \
	"24 22 0:22 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755\n"
#define V1_CPU "30 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:14 - cgroup cgroup rw,cpu,cpuacct\n"
#define V1_MEMORY "31 24 0:28 / /sys/fs/cgroup/memory rw,nosuid shared:15 - cgroup cgroup rw,memory\n"
#define V2_ALL "24 22 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V2_BESIDE "32 24 0:26 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate\n"

/* ---------------------------------------------------------------- version 2 */

TEST(two, "gc_cgroup/version 2: the least limit on the way up holds")
{
	make_system("0::/a.slice/b.service\n", V2_ALL);
	write_file("/sys/fs/cgroup/a.slice/memory.max", "1000000\n");
	write_file("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	write_file("/sys/fs/cgroup/a.slice/c.service/memory.max", "1000\n");
	CHECK_EQ(limit(), 1000000);
	write_file("/sys/fs/cgroup/a.slice/b.service/memory.max", "900000\n");
	CHECK_EQ(limit(), 900000);
	/* A container's own root has one as well. */
	write_file("/sys/fs/cgroup/memory.max", "800000\n");
	CHECK_EQ(limit(), 800000);
	remove_system();
}

TEST(two_root, "gc_cgroup/version 2: the root of a cgroup namespace")
{
	make_system("0::/\n", "40 22 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
	CHECK_EQ(limit(), UINT64_MAX);
	write_file("/sys/fs/cgroup/memory.max", "1048576\n");
	CHECK_EQ(limit(), 1048576);
	remove_system();
}

TEST(two_outside, "gc_cgroup/version 2: mounted from above the cgroup namespace, which is no way down")
{
	make_system("0::/a\n", "40 22 0:22 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
	write_file("/sys/fs/cgroup/memory.max", "2000\n");
	write_file("/sys/fs/cgroup/a/memory.max", "1000\n");
	CHECK_EQ(limit(), 2000);
	remove_system();
}

/* ---------------------------------------------------------------- version 1 */

TEST(one, "gc_cgroup/version 1: the least limit on the way up holds, and the highest number is none")
{
	make_system("5:cpu,cpuacct:/other\n4:memory:/a/b\n1:name=systemd:/a/b/c\n", OTHERS V1_CPU V1_MEMORY);
	write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", V1_NONE);
	write_file("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", V1_NONE);
	write_file("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", V1_NONE);
	write_file("/sys/fs/cgroup/memory/other/memory.limit_in_bytes", "1000\n");
	write_file("/sys/fs/cgroup/memory/a/b/c/memory.limit_in_bytes", "1000\n");
	CHECK_EQ(limit(), UINT64_MAX);
	write_file("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "536870912\n");
	CHECK_EQ(limit(), 536870912);
	write_file("/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "268435456\n");
	CHECK_EQ(limit(), 268435456);
	remove_system();
}

TEST(one_among, "gc_cgroup/version 1: memory mounted along with others, in another place")
{
	make_system("7:cpu,memory,pids:/x\n", OTHERS "31 24 0:28 / /cg/all rw - cgroup none rw,cpu,memory,pids\n");
	write_file("/cg/all/x/memory.limit_in_bytes", "4096\n");
	CHECK_EQ(limit(), 4096);
	remove_system();
}

TEST(one_container, "gc_cgroup/version 1: a container that sees its own group alone")
{
	make_system("4:memory:/docker/0123/sub\n", OTHERS "31 24 0:28 /docker/0123 /sys/fs/cgroup/memory ro shared:1 master:2 - cgroup cgroup rw,memory\n");
	write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
	CHECK_EQ(limit(), 5000);
	write_file("/sys/fs/cgroup/memory/sub/memory.limit_in_bytes", "4000\n");
	CHECK_EQ(limit(), 4000);
	remove_system();
}

TEST(one_others, "gc_cgroup/a mount that shows another group says nothing, also when its name begins the same way")
{
	make_system("4:memory:/docker/01234\n", "31 24 0:28 /docker/0123 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
	write_file("/sys/fs/cgroup/memory/memory.limit_in_bytes", "5000\n");
	write_file("/sys/fs/cgroup/memory/docker/01234/memory.limit_in_bytes", "5000\n");
	write_file("/sys/fs/cgroup/memory4/memory.limit_in_bytes", "5000\n");
	CHECK_EQ(limit(), UINT64_MAX);
	remove_system();
}

/* ---------------------------------------------------------------- hybrid systems */

TEST(hybrid_one, "gc_cgroup/hybrid: version 2 is there, and memory with version 1")
{
	make_system("4:memory:/a\n1:name=systemd:/a\n0::/a\n", OTHERS V1_MEMORY V2_BESIDE);
	write_file("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "7000000\n");
	write_file("/sys/fs/cgroup/unified/a/cgroup.procs", "");
	CHECK_EQ(limit(), 7000000);
	remove_system();
}

TEST(hybrid_two, "gc_cgroup/hybrid: version 1 is there, and memory with version 2")
{
	make_system("5:cpu,cpuacct:/\n0::/user.slice/a\n", OTHERS V1_CPU V2_BESIDE);
	write_file("/sys/fs/cgroup/unified/user.slice/a/memory.max", "6000000\n");
	write_file("/sys/fs/cgroup/cpu,cpuacct/memory.limit_in_bytes", "1000\n");
	CHECK_EQ(limit(), 6000000);
	remove_system();
}

/* ---------------------------------------------------------------- what else may be there */

TEST(names, "gc_cgroup/spaces and backslashes in the names of mounts and groups")
{
	make_system("0::/a\\x2db/c d\n", "40 22 0:22 /a\\134x2db /mnt/cg\\040two rw - cgroup2 cgroup rw\n");
	write_file("/mnt/cg two/c d/memory.max", "3000\n");
	CHECK_EQ(limit(), 3000);
	remove_system();
}

static char long_line[6000 + 256];

TEST(long_lines, "gc_cgroup/lines that are longer than any of a cgroup are let pass")
{
	char layers[6001] = { 0 };

	memset(layers, 'l', 6000);
	snprintf(long_line, sizeof(long_line), "30 22 0:30 / /merged rw - overlay overlay rw,lowerdir=%s\n" V2_ALL, layers);
	make_system("0::/a\n", long_line);
	write_file("/sys/fs/cgroup/a/memory.max", "3000\n");
	CHECK_EQ(limit(), 3000);
	remove_system();
}

TEST(odd, "gc_cgroup/what is not understood is no limit")
{
	static const char *const cgroups[] = { "", "\n", "0\n", "0:\n", "0::\n", ":::", "memory\n", "4:memory\n", "0:/a\n", "x::/a\n" };
	static const char *const mounts[] = { "", "\n", "-\n", " - \n", "1 2 3 4 5 6 - cgroup2\n", "1 2 3 4 5 6 - cgroup2 x\n", "1 2 3 / /x rw cgroup2 x rw\n" };

	for (size_t i = 0; i < ARRAY_LEN(cgroups); i++) {
		make_system(cgroups[i], V2_ALL V1_MEMORY);
		write_file("/sys/fs/cgroup/a/memory.max", "3000\n");
		CHECK_EQ(limit(), UINT64_MAX);
		remove_system();
	}
	for (size_t i = 0; i < ARRAY_LEN(mounts); i++) {
		make_system("0::/\n", mounts[i]);
		CHECK_EQ(limit(), UINT64_MAX);
		remove_system();
	}
	CHECK_EQ(gc_cgroup_limit("/nowhere", ""), UINT64_MAX);
}
