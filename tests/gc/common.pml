/* SPDX-License-Identifier: MIT */
/*
 * What the models have in common: a heap of a few objects with one field each, memory as mutators see it, the barrier,
 * handshakes, marking, and what "reachable" means. doc/gc.md has the protocol; names here are names there and in the C code.
 *
 * Objects are numbered from 1, 0 is the null pointer. Object 0 has a field all the same: it is the registered global, the only root
 * beside the registers. Sets of objects are bytes, a bit for each object: the order within a queue or buffer matters to nobody,
 * because a worker may take any entry. What stands in one atomic or d_step is a single access to shared memory together with what
 * is private to its thread; each further access to shared memory is a step of its own.
 *
 * An including model sets N, how many operations each mutator makes (N1: mutator 1, if not as many), and may set OBJECTS. -DTSO gives each mutator a store buffer.
 */
#define MUTATORS	2
#ifndef N1
#define N1		N
#endif
#define limit(m)	((m) == 0 -> N : N1)
#define NIL		0
#define GLOBAL		0
#ifndef OBJECTS
#define OBJECTS		3
#endif
#define bit(x)		((1 << (x)) & ~1)	/* the set of one object; the null pointer makes the empty set */
#define has(set, x)	(((set) >> (x)) & 1)

/*
 * Where processes do the same and their state is in arrays, a state in which two have changed places is as good as the one before: from both the same can happen
 * but for the numbers, and what is asserted of one is asserted of the other. Models that exchange() them have one state for both. Whether they do it
 * always does not matter, nor by which order. -DUNSORTED: they do not.
 */
hidden int spare;
#define exchange(a, b)	spare = a; a = b; b = spare

byte field[OBJECTS + 1];		/* memory; changed by mutators through store() only */
byte p[MUTATORS], q[MUTATORS];		/* registers and stack of a mutator: two pointers */

/* Thread-local state of a mutator, changed by itself, or for it by the collector while it is SAFE. */
bool barrier_on[MUTATORS];
bool unscanned[MUTATORS];		/* its stack was not scanned in this cycle; only of interest with barrier_on */
byte buffer[MUTATORS];			/* what shade() put there and nobody has taken */

/* The collector's. */
byte marked;				/* mark bits; set by the collector, and by mutators for what they allocate black */
byte grey;				/* marked and not yet scanned: queues of the workers */
bool asked[MUTATORS];			/* mutator has not answered the handshake yet; cleared by the answer (release) */
bool answering[MUTATORS];		/* its answer is on its way through the store buffer */
mtype = { IDLE, BARRIER, BLACK, SCAN, FLUSH, OFF, DONE };
mtype phase = IDLE;			/* the last handshake that was asked for */

/*
 * Memory. Without TSO a store is seen by all at once. With it, it waits in its mutator's buffer, first in first out, until the process
 * memory lets it through; the mutator itself sees it at once. An answer to a handshake is a store like others and waits behind them.
 */
#ifdef TSO
#define DEPTH		2
#define ANSWER		15
byte waiting[MUTATORS];			/* stores in the buffer */
byte where[MUTATORS * DEPTH], what[MUTATORS * DEPTH];
#define entry(m, i)	((m) * DEPTH + (i))
#define can_store(m)	(waiting[m] < DEPTH)
#define fence(m)	(waiting[m] == 0)	/* as a guard: waits until all has gone through; a locked instruction does the same */

inline put(m, a, v) {
	where[entry(m, waiting[m])] = a;
	what[entry(m, waiting[m])] = v;
	waiting[m]++
}

/* let_through: the oldest store of m reaches memory. */
inline let_through(m) {
	if
	:: where[entry(m, 0)] == ANSWER -> asked[m] = false; answering[m] = false
	:: else -> field[where[entry(m, 0)]] = what[entry(m, 0)]
	fi;
	waiting[m]--;
	where[entry(m, 0)] = where[entry(m, 1)]; what[entry(m, 0)] = what[entry(m, 1)];
	where[entry(m, 1)] = 0; what[entry(m, 1)] = 0
}

