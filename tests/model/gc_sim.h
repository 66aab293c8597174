/* SPDX-License-Identifier: MIT */
/*
 * A collected heap that is only numbers, under loads that are only functions of time, for gc/pace.h: CPUs, threads that allocate and assist, workers that
 * mark, handshakes that take their time. Shared by the test (gc_pace.c) and the plot (tests/plot/gc_pace.c).
 *
 * Models a snapshot at the begin of each cycle: what lives then is marked, what is allocated meanwhile is black and lives on until the next. Steps of
 * 50 us; in each the CPUs that workers leave are divided evenly among threads. Threads allocate in pieces, ask after each what they owe, and may
 * overdraw a step. It must not be used to say how fast marking is, or how long a handshake takes: those are numbers here.
 */
#ifndef TESTS_MODEL_GC_SIM_H
#define TESTS_MODEL_GC_SIM_H

#include <string.h>

#include "gc/pace.h"

#define SIM_US ((uint64_t)1000)
#define SIM_MS (1000 * SIM_US)
#define SIM_SECOND (1000 * SIM_MS)
#define SIM_STEP (50 * SIM_US)
/* A worker that rests by its duty works so long at a stretch. */
#define SIM_TURN SIM_MS
#define SIM_CYCLES_MAX 4096
#define SIM_THREADS_MAX 64

/* A program on a machine. Rates are bytes in a microsecond of CPU time. */
struct sim_load {
	const char *name;
	uint32_t nr_cpus, nr_threads;
	uint64_t (*live)(uint64_t ns);	/* bytes that the program can reach */
	uint64_t (*alloc)(uint64_t ns);	/* rate */
	uint64_t mark_rate, roots_work;
	uint64_t handshake_ns;		/* before and after marking */
	uint64_t piece_bytes;		/* allocated at a time */
	uint64_t jitter_percent, seed;	/* of all rates, drawn anew each millisecond */
	uint32_t scan_percent;		/* of what lives: the rest holds no pointers */
	uint32_t percent;
	uint64_t limit_bytes;		/* 0: none */
	uint64_t overhead_percent;	/* of the heap; counts against the limit */
	enum gc_pace_policy policy;
	uint64_t shed_percent;		/* of what lives is let go when the program is told about its limit */
	bool without_black;		/* the goal does not count what was allocated black */
	bool uses_idle;			/* workers run on CPUs that no thread wants */
};

struct sim_cycle {
	uint64_t begin_ns, wall_ns, trigger_bytes, goal_bytes, end_bytes, live_bytes, allocated_bytes;
	uint64_t worker_ns, assist_ns, idle_ns;
};

struct sim_thread {
	int64_t budget_ns;
	struct gc_debt debt;
	struct gc_wait wait;
	uint64_t debt_cycle;		/* that the debt belongs to */
	bool waits;			/* for a cycle to end, at the limit */
};

/* Since the last sim_mark(). */
struct sim_sums {
	uint64_t from_ns, mutator_ns, allocated_bytes, peak_bytes, over_limit_bytes, slice_ns, call_ns;
	uint64_t nr_cycles, cycles_wall_ns, worker_ns, assist_ns, idle_ns, nr_failed, nr_overshot, nr_told, nr_late;
};

enum sim_phase { SIM_IDLE, SIM_BEGINS, SIM_MARKS, SIM_ENDS };

struct sim {
	struct sim_load load;
	struct gc_pace pace;
	enum sim_phase phase;
	uint64_t now_ns, phase_ns, heap_bytes, kept_percent;
	struct sim_cycle cycle;
	uint64_t marked_bytes, work, done;
	struct gc_duty duty;
	uint64_t duty_ran_ns, duty_rest_ns, duty_rested_ns, asked_rest_ns;
	uint64_t cpu_collector_ns, cpu_mutators_ns; /* not yet told to the pacer */
	struct sim_thread threads[SIM_THREADS_MAX];
	struct sim_sums sums;
	struct sim_cycle cycles[SIM_CYCLES_MAX]; /* those since the last sim_mark() */
};

/* ---------------------------------------------------------------- numbers of the load */

static inline uint64_t sim_noise(uint64_t x)
{
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
	return x ^ x >> 32;
}

/* @rate, up to the jitter more or less. */
static inline uint64_t sim_jitter(const struct sim *sim, uint64_t rate, uint64_t which)
{
	uint64_t percent = sim->load.jitter_percent, noise;

	if (!percent)
		return rate;
	noise = sim_noise(sim->now_ns / SIM_MS * 2 + which + sim->load.seed * 0x100000000u) % (2 * percent + 1);
	return rate * (100 - percent + noise) / 100;
}

static inline uint64_t sim_mark_rate(const struct sim *sim)
{
	return sim_jitter(sim, sim->load.mark_rate, 0);
}

