// SPDX-License-Identifier: MIT
/*
 * The module's slot machine, which is plain functions on a plain word, against a naive reference:
 * every sequence of six events from every state that can be reached. Models no concurrency: that is
 * tests/kmod/race.c.
 */
#include "kmod/slot.h"
#include "tests/harness.h"

#define DEPTH 6

/* What the word should say. */
struct reference {
	enum slot_state state;
	unsigned long chunk;
	bool uncleared;
};

enum event { FILL_A, FILL_A_UNCLEARED, FILL_B, FILL_B_UNCLEARED, TOUCH, DETACH, EMPTY, NR_EVENTS };

/* Two chunks that share no bit but are both aligned as folios are. */
#define CHUNK_A 0x0000000000000040UL
#define CHUNK_B 0xffff000000000080UL

static bool reference_fill(struct reference *r, unsigned long chunk, bool uncleared)
{
	if (r->state != SLOT_EMPTY)
		return false;
	*r = (struct reference){ SLOT_RESERVED, chunk, uncleared };
	return true;
}

static bool reference_step(struct reference *r, enum event event)
{
	bool held = r->state == SLOT_RESERVED || r->state == SLOT_LIVE;

	switch (event) {
	case FILL_A: return reference_fill(r, CHUNK_A, false);
	case FILL_A_UNCLEARED: return reference_fill(r, CHUNK_A, true);
	case FILL_B: return reference_fill(r, CHUNK_B, false);
	case FILL_B_UNCLEARED: return reference_fill(r, CHUNK_B, true);
	case TOUCH:
		if (held)
			*r = (struct reference){ SLOT_LIVE, r->chunk, false };
		return held;
	case DETACH:
		if (held)
			*r = (struct reference){SLOT_DETACHING, r->chunk,
						r->uncleared || r->state == SLOT_LIVE};
		return held;
	case EMPTY:
		held = r->state == SLOT_DETACHING;
		if (held)
			*r = (struct reference){ 0 };
		return held;
	default:
		return false;
	}
}

static bool slot_step(unsigned long *word, enum event event)
{
	switch (event) {
	case FILL_A: return slot_fill(word, CHUNK_A, false);
	case FILL_A_UNCLEARED: return slot_fill(word, CHUNK_A, true);
	case FILL_B: return slot_fill(word, CHUNK_B, false);
	case FILL_B_UNCLEARED: return slot_fill(word, CHUNK_B, true);
	case TOUCH: return slot_touch(word);
	case DETACH: return slot_detach(word);
	case EMPTY: return slot_empty(word);
	default: return false;
	}
}

static void compare(unsigned long word, const struct reference *r)
{
	CHECK_EQ(slot_state(word), r->state);
	CHECK_EQ(slot_chunk(word), r->chunk);
	CHECK_EQ(slot_is_uncleared(word), r->uncleared);
	CHECK_EQ(slot_is_held(word), r->state == SLOT_RESERVED || r->state == SLOT_LIVE);
	/* An empty slot is a zero, so that a fresh table is a table of empty slots. */
	CHECK_EQ(word == 0, r->state == SLOT_EMPTY);
}

/* Returns the number of events applied below this point. */
static unsigned long explore(unsigned long word, struct reference reference, int depth)
{
	unsigned long nr = 0;

	for (int event = 0; depth && event < NR_EVENTS; event++) {
		unsigned long next_word = word;
		struct reference next = reference;

		CHECK_EQ(slot_step(&next_word, (enum event)event),
			 reference_step(&next, (enum event)event));
		compare(next_word, &next);
		nr += 1 + explore(next_word, next, depth - 1);
	}
	return nr;
}

TEST(sequences, "slot/every sequence of six events")
{
	/* 7 + 7^2 + ... + 7^6 */
	CHECK_EQ(explore(0, (struct reference){ 0 }, DEPTH), 137256);
}

TEST(misfits, "slot/a chunk that is none is refused")
{
	unsigned long word = 0;

	CHECK(!slot_fill(&word, 0, false));
	for (unsigned long flag = 1; flag <= SLOT_FLAGS; flag++)
		CHECK(!slot_fill(&word, CHUNK_A | flag, false));
	CHECK_EQ(word, 0);
}
