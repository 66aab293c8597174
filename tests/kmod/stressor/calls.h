/* SPDX-License-Identifier: MIT */
/* The stressor's rarer calls: NOTICE, what RESERVE does beside reserving, and ZAP under one's feet. */
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

	if (error && error != ENOMEM && !is_without_view(t->stage, error))
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
	if (error && error != EBUSY && error != ENOSPC && error != ENOMEM &&
	    !is_without_view(t->stage, error))
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

/* Reads and writes what is being zapped: it is there or not, but nobody else's. */
static inline void race_slot(struct actor *a, struct stage *s, unsigned int slot, uint64_t mine)
{
	volatile uint64_t *at = sample(s, slot, NR_SAMPLES / 2);
	uint64_t word;
	int signal_nr = fault_read(at, &word);

	if (!signal_nr && word != s->word[slot] && word != mine)
		fail(a, "%s slot %u shows %016" PRIx64 " while it is zapped, it was %016" PRIx64,
		     kind_names[s->kind], slot, word, s->word[slot]);
	if (!signal_nr)
		signal_nr = fault_write(at, mine);
	if (signal_nr && signal_nr != SIGBUS)
		fail(a, "%s slot %u is zapped: signal %d", kind_names[s->kind], slot, signal_nr);
}

/* A worker of the ring zaps what its process goes on using, until the result is there. */
static inline int op_race_zap(struct actor *a, struct target *t)
{
	struct stage *s = t->stage;
	struct arena_reclaim r = { .size = sizeof(r), .how = ARENA_RECLAIM_ZAP,
				   .offset_bytes = t->first * CHUNK_BYTES,
				   .length_bytes = t->nr * CHUNK_BYTES };
	struct io_uring_sqe sqe = ring_entry(s->fd, ARENA_IOC_RECLAIM, &r, 0);
	uint32_t gen = ++a->gen;
	int result;

	if (ring.fd < 0 || !is_exact(s) || s->kind == KIND_ON_TOUCH || !ring_submit(&sqe))
		return NOT_DONE;
	while (!ring_is_done())
		for (unsigned int i = t->first; i < t->first + t->nr && !ring_is_done(); i++)
			if (s->state[i] == HELD)
				race_slot(a, s, i, WORD(a->id, i, gen));
	result = ring_result();
	if (result && result != -ENOMEM && result != -ECANCELED && !is_without_view(s, -result))
		fail(a, "ZAP by a worker: %s", strerror(-result));
	/* It did not happen: what was written in one place of 33 is written in all. */
	for (unsigned int i = t->first; result && i < t->first + t->nr; i++)
		if (s->state[i] == HELD)
			write_slot(a, s, i);
	if (result)
		return result;
	forget(t);
	check_slot(a, s, t->first);
	return 0;
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