static inline uint64_t sim_live(const struct sim *sim)
{
	uint64_t live = sim->load.live(sim->now_ns) * sim->kept_percent / 100;

	return live < sim->heap_bytes ? live : sim->heap_bytes;
}

static inline uint64_t sim_overhead(const struct sim *sim)
{
	return sim->heap_bytes * sim->load.overhead_percent / 100;
}

/* ---------------------------------------------------------------- a cycle */

static inline uint64_t sim_scanned(const struct sim *sim, uint64_t bytes)
{
	return bytes * sim->load.scan_percent / 100 + sim->load.roots_work;
}

static inline void sim_begin(struct sim *sim)
{
	sim->cycle = (struct sim_cycle){ .begin_ns = sim->now_ns, .trigger_bytes = sim->heap_bytes };
	sim->marked_bytes = sim_live(sim);
	sim->work = sim_scanned(sim, sim->marked_bytes);
	sim->done = 0;
	sim->duty = (struct gc_duty){ 0 };
	sim->duty_ran_ns = sim->duty_rest_ns = sim->duty_rested_ns = 0;
	gc_pace_begin(&sim->pace, sim->heap_bytes, sim_scanned(sim, sim->heap_bytes));
	sim->phase = SIM_BEGINS;
	sim->phase_ns = sim->now_ns + sim->load.handshake_ns;
}

static inline void sim_count_cycle(struct sim *sim)
{
	struct sim_sums *sums = &sim->sums;

	if (sums->nr_cycles < SIM_CYCLES_MAX)
		sim->cycles[sums->nr_cycles] = sim->cycle;
	sums->nr_cycles++;
	sums->cycles_wall_ns += sim->cycle.wall_ns;
}

static inline void sim_end(struct sim *sim)
{
	struct sim_cycle *cycle = &sim->cycle;
	uint64_t live = sim->marked_bytes + cycle->allocated_bytes;

	cycle->wall_ns = sim->now_ns - cycle->begin_ns;
	cycle->goal_bytes = sim->pace.goal_bytes;
	cycle->end_bytes = sim->heap_bytes;
	cycle->live_bytes = live;
	sim_count_cycle(sim);
	gc_pace_end(&sim->pace, &(struct gc_pace_cycle){
		.live_bytes = live, .black_bytes = sim->load.without_black ? cycle->allocated_bytes : 0, .heap_work = sim->work - sim->load.roots_work, .roots_work = sim->load.roots_work,
		.allocated_bytes = cycle->allocated_bytes, .heap_bytes = sim->heap_bytes, .wall_ns = cycle->wall_ns,
		.worker_ns = cycle->worker_ns, .assist_ns = cycle->assist_ns, .idle_ns = cycle->idle_ns });
	sim->heap_bytes = live;
	sim->phase = SIM_IDLE;
}

static inline void sim_phases(struct sim *sim)
{
	if (sim->phase == SIM_IDLE && gc_pace_is_due(&sim->pace, sim->heap_bytes))
		sim_begin(sim);
	else if (sim->phase == SIM_BEGINS && sim->now_ns >= sim->phase_ns)
		sim->phase = SIM_MARKS;
	else if (sim->phase == SIM_MARKS && sim->done >= sim->work) {
		sim->phase = SIM_ENDS;
		sim->phase_ns = sim->now_ns + sim->load.handshake_ns;
	} else if (sim->phase == SIM_ENDS && sim->now_ns >= sim->phase_ns)
		sim_end(sim);
	if (sim->phase != SIM_IDLE)
		gc_pace_revise(&sim->pace, sim->heap_bytes, sim->done);
}

/* Marks for at most @ns, as far as there is work; returns the time that it took. */
static inline uint64_t sim_work(struct sim *sim, uint64_t work, bool credit)
{
	uint64_t left = sim->phase == SIM_MARKS ? sim->work - sim->done : 0, ns;

	work = work < left ? work : left;
	ns = work * 1000 / sim_mark_rate(sim);
	sim->done += work;
	sim->cpu_collector_ns += ns;
	if (credit)
		gc_pace_give_credit(&sim->pace, work);
	gc_pace_measured(&sim->pace, work, ns);
	return ns;
}

/* ---------------------------------------------------------------- workers */

/* Whether the worker with a duty has this step. */
static inline bool sim_duty(struct sim *sim, uint32_t percent)
{
	if (!percent)
		return false;
	if (sim->duty_ran_ns >= SIM_TURN) {
		sim->asked_rest_ns = gc_duty_rest(&sim->duty, percent, sim->duty_ran_ns, sim->duty_rested_ns);
		sim->duty_ran_ns = sim->duty_rested_ns = 0;
		sim->duty_rest_ns = sim->asked_rest_ns;
	}
	if (sim->duty_rest_ns) {
		sim->duty_rest_ns -= sim->duty_rest_ns < SIM_STEP ? sim->duty_rest_ns : SIM_STEP;
		sim->duty_rested_ns += SIM_STEP;
		return false;
	}
	sim->duty_ran_ns += SIM_STEP;
	return true;
}

