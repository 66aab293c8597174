/* SPDX-License-Identifier: MIT */
/* Mutators: which threads there are, and how the collector gets each of them to do something. */
#ifndef LIBARENA_GC_THREADS_H
#define LIBARENA_GC_THREADS_H

#include "gc/collected.h"

/** The calling thread's mutator of a heap; NULL when it is not attached. */
static inline struct gc_mutator *gc_mutator_of(const struct arena_gc *gc);

/** Attach the calling thread: 0 or -errno. */
int gc_attach(struct arena_gc *gc);
/** Detach it. */
void gc_detach(struct gc_mutator *mutator);
/** Do what collectors have asked for. */
void gc_answer(void);
/** The same, of a thread that does nothing else in the library: that time is noted. */
void gc_poll(void);
/** The calling thread's stores do what one of its heaps wants. */
void gc_set_local_barrier(void);
/** Let others answer for the calling thread, with all its heaps, while @function runs. */
void *gc_blocking(void *(*function)(void *context), void *context);

/** Ask all mutators, and wait until each has done it: one after the other, when it suits them. The collector's. */
void gc_ask(struct arena_gc *gc, enum gc_request request);
/** While all are stopped: what they have that is not swept is handed in for them. The collector's. */
void gc_threads_seal(struct arena_gc *gc);
/** A cycle begins: mutators that go leave behind what belongs to it. @gen is that of what is black in it. */
void gc_threads_begin(struct arena_gc *gc, uint32_t gen);
/** It ends: what they have left goes. */
void gc_threads_end(struct arena_gc *gc);
/** In the child of a fork: the calling thread's mutator, if it has one, is the only one, and takes no part in a cycle. */
void gc_threads_fork_child(struct arena_gc *gc);
/** Memory of mutators that are the parent's goes. */
void gc_threads_free_lost(struct arena_gc *gc);
/** How many of them run: may want a CPU. None while they are stopped. O(threads). */
uint32_t gc_threads_running(struct arena_gc *gc);
/** Whether one of them that runs is on @cpu; *@cpus: where they are. Of the newest 64; none while they are stopped. */
bool gc_threads_are_on(struct arena_gc *gc, uint32_t cpu, struct os_cpus *cpus);
/** The first of the mutators; what is behind it does not change during a cycle. */
struct gc_mutator *gc_threads_first(struct arena_gc *gc);

/* The calling thread's, of all heaps. */
extern __thread struct gc_mutator *gc_own __attribute__((tls_model("initial-exec")));

static inline struct gc_mutator *gc_mutator_of(const struct arena_gc *gc)
{
	struct gc_mutator *mutator = gc_own;

	while (mutator && unlikely(mutator->gc != gc))
		mutator = mutator->next_own;
	return mutator;
}

#endif /* LIBARENA_GC_THREADS_H */
