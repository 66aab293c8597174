/* SPDX-License-Identifier: MIT */
/* A memory cgroup with a limit, and work done in it by a child. */
#ifndef ARENA_TEST_GROUP_H
#define ARENA_TEST_GROUP_H

#include "common.h"
#include <sys/socket.h>
#include <sys/stat.h>

#define CGROUP		"/sys/fs/cgroup/"
#define GROUP		CGROUP "arena-test"

/* The number after `key` in a file of lines of both, or the number that is all of it; 0 when there is none. */
static inline uint64_t file_number(const char *path, const char *key)
{
	char line[256], name[64];
	unsigned long long value = 0, found = 0;
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (!key && sscanf(line, "%llu", &value) == 1)
			found = value;
		if (key && sscanf(line, "%63s %llu", name, &value) == 2 && !strcmp(name, key))
			found = value;
	}
	if (file)
		fclose(file);
	return found;
}

/*
 * What is charged ahead and used by nobody is in it, for each processor up to 64 pages (the kernel's MEMCG_CHARGE_BATCH), and may go at any time:
 * of two readings the later one may have that much less.
 */
static inline uint64_t group_bytes(void)
{
	return file_number(GROUP "/memory.current", NULL);
}

/* What two readings may differ by though nothing was given back. */
static inline uint64_t group_slack_bytes(void)
{
	return (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * 64 * PAGE_BYTES;
}

static inline uint64_t group_kills(void)
{
	return file_number(GROUP "/memory.events", "oom_kill");
}

static inline int group_make(uint64_t chunks)
{
	char text[32];

	rmdir(GROUP);
	if (mkdir(GROUP, 0755))
		return errno;
	snprintf(text, sizeof(text), "%" PRIu64, (uint64_t)(chunks * CHUNK_BYTES));
	return file_write_text(GROUP "/memory.max", text);
}

static inline uint64_t idle_chunks(int fd)
{
	struct arena_stat s = module_stat(fd);

	return s.clean_chunks + s.dirty_chunks;
}

/* Nor will: what the test before has left in quarantine becomes idle later. */
static inline bool nothing_idles(int fd)
{
	return !module_trim(fd, ~0ULL, 0, NULL) && !idle_chunks(fd) &&
	       !module_stat(fd).quarantined_chunks;
}

/* Runs `work`, an expression, as a child in the group, whose exit status it is. */
#define IN_GROUP(work) IN_CHILD(file_write_text(GROUP "/cgroup.procs", "0") ? 99 : (work))

/* In the child a number says what went wrong. */
#define NEED(number, condition) do {						\
	if (!(condition)) {							\
		fprintf(stderr, "# %s:%d: %s\n", __func__, __LINE__, #condition); \
		return number;							\
	}									\
} while (0)

static inline int fd_send(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	*head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(socket, &message, 0) == 1 ? 0 : errno;
}

static inline int fd_receive(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static inline int work_send_space(int dev, int socket)
{
	int fd = space_create(dev, SPACE_SLOTS);

	NEED(1, fd >= 0 && !fd_send(socket, fd));
	return 0;
}

/* A space that somebody in the group created, for who is not in it; or -1. */
static inline int space_of_group(int dev)
{
	int sockets[2], fd = -1;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets))
		return -1;
	if (!IN_GROUP(work_send_space(dev, sockets[1])))
		fd = fd_receive(sockets[0]);
	close(sockets[0]);
	close(sockets[1]);
	return fd;
}

/* With nothing idle, so that what comes is the test's own. */
#define GROUP_OR_SKIP(chunks) do {						\
	EXPECT_TRUE(WAIT_UNTIL(nothing_idles(self->dev), SETTLE_MS));		\
	parameter_set("pool_max_chunks", 400);					\
	if (group_make(chunks))							\
		SKIP(return, "no memory cgroup");				\
	if (!(module_info(self->dev).features & ARENA_FEATURE_MEMCG))		\
		SKIP(return, "kernel memory is not charged");			\
} while (0)

/* Removal fails while a process is still on its way out. */
#define GROUP_END() EXPECT_TRUE(WAIT_UNTIL(!rmdir(GROUP), SETTLE_MS))

#endif /* ARENA_TEST_GROUP_H */
