// SPDX-License-Identifier: MIT
/*
 * Connections of processes and tools. Any local user may connect, so every peer is taken for hostile:
 *  - memory: the table is of fixed size; a new connection evicts the oldest that has not joined, and joined ones
 *    are limited in number and per user, so that tools always get in;
 *  - time: sockets do not block; who does not take a message at once, does not answer in time, sends
 *    too often or sends anything but whole known messages is cut off (a process joins again by itself);
 *  - trust: who a peer is comes from SO_PEERCRED. What it says it caches is only a hint of whom to ask first, bounded by
 *    its resident set, and halved each time that asking did not help.
 */
#include "daemon/client.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "daemon/log.h"
#include "daemon/policy.h"

/* Fewer than the guests' places, so that one round of accepting never evicts a peer before it was read. */
#define ACCEPT_BATCH (CLIENT_NR_GUESTS / 2)
#define READ_BATCH 16
/* A process answers a handful of questions in a tick; a hundred are an attack on the daemon's CPU time. */
#define MAX_MESSAGES_PER_TICK 100
/* What a process is believed whose resident set cannot be read (hidepid, another pid namespace). */
#define UNKNOWN_RESIDENT_BYTES ((uint64_t)64 << 20)
/* 2^-6: by then a process that never helps is asked last. */
#define MAX_UNHEEDED 6

struct client {
	int fd;				/* -1 = free place */
	int ticket;			/* of the loop */
	bool is_joined;
	pid_t pid;
	uid_t uid;
	char name[CTL_NAME_BYTES];
	uint64_t since_ns;		/* connected, or the last request of a tool */
	uint64_t pending_ns;		/* since when an answer is due; 0 = none is */
	uint64_t stats_ns;		/* when the statistics came; 0 = never */
	struct ctl_stats stats;
	uint64_t believed_bytes;	/* cached, as far as believed */
	uint64_t tested_bytes;		/* what it said it cached when it was last asked to trim; 0 = not asked */
	uint64_t tested_ask_bytes;	/* how much it was asked for then */
	uint32_t tested_serial;		/* of that question; only later statistics tell whether it helped */
	unsigned int nr_unheeded;
	uint64_t asked_bytes;
	uint64_t given_bytes;
	unsigned int nr_messages;	/* in this tick */
	uint32_t serial;
	struct clients *owner;
};

/* Owned by the main loop. Invariant: at most limits.max_joined places have is_joined. */
struct clients {
	struct loop *loop;
	struct client_limits limits;
	struct client_handler handler;
	int listen_fd;
	int listen_ticket;		/* -1 = not watched: there is no room for a descriptor */
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	uint64_t nr_refused;
	size_t nr_places;
	size_t max_decisions;
	/* Scratch memory for clients_trim(): one number per place. */
	uint64_t *cached_bytes;
	uint64_t *ask_bytes;
	/* Scratch memory for STATUS, with room for everything. */
	struct ctl_status *status;
	struct client *places;
};

static uint64_t now_monotonic_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * POLICY_NS_PER_S + (uint64_t)now.tv_nsec;
}

static void client_close(struct client *client)
{
	loop_unwatch(client->owner->loop, client->ticket);
	/* The loop's poll may hold the socket a little longer; the peer shall know now. */
	shutdown(client->fd, SHUT_RDWR);
	close(client->fd);
	client->fd = -1;
	client->is_joined = false;
}

static void cut_off(struct client *client, const char *why)
{
	log_debug("cut off pid %d uid %u %s: %s", client->pid, client->uid, client->name, why);
	client->owner->nr_refused++;
	client_close(client);
}

/* False when the peer was cut off, because it did not take the message at once. */
static bool send_to(struct client *client, const void *message, size_t length_bytes)
{
	if (send(client->fd, message, length_bytes, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)length_bytes)
		return true;
	cut_off(client, errno == EAGAIN ? "does not read" : "cannot be written to");
	return false;
}

