/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every sequence of six events on the lists of idle chunks (kmod/idle.h), against a model that is
 * an array in the order of arrival. One source for KUnit (idle_test.c) and for a host test under
 * the sanitizers (tests/unit/pool.c). The chunks are folios that stand for no memory: only their
 * links, their mark and their order in the array count.
 */
#ifndef ARENA_TEST_IDLE_WALK_H
#define ARENA_TEST_IDLE_WALK_H

#ifndef __KERNEL__
#include "idle_host.h"
#endif
#include "../idle.h"

enum idle_event {
	IDLE_PUSH_CLEAN,
	IDLE_PUSH_DIRTY,
	IDLE_POP,
	IDLE_POP_CLEAN,
	IDLE_POP_RECLAIM,
	IDLE_CLEAR_BEGIN,
	IDLE_CLEAR_END,
	IDLE_CLEAR_TAKEN,	/* somebody takes it out of the thread's hand */
	IDLE_NR_EVENTS,
};

#define IDLE_WALK_DEPTH		6
#define IDLE_WALK_SEQUENCES	(8 * 8 * 8 * 8 * 8 * 8)
/* All but the ends of a clearing that has not begun. */
#define IDLE_WALK_EVENTS	1191250UL
#define IDLE_WALK_CHUNKS	24

/**
 * struct idle_walk - lists under test, and what is known of them
 * @idle: the lists
 * @folios: the chunks; a higher index is a higher address
 * @model: what is on the lists, in order of arrival
 * @nr_model: how many
 * @in_hand: is being cleared, or NULL
 * @nr_pushed: chunks used so far
 * @nr_events: events that could happen, in all sequences
 * @nr_wrong: those after which lists and model differed
 */
struct idle_walk {
	struct idle idle;
	struct folio folios[IDLE_WALK_CHUNKS];
	struct folio *model[IDLE_WALK_CHUNKS];
	int nr_model;
	struct folio *in_hand;
	unsigned int nr_pushed;
	unsigned long nr_events;
	unsigned long nr_wrong;
};

/* They arrive neither upwards nor downwards. */
static inline struct folio *idle_walk_fresh(struct idle_walk *walk, bool dirty)
{
	static const unsigned char order[IDLE_WALK_DEPTH] = { 3, 1, 4, 0, 5, 2 };
	struct folio *chunk = &walk->folios[order[walk->nr_pushed++]];

	chunk_set_uncleared(chunk, dirty);
	return chunk;
}

static inline void idle_walk_push(struct idle_walk *walk, struct folio *chunk)
{
	walk->model[walk->nr_model++] = chunk;
	idle_push(&walk->idle, chunk);
}

/* Take the model's choice out of it: the last that came with this mark, or the highest. */
static inline struct folio *idle_model_take(struct idle_walk *walk, bool dirty, bool highest)
{
	struct folio *chunk;
	int i, found = -1;

	for (i = 0; i < walk->nr_model; i++)
		if (chunk_is_uncleared(walk->model[i]) == dirty &&
		    (found < 0 || !highest || walk->model[i] > walk->model[found]))
			found = i;
	if (found < 0)
		return NULL;
	chunk = walk->model[found];
	for (i = found + 1; i < walk->nr_model; i++)
		walk->model[i - 1] = walk->model[i];
	walk->nr_model--;
	return chunk;
}

static inline bool idle_walk_clear_begin(struct idle_walk *walk)
{
	struct folio *expected;

	/* A thread has one in hand at most. */
	if (walk->in_hand)
		return true;
	expected = idle_model_take(walk, true, false);
	walk->in_hand = idle_pop_dirty(&walk->idle);
	if (walk->in_hand)
		idle_clear_begin(&walk->idle);
	return walk->in_hand == expected;
}

static inline bool idle_walk_clear_end(struct idle_walk *walk, bool taken)
{
	idle_clear_end(&walk->idle);
	if (!taken) {
		chunk_set_uncleared(walk->in_hand, false);
		idle_walk_push(walk, walk->in_hand);
	}
	walk->in_hand = NULL;
	return true;
}

