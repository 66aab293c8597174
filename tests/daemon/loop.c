// SPDX-License-Identifier: MIT
/* daemon/loop.c on both backends: the same checks, because they promise the same. */
#include "daemon/loop.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/daemon/tap.h"

#define MS 1000000ull

static bool want_uring;

struct seen {
	struct loop *loop;
	int fd, ticket, nr;
	bool is_reading, is_leaving;
};

static void on_event(void *context, uint32_t events)
{
	struct seen *seen = (struct seen *)context;
	char byte;

	if (events & (POLLIN | POLLHUP))
		seen->nr++;
	if (seen->is_reading)
		(void)!read(seen->fd, &byte, 1);
	if (seen->is_leaving)
		loop_unwatch(seen->loop, seen->ticket);
}

static struct seen watch_pair(struct loop *loop, int pair[2])
{
	struct seen seen = { .loop = loop };

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "socketpair");
	seen.fd = pair[0];
	return seen;
}

static void run_all(struct loop *loop)
{
	for (int i = 0; i < 5; i++)
		CHECK(loop_run(loop, MS) == 0, "run");
}

static void is_level_triggered(void)
{
	struct loop *loop = loop_create(4, want_uring);
	int pair[2];
	struct seen seen = watch_pair(loop, pair);

	seen.ticket = loop_watch(loop, pair[0], POLLIN, on_event, &seen);
	run_all(loop);
	CHECK(seen.nr == 0, "nothing to read, %d events", seen.nr);
	CHECK(write(pair[1], "xy", 2) == 2, "write");
	run_all(loop);
	CHECK(seen.nr >= 2, "unread data is told again, %d events", seen.nr);
	seen.is_reading = true;
	run_all(loop);
	seen.nr = 0;
	run_all(loop);
	CHECK(seen.nr == 0, "read up, %d events", seen.nr);
	close(pair[1]);
	seen.is_reading = false;
	run_all(loop);
	CHECK(seen.nr >= 1, "a hang-up is told");
	loop_unwatch(loop, seen.ticket);
	close(pair[0]);
	loop_destroy(loop);
}

static void unwatch_holds_at_once(void)
{
	struct loop *loop = loop_create(4, want_uring);
	int pair[2];
	struct seen seen = watch_pair(loop, pair);

	seen.ticket = loop_watch(loop, pair[0], POLLIN, on_event, &seen);
	seen.is_leaving = true;
	CHECK(write(pair[1], "x", 1) == 1, "write");
	run_all(loop);
	CHECK(seen.nr == 1, "unwatched in its own callback, %d events", seen.nr);
	loop_unwatch(loop, seen.ticket);
	/* The place is used again; a ticket of before means nothing. */
	seen.is_leaving = false;
	loop_watch(loop, pair[0], POLLIN, on_event, &seen);
	loop_unwatch(loop, seen.ticket);
	run_all(loop);
	CHECK(seen.nr > 1, "an old ticket does not unwatch a new watch");
	close(pair[0]);
	close(pair[1]);
	loop_destroy(loop);
}

static void has_room_for_what_was_asked(void)
{
	struct loop *loop = loop_create(600, want_uring);
	static struct seen seen[600];
	static int pairs[600][2];
	int nr = 0;

	for (int i = 0; i < 600; i++) {
		seen[i] = watch_pair(loop, pairs[i]);
		seen[i].is_reading = true;
		seen[i].ticket = loop_watch(loop, pairs[i][0], POLLIN, on_event, &seen[i]);
		CHECK(seen[i].ticket >= 0, "watch %d", i);
	}
	CHECK(loop_watch(loop, 0, POLLIN, on_event, NULL) == -ENOSPC, "one more");
	for (int i = 0; i < 600; i++)
		CHECK(write(pairs[i][1], "x", 1) == 1, "write");
	for (int i = 0; i < 50; i++)
		CHECK(loop_run(loop, MS) == 0, "run");
	for (int i = 0; i < 600; i++) {
		nr += seen[i].nr == 1;
		loop_unwatch(loop, seen[i].ticket);
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	CHECK(nr == 600, "%d of 600 told once", nr);
	loop_destroy(loop);
}

static void times_out(void)
{
	struct loop *loop = loop_create(4, want_uring);
	struct timespec before, after;
	long long elapsed_ns;

	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK(loop_run(loop, 50 * MS) == 0, "run");
	clock_gettime(CLOCK_MONOTONIC, &after);
	elapsed_ns = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
	CHECK(elapsed_ns >= 49 * (long long)MS && elapsed_ns < 5000 * (long long)MS, "%lld ns", elapsed_ns);
	loop_destroy(loop);
}

int main(void)
{
	struct loop *probe = loop_create(4, true);

	RUN(is_level_triggered);
	RUN(unwatch_holds_at_once);
	RUN(has_room_for_what_was_asked);
	RUN(times_out);
	/* Where io_uring is switched off this runs epoll twice, which is what the daemon would do. */
	printf("# io_uring: loop is %s\n", loop_name(probe));
	loop_destroy(probe);
	want_uring = true;
	RUN(is_level_triggered);
	RUN(unwatch_holds_at_once);
	RUN(has_room_for_what_was_asked);
	RUN(times_out);
	return tap_end();
}
