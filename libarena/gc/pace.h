/* SPDX-License-Identifier: MIT */
/*
 * When the collector begins a cycle, how far the heap may grow until it ends, and who does the work. Pure arithmetic: bytes, work and times
 * are arguments; no clock, no lock, no address.
 *
 *	goal	= live + (live - black + roots) * percent / 100, not below 4 MiB * percent / 100
 *		  with a limit at most limit - overhead - excess - max(3 % of limit, 1 MiB); never below live + 64 KiB
 *	runway	= work * alloc/mark * (100 - share) / share	alloc/mark: the largest of the last four cycles
 *	trigger	= goal - runway, in [live + 60 %, live + 95 %] of goal - live
 *	ratio	= (work expected - work done) / (aim - heap)	work that each allocated byte owes while a cycle runs
 *	ceiling	= goal + (goal - live) / 4, or the next goal as far as it is known already, with a limit at most limit - overhead: what assists keep the heap below
 *	bucket	+= collector's CPU time - mutators' CPU time	full: no assists, so that not more than half of the CPU is spent
 *
 * Work is counted in bytes that are scanned. The design is that of Go's pacer and of its soft memory limit (M. Knyszek, proposals 44167
 * and 48409); doc/gc.md derives the formulas and says where they differ from these, and why. tests/model/gc_pace.c simulates it.
 *
 * Everything is O(1). struct gc_pace is guarded by its user; what only reads it (const) may also run against a copy that is a little old.
 */
#ifndef LIBARENA_GC_PACE_H
#define LIBARENA_GC_PACE_H

#include "geometry.h"

/* Percent: only a limit makes the heap's goal. */
#define GC_PACE_OFF UINT32_MAX
/* With less a cycle would end before its handshakes have paid for themselves. At 100 %. */
#define GC_PACE_LEAST_HEAP_BYTES ((uint64_t)4 * MiB)
/* Below, a goal would be reached by the first thread that fills its cache. */
#define GC_PACE_LEAST_ROOM_BYTES ((uint64_t)64 * KiB)
/* Earlier, what is allocated black while marking would be most of what a cycle is for; later, a guess that is wrong has no room. */
#define GC_PACE_TRIGGER_LOW_PERCENT 60
#define GC_PACE_TRIGGER_HIGH_PERCENT 95
/* How far beyond its goal a heap may get, of the way from what lives to the goal. */
#define GC_PACE_CEILING_SHARE 4
/* Left below a limit for guesses that are wrong. */
#define GC_PACE_HEADROOM_PERCENT 3
#define GC_PACE_HEADROOM_BYTES ((uint64_t)1 * MiB)
/* As many cycles remember how fast memory was allocated: a burst that came once is expected for a while. */
#define GC_PACE_HISTORY 4
#define GC_PACE_SHARE_PERCENT 25
/* More would not leave room for assists below the half at which the collector is capped. */
#define GC_PACE_MOST_SHARE_PERCENT 50
/* A slice of an assist takes at most this long, and aims at less: the rate that it is made from is a mean, of which the moment's may be two thirds. */
#define GC_PACE_SLICE_NS ((uint64_t)30 * 1000)
#define GC_PACE_SLICE_AIM_PERCENT 66
/* Slices in one allocation at the ceiling: 0.4 ms. At the goal it is one, so that what a program mostly meets is short. */
#define GC_PACE_MOST_SLICES 13
/* Who finds nothing to mark sleeps for so many at most: as many bound a heap as well as more would, and a sleep takes 50 us longer than it is asked to. */
#define GC_PACE_MOST_WAIT_SLICES 4
/* An allocation of more is as many as it has pieces of this: clearing one takes about as long as a slice. */
#define GC_PACE_PIECE_BYTES ((uint64_t)64 * KiB)
/* A thread that owes less than a part of a slice goes on: beginning to mark has its own cost. */
#define GC_PACE_SLICE_LEAST_SHARE 4
/* What a thread owes beyond is not remembered: the ratio rises for all instead. */
#define GC_PACE_MOST_OWED_SLICES 16
/* What workers will have done after this time, but no more than a part of the cycle's work, counts as done when it begins. */
#define GC_PACE_LEAD_NS ((uint64_t)5 * 1000 * 1000)
#define GC_PACE_LEAD_SHARE 8
/* The rate of marking is a mean over about this much CPU time. */
#define GC_PACE_RATE_NS ((uint64_t)10 * 1000 * 1000)
/* Of marking, before the first was measured: bytes in a millisecond. A slow guess makes short slices. */
#define GC_PACE_FIRST_RATE ((uint64_t)200 * 1000)
/* The bucket's size for each CPU: a cycle may take all of the CPU so long before assists end. */
#define GC_PACE_BUCKET_NS ((uint64_t)1000 * 1000 * 1000)
/* A worker that ran, or is behind, by more forgets the rest, so that it neither sleeps nor runs long at a stretch. */
#define GC_PACE_TURN_NS ((uint64_t)10 * 1000 * 1000)
/*
 * What lives fits a limit when it and the overhead are at most this part of it. Then allocations wait for cycles, however many they need; beyond, they
 * would get next to nothing from each.
 */
