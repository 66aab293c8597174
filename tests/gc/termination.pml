/* SPDX-License-Identifier: MIT */
/*
 * Termination: marking ends only when nothing that a mutator can reach is left unmarked, and from then on nobody marks.
 *
 * The model begins behind the handshake SCAN: every stack is scanned, barriers are on, the queue is open, and a worker is busy with what roots
 * hold. Two mutators make N operations each (load, store), hand over their buffers when these overflow, and are SAFE when they are asked, or answer
 * themselves; one of them assists as often as it likes. Two workers mark.
 *
 * Who marks is a marker: it becomes busy by a look at the queue, works from a block of its own, takes another when that is empty, gives a part of
 * it to others, and can stop at any time: then it hands over what it holds and adds what it has counted to the sum, and only then is not busy any more.
 * What says "lock" is one hold of the queue's lock. A raw block is looked through as it is taken: while it is not, who has it is busy, and that is all
 * that anybody sees of it.
 *
 * Variants that lose an object: -DNO_TERMINATION_ROUND, -DSAFE_NOT_FLUSHED, -DOVERFLOW_UNSEEN, -DBUSY_UNSEEN (closes while somebody is busy),
 * -DASSIST_UNSEEN (who assists is not counted), -DIDLE_EARLY (not busy before its block is handed over), -DTAKE_FIRST (busy only
 * when it has taken a block), -DCOUNT_LATE (adds what it has counted when it is not busy any more). One that marks when all is over: -DNEVER_CLOSED.
 * -DLOST_ONLY does not look at what is marked when all is over, for variants that do both.
 * -DEDGE_GONE begins some steps later, behind a store: that is where errors of rounds are near.
 */
#ifndef N
#define N	4
#endif
#include "common.pml"

/* Markers: a mutator that assists, and two workers, one of which is the collector's own thread while that does nothing else. */
#define WORKER		MUTATORS
#define MARKERS		(MUTATORS + 2)
byte queue, raw;			/* blocks that were handed over: of marked objects, and of what mutators have met */
bool is_open = true;
byte nr_busy;
byte block[MARKERS];			/* of a marker: marked, not scanned, and no one else's */
bool counted[MARKERS];			/* it has marked something, which is not in the sum yet */
bool work;				/* the sum, since the round began */
bool clean;
mtype = { RUNNING, SAFE, CLAIMED };
mtype state[MUTATORS] = RUNNING;

/* Where a marker is: here, not in its process, so that workers can change places. */
#define OUT		0		/* it is not busy */
#define IN		1
#define BETWEEN		2		/* two steps that only what is wrong takes apart */
byte at[MARKERS];

/* same: both workers do the same, and whatever is done with one of them is done with the other. So they can change places (common.pml). */
#define worker_key(w)	(at[w] + 4 * (counted[w] + 2 * block[w]))
#ifdef UNSORTED
#define same()
#else
inline same() {
	d_step {
		if
		:: worker_key(WORKER) < worker_key(WORKER + 1) ->
			exchange(at[WORKER], at[WORKER + 1]);
			exchange(counted[WORKER], counted[WORKER + 1]);
			exchange(block[WORKER], block[WORKER + 1]);
			spare = 0
		:: else
		fi
	}
}
#endif

/* What goes out of buffers does so for the same reason out of raw blocks (common.pml). */
#define set_marks(set)	marked = marked | (set); raw = unmarked(raw); tidy()

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

#ifdef LOST_ONLY
#define is_swept	false
#else
#define is_swept	clean
#endif

