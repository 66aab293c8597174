/* SPDX-License-Identifier: MIT */
/*
 * Allocation and sweep: what a mutator has is not swept, every mark is gone before the next cycle begins, and a word that only looks
 * like a pointer marks nothing but an object that is complete.
 *
 * Spans of one slot, one span in use and the others fresh, which is never used. Two mutators allocate from the span that they hold in their cache, put objects into the global, forget them,
 * and give their span back; N operations each, while the collector goes through CYCLES cycles. Marking is what
 * barrier.pml and termination.pml show that it is: at the clean round all that is reachable is marked.
 *
 * A span is swept or not, that is, its sweep_cycle is the heap's cycle or the one before; beginning a cycle makes all of them unswept.
 * A mutator's alloc_cycle says the same: it becomes the heap's when the mutator answers OFF. It takes spans whose sweep_cycle is its
 * alloc_cycle, and no others. Slots are numbered from 1; field[x] is what slot x holds (typed and zeroed, or not), field[ALLOCATED + x]
 * its allocated bit.
 *
 * Variants that fail: -DUNSEALED, -DREFILL_ANY, -DLATE_DRAIN, -DBIT_FIRST, -DNEXT_TOO_EARLY, -DWHITE_TOO_EARLY.
 */
#ifndef N
#define N	4
#endif
#ifndef CYCLES
#define CYCLES	1
#endif
#define SPANS		3
#define SLOTS		1
#define OBJECTS		(2 * SPANS * SLOTS)
#define ALLOCATED	(SPANS * SLOTS)
#define TYPED		1
#include "common.pml"

#define NONE		SPANS
#define first(s)	((s) * SLOTS + 1)
byte cached[MUTATORS] = NONE;		/* guarded by the heap's lock together with swept, where a span changes hands */
bool swept[SPANS + 1] = true;		/* of fresh ones it says nothing */
bool fresh[SPANS + 1];
bool alloc_swept[MUTATORS] = true;
bool black[MUTATORS];
bool sweeping;				/* all have answered OFF: spans may be swept */
bool clean;

/* held: what mutators can get at: a register each (p), the global, and what waits to be stored there. */
#ifdef TSO
#define in_store(i)	(where[i] == GLOBAL -> bit(what[i]) : 0)
#define held	(bit(p[0]) | bit(p[1]) | bit(field[GLOBAL]) | in_store(0) | in_store(1) | in_store(2) | in_store(3))
#else
#define held	(bit(p[0]) | bit(p[1]) | bit(field[GLOBAL]))
#endif

#ifdef UNSEALED
#define seal(m)		skip
#else
#define seal(m)		cached[m] = NONE
#endif

inline poll(m) {
	atomic {
		asked[m] && !answering[m] && can_store(m);
		if
		:: phase == BARRIER -> barrier_on[m] = true
		:: phase == BLACK -> black[m] = true
		:: phase == OFF ->
			barrier_on[m] = false;
			black[m] = false;
			buffer[m] = 0;			/* thrown away: marking is over */
			seal(m);
			alloc_swept[m] = true
		fi;
		answer(m)
	}
}

/* sweep_slot: what is allocated and not marked is freed; what is marked loses its mark. */
inline sweep_slot(x) {
	if
	:: field[ALLOCATED + x] && !has(marked, x) ->
		assert(!has(held, x));			/* a live object is never swept */
		field[ALLOCATED + x] = 0;
		field[x] = NIL
	:: else -> marked = marked & ~bit(x)
	fi
}
inline sweep(s) {
	sweep_slot(first(s));
	swept[s] = true
}

#ifdef UNSEALED
#define is_central(s)	(!fresh[s])
#else
#define is_central(s)	(!fresh[s] && cached[0] != (s) && cached[1] != (s))
#endif
#define is_done(s)	(fresh[s] || swept[s])
#ifdef REFILL_ANY
#define is_alike(m, s)	(swept[s] || !alloc_swept[m])
#else
#define is_alike(m, s)	(swept[s] == alloc_swept[m])
#endif
#define may_take(m, s)	(is_central(s) && cached[0] != (s) && cached[1] != (s) && is_alike(m, s) && field[ALLOCATED + first(s)] == 0)
#define may_sweep(m, s)	(sweeping && alloc_swept[m] && is_central(s) && !swept[s])

