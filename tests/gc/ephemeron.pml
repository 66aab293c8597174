/* SPDX-License-Identifier: MIT */
/*
 * Ephemerons: when a round is judged their fixpoint is reached: what a mutator can get at is marked, where an ephemeron that it can get at leads to its
 * value if its key can be got at otherwise. A key that is dead takes the value along.
 *
 * The model begins behind the handshake SCAN, with an ephemeron that a root leads to. Two mutators make N operations each: read the key, read the
 * value, load, store, set another value. Two markers scan, mark, and look for each other: who scans the ephemeron and finds its key not marked lets it wait in the
 * table, and gives the key's span its flag; who marks an object and sees the flag takes what waits for it out of the table, to be scanned again. They may miss
 * each other, and a mutator without memory for a note marks and does not look: so the collector looks when nothing else is left. Whether it is, is one look here
 * (termination.pml). What says "lock" is under the lock of the table.
 *
 * A new value does not shade the one that goes: who has read that has shaded it. And it may be dead; then a mark, which it gets at once where there is no
 * memory for a note, would bring it back, but not what it leads to.
 *
 * Variants that lose an object: -DNO_SETTLE (the collector does not look), -DVALUE_UNSHADED (what is read of a value is
 * not shaded), -DSET_SHADES (a new value shades the one that goes), -DNO_COUNT (closes though count has moved), -DCLEAR_AFTER_OFF.
 * -DMEMORY: there is always memory for notes.
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	3
#define EPHEMERON	1
#define KEY		2
#define VALUE		3
#define more_roots	bit(EPHEMERON)
#define more_edges(set)	(key != NIL && has(set, KEY) -> bit(value) : 0)
byte key = KEY, value = VALUE;
#include "common.pml"

byte raw;				/* what mutators have handed over, to be looked at */
byte in_hand[2];			/* of markers */
byte nr_hands;				/* that hold something */
bool work;				/* something was marked since the round began */
bool is_short;				/* something was marked that nobody has noted */
bool waiting;				/* the ephemeron is in the table */
bool has_keys;				/* the flag of the key's span */
mtype = { OPEN, CLOSED };
mtype weak_state = OPEN;
bool has_moved;				/* count, since the collector has looked at it */

/* found: a pointer, or none. Who wins its mark looks for who waits for it, in a step of its own. */
inline found(x) {
	atomic {
		if
		:: x != NIL && !has(marked, x) -> work = true; looks = (x == KEY); mark(bit(x)); raw = raw & ~marked
		:: else
		fi;
		x = NIL };
	if
	:: looks && has_keys -> atomic { grey = grey | (waiting -> bit(EPHEMERON) : 0); waiting = false }	/* lock */
	:: else
	fi;
	looks = false
}

proctype marker(bit w) {
	byte x;
	bool looks, is_white;

end_marker:
	do
	:: atomic { (grey | raw) != 0 -> nr_hands++;
		if
		:: has(grey, 1) -> in_hand[w] = 1; grey = grey & ~bit(1)
		:: has(grey, 2) -> x = field[2]; grey = grey & ~bit(2)
		:: has(grey, 3) -> x = field[3]; grey = grey & ~bit(3)
		:: has(raw, 2) -> x = 2; raw = raw & ~bit(2)
		:: has(raw, 3) -> x = 3; raw = raw & ~bit(3)
		fi };
		if
		:: in_hand[w] == EPHEMERON -> in_hand[w] = NIL; is_white = !has(marked, KEY);
			if
			:: is_white -> is_white = false;
				atomic { waiting = true };		/* lock */
				has_keys = true
			:: !is_white -> x = value
			fi
		:: else
		fi;
		found(x);
		nr_hands--
	od
}

/* note: what mutators shade; without memory for a note it is marked, not looked at, and not noted. */
inline note(m, x) {
	if
	:: shade(m, x)
#ifndef MEMORY
	:: !has(marked, x) && x != NIL -> marked = marked | bit(x); is_short = true; buffer[0] = buffer[0] & ~marked; buffer[1] = buffer[1] & ~marked; raw = raw & ~marked
#endif
	fi
}

