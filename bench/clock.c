// SPDX-License-Identifier: MIT
/*
 * One clock for all benchmarks.
 *
 * Under `qemu -icount shift=0` a virtual CPU's time stamp counter advances by one per guest instruction, kernel and
 * user together. Reading it needs no system call and no calibration, so the figures are exact. On a real machine the
 * counter ticks at its own rate; "instructions" is refused there by counting a loop of known length.
 */
#include "bench/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

static bool counts_instructions;	/* fixed after the command line is read */

#ifdef __x86_64__
static uint64_t tsc_read(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* Ticks during a loop of 2 * @turns instructions; the best of a few, because a timer interrupt may fall in. */
static uint64_t loop_ticks(uint64_t turns)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		uint64_t left = turns, start = tsc_read(), ticks;

		__asm__ volatile("1: dec %0\n\tjnz 1b" : "+r"(left) : : "cc");
		ticks = tsc_read() - start;
		best = ticks < best ? ticks : best;
	}
	return best;
}

/* The difference of two lengths, so that what surrounds the loop drops out. */
static bool tsc_counts_instructions(void)
{
	const uint64_t turns = 10000;
	uint64_t ticks = loop_ticks(2 * turns) - loop_ticks(turns);

	return ticks > 2 * turns - 20 && ticks < 2 * turns + 20;
}
#else
static uint64_t tsc_read(void)
{
	return 0;
}

static bool tsc_counts_instructions(void)
{
	return false;
}
#endif

int clock_set_unit(const char *unit)
{
	bool instructions = !strcmp(unit, "instructions");

	if (!instructions && strcmp(unit, "ns"))
		return -EINVAL;
	if (instructions && !tsc_counts_instructions())
		return -ENOTSUP;
	counts_instructions = instructions;
	return 0;
}

const char *clock_unit(void)
{
	return counts_instructions ? "instructions" : "ns";
}

uint64_t clock_now(void)
{
	struct timespec now;

	if (counts_instructions)
		return tsc_read();
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}
