/* SPDX-License-Identifier: MIT */
/*
 * Ephemerons: when a round is judged their fixpoint is reached: what a mutator can get at is marked, where an ephemeron that it can get at leads to its
 * value if its key can be got at otherwise. A key that is dead takes the value along.
 *
 * The model begins behind the handshake SCAN, with an ephemeron that a root leads to. Two mutators make N operations each: read the key, read the
 * value, load, store, set another value. Two markers scan, mark, and look for each other: who scans the ephemeron and finds its key not marked lets it wait in the
 * table, and gives the key's span its flag; who marks an object and sees the flag takes what waits for it out of the table, to be scanned again. They may miss
 * each other, and a mutator without memory for a note marks and does not look: so the collector looks when nothing else is left. Whether it is, is one look here
 * (termination.pml). What says "lock" is under the lock of the table.
 *
 * A new value does not shade the one that goes: who has read that has shaded it. And it may be dead; then a mark, which it gets at once where there is no
 * memory for a note, would bring it back, but not what it leads to.
 *
 * Variants that lose an object: -DNO_SETTLE (the collector does not look), -DVALUE_UNSHADED (what is read of a value is
 * not shaded), -DSET_SHADES (a new value shades the one that goes), -DNO_COUNT (closes though count has moved), -DCLEAR_AFTER_OFF.
 * -DMEMORY: there is always memory for notes.
 */
#ifndef N
#define N	4
#endif
#define OBJECTS	3
#define EPHEMERON	1
#define KEY		2
#define VALUE		3
#define more_roots	bit(EPHEMERON)
#define more_edges(set)	(key != NIL && has(set, KEY) -> bit(value) : 0)
byte key = KEY, value = VALUE;
#include "common.pml"

byte raw;				/* what mutators have handed over, to be looked at */
bool work = true;			/* there is, or must be, another round: something was marked since this one began */
bool is_short;				/* something was marked that nobody has noted */
bool waiting;				/* the ephemeron is in the table */
bool has_keys;				/* the flag of the key's span */
mtype = { OPEN, CLOSED };
mtype weak_state = OPEN;
bool is_judged;				/* the last round was clean */

/* Where markers and mutators are: here, not in their processes, so that they can change places. */
#define REST		0
#define WAITS		1		/* a marker has the ephemeron, and has seen that its key is not marked */
#define FLAGS		2		/* the ephemeron is in the table, and the flag not set */
#define FOUND		3		/* it has read a pointer */
#define LOOKS		4		/* it has marked the key */
byte hand[2], pointer[2];
#define READ_KEY	1		/* a mutator reads the key, which is not marked; then */
#define OPEN_KEY	2		/* it has added itself, and the state was OPEN */
#define READ_VALUE	3
#define OPEN_VALUE	4
#define STORE_GLOBAL	5		/* it is behind the barrier */
#define STORE_NULL	6
#define STORE_VALUE	7		/* only where that is wrong */
#define GONE		8		/* the model ends */
byte at[MUTATORS], ops[MUTATORS];

/*
 * same: both mutators do the same, so do both markers, and whatever is done with one is done with the other. So they can change places (common.pml). Marks and flags
 * stay, so that nobody waits for steps that these have made idle: to mark what is marked, and to set the flag when it is set or nobody will look for it any more.
 */
#define mutator_key(m)	(asked[m] + 2 * (barrier_on[m] + 2 * (at[m] + 16 * (ops[m] + 8 * (q[m] + 4 * buffer[m])))))
#define marker_key(w)	(hand[w] + 8 * pointer[w])
#define is_idle(w)	(hand[w] == FOUND && has(marked, pointer[w]) || hand[w] == FLAGS && has_keys)
#define be_idle(w)	hand[w] = (is_idle(w) -> REST : hand[w]); pointer[w] = (hand[w] == FOUND -> pointer[w] : NIL)
#ifdef UNSORTED
#define same()
#else
inline same() {
	d_step {
		has_keys = has_keys || (has(marked, KEY) && hand[0] != LOOKS && hand[1] != LOOKS);
		be_idle(0);
		be_idle(1);
		if
		:: marker_key(0) < marker_key(1) ->
			exchange(hand[0], hand[1]);
			exchange(pointer[0], pointer[1])
		:: else
		fi;
#if N == N1
		if
		:: mutator_key(0) < mutator_key(1) ->
			exchange(asked[0], asked[1]);
			exchange(barrier_on[0], barrier_on[1]);
			exchange(at[0], at[1]);
			exchange(ops[0], ops[1]);
			exchange(q[0], q[1]);
			exchange(buffer[0], buffer[1])
		:: else
		fi;
#endif
		spare = 0
	}
}
#endif

