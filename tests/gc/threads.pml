/* SPDX-License-Identifier: MIT */
/*
 * Thread attach and exit, and SAFE: no object is lost while threads come, go, and block in the middle of a cycle.
 *
 * Two mutators, one attached at the beginning, make N operations each: load, store, allocate, exit (and attach again
 * unless it was the last), block. The collector goes through one cycle; it answers for SAFE mutators. What is atomic and says "lock" is
 * under the lock of the thread list.
 *
 * Variants that lose an object: -DPHASE_UNLOCKED (attach reads the phase before it takes the lock), -DEXIT_DROPS (exit forgets the
 * buffer), -DLEAVE_PLAIN (leaves SAFE while claimed), -DRAW_ARGUMENT (a new thread's argument is handed over outside any root),
 * -DATTACH_WHITE (a thread attaches scanned, but allocates white), -DSAFE_NOT_FLUSHED, -DANSWERED_TWICE (the collector does not look once more whether one that it
 * has claimed has answered by then, and copies a stack again that counts as scanned).
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	3
#include "common.pml"

#define OLD	2
byte allocated = OLD;
bool black[MUTATORS];
bool clean;
byte argument;				/* of a new thread, when it is not in a root */
byte copy[MUTATORS];			/* what was on its stack when that was scanned; marked when all have answered */
mtype = { OFFLINE, RUNNING, SAFE, CLAIMED };
mtype state[MUTATORS] = OFFLINE;

/* take_phase: a mutator that attaches is as if it had answered the last handshake, with an empty stack and an empty buffer. */
inline take_phase(m, h) {
	barrier_on[m] = (h == BARRIER || h == BLACK || h == SCAN || h == FLUSH);
	unscanned[m] = (h == BARRIER || h == BLACK);
#ifdef ATTACH_WHITE
	black[m] = (h == BLACK)
#else
	black[m] = (h == BLACK || h == SCAN || h == FLUSH)
#endif
}

inline attach(m) {
#ifdef PHASE_UNLOCKED
	atomic { state[m] == OFFLINE && ops < limit(m) -> seen = phase };
	atomic { take_phase(m, seen); seen = 0; state[m] = RUNNING }
#else
	atomic { state[m] == OFFLINE && ops < limit(m) -> take_phase(m, phase);
#ifdef RAW_ARGUMENT
		p[m] = argument; argument = NIL;
#endif
		state[m] = RUNNING }					/* lock */
#endif
}

inline exit_thread(m) {
	atomic { state[m] == RUNNING && ops < limit(m) && !answering[m] && fence(m) -> ops++;
#ifndef EXIT_DROPS
		mark(buffer[m]);
#endif
		buffer[m] = 0;
		p[m] = NIL; q[m] = NIL;
		barrier_on[m] = false; unscanned[m] = false; black[m] = false;
		asked[m] = false;
		state[m] = OFFLINE }						/* lock */
}

/* The steps of an answer that are the same whoever takes them. */
inline take_step(m) {
	if
	:: phase == BARRIER -> barrier_on[m] = true; unscanned[m] = true
	:: phase == BLACK -> black[m] = true
	:: phase == SCAN -> unscanned[m] = false
#ifdef SAFE_NOT_FLUSHED
	:: phase == FLUSH && state[m] == CLAIMED
	:: phase == FLUSH && state[m] != CLAIMED -> mark(buffer[m]); buffer[m] = 0
#else
	:: phase == FLUSH -> mark(buffer[m]); buffer[m] = 0
#endif
	:: phase == OFF -> barrier_on[m] = false; black[m] = false; buffer[m] = 0
	fi
}

inline poll(m) {
	atomic { state[m] == RUNNING && asked[m] && !answering[m] && can_store(m) ->
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
			copy[m] = bit(p[m]) | bit(q[m])
		:: else
		fi;
		take_step(m);
		answer(m) }
}

#ifdef LEAVE_PLAIN
#define may_leave(m)	true
#else
#define may_leave(m)	(state[m] == SAFE)
#endif

