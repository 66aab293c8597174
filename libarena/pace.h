/* SPDX-License-Identifier: MIT */
/*
 * How fast idle chunks go back to the system. Pure arithmetic: times, counts and costs are arguments.
 *
 *	keep   = max(10 % of the most chunks in use in the last half to whole second, 2), for each heap
 *	budget = 1 % of one CPU's time for all heaps together, saved up for a second at most; 5 % while a heap of which nothing is in use has more
 *
 * All that the thread does is paid from the budget, looks as well. Whose turn it is goes round, so that a heap that always has more to give does not
 * take all of it; and who has spent more than there was rests until it is earned.
 *
 * A program that frees and allocates in waves shorter than a window keeps a tenth of its crest without a page fault; one that is idle keeps
 * two chunks. Retention and pace are those of Go's background scavenger (M. Knyszek, proposal 30333), which keeps 10 % over the
 * goal; its goal is a collector's, so the recent peak stands for it here.
 */
#ifndef LIBARENA_PACE_H
#define LIBARENA_PACE_H

#include <stdbool.h>

#include "limit.h"

#define PACE_WINDOW_NS ((uint64_t)500 * 1000 * 1000)
#define PACE_KEEP_PERCENT LIMIT_KEEP_PERCENT
#define PACE_KEEP_CHUNKS LIMIT_KEEP_CHUNKS
#define PACE_CPU_PERCENT 1
#define PACE_CPU_FREE_PERCENT 5
#define PACE_SAVED_NS ((uint64_t)1000 * 1000 * 1000)
/* What a chunk is taken to cost before the first was given back: unmapping 2 MiB of huge or of small pages is between a tenth and twice that. */
#define PACE_FIRST_COST_NS ((uint64_t)50 * 1000)

/* Of a heap. All zeros is a pace that has not begun, here and below. Guarded by its user. */
struct pace {
	uint64_t window_ns;	/* begin of this window */
	uint64_t peak_chunks;	/* in use at most, in this window */
	uint64_t last_peak_chunks; /* and in the one before */
};

/* Of all heaps of a process. */
struct pace_budget {
	uint64_t last_ns;	/* when it was added to */
	int64_t left_ns;	/* CPU time that may be spent; below 0: what has been spent too much */
	uint64_t cost_ns;	/* of giving back one chunk: a moving average */
	size_t turn;		/* whose turn it is: the number behind that of the heap that gave last */
	bool is_free;		/* a heap of which nothing is in use has more to give, as far as was seen in this round of looks */
	unsigned int percent;	/* of a CPU, in this round */
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

/** A round of looks at all heaps begins: what was earned since the last one. */
static inline void pace_begin(struct pace_budget *budget, uint64_t now_ns)
{
	int64_t most_ns;

	if (!budget->cost_ns)
		*budget = (struct pace_budget){ .last_ns = now_ns, .cost_ns = PACE_FIRST_COST_NS };
	budget->percent = budget->is_free ? PACE_CPU_FREE_PERCENT : PACE_CPU_PERCENT;
	budget->is_free = false;
	most_ns = (int64_t)(PACE_SAVED_NS * budget->percent / 100);
	budget->left_ns += (int64_t)((now_ns - budget->last_ns) * budget->percent / 100);
	if (budget->left_ns > most_ns)
		budget->left_ns = most_ns;
	budget->last_ns = now_ns;
}

/**
 * How many of a heap's @idle_chunks may go back at @now_ns. @peak_chunks: most in use since the last round; @used_chunks: in use now.
 */
static inline uint64_t pace_tick(struct pace_budget *budget, struct pace *pace, uint64_t now_ns, uint64_t peak_chunks, uint64_t used_chunks,
				 uint64_t idle_chunks)
{
	uint64_t keep, affordable = budget->left_ns > 0 ? (uint64_t)budget->left_ns / budget->cost_ns : 0;

	if (!pace->window_ns)
		pace->window_ns = now_ns;
	pace_window(pace, now_ns, peak_chunks, used_chunks);
	keep = pace_keep(pace);
	if (idle_chunks <= keep)
		return 0;
	budget->is_free |= !used_chunks;
	return idle_chunks - keep < affordable ? idle_chunks - keep : affordable;
}

/** The heap of that number gave back @nr_chunks, at least one, which took @ns of CPU time. That is to be paid as well. */
static inline void pace_given(struct pace_budget *budget, size_t heap, uint64_t nr_chunks, uint64_t ns)
{
	budget->cost_ns = (budget->cost_ns * 3 + ns / nr_chunks) / 4 + 1;
	budget->turn = heap + 1;
}

/** So much CPU time was spent, on whatever. */
static inline void pace_pay(struct pace_budget *budget, uint64_t ns)
{
	budget->left_ns -= (int64_t)ns;
}

/** How long it takes to earn what was spent too much. */
static inline uint64_t pace_rest_ns(const struct pace_budget *budget)
{
	return budget->left_ns < 0 ? (uint64_t)-budget->left_ns * 100 / budget->percent : 0;
}

#endif /* LIBARENA_PACE_H */
