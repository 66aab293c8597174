/* SPDX-License-Identifier: MIT */
/*
 * Termination: marking ends only when nothing that a mutator can reach is left unmarked.
 *
 * The model begins behind the handshake SCAN: every stack is scanned, barriers are on, and what roots hold is in the workers' queue.
 * Two mutators make N operations each (load, store), hand over their buffers when these overflow, assist, and go SAFE and come back
 * as often as they like; a worker and they drain the queue; the collector asks for rounds of FLUSH, and answers for SAFE mutators.
 * An assist is a slice: it takes an object, and what it finds there it hands over at the slice's end, as the worker does; there is no poll in it.
 *
 * Variants that lose an object: -DNO_TERMINATION_ROUND, -DSAFE_NOT_FLUSHED, -DOVERFLOW_UNSEEN, -DBUSY_BEFORE, -DASSIST_UNSEEN.
 */
#ifndef N
#define N	4
#endif
#include "common.pml"

#define WORKER	MUTATORS		/* whose hand is the worker's */
byte queue;				/* handed over or found, and not yet looked at: neither marked nor scanned by that */
byte in_hand[MUTATORS + 1];		/* marked, and being scanned by a mutator that assists, or by the worker */
bool work;				/* something was marked since the round began */
bool clean;
mtype = { RUNNING, SAFE, CLAIMED };
mtype state[MUTATORS] = RUNNING;

/* One look under the queue's lock: nothing is there, and nobody is busy. */
#ifdef ASSIST_UNSEEN
#define idle	(queue == 0 && in_hand[WORKER] == NIL)
#else
#define idle	(queue == 0 && in_hand[0] == NIL && in_hand[1] == NIL && in_hand[WORKER] == NIL)
#endif

/* take: an entry of the queue, if it is not marked yet. The mark is an atomic operation, and one taker wins it. */
inline take(w) {
	atomic { queue != 0 && in_hand[w] == NIL;
		x = 1;
		do
		:: has(queue, x) -> break
		:: x < OBJECTS && (queue >> (x + 1)) != 0 -> x++
		od;
		in_hand[w] = x;
		marked = marked | bit(x);
#ifndef OVERFLOW_UNSEEN
		work = true;
#endif
		x = 0;
		queue = queue & ~marked;	/* entries that a look would find marked: no behavior, fewer states */
		buffer[0] = buffer[0] & ~marked;
		buffer[1] = buffer[1] & ~marked }
}

/* hand_over: what was in hand is scanned, and what is found there is for anybody. */
#define hand_over(w)	atomic { queue = queue | (bit(field[in_hand[w]]) & ~marked); in_hand[w] = NIL }

#ifdef OVERFLOW_UNSEEN
#define note_work(set)	work = work || (set) != 0
#else
#define note_work(set)	skip
#endif

/* flush: a mutator's answer in a round, given by itself or, while it is SAFE, by the collector. */
#define flush(m)	note_work(buffer[m]); queue = queue | buffer[m]; buffer[m] = 0

proctype mutator(byte m) {
	byte ops, a, v, old, x;

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
	:: atomic { buffer[m] != 0 -> queue = queue | buffer[m]; buffer[m] = 0 }	/* it was full */
	:: take(m);					/* assist: a slice */
		hand_over(m)
	:: atomic { fence(m) -> state[m] = SAFE };	/* blocking(): here it would run what blocks */
		atomic { state[m] == SAFE -> state[m] = RUNNING }
	:: clean -> break
	od
}

proctype worker() {
	byte x;

end_worker:
	do
	:: take(WORKER);
		hand_over(WORKER)
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

/* At the end of a round: did it bring work? */
#ifdef NO_TERMINATION_ROUND
#define was_clean	idle
#else
#define was_clean	(!work && idle)
#endif
#ifdef BUSY_BEFORE
#define may_begin	true
#else
#define may_begin	idle
#endif

proctype collector() {
	byte x, set, grown;

	do
	:: atomic { may_begin -> work = false; ask(FLUSH) };
		do
		:: claim(0)
		:: claim(1)
		:: atomic { answered -> break }
		od;
		if
		:: d_step { was_clean -> reach(set, x); assert((set & ~marked) == 0); clean = true; set = 0; grown = 0 };
			break
		:: atomic { idle && work -> skip }
		fi
	od
}

init {
	atomic {
		field[GLOBAL] = 1;
		field[1] = 2;
		field[2] = 3;
		queue = bit(1);
		p[0] = 1;			/* was in its stack, and has been shaded with the global */
		run worker();
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
