/* SPDX-License-Identifier: MIT */
/* A thread of the stress of collected heaps (gc.c): what it holds, and the steps that it takes by chance. */
#ifndef TESTS_STRESS_PARTS_GC_STEPS_H
#define TESTS_STRESS_PARTS_GC_STEPS_H

#include "tests/stress/parts/gc_nodes.h"

#define TREES 8
#define PEEKS 8
#define PACK 8

/* An element of a pack, whose type has a function instead of a list of pointers. */
struct slot {
	uint64_t id;
	struct node *node;	/* with all that is below it; nothing else leads there */
};

/* A thread of the test, on its stack. */
struct worker {
	struct random rng;
	struct node **on_stack; /* roots: half of the trees */
	struct node **in_globals;
	struct node **peeked;	/* on the stack as well */
	uint64_t peeked_ids[PEEKS];
	struct arena_gc_handle *handles[2];
	struct node **range;	/* roots of malloc(), now here, now there; a ninth tree is in it */
	struct shadow *shadows[TREES];
	size_t nr_nodes[TREES];
	struct arena *arena;	/* of holders, or NULL; scanned */
	struct holder *holders;
	struct slot *pack;	/* an object; or NULL */
	struct slot *stowed;	/* where it is while there is no object: globals */
	struct shadow *pack_shadows[PACK];
	uintptr_t anchor;	/* an uncollectable object, hidden; or 0 */
	uint64_t anchor_id;	/* of the node that it leads to */
};

/** What all threads share, in the heap that create_heap() has made; the caller is attached. */
void make_shared(void);
/** Nothing any more. */
void drop_shared(void);

/** The calling thread, attached, has nothing yet. Of those that run at one time no two have the same @number modulo 8. */
void begin(struct worker *me, size_t number);
void step(struct worker *me);
/** Check and drop all that it has. */
void end(struct worker *me);

#endif /* TESTS_STRESS_PARTS_GC_STEPS_H */
