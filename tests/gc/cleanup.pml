/* SPDX-License-Identifier: MIT */
/*
 * Cleanups: a function is called once, or it is cancelled, and not before its object is dead; its argument is alive.
 *
 * One object, which the global has, with a cleanup that has an argument: nobody else leads to that. Two mutators make N operations each: load, store, forget,
 * cancel, call what is due. The collector goes through CYCLES cycles: in the first the object may be found dead, in the next the cleanup may still be due, or just be called.
 * Nothing is allocated, so that the handshake BLACK is left out.
 *
 * A cleanup is an object, and a root from the beginning until it is over; while it waits it is on a chain, and when it is due in a queue, under a lock ("lock").
 * One word says which: it is changed by a swap of who calls or cancels, and by the compare-and-swap of who finds the object dead.
 *
 * Variants that fail: -DQUEUE_UNSHOWN (what is due is no root), -DEND_PLAIN (a load and a store instead of the swap), -DFIND_PLAIN (the same instead of the
 * compare-and-swap), -DFIND_EARLY (looks for what is dead before the round is clean), -DCHAIN_UNSHOWN (what waits is no root).
 */
#ifndef N
#define N	4
#endif
#ifndef CYCLES
#define CYCLES	2
#endif
#define OBJECTS		3
#define OBJECT		1
#define ARGUMENT	2
#define CLEANUP		3
#define more_roots	((on_chain && word != OVER) || is_due -> bit(CLEANUP) : 0)
mtype = { WAITS, DUE, OVER };
mtype word = WAITS;
bool on_chain = true, is_due;
#include "common.pml"

byte ended;				/* calls, and cancellations that were told of success */
byte cycle;

inline poll(m) {
	atomic {
		asked[m];
		if
		:: phase == BARRIER -> barrier_on[m] = true; unscanned[m] = true
		:: phase == SCAN -> mark(bit(p[m]) | bit(q[m])); unscanned[m] = false
		:: phase == FLUSH -> mark(buffer[m]); buffer[m] = 0
		:: phase == OFF -> barrier_on[m] = false; buffer[m] = 0
		fi;
		asked[m] = false
	}
}

/* end_it: who gets the word ends it. */
#ifdef END_PLAIN
#define end_it(m)	won = word != OVER; word = OVER
#else
#define end_it(m)	atomic { won = word != OVER; word = OVER }
#endif

/* The barrier. */
#define before_store(m, a, v)	buffer[m] = buffer[m] | (barrier_on[m] -> (bit(field[a]) | (unscanned[m] -> bit(v) : 0)) & ~marked : 0)

inline cancel(m) {
	atomic { ops < limit(m) && q[m] == CLEANUP -> ops++ };
	end_it(m);
	if
	:: atomic { won -> won = false; ended++; assert(ended <= 1); before_store(m, CLEANUP, NIL) };
		field[CLEANUP] = NIL
	:: !won
	fi
}

/* call: takes one, which is an edge from a root that goes; then ends it, if nobody else has. */
inline call(m) {
	atomic { ops < limit(m) && is_due -> ops++;
		is_due = false;								/* lock */
		p[m] = CLEANUP;
		buffer[m] = buffer[m] | (barrier_on[m] -> bit(CLEANUP) & ~marked : 0) };
	end_it(m);
	if
	:: atomic { won -> won = false; ended++; assert(ended <= 1);
		reach(set, x); assert(!has(set, OBJECT)); set = 0; grown = 0;		/* it is dead */
		q[m] = field[CLEANUP]; assert(q[m] == ARGUMENT);
		p[m] = NIL }
	:: atomic { !won -> p[m] = NIL }
	fi
}

proctype mutator(byte m) {
	byte ops, a, v, set, grown, x;
	bool won;

	do
	:: poll(m)
	:: atomic { ops < limit(m) && p[m] != field[GLOBAL] -> ops++; p[m] = field[GLOBAL] }
	:: atomic { ops < limit(m) && p[m] != NIL -> ops++; p[m] = NIL }
	:: atomic { ops < limit(m) && q[m] != NIL -> ops++; q[m] = NIL }
	:: atomic { ops < limit(m) -> ops++;
		if
		:: v = NIL
		:: v = p[m]
		:: v = q[m]
		fi;
		before_store(m, GLOBAL, v) };
		atomic { field[GLOBAL] = v; v = NIL }
	:: cancel(m)
	:: call(m)
	:: phase == DONE -> break
	od
}

/* show_cleanup: to the marker, what waits and is not over, and what is due. */
inline show_cleanup() {
#ifndef CHAIN_UNSHOWN
	atomic { mark((on_chain && word != OVER -> bit(CLEANUP) : 0)) };
#endif
#ifndef QUEUE_UNSHOWN
	atomic { mark((is_due -> bit(CLEANUP) : 0)) }					/* lock */
#endif
}

/* find_dead: the cleanup of what is not marked is due; one that is over is sifted out. */
inline find_dead() {
	if
	:: atomic { !on_chain || (word == WAITS && has(marked, OBJECT)) -> skip }
	:: atomic { on_chain && word == OVER -> on_chain = false }
	:: atomic { on_chain && word == WAITS && !has(marked, OBJECT) -> skip };
#ifdef FIND_PLAIN
		word = DUE;
		atomic { on_chain = false; is_due = true }				/* lock */
#else
		if
		:: atomic { word == OVER -> on_chain = false }
		:: atomic { word == WAITS -> word = DUE };
			atomic { on_chain = false; is_due = true }			/* lock */
		fi
#endif
	fi
}

proctype collector() {
	byte x, set, grown;

	do
	:: cycle == CYCLES -> break
	:: atomic { cycle < CYCLES -> cycle++; ask(BARRIER) };
		atomic { answered; mark(bit(field[GLOBAL])) };
		show_cleanup();
		atomic { ask(SCAN) };
#ifdef FIND_EARLY
		find_dead();
#endif
		do
		:: scan_one(x)
		:: atomic { answered && grey == 0 -> ask(FLUSH) };
			if
			:: atomic { answered && grey == 0 -> reach(set, x); assert((set & ~marked) == 0); set = 0; grown = 0; break }	/* clean */
			:: atomic { answered && grey != 0 -> skip }
			fi
		od;
#ifndef FIND_EARLY
		find_dead();
#endif
		atomic { ask(OFF) };
		atomic { answered; reach(set, x); assert((set & ~marked) == 0); set = 0; grown = 0;	/* a live object is never swept */
			marked = 0 }
	od;
	phase = DONE
}

init {
	atomic {
		field[GLOBAL] = OBJECT;
		field[CLEANUP] = ARGUMENT;
		q[0] = CLEANUP;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
