/* SPDX-License-Identifier: MIT */
/*
 * Heaps whose threads stop while it marks (stops_world): no store has a barrier, and nothing live is swept.
 *
 * Two mutators, one attached at the beginning, make N operations each: load, store, forget, allocate, block, exit and attach again. Each stops at a
 * poll, with its stack copied; the collector does it for those that are SAFE, and holds them. When all have it marks, lists of spans become unswept, and what
 * mutators hold that is not swept is handed in for them; then it asks for OFF. Who was stopped goes on as soon as it sees that, and may allocate
 * and sweep long before it answers. One cycle.
 *
 * Spans of one slot: the slot is the span. What says "lock" is under the lock of the kind, or of the thread list.
 *
 * Variants that fail: -DMARK_EARLY (marks before all have stopped), -DNOT_HELD (who is SAFE goes on when its stack is copied), -DATTACH_STOPPED (threads
 * attach while all are stopped), -DRESUME_UNSEALED (each hands in its spans in its answer to OFF).
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	3
#include "common.pml"

#define STOP	SCAN
#define EMPTY	0
#define LISTED	1
#define HELD	2			/* by mutator 0; HELD + 1 by mutator 1 */
byte place[OBJECTS + 1];
byte free = 12;				/* slots 2 and 3 */
byte old;				/* spans whose gen is not the kind's */
byte current[MUTATORS];
byte scanned_p[MUTATORS], scanned_q[MUTATORS];	/* copy of the stack */
mtype = { OFFLINE, RUNNING, SAFE, CLAIMED };
mtype state[MUTATORS] = OFFLINE;

#define is_stopped	(phase == STOP)

inline hand_in(m) {
	place[current[m]] = (current[m] != NIL -> LISTED : EMPTY);
	current[m] = NIL
}
inline seal(m) {
	if
	:: has(old, current[m]) -> hand_in(m)
	:: else
	fi
}

/* Nothing live is swept. */
inline sweep(x) {
	if
	:: !has(free, x) && !has(marked, x) ->
		reach(set, y);
		assert(!has(set, x));
		set = 0; grown = 0;
		free = free | bit(x);
		field[x] = NIL
	:: else
	fi;
	marked = marked & ~bit(x);
	old = old & ~bit(x)
}

#define is_unswept(x)	(place[x] == LISTED && has(old, x))
#define is_partial(x)	(place[x] == LISTED && !has(old, x) && has(free, x))
#define adopt(m, x)	place[x] = HELD + (m); current[m] = (x)

/* refill: as in sweep.pml, where sweeping is more than one step; lock. */
inline refill(m) {
	atomic { state[m] == RUNNING && current[m] == NIL && ops < limit(m) ->
		if
		:: is_partial(1) -> adopt(m, 1)
		:: is_partial(2) -> adopt(m, 2)
		:: is_partial(3) -> adopt(m, 3)
		:: is_unswept(1) -> sweep(1)
		:: is_unswept(2) -> sweep(2)
		:: is_unswept(3) -> sweep(3)
		:: place[2] == EMPTY -> adopt(m, 2)
		:: place[2] != EMPTY && place[3] == EMPTY -> adopt(m, 3)
		:: else
		fi }
}

#ifdef ATTACH_STOPPED
#define may_attach	true
#else
#define may_attach	(!is_stopped)
#endif

proctype mutator(byte m) {
	byte ops, set, grown, y;

	do
	:: atomic { state[m] == OFFLINE && ops < limit(m) && may_attach -> state[m] = RUNNING }		/* lock */
	:: atomic { state[m] == RUNNING && ops < limit(m) -> ops++;		/* exit; lock */
		hand_in(m);
		p[m] = NIL; q[m] = NIL;
		asked[m] = false;
		state[m] = OFFLINE }
	:: atomic { state[m] == RUNNING && asked[m] && is_stopped -> scanned_p[m] = p[m]; scanned_q[m] = q[m]; asked[m] = false };
		!is_stopped
	:: atomic { state[m] == RUNNING && asked[m] && phase == OFF -> seal(m); asked[m] = false }
	:: atomic { state[m] == RUNNING && ops < limit(m) -> ops++; state[m] = SAFE };	/* blocking(): its caller's frames stay as they are */
		atomic { state[m] == SAFE -> state[m] = RUNNING }
	:: refill(m)
	:: atomic { state[m] == RUNNING && current[m] != NIL && ops < limit(m) ->	/* allocate */
		if
		:: has(free, current[m]) -> ops++; p[m] = current[m]; free = free & ~bit(current[m])
		:: else -> hand_in(m)
		fi }
	:: atomic { state[m] == RUNNING && ops < limit(m) -> ops++;			/* load, store, forget */
		if
		:: p[m] = field[GLOBAL]
		:: p[m] != NIL -> q[m] = field[p[m]]
		:: p[m] = q[m]
		:: field[GLOBAL] = q[m]
		:: p[m] != NIL -> field[p[m]] = NIL
		:: p[m] != NIL -> field[p[m]] = q[m]
		fi }
	:: phase == DONE -> break
	od
}

/* A SAFE mutator's stack is copied for it, and it stays claimed until OFF. */
inline stop_for(m) {
	atomic { asked[m] && state[m] == SAFE -> state[m] = CLAIMED; scanned_p[m] = p[m]; scanned_q[m] = q[m] };
#ifdef NOT_HELD
	atomic { asked[m] = false; state[m] = SAFE }
#else
	atomic { asked[m] = false }
#endif
}
inline resume_for(m) {
	atomic { asked[m] && (state[m] == SAFE || state[m] == CLAIMED) -> state[m] = CLAIMED; seal(m) };
	atomic { asked[m] = false; state[m] = SAFE }
}

#define ask_attached(h)	phase = h; asked[0] = (state[0] != OFFLINE); asked[1] = (state[1] != OFFLINE)	/* lock */
#define mark_copy(m)	mark(bit(scanned_p[m]) | bit(scanned_q[m])); scanned_p[m] = NIL; scanned_q[m] = NIL
inline await_stop() {
	do
	:: stop_for(0)
	:: stop_for(1)
	:: atomic { answered -> break }
	od
}
inline sweep_listed(x) {
	atomic { is_unswept(x) -> sweep(x) }						/* lock */
}

proctype collector() {
	byte x, y, set, grown;

	atomic { ask_attached(STOP) };
#ifndef MARK_EARLY
	await_stop();
#endif
	atomic { mark(bit(field[GLOBAL])) };
	atomic { mark_copy(0); mark_copy(1) };
	do
	:: scan_one(x)
	:: atomic { grey == 0 -> break }
	od;
#ifdef MARK_EARLY
	await_stop();
#endif
	atomic { reach(set, y); assert((set & ~marked) == 0); set = 0; grown = 0 };
	/* All lists are unswept, and what mutators hold that is not swept is handed in. */
	atomic { old = (place[1] != EMPTY -> 2 : 0) | (place[2] != EMPTY -> 4 : 0) | (place[3] != EMPTY -> 8 : 0) };
#ifndef RESUME_UNSEALED
	atomic { seal(0); seal(1) };
#endif
	atomic { ask_attached(OFF) };
	do
	:: resume_for(0)
	:: resume_for(1)
	:: atomic { answered -> break }
	od;
	do
	:: sweep_listed(1)
	:: sweep_listed(2)
	:: sweep_listed(3)
	:: !is_unswept(1) && !is_unswept(2) && !is_unswept(3) -> break
	od;
	atomic { marked == 0 -> phase = DONE }
}

init {
	atomic {
		field[GLOBAL] = 1;
		place[1] = LISTED;
		state[0] = RUNNING;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
