/* SPDX-License-Identifier: MIT */
/*
 * Termination: marking ends only when nothing that a mutator can reach is left unmarked, and from then on nobody marks.
 *
 * The model begins behind the handshake SCAN: every stack is scanned, barriers are on, the queue is open, and the collector is busy with what roots
 * hold. Two mutators make N operations each (load, store), hand over their buffers when these overflow, and are SAFE when they are asked, or answer
 * themselves; one of them assists as often as it likes. The collector and a helper mark in turns.
 *
 * Who marks is a marker: it becomes busy by a look at the queue, works from a block of its own, takes another when that is empty, gives a part of
 * it to others, and can stop at any time: then it hands over what it holds and adds what it has counted to the sum, and only then is not busy any more.
 * What says "lock" is one hold of the queue's lock. A raw block is looked through as it is taken: while it is not, who has it is busy, and that is all
 * that anybody sees of it.
 *
 * Variants that lose an object: -DNO_TERMINATION_ROUND, -DSAFE_NOT_FLUSHED, -DOVERFLOW_UNSEEN, -DBUSY_UNSEEN (closes while somebody is busy),
 * -DASSIST_UNSEEN (who assists is not counted), -DIDLE_EARLY (not busy before its block is handed over), -DTAKE_FIRST (busy only
 * when it has taken a block), -DCOUNT_LATE (adds what it has counted when it is not busy any more). One that marks when all is over: -DNEVER_CLOSED.
 * -DEDGE_GONE begins some steps later, behind a store: that is where errors of rounds are near.
 */
#ifndef N
#define N	4
#endif
#include "common.pml"

#define COLLECTOR	MUTATORS
#define HELPER		(MUTATORS + 1)
#define MARKERS		(MUTATORS + 2)
byte queue, raw;			/* blocks that were handed over: of marked objects, and of what mutators have met */
bool is_open = true;
byte nr_busy = 1;
byte block[MARKERS];			/* of a marker: marked, not scanned, and no one else's */
bool counted[MARKERS];			/* it has marked something, which is not in the sum yet */
bool work;				/* the sum, since the round began */
bool clean;
mtype = { RUNNING, SAFE, CLAIMED };
mtype state[MUTATORS] = RUNNING;

/* Out of buffers and raw blocks goes what a look would find marked: no behavior, fewer states. */
#define set_marks(set)	marked = marked | (set); raw = raw & ~marked; buffer[0] = buffer[0] & ~marked; buffer[1] = buffer[1] & ~marked

#ifdef OVERFLOW_UNSEEN
#define count(w, set)	skip
#define note_work(set)	work = work || ((set) & ~marked) != 0
#else
#define count(w, set)	counted[w] = counted[w] || (set) != 0
#define note_work(set)	skip
#endif

#ifdef ASSIST_UNSEEN
#define is_counted(w)	((w) >= MUTATORS)
#else
#define is_counted(w)	true
#endif
#ifdef NEVER_CLOSED
#define may_enter	((queue | raw) != 0)
#else
#define may_enter	(is_open && (queue | raw) != 0)
#endif

/* find: pointers that w comes to. What is not marked is marked, noted and counted. */
inline find(w, set) {
	assert(!(clean && ((set) & ~marked) != 0));	/* nobody marks what is swept */
	block[w] = block[w] | ((set) & ~marked);
	count(w, (set) & ~marked);
	set_marks(set)
}

/* take: a block of marked objects, which may be one of several; or a raw one. */
inline take(w) {
	if
	:: queue != 0 -> block[w] = queue; queue = 0
	:: (queue & (queue - 1)) != 0 -> block[w] = queue & (queue - 1); queue = queue & ~block[w]
	:: raw != 0 -> set = raw; raw = 0; find(w, set); set = 0
	fi
}

/* one_of: any object of a block. */
inline one_of(w) {
	if
	:: has(block[w], 1) -> x = 1
	:: has(block[w], 2) -> x = 2
	:: has(block[w], 3) -> x = 3
	fi;
	block[w] = block[w] & ~bit(x)
}

#define has_two(w)	((block[w] & (block[w] - 1)) != 0)
#define add_up(w)	work = work || counted[w]; counted[w] = false
#define be_idle(w)	nr_busy = (is_counted(w) -> nr_busy - 1 : nr_busy)
#define hand_over(w)	queue = queue | block[w]; block[w] = 0