#ifdef VALUE_UNSHADED
#define note_read(m, x)	skip
#else
#define note_read(m, x)	note(m, x)
#endif

/* As in weak.pml. */
inline read_weakly(m, place) {
	atomic { ops < limit(m) -> ops++; t = place;
		if
		:: key == NIL -> q[m] = NIL; t = NIL; goto next
		:: key != NIL && (t == NIL || !barrier_on[m] || has(marked, t)) -> q[m] = t; t = NIL; goto next
		:: else
		fi };
	atomic { seen = weak_state; has_moved = true };
	atomic { t = place;
		if
		:: seen == OPEN -> note_read(m, t); q[m] = t
		:: seen == CLOSED -> q[m] = NIL
		fi;
		t = NIL; seen = 0 }
}

proctype mutator(byte m) {
	byte ops, a, v, old, t;
	mtype seen;

next:	do
	:: atomic { asked[m] ->
		if
		:: phase == FLUSH -> raw = raw | buffer[m]
		:: phase == OFF -> barrier_on[m] = false
		fi;
		buffer[m] = 0;
		asked[m] = false }
	:: read_weakly(m, key)
	:: read_weakly(m, value)
	:: atomic { ops < limit(m) -> ops++;
		if
		:: q[m] = field[GLOBAL]
		:: q[m] != NIL -> q[m] = field[q[m]]
		:: q[m] = NIL
		fi }
	:: atomic { ops < limit(m) -> ops++;
		if
		:: a = GLOBAL; v = q[m]
		:: q[m] != NIL -> a = q[m]; v = NIL
		:: a = EPHEMERON; v = q[m]
		fi;
		if
#ifdef SET_SHADES
		:: barrier_on[m] -> old = (a == EPHEMERON -> value : field[a]); note(m, old); old = NIL
#else
		:: barrier_on[m] && a != EPHEMERON -> old = field[a]; note(m, old); old = NIL
#endif
		:: else
		fi };
		atomic {
			if
			:: a == EPHEMERON -> value = v
			:: else -> field[a] = v
			fi;
			a = 0; v = NIL }
	:: phase == DONE -> break
	od
}

#define idle		((grey | raw) == 0 && nr_hands == 0)
#define is_missed	(waiting && has(marked, KEY))

#ifdef NO_SETTLE
#define must_settle	false
#else
#define must_settle	is_missed
#endif
#ifdef NO_COUNT
#define may_close	true
#else
#define may_close	(!has_moved)
#endif

inline clear_key() {
	atomic { is_dead = !has(marked, KEY); key = (is_dead -> NIL : key) };
	atomic { value = (is_dead -> NIL : value); is_dead = false }
}

proctype collector() {
	byte x, set, grown;
	bool was_short, is_dead;

	do
	:: atomic { idle && (is_short || must_settle) ->
		was_short = was_short || is_short;
		grey = grey | (is_short -> marked : 0) | (must_settle -> bit(EPHEMERON) : 0);
		waiting = waiting && !must_settle;
		is_short = false }
	:: atomic { idle && !is_short && !must_settle && !(phase == FLUSH && !work && !was_short) ->
		has_moved = false; was_short = false; work = false; ask(FLUSH) };
		answered
	:: atomic { idle && !is_short && !must_settle && phase == FLUSH && !work && !was_short ->
		if
		:: may_close -> weak_state = CLOSED; break
		:: else -> work = true
		fi }
	od;
#ifndef CLEAR_AFTER_OFF
	clear_key();
#endif
	weak_state = OPEN;
	atomic { ask(OFF) };
	atomic { answered; reach(set, x); assert((set & ~marked) == 0); set = 0; grown = 0 };	/* a live object is never swept */
#ifdef CLEAR_AFTER_OFF
	clear_key();
#endif
	phase = DONE
}

init {
	atomic {
		if				/* the key is live, or not */
		:: field[GLOBAL] = KEY; raw = bit(KEY)
		:: true
		fi;
		field[VALUE] = KEY;		/* which does not make the key live */
		marked = bit(EPHEMERON);
		grey = bit(EPHEMERON);
		barrier_on[0] = true;
		barrier_on[1] = true;
		run marker(0);
		run marker(1);
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
