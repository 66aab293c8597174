// SPDX-License-Identifier: MIT
/*
 * The module cannot be unloaded under its users, can be unloaded when there are none, and leaves
 * nothing behind however often.
 *
 * Models an administrator who upgrades the module. Expects the module's file where the test VM has
 * it, or where ARENA_KO says, and leaves the module loaded.
 */
#include "common.h"
#include <glob.h>
#include <grp.h>
#include <sys/param.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#define NR_CYCLES	110
/* By then caches and lists that only grow at first are warm. */
#define WARM_CYCLES	10
#define USER_TESTER	1000
#define GROUP_ARENA	990
/* Against somebody who holds the device most of the time. */
#define PATIENCE_MS	20000

static const char *module_path(void)
{
	return getenv("ARENA_KO") ?: "/lib/arena.ko";
}

static int module_unload(void)
{
	return syscall(SYS_delete_module, "arena", O_NONBLOCK) ? errno : 0;
}

static int module_load(void)
{
	int fd = open(module_path(), O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? errno : 0;

	if (!error && syscall(SYS_finit_module, fd, "", 0))
		error = errno;
	if (fd >= 0)
		close(fd);
	return error;
}

static bool is_loaded(void)
{
	return !access("/sys/module/arena", F_OK);
}

/* Descriptors are released on the way back to user space, but the last mount reference is not. */
static bool unload_succeeds(void)
{
	return WAIT_UNTIL(module_unload() == 0, SETTLE_MS);
}

TEST(refused_while_the_device_is_open)
{
	int dev = open(DEVICE, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, dev);
	EXPECT_EQ(EWOULDBLOCK, module_unload());
	close(dev);
}

TEST(refused_while_a_space_is_open)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC), fd = space_create(dev, 4);

	ASSERT_LE(0, fd);
	close(dev);
	EXPECT_EQ(EWOULDBLOCK, module_unload());
	EXPECT_EQ(0, space_reserve(fd, 0, 4, NULL));
	EXPECT_EQ(EWOULDBLOCK, module_unload());
	close(fd);
}

TEST(refused_while_a_mapping_exists)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC), fd = space_create(dev, 4);
	char *map = space_map(fd, 0, 4);

	ASSERT_NE(MAP_FAILED, map);
	close(dev);
	close(fd);
	EXPECT_EQ(EWOULDBLOCK, module_unload());
	map[0] = 1;
	EXPECT_EQ(EWOULDBLOCK, module_unload());
	EXPECT_EQ(0, munmap(map, 4 * CHUNK_BYTES));
	EXPECT_TRUE(unload_succeeds());
	EXPECT_FALSE(is_loaded());
	EXPECT_EQ(0, module_load());
}

/* A page in a pipe holds a chunk of the module; what happens then must at least be safe. */
TEST(with_a_page_in_a_pipe)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	char *map = space_map(dev, 0, 1), text[16] = "";
	struct iovec page = { .iov_base = map, .iov_len = sizeof(text) };
	int ends[2], error;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	strcpy(map, "still in flight");
	ASSERT_EQ(sizeof(text), vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, munmap(map, CHUNK_BYTES));
	close(dev);
	sleep_ms(100);
	error = module_unload();
	TH_LOG("delete_module: %s", error ? strerror(error) : "done");
	EXPECT_EQ(sizeof(text), read(ends[0], text, sizeof(text)));
	EXPECT_STREQ("still in flight", text);
	close(ends[0]);
	close(ends[1]);
	if (error) {
		EXPECT_TRUE(unload_succeeds());
	}
	EXPECT_EQ(0, module_load());
}

static int use_a_little(void)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	char *map = space_map(dev, 0, 4);

	if (map == MAP_FAILED)
		return 1;
	fill(map, 2 * CHUNK_BYTES, 1);
	return space_keep(dev, 0, 2, NULL);
}

/* There is no udev to do it. */
static int device_share(void)
{
	return chown(DEVICE, 0, GROUP_ARENA);
}

static int become_tester(void)
{
	gid_t group = GROUP_ARENA;

	return setgroups(1, &group) || setresgid(USER_TESTER, USER_TESTER, USER_TESTER) ||
	       setresuid(USER_TESTER, USER_TESTER, USER_TESTER);
}

/*
 * Another user, who does not care whether the module is there. Counts how often it was, and ends when he
 * is killed.
 */
static void use_all_the_time(volatile unsigned long *nr_uses)
{
	if (become_tester())
		_exit(1);
	for (;;) {
		int dev = open(DEVICE, O_RDWR | O_CLOEXEC);

		if (dev < 0) {
			sleep_ms(1);
			continue;
		}
		*nr_uses += !space_reserve(dev, 0, 2, NULL);
		close(dev);
		sleep_ms(2);
	}
}