/* Nobody looks at the sum while somebody is busy, so that it is no step of its own when it is added to. */
inline leave(w) {
#ifdef IDLE_EARLY
	atomic { be_idle(w) };
	atomic { hand_over(w); add_up(w) }
#else
#ifdef COUNT_LATE
	atomic { hand_over(w) };					/* lock */
	atomic { be_idle(w) };						/* lock */
	atomic { add_up(w) }
#else
	atomic { hand_over(w); add_up(w) };				/* lock */
	atomic { be_idle(w) }						/* lock */
#endif
#endif
}

#define be_busy(w)	nr_busy = (is_counted(w) -> nr_busy + 1 : nr_busy)

/* Busy, as there is something to take: a look under the lock. */
inline enter(w, may) {
#ifdef TAKE_FIRST
	atomic { may -> take(w) };			/* lock */
	atomic { be_busy(w) }				/* lock */
#else
	atomic { may -> be_busy(w) }			/* lock */
#endif
}

inline take_turn(w) {
	do
	:: atomic { block[w] == 0 && (queue | raw) != 0 -> take(w) }				/* lock */
	:: atomic { block[w] != 0 -> one_of(w); set = bit(field[x]); find(w, set); set = 0; x = 0 }
	:: atomic { has_two(w) -> one_of(w); queue = queue | bit(x); x = 0 }			/* shared; lock */
	:: break
	od;
	leave(w)
}

/* flush: a mutator's answer in a round, given by itself or, while it is SAFE, by the collector. */
#define flush(m)	note_work(buffer[m]); raw = raw | buffer[m]; buffer[m] = 0

proctype mutator(byte m) {
	byte ops, a, v, old, x, set;

	do
	:: atomic { asked[m] && !answering[m] && can_store(m) -> flush(m); answer(m) }
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
		load(m, a, old);
		shade(m, old);
		old = NIL };
		atomic { can_store(m); store(m, a, v); a = 0; v = NIL }
	:: atomic { buffer[m] != 0 && fence(m) -> raw = raw | buffer[m]; buffer[m] = 0 }	/* it was full; lock */
	:: enter(m, m == 0 && may_enter && fence(m));		/* assist: a slice */
		take_turn(m)
	:: atomic { asked[m] && !answering[m] && fence(m) -> state[m] = SAFE };	/* blocking(): here it would run what blocks */
		atomic { state[m] == SAFE -> state[m] = RUNNING }
	:: clean && ops == limit(m) -> break
	od
}

proctype helper() {
	byte x, set;

end_helper:
	do
	:: enter(HELPER, may_enter);
		take_turn(HELPER)
	od
}

/* claim: while the collector answers for it a SAFE mutator cannot become RUNNING. */
inline claim(m) {
	atomic { asked[m] && state[m] == SAFE -> state[m] = CLAIMED };
	atomic {
#ifndef SAFE_NOT_FLUSHED
		flush(m);
#endif
		asked[m] = false; state[m] = SAFE }
}

#ifdef BUSY_UNSEEN
#define is_left		false
#else
#define is_left		(nr_busy != 0)
#endif
#ifdef NO_TERMINATION_ROUND
#define was_clean	(phase == FLUSH)
#else
#define was_clean	(phase == FLUSH && !work)
#endif

proctype collector() {
	byte x, set, grown;

	do
	:: leave(COLLECTOR);
		do
		:: enter(COLLECTOR, may_enter);
			take_turn(COLLECTOR)
		:: atomic { (queue | raw) == 0 && !is_left -> is_open = false; break }		/* lock */
		od;
		if
		:: atomic { was_clean -> reach(set, x); assert((set & ~marked) == 0); set = 0; grown = 0 };
			break
		:: atomic { !was_clean -> work = false; ask(FLUSH) }
		fi;
		do
		:: claim(0)
		:: claim(1)
		:: atomic { answered -> is_open = true; nr_busy++; break }			/* lock */
		od
	od;
	atomic { clean = true; marked = 0 }		/* spans are swept, one after the other; here, all at once */
}

init {
	atomic {
#ifdef EDGE_GONE
		p[0] = 2;			/* loaded it before the other one removed, and shaded, the edge to it */
		buffer[1] = bit(2);
#else
		p[0] = 1;			/* was in its stack, and has been shaded with the global */
		field[1] = 2;
#endif
		field[GLOBAL] = 1;
		field[2] = 3;
		marked = bit(1);
		block[COLLECTOR] = bit(1);
		run helper();
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