#define GC_PACE_FITS_PERCENT 95
/*
 * But for so many: what lives may fit, and yet there is no room of the length that is wanted, or all that a cycle frees is taken by others. Threads that
 * wait drop nothing: if all of them do, none of the cycles to come differs from the last one. Which of these it was shows one more cycle, of which others take nothing.
 */
#define GC_PACE_MOST_WAITS 8

/* Ratios are multiples of 1 / GC_PACE_ONE. */
#define GC_PACE_ONE ((uint64_t)1 << 16)

/* What to do where memory for what lives is not below the limit. */
enum gc_pace_policy { GC_PACE_POLICY_OVERSHOOT, GC_PACE_POLICY_FAIL };

enum gc_pace_verdict {
	GC_PACE_GO,		/* there is room */
	GC_PACE_COLLECT,	/* only after a cycle: begin one or help it to its end, and ask again */
	GC_PACE_TELL,		/* call the program's function, and ask again */
	GC_PACE_ALONE,		/* as COLLECT, but nobody else may take memory until this allocation is over */
	GC_PACE_FAIL,		/* refuse */
	GC_PACE_OVERSHOOT,	/* there is no room; do it all the same */
};

/*
 * Invariants: live <= trigger <= goal <= ceiling; nr_ended <= nr_begun <= nr_ended + 1; bucket_ns <= 2 * GC_PACE_BUCKET_NS * nr_cpus.
 */
struct gc_pace {
	/* As set. */
	uint32_t nr_cpus;
	uint32_t percent;		/* or GC_PACE_OFF */
	uint32_t share_percent;		/* of all CPUs, for workers */
	enum gc_pace_policy policy;
	uint64_t limit_bytes;		/* UINT64_MAX: none */

	/* As told: by the last cycle, and of memory now. */
	uint64_t live_bytes, black_bytes;
	uint64_t heap_work, roots_work;
	uint64_t alloc_per_mark[GC_PACE_HISTORY]; /* bytes allocated for each one scanned, CPU time being equal; in GC_PACE_ONE */
	uint64_t overhead_bytes;	/* counts against the limit, and holds no object */
	uint64_t excess_bytes;		/* heap and overhead over the limit */

	/* What follows from it. */
	uint64_t goal_bytes, trigger_bytes, ceiling_bytes;
	bool limited;			/* the limit made the goal, not the percentage */

	/* The cycle that runs. */
	uint64_t begin_bytes;		/* of heap */
	uint64_t worst_work;		/* if all that was there at its begin lives */
	uint64_t ratio;			/* in GC_PACE_ONE */
	uint64_t credit_work;		/* done by workers, and not yet owed by anybody */

	uint64_t rate_work, rate_ns;	/* their quotient is the rate of marking */
	uint64_t bucket_ns;
	bool capped;			/* the bucket is full */

	/* At the limit. */
	bool told;			/* the program knows that what lives does not fit */
	uint64_t told_begun;		/* cycles that had begun then: none of them saw what the program's function let go */

	/* Counts. */
	uint64_t nr_begun, nr_ended;
	uint64_t nr_late, late_bytes;	/* cycles that ended beyond their goal, and how far at most */
	uint64_t nr_capped, nr_told, nr_alone, nr_failed, nr_overshot;
};

/* What a cycle was like. */
struct gc_pace_cycle {
	uint64_t live_bytes;		/* marked, and allocated black */
	uint64_t black_bytes;		/* of these, what no percentage is to be allowed for; 0: none. Its user's choice: all that was allocated black */
	uint64_t heap_work, roots_work;	/* done */
	uint64_t allocated_bytes;	/* from its begin to its end */
	uint64_t heap_bytes;		/* at its end, before sweeping */
	uint64_t wall_ns;
	uint64_t worker_ns, assist_ns;	/* CPU time of workers in their share, and of mutators that help */
	uint64_t idle_ns;		/* CPU time of workers that nobody else wanted */
};

/* ---------------------------------------------------------------- arithmetic that saturates */

/** @x * @num / @den, rounded down; UINT64_MAX if it is larger, or @den is 0. */
static inline uint64_t gc_pace_scale(uint64_t x, uint64_t num, uint64_t den)
{
	unsigned __int128 product = (unsigned __int128)x * num;

	if (!den || product / den > UINT64_MAX)
		return UINT64_MAX;
	return (uint64_t)(product / den);
}

