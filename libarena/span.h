/* SPDX-License-Identifier: MIT */
/*
 * Spans: runs of pages that hold slots of one size class, or one large object.
 *
 * All that is known of a span is here, one record a page in a table beside the memory; the memory holds nothing but objects. So
 * an overflowing object damages its neighbors but never the allocator, nothing can be forged, and a double free is seen
 * at once: the slot's bit is set already (or, if another thread freed first, when the owner takes that in).
 *
 *	NONE -> CURRENT <-> FULL <-> PARTIAL -> NONE		spans of slots
 *	             \---------------/
 *	NONE -> LARGE -> NONE					one object of whole pages
 *
 * Life of a span of slots: CURRENT is what its class is allocated from; FULL has no free slots, or too few to be worth it, and is on no list; PARTIAL
 * waits on the list of its cache. The record of a span's first page counts, the others of spans of several pages say how far it is.
 */
#ifndef LIBARENA_SPAN_H
#define LIBARENA_SPAN_H

#include "geometry.h"

struct cache;

enum span_state {
	SPAN_NONE = 0,	/* no object begins here */
	SPAN_CURRENT,
	SPAN_PARTIAL,
	SPAN_FULL,
	SPAN_LARGE,
	SPAN_INSIDE,	/* a further page of a span of slots */
};

#define PAGE_NONE UINT32_MAX
#define SPAN_WORDS 4
#define SPAN_MAX_SLOTS (SPAN_WORDS * 64u)
/* Of a current span, whose frees lead to nothing: counted anew when they were that many. */
#define SPAN_LEFT_MANY INT16_MAX
/* In the owner, which is a multiple of 64. */
#define SPAN_WIDE 1u
#define SPAN_SHIFT 6

/*
 * Invariants: used slots = slots - ones in free; `left` frees from now something is to be done:
 *	FULL: some of its slots (it becomes PARTIAL)   PARTIAL: its used slots (it becomes empty)   CURRENT: many
 * Written by the owner's thread; other threads read class, inverse, bias and back of spans in which they know an object,
 * which keeps these fixed, and owner, free and state as atomics. Who comes late, after the object is free, or by an address that is no object, reads
 * these too, of whatever is there now, and believes nothing before it has looked at the owner.
 *
 * An object at an address p is slot (p * inverse - bias) >> SLOT_SHIFT (classes.h): that is its distance from the first one, so multiplied. The
 * whole address goes in, so that an address that was led to this record by mistake is no slot of it.
 */
struct span {
	uint32_t owner;		/* atomic, relaxed; whose thread may take slots (cache.h), plus SPAN_WIDE in spans of several pages, so
				 * that the fast path takes these for another's; INSIDE: SPAN_WIDE alone. 0 when no slots are here */
	union {
		int16_t left;	/* frees until an event */
		uint16_t back;	/* INSIDE: pages to the first one */
	};
	uint8_t class;
	uint8_t state;		/* atomic, relaxed; enum span_state */
	union {
		uint64_t free[SPAN_WORDS]; /* atomic, relaxed; a set bit is a free slot */
		uint32_t large_pages;	/* LARGE: its length */
	};
	uint64_t inverse;	/* class_inverse() */
	uint64_t bias;		/* of the first slot's address; INSIDE: as the first page's */
	uint32_t next, prev;	/* pages; list of the owner's partial spans of this class: the first one's prev does not count, so that
				 * taking that one needs no look at the next. FULL: prev is what left began with. LARGE: next is the object's
				 * sample */
};
_Static_assert(sizeof(struct span) == (size_t)1 << SPAN_SHIFT, "a record is a cache line");

/*
 * What other threads have freed in a span, apart from the record, so that they do not take its line from the owner.
 * Any thread sets bits; the owner takes them.
 */
struct span_remote {
	uint64_t freed[SPAN_WORDS]; /* atomic */
	uint32_t next;		/* page of the next in the owner's inbox, plus 1; belongs to whoever has set is_queued */
	uint32_t is_queued;	/* atomic; 1 = in an inbox, or about to be */
	uint64_t unused[3];
};
_Static_assert(sizeof(struct span_remote) == 64, "a record is a cache line");

#endif /* LIBARENA_SPAN_H */
