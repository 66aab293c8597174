/* SPDX-License-Identifier: MIT */
/*
 * A collected heap and its mutators: what the files of the collector share. doc/gc.md says how they work together.
 *
 * Who guards what is said at each field. "The mutator" is its thread while it is RUNNING, and the collector while it has claimed it.
 */
#ifndef LIBARENA_GC_HEAP_H
#define LIBARENA_GC_HEAP_H

#include <pthread.h>

#include "gc/annex.h"
#include "gc/chain.h"
#include "gc/drive.h"
#include "gc/event.h"
#include "gc/hist.h"
#include "gc/queue.h"
#include "gc/stack.h"
#include "gc/type.h"

/*
 * Steps of the protocol that a build may leave out (make BREAK=1 B=build-break), to see whether tests notice. None of them is one that a program can do
 * without.
 */
enum gc_step {
	GC_STEP_OLD = 1,	/* a store shades what was there */
	GC_STEP_NEW,		/* and what comes while the stack is not scanned */
	GC_STEP_BLACK,		/* objects that are made while marking are marked */
	GC_STEP_APART,		/* barriers are on everywhere before a stack counts as scanned, or an object is black */
	GC_STEP_ROUNDS,		/* barriers are flushed until that brings nothing */
	GC_STEP_SAFE,		/* also those of threads that answer for nothing */
	GC_STEP_SEAL,		/* spans that are not swept are handed in when marking ends */
	GC_STEP_TWICE,		/* between the two, all answer once more */
	GC_STEP_WEAK,		/* what is read of a weak reference is shaded */
	GC_STEP_QUEUE,		/* an arena that is freed before it was scanned is left to the collector */
	GC_STEP_CLEAR,		/* weak references to what is dead are cleared */
	GC_STEP_ONCE,		/* who has answered is not answered for */
};
#ifndef ARENA_GC_BREAK
#define ARENA_GC_BREAK 0
#endif

static inline bool gc_does(enum gc_step step)
{
	return (enum gc_step)ARENA_GC_BREAK != step;
}

/* What the collector asks of mutators. In the lower bits of asked and answered; above them is a number. */
enum gc_request {
	GC_REQUEST_OFF = 0,	/* H4: the barrier goes off, spans that are not swept are handed in. Also: nothing yet */
	GC_REQUEST_BARRIER,	/* H1: the barrier goes on */
	GC_REQUEST_BLACK,	/* H1b: objects are black from now on. Who answers has no store under way that began before all barriers were on */
	GC_REQUEST_SCAN,	/* H2: the stack is copied, and counts as scanned */
	GC_REQUEST_FLUSH,	/* H3: what the barrier has met is handed over */
	GC_REQUEST_STOP,	/* to look at the heap, and where all stop for marking: the stack is copied, and the thread waits */
	GC_REQUEST_RESUME,	/* after it */
};
#define GC_REQUEST_SHIFT 3
#define GC_REQUEST_MASK 7u

/* What a store does besides, in a word of the thread (arena_gc_local_). */
#define GC_BARRIER_OLD 1u	/* shade what was there */
#define GC_BARRIER_NEW 2u	/* and what comes: the stack it comes from is not scanned yet */

/* Whether a mutator answers for itself. */
enum gc_state {
	GC_RUNNING,	/* it does */
	GC_SAFE,	/* whoever claims it does */
	GC_CLAIMED,	/* a collector does */
	GC_AWAITED,	/* the same, and the thread waits for it to be over */
	GC_GONE,	/* its thread is detached; only what it has left for the cycle is there */
};

/* What objects of a kind are allocated from: the mutator's. */
struct gc_bin {
	uint64_t free;		/* as *home, which nobody else writes; 0 while there is none, or each object of the word is met in the slow path */
	uint64_t *home;		/* the word of the current span, or of one before; NULL: it was handed in */
	uintptr_t base;		/* of the slot that bit 0 is */
	uint32_t slot_bytes;
	bool is_clear;		/* free slots of the word hold zeros */
	uint32_t current;	/* entry of the current span, or GC_NONE */
	struct gc_list used;	/* spans without free slots, all of one gen, not handed in yet */
	uint32_t used_gen;
	uint32_t ahead;		/* of so many objects of the word at home the last one is sampled (gc/sample.h); 0: none */
};