/* win: a marker sets a mark that was not set. Who marks the key looks for who waits for it, in a step of its own. */
#define win(w, x)	work = true; hand[w] = ((x) == KEY -> LOOKS : REST); mark(bit(x)); raw = raw & ~marked

/* A null pointer and one to what is marked is none. */
#define find(w, x)	pointer[w] = (x); hand[w] = (pointer[w] != NIL && !has(marked, pointer[w]) -> FOUND : REST); pointer[w] = (hand[w] == FOUND -> pointer[w] : NIL)
#define is_grey(w, x)	(hand[w] == REST && has(grey, x))
#define is_noted(w, x)	(hand[w] == REST && has(raw, x))

/*
 * The ephemeron is in one place at a time, and a mark that is seen stays: so to take it, to see that its key is marked, and to read the value, may be one step; and
 * what was noted is there for all until it is marked.
 */
proctype marker(bit w) {
	byte x;

end_marker:
	do
	:: atomic { is_grey(w, EPHEMERON) -> grey = grey & ~bit(EPHEMERON);
		if
		:: has(marked, KEY) -> find(w, value)
		:: else -> hand[w] = WAITS
		fi;
		same() }
	:: atomic { hand[w] == WAITS -> waiting = true; hand[w] = FLAGS; same() }		/* lock */
	:: atomic { hand[w] == FLAGS -> has_keys = true; hand[w] = REST; same() }
	:: atomic { is_grey(w, KEY) -> grey = grey & ~bit(KEY); find(w, field[KEY]); same() }
	:: atomic { is_grey(w, VALUE) -> grey = grey & ~bit(VALUE); find(w, field[VALUE]); same() }
	:: atomic { is_noted(w, KEY) -> win(w, KEY); same() }
	:: atomic { is_noted(w, VALUE) -> win(w, VALUE); same() }
	:: atomic { hand[w] == FOUND -> x = pointer[w]; pointer[w] = NIL; win(w, x); x = NIL; same() }
	:: atomic { hand[w] == LOOKS ->
		grey = grey | (has_keys && waiting -> bit(EPHEMERON) : 0); waiting = waiting && !has_keys;	/* lock */
		hand[w] = REST; same() }
	od
}

/*
 * note: what mutators shade; without memory for a note it is marked, not looked at, and not noted. When the last round was clean, notes are thrown away:
 * nobody looks at them any more.
 */
#define put_note(m, x)	buffer[m] = (is_judged -> 0 : buffer[m] | (bit(x) & ~marked))
inline note(m, x) {
	if
	:: put_note(m, x)
#ifndef MEMORY
	:: !has(marked, x) && x != NIL -> marked = marked | bit(x); is_short = !is_judged; buffer[0] = buffer[0] & ~marked; buffer[1] = buffer[1] & ~marked; raw = raw & ~marked
#endif
	fi
}

#ifdef VALUE_UNSHADED
#define note_read(m, x)	skip
#else
#define note_read(m, x)	note(m, x)
#endif

/* Count has moved: no more than that this round is not the last one. */
#ifdef NO_COUNT
#define move_count()	skip
#else
#define move_count()	work = true
#endif

/* An operation that would change nothing is left out: who can still make it can do all that he can who has made it. */
#define can_do(m)	(ops[m] < limit(m) && at[m] == REST)
#define get(m, x)	ops[m] < limit(m) && at[m] == REST && q[m] != (x) -> ops[m]++; q[m] = (x)

/* As in weak.pml. */
#define is_seen(m, x)	(key != NIL && ((x) == NIL || !barrier_on[m] || has(marked, x)))
inline read_weakly(m, place, reads, is_open) {
	if
	:: atomic { is_seen(m, place) && get(m, place); same() }
	:: atomic { can_do(m) && key != NIL && !is_seen(m, place) -> ops[m]++; at[m] = reads; same() }
	:: atomic { at[m] == reads -> move_count();
		if
		:: weak_state == OPEN -> at[m] = is_open
		:: weak_state == CLOSED -> q[m] = NIL; at[m] = REST
		fi;
		same() }
	:: atomic { at[m] == is_open -> t = place; note_read(m, t); q[m] = t; t = NIL; at[m] = REST; same() }
	fi
}