proctype mutator(byte m) {
	byte ops, a, v, old;
	mtype seen;

	do
	:: attach(m)
	:: exit_thread(m)
	:: poll(m)
	:: atomic { state[m] == RUNNING && ops < limit(m) && fence(m) -> ops++; state[m] = SAFE };	/* blocking(): its caller's frames stay as they are */
		atomic { may_leave(m) -> state[m] = RUNNING }
	:: atomic { state[m] == RUNNING && ops < limit(m) -> ops++;			/* load, allocate */
		if
		:: load(m, GLOBAL, p[m])
		:: p[m] != NIL -> load(m, p[m], q[m])
		:: p[m] = q[m]
#ifdef RAW_ARGUMENT
		:: argument = q[m]					/* creates a thread */
#endif
		:: allocated < OBJECTS ->
			allocated++;
			q[m] = allocated;
			if
			:: black[m] -> marked = marked | bit(allocated)
			:: else
			fi
		fi }
	:: atomic { state[m] == RUNNING && ops < limit(m) -> ops++;			/* store: first the barrier */
		if
		:: a = GLOBAL; v = q[m]
		:: p[m] != NIL -> a = p[m]; v = NIL
		:: p[m] != NIL -> a = p[m]; v = q[m]
		fi;
		if
		:: barrier_on[m] ->
			load(m, a, old);
			shade(m, old);
			old = NIL;
			if
			:: unscanned[m] -> shade(m, v)
			:: else
			fi
		:: else
		fi };
		atomic { can_store(m); store(m, a, v); a = 0; v = NIL }
	:: clean -> break
	od
}

#ifdef ANSWERED_TWICE
#define is_open(m)	true
#else
#define is_open(m)	asked[m]
#endif

/*
 * answer_for: the collector claims a SAFE mutator, copies its stack, piece by piece, and takes the other steps for it. In C it looks whether the mutator has not answered, claims
 * it, and looks again; that is as good as one step, because nothing changes while it is claimed. The first look alone may be any time ago.
 */
inline answer_for(m) {
	atomic { is_open(m) && state[m] == SAFE -> state[m] = CLAIMED };
	if
	:: phase == SCAN -> atomic { copy[m] = bit(p[m]) }; atomic { copy[m] = copy[m] | bit(q[m]) }
	:: else
	fi;
	atomic { take_step(m); asked[m] = false; state[m] = (state[m] == CLAIMED -> SAFE : state[m]) }
}

#define ask_attached(h)	phase = h; asked[0] = (state[0] != OFFLINE); asked[1] = (state[1] != OFFLINE)	/* lock */

proctype collector() {
	byte x, set, grown;

	atomic { ask_attached(BARRIER) };
	do
	:: answer_for(0)
	:: answer_for(1)
	:: atomic { phase == SCAN && grey != 0 -> scan_one(x) }
	:: atomic { answered && phase == BARRIER -> ask_attached(BLACK) }
	:: atomic { answered && phase == BLACK -> mark(bit(field[GLOBAL])); ask_attached(SCAN) }
	:: atomic { answered && phase == SCAN && (copy[0] | copy[1]) != 0 -> mark(copy[0] | copy[1]); copy[0] = 0; copy[1] = 0 }
	:: atomic { answered && phase == SCAN && (copy[0] | copy[1] | grey) == 0 -> ask_attached(FLUSH) }
	:: atomic { answered && phase == FLUSH && grey != 0 -> phase = SCAN }	/* a round with work: marking goes on */
	:: atomic { answered && phase == FLUSH && grey == 0 ->
		reach(set, x);
		assert((set & ~marked) == 0);
		set = 0; grown = 0;
		ask_attached(OFF) }
	:: atomic { answered && phase == OFF -> clean = true; break }
	od
}

init {
	atomic {
		field[GLOBAL] = 1;
		field[1] = 2;
		state[0] = RUNNING;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