/* Whether the lists gave what the model says. */
static inline bool idle_walk_apply(struct idle_walk *walk, enum idle_event event)
{
	struct folio *expected;

	switch (event) {
	case IDLE_PUSH_CLEAN:
	case IDLE_PUSH_DIRTY:
		idle_walk_push(walk, idle_walk_fresh(walk, event == IDLE_PUSH_DIRTY));
		return true;
	case IDLE_POP:
		expected = idle_model_take(walk, false, false);
		if (!expected)
			expected = idle_model_take(walk, true, false);
		return idle_pop(&walk->idle) == expected;
	case IDLE_POP_CLEAN:
		return idle_pop_clean(&walk->idle) == idle_model_take(walk, false, false);
	case IDLE_POP_RECLAIM:
		expected = idle_model_take(walk, true, true);
		if (!expected)
			expected = idle_model_take(walk, false, true);
		return idle_pop_reclaim(&walk->idle) == expected;
	case IDLE_CLEAR_BEGIN:
		return idle_walk_clear_begin(walk);
	default:
		return idle_walk_clear_end(walk, event == IDLE_CLEAR_TAKEN);
	}
}

static inline bool idle_walk_counts_hold(struct idle_walk *walk)
{
	unsigned long clean = 0, dirty = walk->in_hand ? 1 : 0;
	int i;

	for (i = 0; i < walk->nr_model; i++) {
		clean += !chunk_is_uncleared(walk->model[i]);
		dirty += chunk_is_uncleared(walk->model[i]);
	}
	return walk->idle.nr_clean == clean && walk->idle.nr_dirty == dirty;
}

static inline void idle_walk_start(struct idle_walk *walk)
{
	idle_init(&walk->idle);
	walk->nr_model = 0;
	walk->nr_pushed = 0;
	walk->in_hand = NULL;
}

static inline void idle_walk_sequence(struct idle_walk *walk, unsigned int sequence)
{
	int step;

	idle_walk_start(walk);
	for (step = 0; step < IDLE_WALK_DEPTH; step++, sequence /= IDLE_NR_EVENTS) {
		enum idle_event event = (enum idle_event)(sequence % IDLE_NR_EVENTS);

		if (event >= IDLE_CLEAR_END && !walk->in_hand)
			continue;
		walk->nr_events++;
		if (!idle_walk_apply(walk, event) || !idle_walk_counts_hold(walk))
			walk->nr_wrong++;
	}
}

/*
 * More chunks than are looked at: of those that have been idle for longest the highest goes, also
 * when a higher one came later. Returns how many came in the wrong order.
 */
static inline unsigned long idle_walk_window(struct idle_walk *walk, bool dirty)
{
	unsigned long nr_wrong = 0;
	unsigned int i;

	idle_walk_start(walk);
	for (i = 0; i < IDLE_WALK_CHUNKS; i++) {
		chunk_set_uncleared(&walk->folios[i], dirty);
		idle_push(&walk->idle, &walk->folios[i]);
	}
	/* Each that goes lets a higher one into view; then what is in view goes from the top. */
	for (i = IDLE_HIGHEST_OF; i < IDLE_WALK_CHUNKS; i++)
		nr_wrong += idle_pop_reclaim(&walk->idle) != &walk->folios[i - 1];
	nr_wrong += idle_pop_reclaim(&walk->idle) != &walk->folios[IDLE_WALK_CHUNKS - 1];
	for (i = IDLE_HIGHEST_OF - 1; i > 0; i--)
		nr_wrong += idle_pop_reclaim(&walk->idle) != &walk->folios[i - 1];
	return nr_wrong + !!idle_pop_reclaim(&walk->idle);
}

/* What is given back is what is too much, as far as one has it. Returns how often it is not. */
static inline unsigned long idle_walk_surplus(void)
{
	unsigned long all, most, own, answer, nr_wrong = 0;

	for (all = 0; all < 8; all++)
		for (most = 0; most < 8; most++)
			for (own = 0; own < 8; own++) {
				answer = idle_surplus(all, most, own);
				nr_wrong += answer > own || (answer && all - answer < most) ||
					    (answer < own && all > most + answer);
			}
	return nr_wrong;
}

#endif /* ARENA_TEST_IDLE_WALK_H */
