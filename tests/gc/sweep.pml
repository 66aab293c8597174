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
byte slot[MUTATORS];			/* what it is about to allocate */
bool is_black[MUTATORS];
byte word;				/* the slot whose address the collector has found on a stack */
bool clean;
byte early;				/* marked by barriers, of this cycle, before that marks anything */
bool has_flipped;			/* the kind's gen is not that of the cycle any more */
byte cycle;

/* Where a mutator is, and how many operations it has made: here, not in its process, so that mutators can change places. */
#define REST		0
#define SWEPT		1		/* what it sweeps, but has not put it on the list */
#define TYPING		2		/* it has found a free slot */
#define TYPED_IT	3
#define STORING		4		/* behind the barrier */
#define GONE		5		/* the model ends */
byte at[MUTATORS], ops[MUTATORS];
#define rests(m)	(at[m] == REST && sweeps[m] == NIL)

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

/*
 * same: both mutators do the same, everything that is done with spans is done with whichever of them is fit for it, new ones are all alike, and what is asserted is
 * asserted of all. So mutators and spans can change places (common.pml): the mutator that is ahead is mutator 0, and spans are in the order of all that is known
 * of them. Where two mutators compare equal and are not, two states remain, no harm done. Not with store buffers, which hold numbers, too.
 */
#define other(m)	(place[m] >= HELD -> 2 * HELD + 1 - place[m] : place[m])
#define mutator_key(m)	(ops[m] + 8 * (at[m] + 8 * (asked[m] + 2 * (barrier_on[m] + 2 * (is_black[m] + 2 * ((buffer[m] != 0) + 2 * ((p[m] != NIL) + \
			2 * ((current[m] != NIL) + 2 * ((sweeps[m] != NIL) + 2 * ((p[m] == field[GLOBAL]) + 2 * ((p[m] == current[m]) + \
			2 * (is_old[current[m]] + 2 * has(marked, p[m])))))))))))))
inline exchange_mutators() {
	exchange(ops[0], ops[1]);
	exchange(at[0], at[1]);
	exchange(asked[0], asked[1]);
	exchange(barrier_on[0], barrier_on[1]);
	exchange(is_black[0], is_black[1]);
	exchange(buffer[0], buffer[1]);
	exchange(p[0], p[1]);
	exchange(current[0], current[1]);
	exchange(sweeps[0], sweeps[1]);
	exchange(slot[0], slot[1]);
	place[1] = other(1);
	place[2] = other(2);
	place[3] = other(3)
}

#define is_at(x)	((word == (x)) + 2 * ((field[GLOBAL] == (x)) + 2 * ((p[0] == (x)) + 2 * ((p[1] == (x)) + 2 * ((current[0] == (x)) + 2 * ((current[1] == (x)) + \
			2 * ((sweeps[0] == (x)) + 2 * ((sweeps[1] == (x)) + 2 * ((slot[0] == (x)) + 2 * (slot[1] == (x)))))))))))
#define span_key(x)	(is_at(x) + 1024 * (has(marked, x) + 2 * (has(early, x) + 2 * (has(buffer[0], x) + 2 * (has(buffer[1], x) + 2 * (is_old[x] + \
			2 * (field[x] + 2 * (field[ALLOCATED + x] + 2 * place[x]))))))))
