// SPDX-License-Identifier: MIT
/*
 * Threads that end in odd ways or at odd times: cancelled inside the library, or leaving the daemon while others fork. And the library's own.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "atomic.h"
#include "chunk.h"
#include "ctl_proto.h"
#include "geometry.h"
#include "tests/harness.h"
#include "thread.h"

/* ---------------------------------------------------------------- cancellation */

static bool got_through;	/* the calls returned, before the cancellation took effect */

/* Everything that opens, reads or prints for the first time, with a cancellation pending. */
static void *use_cancelled(void *unused)
{
	struct arena *arena;
	char *object;

	(void)unused;
	pthread_cancel(pthread_self());
	arena_daemon_join("/nonexistent/socket");
	arena = arena_new(NULL);
	object = arena ? arena_alloc(arena, CHUNK_BYTES) : NULL;
	if (object)
		*object = 1;
	arena_free(arena);
	arena_daemon_leave();
	got_through = object;
	pthread_testcancel();
	return NULL;
}

TEST(cancelled, "threads/a cancelled thread leaves no lock behind", "ARENA_SOURCE=nonsense")
{
	pthread_t thread;
	void *result;

	if (harness_sanitized())
		harness_skip("a sanitizer has points of cancellation of its own");
	CHECK(!pthread_create(&thread, NULL, use_cancelled, NULL));
	CHECK(!pthread_join(thread, &result));
	CHECK(result == PTHREAD_CANCELED);
	CHECK(got_through);
	chunk_validate();
}

/* ---------------------------------------------------------------- the library's own */

static uint32_t nr_own; /* atomic */

static void *look_at_signals(void *context)
{
	sigset_t blocked;

	CHECK(!pthread_sigmask(SIG_BLOCK, NULL, &blocked));
	/* The next two are the C library's own. */
	for (int i = 1; i < 32; i++)
		CHECK_EQ(sigismember(&blocked, i), i != SIGSEGV && i != SIGBUS && i != SIGKILL && i != SIGSTOP);
	atomic_add_relaxed(&nr_own, 1u);
	return context;
}

TEST(own, "threads/the library's own run no handlers, but faults are told, and who starts them hears signals as before")
{
	double end = harness_seconds() + 60;
	void *result = NULL;
	sigset_t blocked;
	pthread_t thread;

	CHECK_EQ(thread_start(&thread, look_at_signals, &nr_own), 0);
	CHECK(!pthread_join(thread, &result) && result == &nr_own);
	CHECK_EQ(thread_start(NULL, look_at_signals, NULL), 0);
	while (atomic_load_relaxed(&nr_own) < 2 && harness_seconds() < end)
		sched_yield();
	CHECK_EQ(nr_own, 2);
	CHECK(!pthread_sigmask(SIG_BLOCK, NULL, &blocked) && !sigismember(&blocked, SIGUSR1) && !sigismember(&blocked, SIGTERM));
}

/* ---------------------------------------------------------------- the link and fork() */

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	CHECK(fd >= 0 && !bind(fd, (const struct sockaddr *)&address, sizeof(address)) && !listen(fd, 100));
	return fd;
}

/* Asks one question after the other, so that the link's thread takes locks all the time. */
static void ask(int fd)
{
	struct ctl_header question;
	char answer[4096];

	ctl_header_init(&question, CTL_STATS_ASK, sizeof(question), 1);
	while (recv(fd, answer, sizeof(answer), 0) > 0 &&
	       send(fd, &question, sizeof(question), MSG_NOSIGNAL) == (ssize_t)sizeof(question))
		;
	close(fd);
}

static void *serve(void *argument)
{
	int fd;

	while ((fd = accept(*(const int *)argument, NULL, NULL)) >= 0)
		ask(fd);
	return NULL;
}

static bool stop;

static void *fork_often(void *unused)
{
	(void)unused;
	while (!atomic_load_relaxed(&stop)) {
		pid_t pid = fork();

		if (!pid)
			_exit(0);
		CHECK(pid > 0 && waitpid(pid, NULL, 0) == pid);
	}
	return NULL;
}

#define ROUNDS 1000

TEST(leave, "threads/leaving the daemon while another thread forks")
{
	char path[64];
	pthread_t server, forker;
	int fd, error;

	if (harness_thread_sanitized())
		harness_skip("thread sanitizer cannot fork a process with threads");
	snprintf(path, sizeof(path), "/tmp/arena-threads.%d", (int)getpid());
	fd = listen_at(path);
	CHECK(!pthread_create(&server, NULL, serve, &fd));
	CHECK(!arena_daemon_join(path));
	CHECK(arena_alloc(arena_new(NULL), CHUNK_BYTES));
	CHECK(!pthread_create(&forker, NULL, fork_often, NULL));
	alarm(60);
	for (size_t i = 0; i < ROUNDS && harness_seconds() < 5; i++) {
		arena_daemon_leave();
		error = arena_daemon_join(path);
		CHECK(!error || error == -EAGAIN); /* the server has not come to the last ones yet */
		usleep(100);
	}
	unlink(path);
	atomic_store_relaxed(&stop, true);
	CHECK(!pthread_join(forker, NULL));
}
