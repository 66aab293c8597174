// SPDX-License-Identifier: MIT
/*
 * Who keeps a space alive, and that it goes when nobody does.
 *
 * Models the ways processes end and descriptors travel: exit, SIGKILL, exec, a thread group that
 * dies while its threads fault, fork, dup, SCM_RIGHTS. Unloading the module is in unload.c.
 */
#include "common.h"
#include <pthread.h>
#include <sys/socket.h>

#define NR_CHUNKS 8

static char *map_and_touch(int fd)
{
	char *map = space_map(fd, 0, NR_CHUNKS);

	for (size_t i = 0; map != MAP_FAILED && i < NR_CHUNKS; i++)
		map[i * CHUNK_BYTES] = 'x';
	return map;
}

/* Waits until the fixture's own spaces are the only ones, and nothing is handed out. */
static bool only_ours_left(int dev, uint64_t nr_spaces)
{
	return handed_settles(dev, 0) &&
	       WAIT_UNTIL(module_stat(dev).nr_spaces == nr_spaces, SETTLE_MS);
}

TEST_F(space, close_frees_everything)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;
	int fd = space_create(self->dev, 16);
	char *map = map_and_touch(fd);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(nr_spaces + 1, module_stat(self->dev).nr_spaces);
	EXPECT_EQ(0, munmap(map, NR_CHUNKS * CHUNK_BYTES));
	EXPECT_EQ(0, close(fd));
	EXPECT_TRUE(only_ours_left(self->dev, nr_spaces));
}

static int take_and(int dev, int fd, char *const *exec, bool die)
{
	char *map = map_and_touch(space_create(dev, 16));

	if (map == MAP_FAILED || map_and_touch(fd) == MAP_FAILED)
		return 1;
	if (exec)
		execv(exec[0], exec);
	if (die)
		raise(SIGKILL);
	return exec ? 2 : 0;
}

TEST_F(space, exit_frees_everything)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;

	ASSERT_EQ(0, IN_CHILD(take_and(self->dev, self->fd, NULL, false)));
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS)) TH_LOG("what is in our space stays");
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_TRUE(only_ours_left(self->dev, nr_spaces));
}

TEST_F(space, kill_frees_everything)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;

	ASSERT_EQ(128 + SIGKILL, IN_CHILD(take_and(self->dev, self->fd, NULL, true)));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_TRUE(only_ours_left(self->dev, nr_spaces));
}

TEST_F(space, exec_frees_everything)
{
	static char program[] = EXEC_ENDS;
	static char *const ends[] = { program, NULL };
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;

	EXPECT_EQ(0, IN_CHILD(take_and(self->dev, self->fd, ends, false)));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_TRUE(only_ours_left(self->dev, nr_spaces));
}

struct busy_threads {
	int fd;
	char *map;
};

static void *fault_forever(void *argument)
{
	struct busy_threads *busy = argument;

	for (unsigned int i = 0;; i++) {
		fault_write(busy->map + (i % NR_CHUNKS) * CHUNK_BYTES, i);
		if (i % 64 == 0) {
			space_zap(busy->fd, i / 64 % NR_CHUNKS, 1, NULL);
			space_reserve(busy->fd, 0, NR_CHUNKS, NULL);
		}
	}
	return NULL;
}

/* Three threads at work, the group leader kills itself in the middle of it. */
static int die_while_faulting(int dev, bool by_exit)
{
	struct busy_threads busy = { .fd = space_create(dev, NR_CHUNKS) };
	pthread_t thread;

	busy.map = space_map(busy.fd, 0, NR_CHUNKS);
	if (busy.map == MAP_FAILED)
		return 1;
	for (unsigned int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, fault_forever, &busy);
	sleep_ms(50);
	if (!by_exit)
		raise(SIGKILL);
	return 0;
}

TEST_F_TIMEOUT(space, death_of_busy_thread_groups, 60)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;

	for (unsigned int i = 0; i < 8; i++) {
		int status = IN_CHILD(die_while_faulting(self->dev, i % 2));

		EXPECT_EQ(i % 2 ? 0 : 128 + SIGKILL, status);
	}
	EXPECT_TRUE(only_ours_left(self->dev, nr_spaces));
}

