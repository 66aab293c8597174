/* SPDX-License-Identifier: MIT */
/*
 * A weak read beside the sweep: it may be overtaken. Who has loaded the address of what is dead may be stopped there until the reference is cleared, marks
 * are gone, another mutator, which has heard that barriers are off, has swept the slot, and allocated it again. What it answers is the object that the reference
 * led to, as long as that lives, or NULL.
 *
 * The model begins in the last round: an object is led to by a weak reference, and by the global or nothing. Two mutators make N operations each: read the
 * weak reference, load, store, forget, sweep, allocate. The collector looks at the count, ends the round, closes, clears, opens, asks for OFF, sweeps.
 * What the round finds is scanned in no time, for objects have no fields. What says "lock" is under the kind's lock.
 *
 * Variants that fail: -DNO_SECOND_LOOK (what is not white is answered without a look at where it was found), -DLOOKS_FIRST (with that look before the one at
 * the slot), -DCLEAR_AFTER_FLIP (lists are unswept before what leads to the dead is cleared).
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	2
#include "common.pml"

mtype = { OPEN, CLOSED };
mtype weak_state = OPEN;
byte weak_count;
byte target = 1;
byte free = 4;				/* slots: 2 is free from the beginning */
byte old = 2;				/* slots that are to be swept when lists have become unswept; each is a span */
byte anew;				/* slots that were freed and have got another object */
bool has_flipped;
bool null_seen;

/* answer_read: what the reader gets: the object that it was, or NULL, and then NULL for ever. */
inline answer_read(m) {
	assert(t == NIL || (!has(free, t) && !has(anew, t)));
	assert(!(t != NIL && null_seen));
	null_seen = null_seen || t == NIL;
	p[m] = t; t = NIL
}

inline look_at_slot(x) {
	atomic { is_white = !has(free, x) };				/* acquire */
	atomic { is_white = is_white && !has(marked, x) }
}

/* read_weak: no answer to the collector from its first to its last step. */
inline read_weak(m) {
	atomic { ops < limit(m) -> ops++; t = target;
		if
		:: t == NIL || !barrier_on[m] -> answer_read(m); goto next
		:: else
		fi };
#ifdef LOOKS_FIRST
	atomic {
		if
		:: target == t
		:: target != t -> t = target; answer_read(m); goto next
		fi };
#endif
	look_at_slot(t);
	if
#ifdef NO_SECOND_LOOK
	:: atomic { !is_white -> answer_read(m); goto next }
#else
#ifdef LOOKS_FIRST
	:: atomic { !is_white -> answer_read(m); goto next }
#else
	:: atomic { !is_white ->
		if
		:: target == t
		:: target != t -> t = target				/* cleared; else it would be looked at again */
		fi;
		answer_read(m); goto next }
#endif
#endif
	:: atomic { is_white && fence(m) -> is_white = false; seen = weak_state; weak_count++ }
	fi;
	atomic {
		t = target;
		if
		:: seen == OPEN -> shade(m, t)
		:: seen == CLOSED -> t = NIL
		fi;
		seen = 0;
		answer_read(m) }
}

/* sweep: taken off the list, lock; then its marks go, then its slot is free (release), if it was not marked. */
inline sweep(x) {
	atomic { has_flipped && has(old, x) -> old = old & ~bit(x); dead = !has(marked, x) };
	atomic { marked = marked & ~bit(x) };
	atomic {
		if
		:: dead -> assert(!has(bit(p[0]) | bit(p[1]) | bit(field[GLOBAL]), x)); free = free | bit(x)	/* a live object is never swept */
		:: else
		fi;
		dead = false }
}

inline allocate(m, x) {
	atomic { ops < limit(m) && has_flipped && !has(old, x) && has(free, x) && fence(m) -> ops++; free = free & ~bit(x); anew = anew | bit(x); p[m] = x }
}

proctype mutator(byte m) {
	byte ops, v, t;
	bool is_white, dead;
	mtype seen;

next:	do
	:: atomic { asked[m] && !answering[m] && can_store(m) ->
		if
		:: phase == FLUSH -> marked = marked | buffer[m]
		:: phase == OFF -> barrier_on[m] = false
		fi;
		buffer[m] = 0;
		answer(m) }
	:: read_weak(m)
	:: atomic { ops < limit(m) -> ops++; load(m, GLOBAL, p[m]) }
	:: atomic { ops < limit(m) -> ops++;
		load(m, GLOBAL, v);
		if
		:: barrier_on[m] -> shade(m, v)
		:: else
		fi;
		v = NIL };
		atomic { can_store(m); store(m, GLOBAL, p[m]) }
	:: atomic { ops < limit(m) && p[m] != NIL -> ops++; p[m] = NIL }
	:: sweep(1)
	:: allocate(m, 1)
	:: allocate(m, 2)
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

proctype collector() {
	byte x, count, before;
	bool dead;

	do
	:: atomic { count = weak_count; before = marked; ask(FLUSH) };
		atomic { answered ->
			if
			:: before == marked && weak_count == count -> weak_state = CLOSED; count = 0; before = 0; break
			:: else -> count = 0; before = 0
			fi }
	od;
#ifdef CLEAR_AFTER_FLIP
	has_flipped = true;
	clear_weak();
	weak_state = OPEN;
#else
	clear_weak();
	weak_state = OPEN;
	has_flipped = true;			/* lock */
#endif
	atomic { ask(OFF) };
	answered;
	do
	:: sweep(1)
	:: !has(old, 1) -> break
	od;
	phase = DONE
}

init {
	atomic {
		if
		:: field[GLOBAL] = 1; marked = bit(1)
		:: true
		fi;
		barrier_on[0] = true;
		barrier_on[1] = true;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
