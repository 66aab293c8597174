/* SPDX-License-Identifier: MIT */
/*
 * Ephemerons: a value that is kept as long as its key is, by something other than the value.
 *
 * Who scans an ephemeron marks its value if the key is marked; else the ephemeron waits in a table, by its key. Who marks an object in a span in
 * which a key was looked for has the table searched, and the ephemerons that waited for it are scanned again: each twice at most. So marking is
 * linear in ephemerons, whatever leads to what (hashing's expected time). The table has grown when ephemerons were made: a cycle takes no memory.
 */
#ifndef LIBARENA_GC_EPHEMERON_H
#define LIBARENA_GC_EPHEMERON_H

#include "gc/mark.h"

/* An object of the heap. arena/gc.h counts on the places of key and value. */
struct arena_gc_ephemeron {
	const void *key;	/* atomic: NULL when it has died, for ever */
	const void *value;	/* atomic: of no account when there is no key */
	struct link link;
	struct arena_gc_ephemeron *waiting; /* the next one in its part of the table, or itself at the end; NULL: it does not wait. Guarded by lock */
};

/** 0 or -ENOMEM. */
int gc_ephemerons_init(struct arena_gc *gc);
void gc_ephemerons_fini(struct arena_gc *gc);

/* Those who mark: */

/** An ephemeron that is marked is scanned. */
void gc_ephemeron_meet(struct gc_marker *marker, struct arena_gc_ephemeron *ephemeron);
/** An object was marked, in a span that has keys. */
void gc_ephemerons_reach(struct gc_marker *marker, uintptr_t object);

/* The collector's: */

/** All are black: no ephemeron that is made from now on will wait. */
void gc_ephemerons_begin(struct arena_gc *gc);
/** Nothing is left to mark. Whether some wait for what is marked: by a race, or because who marked it could not look. Linear in ephemerons. */
bool gc_ephemerons_missed(const struct arena_gc *gc);
/** Scan those again. */
void gc_ephemerons_settle(struct gc_marker *marker);
/** None waits any more: a cycle was dropped. */
void gc_ephemerons_forget(struct arena_gc *gc);
/** It is settled what is dead: keys that are take their values along. Linear in ephemerons. */
void gc_ephemerons_clear(struct arena_gc *gc);

#endif /* LIBARENA_GC_EPHEMERON_H */
