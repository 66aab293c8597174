/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The slot machine (slot.h) against a naive reference: every sequence of a few events from the
 * empty slot. Plain functions, because the same walk runs in the kernel (slot_test.c) and on the
 * host under sanitizers (tests/unit/slot.c). Models no concurrency: that is tests/kmod/race.c.
 */
#ifndef ARENA_TEST_SLOT_WALK_H
#define ARENA_TEST_SLOT_WALK_H

#include "../slot.h"

#define SLOT_WALK_DEPTH	6
/* 8 + 8^2 + ... + 8^6 */
#define SLOT_WALK_EVENTS 299592UL

/* What the word should say; LOST is EMPTY and uncleared. */
struct slot_model {
	enum slot_state state;
	unsigned long chunk;
	bool uncleared;
};

enum slot_event {
	FILL_A, FILL_A_UNCLEARED, FILL_B, FILL_B_UNCLEARED, TOUCH, DETACH, LOSE, EMPTY,
	NR_SLOT_EVENTS
};

/**
 * struct slot_walk - what a walk has seen
 * @nr_events: events applied
 * @nr_wrong: how many of them the word took otherwise than the model
 * @wrong_word: the word after the first of these
 * @wrong_event: the event
 */
struct slot_walk {
	unsigned long nr_events;
	unsigned long nr_wrong;
	unsigned long wrong_word;
	enum slot_event wrong_event;
};

/* Two chunks that share no bit but are both aligned as folios are. */
#define SLOT_CHUNK_A 0x0000000000000040UL
#define SLOT_CHUNK_B 0xffff000000000080UL

static inline bool model_fill(struct slot_model *m, unsigned long chunk, bool uncleared)
{
	if (m->state != SLOT_EMPTY || m->uncleared)
		return false;
	*m = (struct slot_model){ SLOT_RESERVED, chunk, uncleared };
	return true;
}

static inline bool model_detach(struct slot_model *m)
{
	m->uncleared = m->uncleared || m->state == SLOT_LIVE;
	m->state = SLOT_DETACHING;
	return true;
}

static inline bool model_step(struct slot_model *m, enum slot_event event)
{
	bool held = m->state == SLOT_RESERVED || m->state == SLOT_LIVE;

	switch (event) {
	case FILL_A:
		return model_fill(m, SLOT_CHUNK_A, false);
	case FILL_A_UNCLEARED:
		return model_fill(m, SLOT_CHUNK_A, true);
	case FILL_B:
		return model_fill(m, SLOT_CHUNK_B, false);
	case FILL_B_UNCLEARED:
		return model_fill(m, SLOT_CHUNK_B, true);
	case TOUCH:
		if (held)
			*m = (struct slot_model){ SLOT_LIVE, m->chunk, false };
		return held;
	case DETACH:
		return held && model_detach(m);
	case LOSE:
		held = m->state != SLOT_DETACHING;
		if (held)
			*m = (struct slot_model){ SLOT_EMPTY, 0, true };
		return held;
	case EMPTY:
		held = m->state == SLOT_DETACHING || (m->state == SLOT_EMPTY && m->uncleared);
		if (held)
			*m = (struct slot_model){ SLOT_EMPTY, 0, false };
		return held;
	default:
		return false;
	}
}

static inline bool slot_step(unsigned long *word, enum slot_event event)
{
	switch (event) {
	case FILL_A:
		return slot_fill(word, SLOT_CHUNK_A, false);
	case FILL_A_UNCLEARED:
		return slot_fill(word, SLOT_CHUNK_A, true);
	case FILL_B:
		return slot_fill(word, SLOT_CHUNK_B, false);
	case FILL_B_UNCLEARED:
		return slot_fill(word, SLOT_CHUNK_B, true);
	case TOUCH:
		return slot_touch(word);
	case DETACH:
		return slot_detach(word);
	case LOSE:
		return slot_lose(word);
	case EMPTY:
		return slot_empty(word);
	default:
		return false;
	}
}

/* An empty slot is a zero, so that a fresh table is a table of empty slots. */
static inline bool slot_agrees(unsigned long word, const struct slot_model *m)
{
	return slot_state(word) == m->state && slot_chunk(word) == m->chunk &&
	       slot_is_uncleared(word) == m->uncleared &&
	       (word == 0) == (m->state == SLOT_EMPTY && !m->uncleared) &&
	       slot_is_lost(word) == (m->state == SLOT_EMPTY && m->uncleared) &&
	       slot_is_held(word) == (m->state == SLOT_RESERVED || m->state == SLOT_LIVE);
}

static inline void slot_walk_note(struct slot_walk *walk, unsigned long word, enum slot_event event)
{
	if (!walk->nr_wrong++) {
		walk->wrong_word = word;
		walk->wrong_event = event;
	}
}

/** Applies every sequence of up to @depth events to @word, which @model describes. */
static inline void slot_walk(struct slot_walk *walk, unsigned long word, struct slot_model model,
			     int depth)
{
	int event;

	for (event = 0; depth && event < NR_SLOT_EVENTS; event++) {
		unsigned long next_word = word;
		struct slot_model next = model;
		bool taken = slot_step(&next_word, (enum slot_event)event);

		walk->nr_events++;
		if (taken != model_step(&next, (enum slot_event)event) ||
		    !slot_agrees(next_word, &next))
			slot_walk_note(walk, next_word, (enum slot_event)event);
		slot_walk(walk, next_word, next, depth - 1);
	}
}

#endif /* ARENA_TEST_SLOT_WALK_H */
