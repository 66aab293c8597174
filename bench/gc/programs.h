/* SPDX-License-Identifier: MIT */
/*
 * The programs of `arena-bench gc`. Each thread of a program runs it by itself, with other random numbers, and returns a number that depends on all that it read: it is
 * the same with all runtimes, and main.go has the same programs.
 */
#ifndef BENCH_GC_PROGRAMS_H
#define BENCH_GC_PROGRAMS_H

#include <stddef.h>
#include <stdint.h>

/* @size: how much work, as bench/gc.c has it. */
typedef uint64_t program_fn(size_t size, unsigned int thread);

program_fn run_trees, run_half_trees, run_gcbench, run_splay, run_lru, run_intern, run_large, run_idle;

/* Their types; by the main thread, before any of them runs. */
void trees_prepare(void);
void splay_prepare(void);
void tables_prepare(void);

/* Marsaglia's xorshift; another sequence for each thread. */
static inline uint64_t random_seed(unsigned int thread)
{
	return 88172645463325252U + thread * 0x9e3779b97f4a7c15U;
}

static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif /* BENCH_GC_PROGRAMS_H */