static unsigned long *shared_counter(void)
{
	return mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/*
 * What the rest of the system may have more of: two thirds of what each cycle losing one page costs. A kernel that checks itself keeps
 * stacks, and more the longer it runs; what is lost there is for kmemleak to find, however small.
 */
static long slack_pages(void)
{
	return slowness() > 1 ? 512 : (NR_CYCLES - WARM_CYCLES) * 2 / 3;
}

/* Slabs without an object go to the system, those of caches whose users are others' too. */
static void slabs_shrink(void)
{
	glob_t caches;

	if (glob("/sys/kernel/slab/*/shrink", 0, NULL, &caches))
		return;
	for (size_t i = 0; i < caches.gl_pathc; i++)
		file_write_text(caches.gl_pathv[i], "1");
	globfree(&caches);
}

static long free_pages_now(void)
{
	file_write_text("/proc/sys/vm/drop_caches", "3\n");
	slabs_shrink();
	/* Processors let go of the pages that they are about to put on lists. */
	file_write_text("/proc/sys/vm/compact_memory", "1\n");
	file_write_text("/proc/sys/vm/stat_refresh", "1\n");
	return free_kb() / (long)(PAGE_BYTES / 1024);
}

/*
 * The most of several looks, while somebody does not work: freed memory comes back late, and the rest of the
 * system has some for a moment.
 */
static long free_pages_at_rest(pid_t somebody)
{
	/* A look takes seconds on a kernel that checks itself. */
	unsigned int nr_looks = slowness() > 1 ? 4 : 10;
	long most = 0;

	kill(somebody, SIGSTOP);
	for (unsigned int i = 0; i < nr_looks; i++) {
		most = MAX(most, free_pages_now());
		sleep_ms(20);
	}
	kill(somebody, SIGCONT);
	return most;
}

TEST_F_TIMEOUT(space, load_and_unload_while_somebody_opens_and_closes, 1500)
{
	long before = 0, after = 0;
	unsigned long *nr_uses = shared_counter();
	pid_t somebody;

	ASSERT_NE(MAP_FAILED, nr_uses);
	ASSERT_EQ(0, device_share());
	close(self->fd);
	close(self->dev);
	somebody = fork();
	if (!somebody)
		use_all_the_time(nr_uses);
	for (unsigned int i = 0; i <= NR_CYCLES; i++) {
		ASSERT_EQ(0, IN_CHILD(use_a_little()));
		ASSERT_TRUE(WAIT_UNTIL(module_unload() == 0, PATIENCE_MS)) TH_LOG("cycle %u: %m", i);
		ASSERT_NE(0, access(DEVICE, F_OK));
		if (i == WARM_CYCLES)
			before = free_pages_at_rest(somebody);
		if (i == NR_CYCLES)
			after = free_pages_at_rest(somebody);
		ASSERT_EQ(0, module_load());
		ASSERT_EQ(0, device_share());
	}
	TH_LOG("free pages %ld -> %ld", before, after);
	EXPECT_LE(before - slack_pages(), after);
	/* So that it was he who had to be waited for, not an empty chair. */
	EXPECT_TRUE(WAIT_UNTIL(*nr_uses > NR_CYCLES / 10, SETTLE_MS));
	TH_LOG("%lu times used by the other user", *nr_uses);
	kill(somebody, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_status(somebody));
	self->dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->fd = space_create(self->dev, 4);
	EXPECT_LE(0, self->fd);
	EXPECT_EQ(0, module_stat(self->dev).handed_chunks);
}

/* 0 when one of the lines that the log has and `log` has not yet read says `text`. */
static int log_says(int log, const char *text)
{
	char line[2048];
	ssize_t n;

	while ((n = read(log, line, sizeof(line) - 1)) > 0) {
		line[n] = '\0';
		if (strstr(line, text))
			return 0;
	}
	return ENOENT;
}

static int load_without_huge_pages(void)
{
	return prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) ? errno : module_load();
}

static uint64_t features(void)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	uint64_t answer = dev < 0 ? 0 : module_info(dev).features;

	close(dev);
	return answer;
}

/* Where huge mappings do not appear the module says so. 6.1 does not look at what a process forbade itself. */
TEST(a_module_that_sees_single_pages_says_so)
{
	int log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct utsname name;
	bool huge;

	ASSERT_LE(0, log);
	ASSERT_EQ(0, uname(&name));
	huge = !strncmp(name.release, "6.1.", 4);
	ASSERT_TRUE(unload_succeeds());
	ASSERT_LE(0, lseek(log, 0, SEEK_END));
	EXPECT_EQ(0, IN_CHILD(load_without_huge_pages()));
	EXPECT_EQ(0, log_says(log, huge ? "chunks are mapped by PMDs"
				   : "chunks are mapped by single pages, not by PMDs"));
	EXPECT_EQ(huge, !!(features() & ARENA_FEATURE_PMD));
	EXPECT_NE(0, features());
	ASSERT_TRUE(unload_succeeds());
	ASSERT_EQ(0, module_load());
	EXPECT_EQ(0, log_says(log, "chunks are mapped by PMDs"));
	EXPECT_NE(0, features() & ARENA_FEATURE_PMD);
	close(log);
}

TEST_HARNESS_MAIN
