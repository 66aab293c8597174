// SPDX-License-Identifier: MIT
/*
 * An event loop with level-triggered meaning on two backends.
 *
 * io_uring: each descriptor has a one-shot poll that is armed again after its callback; arming, canceling and
 * waiting are one system call per round, however many descriptors moved. One-shot rather than multishot, because a
 * multishot poll reports edges: a callback that leaves something unread would not be called again.
 * epoll: where io_uring_setup() is refused (ENOSYS, EPERM: kernel.io_uring_disabled, seccomp).
 *
 * A ticket carries a generation, so that an event that was under way when its watch went is dropped.
 * Limits: one thread; at most 65,535 watches.
 */
#include "daemon/loop.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* Submissions in one batch; a full queue is submitted early, so this is only a matter of system calls. */
#define SQ_ENTRIES 256
#define EPOLL_BATCH 64
/* user_data of cancelations, whose results nobody wants; no ticket has all bits set. */
#define NO_TICKET UINT64_MAX

struct watch {
	int fd;			/* -1 = free */
	uint32_t events;
	uint16_t generation;	/* moves at each unwatch */
	bool is_armed;		/* io_uring: a poll is under way */
	loop_fn fn;
	void *context;
};

/* Invariant: nr_unarmed counts the watches with fd >= 0 and !is_armed (io_uring only). */
struct loop {
	bool is_uring;
	struct io_uring ring;
	int epoll_fd;
	unsigned int max_watches;
	unsigned int nr_unarmed;
	struct watch watches[];
};

static int ticket_of(const struct loop *loop, unsigned int idx)
{
	return (int)(idx | (unsigned int)(loop->watches[idx].generation & 0x7fff) << 16);
}

static struct watch *watch_of(struct loop *loop, uint64_t ticket)
{
	unsigned int idx = (unsigned int)ticket & 0xffff;

	if (ticket > INT32_MAX || idx >= loop->max_watches || loop->watches[idx].fd < 0)
		return NULL;
	return (uint64_t)ticket_of(loop, idx) == ticket ? &loop->watches[idx] : NULL;
}

static bool uring_init(struct loop *loop, unsigned int max_watches)
{
	/* Room for an event and a cancelation of every watch: completions never overflow. */
	struct io_uring_params params = { .flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP };

	params.cq_entries = max_watches * 2 + SQ_ENTRIES;
	return io_uring_queue_init_params(SQ_ENTRIES, &loop->ring, &params) == 0;
}

struct loop *loop_create(unsigned int max_watches, bool want_uring)
{
	struct loop *loop;

	if (max_watches > UINT16_MAX)
		return NULL;
	loop = (struct loop *)calloc(1, sizeof(*loop) + max_watches * sizeof(struct watch));
	if (!loop)
		return NULL;
	loop->max_watches = max_watches;
	loop->epoll_fd = -1;
	for (unsigned int i = 0; i < max_watches; i++)
		loop->watches[i].fd = -1;
	loop->is_uring = want_uring && uring_init(loop, max_watches);
	if (!loop->is_uring)
		loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->is_uring || loop->epoll_fd >= 0)
		return loop;
	free(loop);
	return NULL;
}

void loop_destroy(struct loop *loop)
{
	if (loop->is_uring)
		io_uring_queue_exit(&loop->ring);
	else
		close(loop->epoll_fd);
	free(loop);
}

const char *loop_name(const struct loop *loop)
{
	return loop->is_uring ? "io_uring" : "epoll";
}

static struct io_uring_sqe *get_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (!sqe) {
		io_uring_submit(&loop->ring);
		sqe = io_uring_get_sqe(&loop->ring);
	}
	return sqe;
}

int loop_watch(struct loop *loop, int fd, uint32_t events, loop_fn fn, void *context)
{
	unsigned int idx = 0;
	struct watch *watch;

	while (idx < loop->max_watches && loop->watches[idx].fd >= 0)
		idx++;
	if (idx == loop->max_watches)
		return -ENOSPC;
	watch = &loop->watches[idx];
	*watch = (struct watch){ .fd = fd, .events = events, .generation = watch->generation, .fn = fn,
				 .context = context };
	if (loop->is_uring) {
		loop->nr_unarmed++;
	} else {
		struct epoll_event event = { .events = events, .data.u64 = (uint64_t)ticket_of(loop, idx) };

		if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
			watch->fd = -1;
			return -errno;
		}
	}
	return ticket_of(loop, idx);
}

void loop_unwatch(struct loop *loop, int ticket)
{
	struct watch *watch = ticket < 0 ? NULL : watch_of(loop, (uint64_t)ticket);
	struct io_uring_sqe *sqe;

	if (!watch)
		return;
	if (!loop->is_uring) {
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
	} else if (watch->is_armed) {
		sqe = get_sqe(loop);
		/* Without a slot the poll ends when the peer hangs up; its event is dropped by generation. */
		if (sqe) {
			io_uring_prep_poll_remove(sqe, (unsigned int)ticket);
			io_uring_sqe_set_data64(sqe, NO_TICKET);
		}
	} else {
		loop->nr_unarmed--;
	}
	watch->fd = -1;
	watch->generation++;
}

static void arm_all(struct loop *loop)
{
	for (unsigned int i = 0; loop->nr_unarmed && i < loop->max_watches; i++) {
		struct watch *watch = &loop->watches[i];
		struct io_uring_sqe *sqe;

		if (watch->fd < 0 || watch->is_armed)
			continue;
		sqe = get_sqe(loop);
		if (!sqe)
			return;
		io_uring_prep_poll_add(sqe, watch->fd, watch->events);
		io_uring_sqe_set_data64(sqe, (unsigned int)ticket_of(loop, i));
		watch->is_armed = true;
		loop->nr_unarmed--;
	}
}

static void dispatch(struct loop *loop, uint64_t ticket, int result)
{
	struct watch *watch = watch_of(loop, ticket);

	if (!watch)
		return;
	if (loop->is_uring) {
		watch->is_armed = false;
		loop->nr_unarmed++;
	}
	watch->fn(watch->context, result < 0 ? EPOLLERR : (uint32_t)result);
}

static int run_uring(struct loop *loop, uint64_t timeout_ns)
{
	struct __kernel_timespec wait = { .tv_sec = (int64_t)(timeout_ns / 1000000000),
					  .tv_nsec = (long long)(timeout_ns % 1000000000) };
	struct io_uring_cqe *cqe;
	int error;

	arm_all(loop);
	error = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &wait, NULL);
	if (error < 0 && error != -ETIME && error != -EINTR && error != -EBUSY && error != -EAGAIN)
		return error;
	while (io_uring_peek_cqe(&loop->ring, &cqe) == 0) {
		uint64_t ticket = cqe->user_data;
		int result = cqe->res;

		io_uring_cqe_seen(&loop->ring, cqe);
		dispatch(loop, ticket, result);
	}
	return 0;
}

static int run_epoll(struct loop *loop, uint64_t timeout_ns)
{
	struct epoll_event events[EPOLL_BATCH];
	/* Rounded up: a time-out that is a little early would spin until it is due. */
	int nr = epoll_wait(loop->epoll_fd, events, EPOLL_BATCH, (int)((timeout_ns + 999999) / 1000000));

	if (nr < 0)
		return errno == EINTR ? 0 : -errno;
	for (int i = 0; i < nr; i++)
		dispatch(loop, events[i].data.u64, (int)events[i].events);
	return 0;
}

int loop_run(struct loop *loop, uint64_t timeout_ns)
{
	return loop->is_uring ? run_uring(loop, timeout_ns) : run_epoll(loop, timeout_ns);
}
