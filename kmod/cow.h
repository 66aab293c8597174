/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Copy on write across fork, chunk by chunk: views of several processes hold one chunk until one of
 * them writes to it.
 */
#ifndef ARENA_COW_H
#define ARENA_COW_H

#include "pool.h"
#include "share.h"
#include "space.h"

struct view;
struct vm_area_struct;

/**
 * What share.h says of @chunk, which is in a slot of a copy-on-write space; under its lock, or as a
 * hint.
 */
static inline unsigned long chunk_share(struct folio *chunk)
{
	return (unsigned long)READ_ONCE(chunk->private);
}

static inline void chunk_set_share(struct folio *chunk, unsigned long share)
{
	WRITE_ONCE(chunk->private, (void *)share);
}

/** @chunk, on no list any more and uncleared or not, is about to enter its first slot. */
static inline void chunk_enter(struct arena_space *space, struct folio *chunk)
{
	if (space_is_cow(space))
		chunk_set_share(chunk, share_first(chunk_is_uncleared(chunk)));
	else
		chunk_set_uncleared(chunk, false);
}

/** A slot lets go of @chunk, which its view no longer maps. True when it was the last. */
bool chunk_leave(struct folio *chunk);
/**
 * Under the lock of @chunk, found uncleared in a slot: whether it still is. Another view may have
 * touched it first.
 */
static inline bool chunk_needs_clearing(struct arena_space *space, struct folio *chunk)
{
	return !space_is_cow(space) || share_is_uncleared(chunk_share(chunk));
}

/** Zero it. */
void chunk_clear(struct arena_space *space, struct folio *chunk);

/**
 * Let @view write by way of @vma to what its slot @i holds: @chunk, live, locked, and referenced
 * once by the caller. 0: in place. 1: a copy has taken its place, in *@copy, locked and with a
 * reference;
 * @chunk stays locked, and the caller must unmap what @view still maps of it. -EAGAIN: the slot
 * holds something else now. -EBUSY: there is no memory for a copy, and somebody else refers to
 * @chunk, if only for a moment. -ENOMEM, -EINTR. May sleep, and unlock @chunk meanwhile.
 */
int cow_write(struct view *view, struct vm_area_struct *vma, unsigned long i, struct folio *chunk,
	      struct folio **copy);

/**
 * For ->open of @vma, a copy that fork made for a child: give the child a view, or let it share
 * more of its parent's. What it cannot get is lost to it: SIGBUS.
 */
void cow_inherit(struct vm_area_struct *vma);

/** Unmap slot @i, in all processes. */
void cow_unmap(struct arena_space *space, unsigned long i);

/** The current process's view for one more mapping, made if need be; NULL when out of memory. */
struct view *cow_open(struct arena_space *space);
/** Undo cow_open() where the mapping did not come about: what was reserved before stays. */
void cow_forget(struct view *view);
/**
 * A mapping of @view is gone. With the last one its slots are emptied, and the view of a child
 * ends.
 */
void cow_close(struct view *view);

#endif /* ARENA_COW_H */
