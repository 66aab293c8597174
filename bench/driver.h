/* SPDX-License-Identifier: MIT */
/*
 * What the driver of `arena-bench malloc` and its programs share. Nothing of this project is linked into the driver: it is a program as
 * any other, and which malloc() it has is decided by who starts it.
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KiB ((size_t)1 << 10)
#define MiB ((size_t)1 << 20)
#define OS_PAGE_BYTES ((size_t)4 * KiB)

enum { MAX_METRICS = 8 };

/* What a program measured beside its time. Used by the main thread only. */
struct outcome {
	struct metric {
		char name[24];
		const char *unit;
		double value;
	} metrics[MAX_METRICS];
	size_t nr_metrics;
	uint64_t idle_ns;	/* slept, or preparing tables: not to be counted as elapsed */
	uint64_t idle_cpu_ns;	/* spent on tables */
	size_t table_bytes;	/* of tables that peak_rss shall not have */
};

struct program {
	const char *name;
	void (*run)(size_t size, struct outcome *outcome);
};

/** The programs of one thread, those of many, and those that replay a mix; each list ends with a name of NULL. */
extern const struct program programs_alone[], programs_threads[], programs_mix[];

void outcome_add(struct outcome *outcome, const char *name, const char *unit, double value);
/** Says @what on standard error and ends the driver: a result of less work than asked for is none. */
void die(const char *what) __attribute__((noreturn, cold));
/** malloc(), or the end; the first and the last word of the object are written, as any program would. */
void *take(size_t bytes);
/** Zeroed memory for the driver's own tables, not from malloc(), so that no allocator is measured by them. */
void *table_new(size_t bytes);
void table_free(void *table, size_t bytes);
uint64_t now_ns(void);
/** CPU time of the process. */
uint64_t cpu_ns(void);
/** Forget the peak of memory so far; where the kernel does not let, it stays. */
void peak_rss_reset(void);
static inline double mib(size_t bytes)
{
	return (double)bytes / (double)MiB;
}

/** Memory that the process has now. */
size_t rss_bytes(void);

/** Keeps the compiler from dropping an allocation whose result is at @p. */
static inline void keep(const void *p)
{
	__asm__ volatile("" : : "r"(p) : "memory");
}

/* Marsaglia's xorshift: the same numbers in each run, so that only the allocator makes a difference. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/** Any number but 0, another for each thread. */
static inline uint64_t random_seed(unsigned int thread)
{
	return 88172645463325252U + thread * 0x9e3779b97f4a7c15U;
}

/**
 * Sizes as programs mix them: 15 of 16 objects up to 256 bytes, most of the others up to 4 KiB, one of 1024 up to
 * 64 KiB.
 */
static inline size_t mixed_bytes(uint64_t random)
{
	uint64_t kind = random & 1023, more = random >> 10;

	if (kind == 0)
		return 1 + more % (64 * KiB);
	return kind < 64 ? 1 + more % (4 * KiB) : 1 + more % 256;
}

#endif /* BENCH_DRIVER_H */