/* A stack that mutators leave and enter: a coroutine's, or a thread's own (gc/coroutine.h). */
struct arena_gc_stack {
	struct lock lock;	/* guards low, scanned and runs_on */
	uintptr_t base, limit;	/* fixed */
	uintptr_t low;		/* suspended: what is above may hold pointers */
	uint64_t scanned;	/* suspended: 1 + gen of the cycle in which it was last scanned; 0: none */
	struct gc_mutator *runs_on; /* NULL: it is suspended */
	struct gc_mutator *owner; /* of a thread's own stack, whose record is in the mutator; else NULL. Fixed */
	struct arena_gc_stack *next, **link; /* in the heap's list, and what leads to it there; guarded by stacks_lock */
};

struct gc_mutator {
	struct arena_gc *gc;	/* fixed */
	struct gc_mutator *next; /* of the heap's; guarded by its threads_lock, and fixed during a cycle but for new ones in front */
	struct gc_mutator *next_own; /* of the thread's; only its thread */
	struct arena_gc_local *local; /* the thread's; not to be looked at when it is gone */
	uint32_t thread_id;	/* fixed */
	const uint32_t *cpu;	/* fixed: where the kernel says what CPU it runs on, or NULL. Not to be looked at when it is gone */
	uint32_t state;		/* atomic, futex; enum gc_state */
	uint32_t answered;	/* atomic: the last request that it did what it asks for. The release in gc/threads.c pairs with the collector's acquire */
	uint32_t barrier;	/* the mutator's, as all down to bins */
	bool is_black;		/* what it allocates is marked, in spans of gen */
	uint32_t gen;		/* of spans that are marked in this cycle */
	bool is_held;		/* claimed until GC_REQUEST_RESUME; the collector's */
	struct gc_block *buffer; /* what the barrier has met, or NULL */
	bool notes_itself;	/* the thread adds to the buffer at local->next, and its number of entries is behind */
	struct gc_stack stack;	/* that it runs on */
	struct arena_gc_stack own_stack; /* of the thread; unused while current is NULL */
	struct arena_gc_stack *current; /* what it runs on; NULL: it has never left its own */
	struct gc_debt debt;	/* the thread's, as the next two: what it owes of the cycle of that number */
	uint64_t debt_cycle;
	struct gc_pages pages;	/* at hand, until a cycle ends. The mutator's; of lost ones the collector's */
	uint64_t taken_bytes;	/* of spans and large objects, since it last paid */
	bool was_kept_out;	/* its last try has not looked everywhere, because it was another thread's turn. The mutator's */
	uint64_t runtime_max_ns; /* atomic, relaxed: longest time in the library in this cycle */
	struct gc_ring *ring;	/* of the timeline; NULL: there is none. The mutator's */
	struct gc_bin bins[GC_KINDS_MAX]; /* memory of those that are used */
};

/* A range of roots. */
struct gc_range {
	uintptr_t base, limit;
};

struct gc_roots {
	struct lock lock;	/* guards all */
	struct gc_range *ranges;
	size_t nr_ranges, max_ranges;
	size_t at, nr_to_read;	/* the range that the collector reads, and how many there are for it; what comes is behind them */
	size_t at_bytes;	/* so much of it has been read */
	struct gc_handles *handles;
	struct arena_gc_handle *free_handles;
};

/* Weak references (gc/weak.h). */
struct gc_weak {
	struct arena_gc_type *type; /* fixed */
	struct gc_chain all;
	uint64_t word;		/* atomic: twice the reads of what was not marked, plus 1 while CLOSED */
};

/* Ephemerons (gc/ephemeron.h). */
struct gc_ephemerons {
	struct arena_gc_type *type; /* fixed */
	struct gc_chain chain;
	struct lock lock;	/* guards all below but nr_left */
	struct arena_gc_ephemeron **table; /* those that wait, by their keys; changes between cycles */
	size_t nr_parts;	/* of it; a power of two */
	struct arena_gc_ephemeron **next_table; /* a larger one for the next cycle, or NULL */
	size_t next_nr_parts;
	size_t nr;		/* of all, dead ones included that no cycle has seen */
	size_t nr_waits;	/* how often one has begun to wait in this cycle, or the last one: at most once each */
	size_t nr_left;		/* the collector's, while it counts */
};