/* How many CPUs workers have in this step, in their share. */
static inline uint32_t sim_workers(struct sim *sim)
{
	uint64_t work = sim_mark_rate(sim) * SIM_STEP / 1000;
	uint32_t nr, percent = gc_pace_workers(&sim->pace, &nr);

	if (sim->phase != SIM_MARKS)
		return 0;
	nr += sim_duty(sim, percent);
	sim->cycle.worker_ns += sim_work(sim, nr * work, true);
	return nr;
}

/* ---------------------------------------------------------------- threads */

/* Work that a thread does for its debt; or, at the limit, all it can. */
static inline void sim_assist(struct sim *sim, struct sim_thread *thread, uint64_t work)
{
	uint64_t slice = gc_pace_slice_work(&sim->pace), ns = 0;

	while (work) {
		uint64_t part = work < slice ? work : slice, part_ns = sim_work(sim, part, false);

		if (part_ns > sim->sums.slice_ns)
			sim->sums.slice_ns = part_ns;
		ns += part_ns;
		work -= part;
		gc_pace_paid(&thread->debt, part);
	}
	sim->cycle.assist_ns += ns;
	thread->budget_ns -= (int64_t)ns;
	if (ns > sim->sums.call_ns && !thread->waits)
		sim->sums.call_ns = ns;
}

/* Whether there is room for a piece; false: not now, or not at all. */
static inline bool sim_has_room(struct sim *sim, struct sim_thread *thread)
{
	thread->waits = false;
	switch (gc_pace_verdict(&sim->pace, &thread->wait, sim->heap_bytes, sim->load.piece_bytes)) {
	case GC_PACE_COLLECT:
	case GC_PACE_ALONE:
		thread->waits = true;
		if (sim->phase == SIM_IDLE)
			sim_begin(sim);
		return false;
	case GC_PACE_TELL:
		sim->sums.nr_told++;
		sim->kept_percent -= sim->kept_percent * sim->load.shed_percent / 100;
		return false;
	case GC_PACE_FAIL:
		sim->sums.nr_failed++;
		/* The program does something else for a while. */
		thread->budget_ns -= (int64_t)(100 * SIM_US);
		thread->wait = (struct gc_wait){ 0 };
		return false;
	case GC_PACE_OVERSHOOT:
		sim->sums.nr_overshot++;
		break;
	case GC_PACE_GO:
		break;
	}
	thread->wait = (struct gc_wait){ 0 };
	return true;
}

static inline void sim_allocate(struct sim *sim, struct sim_thread *thread, uint64_t rate)
{
	uint64_t bytes = sim->load.piece_bytes, ns = bytes * 1000 / rate + 1;

	thread->budget_ns -= (int64_t)ns;
	sim->cpu_mutators_ns += ns;
	sim->sums.mutator_ns += ns;
	sim->sums.allocated_bytes += bytes;
	sim->heap_bytes += bytes;
	if (sim->phase != SIM_IDLE)
		sim->cycle.allocated_bytes += bytes;
	if (thread->debt_cycle != sim->pace.nr_begun)
		thread->debt = (struct gc_debt){ 0 };
	thread->debt_cycle = sim->pace.nr_begun;
	gc_pace_paid(&thread->debt, gc_pace_take_credit(&sim->pace, gc_pace_owe(&sim->pace, &thread->debt, bytes)));
	if (sim->phase == SIM_MARKS)
		sim_assist(sim, thread, gc_pace_due_work(&sim->pace, &thread->debt, bytes, sim->heap_bytes));
}

/* Until the step's end. */
static inline void sim_wait(struct sim *sim, struct sim_thread *thread)
{
	if (!sim->pace.capped)
		sim_assist(sim, thread, sim_mark_rate(sim) * (uint64_t)thread->budget_ns / 1000);
	if (thread->budget_ns > 0)
		sim->cpu_mutators_ns += (uint64_t)thread->budget_ns;
}

static inline void sim_thread(struct sim *sim, struct sim_thread *thread, uint64_t ns, uint64_t rate)
{
	thread->budget_ns += (int64_t)ns;
	while (thread->budget_ns > 0) {
		if (sim_has_room(sim, thread)) {
			if (rate)
				sim_allocate(sim, thread, rate);
			else
				break;
		} else if (thread->waits) {
			sim_wait(sim, thread);
			break;
		}
	}
	/* What was not used of a step is not had later: the thread slept. */
	if (thread->budget_ns > 0)
		thread->budget_ns = 0;
}

