/* SPDX-License-Identifier: MIT */
/* The stressor's rarer calls: NOTICE, and what RESERVE does beside reserving. */
#ifndef ARENA_TESTS_KMOD_STRESSOR_CALLS_H
#define ARENA_TESTS_KMOD_STRESSOR_CALLS_H

#include "refs.h"

#include <poll.h>
#include <sys/eventfd.h>

static inline int reserve_with(struct actor *a, struct target *t, uint32_t flags)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = flags,
				   .offset_bytes = t->first * CHUNK_BYTES,
				   .length_bytes = t->nr * CHUNK_BYTES };

	return call_space(a, t->stage->fd, ARENA_IOC_RESERVE, &r);
}

/* Nothing is reserved by it: the model stays as it is. */
static inline int op_ahead(struct actor *a, struct target *t)
{
	int error = reserve_with(a, t, ARENA_RESERVE_AHEAD);

	if (error && error != ENOMEM)
		fail(a, "RESERVE AHEAD: %s", strerror(error));
	return error;
}

/* All of a run is new, so none of it may have been held before: but an inherited view may have lost it. */
static inline void run_enter(struct actor *a, struct stage *s, unsigned int slot)
{
	if (s->state[slot] == HELD && !s->inherited)
		fail(a, "%s slot %u was held, and became part of a run", kind_names[s->kind], slot);
	s->state[slot] = HELD;
	s->word[slot] = 0;
	check_slot(a, s, slot);
}

static inline int op_run(struct actor *a, struct target *t)
{
	bool held = has_state(t, HELD) || has_state(t, KEPT) || has_state(t, LOST);
	int error;

	error = reserve_with(a, t, ARENA_RESERVE_CONTIG | pick(a, 2) * ARENA_RESERVE_NO_CLEAR);
	if (error && error != EBUSY && error != ENOSPC && error != ENOMEM)
		fail(a, "RESERVE CONTIG: %s", strerror(error));
	if (!is_exact(t->stage))
		return error;
	/* Where a touch reserves, the model may not know of it yet. */
	if (error == EBUSY && !held && t->stage->kind != KIND_ON_TOUCH)
		fail(a, "RESERVE CONTIG of empty slots: %s", strerror(error));
	for (unsigned int i = t->first; !error && i < t->first + t->nr; i++)
		run_enter(a, t->stage, i);
	a->shared->nr_runs += !error;
	return error;
}

static inline int notice_check(struct actor *a, const struct arena_notice *n)
{
	if (n->level > ARENA_NOTICE_CRITICAL || n->wanted_bytes % CHUNK_BYTES ||
	    (n->wanted_bytes && n->level == ARENA_NOTICE_NONE))
		fail(a, "NOTICE: level %u, %llu bytes wanted", n->level, n->wanted_bytes);
	a->shared->nr_notices += n->level != ARENA_NOTICE_NONE;
	return (int)n->level;
}

/* Asks, registers or removes the eventfd, and listens. Who is told what depends on the others. */
static inline int op_notice(struct actor *a, struct target *t)
{
	struct arena_notice n = { .size = sizeof(n), .flags = pick(a, 2) * ARENA_NOTICE_EVENTFD };
	struct pollfd listen = { .fd = t->stage->fd, .events = POLLPRI };
	eventfd_t count;
	int error;

	if (a->event < 0)
		a->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (a->event < 0)
		return errno;
	if (n.flags)
		n.eventfd = pick(a, 4) ? a->event : -1;
	error = call_errno(t->stage->fd, ARENA_IOC_NOTICE, &n);
	if (error)
		fail(a, "NOTICE: %s", strerror(error));
	if (poll(&listen, 1, (int)pick(a, 3)) < 0 || listen.revents & ~POLLPRI)
		fail(a, "poll: %#x, %m", listen.revents);
	if (eventfd_read(a->event, &count) && errno != EAGAIN)
		fail(a, "eventfd: %m");
	return notice_check(a, &n);
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_CALLS_H */
