/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who may share and who may write (share.h), against a model that knows whose every reference is:
 * every sequence of a few events among three processes and one chunk. The word knows less than the
 * model, so it may be more careful; it must never let a byte across, and must not be careful
 * without a reason. Plain functions, for the kernel (view_test.c) and the host
 * (tests/unit/share.c).
 */
#ifndef ARENA_TEST_SHARE_WALK_H
#define ARENA_TEST_SHARE_WALK_H

#include "../share.h"

#define SHARE_WALK_DEPTH	8
#define SHARE_WALK_VIEWS	3
#define SHARE_WALK_REFS		2
#define SHARE_WALK_EVENTS	2530544UL

/*
 * What a process may do. FORK: a child that does not hold the chunk inherits it; the child is named
 * by the second number, if it is another process. REFER: a page into a pipe, or I/O.
 */
enum share_what { SHARE_FORK, SHARE_WRITE, SHARE_LEAVE, SHARE_REFER, SHARE_DROP, NR_SHARE_WHATS };

/**
 * struct share_model - one chunk
 * @word: what is tested
 * @holds: bit by process: its slot holds the chunk
 * @nr_refs: references from outside
 * @owner: by reference: whose it is
 * @may_write: by reference: taken when its owner alone had the chunk, so that it may be I/O into it
 */
struct share_model {
	unsigned long word;
	unsigned int holds;
	unsigned int nr_refs;
	unsigned int owner[SHARE_WALK_REFS];
	bool may_write[SHARE_WALK_REFS];
};

/**
 * struct share_walk - what a walk has seen
 * @nr_events: events that were possible
 * @nr_in_place: writes in place
 * @nr_copies: copies, at a write or at a fork
 * @nr_leaks: a byte of one process reached another
 * @nr_timid: copies without a reason
 * @nr_wrong: the word disagrees with the model about who holds the chunk
 */
struct share_walk {
	unsigned long nr_events;
	unsigned long nr_in_place;
	unsigned long nr_copies;
	unsigned long nr_leaks;
	unsigned long nr_timid;
	unsigned long nr_wrong;
};

static inline bool share_has_writers(const struct share_model *m)
{
	unsigned int i;

	for (i = 0; i < m->nr_refs; i++)
		if (m->may_write[i])
			return true;
	return false;
}

static inline bool share_has_strangers(const struct share_model *m, unsigned int who)
{
	unsigned int i;

	for (i = 0; i < m->nr_refs; i++)
		if (m->owner[i] != who)
			return true;
	return false;
}

/* Once shared, references of several processes cannot be told apart: any of them is a reason. */
static inline void share_walk_write(struct share_walk *walk, struct share_model *m,
				    unsigned int who)
{
	bool alone = m->holds == 1U << who;

	if (share_own(&m->word, m->nr_refs)) {
		walk->nr_in_place++;
		walk->nr_leaks += !alone || share_has_strangers(m, who);
	} else {
		walk->nr_copies++;
		walk->nr_timid += alone && !m->nr_refs;
		walk->nr_wrong += !share_remove(&m->word);
		m->holds &= ~(1U << who);
	}
}

static inline void share_walk_fork(struct share_walk *walk, struct share_model *m,
				   unsigned int child)
{
	if (share_add(&m->word, m->nr_refs)) {
		m->holds |= 1U << child;
		walk->nr_leaks += share_has_writers(m);
	} else {
		walk->nr_copies++;
		walk->nr_timid += !m->nr_refs;
	}
}

static inline void share_walk_refer(struct share_model *m, unsigned int who)
{
	m->owner[m->nr_refs] = who;
	m->may_write[m->nr_refs++] = share_is_exclusive(m->word);
}

static inline void share_walk_drop(struct share_model *m)
{
	m->nr_refs--;
	m->owner[0] = m->owner[1];
	m->may_write[0] = m->may_write[1];
}

static inline bool share_walk_can(const struct share_model *m, enum share_what what,
				  unsigned int who, unsigned int child)
{
	if (what == SHARE_DROP)
		return m->nr_refs && !who && !child;
	if (!(m->holds & 1U << who))
		return false;
	if (what == SHARE_FORK)
		return !(m->holds & 1U << child);
	return !child && (what != SHARE_REFER || m->nr_refs < SHARE_WALK_REFS);
}

static inline void share_walk_step(struct share_walk *walk, struct share_model *m,
				   enum share_what what, unsigned int who, unsigned int child)
{
	walk->nr_events++;
	switch (what) {
	case SHARE_FORK:
		share_walk_fork(walk, m, child);
		break;
	case SHARE_WRITE:
		share_walk_write(walk, m, who);
		break;
	case SHARE_LEAVE:
		walk->nr_wrong += !share_remove(&m->word);
		m->holds &= ~(1U << who);
		break;
	case SHARE_REFER:
		share_walk_refer(m, who);
		break;
	default:
		share_walk_drop(m);
	}
}

static inline unsigned int share_nr_holders(const struct share_model *m)
{
	return (m->holds & 1) + (m->holds >> 1 & 1) + (m->holds >> 2 & 1);
}

/* All sequences of up to @depth events from @m. */
static inline void share_walk(struct share_walk *walk, struct share_model m, unsigned int depth)
{
	unsigned int i, nr = NR_SHARE_WHATS * SHARE_WALK_VIEWS * SHARE_WALK_VIEWS;

	walk->nr_wrong += share_slots(m.word) != share_nr_holders(&m);
	for (i = 0; depth && i < nr; i++) {
		enum share_what what = (enum share_what)(i % NR_SHARE_WHATS);
		unsigned int who = i / NR_SHARE_WHATS % SHARE_WALK_VIEWS;
		unsigned int child = i / NR_SHARE_WHATS / SHARE_WALK_VIEWS;
		struct share_model next = m;

		if (!share_walk_can(&m, what, who, child))
			continue;
		share_walk_step(walk, &next, what, who, child);
		share_walk(walk, next, depth - 1);
	}
}

/* A chunk in the slot of one process. */
static inline struct share_model share_walk_start(void)
{
	return (struct share_model){ .word = share_first(false), .holds = 1 };
}

#endif /* ARENA_TEST_SHARE_WALK_H */