static bool is_privileged(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

static unsigned int count_joined(const struct clients *clients, uid_t uid, bool is_any)
{
	unsigned int nr = 0;

	for (size_t i = 0; i < clients->nr_places; i++) {
		const struct client *client = &clients->places[i];

		nr += client->fd >= 0 && client->is_joined && (is_any || client->uid == uid);
	}
	return nr;
}

unsigned int clients_nr_joined(const struct clients *clients)
{
	return count_joined(clients, 0, true);
}

/* Names go to terminals: only what is printable. */
static void copy_name(char *to, const char *from)
{
	size_t i;

	for (i = 0; i < CTL_NAME_BYTES - 1 && from[i]; i++)
		to[i] = isprint((unsigned char)from[i]) ? from[i] : '?';
	memset(to + i, 0, CTL_NAME_BYTES - i);
}

static void ask_stats(struct client *client, uint64_t now_ns)
{
	struct ctl_header ask;

	if (client->pending_ns)
		return;
	ctl_header_init(&ask, CTL_STATS_ASK, sizeof(ask), ++client->serial);
	client->pending_ns = now_ns;
	send_to(client, &ask, sizeof(ask));
}

static void on_join(struct client *client, const struct ctl_join *join, uint64_t now_ns)
{
	struct clients *clients = client->owner;

	if (client->is_joined)
		return;
	if (clients_nr_joined(clients) >= clients->limits.max_joined) {
		cut_off(client, "too many processes (max_clients)");
		return;
	}
	if (!is_privileged(client->uid) &&
	    count_joined(clients, client->uid, false) >= clients->limits.max_joined_per_user) {
		cut_off(client, "too many processes of this user (max_clients_per_user)");
		return;
	}
	copy_name(client->name, join->name);
	client->is_joined = true;
	log_debug("pid %d uid %u %s joined", client->pid, client->uid, client->name);
	ask_stats(client, now_ns);
}

/*
 * Resident set in bytes, or a small bound when it cannot be known: a connection may outlive the process that made it. A
 * recycled pid would only bound a hint wrongly.
 */
static uint64_t resident_bytes(pid_t pid)
{
	unsigned long long total_pages, resident_pages;
	char path[64], text[128];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return UNKNOWN_RESIDENT_BYTES;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	if (sscanf(text, "%llu %llu", &total_pages, &resident_pages) != 2)
		return UNKNOWN_RESIDENT_BYTES;
	return resident_pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Statistics that were asked for before the trim do not know of it. */
static void judge_trim(struct client *client, const struct ctl_stats *stats)
{
	if (!client->tested_bytes || (int32_t)(stats->header.serial - client->tested_serial) <= 0)
		return;
	/* Half will do: a busy process caches again meanwhile. Less would let a single byte pass for help. */
	if (stats->cached_bytes < client->tested_bytes &&
	    client->tested_bytes - stats->cached_bytes >= client->tested_ask_bytes / 2)
		client->nr_unheeded = 0;
	else if (client->nr_unheeded < MAX_UNHEEDED)
		client->nr_unheeded++;
	client->tested_bytes = 0;
}

static void on_stats(struct client *client, const struct ctl_stats *stats, uint64_t now_ns)
{
	uint64_t ceiling_bytes = resident_bytes(client->pid);

	client->pending_ns = 0;
	client->stats_ns = now_ns;
	client->stats = *stats;
	judge_trim(client, stats);
	client->believed_bytes = stats->cached_bytes < ceiling_bytes ? stats->cached_bytes : ceiling_bytes;
	client->believed_bytes >>= client->nr_unheeded;
}

static void on_trimmed(struct client *client, const struct ctl_trim *trimmed, uint64_t now_ns)
{
	/* Never more than was asked for, so that a sum of lies stays small. */
	uint64_t room_bytes = client->asked_bytes - client->given_bytes;

	client->given_bytes += trimmed->bytes < room_bytes ? trimmed->bytes : room_bytes;
	client->pending_ns = 0;
	ask_stats(client, now_ns);
}

static void fill_process(struct ctl_process *process, const struct client *client, uint64_t now_ns)
{
	*process = (struct ctl_process){
		.pid = (uint32_t)client->pid,
		.uid = client->uid,
		.mapped_bytes = client->stats.mapped_bytes,
		.cached_bytes = client->stats.cached_bytes,
		.small_bytes = client->stats.small_bytes,
		.nr_arenas = client->stats.nr_arenas,
		.asked_bytes = client->asked_bytes,
		.given_bytes = client->given_bytes,
		.stats_age_ns = client->stats_ns ? now_ns - client->stats_ns : UINT64_MAX,
	};
	memcpy(process->name, client->name, sizeof(process->name));
}

static void on_status(struct client *client, uint32_t serial, uint64_t now_ns)
{
	struct clients *clients = client->owner;
	struct ctl_status *status = clients->status;
	struct ctl_process *processes = (struct ctl_process *)(void *)(status + 1);
	struct ctl_decision *decisions;
	size_t nr = 0, length_bytes;

	memset(status, 0, sizeof(*status));
	for (size_t i = 0; i < clients->nr_places; i++)
		if (clients->places[i].fd >= 0 && clients->places[i].is_joined)
			fill_process(&processes[nr++], &clients->places[i], now_ns);
	decisions = (struct ctl_decision *)(void *)(processes + nr);
	status->nr_processes = (uint32_t)nr;
	status->nr_refused = clients->nr_refused;
	status->nr_decisions = (uint32_t)clients->handler.status(clients->handler.context, status, decisions,
								 clients->max_decisions);
	length_bytes = sizeof(*status) + nr * sizeof(*processes) + status->nr_decisions * sizeof(*decisions);
	ctl_header_init(&status->header, CTL_STATUS, length_bytes, serial);
	send_to(client, status, length_bytes);
}

static void on_command(struct client *client, const struct ctl_command *command)
{
	struct ctl_result result = { .error = -EPERM };

	if (command->pad || command->what & ~CTL_TRIM_ALL)
		result.error = -EINVAL;
	else if (is_privileged(client->uid))
		client->owner->handler.command(client->owner->handler.context, command, &result);
	/* The command may have asked this very client to trim and cut it off. */
	if (client->fd < 0)
		return;
	ctl_header_init(&result.header, CTL_RESULT, sizeof(result), command->header.serial);
	send_to(client, &result, sizeof(result));
}

static void on_message(struct client *client, const void *message, uint64_t now_ns)
{
	const struct ctl_header *header = (const struct ctl_header *)message;
	bool is_process = header->type == CTL_STATS || header->type == CTL_TRIMMED;

	if (is_process && !client->is_joined) {
		cut_off(client, "answers before joining");
		return;
	}
	client->since_ns = now_ns;
	switch (header->type) {
	case CTL_JOIN: on_join(client, (const struct ctl_join *)message, now_ns); break;
	case CTL_STATS: on_stats(client, (const struct ctl_stats *)message, now_ns); break;
	case CTL_TRIMMED: on_trimmed(client, (const struct ctl_trim *)message, now_ns); break;
	case CTL_STATUS_ASK: on_status(client, header->serial, now_ns); break;
	case CTL_COMMAND: on_command(client, (const struct ctl_command *)message); break;
	default: cut_off(client, "sends what only the daemon says"); break;
	}
}

/* False when there is nothing more to read. */
static bool read_one(struct client *client, uint64_t now_ns)
{
	_Alignas(8) char message[CTL_MAX_REQUEST_BYTES];
	ssize_t got = recv(client->fd, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (got <= 0) {
		log_debug("pid %d uid %u %s left", client->pid, client->uid, client->name);
		client_close(client);
	} else if (++client->nr_messages > MAX_MESSAGES_PER_TICK) {
		cut_off(client, "sends too often");
	} else if ((size_t)got > sizeof(message) || ctl_check(message, (size_t)got)) {
		cut_off(client, "sends what is no message");
	} else {
		on_message(client, message, now_ns);
	}
	return client->fd >= 0;
}

static void on_readable(void *context, uint32_t events)
{
	struct client *client = (struct client *)context;
	uint64_t now_ns = now_monotonic_ns();

	(void)events;
	for (int i = 0; i < READ_BATCH && read_one(client, now_ns); i++)
		;
}

/* A free place, or that of the oldest guest. There is one, because joined ones are fewer than places. */
static struct client *find_place(struct clients *clients)
{
	struct client *oldest = NULL;

	for (size_t i = 0; i < clients->nr_places; i++) {
		struct client *client = &clients->places[i];

		if (client->fd < 0)
			return client;
		if (!client->is_joined && (!oldest || client->since_ns < oldest->since_ns))
			oldest = client;
	}
	cut_off(oldest, "makes room");
	return oldest;
}

int clients_adopt(struct clients *clients, int fd, uint64_t now_ns)
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t length_bytes = sizeof(who);
	struct client *client;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length_bytes) < 0) {
		int error = -errno;

		close(fd);
		return error;
	}
	client = find_place(clients);
	*client = (struct client){ .fd = fd, .pid = who.pid, .uid = who.uid, .since_ns = now_ns, .owner = clients };
	client->ticket = loop_watch(clients->loop, fd, POLLIN, on_readable, client);
	if (client->ticket >= 0)
		return 0;
	client_close(client);
	return client->ticket;
}

