// SPDX-License-Identifier: MIT
/*
 * The thread that waits has descriptors of its own (close_range() with CLOSE_RANGE_UNSHARE): a program may close all of its, as daemons do, and hand
 * out the numbers anew, without any harm to the one that is watched; and it sees none that it did not open. So the library never reads from or
 * writes to a file of the program's.
 *
 * What the environment says is copied when the thread is made, by a thread of the program: others may change the environment later, and some
 * programs write over its text.
 *
 * Limits: Linux 5.9. Nobody is told when a file cannot be watched, because what is missing then is a hint.
 */
#include "pressure.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "heap.h"
#include "opt.h"
#include "os.h"
#include "panic.h"
#include "scavenger.h"
#include "thread.h"

#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE (1U << 1)
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

#define PATH_BYTES 1024
/* What the kernel takes is below a hundred. */
#define WRITE_BYTES 512
/* Who sends without end does not keep the process busy: more than this often says nothing new. */
#define PAUSE_NS ((uint64_t)50 * 1000 * 1000)
/* No number below is used: standard error is none of this thread's files. */
#define LEAST_FD 3

/* Written before the thread is made, read by it alone; after a fork the same in the child. */
static char watch_path[PATH_BYTES];
static unsigned char write_data[WRITE_BYTES];
static int write_bytes;
static int space_fd;

/* ---------------------------------------------------------------- Base64 */

static int digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *found = c ? strchr(digits, c) : NULL;

	return found ? (int)(found - digits) : -1;
}

/* Four characters into one to three bytes: how many, or -1. The last group may be padded. */
static int decode_group(const char *text, unsigned char bytes[3])
{
	int nr = text[3] != '=' ? 3 : text[2] != '=' ? 2 : 1;
	uint32_t bits = 0;

	for (int i = 0; i < 4; i++) {
		int value = i <= nr ? digit(text[i]) : 0;

		if (value < 0)
			return -1;
		bits = bits << 6 | (uint32_t)value;
	}
	/* What is cut off must be nothing. */
	if (bits & ((1u << (24 - 8 * nr)) - 1))
		return -1;
	for (int i = 0; i < nr; i++)
		bytes[i] = (unsigned char)(bits >> (16 - 8 * i));
	return nr;
}

int pressure_decode(const char *text, unsigned char *data, int max)
{
	size_t length = strlen(text);
	int nr = 0;

	if (length % 4)
		return -1;
	for (size_t i = 0; i < length; i += 4) {
		unsigned char bytes[3];
		int got = decode_group(text + i, bytes);

		if (got < 0 || got > max - nr || (got < 3 && i + 4 < length))
			return -1;
		memcpy(data + nr, bytes, (size_t)got);
		nr += got;
	}
	return nr;
}

/* ---------------------------------------------------------------- the file */

static int connect_socket(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(watch_path) >= sizeof(address.sun_path))
		return -1;
	strcpy(address.sun_path, watch_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_file(void)
{
	int fd = open(watch_path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

	/* A FIFO that is open for reading alone ends with each of its writers; but that is better than nothing. */
	return fd < 0 && !write_bytes ? open(watch_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : fd;
}

static int out_of_the_way(int fd)
{
	int moved = fd < 0 || fd >= LEAST_FD ? fd : fcntl(fd, F_DUPFD_CLOEXEC, LEAST_FD);

	if (moved != fd)
		close(fd);
	return moved;
}

/* What to wait for, told what to say; false when there is no such thing. */
static bool open_watch(struct pollfd *watch)
{
	struct stat what;

	if (stat(watch_path, &what))
		return false;
	if (!S_ISREG(what.st_mode) && !S_ISFIFO(what.st_mode) && !S_ISSOCK(what.st_mode))
		return false;
	/* A regular file is the kernel's, and has exceptional conditions. */
	watch->events = S_ISREG(what.st_mode) ? POLLPRI : POLLIN;
	watch->fd = out_of_the_way(S_ISSOCK(what.st_mode) ? connect_socket() : open_file());
	if (watch->fd < 0)
		return false;
	return !write_bytes || write(watch->fd, write_data, (size_t)write_bytes) == write_bytes;
}

/* All that was sent; false when its sender is gone. */
static bool discard(int fd)
{
	char bytes[256];
	ssize_t got;

	do {
		got = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (got < 0 && errno == ENOTSOCK)
			got = read(fd, bytes, sizeof(bytes));
	} while (got == (ssize_t)sizeof(bytes) || (got < 0 && errno == EINTR));
	return got > 0 || (got < 0 && errno == EAGAIN);
}

/* Whether a file has a notice. One that will have none any more is forgotten. */
static bool has_notice(struct pollfd *watch)
{
	if (!watch->revents)
		return false;
	if (!(watch->revents & watch->events) || watch->revents & (POLLERR | POLLNVAL) ||
	    (watch->events == POLLIN && !discard(watch->fd)))
		watch->fd = -1;
	return watch->fd >= 0;
}

static void watch_all(struct pollfd *watches)
{
	while (watches[0].fd >= 0 || watches[1].fd >= 0) {
		if (poll(watches, 2, -1) < 0 && errno != EINTR)
			return;
		/* Each is looked at. */
		for (int i = 0; i < 2; i++)
			if (has_notice(&watches[i]))
				scavenger_press();
		os_sleep_ns(PAUSE_NS);
	}
}

/* The space of the module's, which the program's table holds: a descriptor of it in this thread's, or -1. */
static int open_space(void)
{
	int process = space_fd < 0 ? -1 : (int)syscall(SYS_pidfd_open, getpid(), 0);
	int fd = process < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, process, space_fd, 0);

	return out_of_the_way(fd);
}

static void *run(void *unused)
{
	struct pollfd watches[2] = { { .fd = -1 }, { .fd = -1, .events = POLLPRI } };

	(void)unused;
	/* The descriptors go with the thread. */
	if (syscall(SYS_close_range, 0u, ~0u, CLOSE_RANGE_UNSHARE))
		return NULL;
	if (*watch_path && !open_watch(&watches[0]))
		watches[0].fd = -1;
	watches[1].fd = open_space();
	watch_all(watches);
	return NULL;
}

/* Whether there is something to watch, copied. */
static bool read_environment(void)
{
	const char *path = opt_pressure_watch(), *data = opt_pressure_write();

	if (!path || *path != '/' || !strcmp(path, "/dev/null") || strlen(path) >= PATH_BYTES)
		return false;
	write_bytes = data ? pressure_decode(data, write_data, WRITE_BYTES) : 0;
	if (write_bytes < 0)
		report("MEMORY_PRESSURE_WRITE is not Base64 of at most %d bytes: not watching %s", WRITE_BYTES, path);
	if (write_bytes >= 0)
		strcpy(watch_path, path);
	return write_bytes >= 0;
}

void pressure_start(void)
{
	/* Of a space that is made later nothing is heard: the first heap has it, as a rule. */
	space_fd = heap_region()->fd;
	if (read_environment() || space_fd >= 0)
		thread_start(NULL, run, NULL);
}