/* The thread that calls cleanups. */
enum gc_caller {
	GC_CALLER_NONE,
	GC_CALLER_STARTING,	/* somebody is about to start it, or to find out that it is not wanted any more */
	GC_CALLER_THERE,
};

/* Cleanups (gc/cleanup.h). */
struct gc_cleanups {
	struct arena_gc_type *type; /* fixed */
	struct gc_chain waiting;
	struct lock lock;	/* guards due */
	struct queue due;
	pthread_t thread;	/* fixed while it is THERE */
	uint32_t caller;	/* atomic, futex; enum gc_caller. The release in set_caller() pairs with join() */
	bool by_program;	/* fixed: there is none */
	bool is_ending;		/* atomic: the heap is being destroyed. The release in stop() pairs with is_ending() */
	bool is_all_due;	/* then: as if all objects had died. Before the cycle that looks at it */
	uint32_t posts;		/* atomic, futex: what the thread waits for */
	uint32_t posts_seen;	/* the thread's */
};

/* Threads that mark beside the collector's, and where each sits. */
#define GC_HELPERS_MAX 63u
struct gc_helper {
	struct arena_gc *gc;	/* fixed, as number */
	uint32_t number;	/* from 1 on; the collector is 0 */
	pthread_t thread;
};
struct gc_crew {
	uint32_t nr_helpers;	/* threads that were started. The collector's */
	uint32_t calls;		/* atomic, futex: goes up when there is something for them, or the heap ends */
	bool is_ending;		/* atomic: it does */
	uint64_t helped_work;	/* atomic: bytes that they have scanned, since the heap was made */
	struct gc_helper helpers[GC_HELPERS_MAX];
};

/* Numbers of the cycle that is running, or was last: the collector's. */
struct gc_cycle {
	uint64_t start_ns, mark_ns, mark_end_ns, end_ns;
	uint64_t cpu_ns, assist_ns; /* CPU time from start_ns to end_ns: of the collector's threads, of assists */
	uint64_t sweep_cpu_ns, sweep_ns; /* of the collector's threads before and after that, and how long it was */
	struct gc_sums begin, start, end; /* before what was left was swept, at start_ns, at end_ns */
	uint64_t start_bytes, end_bytes, goal_bytes, root_bytes, stack_bytes;
	uint32_t nr_rounds;
	uint64_t stop_ns, stopped_ns; /* where all stop for marking: when they were asked to, and how long that was until they were let go */
	uint32_t nr_mutators;
};

/* Threads that spend time in the library often do not meet in one counter. */
#define GC_TIMES_STRIPES 16u

/* How long things have taken since the heap was made. */
struct gc_times {
	struct gc_hist runtime[GC_TIMES_STRIPES]; /* slow paths, by thread */
	struct gc_hist answer;	/* doing what was asked for */
	struct gc_hist handshake; /* from a request to a mutator's answer */
};

/* What the collector is to do while all are stopped (gc/look.h). */
typedef void gc_look_fn(struct arena_gc *gc, void *context);

/* Whom to tell that what lives does not fit the limit. */
struct gc_callback {
	arena_gc_limit_fn *function; /* or NULL */
	void *context;
};

struct arena_gc {
	struct gc_space space;
	struct gc_types types;
	struct gc_queue queue;
	struct gc_drive drive;
	struct gc_crew crew;
	struct gc_pages swept;	/* pages that it has found empty. The collector's */
	struct gc_roots roots;
	struct gc_annexes annexes;
	struct gc_weak weak;
	struct gc_ephemerons ephemerons;
	struct gc_cleanups cleanups;
	struct lock lock;	/* guards tables, types, callback and wanted */
	struct gc_callback callback;
	struct limit limit;	/* of space's heap; guarded by the heap's lock, as nr_over */
	uint32_t nr_over;	/* threads that go beyond it: while there are any it has none */
	uint32_t alone;		/* atomic, futex: the thread that may take pages, all others wait (gc/limit.c); 0: all may. The release in gc_limit_end() pairs with their acquires */

	struct lock stacks_lock; /* guards stacks and next_stack */
	struct arena_gc_stack *stacks; /* coroutines', and threads' that have been left */
	struct arena_gc_stack *next_stack; /* of these, which the collector reads next; NULL: none */

