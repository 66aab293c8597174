// SPDX-License-Identifier: MIT
/*
 * The library's end of the link to arenad: one small thread that answers questions about cached memory and gives it back
 * when asked. It sleeps in poll() otherwise; the program's own threads never wait for it or for the daemon.
 *
 * When the daemon goes away the thread tries again, after one second first and then ever more seldom. In the child of
 * a fork there is no thread: it is not registered until it joins by itself.
 * Limits: one daemon per process. The thread takes no signals, so handlers never run on its small stack.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "arena/arena.h"
#include "libarena/ctl.h"
#include "libarena/ctl_proto.h"
#include "libarena/geometry.h"
#include "libarena/heap.h"
#include "libarena/opt.h"
#include "libarena/thread.h"

#define RETRY_FIRST_MS 1000
/* An idle process wakes once a minute at most while no daemon is there. */
#define RETRY_LAST_MS 60000

/* Of the thread: written before it starts, read by it alone. */
struct link {
	int fd;			/* of the socket; -1 = not connected; owned by the thread */
	int stop_fd;		/* an eventfd, readable when the thread shall end */
	struct sockaddr_un address;
	struct ctl_join join;
};

/* Guards everything below; held by join and leave for as long as they take. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_joined;
static pthread_t thread;
static struct link the_link;

static int link_connect(struct link *link)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&link->address, sizeof(link->address)) == 0 &&
	    send(fd, &link->join, sizeof(link->join), MSG_NOSIGNAL) == (ssize_t)sizeof(link->join)) {
		link->fd = fd;
		return 0;
	}
	error = -errno;
	close(fd);
	return error;
}

static void link_close(struct link *link)
{
	int fd = link->fd;

	/* First: a child forked in between would close what the number means by then. */
	link->fd = -1;
	if (fd >= 0)
		close(fd);
}

/* The daemon asks for memory by what is cached: idle chunks of heaps are. */
static void add_heaps(struct ctl_stats *stats)
{
	for (size_t i = 0; i < HEAPS_MAX; i++) {
		struct heap *heap = heap_hold_system(i);

		if (!heap)
			continue;
		lock_acquire(&heap->lock);
		stats->handed_bytes += heap->pages.handed * CHUNK_BYTES;
		stats->mapped_bytes += heap->pages.mapped * CHUNK_BYTES;
		stats->cached_bytes += heap->pages.nr_idle * CHUNK_BYTES;
		stats->returned_bytes += heap->pages.returned * CHUNK_BYTES;
		lock_release(&heap->lock);
		heap_unhold();
	}
}

static void fill_stats(struct ctl_stats *stats, uint32_t serial)
{
	struct arena_memory memory;

	arena_memory(&memory);
	*stats = (struct ctl_stats){ .small_bytes = memory.small_bytes, .nr_arenas = memory.nr_arenas };
	for (int i = 0; i < ARENA_NR_SOURCES; i++) {
		stats->handed_bytes += memory.source[i].handed_chunks * CHUNK_BYTES;
		stats->mapped_bytes += memory.source[i].mapped_chunks * CHUNK_BYTES;
		stats->cached_bytes += memory.source[i].cached_chunks * CHUNK_BYTES;
		stats->returned_bytes += memory.source[i].returned_chunks * CHUNK_BYTES;
	}
	add_heaps(stats);
	ctl_header_init(&stats->header, CTL_STATS, sizeof(*stats), serial);
}

static bool answer(struct link *link, const void *message, size_t length_bytes)
{
	return send(link->fd, message, length_bytes, MSG_NOSIGNAL) == (ssize_t)length_bytes;
}

static bool answer_trim(struct link *link, const struct ctl_trim *ask)
{
	struct ctl_trim trimmed = { .bytes = arena_trim(ask->bytes > SIZE_MAX ? SIZE_MAX : (size_t)ask->bytes) };

	ctl_header_init(&trimmed.header, CTL_TRIMMED, sizeof(trimmed), ask->header.serial);
	return answer(link, &trimmed, sizeof(trimmed));
}

static bool answer_stats(struct link *link, uint32_t serial)
{
	struct ctl_stats stats;

	fill_stats(&stats, serial);
	return answer(link, &stats, sizeof(stats));
}

/* False when the link is of no use any more. */
static bool serve_one(struct link *link)
{
	_Alignas(8) char message[CTL_MAX_REQUEST_BYTES];
	const struct ctl_header *header = (const struct ctl_header *)(const void *)message;
	ssize_t got = recv(link->fd, message, sizeof(message), MSG_TRUNC);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (got <= 0 || (size_t)got > sizeof(message) || ctl_check(message, (size_t)got))
		return false;
	switch (header->type) {
	case CTL_STATS_ASK: return answer_stats(link, header->serial);
	case CTL_TRIM_ASK: return answer_trim(link, (const struct ctl_trim *)(const void *)message);
	default: return false;
	}
}

