/* SPDX-License-Identifier: MIT */
/*
 * Waits by chance, in builds that look for what runs into each other (ARENA_GC_DELAYS, tests/gc/breaks.sh): where a step of the protocol is done, but what makes it
 * count is not. Elsewhere nothing.
 */
#ifndef LIBARENA_GC_DELAY_H
#define LIBARENA_GC_DELAY_H

#include <stdint.h>

#ifdef ARENA_GC_DELAYS
#include <sched.h>
#include <time.h>

/* The thread's; 0: it has not begun. */
extern __thread uint32_t gc_delay_state;
/* Let the calling thread wait by this seed. Threads that do not say so, the collector's for instance, count on from the first one that was said. */
void gc_delay_seed(uint64_t seed);
void gc_delay_begin(void);

static inline uint32_t gc_delay_number(void)
{
	if (!gc_delay_state)
		gc_delay_begin();
	return gc_delay_state = gc_delay_state * 1664525u + 1013904223u;
}

/* Mostly none, often some microseconds, now and then a turn of another thread. */
static inline void gc_delay(void)
{
	uint32_t number = gc_delay_number();

	if (number >> 16 & 7)
		return;
	for (volatile uint32_t i = number >> 20; i; i--)
		;
	if (!(number >> 19 & 31))
		sched_yield();
}

/* Now and then as long as another thread takes for several steps. */
static inline void gc_delay_long(void)
{
	const struct timespec moment = { .tv_nsec = 100000 };

	if (!(gc_delay_number() >> 16 & 7))
		nanosleep(&moment, NULL);
}
#else
static inline void gc_delay_seed(uint64_t seed)
{
	(void)seed;
}

static inline void gc_delay(void)
{
}

static inline void gc_delay_long(void)
{
}
#endif

#endif /* LIBARENA_GC_DELAY_H */