/*
 * refill: a span with room that is as far as the mutator is; one that it sweeps itself, once all have answered OFF; a fresh one, which
 * from then on is as far as the mutator.
 */
inline refill(m) {
	atomic { cached[m] == NONE && fence(m);
		if
		:: may_take(m, 0) -> cached[m] = 0
		:: may_take(m, 1) -> cached[m] = 1
		:: may_take(m, 2) -> cached[m] = 2
		:: may_sweep(m, 0) -> sweep(0)
		:: may_sweep(m, 1) -> sweep(1)
		:: may_sweep(m, 2) -> sweep(2)
		:: fresh[1] -> fresh[1] = false; swept[1] = alloc_swept[m]; cached[m] = 1
		:: fresh[2] && !fresh[1] -> fresh[2] = false; swept[2] = alloc_swept[m]; cached[m] = 2
		:: else
		fi }
}

inline mark_black(m, x) {
	if
	:: black[m] -> marked = marked | bit(x)
	:: else
	fi
}

proctype mutator(byte m) {
	byte ops, x, v;

	do
	:: poll(m)
	:: refill(m)
	:: atomic { cached[m] != NONE && ops < limit(m) && fence(m) -> ops++; cached[m] = NONE }	/* given back */
	:: atomic { ops < limit(m) && cached[m] != NONE -> load(m, ALLOCATED + first(cached[m]), v);
		if
		:: v -> cached[m] = NONE			/* it is full */
		:: else -> ops++; x = first(cached[m])
		fi;
		v = 0 };
		if
		:: x == NIL
		:: x != NIL ->
#ifdef BIT_FIRST
			atomic { can_store(m); mark_black(m, x); store(m, ALLOCATED + x, 1) };
			atomic { can_store(m); store(m, x, TYPED); p[m] = x; x = NIL }
#else
			atomic { can_store(m); store(m, x, TYPED) };
			atomic { can_store(m); mark_black(m, x); store(m, ALLOCATED + x, 1); p[m] = x; x = NIL }
#endif
		fi
	:: atomic { ops < limit(m) -> ops++; load(m, GLOBAL, p[m]) }
	:: atomic { ops < limit(m) -> ops++;
		load(m, GLOBAL, v);
		if
		:: barrier_on[m] && clean -> buffer[m] = bit(v)		/* earlier ones are marked at the clean round */
		:: else
		fi;
		v = NIL };
		atomic { can_store(m); store(m, GLOBAL, p[m]) }
	:: phase == DONE -> break
	od
}

/* A word on some stack has the address of a slot. Acquires the allocated bit; the type is behind it. */
inline mark_conservatively(x) {
	atomic {
		if
		:: x = 1
		:: x = 2
		:: x = 3
		fi;
		if
		:: field[ALLOCATED + x]
		:: else -> x = NIL
		fi };
	if
	:: x == NIL
	:: d_step { x != NIL -> assert(field[x] == TYPED); marked = marked | bit(x); x = NIL }
	fi
}

proctype collector() {
	byte x, cycle;

	do
	:: cycle < CYCLES -> cycle++;
		d_step { assert(marked == 0);			/* else an object would count as scanned */
			swept[0] = false; swept[1] = false; swept[2] = false;
			alloc_swept[0] = false; alloc_swept[1] = false;
			sweeping = false;
			ask(BARRIER) };
		atomic { answered; ask(BLACK) };
		answered;
		if
		:: mark_conservatively(x)
		:: true
		fi;
		atomic { marked = marked | held; clean = true; ask(OFF) };
#ifdef LATE_DRAIN
		atomic { marked = marked | buffer[0] | buffer[1] };
#endif
		atomic { answered; clean = false; sweeping = true };
		do
		:: atomic { !is_done(0) && is_central(0) -> sweep(0) }
		:: atomic { !is_done(1) && is_central(1) -> sweep(1) }
		:: atomic { !is_done(2) && is_central(2) -> sweep(2) }
#ifdef NEXT_TOO_EARLY
		:: break
#else
		:: is_done(0) && is_done(1) && is_done(2) -> break
#endif
		od
	:: cycle == CYCLES -> break
	od;
	atomic { assert(marked == 0); phase = DONE }
}

init {
	atomic {
		fresh[1] = true;
		fresh[2] = true;
		field[1] = TYPED;
		field[ALLOCATED + 1] = 1;
		field[GLOBAL] = 1;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