/* find: pointers that w comes to. What is not marked is marked, noted and counted. */
inline find(w, set) {
	assert(!(is_swept && ((set) & ~marked) != 0));	/* nobody marks what is swept */
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
#define be_busy(w)	nr_busy = (is_counted(w) -> nr_busy + 1 : nr_busy)
#define be_idle(w)	nr_busy = (is_counted(w) -> nr_busy - 1 : nr_busy)
#define hand_over(w)	queue = queue | block[w]; block[w] = 0

/* enter: busy, as there is something to take: a look under the lock. */
inline enter(w, may) {
#ifdef TAKE_FIRST
	if
	:: atomic { at[w] == OUT && may && may_enter -> take(w); at[w] = BETWEEN; same() }			/* lock */
	:: atomic { at[w] == BETWEEN -> be_busy(w); at[w] = IN; same() }				/* lock */
	fi
#else
	atomic { at[w] == OUT && may && may_enter -> be_busy(w); at[w] = IN; same() }				/* lock */
#endif
}

/*
 * leave: what it holds is handed over and added up, then it is idle: two holds of the lock. After the first it may as well go on, which is
 * more than any marker does; so that is no place of its own. Nobody looks at the sum while somebody is busy.
 */
inline leave(w) {
	if
#ifdef IDLE_EARLY
	:: atomic { at[w] == IN -> be_idle(w); at[w] = BETWEEN; same() }
	:: atomic { at[w] == BETWEEN -> hand_over(w); add_up(w); at[w] = OUT; same() }
#else
#ifdef COUNT_LATE
	:: atomic { at[w] == IN && block[w] != 0 -> hand_over(w); same() }				/* lock */
	:: atomic { at[w] == IN && block[w] == 0 -> be_idle(w); at[w] = BETWEEN; same() }		/* lock */
	:: atomic { at[w] == BETWEEN -> add_up(w); at[w] = OUT; same() }
#else
	:: atomic { at[w] == IN && (block[w] != 0 || counted[w]) -> hand_over(w); add_up(w); same() }	/* lock */
	:: atomic { at[w] == IN && block[w] == 0 && !counted[w] -> be_idle(w); at[w] = OUT; same() }	/* lock */
#endif
#endif
	fi
}

/* turn: one step of a marker that is busy. */
inline turn(w) {
	if
	:: atomic { at[w] == IN && block[w] == 0 && (queue | raw) != 0 -> take(w); same() }			/* lock */
	:: atomic { at[w] == IN && block[w] != 0 -> one_of(w); set = bit(field[x]); find(w, set); set = 0; x = 0; same() }
	:: atomic { at[w] == IN && has_two(w) -> one_of(w); queue = queue | bit(x); x = 0; same() }		/* shared; lock */
	:: leave(w)
	fi
}

/* flush: a mutator's answer in a round, given by itself or, while it is SAFE, by the collector. */
#define flush(m)	note_work(buffer[m]); raw = raw | buffer[m]; buffer[m] = 0

/* A load that would change nothing is left out: who can still make it can do all that he can who has made it. */
#define can_do(m)	(ops < limit(m) && at[m] == OUT && !clean)
#ifdef TSO
#define is_loaded(r, a)	false
#else
#define is_loaded(r, a)	((r) == field[a])
#endif

proctype mutator(byte m) {
	byte ops, a, v, old, x, set;

	do
	:: atomic { asked[m] && at[m] == OUT && !answering[m] && can_store(m) -> flush(m); answer(m) }
	:: atomic { can_do(m) && !is_loaded(p[m], GLOBAL) -> ops++; load(m, GLOBAL, p[m]) }
	:: atomic { can_do(m) && p[m] != NIL && !is_loaded(q[m], p[m]) -> ops++; load(m, p[m], q[m]) }
	:: atomic { can_do(m) && p[m] != q[m] -> ops++; p[m] = q[m] }
	:: atomic { can_do(m) -> ops++;			/* store: first the barrier */
		if
		:: a = GLOBAL; v = q[m]
		:: p[m] != NIL -> a = p[m]; v = NIL
		:: p[m] != NIL -> a = p[m]; v = q[m]
		fi;
		load(m, a, old);
		shade(m, old);
		old = NIL };
		atomic { can_store(m); store(m, a, v); a = 0; v = NIL }
	:: atomic { clean && buffer[m] == 0 -> buffer[m] = bit(1) }		/* any operation, with any object */
	:: atomic { buffer[m] != 0 && at[m] == OUT && fence(m) -> raw = raw | buffer[m]; buffer[m] = 0 }	/* it was full; lock */
#ifdef SIFTS
	:: atomic { at[m] == OUT && !clean && sift(m) }			/* it was full */
#endif
	:: enter(m, m == 0 && fence(m))						/* assist: a slice */
	:: turn(m)
	:: atomic { asked[m] && at[m] == OUT && !answering[m] && fence(m) -> state[m] = SAFE };	/* blocking(): here it would run what blocks */
		atomic { state[m] == SAFE -> state[m] = RUNNING }
	:: clean && at[m] == OUT -> break
	od
}

proctype worker(byte w) {
	byte x, set;

end_worker:
	do
	:: enter(w, true)
	:: turn(w)
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
#define is_marked	((queue | raw) == 0 && !is_left)

/*
 * The collector closes the queue, and judges or asks. What mutators could do in between they can do behind it: nothing of it depends on whether they are
 * asked, and none of it makes more reachable. When all is over any operation may put anything into a buffer, whatever there is: memory and registers are emptied.
 */
proctype collector() {
	byte x, set, grown;

	do
	:: atomic { is_marked && was_clean -> is_open = false;			/* lock */
		reach(set, x); assert((set & ~marked) == 0); set = 0; grown = 0;
		break }
	:: atomic { is_marked && !was_clean -> is_open = false; work = false; ask(FLUSH) };	/* lock */
		do
		:: claim(0)
		:: claim(1)
		:: atomic { answered -> is_open = true; break }			/* lock */
		od
	od;
	atomic { clean = true; marked = 0;		/* spans are swept, one after the other; here, all at once */
		p[0] = NIL; q[0] = NIL; p[1] = NIL; q[1] = NIL;
		field[GLOBAL] = NIL; field[1] = NIL; field[2] = NIL; field[3] = NIL }
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
		block[WORKER] = bit(1);		/* it marks what roots hold */
		at[WORKER] = IN;
		nr_busy = 1;
		run worker(WORKER);
		run worker(WORKER + 1);
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
