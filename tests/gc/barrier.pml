/* SPDX-License-Identifier: MIT */
/*
 * Handshakes and barrier: no object that a mutator can reach is unmarked when marking has ended, nor when sweeping begins.
 *
 * Two mutators make N operations each (load, store, allocate) on a graph with a global, while the collector goes through one cycle.
 * A pointer may vanish from a stack before the stack is scanned, because compilers forget what is not used again.
 *
 * Variants that lose an object: -DDELETION_ONLY, -DMERGED_HANDSHAKES, -DPLAIN_GLOBAL, -DROOTS_EARLY, -DNO_BLACK, -DBLACK_TOO_EARLY, -DSIFT_ALL.
 */
#ifndef N
#define N	4
#endif
#ifndef OBJECTS
#define OBJECTS	3
#endif
#include "common.pml"

#define OLD	2			/* objects that are there at the beginning; the others are allocated, lowest first */
byte allocated = OLD;
byte young;				/* allocated white after H4, from swept spans: of no interest to this cycle's sweep */
bool black[MUTATORS];
bool clean;				/* marking has ended */

/* poll: answers the handshake that is asked for. The poll is the only place where it may happen: never between shade and store. */
inline poll(m) {
	atomic {
		asked[m] && !answering[m] && can_store(m);
		if
		:: phase == BARRIER ->
			barrier_on[m] = true;
			unscanned[m] = true;
#ifdef MERGED_HANDSHAKES
			black[m] = true;
			copy_stack(m)
#endif
		:: phase == BLACK -> black[m] = true
		:: phase == SCAN -> black[m] = true; copy_stack(m)
		:: phase == FLUSH -> mark(buffer[m]); buffer[m] = 0
		fi;
		answer(m)
	}
}

/* copy_stack: what is used again is copied; workers mark from the copy. */
inline copy_stack(m) {
	if
	:: true
	:: p[m] != NIL -> p[m] = NIL
	fi;
	if
	:: true
	:: q[m] != NIL -> q[m] = NIL
	fi;
	mark(bit(p[m]) | bit(q[m]));
	unscanned[m] = false
}

#ifdef BLACK_TOO_EARLY
#define alloc_black(m)	barrier_on[m]
#else
#define alloc_black(m)	black[m]
#endif

inline alloc(m) {
	allocated++;
	q[m] = allocated;
	if
	:: alloc_black(m) -> marked = marked | bit(allocated)
	:: else
	fi
}

#ifdef DELETION_ONLY
#define shade_new(m)	false
#else
#define shade_new(m)	unscanned[m]
#endif
#ifdef PLAIN_GLOBAL
#define has_barrier(m, a) (barrier_on[m] && (a) != GLOBAL)
#else
#define has_barrier(m, a) barrier_on[m]
#endif

proctype mutator(byte m) {
	byte ops, a, v, old;

	do
	:: poll(m)
	:: atomic { ops < limit(m) -> ops++;			/* load */
		if
		:: load(m, GLOBAL, p[m])
		:: p[m] != NIL -> load(m, p[m], q[m])
		:: p[m] = q[m]
		fi }
	:: atomic { ops < limit(m) -> ops++;			/* store: first the barrier */
		if
		:: a = GLOBAL; v = q[m]
		:: p[m] != NIL -> a = p[m]; v = NIL
		:: p[m] != NIL -> a = p[m]; v = q[m]
		fi;
		if
		:: has_barrier(m, a) ->
			load(m, a, old);
			shade(m, old);
			old = NIL;
			if
			:: shade_new(m) -> shade(m, v)
			:: else
			fi
		:: else
		fi };
		atomic { can_store(m); store(m, a, v); a = 0; v = NIL }
	:: atomic { ops < limit(m) && allocated < OBJECTS -> ops++; alloc(m) }
#ifdef SIFTS
	:: atomic { sift(m) }
#endif
	:: clean -> break
	od
}

proctype collector() {
	byte x, set, grown;

#ifdef ROOTS_EARLY
	mark(bit(field[GLOBAL]));
#endif
	atomic { ask(BARRIER) };
#if !defined(NO_BLACK) && !defined(MERGED_HANDSHAKES)
	atomic { answered; ask(BLACK) };
#endif
#ifdef MERGED_HANDSHAKES
	atomic { answered; mark(bit(field[GLOBAL])) };
#else
	atomic { answered; mark(bit(field[GLOBAL])); ask(SCAN) };
#endif
	do
	:: scan_one(x)				/* marking has begun, whoever is late */
	:: atomic { answered && grey == 0 -> ask(FLUSH) };
		if
		:: d_step { answered && grey == 0 -> reach(set, x); assert((set & ~marked) == 0); clean = true; set = 0; grown = 0 };
			break			/* that was a clean round */
		:: atomic { answered && grey != 0 -> skip }
		fi
	od
}

init {
	atomic {
		field[GLOBAL] = 1;
		field[1] = 2;
		p[0] = 1;
		p[1] = 1;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