static int next_retry_ms(int retry_ms)
{
	return retry_ms * 2 < RETRY_LAST_MS ? retry_ms * 2 : RETRY_LAST_MS;
}

/*
 * The back-off falls to its start only when a message was served: a daemon that refuses this process, after accepting
 * the connection, is not asked every second for ever.
 */
static void *link_run(void *context)
{
	struct link *link = (struct link *)context;
	int retry_ms = RETRY_FIRST_MS;

	for (;;) {
		struct pollfd fds[2] = { { .fd = link->stop_fd, .events = POLLIN }, { .fd = link->fd, .events = POLLIN } };
		/* A negative descriptor is skipped: then this is the pause before the next try. */
		int ready = poll(fds, 2, link->fd < 0 ? retry_ms : -1);

		if (fds[0].revents)
			break;
		if (link->fd < 0) {
			if (ready == 0 && link_connect(link))
				retry_ms = next_retry_ms(retry_ms);
		} else if (fds[1].revents && !serve_one(link)) {
			link_close(link);
			retry_ms = next_retry_ms(retry_ms);
		} else if (fds[1].revents) {
			retry_ms = RETRY_FIRST_MS;
		}
	}
	link_close(link);
	return NULL;
}

static int start_thread(void)
{
	int error = thread_start(&thread, link_run, &the_link);

	if (!error)
		pthread_setname_np(thread, "arena-link");
	return error;
}

void ctl_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
}

void ctl_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

/*
 * The thread is the parent's; so is the connection, of which this is only a copy. A fork in the middle of a
 * connect may leave one descriptor open in the child, until it execs.
 */
void ctl_fork_child(void)
{
	if (is_joined) {
		close(the_link.stop_fd);
		link_close(&the_link);
		is_joined = false;
	}
	pthread_mutex_unlock(&lock);
}

static int set_address(struct link *link, const char *path)
{
	if (!path)
		path = secure_getenv(CTL_SOCKET_ENV);
	if (!path || !*path)
		path = CTL_SOCKET_DEFAULT;
	link->address.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(link->address.sun_path))
		return -ENAMETOOLONG;
	strcpy(link->address.sun_path, path);
	return 0;
}

/* $ARENA_DAEMON=1 is the wish of whoever runs the program: it also holds for a daemon that starts later. */
static bool is_patient(void)
{
	return opt_get(OPT_DAEMON);
}

static int join_locked(const char *socket_path)
{
	int error, connect_error;

	the_link = (struct link){ .fd = -1, .stop_fd = -1 };
	error = set_address(&the_link, socket_path);
	if (error)
		return error;
	ctl_header_init(&the_link.join.header, CTL_JOIN, sizeof(the_link.join), 0);
	strncpy(the_link.join.name, program_invocation_short_name, sizeof(the_link.join.name) - 1);
	connect_error = link_connect(&the_link);
	if (connect_error && !is_patient())
		return connect_error;
	the_link.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = the_link.stop_fd < 0 ? -errno : start_thread();
	if (error) {
		link_close(&the_link);
		if (the_link.stop_fd >= 0)
			close(the_link.stop_fd);
		return error;
	}
	is_joined = true;
	return connect_error;
}

/* What a caller of join and leave must not notice: errno, and that there are points of cancellation inside. */
struct quiet {
	int errno_before;
	int cancel_before;
};

static struct quiet quiet_enter(void)
{
	struct quiet quiet = { .errno_before = errno };

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &quiet.cancel_before);
	pthread_mutex_lock(&lock);
	return quiet;
}

static void quiet_leave(struct quiet quiet)
{
	pthread_mutex_unlock(&lock);
	pthread_setcancelstate(quiet.cancel_before, NULL);
	errno = quiet.errno_before;
}

int arena_daemon_join(const char *socket_path)
{
	struct quiet quiet = quiet_enter();
	int error = 0;

	if (!is_joined)
		error = join_locked(socket_path);
	quiet_leave(quiet);
	return error;
}

void arena_daemon_leave(void)
{
	const uint64_t one = 1;
	struct quiet quiet = quiet_enter();

	if (is_joined) {
		(void)!write(the_link.stop_fd, &one, sizeof(one));
		pthread_join(thread, NULL);
		close(the_link.stop_fd);
		is_joined = false;
	}
	quiet_leave(quiet);
}