static bool is_exhausted(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

static void on_connection(void *context, uint32_t events)
{
	struct clients *clients = (struct clients *)context;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(clients->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0 && is_exhausted(errno)) {
			/* Who waits stays in the queue, and the loop would call again at once: the next tick tries again. */
			loop_unwatch(clients->loop, clients->listen_ticket);
			clients->listen_ticket = -1;
		}
		if (fd < 0)
			return;
		clients_adopt(clients, fd, now_monotonic_ns());
	}
}

void clients_tick(struct clients *clients, uint64_t now_ns, bool is_asking)
{
	for (size_t i = 0; i < clients->nr_places; i++) {
		struct client *client = &clients->places[i];

		if (client->fd < 0)
			continue;
		client->nr_messages = 0;
		if (client->pending_ns && now_ns - client->pending_ns > clients->limits.timeout_ns)
			cut_off(client, "does not answer");
		else if (!client->is_joined && now_ns - client->since_ns > clients->limits.timeout_ns)
			cut_off(client, "neither joins nor asks");
		else if (client->is_joined && is_asking)
			ask_stats(client, now_ns);
	}
	if (clients->listen_fd >= 0 && clients->listen_ticket < 0)
		clients->listen_ticket = loop_watch(clients->loop, clients->listen_fd, POLLIN, on_connection, clients);
}

