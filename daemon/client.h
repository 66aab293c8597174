/* SPDX-License-Identifier: MIT */
/* The unix socket: registered processes and tools. Nothing a peer does can make the daemon wait. */
#ifndef ARENAD_CLIENT_H
#define ARENAD_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/loop.h"
#include "libarena/ctl_proto.h"

/* Connections that have not joined, tools among them, beyond max_joined: tools get in however many processes there are. */
#define CLIENT_NR_GUESTS 32

struct clients;

/* What the owner of the policy answers to tools. */
struct client_handler {
	/* Fill the fixed part of STATUS but header and counts of processes and refusals; decisions, @max at most, go to
	 * @decisions and their number is returned. */
	size_t (*status)(void *context, struct ctl_status *status, struct ctl_decision *decisions, size_t max);
	void (*command)(void *context, const struct ctl_command *command, struct ctl_result *result);
	void *context;
};

struct client_limits {
	unsigned int max_joined;
	unsigned int max_joined_per_user;	/* not for root and the daemon's own user */
	uint64_t timeout_ns;			/* to join, ask or answer */
};

/** All memory is taken here. NULL when there is none. */
struct clients *clients_create(struct loop *loop, const struct client_limits *limits,
			       const struct client_handler *handler, size_t max_decisions);
/** Cuts everybody off and removes the socket. */
void clients_destroy(struct clients *clients);
/**
 * Listen at @path, mode 0660 when @gid is not -1, else mode 0666 (a status is no secret). The socket is given to @uid and
 * @gid where they are not -1. A stale one is replaced; -EADDRINUSE when a daemon listens there. 0 or -errno.
 */
int clients_listen(struct clients *clients, const char *path, uid_t uid, gid_t gid);
/** A connected descriptor as if it had been accepted; owned from here on. For tests. 0 or -errno. */
int clients_adopt(struct clients *clients, int fd, uint64_t now_ns);
/** Cut off who is late; ask everybody for statistics when @is_asking. */
void clients_tick(struct clients *clients, uint64_t now_ns, bool is_asking);
/** Sum of what joined processes cache, as far as believed. */
uint64_t clients_cached_bytes(const struct clients *clients);
/** Ask processes to give back @want_bytes in all. Returns how many were asked, and for how much. */
unsigned int clients_trim(struct clients *clients, uint64_t want_bytes, uint64_t now_ns, uint64_t *asked_bytes);
unsigned int clients_nr_joined(const struct clients *clients);

#endif /* ARENAD_CLIENT_H */