	struct lock whole_lock;	/* held by the collector while the child of a fork could not put together what it has in hand; guards nothing */
	struct lock threads_lock; /* guards mutators, is_cycling, and that a request meets all */
	struct gc_mutator *mutators;
	bool is_cycling;	/* mutators that are gone stay on the list */
	uint32_t black_gen;	/* of spans that are marked in this cycle; fixed during it */
	uint32_t asked;		/* atomic, futex: the request; written with threads_lock held */
	uint32_t answers;	/* atomic, futex: goes up when a mutator has answered, or need not */

	pthread_t collector;	/* guarded by lock */
	bool has_collector;	/* atomic, relaxed: its thread is there or about to be. Written with lock held */
	uint32_t kicks;		/* atomic, futex: what the collector waits for */
	bool wants_chunk;	/* atomic, relaxed: a chunk is to be touched (gc/ahead.h); the swap only sees to it that one thread wakes the collector */
	uint32_t wanted;	/* cycles that are to be finished; guarded by lock */
	bool is_wished;		/* atomic, relaxed: a hint that no wish is needed: a cycle is wanted or running. Written with lock held */
	uint32_t done;		/* atomic, futex: cycles that are. The release in gc/cycle.c pairs with who waits */
	bool is_running;	/* a cycle is; guarded by lock */
	struct gc_sample_table *samples; /* objects in the profile (gc/sample.c), or NULL; guarded by lock */
	struct gc_errand *errands; /* what is to be looked at (gc/look.h); guarded by lock */
	bool is_ending;		/* atomic: the heap is being destroyed */

	struct arena_gc *next_heap; /* guarded by lock_setup */
	struct gc_mutator *lost; /* of threads that are the parent's; guarded by threads_lock */
	bool is_forked;		/* in a child that has not finished a cycle: spans of the lost ones are not found yet. The collector's */

	bool is_searched;	/* fixed: ARENA_GCLEAKS */
	bool is_verified;	/* fixed: ARENA_GCVERIFY */
	bool stops_world;	/* fixed: all threads wait while it marks, and no store has a barrier */
	bool is_traced;		/* fixed: ARENA_GCTRACE */
	uint64_t birth_ns;	/* fixed */
	struct gc_cycle cycle;

	uint64_t asked_ns;	/* when the last request was written; read by who has seen it */
	struct gc_times times;	/* atomic, relaxed */
	struct gc_rings rings;	/* of the timeline */
	struct gc_ring *ring;	/* the collector's, or NULL: no timeline. Fixed before it runs, as rings of mutators */
	uint32_t thread_id;	/* the collector's; its own, as all below */
	enum gc_event_kind phase; /* GC_EVENT_CYCLE: none */
	uint64_t phase_ns, begin_ns; /* when it, and the cycle, began */
	uint64_t counted_ns;	/* what the timeline has of the last cycle */

	/* Atomic, relaxed: counters. */
	uint64_t nr_marked, marked_bytes; /* in this cycle, by markers that are not busy; the queue's lock orders them */
	uint64_t allocated_bytes; /* in spans that were taken since marking ended */
	uint64_t live_bytes;
	uint64_t freed_objects, freed_bytes;
	uint64_t nr_pinned;	/* objects that stay */
	uint64_t stopped_ns, stopped_max_ns; /* in all cycles, and in one */
	uint64_t handshake_max_ns, runtime_max_ns; /* of the cycle that is running, or was last */
};

/** Of objects and garbage; what has been swept is not in it. */
static inline uint64_t gc_heap_bytes(const struct arena_gc *gc)
{
	return atomic_load_relaxed(&gc->live_bytes) + atomic_load_relaxed(&gc->allocated_bytes);
}

/** Whether another thread's turn has come to take pages, and the mutator's has not. */
static inline bool gc_is_kept_out(const struct gc_mutator *mutator)
{
	uint32_t alone = atomic_load_relaxed(&mutator->gc->alone);

	return unlikely(alone) && alone != mutator->thread_id;
}

/** The same, for who is about to look for memory: this allocation is to be tried again, whoever's turn it is by then. The mutator's thread. */
static inline bool gc_keep_out(struct gc_mutator *mutator)
{
	bool is_kept_out = gc_is_kept_out(mutator);

	if (unlikely(is_kept_out))
		mutator->was_kept_out = true;
	return is_kept_out;
}

static inline enum gc_request gc_request_of(uint32_t asked)
{
	return (enum gc_request)(asked & GC_REQUEST_MASK);
}

#endif /* LIBARENA_GC_HEAP_H */
