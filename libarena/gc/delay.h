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

static inline uint32_t gc_delay_number(void)
{
	static __thread uint32_t state;

	return state = (state ? state : (uint32_t)(uintptr_t)&state) * 1664525u + 1013904223u;
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
static inline void gc_delay(void)
{
}

static inline void gc_delay_long(void)
{
}
#endif

#endif /* LIBARENA_GC_DELAY_H */