#define renumber(r, x, y)	r = (r == (x) -> (y) : (r == (y) -> (x) : r))
#define regroup(set, x, y)	set = (has(set, x) == has(set, y) -> set : set ^ (bit(x) | bit(y)))
inline order_spans(x, y) {
	if
	:: span_key(x) < span_key(y) ->
		exchange(place[x], place[y]);
		exchange(is_old[x], is_old[y]);
		exchange(field[x], field[y]);
		exchange(field[ALLOCATED + x], field[ALLOCATED + y]);
		regroup(marked, x, y);
		regroup(early, x, y);
		regroup(buffer[0], x, y);
		regroup(buffer[1], x, y);
		renumber(word, x, y);
		renumber(field[GLOBAL], x, y);
		renumber(p[0], x, y);
		renumber(p[1], x, y);
		renumber(current[0], x, y);
		renumber(current[1], x, y);
		renumber(sweeps[0], x, y);
		renumber(sweeps[1], x, y);
		renumber(slot[0], x, y);
		renumber(slot[1], x, y)
	:: else
	fi
}
#if defined(TSO) || N != N1 || defined(UNSORTED)
#define same()
#else
inline same() {
	d_step {
		if
		:: mutator_key(0) < mutator_key(1) -> exchange_mutators()
		:: else
		fi;
		order_spans(1, 2);
		order_spans(2, 3);
		order_spans(1, 2);
		spare = 0
	}
}
#endif

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
		asked[m] && rests(m) && !answering[m] && can_store(m);
		if
		:: phase == BARRIER -> barrier_on[m] = true
		:: phase == BLACK -> is_black[m] = true; marked = marked | (current[m] != NIL -> free_bit(current[m]) : 0)
		:: phase == OFF ->
			barrier_on[m] = false;
			is_black[m] = false;
			buffer[m] = 0;			/* thrown away: marking is over */
			seal(m)
		fi;
		answer(m);
		same()
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
#define none_is(what)	(!what(1) && !what(2) && !what(3))

