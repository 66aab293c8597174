/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How many slots hold a chunk, and who may write to it, as plain functions on one plain word. Like
 * slot.h it knows no locks and no kernel types; a host test and KUnit enumerate it.
 *
 * The word lies in folio->private while the chunk is in a slot of a copy-on-write space, and is
 * read and written under the chunk's lock.
 *
 * Word: number of slots | SHARED | UNCLEARED. SHARED says that the chunk was in more than one slot
 * once, and nobody has written to it since: no writable mapping of it exists, and whoever refers to
 * it from outside only reads. Without SHARED it is in one slot, exclusive, and whoever refers to it
 * does so on behalf of that slot's owner, who may go on writing. UNCLEARED: as in the slots'
 * words, which all say it until somebody who touches the chunk has zeroed it for all.
 */
#ifndef ARENA_SHARE_H
#define ARENA_SHARE_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#endif

#define SHARE_UNCLEARED	1UL
#define SHARE_SHARED	2UL
#define SHARE_ONE	4UL

/** The word of a chunk that enters its first slot. */
static inline unsigned long share_first(bool uncleared)
{
	return SHARE_ONE | (uncleared ? SHARE_UNCLEARED : 0);
}

static inline unsigned long share_slots(unsigned long word)
{
	return word / SHARE_ONE;
}

static inline bool share_is_uncleared(unsigned long word)
{
	return word & SHARE_UNCLEARED;
}

static inline bool share_is_exclusive(unsigned long word)
{
	return share_slots(word) == 1 && !(word & SHARE_SHARED);
}

static inline unsigned long share_clear(unsigned long word)
{
	return word & ~SHARE_UNCLEARED;
}

/**
 * One more slot, at a fork. An exclusive chunk that somebody outside refers to (@nr_foreign) may be
 * written to by him at any time: it stays with its owner, and the child needs a copy.
 */
static inline bool share_add(unsigned long *word, unsigned long nr_foreign)
{
	if (!share_slots(*word) || (share_is_exclusive(*word) && nr_foreign))
		return false;
	*word = (*word + SHARE_ONE) | SHARE_SHARED;
	return true;
}

/** One slot less; 0 slots: the chunk leaves the space. */
static inline bool share_remove(unsigned long *word)
{
	if (!share_slots(*word))
		return false;
	*word -= SHARE_ONE;
	return true;
}

/**
 * Make it exclusive for a write of the owner of one of its slots; false when that needs a copy.
 * The last slot alone is not enough: somebody who held another one may have kept a reference
 * (@nr_foreign), by which he would read what is written from now on.
 */
static inline bool share_own(unsigned long *word, unsigned long nr_foreign)
{
	if (share_is_exclusive(*word))
		return true;
	if (share_slots(*word) != 1 || nr_foreign)
		return false;
	*word &= ~SHARE_SHARED;
	return true;
}

#endif /* ARENA_SHARE_H */