proctype mutator(byte m) {
	byte old, t;

	do
	:: atomic { asked[m] && at[m] == REST ->
		if
		:: phase == FLUSH -> raw = raw | buffer[m]
		:: phase == OFF -> barrier_on[m] = false
		fi;
		buffer[m] = 0;
		asked[m] = false;
		same() }
	:: read_weakly(m, key, READ_KEY, OPEN_KEY)
	:: read_weakly(m, value, READ_VALUE, OPEN_VALUE)
	:: atomic { get(m, NIL); same() }			/* forgotten, or read of a key that is cleared */
	:: atomic { get(m, field[GLOBAL]); same() }
	:: atomic { q[m] != NIL && get(m, field[q[m]]); same() }
	:: atomic { can_do(m) && barrier_on[m] -> ops[m]++;
		old = field[GLOBAL]; note(m, old); old = NIL; at[m] = STORE_GLOBAL; same() }
	:: atomic { can_do(m) && barrier_on[m] && q[m] != NIL -> ops[m]++;
		old = field[q[m]]; note(m, old); old = NIL; at[m] = STORE_NULL; same() }
	:: atomic { at[m] == STORE_GLOBAL -> field[GLOBAL] = q[m]; at[m] = REST; same() }
	:: atomic { at[m] == STORE_NULL -> field[q[m]] = NIL; at[m] = REST; same() }
	:: atomic { can_do(m) && !barrier_on[m] && field[GLOBAL] != q[m] -> ops[m]++; field[GLOBAL] = q[m]; same() }
	:: atomic { can_do(m) && !barrier_on[m] && q[m] != NIL && field[q[m]] != NIL -> ops[m]++; field[q[m]] = NIL; same() }
#ifdef SET_SHADES
	:: atomic { can_do(m) && barrier_on[m] -> ops[m]++; old = value; note(m, old); old = NIL; at[m] = STORE_VALUE; same() }
	:: atomic { at[m] == STORE_VALUE -> value = q[m]; at[m] = REST; same() }
#else
	:: atomic { can_do(m) && value != q[m] -> ops[m]++; value = q[m]; same() }
#endif
	:: at[m] == GONE -> break
	od
}

#define idle		(answered && (grey | raw) == 0 && hand[0] == REST && hand[1] == REST)
#define is_missed	(waiting && has(marked, KEY))

#ifdef NO_SETTLE
#define must_settle	false
#else
#define must_settle	is_missed
#endif
#define is_left		(is_short || must_settle)

inline clear_key() {
	atomic { is_dead = !has(marked, KEY); key = (is_dead -> NIL : key); same() };
	atomic { value = (is_dead -> NIL : value); is_dead = false; same() }
}

proctype collector() {
	byte x, set, grown;
	bool is_dead;

	do
	:: atomic { idle && is_left ->
		work = work || is_short;
		grey = grey | (is_short -> marked : 0) | (must_settle -> bit(EPHEMERON) : 0);
		waiting = waiting && !must_settle;
		is_short = false; same() }
	:: atomic { idle && !is_left && work -> work = false; ask(FLUSH); same() }
	:: atomic { idle && !is_left && !work -> weak_state = CLOSED;
		is_judged = true; waiting = false; work = true; buffer[0] = 0; buffer[1] = 0; same();	/* and nobody looks at these any more */
		break }
	od;
#ifndef CLEAR_AFTER_OFF
	clear_key();
#endif
	atomic { weak_state = OPEN; ask(OFF); same() };
	atomic { answered; reach(set, x); assert((set & ~marked) == 0); set = 0; grown = 0;	/* a live object is never swept */
#ifndef CLEAR_AFTER_OFF
		at[0] = GONE; at[1] = GONE
#endif
	};
#ifdef CLEAR_AFTER_OFF
	clear_key();
	atomic { at[0] = GONE; at[1] = GONE }
#endif
}

init {
	atomic {
		if				/* the key is live, or not */
		:: field[GLOBAL] = KEY; raw = bit(KEY)
		:: true
		fi;
		field[VALUE] = KEY;		/* which does not make the key live */
		marked = bit(EPHEMERON);
		grey = bit(EPHEMERON);
		barrier_on[0] = true;
		barrier_on[1] = true;
		run marker(0);
		run marker(1);
		run collector();
		run mutator(0);
		run mutator(1)
	}
}
