/* SPDX-License-Identifier: MIT */
/*
 * How fast idle chunks go back to the system. Pure arithmetic: times, counts and costs are arguments.
 *
 *	keep   = max(10 % of the most chunks in use in the last half to whole second, 2)
 *	budget = 1 % of one CPU's time, saved up for a second at most; 5 % while nothing at all is in use. Of each heap
 *
 * A program that frees and allocates in waves shorter than a window keeps a tenth of its crest without a page fault; one that is idle keeps
 * two chunks. Retention and pace are those of Go's background scavenger (M. Knyszek, proposal 30333), which keeps 10 % over the
 * goal; its goal is a collector's, so the recent peak stands for it here.
 */
#ifndef LIBARENA_PACE_H
#define LIBARENA_PACE_H

#include "limit.h"

#define PACE_WINDOW_NS ((uint64_t)500 * 1000 * 1000)
#define PACE_KEEP_PERCENT LIMIT_KEEP_PERCENT
#define PACE_KEEP_CHUNKS LIMIT_KEEP_CHUNKS
#define PACE_CPU_PERCENT 1
#define PACE_CPU_IDLE_PERCENT 5
#define PACE_SAVED_NS ((uint64_t)1000 * 1000 * 1000)
/* What a chunk is taken to cost before the first was given back: unmapping 2 MiB of huge or of small pages is between a tenth and twice that. */
#define PACE_FIRST_COST_NS ((uint64_t)50 * 1000)

/* All zeros is a pace that has not begun. Guarded by its user. */
struct pace {
	uint64_t last_ns;	/* of the last tick */
	uint64_t window_ns;	/* begin of this window */
	uint64_t peak_chunks;	/* in use at most, in this window */
	uint64_t last_peak_chunks; /* and in the one before */
	uint64_t budget_ns;	/* CPU time that may be spent */
	uint64_t cost_ns;	/* of giving back one chunk: a moving average */
};

static inline uint64_t pace_keep(const struct pace *pace)
{
	uint64_t peak = pace->peak_chunks > pace->last_peak_chunks ? pace->peak_chunks : pace->last_peak_chunks;
	uint64_t keep = peak * PACE_KEEP_PERCENT / 100;

	return keep > PACE_KEEP_CHUNKS ? keep : PACE_KEEP_CHUNKS;
}

static inline void pace_window(struct pace *pace, uint64_t now_ns, uint64_t peak_chunks, uint64_t used_chunks)
{
	if (peak_chunks > pace->peak_chunks)
		pace->peak_chunks = peak_chunks;
	if (now_ns - pace->window_ns < PACE_WINDOW_NS)
		return;
	/* After a long sleep the window before has nothing to do with now. */
	pace->last_peak_chunks = now_ns - pace->window_ns < 2 * PACE_WINDOW_NS ? pace->peak_chunks : used_chunks;
	pace->peak_chunks = used_chunks;
	pace->window_ns = now_ns;
}

static inline void pace_save(struct pace *pace, uint64_t now_ns, uint64_t used_chunks)
{
	uint64_t percent = used_chunks ? PACE_CPU_PERCENT : PACE_CPU_IDLE_PERCENT;
	uint64_t passed_ns = now_ns - pace->last_ns, most_ns = PACE_SAVED_NS * percent / 100;

	pace->budget_ns += (passed_ns < PACE_SAVED_NS ? passed_ns : PACE_SAVED_NS) * percent / 100;
	if (pace->budget_ns > most_ns)
		pace->budget_ns = most_ns;
	pace->last_ns = now_ns;
}

/**
 * How many of @idle_chunks may go back at @now_ns. @peak_chunks: most in use since the last tick; @used_chunks: in use now.
 */
static inline uint64_t pace_tick(struct pace *pace, uint64_t now_ns, uint64_t peak_chunks, uint64_t used_chunks,
				 uint64_t idle_chunks)
{
	uint64_t keep, affordable;

	if (!pace->cost_ns)
		*pace = (struct pace){ .last_ns = now_ns, .window_ns = now_ns, .cost_ns = PACE_FIRST_COST_NS };
	pace_window(pace, now_ns, peak_chunks, used_chunks);
	pace_save(pace, now_ns, used_chunks);
	keep = pace_keep(pace);
	affordable = pace->budget_ns / pace->cost_ns;
	if (idle_chunks <= keep)
		return 0;
	return idle_chunks - keep < affordable ? idle_chunks - keep : affordable;
}

/** @nr_chunks were given back, which took @ns of CPU time. */
static inline void pace_spent(struct pace *pace, uint64_t nr_chunks, uint64_t ns)
{
	uint64_t each_ns = nr_chunks ? ns / nr_chunks : 0;

	pace->budget_ns -= ns < pace->budget_ns ? ns : pace->budget_ns;
	if (nr_chunks)
		pace->cost_ns = (pace->cost_ns * 3 + each_ns) / 4 + 1;
}

#endif /* LIBARENA_PACE_H */