uint64_t clients_cached_bytes(const struct clients *clients)
{
	uint64_t sum_bytes = 0;

	for (size_t i = 0; i < clients->nr_places; i++)
		if (clients->places[i].fd >= 0 && clients->places[i].is_joined)
			sum_bytes += clients->places[i].believed_bytes;
	return sum_bytes;
}

static bool ask_trim(struct client *client, uint64_t bytes, uint64_t now_ns)
{
	struct ctl_trim ask = { .bytes = bytes };

	ctl_header_init(&ask.header, CTL_TRIM_ASK, sizeof(ask), ++client->serial);
	if (!send_to(client, &ask, sizeof(ask)))
		return false;
	if (!client->pending_ns)
		client->pending_ns = now_ns;
	client->tested_bytes = client->stats.cached_bytes;
	client->tested_ask_bytes = bytes;
	client->tested_serial = client->serial;
	client->asked_bytes += bytes;
	client->believed_bytes -= bytes;
	return true;
}

unsigned int clients_trim(struct clients *clients, uint64_t want_bytes, uint64_t now_ns, uint64_t *asked_bytes)
{
	unsigned int nr_asked = 0;

	*asked_bytes = 0;
	for (size_t i = 0; i < clients->nr_places; i++) {
		const struct client *client = &clients->places[i];

		clients->cached_bytes[i] = client->fd >= 0 && client->is_joined ? client->believed_bytes : 0;
	}
	if (!policy_share(want_bytes, clients->cached_bytes, clients->ask_bytes, clients->nr_places))
		return 0;
	for (size_t i = 0; i < clients->nr_places; i++) {
		if (!clients->ask_bytes[i] || !ask_trim(&clients->places[i], clients->ask_bytes[i], now_ns))
			continue;
		nr_asked++;
		*asked_bytes += clients->ask_bytes[i];
	}
	return nr_asked;
}

/* Whether who listens at the other end of a connection is alive; when in doubt, yes. */
static bool is_peer_alive(int fd)
{
	struct ucred who;
	socklen_t length_bytes = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length_bytes) < 0 || who.pid <= 0)
		return true;
	return kill(who.pid, 0) == 0 || errno != ESRCH;
}

/* connect() refuses at files that are no sockets too, and those are somebody's. */
static int unlink_socket(const char *path)
{
	struct stat stat;

	if (lstat(path, &stat) < 0)
		return -errno;
	if (!S_ISSOCK(stat.st_mode))
		return -ENOTSOCK;
	return unlink(path) < 0 ? -errno : 0;
}

