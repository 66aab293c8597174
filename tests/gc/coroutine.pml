/* SPDX-License-Identifier: MIT */
/*
 * Stacks of coroutines: each is scanned once in a cycle, by its mutator, by the collector, or by a mutator that is about to go on there; and no object is lost,
 * whatever mutators carry from one stack to another.
 *
 * Two mutators make N operations each: load, store, switch between a stack of their own and a coroutine's, which either may enter. What is in p is on
 * the stack and stays there; what is in q is on the stack and in registers, and goes along. Before the stack of a running mutator is scanned it may
 * forget what is in them. One cycle; from the time when all have their barriers on (barrier.pml).
 *
 * Variants that lose an object: -DENTER_UNREAD (a scanned mutator does not read the stack that it enters), -DSCANNED_STAYS (a stack that a mutator
 * enters which is not scanned still counts as scanned), -DLEFT_SCANNED (a stack that is left counts as scanned), -DREAD_EARLY (the collector
 * reads suspended stacks before all have answered SCAN), -DNOT_READ (the collector does not read them).
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	2
#define more_roots	(bit(on_stack[0]) | bit(on_stack[1]) | bit(on_stack[2]))
byte on_stack[3];			/* what a suspended stack holds: own ones of mutators are 0 and 1 */
#include "common.pml"

#define COROUTINE	2
#define NOBODY		2
byte runs_on[3] = NOBODY;		/* as all down to scanned guarded by the stack's lock */
bool scanned[3];			/* in this cycle; says something while it is suspended */
bool is_swapped[3];			/* whoever left it is gone: the program's matter, who must not enter it before */
byte stack[MUTATORS];
bool clean;

#define is_scanned(m)	(!unscanned[m])

/* leave: all registers are in a frame of the stack; lock. */
#ifdef LEFT_SCANNED
#define counts_scanned(m)	true
#else
#ifdef SCANNED_STAYS
#define counts_scanned(m)	(is_scanned(m) || scanned[stack[m]])
#else
#define counts_scanned(m)	is_scanned(m)
#endif
#endif
inline leave(w) {
	on_stack[stack[w]] = p[w];
	p[w] = NIL;
	scanned[stack[w]] = counts_scanned(w);
	runs_on[stack[w]] = NOBODY
}

/* enter: who is scanned reads what is not; lock. */
#ifdef ENTER_UNREAD
#define must_read(w, s)	false
#else
#define must_read(w, s)	(is_scanned(w) && !scanned[s])
#endif
inline enter(w, s) {
	if
	:: must_read(w, s) -> shade(w, on_stack[s])
	:: else
	fi;
	runs_on[s] = w;
	p[w] = on_stack[s];
	on_stack[s] = NIL;
	stack[w] = s
}

inline switch_to(n, s) {
	atomic { from = stack[n]; leave(n) };
	atomic { enter(n, s); is_swapped[from] = true; from = 0 }
}

inline poll(m) {
	atomic { asked[m] && !answering[m] && can_store(m) ->
		if
		:: phase == SCAN ->
			if
			:: true
			:: p[m] = NIL					/* not used again */
			fi;
			if
			:: true
			:: q[m] = NIL
			fi;
			mark(bit(p[m]) | bit(q[m]));
			unscanned[m] = false
		:: phase == FLUSH -> mark(buffer[m]); buffer[m] = 0
		fi;
		answer(m) }
}

proctype mutator(byte m) {
	byte ops, a, v, old, from;

	do
	:: poll(m)
	:: atomic { ops < limit(m) && stack[m] == COROUTINE -> ops++ };
		switch_to(m, m)
	:: atomic { ops < limit(m) && stack[m] == m && runs_on[COROUTINE] == NOBODY && is_swapped[COROUTINE] -> ops++; is_swapped[COROUTINE] = false };
		switch_to(m, COROUTINE)
	:: atomic { ops < limit(m) -> ops++;			/* load */
		if
		:: load(m, GLOBAL, q[m])
		:: q[m] != NIL -> load(m, q[m], p[m])
		:: p[m] = q[m]
		:: q[m] = p[m]
		fi }
	:: atomic { ops < limit(m) -> ops++;			/* store: first the barrier */
		if
		:: a = GLOBAL; v = p[m]
		:: q[m] != NIL -> a = q[m]; v = NIL
		fi;
		load(m, a, old);
		shade(m, old);
		old = NIL;
		if
		:: unscanned[m] -> shade(m, v)
		:: else
		fi };
		atomic { can_store(m); store(m, a, v); a = 0; v = NIL }
	:: clean -> break
	od
}

/* read: a suspended stack that is not scanned is, from now on; lock. What was copied is marked later, without it. */
inline read(s) {
#ifndef NOT_READ
	atomic {
		if
		:: runs_on[s] == NOBODY && !scanned[s] -> scanned[s] = true; copied = on_stack[s]
		:: else
		fi };
	atomic { mark(bit(copied)); copied = NIL };
#endif
	skip
}
inline read_all() {
	read(0);
	read(1);
	read(COROUTINE)
}

proctype collector() {
	byte x, set, grown, copied;

	atomic { mark(bit(field[GLOBAL])); ask(SCAN) };
#ifdef READ_EARLY
	read_all();
	answered;
#else
	answered;
	read_all();
#endif
	do
	:: scan_one(x)
	:: atomic { grey == 0 -> ask(FLUSH) };
		if
		:: atomic { answered && grey != 0 -> skip }
		:: d_step { answered && grey == 0 -> reach(set, x); assert((set & ~marked) == 0); clean = true; set = 0; grown = 0 };
			break
		fi
	od
}

init {
	atomic {
		if					/* 1 -> 2; or 1, and 2 on the coroutine's stack alone, or on that of a mutator */
		:: field[1] = 2
		:: on_stack[COROUTINE] = 2
		:: q[0] = 2
		fi;
		field[GLOBAL] = 1;
		stack[1] = 1;
		runs_on[0] = 0;
		runs_on[1] = 1;
		is_swapped[COROUTINE] = true;
		unscanned[0] = true;
		unscanned[1] = true;
		barrier_on[0] = true;
		barrier_on[1] = true;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