/* load: the youngest store of its own to that address, else memory. */
inline load(m, a, v) {
	if
	:: waiting[m] > 1 && where[entry(m, 1)] == (a) -> v = what[entry(m, 1)]
	:: else ->
		if
		:: waiting[m] > 0 && where[entry(m, 0)] == (a) -> v = what[entry(m, 0)]
		:: else -> v = field[a]
		fi
	fi
}
#define store(m, a, v)	put(m, a, v)
#define answer(m)	put(m, ANSWER, 0); answering[m] = true

active proctype memory() {
end_memory:
	do
	:: d_step { waiting[0] > 0 -> let_through(0) }
	:: d_step { waiting[1] > 0 -> let_through(1) }
	od
}
#else
#define can_store(m)	true
#define fence(m)	true
#define load(m, a, v)	v = field[a]
#define store(m, a, v)	field[a] = (v)
#define answer(m)	asked[m] = false
#endif

/*
 * shade: a pointer goes into the mutator's own buffer, without a look at anybody's memory. What is marked already may be left out:
 * marks stay for the whole cycle, and whoever drains the buffer would find the mark. So it goes out of buffers as soon as it is marked: fewer
 * states. -DSIFTS does as the code: it stays, until somebody drains the buffer or its mutator sifts it, which is a step of its own at any time.
 */
#ifdef SIFTS
#define unmarked(set)	(set)
#else
#define unmarked(set)	((set) & ~marked)
#endif
#ifdef SIFT_ALL
#define sift(m)		buffer[m] != 0 -> buffer[m] = 0
#else
#define sift(m)		(buffer[m] & marked) != 0 -> buffer[m] = buffer[m] & ~marked
#endif
#define shade(m, x)	buffer[m] = buffer[m] | unmarked(bit(x))

/* tidy: what is marked goes out of buffers. */
#define tidy()		buffer[0] = unmarked(buffer[0]); buffer[1] = unmarked(buffer[1])

/* mark: what is not marked becomes marked and grey. */
#define mark(set)	grey = grey | ((set) & ~marked); marked = marked | (set); tidy()

/* take_grey: some grey object, which is not grey any more. */
#define take_grey(x)	grey != 0; \
			x = 1; \
			do \
			:: has(grey, x) -> break \
			:: x < OBJECTS && (grey >> (x + 1)) != 0 -> x++ \
			od; \
			grey = grey & ~bit(x)

#ifdef TOGETHER
byte found;				/* scanned, and to be marked */
byte before;				/* marked when that began */

/* scan_one: a worker takes some grey object and reads its field. What it finds there is in the same span, is scanned at once, and marked when all of it is; or is not. */
inline scan_one(x) {
	atomic { take_grey(x); before = marked };
	do
	:: atomic { field[x] != NIL && !has(before | found, field[x]) -> x = field[x]; found = found | bit(x) }
	:: atomic { mark(bit(field[x]) & ~found); x = 0 };
		d_step {
			marked = marked | found;
			tidy();
			found = 0;
			before = 0
		};
		break
	od
}
#else
/* scan_one: a worker takes some grey object, reads its field and marks what it finds there. */
inline scan_one(x) {
	atomic {
		take_grey(x);
		mark(bit(field[x]));
		x = 0
	}
}
#endif

/* ask: a handshake begins. Every mutator is asked, and answers at a poll of its own; none waits for another. */
#define ask(h)		phase = h; asked[0] = true; asked[1] = true
#define answered	(!asked[0] && !asked[1])

#ifndef more_roots
#define more_roots	0
#endif

#ifndef more_edges
#define more_edges(set)	0		/* what a set of objects leads to otherwise than by their fields */
#endif

/* reach: all that mutators can get at now: by registers, by the global, and by stores that are on their way. */
inline reach(set, x) {
	set = bit(p[0]) | bit(q[0]) | bit(p[1]) | bit(q[1]) | bit(field[GLOBAL]) | more_roots;
#ifdef TSO
	x = 0;
	do
	:: x < MUTATORS * DEPTH -> set = set | bit(what[x]); x++
	:: else -> break
	od;
#endif
	grown = 0;
	do
	:: grown == set -> break
	:: else ->
		grown = set;
		set = set | more_edges(set);
		x = 1;
		do
		:: x <= OBJECTS -> set = set | (has(set, x) -> bit(field[x]) : 0); x++
		:: else -> break
		od
	od;
	x = 0
}