/* refill: a swept span with a free slot; else it sweeps one, which is for anybody then, and looks again; else a new one. */
#define needs_span(m)	(current[m] == NIL && rests(m) && fence(m))
#define to_sweep(m, x)	sweeps[m] = (x); place[x] = HELD + (m)
inline refill(m) {
	if
	:: is_partial(1) -> adopt(m, 1)
	:: is_partial(2) -> adopt(m, 2)
	:: is_partial(3) -> adopt(m, 3)
	:: is_unswept(1) -> to_sweep(m, 1)
	:: is_unswept(2) -> to_sweep(m, 2)
	:: is_unswept(3) -> to_sweep(m, 3)
	:: place[2] == EMPTY -> adopt(m, 2)
	:: place[3] == EMPTY -> adopt(m, 3)
	:: else
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

/* Behind the clean round what is in a buffer is thrown away: nobody looks at it, unless that is what is wrong. */
#ifdef LATE_DRAIN
#define put_late(m, x)	buffer[m] = bit(x)
#else
#define put_late(m, x)	skip
#endif

/*
 * shade_old: into the buffer; or, without memory for one, the mark is set at once, if that is the cycle's; lock. What comes into the buffer
 * before the clean round is marked at it. Marks may come before all have their barriers on, in spans that somebody still sweeps: some are lost, but
 * nothing is marked by then that a store could hide anything from.
 */
inline shade_old(m, x) {
	if
	:: !barrier_on[m] || !clean
	:: barrier_on[m] && clean -> put_late(m, x)
	:: barrier_on[m] && may_mark -> marked = marked | bit(x); early = early | (phase == BARRIER -> bit(x) : 0)
	fi
}

/* An operation that would change nothing is left out: who can still make it can do all that he can who has made it. */
#define can_do(m)	(ops[m] < limit(m) && rests(m))
#ifdef TSO
#define is_loaded(m)	false
#else
#define is_loaded(m)	(p[m] == field[GLOBAL])
#endif

proctype mutator(byte m) {
	byte v;

	do
	:: poll(m)
	:: atomic { needs_span(m) -> refill(m); same() }					/* lock */
	:: atomic { at[m] == REST && sweeps[m] != NIL -> sweep(sweeps[m]); at[m] = SWEPT; same() }
	:: atomic { at[m] == SWEPT && fence(m) -> is_old[sweeps[m]] = false; place[sweeps[m]] = LISTED; sweeps[m] = NIL; at[m] = REST; same() }	/* lock */
	:: atomic { can_do(m) && fence(m) && !answering[m] -> ops[m]++; exit_and_attach(m); same() }		/* lock */
	:: atomic { can_do(m) && current[m] != NIL -> load(m, ALLOCATED + current[m], v);
		if
		:: v -> current[m] = NIL			/* it is full, and stays in the mutator's hands */
		:: else -> ops[m]++; slot[m] = current[m]; at[m] = TYPING
		fi;
		v = 0;
		same() }
#ifdef BIT_FIRST
	:: atomic { at[m] == TYPING && can_store(m) -> store(m, ALLOCATED + slot[m], 1); at[m] = TYPED_IT; same() }
	:: atomic { at[m] == TYPED_IT && can_store(m) -> store(m, slot[m], TYPED);
#else
	:: atomic { at[m] == TYPING && can_store(m) -> store(m, slot[m], TYPED); at[m] = TYPED_IT; same() }
	:: atomic { at[m] == TYPED_IT && can_store(m) -> assert(is_black[m] || !has(marked, slot[m])); store(m, ALLOCATED + slot[m], 1);
#endif
		p[m] = slot[m]; slot[m] = NIL; at[m] = REST; same() }
	:: atomic { can_do(m) && !is_loaded(m) -> ops[m]++; load(m, GLOBAL, p[m]); same() }
	:: atomic { can_do(m) -> ops[m]++;
		load(m, GLOBAL, v);
		shade_old(m, v);
		v = NIL; at[m] = STORING; same() }
	:: atomic { at[m] == STORING && can_store(m) -> store(m, GLOBAL, p[m]); at[m] = REST; same() }
	:: at[m] == GONE || (phase == DONE && rests(m)) -> break
	od
}

/* A word on some stack has the address of a slot. Acquires the allocated bit; the type is behind it. */
inline mark_conservatively() {
	if
	:: atomic { answered && !is_free(1) -> word = 1; same() }
	:: atomic { answered && !is_free(2) -> word = 2; same() }
	:: atomic { answered && !is_free(3) -> word = 3; same() }
	fi;
	atomic { assert(field[word] == TYPED); marked = marked | bit(word); word = NIL; same() }
}

#define flip_span(x)	is_old[x] = place[x] != EMPTY

/* The collector sweeps a span at a time. */
inline sweep_listed(x) {
	if
	:: atomic { is_unswept(1) -> place[1] = IN_SWEEP; same() }					/* lock */
	:: atomic { is_unswept(2) -> place[2] = IN_SWEEP; same() }
	:: atomic { is_unswept(3) -> place[3] = IN_SWEEP; same() }
	fi;
	atomic {
		x = (place[1] == IN_SWEEP -> 1 : (place[2] == IN_SWEEP -> 2 : 3));
		sweep(x); is_old[x] = false; place[x] = LISTED; x = NIL; same()			/* lock */
	}
}

#ifdef NEXT_TOO_EARLY
#define may_begin	true
#else
#define may_begin	none_is(is_unswept)
#endif

/* Nothing is left that could be swept, so that nothing is asserted any more, whatever mutators do. */
#define is_over		(!is_old[1] && !is_old[2] && !is_old[3] && (marked & (free_bit(1) | free_bit(2) | free_bit(3))) == 0)

proctype collector() {
	byte x;

	do
	:: sweep_listed(x)
	:: atomic { may_begin -> cycle++; has_flipped = false; ask(BARRIER) };
		atomic { answered; assert((marked & ~early) == 0); early = 0;	/* else an object would count as scanned */
			if
			:: cycle > CYCLES -> break
			:: else
			fi;
			ask(BLACK); same() };
		if
		:: mark_conservatively();
			atomic { marked = marked | held; clean = true; same() }		/* the clean round */
		:: atomic { answered -> marked = marked | held; clean = true; same() }
		fi;
		/* Then the gen goes up; lock. */
		atomic { flip_span(1); flip_span(2); flip_span(3); has_flipped = true; same() };
		atomic { ask(OFF); same() };
#ifdef LATE_DRAIN
		atomic { marked = marked | buffer[0] | buffer[1] };
#endif
		atomic { answered; clean = false; same() }
	od;
	atomic {
		phase = DONE;
		at[0] = (is_over -> GONE : at[0]);
		at[1] = (is_over -> GONE : at[1])
	}
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
