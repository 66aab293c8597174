/* SPDX-License-Identifier: MIT */
/*
 * Marking: what roots lead to, and what that leads to. Whoever marks is a marker of its own while it does: the collector, its workers, and mutators that
 * assist, for a slice. It is counted as busy in the queue from gc_queue_enter() or gc_queue_await() until gc_mark_leave().
 */
#ifndef LIBARENA_GC_MARK_H
#define LIBARENA_GC_MARK_H

#include "gc/collected.h"

/* Pieces that a large object is scanned in, so that others may take a part of it, and none takes long. As Go. */
#define GC_PIECE_BYTES (128 * KiB)
/* A look at an address that a mutator has met costs about as much as scanning so many bytes. */
#define GC_TEST_WORK 32u

/* Objects that are fetched into the cache while others are scanned: as many as memory delivers in the time that one takes. */
#define GC_AHEAD 8u

/* Who marks; one thread's. */
struct gc_marker {
	struct arena_gc *gc;
	uintptr_t ahead[GC_AHEAD]; /* out of block, on their way into the cache, and scanned in turn; 0: none */
	uint32_t turn;		/* counts up: whose turn it is */
	bool is_dense;		/* objects lead to others of their page, lately: they are scanned together */
	struct gc_block *block;	/* objects that are marked and not scanned, or NULL */
	struct gc_block *raw;	/* a mutator's that it looks through, or NULL */
	uint64_t work;		/* bytes scanned, and what looks have cost */
	uint64_t nr_marked, marked_bytes; /* not yet in the heap's sums */
};

/** Mark what an address leads to, if it does; it is scanned later. */
void gc_mark_address(struct gc_marker *marker, uintptr_t address);
/** Scan an object that is marked once more. */
void gc_mark_again(struct gc_marker *marker, uintptr_t object);
/** Mark what all roots but stacks lead to; returns bytes of roots. */
uint64_t gc_mark_roots(struct gc_marker *marker);
/** Mark what the copies of stacks lead to; returns their bytes. All have answered GC_REQUEST_SCAN. */
uint64_t gc_mark_stacks(struct gc_marker *marker);
/**
 * Scan until @work more is done, and at most the last element of an object or the rest of a span beyond; false when there is nothing more to be had. Of what it has to itself it
 * gives a part to those who have nothing.
 */
bool gc_mark_some(struct gc_marker *marker, uint64_t work);
/** What the marker holds is handed over, and what it has counted is in the heap's sums; it is not busy any more. */
void gc_mark_leave(struct gc_marker *marker);
/** All objects that are marked are scanned once more, because some may not have been. */
void gc_mark_anew(struct gc_marker *marker);

/* Whom a type's function tells of pointers. */
struct arena_gc_visitor {
	void (*visit)(void *context, uintptr_t word);
	void (*ephemeron)(void *context, uintptr_t object); /* who marks; NULL: its value is visited as long as it has a key */
	void *context;
};

/** Show all words of the element at @at that may be pointers to @visit. */
void gc_scan_element(const struct arena_gc_type *type, uintptr_t at, struct arena_gc_visitor *visitor);
/**
 * Show all words of an object that may be pointers to @visit, from @at on, which is its beginning or the beginning of a later piece; returns where the
 * next piece begins, or 0 when there is none. A piece is as many whole elements as go into @piece_bytes, and at least one.
 */
uintptr_t gc_scan_object(const struct arena_gc *gc, const struct gc_ref *ref, uintptr_t at, uint64_t piece_bytes, struct arena_gc_visitor *visitor);

#endif /* LIBARENA_GC_MARK_H */
