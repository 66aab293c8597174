// SPDX-License-Identifier: MIT
/* A tool's end of the link. The daemon is not trusted either: what it sends is checked before it is read. */
#include "daemon/link.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* The daemon answers within a loop's round; longer means that it is stopped or gone. */
#define TIMEOUT_MS 3000
/* A SEQPACKET message cannot be longer than the sender's buffer; this is above any default of it. */
#define MAX_ANSWER_BYTES (1024 * 1024)

const char *link_default_path(void)
{
	const char *path = getenv(CTL_SOCKET_ENV);

	return path && *path ? path : CTL_SOCKET_DEFAULT;
}

int link_open(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval timeout = { .tv_sec = TIMEOUT_MS / 1000 };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* Bounds connect() and send(), which wait when the daemon is stopped and its queue is full. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0 &&
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	timeout.tv_sec = -errno;
	close(fd);
	return timeout.tv_sec == -EAGAIN ? -ETIMEDOUT : (int)timeout.tv_sec;
}

static int check_status(const struct ctl_header *header, size_t got)
{
	const struct ctl_status *status = (const struct ctl_status *)(const void *)header;
	uint64_t want;

	if (got < sizeof(*status))
		return -EPROTO;
	want = sizeof(*status) + (uint64_t)status->nr_processes * sizeof(struct ctl_process) +
	       (uint64_t)status->nr_decisions * sizeof(struct ctl_decision);
	return got == want ? 0 : -EPROTO;
}

static int check_answer(const struct ctl_header *header, size_t got, enum ctl_type type)
{
	if (got < sizeof(*header) || got > MAX_ANSWER_BYTES || header->magic != CTL_MAGIC ||
	    header->version != CTL_VERSION || header->type != type || header->length_bytes != got)
		return -EPROTO;
	if (type == CTL_STATUS)
		return check_status(header, got);
	return got == ctl_length_bytes((uint16_t)type) ? 0 : -EPROTO;
}

static int receive(int fd, void *buffer, size_t *got)
{
	struct pollfd in = { .fd = fd, .events = POLLIN };
	ssize_t length;
	int ready = poll(&in, 1, TIMEOUT_MS);

	if (ready <= 0)
		return ready ? -errno : -ETIMEDOUT;
	length = recv(fd, buffer, MAX_ANSWER_BYTES, MSG_DONTWAIT | MSG_TRUNC);
	if (length <= 0)
		return length ? -errno : -ECONNRESET;
	*got = (size_t)length;
	return 0;
}

int link_ask(int fd, const struct ctl_header *question, enum ctl_type type, struct ctl_header **answer)
{
	struct ctl_header *buffer;
	size_t got = 0;
	int error;

	if (send(fd, question, question->length_bytes, MSG_NOSIGNAL) < 0)
		return errno == EPIPE ? -ECONNRESET : -errno;
	buffer = (struct ctl_header *)malloc(MAX_ANSWER_BYTES);
	if (!buffer)
		return -ENOMEM;
	error = receive(fd, buffer, &got) ?: check_answer(buffer, got, type);
	if (error) {
		free(buffer);
		return error;
	}
	*answer = buffer;
	return 0;
}
