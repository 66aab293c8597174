/* SPDX-License-Identifier: MIT */
/*
 * Weak clearing: who reads a weak reference gets an object that stays, or NULL, and after the first NULL nobody gets the object again.
 *
 * The model begins behind the handshake SCAN, with an object that only a weak reference has, and that has another one. Two mutators
 * make N operations each: read the weak reference, load, store, forget. The collector marks, closes, clears, opens, asks for OFF,
 * sweeps. An ephemeron's key is a weak reference like this one; that its value is marked with the key is the workers' fixpoint, before.
 *
 * The word is one for the whole heap: (state, count), changed by atomic operations only. A read of what is marked already leaves
 * it alone, so that count moves only as often as there are unmarked targets to be read, and closing succeeds in the end.
 *
 * Variants that fail: -DNO_COUNT (closes though count has moved), -DCOUNT_LATE (looks at count only when the round is over),
 * -DREADER_ADDS_LATE (adds itself when it is done), -DOPEN_UNSHADED, -DCLEAR_AFTER_OFF.
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	2
#include "common.pml"

mtype = { OPEN, CLOSED };
mtype weak_state = OPEN;		/* with weak_count the word of which the top comment speaks */
byte weak_count;
byte target = 1;			/* of the weak reference; cleared by the collector */
bool null_seen;				/* some read has answered NULL */
bool clean;

/* answer_read: what the reader gets, and what must then be true. */
inline answer_read(m, t) {
	p[m] = t;
	assert(!(t != NIL && null_seen));		/* after NULL always NULL */
	null_seen = null_seen || t == NIL
}

/* read_weak: no poll from its first to its last step. */
inline read_weak(m) {
	atomic { ops < limit(m) -> ops++; t = target;
		if
		:: t == NIL || !barrier_on[m] || has(marked, t) -> answer_read(m, t); t = NIL; goto next
		:: else
		fi };
#ifdef READER_ADDS_LATE
	seen = weak_state;
#else
	atomic { fence(m) -> seen = weak_state; weak_count++ };
#endif
	t = target;
	atomic {
		if
#ifdef OPEN_UNSHADED
		:: seen == OPEN -> answer_read(m, t)
#else
		:: seen == OPEN -> shade(m, t); answer_read(m, t)
#endif
		:: seen == CLOSED -> assert(!has(marked, t)); answer_read(m, NIL)	/* not marked then, not marked now */
		fi;
		t = NIL; seen = 0 };
#ifdef READER_ADDS_LATE
	weak_count++;
#endif
	skip
}

proctype mutator(byte m) {
	byte ops, a, v, old, t;
	mtype seen;

next:	do
	:: atomic { asked[m] && !answering[m] && can_store(m) ->
		if
		:: phase == FLUSH -> mark(buffer[m])
		:: phase == OFF -> barrier_on[m] = false
		fi;
		buffer[m] = 0;
		answer(m) }
	:: read_weak(m)
	:: atomic { ops < limit(m) -> ops++;
		if
		:: load(m, GLOBAL, p[m])
		:: p[m] != NIL -> load(m, p[m], q[m])
		:: p[m] != NIL -> p[m] = NIL
		:: q[m] != NIL -> q[m] = NIL
		fi }
	:: atomic { ops < limit(m) -> ops++;
		if
		:: a = GLOBAL; v = p[m]
		:: a = GLOBAL; v = q[m]
		:: p[m] != NIL -> a = p[m]; v = NIL
		fi;
		if
		:: barrier_on[m] -> load(m, a, old); shade(m, old); old = NIL
		:: else
		fi };
		atomic { can_store(m); store(m, a, v); a = 0; v = NIL }
	:: phase == DONE -> break
	od
}

inline clear_weak() {
	atomic {
		if
		:: target != NIL && !has(marked, target) -> target = NIL
		:: else
		fi }
}

#ifdef NO_COUNT
#define may_close	true
#else
#define may_close	(weak_count == count)
#endif

proctype collector() {
	byte x, set, grown, count;

	do
	:: scan_one(x)
	:: atomic { grey == 0 -> count = weak_count };
		atomic { ask(FLUSH) };
#ifdef COUNT_LATE
		atomic { answered -> count = weak_count };
#endif
		if
		:: atomic { answered && grey != 0 -> count = 0 }
		:: atomic { answered && grey == 0 -> clean = true };
			atomic {
				if
				:: may_close -> weak_state = CLOSED; count = 0; break
				:: else -> clean = false; count = 0
				fi }
		fi
	od;
#ifndef CLEAR_AFTER_OFF
	clear_weak();
#endif
	weak_state = OPEN;
	atomic { ask(OFF) };
	atomic { answered; reach(set, x); assert((set & ~marked) == 0); set = 0; grown = 0 };	/* a live object is never swept */
#ifdef CLEAR_AFTER_OFF
	clear_weak();
#endif
	d_step { marked = 0; phase = DONE }
}

init {
	atomic {
		field[1] = 2;
		barrier_on[0] = true;
		barrier_on[1] = true;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
