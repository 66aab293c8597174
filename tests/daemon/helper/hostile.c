// SPDX-License-Identifier: MIT
/*
 * hostile SOCKET MODE [COUNT]: a peer that means harm to the daemon at SOCKET. Prints "cut off" when the daemon hangs up,
 * "served" when it went on for two seconds, and in mode "crowd" waits for the end of standard input.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "libarena/ctl_proto.h"

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		perror("connect");
		exit(1);
	}
	return fd;
}

static void say(int fd, const void *message, size_t length_bytes)
{
	if (send(fd, message, length_bytes, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		perror("send");
}

static void join(int fd)
{
	struct ctl_join message = { .name = "evil\n\033[31m\"name\\" };

	ctl_header_init(&message.header, CTL_JOIN, sizeof(message), 0);
	say(fd, &message, sizeof(message));
}

/* Ask for the status and never read it. */
static void flood(int fd)
{
	struct ctl_header ask;

	ctl_header_init(&ask, CTL_STATUS_ASK, sizeof(ask), 0);
	for (int i = 0; i < 100000; i++)
		if (send(fd, &ask, sizeof(ask), MSG_NOSIGNAL) < 0)
			return;
}

static void claim(int fd, uint64_t cached_bytes)
{
	struct ctl_stats stats = { .cached_bytes = cached_bytes };

	ctl_header_init(&stats.header, CTL_STATS, sizeof(stats), 1);
	say(fd, &stats, sizeof(stats));
}

static void attack(int fd, const char *mode)
{
	char junk[4096];
	struct ctl_header header;

	memset(junk, 'A', sizeof(junk));
	ctl_header_init(&header, CTL_STATUS_ASK, sizeof(header), 0);
	if (!strcmp(mode, "garbage"))
		say(fd, junk, 64);
	else if (!strcmp(mode, "huge"))
		say(fd, junk, sizeof(junk));
	else if (!strcmp(mode, "half"))
		say(fd, &header, sizeof(header) / 2);
	else if (!strcmp(mode, "empty"))
		say(fd, junk, 0);
	else if (!strcmp(mode, "longer"))
		header.length_bytes = 64, say(fd, &header, sizeof(header));
	else if (!strcmp(mode, "version"))
		header.version = 9, say(fd, &header, sizeof(header));
	else if (!strcmp(mode, "daemon-words"))
		header.type = CTL_STATS_ASK, say(fd, &header, sizeof(header));
	else if (!strcmp(mode, "unjoined"))
		claim(fd, 1);
	else if (!strcmp(mode, "flood"))
		flood(fd);
	else if (!strcmp(mode, "deaf"))
		join(fd);
	else if (!strcmp(mode, "liar"))
		join(fd), claim(fd, UINT64_MAX);
	else if (strcmp(mode, "silent"))
		exit(2);
}

/* True when the daemon hung up within two seconds; what it says until then is read only by the liar. */
static int is_cut_off(int fd, const char *mode)
{
	struct pollfd peer = { .fd = fd, .events = !strcmp(mode, "liar") ? POLLIN : 0 };
	char message[4096];

	for (int i = 0; i < 20; i++) {
		if (poll(&peer, 1, 100) > 0 && peer.revents & (POLLHUP | POLLERR))
			return 1;
		if (peer.revents & POLLIN && recv(fd, message, sizeof(message), 0) >= 0)
			claim(fd, UINT64_MAX);
	}
	return 0;
}

static int crowd(const char *path, int count, int is_joining)
{
	char end;

	for (int i = 0; i < count; i++) {
		int fd = connect_to(path);

		if (is_joining)
			join(fd);
	}
	printf("crowded\n");
	fflush(stdout);
	return read(STDIN_FILENO, &end, 1) != 0;
}

int main(int argc, char **argv)
{
	int fd;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[2], "crowd") || !strcmp(argv[2], "joined-crowd"))
		return crowd(argv[1], argc > 3 ? atoi(argv[3]) : 1000, argv[2][0] == 'j');
	fd = connect_to(argv[1]);
	attack(fd, argv[2]);
	puts(is_cut_off(fd, argv[2]) ? "cut off" : "served");
	return 0;
}
