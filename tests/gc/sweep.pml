/* SPDX-License-Identifier: MIT */
/*
 * Allocation and sweep: what a mutator has is not swept, every mark is gone before the next cycle marks, and a word that only looks
 * like a pointer marks nothing but an object that is complete.
 *
 * Spans of one slot and one kind, one span in use and the others new. Two mutators allocate from the span that they hold, put objects into the global,
 * forget them, and exit and attach again; N operations each, while the collector goes through CYCLES cycles, and once more up to where marks
 * would be set. Marking is what barrier.pml and termination.pml show that it is: at the clean round all that is reachable is marked.
 *
 * A span is held by a mutator, or by who sweeps it, or on a list of its kind: swept ones if its gen is the kind's, else unswept. When marking has ended
 * the kind's gen goes up by one; from then on who needs a span may sweep one, whether it has heard of that or not. A black mutator marks the free
 * slots of spans that it has and takes, these only while the kind has the cycle's gen. Slots are numbered from 1; field[x] is what slot x holds (typed and zeroed,
 * or not), field[ALLOCATED + x] its allocated bit. What says "lock" is under the kind's lock.
 *
 * Variants that fail: -DUNSEALED, -DSEAL_AS_SWEPT (what is handed in when barriers go off counts as swept), -DBLACKEN_ANY (also what is of the next gen),
 * -DMARK_ANY (a barrier without memory marks whatever the gen is), -DLATE_DRAIN, -DBIT_FIRST, -DNEXT_TOO_EARLY, -DNO_WHITEN (who exits leaves marks on free slots).
 */
#ifndef N
#define N	4
#endif
#ifndef CYCLES
#define CYCLES	1
#endif
#define SPANS		3
#define OBJECTS		(2 * SPANS)
#define ALLOCATED	SPANS
#define TYPED		1
#include "common.pml"

/* A span is its slot: 1 to SPANS. */
#define EMPTY		0		/* new, in nobody's hands: pages that are not in the map */
#define LISTED		1
#define IN_SWEEP	2		/* taken off the list of unswept ones by the collector */
#define HELD		3		/* by mutator 0; HELD + 1 by mutator 1 */
byte place[SPANS + 1];
bool is_old[SPANS + 1];			/* its gen is not the kind's: since there are two at a time, a bit will do */
byte current[MUTATORS];			/* what a mutator allocates from; what it holds besides is full, or being swept */
byte sweeps[MUTATORS];			/* what it has taken to sweep */
bool is_black[MUTATORS];
bool clean;
byte early;				/* marked by barriers, of this cycle, before that marks anything */
bool has_flipped;			/* the kind's gen is not that of the cycle any more */
byte cycle;

/* held: what mutators can get at: a register each (p), the global, and what waits to be stored there. */
#ifdef TSO
#define in_store(i)	(where[i] == GLOBAL -> bit(what[i]) : 0)
#define held	(bit(p[0]) | bit(p[1]) | bit(field[GLOBAL]) | in_store(0) | in_store(1) | in_store(2) | in_store(3))
#else
#define held	(bit(p[0]) | bit(p[1]) | bit(field[GLOBAL]))
#endif

#define is_free(x)	(field[ALLOCATED + (x)] == 0)
#define free_bit(x)	(is_free(x) -> bit(x) : 0)
#define is_held(m, x)	(place[x] == HELD + (m))

#ifdef BLACKEN_ANY
#define blackens(m)	is_black[m]
#else
#define blackens(m)	(is_black[m] && !has_flipped)
#endif

/* adopt: a span with a free slot is the mutator's from now on; lock. */
#define adopt(m, x)	place[x] = HELD + (m); is_old[x] = false; current[m] = (x); marked = marked | (blackens(m) -> free_bit(x) : 0)

/* One of its spans, to the lists; lock. @as_swept: marks of its free slot go, for a mutator that is not black may get it. */
#ifdef NO_WHITEN
#define whiten(x)	skip
#else
#define whiten(x)	marked = (is_old[x] -> marked : marked & ~free_bit(x))
#endif
#define hand_in(x)	place[x] = LISTED

/* What is handed in when barriers go off: full ones, and the current one if it is not of the kind's gen. */
inline seal_span(m, x) {
	if
	:: is_held(m, x) && (current[m] != (x) || is_old[x]) ->
		current[m] = (current[m] == (x) -> NIL : current[m]);
		hand_in(x);
#ifdef SEAL_AS_SWEPT
		is_old[x] = false
#endif
	:: else
	fi
}
inline seal(m) {
#ifndef UNSEALED
	seal_span(m, 1);
	seal_span(m, 2);
	seal_span(m, 3);
#endif
	skip
}

inline poll(m) {
	atomic {
		asked[m] && !answering[m] && can_store(m) && sweeps[m] == NIL;
		if
		:: phase == BARRIER -> barrier_on[m] = true
		:: phase == BLACK -> is_black[m] = true; marked = marked | (current[m] != NIL -> free_bit(current[m]) : 0)
		:: phase == OFF ->
			barrier_on[m] = false;
			is_black[m] = false;
			buffer[m] = 0;			/* thrown away: marking is over */
			seal(m)
		fi;
		answer(m)
	}
}

/* sweep: what is allocated and not marked is freed; what is marked loses its mark. */
inline sweep(x) {
	if
	:: !is_free(x) && !has(marked, x) ->
		assert(!has(held, x));			/* a live object is never swept */
		field[ALLOCATED + x] = 0;
		field[x] = NIL
	:: else
	fi;
	marked = marked & ~bit(x);
	early = early & ~bit(x)
}

#define is_unswept(x)	(place[x] == LISTED && is_old[x])
#define is_partial(x)	(place[x] == LISTED && !is_old[x] && is_free(x))

