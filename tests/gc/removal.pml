/* SPDX-License-Identifier: MIT */
/*
 * Arena free and root removal while marking: what only a dropped root led to is not lost when a mutator still has it.
 *
 * An arena that is a root and holds one pointer, and a handle, beside the global. Two mutators make N operations each (load, store);
 * one of them may be to free the arena, or to release the handle. Workers scan arenas and handles whenever they come to it,
 * after all have answered BLACK: here these are objects 4 and 5, which nothing points to and which become grey with the roots.
 *
 * Variants that lose an object: -DFREE_UNSHADED, -DROOT_UNSHADED. -DREVOKE_UNSCANNED: the queued arena is revoked before it is scanned.
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	5
#define ARENA	4
#define HANDLE	5
#define more_roots	((arena == LIVE -> bit(field[ARENA]) : 0) | (handle == LIVE -> bit(field[HANDLE]) : 0))
#include "common.pml"

mtype = { LIVE, QUEUED, REVOKED };
mtype arena = LIVE, handle = LIVE;	/* the arena is freed by mutator 0, the handle released by mutator 1: once, and not used afterwards */
bool clean;

inline copy_stack(m) {
	if
	:: true
	:: p[m] != NIL -> p[m] = NIL
	fi;
	if
	:: true
	:: q[m] != NIL -> q[m] = NIL
	fi;
	mark(bit(p[m]) | bit(q[m]));
	unscanned[m] = false
}

inline poll(m) {
	atomic {
		asked[m] && !answering[m] && can_store(m);
		if
		:: phase == BARRIER -> barrier_on[m] = true; unscanned[m] = true
		:: phase == BLACK -> skip			/* nothing is allocated here */
		:: phase == SCAN -> copy_stack(m)
		:: phase == FLUSH -> mark(buffer[m]); buffer[m] = 0
		:: phase == OFF -> barrier_on[m] = false; buffer[m] = 0
		fi;
		answer(m)
	}
}

inline revoke() {
	arena = REVOKED;
	field[ARENA] = NIL
}

/* free_arena: constant time. The flag is the thread's own: it cannot change before the next poll. Locked instruction or system call. */
#ifdef FREE_UNSHADED
#define free_arena(m)	revoke()
#else
inline free_arena(m) {
	if
	:: barrier_on[m] -> arena = QUEUED
	:: else -> revoke()
	fi
}
#endif

#ifdef ROOT_UNSHADED
#define has_barrier(m, a) (barrier_on[m] && (a) != HANDLE)
#else
#define has_barrier(m, a) barrier_on[m]
#endif

proctype mutator(byte m) {
	byte ops, a, v, old;

	do
	:: poll(m)
	:: atomic { ops < limit(m) -> ops++;			/* load */
		if
		:: load(m, GLOBAL, p[m])
		:: p[m] != NIL -> load(m, p[m], q[m])
		:: arena == LIVE -> load(m, ARENA, q[m])
		:: handle == LIVE -> load(m, HANDLE, q[m])
		fi }
	:: atomic { ops < limit(m) -> ops++;			/* store, or release of the handle: first the barrier */
		if
		:: a = GLOBAL; v = q[m]
		:: p[m] != NIL -> a = p[m]; v = NIL
		:: p[m] != NIL -> a = p[m]; v = q[m]
		:: m == 0 && arena == LIVE -> a = ARENA; v = q[m]
		:: m == 1 && handle == LIVE -> a = HANDLE; v = NIL; handle = REVOKED
		fi;
		if
		:: has_barrier(m, a) ->
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
	:: atomic { m == 0 && ops < limit(m) && arena == LIVE && fence(m) -> ops++; free_arena(m) }
	:: phase == DONE -> break
	od
}

#ifdef REVOKE_UNSCANNED
#define scanned(x)	true
#else
#define scanned(x)	(has(marked, x) && !has(grey, x))
#endif

/* scan_then_revoke: a queued arena has been scanned as a root of this cycle when its addresses are taken away. */
inline scan_then_revoke() {
	atomic { arena == QUEUED && scanned(ARENA) -> revoke() }
}

proctype collector() {
	byte x, set, grown;

	atomic { ask(BARRIER) };
	atomic { answered; ask(BLACK) };
	atomic { answered; mark(bit(field[GLOBAL]) | bit(ARENA) | bit(HANDLE)); ask(SCAN) };
	do
	:: scan_one(x)
	:: scan_then_revoke()
	:: atomic { answered && grey == 0 -> ask(FLUSH) };
		if
		:: d_step { answered && grey == 0 -> reach(set, x); assert((set & ~marked) == 0); clean = true; set = 0; grown = 0 };
			break
		:: atomic { answered && grey != 0 -> skip }
		fi
	od;
	atomic { ask(OFF) };
	atomic { answered;
		if
		:: arena == QUEUED -> revoke()		/* it was freed late; nobody queues any more */
		:: else
		fi;
		phase = DONE }
}

init {
	atomic {
		field[ARENA] = 1;
		field[1] = 2;
		field[HANDLE] = 3;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