static inline uint64_t gc_pace_sum(uint64_t a, uint64_t b)
{
	return a <= UINT64_MAX - b ? a + b : UINT64_MAX;
}

/** @a - @b, or 0. */
static inline uint64_t gc_pace_over(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t gc_pace_clamp(uint64_t x, uint64_t low, uint64_t high)
{
	return x < low ? low : x > high ? high : x;
}

/* ---------------------------------------------------------------- settings */

/** No limit, 100 %, a quarter of @nr_cpus CPUs (at least one) for workers; nothing lives. */
void gc_pace_init(struct gc_pace *pace, uint32_t nr_cpus);
/** Also in the middle of a cycle. @percent: how much may be allocated for what lives, or GC_PACE_OFF. */
void gc_pace_set_percent(struct gc_pace *pace, uint32_t percent);
/** @percent: 1 to GC_PACE_MOST_SHARE_PERCENT; others become the nearest of these. */
void gc_pace_set_share(struct gc_pace *pace, uint32_t percent);
/** @limit_bytes: what heap and overhead may be together; UINT64_MAX for none. gc_pace_memory() is to follow. */
void gc_pace_set_limit(struct gc_pace *pace, uint64_t limit_bytes, enum gc_pace_policy policy);
/** Memory now. @overhead_bytes: all that counts against the limit but objects, and but idle memory that could go back at once. */
void gc_pace_memory(struct gc_pace *pace, uint64_t heap_bytes, uint64_t overhead_bytes);

/* ---------------------------------------------------------------- a cycle */

static inline bool gc_pace_is_running(const struct gc_pace *pace)
{
	return pace->nr_begun != pace->nr_ended;
}

/** Whether a heap of @heap_bytes (objects, garbage too) is to be collected from now on. */
static inline bool gc_pace_is_due(const struct gc_pace *pace, uint64_t heap_bytes)
{
	return !gc_pace_is_running(pace) && heap_bytes >= pace->trigger_bytes;
}

/** A cycle begins at @heap_bytes. @worst_work: if all that is there lives; roots too. */
void gc_pace_begin(struct gc_pace *pace, uint64_t heap_bytes, uint64_t worst_work);
/** In a cycle, every 100 us or so: the heap is @heap_bytes now, and @done_work is done. Makes the ratio. */
void gc_pace_revise(struct gc_pace *pace, uint64_t heap_bytes, uint64_t done_work);
/** It has ended. Makes the next goal and trigger. */
void gc_pace_end(struct gc_pace *pace, const struct gc_pace_cycle *cycle);

/** It will not end, if one runs: as if it had not begun. Nothing is learned from it. */
void gc_pace_drop(struct gc_pace *pace);

/** @work was done in @ns of CPU time, by workers or assists; some slices together. */
void gc_pace_measured(struct gc_pace *pace, uint64_t work, uint64_t ns);

/** Work in the time of one slice: at least 256, so that there is progress. */
static inline uint64_t gc_pace_slice_work(const struct gc_pace *pace)
{
	uint64_t aim_ns = GC_PACE_SLICE_NS * GC_PACE_SLICE_AIM_PERCENT / 100;

	return gc_pace_clamp(gc_pace_scale(pace->rate_work, aim_ns, pace->rate_ns), 256, UINT32_MAX);
}

/* ---------------------------------------------------------------- workers */

/** Workers that run all the time while a cycle marks; returns the percentage of one CPU that another one runs, 0 for none. */
static inline uint32_t gc_pace_workers(const struct gc_pace *pace, uint32_t *nr_workers)
{
	uint64_t percent = (uint64_t)pace->nr_cpus * pace->share_percent;

	*nr_workers = (uint32_t)(percent / 100);
	return (uint32_t)(percent % 100);
}

/* The worker that runs a percentage of the time. All zeros at the begin of a cycle. Its own. */
struct gc_duty {
	int64_t rest_ns;	/* owed; negative: has rested too long */
};

/**
 * How long to rest after @ran_ns of CPU time, and @rested_ns before these; @percent is 1 to 99. A rest that took longer than asked for
 * shortens the next ones. Turns should be of a millisecond: that is what mutators are kept waiting where there is one CPU.
 */
static inline uint64_t gc_duty_rest(struct gc_duty *duty, uint32_t percent, uint64_t ran_ns, uint64_t rested_ns)
{
	int64_t least_ns = -(int64_t)GC_PACE_TURN_NS, most_ns = (int64_t)gc_pace_scale(GC_PACE_TURN_NS, 100 - percent, percent);
	int64_t rest_ns = duty->rest_ns + (int64_t)gc_pace_scale(ran_ns, 100 - percent, percent) - (int64_t)rested_ns;

	duty->rest_ns = rest_ns > most_ns ? most_ns : rest_ns < least_ns ? least_ns : rest_ns;
	return duty->rest_ns > 0 ? (uint64_t)duty->rest_ns : 0;
}

/* ---------------------------------------------------------------- assists */

/* What a thread owes in this cycle. All zeros at its begin. The thread's own. */
struct gc_debt {
	uint64_t work;
};

/** The thread allocates @bytes. Returns what it may ask of the workers' credit. */
static inline uint64_t gc_pace_owe(const struct gc_pace *pace, struct gc_debt *debt, uint64_t bytes)
{
	if (!gc_pace_is_running(pace) || pace->capped)
		debt->work = 0;
	else
		debt->work = gc_pace_sum(debt->work, gc_pace_scale(bytes, pace->ratio, GC_PACE_ONE));
	return debt->work;
}

/** @work was done for the thread or by it. */
static inline void gc_pace_paid(struct gc_debt *debt, uint64_t work)
{
	debt->work = gc_pace_over(debt->work, work);
}

/** Workers did @work that was not in vain. */
static inline void gc_pace_give_credit(struct gc_pace *pace, uint64_t work)
{
	pace->credit_work = gc_pace_sum(pace->credit_work, work);
}

/** As much of @work as there is credit for. A user without a lock does the same by a compare and exchange. */
static inline uint64_t gc_pace_take_credit(struct gc_pace *pace, uint64_t work)
{
	uint64_t taken = work < pace->credit_work ? work : pace->credit_work;

	pace->credit_work -= taken;
	return taken;
}

/* One slice up to the goal, the most at the ceiling, in proportion between. */
static inline uint64_t gc_pace_slices(const struct gc_pace *pace, uint64_t heap_bytes)
{
	uint64_t over = gc_pace_over(heap_bytes, pace->goal_bytes), room = gc_pace_over(pace->ceiling_bytes, pace->goal_bytes);

	if (!over)
		return 1;
	return over >= room ? GC_PACE_MOST_SLICES : 1 + gc_pace_scale(over, GC_PACE_MOST_SLICES - 1, room);
}

/**
 * Work to do now, in slices of gc_pace_slice_work() with a poll before each, by a thread that allocates @bytes in a heap of @heap_bytes and
 * owes @debt. 0: go on. What it owes beyond stays owed.
 */
static inline uint64_t gc_pace_due_work(const struct gc_pace *pace, struct gc_debt *debt, uint64_t bytes, uint64_t heap_bytes)
{
	uint64_t slice = gc_pace_slice_work(pace), pieces = bytes / GC_PACE_PIECE_BYTES + 1;
	uint64_t most = gc_pace_scale(slice, gc_pace_slices(pace, heap_bytes) * pieces, 1);

	if (debt->work < slice / GC_PACE_SLICE_LEAST_SHARE)
		return 0;
	debt->work = gc_pace_clamp(debt->work, 0, gc_pace_sum(most, GC_PACE_MOST_OWED_SLICES * slice));
	return debt->work < most ? debt->work : most;
}

/* ---------------------------------------------------------------- bounds */

/**
 * CPU time since the last call, of the collector (workers and assists) and of all mutators; every 10 ms or so, in cycles and between. What
 * mutators wait at the limit counts as theirs: else they would wait for each other while the bucket stays full.
 */
void gc_pace_cpu(struct gc_pace *pace, uint64_t collector_ns, uint64_t mutators_ns);

/* An allocation that meets the limit. All zeros at its begin. */
struct gc_wait {
	uint64_t ended;		/* a verdict needs so many ended cycles: the last of them began after it asked; 0: it has not met the limit yet */
	uint64_t last;		/* after so many ended ones it waits for no more; 0: for none at all */
	bool is_alone;		/* it has been told so */
};

/** No cycle is to be had: the next verdict is the policy's. */
static inline void gc_pace_wait_no_more(struct gc_wait *wait)
{
	wait->last = 0;
}

/**
 * Whether @bytes more may be allocated beside @heap_bytes of objects; for a heap's growth, not for each object. COLLECT and TELL ask to be called
 * again after it was done, and come to an end: an allocation waits for one cycle that began after it asked, or for two where it was
 * the one to tell the program, who is told once until what lives has fitted the limit again; and where it fits all the time, and there is no room all the
 * same, for 1 + GC_PACE_MOST_WAITS cycles. With the policy fail it is refused after one more, which it has for itself: nobody is refused because others were faster. The policy
 * overshoot waits for no cycle after that, nor for one that is capped, while what lives does not fit.
 */
enum gc_pace_verdict gc_pace_verdict(struct gc_pace *pace, struct gc_wait *wait, uint64_t heap_bytes, uint64_t bytes);

/** Panics unless the invariants hold. */
void gc_pace_validate(const struct gc_pace *pace);

#endif /* LIBARENA_GC_PACE_H */
