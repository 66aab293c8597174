/* SPDX-License-Identifier: MIT */
/*
 * The pacer at work: gc/pace.h decides, this tells it what is going on and passes on what it says.
 *
 *	the collector, its workers		under the lock, seldom: a cycle begins and ends, the ratio is made anew, CPU time was spent
 *	threads that allocate			without it, often: what they owe, what others have done for them, whether a cycle is due
 *
 * What the latter read is published in words of their own. Each may be a moment older than the next one, which at worst asks for too little
 * or too much once; the next allocation's thread sees what is right.
 *
 * Any thread, unless a function says more. Everything is O(1) but gc_drive_ran(), which now and then asks for the CPU time of all threads.
 */
#ifndef LIBARENA_GC_DRIVE_H
#define LIBARENA_GC_DRIVE_H

#include "gc/pace.h"
#include "lock.h"

/* The ratio is made anew so often: a thread that allocates 2 GB/s is 200 KB on by then. */
#define GC_DRIVE_REVISE_NS ((uint64_t)100 * 1000)

/* Sums since the heap was made, of which a cycle's are differences. Atomic, relaxed. */
struct gc_sums {
	uint64_t done_work;	/* scanned, by anybody */
	uint64_t worker_ns;	/* CPU time of the collector's threads */
	uint64_t assist_ns;	/* of mutators that marked */
	uint64_t nr_slices;	/* in which they did */
};

struct gc_drive {
	struct lock lock;	/* guards all down to is_disabled */
	struct gc_pace pace;
	uint64_t begin_ns;	/* of the cycle */
	struct gc_sums begin;	/* as they were then */
	uint64_t told_collector_ns, told_process_ns; /* CPU time that the pace knows of */
	bool is_disabled;	/* no cycle begins by itself */

	/* Atomic, relaxed: as published. */
	uint64_t ratio;		/* what a byte owes; 0: nothing, because no cycle runs, or the collector is capped */
	uint64_t slice_work;
	uint64_t goal_bytes, ceiling_bytes; /* of the heap */
	uint64_t trigger_bytes;	/* so many, allocated since the last cycle, begin one */
	uint64_t nr_begun;	/* cycles: debts are forgotten with them */
	bool is_running;	/* one is */
	bool has_limit;

	/* Atomic, relaxed. */
	uint64_t credit_work;	/* taken by compare and exchange */
	uint64_t revised_ns;	/* when the ratio was */
	uint64_t slice_most_work, slice_most_over; /* the longest slice of an assist, and the most that one did beyond what was asked for */
	struct gc_sums sums;
};

/** @nr_cpus: those that the collector has a share of. */
void gc_drive_init(struct gc_drive *drive, uint32_t nr_cpus);
/** How much may be allocated for what lives, or GC_PACE_OFF; also while a cycle runs. */
void gc_drive_set_percent(struct gc_drive *drive, uint32_t percent);

/** Percent of all CPUs that workers have. */
void gc_drive_set_share(struct gc_drive *drive, uint32_t percent);
/** Of memory; UINT64_MAX is none. gc_drive_memory() is to follow. */
void gc_drive_set_limit(struct gc_drive *drive, uint64_t bytes, enum gc_pace_policy policy);
/** Whether cycles begin by themselves. */
void gc_drive_set_enabled(struct gc_drive *drive, bool is_enabled);

/** As gc_pace_memory(). */
void gc_drive_memory(struct gc_drive *drive, uint64_t heap_bytes, uint64_t overhead_bytes);
/** What is to become of an allocation that was refused at the limit. */
enum gc_pace_verdict gc_drive_verdict(struct gc_drive *drive, struct gc_wait *wait);
/** A mutator has waited at the limit: counts as if it had run. */
void gc_drive_waited(struct gc_drive *drive, uint64_t ns);

/** A cycle begins. @worst_work: if all that is there lives. The collector's. */
void gc_drive_begin(struct gc_drive *drive, uint64_t heap_bytes, uint64_t worst_work);
/** It has marked. What the pace wants to know of it, but for heap_work and times. The collector's. */
void gc_drive_end(struct gc_drive *drive, struct gc_pace_cycle cycle);
/** The cycle that runs, if one does, will not end: in the child of a fork, which has spent no CPU time yet. */
void gc_drive_drop(struct gc_drive *drive);
/** Make the ratio anew if it is time to; somebody else may do so as well. */
void gc_drive_revise(struct gc_drive *drive, uint64_t now_ns, uint64_t heap_bytes);

/** A worker did @work, which nobody owed: others may spend it. */
void gc_drive_did(struct gc_drive *drive, uint64_t work);
/** A thread of the collector's has spent @ns of CPU time, in which it did @work. */
void gc_drive_ran(struct gc_drive *drive, uint64_t work, uint64_t ns);
/** A mutator did @work in @ns, in a slice that was to be of @asked_work. */
void gc_drive_assisted(struct gc_drive *drive, uint64_t asked_work, uint64_t work, uint64_t ns);
/** As much of @work as there is credit for; it is spent. */
uint64_t gc_drive_take_credit(struct gc_drive *drive, uint64_t work);

/** What was done and spent up to now. */
struct gc_sums gc_drive_sums(const struct gc_drive *drive);
/** As gc_pace_workers(). */
uint32_t gc_drive_workers(struct gc_drive *drive, uint32_t *nr_workers);

/** Whether threads that allocate owe anything. */
static inline bool gc_drive_is_owed(const struct gc_drive *drive)
{
	return atomic_load_relaxed(&drive->ratio);
}

static inline bool gc_drive_has_limit(const struct gc_drive *drive)
{
	return atomic_load_relaxed(&drive->has_limit);
}

/** What was published, for the functions of gc/pace.h that assists use. */
static inline struct gc_pace gc_drive_view(const struct gc_drive *drive)
{
	uint64_t ratio = atomic_load_relaxed(&drive->ratio);

	return (struct gc_pace){
		.nr_begun = ratio > 0, /* one that runs */
		.ratio = ratio,
		.goal_bytes = atomic_load_relaxed(&drive->goal_bytes),
		.ceiling_bytes = atomic_load_relaxed(&drive->ceiling_bytes),
		.rate_work = atomic_load_relaxed(&drive->slice_work),
		.rate_ns = GC_PACE_SLICE_NS * GC_PACE_SLICE_AIM_PERCENT / 100,
	};
}

#endif /* LIBARENA_GC_DRIVE_H */
