/* SPDX-License-Identifier: MIT */
/*
 * Types and kinds of collected objects.
 *
 * A *kind* is a type together with a size class, or with "large". All objects of a span are of one kind: so nothing about an object's type
 * is kept with the object, a span without pointers is never looked into, and whoever has an object's span knows how to scan it. An array is
 * scanned element by element to the end of its slot; what lies behind its last element is zero. Where a class has room for one element only its slots
 * are as long as that: 24 bytes take 24.
 *
 * Lists of a kind's spans that no mutator holds:
 *
 *	unswept	-> swept by who wants to allocate, or by the collector -> partial, full, or given back
 *	partial	has free slots
 *	full	has none
 *
 * `gen` counts sweeps: when marking ends, all lists become unswept and it goes up by one. A span whose gen is that of its kind is swept.
 */
#ifndef LIBARENA_GC_TYPE_H
#define LIBARENA_GC_TYPE_H

#include "arena/gc.h"
#include "gc/space.h"

#define GC_KINDS_MAX 4096u

enum gc_scan {
	GC_SCAN_NONE,		/* no pointers */
	GC_SCAN_POINTERS,	/* at known offsets */
	GC_SCAN_ALL,		/* every word may be one */
	GC_SCAN_FUNCTION,	/* the program's function tells */
	GC_SCAN_EPHEMERON,	/* a value, if a key is marked (gc/ephemeron.h) */
};

struct arena_gc_type {
	struct arena_gc_type *next; /* of the heap's; fixed, as all down to offsets */
	const char *name;
	size_t bytes;		/* of an element */
	enum gc_scan scan;
	bool is_loose;		/* what it holds may be other things than pointers to objects of the heap */
	arena_gc_scan_fn *function;
	const struct gc_types *owner;
	uint32_t single;	/* the kind of one element */
	uint32_t nr_offsets;
	uint16_t kinds[NR_CLASSES]; /* atomic, by size class, [0] is large: its kind, or 0 while there is none. The release in gc_kind_get() pairs */
	uint32_t offsets[];	/* of pointers in an element */
};

/* Spans, by their entries; a chain through gc_span.next. */
struct gc_list {
	uint32_t first, last;	/* GC_NONE: empty */
};

struct gc_kind {
	struct lock lock;	/* guards gen and the lists */
	uint32_t gen;
	struct gc_list unswept, partial, full;
	struct arena_gc_type *type; /* fixed, as all below */
	uint32_t class;		/* CLASS_NONE: large */
	uint32_t slot_bytes;	/* 0: large */
	uint16_t nr_slots;	/* of a span */
	enum gc_scan scan;	/* the type's */
	uint64_t words;		/* bits of the words of a slot that may be pointers; 0: there is more to it than that */
};

struct gc_types {
	struct lock *lock;	/* the heap's; guards all but what is atomic */
	struct gc_kind *kinds;	/* [0] is none */
	uint32_t nr_kinds;	/* atomic: the release in gc_kind_get() pairs with gc_kinds() */
	uint32_t gen;		/* of kinds that are made from now on */
	struct arena_gc_type *first;
	struct arena_gc_type *atomic, *conservative; /* fixed: types of bytes */
};

/** 0 or -ENOMEM. */
int gc_types_init(struct gc_types *types, struct lock *lock);
void gc_types_fini(struct gc_types *types);
/** NULL when out of memory, or when the layout is none. */
struct arena_gc_type *gc_type_create(struct gc_types *types, const struct arena_gc_layout *layout);
/** The same, scanned in a way that no layout tells. */
struct arena_gc_type *gc_type_make(struct gc_types *types, const struct arena_gc_layout *layout, enum gc_scan scan);
/** The number of the kind of a type's objects of a class, made now if there is none; 0 when there are too many. */
uint32_t gc_kind_get(struct gc_types *types, struct arena_gc_type *type, unsigned int class);
/** Marking has ended: all spans on lists are unswept. */
void gc_kinds_flip(struct gc_space *space, struct gc_types *types);

/** In the child of a fork in the middle of that: those that are left. */
void gc_kinds_finish_flip(struct gc_space *space, struct gc_types *types);

/** The class of an object of @bytes. */
static inline unsigned int gc_class_of(size_t bytes)
{
	return bytes <= CLASS_MAX_BYTES ? class_of(bytes) : CLASS_NONE;
}

/** How many kinds there are, [0] included. */
static inline uint32_t gc_kinds(const struct gc_types *types)
{
	return atomic_load_acquire(&types->nr_kinds); /* pairs with gc_kind_get() */
}

static inline void gc_list_push(struct gc_space *space, struct gc_list *list, struct gc_span *span)
{
	span->next = list->first;
	list->first = gc_entry(space, span);
	if (!span->next)
		list->last = list->first;
}

static inline struct gc_span *gc_list_pop(struct gc_space *space, struct gc_list *list)
{
	struct gc_span *span = list->first ? gc_span_at(space, list->first) : NULL;

	if (span)
		list->first = span->next;
	return span;
}

/** Move all of @from to the front of @to. */
static inline void gc_list_splice(struct gc_space *space, struct gc_list *to, struct gc_list *from)
{
	if (!from->first)
		return;
	gc_span_at(space, from->last)->next = to->first;
	if (!to->first)
		to->last = from->last;
	to->first = from->first;
	*from = (struct gc_list){ 0 };
}

#endif /* LIBARENA_GC_TYPE_H */
