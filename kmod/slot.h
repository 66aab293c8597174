/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The life of a slot, as plain functions on one plain word. No locks, no atomics, no kernel
 * types: who applies a transition, and how, is the caller's business (view.h), and a host
 * test enumerates all of them (tests/unit/slot.c).
 *
 *            fill                touch              detach              empty
 *   EMPTY ---------> RESERVED ---------> LIVE ---------------> DETACHING ------> EMPTY
 *                        \_________________________________/^
 *                                      detach
 *
 * In a copy-on-write space memory may be missing for a copy. Then the slot of the process that has
 * to do without is LOST: EMPTY, but not to be filled by a mere touch, which would read zeros where
 * there was data.
 *
 * Two states of the design are not in the word. KEPT is a property of ranges (range.h), so that
 * keeping a range costs the same however many slots it has. QUARANTINED chunks have left their slot
 * (quarantine.h), so that the slot can be reserved again while they wait.
 *
 * Word: chunk address | UNCLEARED | state. The chunk address is that of its struct folio, aligned
 * to more than SLOT_FLAGS. UNCLEARED: the chunk holds bytes of an earlier use and must be zeroed
 * before anybody sees it.
 */
#ifndef ARENA_SLOT_H
#define ARENA_SLOT_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#endif

enum slot_state {
	SLOT_EMPTY = 0,		/* no chunk; touching it is SIGBUS */
	SLOT_RESERVED = 1,	/* holds a chunk that nobody has seen yet */
	SLOT_LIVE = 2,		/* holds a chunk that was mapped at least once */
	SLOT_DETACHING = 3,	/* on its way out: no new mapping may appear */
};

#define SLOT_STATE	3UL
#define SLOT_UNCLEARED	4UL
#define SLOT_FLAGS	7UL
#define SLOT_LOST	SLOT_UNCLEARED	/* the whole word: EMPTY without a chunk, marked */

static inline enum slot_state slot_state(unsigned long word)
{
	return (enum slot_state)(word & SLOT_STATE);
}

static inline unsigned long slot_chunk(unsigned long word)
{
	return word & ~SLOT_FLAGS;
}

static inline bool slot_is_uncleared(unsigned long word)
{
	return word & SLOT_UNCLEARED;
}

/** A slot that may be mapped. */
static inline bool slot_is_held(unsigned long word)
{
	return slot_state(word) == SLOT_RESERVED || slot_state(word) == SLOT_LIVE;
}

static inline bool slot_is_lost(unsigned long word)
{
	return word == SLOT_LOST;
}

/** EMPTY -> RESERVED with @chunk. */
static inline bool slot_fill(unsigned long *word, unsigned long chunk, bool uncleared)
{
	if (*word || !chunk || (chunk & SLOT_FLAGS))
		return false;
	*word = chunk | (uncleared ? SLOT_UNCLEARED : 0) | SLOT_RESERVED;
	return true;
}

/** RESERVED or LIVE -> LIVE; whoever touches has zeroed the chunk before. */
static inline bool slot_touch(unsigned long *word)
{
	if (!slot_is_held(*word))
		return false;
	*word = slot_chunk(*word) | SLOT_LIVE;
	return true;
}

/** RESERVED or LIVE -> DETACHING; a LIVE chunk leaves uncleared, its owner has written to it. */
static inline bool slot_detach(unsigned long *word)
{
	bool uncleared = slot_state(*word) == SLOT_LIVE || slot_is_uncleared(*word);

	if (!slot_is_held(*word))
		return false;
	*word = slot_chunk(*word) | (uncleared ? SLOT_UNCLEARED : 0) | SLOT_DETACHING;
	return true;
}

/** EMPTY, RESERVED or LIVE -> LOST. */
static inline bool slot_lose(unsigned long *word)
{
	if (slot_state(*word) == SLOT_DETACHING)
		return false;
	*word = SLOT_LOST;
	return true;
}

/** DETACHING or LOST -> EMPTY. */
static inline bool slot_empty(unsigned long *word)
{
	if (slot_state(*word) != SLOT_DETACHING && !slot_is_lost(*word))
		return false;
	*word = 0;
	return true;
}

#endif /* ARENA_SLOT_H */
