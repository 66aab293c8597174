// SPDX-License-Identifier: MIT
/* daemon/client.c against members that lie: what they claim may cost them their turn, never that of others. */
#include "daemon/client.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/daemon/tap.h"

#define MIB ((uint64_t)1 << 20)
#define NS_PER_MS 1000000ull

static struct loop *loop;
static struct clients *clients;

static void begin(void)
{
	const struct client_limits limits = { .max_joined = 4, .max_joined_per_user = 4, .timeout_ns = 60000 * NS_PER_MS };
	const struct client_handler handler = { .context = NULL };

	loop = loop_create(64, false);
	clients = loop ? clients_create(loop, &limits, &handler, 1) : NULL;
	if (!clients)
		exit(1);
}

static void end(void)
{
	clients_destroy(clients);
	loop_destroy(loop);
}

static void serve(void)
{
	for (int i = 0; i < 5; i++)
		CHECK(loop_run(loop, NS_PER_MS) == 0, "loop");
}

static void say_stats(int fd, uint64_t cached_bytes, uint32_t serial)
{
	struct ctl_stats stats = { .cached_bytes = cached_bytes };

	ctl_header_init(&stats.header, CTL_STATS, sizeof(stats), serial);
	CHECK(send(fd, &stats, sizeof(stats), MSG_NOSIGNAL) == (ssize_t)sizeof(stats), "send stats");
	serve();
}

static int join(int fd)
{
	struct ctl_join message = { .name = "member" };

	ctl_header_init(&message.header, CTL_JOIN, sizeof(message), 0);
	CHECK(send(fd, &message, sizeof(message), MSG_NOSIGNAL) == (ssize_t)sizeof(message), "send join");
	serve();
	return fd;
}

/* A member whose credentials are those of this process. */
static int member(void)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
	CHECK(clients_adopt(clients, pair[0], 1) == 0, "adopt");
	return join(pair[1]);
}

/* The serial of the last question of that type; 0 = there was none. */
static uint32_t last_question(int fd, uint16_t type)
{
	_Alignas(8) char message[CTL_MAX_REQUEST_BYTES];
	const struct ctl_header *header = (const struct ctl_header *)(const void *)message;
	uint32_t serial = 0;

	while (recv(fd, message, sizeof(message), MSG_DONTWAIT) > 0)
		if (header->type == type)
			serial = header->serial;
	return serial;
}

/* A connection that a process made which is dead by now, as one that was handed on to a child is. */
static int connect_as_dead(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int status = -1;
	pid_t pid;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	pid = fork();
	if (!pid)
		_exit(connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0);
	CHECK(waitpid(pid, &status, 0) == pid && !status, "connect");
	serve();
	return join(fd);
}

static void believes_no_number_without_a_process(void)
{
	char folder[] = "/tmp/arenad-client.XXXXXX", path[64];
	uint64_t asked_bytes;
	int honest, liar;

	begin();
	CHECK(mkdtemp(folder), "mkdtemp");
	snprintf(path, sizeof(path), "%s/s", folder);
	CHECK(clients_listen(clients, path, (uid_t)-1, (gid_t)-1) == 0, "listen");
	liar = connect_as_dead(path);
	honest = member();
	say_stats(honest, 2 * MIB, 1);
	say_stats(liar, UINT64_MAX - MIB, 1);
	CHECK(clients_cached_bytes(clients) >= 2 * MIB, "the sum went round: %llu",
	      (unsigned long long)clients_cached_bytes(clients));
	CHECK(clients_cached_bytes(clients) < (uint64_t)1 << 50, "a claim was believed");
	last_question(honest, CTL_TRIM_ASK);
	clients_trim(clients, UINT64_MAX, 1, &asked_bytes);
	CHECK(last_question(honest, CTL_TRIM_ASK), "the honest one is asked");
	close(honest);
	close(liar);
	end();
	rmdir(folder);
}

/* Gives back one byte each time that it is asked for chunks. */
static void believes_a_miser_less_and_less(void)
{
	uint64_t asked_bytes, said_bytes = 1024 * MIB, before_bytes;
	int miser;

	begin();
	miser = member();
	say_stats(miser, said_bytes, 1);
	before_bytes = clients_cached_bytes(clients);
	CHECK(before_bytes, "a member with something");
	for (int i = 0; i < 3; i++) {
		clients_trim(clients, 8 * MIB, 1, &asked_bytes);
		CHECK(asked_bytes == 8 * MIB, "asked for %llu", (unsigned long long)asked_bytes);
		say_stats(miser, --said_bytes, last_question(miser, CTL_TRIM_ASK) + 1);
	}
	CHECK(clients_cached_bytes(clients) <= before_bytes / 4, "%llu of %llu", (unsigned long long)clients_cached_bytes(clients),
	      (unsigned long long)before_bytes);
	close(miser);
	end();
}

static void believes_who_gave_again(void)
{
	uint64_t asked_bytes, said_bytes = 1024 * MIB;
	int giver;

	begin();
	giver = member();
	say_stats(giver, said_bytes, 1);
	for (int i = 0; i < 3; i++) {
		clients_trim(clients, 2 * MIB, 1, &asked_bytes);
		say_stats(giver, said_bytes -= 2 * MIB, last_question(giver, CTL_TRIM_ASK) + 1);
		CHECK(asked_bytes == 2 * MIB, "asked for %llu", (unsigned long long)asked_bytes);
	}
	close(giver);
	end();
}

int main(void)
{
	/* Claims are bounded by what is resident: be somebody. */
	static volatile char body[64 << 20];

	for (size_t i = 0; i < sizeof(body); i += 4096)
		body[i] = 1;
	RUN(believes_no_number_without_a_process);
	RUN(believes_a_miser_less_and_less);
	RUN(believes_who_gave_again);
	return tap_end();
}