/* ---------------------------------------------------------------- time */

static inline void sim_account(struct sim *sim)
{
	uint64_t used = sim->heap_bytes + sim_overhead(sim);

	if (sim->heap_bytes > sim->sums.peak_bytes)
		sim->sums.peak_bytes = sim->heap_bytes;
	if (sim->load.limit_bytes && used > sim->load.limit_bytes && used - sim->load.limit_bytes > sim->sums.over_limit_bytes)
		sim->sums.over_limit_bytes = used - sim->load.limit_bytes;
	if (sim->now_ns % SIM_MS == 0)
		gc_pace_memory(&sim->pace, sim->heap_bytes, sim_overhead(sim));
	if (sim->now_ns % (10 * SIM_MS) == 0) {
		gc_pace_cpu(&sim->pace, sim->cpu_collector_ns, sim->cpu_mutators_ns);
		sim->cpu_collector_ns = sim->cpu_mutators_ns = 0;
	}
}

static inline void sim_step(struct sim *sim)
{
	uint64_t rate = sim_jitter(sim, sim->load.alloc(sim->now_ns), 1), worker_ns = sim->cycle.worker_ns, assist_ns = sim->cycle.assist_ns;
	uint64_t idle_ns = sim->cycle.idle_ns, begun = sim->pace.nr_begun;
	uint32_t nr = sim_workers(sim), left = sim->load.nr_cpus - nr, nr_threads = sim->load.nr_threads;

	if (sim->load.uses_idle && left > nr_threads && sim->phase == SIM_MARKS)
		sim->cycle.idle_ns += sim_work(sim, (left - nr_threads) * sim_mark_rate(sim) * SIM_STEP / 1000, true);
	sim->sums.worker_ns += sim->cycle.worker_ns - worker_ns;
	sim->sums.idle_ns += sim->cycle.idle_ns - idle_ns;
	for (uint32_t i = 0; i < nr_threads; i++)
		sim_thread(sim, &sim->threads[i], left < nr_threads ? SIM_STEP * left / nr_threads : SIM_STEP, rate);
	sim->sums.assist_ns += sim->cycle.assist_ns - (sim->pace.nr_begun == begun ? assist_ns : 0);
	sim->now_ns += SIM_STEP;
	sim_phases(sim);
	sim_account(sim);
}

static inline void sim_mark(struct sim *sim)
{
	sim->sums = (struct sim_sums){ .from_ns = sim->now_ns };
}

static inline void sim_run(struct sim *sim, uint64_t ns)
{
	for (uint64_t until = sim->now_ns + ns; sim->now_ns < until; sim_step(sim))
		;
}

static inline void sim_start(struct sim *sim, const struct sim_load *load)
{
	memset(sim, 0, sizeof(*sim));
	sim->load = *load;
	sim->kept_percent = 100;
	sim->load.piece_bytes = load->piece_bytes ? load->piece_bytes : 16 * KiB;
	sim->load.scan_percent = load->scan_percent ? load->scan_percent : 100;
	gc_pace_init(&sim->pace, load->nr_cpus);
	gc_pace_set_percent(&sim->pace, load->percent);
	if (load->limit_bytes)
		gc_pace_set_limit(&sim->pace, load->limit_bytes, load->policy);
}

/* ---------------------------------------------------------------- what came of it, in per mille */

static inline uint64_t sim_cpu_ns(const struct sim *sim)
{
	return (sim->now_ns - sim->sums.from_ns) * sim->load.nr_cpus;
}

/* Of the collector in all CPU time, and of parts of it in that of cycles. */
static inline uint64_t sim_collector_share(const struct sim *sim)
{
	return (sim->sums.worker_ns + sim->sums.assist_ns) * 1000 / sim_cpu_ns(sim);
}

static inline uint64_t sim_in_cycles(const struct sim *sim, uint64_t ns)
{
	return sim->sums.nr_cycles ? ns * 1000 / (sim->sums.cycles_wall_ns * sim->load.nr_cpus) : 0;
}

/* How far cycles ended beyond their goals, at most, in per mille of it. */
static inline uint64_t sim_late(const struct sim *sim)
{
	uint64_t late = 0;

	for (uint64_t i = 0; i < sim->sums.nr_cycles && i < SIM_CYCLES_MAX; i++) {
		const struct sim_cycle *cycle = &sim->cycles[i];
		uint64_t this = gc_pace_over(cycle->end_bytes, cycle->goal_bytes) * 1000 / cycle->goal_bytes;

		late = this > late ? this : late;
	}
	return late;
}

#endif /* TESTS_MODEL_GC_SIM_H */