/*
 * A socket file that nobody listens at is left by a daemon that died. The kernel may hold the socket of a dead one a little
 * longer, for as long as its io_uring is taken down, so being connected alone proves nothing.
 */
static int replace_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		error = is_peer_alive(fd) ? -EADDRINUSE : -ECONNREFUSED;
	else
		error = errno == EAGAIN ? -EADDRINUSE : -errno;
	close(fd);
	if (error == -ECONNREFUSED)
		error = unlink_socket(address->sun_path);
	return error == -EADDRINUSE || error == -ENOTSOCK ? error : 0;
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, uid_t uid, gid_t gid)
{
	mode_t before;
	int got, error;

	/* The file is born with the descriptor's mode; a chmod() after bind() would follow a link that took its place. */
	if (fchmod(fd, gid != (gid_t)-1 ? 0660 : 0666) < 0)
		return -errno;
	before = umask(0);
	got = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	error = errno;
	umask(before);
	if (got < 0)
		return -error;
	if ((uid != (uid_t)-1 || gid != (gid_t)-1) && lchown(address->sun_path, uid, gid) < 0)
		return -errno;
	/* Who connects before is refused. */
	if (listen(fd, 128) < 0)
		return -errno;
	return 0;
}

/* The folder of the socket, when only that is missing; bind() tells if it could not be made. */
static void make_folder(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	char *slash;

	strcpy(folder, path);
	slash = strrchr(folder, '/');
	if (!slash || slash == folder)
		return;
	*slash = '\0';
	(void)!mkdir(folder, 0755);
}

int clients_listen(struct clients *clients, const char *path, uid_t uid, gid_t gid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int error, fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	make_folder(path);
	error = replace_stale(&address);
	if (error)
		return error;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	error = bind_and_listen(fd, &address, uid, gid);
	if (!error) {
		clients->listen_ticket = loop_watch(clients->loop, fd, POLLIN, on_connection, clients);
		error = clients->listen_ticket < 0 ? clients->listen_ticket : 0;
	}
	if (error) {
		close(fd);
		return error;
	}
	clients->listen_fd = fd;
	strcpy(clients->path, path);
	return 0;
}

static bool take_memory(struct clients *clients)
{
	size_t nr = clients->nr_places;

	clients->places = (struct client *)calloc(nr, sizeof(*clients->places));
	clients->cached_bytes = (uint64_t *)calloc(nr, sizeof(uint64_t));
	clients->ask_bytes = (uint64_t *)calloc(nr, sizeof(uint64_t));
	clients->status = (struct ctl_status *)calloc(1, sizeof(struct ctl_status) + nr * sizeof(struct ctl_process) +
						      clients->max_decisions * sizeof(struct ctl_decision));
	return clients->places && clients->cached_bytes && clients->ask_bytes && clients->status;
}

static void give_memory(struct clients *clients)
{
	free(clients->places);
	free(clients->cached_bytes);
	free(clients->ask_bytes);
	free(clients->status);
	free(clients);
}

struct clients *clients_create(struct loop *loop, const struct client_limits *limits,
			       const struct client_handler *handler, size_t max_decisions)
{
	struct clients *clients = (struct clients *)calloc(1, sizeof(*clients));

	if (!clients)
		return NULL;
	clients->loop = loop;
	clients->limits = *limits;
	clients->handler = *handler;
	clients->listen_fd = clients->listen_ticket = -1;
	clients->nr_places = limits->max_joined + CLIENT_NR_GUESTS;
	clients->max_decisions = max_decisions;
	if (!take_memory(clients)) {
		give_memory(clients);
		return NULL;
	}
	for (size_t i = 0; i < clients->nr_places; i++)
		clients->places[i].fd = -1;
	return clients;
}

void clients_destroy(struct clients *clients)
{
	for (size_t i = 0; i < clients->nr_places; i++)
		if (clients->places[i].fd >= 0)
			client_close(&clients->places[i]);
	if (clients->listen_fd >= 0) {
		loop_unwatch(clients->loop, clients->listen_ticket);
		close(clients->listen_fd);
		unlink(clients->path);
	}
	give_memory(clients);
}