TEST_F(space, child_has_no_mapping)
{
	char *map = map_and_touch(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(SIGSEGV, IN_CHILD(fault_touch(map)));
	EXPECT_EQ('x', map[0]);
}

/* A program may insist on inheriting it; then the child gets a signal, not the parent's data. */
TEST_F(space, child_of_dofork_has_no_data)
{
	char *map = map_and_touch(self->fd);

	ASSERT_NE(MAP_FAILED, map);
	if (madvise(map, NR_CHUNKS * CHUNK_BYTES, MADV_DOFORK))
		SKIP(return, "MADV_DOFORK is refused: %m");
	EXPECT_EQ(SIGBUS, IN_CHILD(fault_touch(map)));
	EXPECT_EQ(SIGBUS, IN_CHILD(fault_write(map, 1)));
	EXPECT_EQ('x', map[0]) TH_LOG("the parent goes on");
	map[CHUNK_BYTES] = 'y';
	EXPECT_EQ(NR_CHUNKS * 2048, smaps_kb(map, "Rss"));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	fault_catch();
	EXPECT_EQ(SIGBUS, fault_touch(map));
}

/* The descriptor is inherited by fork, and the child may map it anew. */
static int remap_and_check(int fd)
{
	char *map = space_map(fd, 0, NR_CHUNKS);

	return map != MAP_FAILED && map[CHUNK_BYTES] == 'x' ? 0 : 1;
}

TEST_F(space, child_may_map_anew)
{
	ASSERT_NE(MAP_FAILED, map_and_touch(self->fd));
	EXPECT_EQ(0, IN_CHILD(remap_and_check(self->fd)));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
}

static int descriptor_send(int sock, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char mark = '!';
	struct iovec byte = { .iov_base = &mark, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(sock, &message, 0) == 1 ? 0 : -1;
}

static int descriptor_receive(int sock)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(sock, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static int create_and_send(int sock)
{
	int fd = space_create(open(DEVICE, O_RDWR | O_CLOEXEC), NR_CHUNKS);
	char *map = map_and_touch(fd);

	return map == MAP_FAILED || descriptor_send(sock, fd);
}

TEST_F(space, outlives_its_creator_by_a_passed_descriptor)
{
	int socks[2], fd;
	char *map;

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(0, IN_CHILD(create_and_send(socks[1])));
	fd = descriptor_receive(socks[0]);
	ASSERT_LE(0, fd);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	map = space_map(fd, 0, NR_CHUNKS);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ('x', map[3 * CHUNK_BYTES]);
	EXPECT_EQ(0, space_zap(fd, 0, NR_CHUNKS, NULL));
	close(fd);
}

/* A descriptor that is in flight when the socket dies must be dropped too. */
TEST_F(space, descriptor_lost_in_flight)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;
	int socks[2];

	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, socks));
	ASSERT_EQ(0, IN_CHILD(create_and_send(socks[1])));
	EXPECT_EQ(nr_spaces + 1, module_stat(self->dev).nr_spaces);
	close(socks[0]);
	close(socks[1]);
	EXPECT_TRUE(only_ours_left(self->dev, nr_spaces));
}

TEST_F(space, dup_is_the_same_space)
{
	int copy = dup(self->fd);

	ASSERT_LE(0, copy);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 2, NULL));
	ASSERT_EQ(0, close(self->fd));
	self->fd = copy;
	EXPECT_EQ(2, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, space_zap(copy, 0, 2, NULL));
}

/* Reopening through /proc is the same space or refused, and never outlives or loses anything. */
TEST_F(space, reopened_through_proc)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;
	char path[64], *map = map_and_touch(self->fd);
	int fd;

	ASSERT_NE(MAP_FAILED, map);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "a space cannot be reopened: %m");
	EXPECT_EQ(MAP_FAILED, space_map(fd, 0, 1));
	EXPECT_EQ(EACCES, errno);
	map = mmap(NULL, CHUNK_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ('x', map[0]);
	EXPECT_EQ(nr_spaces, module_stat(self->dev).nr_spaces);
	close(fd);
	EXPECT_EQ('x', map[0]);
}

/* The space of an open device lives as long as a mapping of it does. */
TEST_F(space, mapping_alone_keeps_a_device_space)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	char *map = map_and_touch(dev);

	ASSERT_NE(MAP_FAILED, map);
	close(dev);
	EXPECT_EQ('x', map[CHUNK_BYTES]);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, munmap(map, NR_CHUNKS * CHUNK_BYTES));
	EXPECT_TRUE(handed_settles(self->dev, 0));
}

TEST_F_TIMEOUT(space, many_spaces, 60)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;
	int fds[200];

	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = space_create(self->dev, 1 + i);
		ASSERT_LE(0, fds[i]) TH_LOG("space %u: %m", i);
	}
	ASSERT_EQ(0, space_reserve(fds[199], 199, 1, NULL));
	EXPECT_EQ(nr_spaces + 200, module_stat(self->dev).nr_spaces);
	EXPECT_EQ(200, space_stat(self->dev).nr_slots);
	for (unsigned int i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
	EXPECT_TRUE(only_ours_left(self->dev, nr_spaces));
}

TEST_HARNESS_MAIN
