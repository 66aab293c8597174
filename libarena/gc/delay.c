// SPDX-License-Identifier: MIT
/*
 * What delays begin with: nothing but the seed and, of threads that have none of their own, how many of them waited before. So a run that is repeated with its seed
 * has each thread draw the same numbers, one after the other. When it comes to do so is the scheduler's affair.
 */
#include "gc/delay.h"

#ifdef ARENA_GC_DELAYS
#include <stdbool.h>

#include "atomic.h"

__thread uint32_t gc_delay_state;

static uint64_t first_seed;	/* atomic, relaxed, as the next one */
static uint64_t nr_unseeded;

static uint32_t mix(uint64_t seed)
{
	return (uint32_t)(seed * 0x9e3779b97f4a7c15u >> 32) | 1;
}

void gc_delay_seed(uint64_t seed)
{
	uint64_t none = 0;

	atomic_cas_relaxed(&first_seed, &none, seed);
	gc_delay_state = mix(seed);
}

void gc_delay_begin(void)
{
	uint64_t number = atomic_add_relaxed(&nr_unseeded, 1u) + 1;

	gc_delay_state = mix(atomic_load_relaxed(&first_seed) + (number << 32));
}
#endif
