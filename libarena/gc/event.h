/* SPDX-License-Identifier: MIT */
/*
 * What took time, from when to when: noted by who did it in a ring of its own, read by the collector after each cycle.
 *
 * A ring has one writer at a time and one reader. What does not fit until it is read is counted and left out, so that memory is bounded. Rings
 * outlive their writers, and are then taken by others.
 */
#ifndef LIBARENA_GC_EVENT_H
#define LIBARENA_GC_EVENT_H

#include "lock.h"

/* 24 KiB: some 500 slow paths and answers of a thread in each cycle. */
#define GC_RING_EVENTS 1024u

enum gc_event_kind {
	/* the collector's: a cycle, and its phases, which follow each other */
	GC_EVENT_CYCLE,
	GC_EVENT_LEFT,		/* what the last cycle has left is swept */
	GC_EVENT_ON,		/* barriers go on, then new objects become black */
	GC_EVENT_ROOTS,		/* roots are shaded */
	GC_EVENT_SCAN,		/* stacks are copied */
	GC_EVENT_MARK,
	GC_EVENT_ROUND,		/* barriers are flushed, and marking goes on */
	GC_EVENT_BURY,		/* weak references to what is dead are cleared */
	GC_EVENT_LOOK,		/* all are stopped: verification, and what the program wants to see */
	GC_EVENT_OFF,		/* barriers go off */
	GC_EVENT_SWEEP,
	/* within them: one request, until all have answered */
	GC_EVENT_HANDSHAKE,
	/* a mutator's */
	GC_EVENT_ALLOC,		/* the slow path of allocation */
	GC_EVENT_POLL,		/* a poll that had something to answer */
	GC_EVENT_ANSWER,	/* within one of both: one request */
	GC_EVENT_ASSIST,
	GC_EVENT_SAFE,		/* the thread answers for nothing */
	/* of a mutator, beside what it does: from a request to its answer */
	GC_EVENT_ASKED,
	GC_NR_EVENTS,
};

struct gc_event {
	uint64_t begin_ns, end_ns;
	uint32_t thread_id;	/* of whom it tells */
	uint16_t kind;
	uint16_t request;	/* of a handshake and what belongs to it: enum gc_request */
};

struct gc_ring {
	struct gc_ring *next;	/* of the heap's; fixed */
	struct gc_ring *next_free; /* guarded by the rings' lock */
	uint32_t head;		/* atomic, counts up: written by who notes. The release in gc_ring_add() pairs with gc_ring_take() */
	uint32_t tail;		/* the same of who reads; the release in gc_ring_take() pairs with gc_ring_add() */
	uint32_t lost;		/* atomic, relaxed: events that did not fit */
	uint32_t named;		/* the reader's: the thread whose name it has told last */
	struct gc_event events[GC_RING_EVENTS];
};

struct gc_rings {
	struct lock lock;	/* guards all */
	struct gc_ring *first;	/* new ones come in front */
	struct gc_ring *free;
};

void gc_rings_init(struct gc_rings *rings);
/** All of them go. Nobody uses one. */
void gc_rings_fini(struct gc_rings *rings);
/** A ring for the calling thread, or NULL when out of memory. */
struct gc_ring *gc_ring_get(struct gc_rings *rings);
/** It is not used any more; what is in it is read all the same. NULL is allowed. */
void gc_ring_put(struct gc_rings *rings, struct gc_ring *ring);
/** The first of them, for who reads. */
struct gc_ring *gc_rings_first(struct gc_rings *rings);
/** Note one. The writer's. */
void gc_ring_add(struct gc_ring *ring, const struct gc_event *event);
/** Take out the oldest; false when there is none. The reader's. */
bool gc_ring_take(struct gc_ring *ring, struct gc_event *event);

#endif /* LIBARENA_GC_EVENT_H */