/* refill: a swept span with a free slot; else it sweeps one, which is for anybody then, and looks again; else a new one. */
inline refill(m) {
	atomic { current[m] == NIL && sweeps[m] == NIL && fence(m);	/* lock */
		if
		:: is_partial(1) -> adopt(m, 1)
		:: is_partial(2) -> adopt(m, 2)
		:: is_partial(3) -> adopt(m, 3)
		:: is_unswept(1) -> sweeps[m] = 1
		:: is_unswept(2) -> sweeps[m] = 2
		:: is_unswept(3) -> sweeps[m] = 3
		:: place[2] == EMPTY -> adopt(m, 2)
		:: place[3] == EMPTY && place[2] != EMPTY -> adopt(m, 3)
		:: else -> goto next
		fi;
		place[sweeps[m]] = (sweeps[m] != NIL -> HELD + m : 0) };
	if
	:: sweeps[m] == NIL
	:: atomic { sweeps[m] != NIL -> sweep(sweeps[m]) };
		atomic { fence(m) -> is_old[sweeps[m]] = false; place[sweeps[m]] = LISTED; sweeps[m] = NIL }	/* lock */
	fi
}

/* exit: all that it holds is anybody's. Who attaches is as if it had answered. */
inline exit_span(m, x) {
	if
	:: is_held(m, x) -> whiten(x); hand_in(x)
	:: else
	fi
}
#define was_asked(h)	(phase == h && cycle != 0)
inline exit_and_attach(m) {
	exit_span(m, 1);
	exit_span(m, 2);
	exit_span(m, 3);
	current[m] = NIL;
	p[m] = NIL;
	marked = marked | (clean -> 0 : buffer[m]);
	buffer[m] = 0;
	barrier_on[m] = was_asked(BARRIER) || was_asked(BLACK);
	is_black[m] = was_asked(BLACK);
	asked[m] = false
}

#ifdef MARK_ANY
#define may_mark	true
#else
#define may_mark	(!has_flipped)
#endif

/*
 * shade_old: into the buffer; or, without memory for one, the mark is set at once, if that is the cycle's; lock. What comes into the buffer
 * before the clean round is marked at it. Marks may come before all have their barriers on, in spans that somebody still sweeps: some are lost, but
 * nothing is marked by then that a store could hide anything from.
 */
inline shade_old(m, x) {
	if
	:: !barrier_on[m] || !clean
	:: barrier_on[m] && clean -> buffer[m] = bit(x)
	:: barrier_on[m] && may_mark -> marked = marked | bit(x); early = early | (phase == BARRIER -> bit(x) : 0)
	fi
}

proctype mutator(byte m) {
	byte ops, x, v;

next:	do
	:: poll(m)
	:: refill(m)
	:: atomic { ops < limit(m) && fence(m) && !answering[m] -> ops++; exit_and_attach(m) }		/* lock */
	:: atomic { ops < limit(m) && current[m] != NIL -> load(m, ALLOCATED + current[m], v);
		if
		:: v -> current[m] = NIL			/* it is full, and stays in the mutator's hands */
		:: else -> ops++; x = current[m]
		fi;
		v = 0 };
		if
		:: x == NIL
		:: x != NIL ->
#ifdef BIT_FIRST
			atomic { can_store(m); store(m, ALLOCATED + x, 1) };
			atomic { can_store(m); store(m, x, TYPED); p[m] = x; x = NIL }
#else
			atomic { can_store(m); store(m, x, TYPED) };
			atomic { can_store(m); assert(is_black[m] || !has(marked, x)); store(m, ALLOCATED + x, 1); p[m] = x; x = NIL }
#endif
		fi
	:: atomic { ops < limit(m) -> ops++; load(m, GLOBAL, p[m]) }
	:: atomic { ops < limit(m) -> ops++;
		load(m, GLOBAL, v);
		shade_old(m, v);
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
		:: !is_free(x)
		:: else -> x = NIL
		fi };
	if
	:: x == NIL
	:: d_step { x != NIL -> assert(field[x] == TYPED); marked = marked | bit(x); x = NIL }
	fi
}

#define flip_span(x)	is_old[x] = place[x] != EMPTY

inline sweep_listed(x) {
	atomic { is_unswept(x) -> place[x] = IN_SWEEP };				/* lock */
	atomic { sweep(x); is_old[x] = false; place[x] = LISTED }			/* lock */
}

proctype collector() {
	byte x;

	do
	:: cycle++;
		atomic { has_flipped = false; ask(BARRIER) };
		atomic { answered; assert((marked & ~early) == 0); early = 0;	/* else an object would count as scanned */
			if
			:: cycle > CYCLES -> break
			:: else
			fi };
		atomic { ask(BLACK) };
		answered;
		if
		:: mark_conservatively(x)
		:: true
		fi;
		/* The clean round; then the gen goes up; lock. */
		atomic { marked = marked | held; clean = true };
		atomic { flip_span(1); flip_span(2); flip_span(3); has_flipped = true };
		atomic { ask(OFF) };
#ifdef LATE_DRAIN
		atomic { marked = marked | buffer[0] | buffer[1] };
#endif
		atomic { answered; clean = false };
		do
		:: sweep_listed(1)
		:: sweep_listed(2)
		:: sweep_listed(3)
#ifdef NEXT_TOO_EARLY
		:: break
#else
		:: !is_unswept(1) && !is_unswept(2) && !is_unswept(3) -> break
#endif
		od
	od;
	phase = DONE
}

init {
	atomic {
		field[1] = TYPED;
		field[ALLOCATED + 1] = 1;
		place[1] = LISTED;
		field[GLOBAL] = 1;
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
