/* SPDX-License-Identifier: MIT */
/*
 * The memory of a collected heap: spans, and what an address is in.
 *
 *	address -> page -> map: first page of its span -> record -> slot		two loads and a product, for any address
 *
 * Spans are runs of pages of the page allocator, of a heap that has no caches. Their records are not those of span.h: these hold
 * mark bits beside the bits of free slots, and sweeping a span is one operation on a few words, without a look at its objects. For free() and
 * its kin there is no object on these pages.
 *
 * The map has an entry of four bytes for each page, so that a pointer into the middle of a large object leads to its record as
 * quickly as any other, while its pages cost no record each.
 */
#ifndef LIBARENA_GC_SPACE_H
#define LIBARENA_GC_SPACE_H

#include "heap.h"

#define GC_NONE 0u /* no span: lists and map count pages from 1 */
#define GC_WORDS SPAN_WORDS

/*
 * Of the first page of a span. Invariants: a slot beyond nr_slots is neither free nor marked; outside of a cycle no slot is
 * marked; in a span on a list no free slot is.
 */
struct gc_span {
	uint64_t free[GC_WORDS];   /* atomic: set bits are free slots. Written by who holds the span; the release in bin_take() pairs with gc_is_object() */
	uint64_t mark[GC_WORDS];   /* atomic, relaxed: handshakes order them. Anyone sets; who sweeps clears */
	uint64_t pinned[GC_WORDS]; /* atomic, relaxed: objects that stay */
	uint32_t kind;		/* of all its objects (gc/type.h); fixed while it is in the map, as all down to nr_slots */
	uint32_t pages;
	uint32_t slot_bytes;	/* 0: one large object of all pages */
	uint32_t inverse;	/* 2^32 / slot_bytes, rounded up; 0 when large */
	uint16_t nr_slots;
	bool is_fresh;		/* its free slots hold zeros. Written by who holds the span */
	bool has_pinned;	/* atomic, relaxed: some slot is or was pinned */
	uint32_t gen;		/* of the sweep that it is up to (gc/type.h). Written by who holds the span */
	uint32_t next;		/* in a list; guarded by its owner */
	bool has_keys;		/* atomic, relaxed: an ephemeron waits, or has waited in this cycle, for an object in it */
	bool has_samples;	/* the profile has objects of it (gc/sample.c). Written by who holds the span */
	bool has_pointers;	/* its objects may hold some. Fixed while it is in the map */
};
_Static_assert(sizeof(struct gc_span) == 128, "a record is two cache lines");

struct gc_space {
	struct heap *heap;	/* fixed, as all down to map */
	uintptr_t base;		/* of the region */
	size_t max_pages;
	struct gc_span *spans;	/* per page */
	uint32_t *map;		/* per page: its span's first page, plus 1. Atomic: the release in gc_space_publish() pairs with gc_find() */
	size_t open_bytes;	/* atomic: addresses whose entries may be read; the release in open_tables() pairs with gc_find() */
	struct lock *lock;	/* guards the opening of tables */
};

/*
 * Single pages on their way: of one aligned group of 64, so that many change hands under the heap's lock at once. Its user's. A fork may come between any
 * two steps, and then at worst loses those that are just being taken or given.
 */
struct gc_pages {
	uint32_t first;		/* of the group */
	uint64_t group;		/* bits of those that are here */
	uint32_t nr_taken;	/* at once, the last time; 0 behind a flush */
};

/* Where an address leads. */
struct gc_ref {
	struct gc_span *span;
	uint32_t slot;
};

/** 0 or -ENOMEM; @lock is the heap's. */
int gc_space_init(struct gc_space *space, enum arena_source source, struct lock *lock);
/** All memory goes. */
void gc_space_fini(struct gc_space *space);
/** The record of a new span of @nr pages, not in the map yet; NULL when out of memory. A single one comes out of @pages, if that is not NULL. */
struct gc_span *gc_space_take(struct gc_space *space, struct gc_pages *pages, uint32_t nr);
/** Its addresses lead to it from now on. */
void gc_space_publish(struct gc_space *space, const struct gc_span *span);
/** Its pages go; nothing leads to it. A single one goes into @pages, and from there to the heap with others, at the latest by gc_pages_flush(). */
void gc_space_give(struct gc_space *space, struct gc_pages *pages, struct gc_span *span);
void gc_pages_flush(struct gc_space *space, struct gc_pages *pages);
/** Have memory that has been touched for what is taken next; false when there is no room. Linear in a chunk's bytes. */
bool gc_space_prepare(struct gc_space *space);

