// SPDX-License-Identifier: MIT
/*
 * The module cannot be unloaded under its users, can be unloaded when there are none, and leaves
 * nothing behind however often.
 *
 * Models an administrator who upgrades the module. Expects the module's file where the test VM has
 * it, or where ARENA_KO says, and leaves the module loaded.
 */
#include "common.h"
#include <sys/uio.h>

#define NR_CYCLES	100
/* Half of the cycles losing one chunk each would be 100 MiB, one page each of slab 200 KiB. */
#define SLACK_KB	2048	/* what comes and goes in the rest of the system */
#define SLAB_SLACK_KB	96
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

/* Somebody who does not care whether the module is there. Ends when he is killed. */
static void use_all_the_time(void)
{
	for (;;) {
		int dev = open(DEVICE, O_RDWR | O_CLOEXEC);

		if (dev < 0) {
			sleep_ms(1);
			continue;
		}
		space_reserve(dev, 0, 2, NULL);
		close(dev);
		sleep_ms(2);
	}
}

struct memory {
	long free_kb;
	long slab_kb;
};

static struct memory memory_now(void)
{
	return (struct memory){ free_kb(), meminfo_kb("SUnreclaim") };
}

/* Freed memory comes back late: deferred frees, per-CPU lists. */
static bool memory_is_back(const struct memory *before)
{
	struct memory now = memory_now();

	return now.free_kb >= before->free_kb - SLACK_KB &&
	       now.slab_kb <= before->slab_kb + SLAB_SLACK_KB;
}

TEST_F_TIMEOUT(space, load_and_unload_while_somebody_opens_and_closes, 200)
{
	struct memory before = { 0 }, after;
	pid_t somebody;

	close(self->fd);
	close(self->dev);
	somebody = fork();
	if (!somebody)
		use_all_the_time();
	for (unsigned int i = 0; i < NR_CYCLES; i++) {
		ASSERT_EQ(0, IN_CHILD(use_a_little()));
		ASSERT_TRUE(WAIT_UNTIL(module_unload() == 0, PATIENCE_MS)) TH_LOG("cycle %u: %m", i);
		ASSERT_NE(0, access(DEVICE, F_OK));
		if (i == NR_CYCLES / 2)
			before = memory_now();
		if (i == NR_CYCLES - 1 && !WAIT_UNTIL(memory_is_back(&before), SETTLE_MS)) {
			after = memory_now();
			EXPECT_TRUE(false) TH_LOG("free %ld -> %ld KiB, slab %ld -> %ld KiB",
						  before.free_kb, after.free_kb, before.slab_kb,
						  after.slab_kb);
		}
		ASSERT_EQ(0, module_load());
	}
	kill(somebody, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_status(somebody));
	self->dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->fd = space_create(self->dev, 4);
	EXPECT_LE(0, self->fd);
	EXPECT_EQ(0, module_stat(self->dev).handed_chunks);
}

TEST_HARNESS_MAIN