static inline uint32_t gc_page(const struct gc_space *space, const struct gc_span *span)
{
	return (uint32_t)(span - space->spans);
}

static inline struct gc_span *gc_span_at(const struct gc_space *space, uint32_t entry)
{
	return &space->spans[entry - 1];
}

static inline uint32_t gc_entry(const struct gc_space *space, const struct gc_span *span)
{
	return gc_page(space, span) + 1;
}

static inline uintptr_t gc_span_base(const struct gc_space *space, const struct gc_span *span)
{
	return space->base + ((uintptr_t)gc_page(space, span) << PAGE_SHIFT);
}

static inline size_t gc_object_bytes(const struct gc_span *span)
{
	return span->slot_bytes ? span->slot_bytes : span->pages * PAGE_BYTES;
}

static inline uintptr_t gc_object_base(const struct gc_space *space, const struct gc_ref *ref)
{
	return gc_span_base(space, ref->span) + ref->slot * (uintptr_t)ref->span->slot_bytes;
}

/** 2^32 / @slot_bytes, rounded up: exact for offsets within a span of slots, because offset * slot_bytes < 2^32. */
static inline uint32_t gc_inverse(uint32_t slot_bytes)
{
	return (uint32_t)(((uint64_t)1 << 32) / slot_bytes + (((uint64_t)1 << 32) % slot_bytes != 0));
}

static inline bool gc_space_has(const struct gc_space *space, uintptr_t address)
{
	return address - space->base < atomic_load_relaxed(&space->open_bytes);
}

/** The slot that an address is in, whether it holds an object or not; false when there is none. O(1). */
static inline bool gc_find(const struct gc_space *space, uintptr_t address, struct gc_ref *ref)
{
	uintptr_t offset = address - space->base;
	uint32_t entry;

	/* Pairs with open_tables(). */
	if (offset >= atomic_load_acquire(&space->open_bytes))
		return false;
	/* Pairs with gc_space_publish(). */
	entry = atomic_load_acquire(&space->map[offset >> PAGE_SHIFT]);
	if (entry == GC_NONE)
		return false;
	ref->span = gc_span_at(space, entry);
	ref->slot = (uint32_t)((offset - ((uintptr_t)(entry - 1) << PAGE_SHIFT)) * ref->span->inverse >> 32);
	return ref->slot < ref->span->nr_slots;
}

/** The span of an object that cannot go. */
static inline struct gc_span *gc_span_of(const struct gc_space *space, uintptr_t object)
{
	return gc_span_at(space, atomic_load_relaxed(&space->map[(object - space->base) >> PAGE_SHIFT]));
}

static inline uint64_t gc_bit(uint32_t slot)
{
	return (uint64_t)1 << slot % 64;
}

/** Whether a slot holds an object. Then it is zeroed or filled: the acquire pairs with the release in bin_take(). */
static inline bool gc_is_object(const struct gc_ref *ref)
{
	return !(atomic_load_acquire(&ref->span->free[ref->slot / 64]) & gc_bit(ref->slot));
}

static inline bool gc_is_marked(const struct gc_ref *ref)
{
	return atomic_load_relaxed(&ref->span->mark[ref->slot / 64]) & gc_bit(ref->slot);
}

/** Mark a slot; whether it was not marked before. */
static inline bool gc_set_mark(const struct gc_ref *ref)
{
	return !gc_is_marked(ref) && !(atomic_or_relaxed(&ref->span->mark[ref->slot / 64], gc_bit(ref->slot)) & gc_bit(ref->slot));
}

/** Mark what is in a slot; whether that is an object that was not marked before. */
static inline bool gc_mark_object(const struct gc_ref *ref)
{
	uint64_t *mark = &ref->span->mark[ref->slot / 64], bit = gc_bit(ref->slot);

	/* The acquire as in gc_is_object(). */
	if ((atomic_load_acquire(&ref->span->free[ref->slot / 64]) | atomic_load_relaxed(mark)) & bit)
		return false;
	return !(atomic_or_relaxed(mark, bit) & bit);
}

/** The slots of a span in its @w-th word. */
static inline uint64_t gc_valid(const struct gc_span *span, unsigned int w)
{
	return span->nr_slots <= w * 64u ? 0 : bits_below(span->nr_slots - w * 64u);
}

static inline unsigned int gc_nr_words(const struct gc_span *span)
{
	return (span->nr_slots + 63u) / 64u;
}

/** Whether it has a free slot. Who holds it. */
static inline bool gc_has_free(const struct gc_span *span)
{
	return span->free[0] | span->free[1] | span->free[2] | span->free[3];
}

#endif /* LIBARENA_GC_SPACE_H */
