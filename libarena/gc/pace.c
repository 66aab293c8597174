// SPDX-License-Identifier: MIT
/*
 * The collector's pacing: what follows from the last cycle, and what from the moment. The formulas are on top of gc/pace.h; here is why each has
 * its bounds. What allocations ask for is inline there.
 */
#include "gc/pace.h"

#include "panic.h"

/* Less would let a cycle look as if it cost mutators nothing. */
#define LEAST_MUTATOR_SHARE 20
/* What is left to do is never thought to be less: some is found late, and a ratio of 0 would let the heap run on. */
#define LEAST_WORK ((uint64_t)4 * KiB)
/* Near the goal the ratio rises no further than this many times beyond the one of the begin. */
#define MOST_HASTE 16

/* ---------------------------------------------------------------- goal, trigger, ceiling */

static uint64_t percent_goal(const struct gc_pace *pace)
{
	uint64_t least = gc_pace_scale(GC_PACE_LEAST_HEAP_BYTES, pace->percent, 100), base, goal;

	if (pace->percent == GC_PACE_OFF)
		return UINT64_MAX;
	base = gc_pace_sum(gc_pace_over(pace->live_bytes, pace->black_bytes), pace->roots_work);
	goal = gc_pace_sum(pace->live_bytes, gc_pace_scale(base, pace->percent, 100));
	return goal > least ? goal : least;
}

/* A small limit is not all headroom. */
static uint64_t headroom(uint64_t limit_bytes)
{
	uint64_t part = gc_pace_scale(limit_bytes, GC_PACE_HEADROOM_PERCENT, 100);
	uint64_t fixed = gc_pace_clamp(limit_bytes / 8, 0, GC_PACE_HEADROOM_BYTES);

	return part > fixed ? part : fixed;
}

/* The excess counts twice, in heap or overhead and by itself: so that what is over comes down, and does not only stop to grow. */
static uint64_t limit_goal(const struct gc_pace *pace)
{
	uint64_t used = gc_pace_sum(pace->overhead_bytes, pace->excess_bytes);

	if (pace->limit_bytes == UINT64_MAX)
		return UINT64_MAX;
	return gc_pace_over(pace->limit_bytes, gc_pace_sum(used, headroom(pace->limit_bytes)));
}

/* How much will be allocated while a cycle's work is done by workers in their share alone. Unknown: all the way. */
static uint64_t runway(const struct gc_pace *pace)
{
	uint64_t work = gc_pace_sum(pace->heap_work, pace->roots_work), most = 0;

	if (!pace->nr_ended)
		return UINT64_MAX;
	for (size_t i = 0; i < GC_PACE_HISTORY; i++)
		if (pace->alloc_per_mark[i] > most)
			most = pace->alloc_per_mark[i];
	return gc_pace_scale(gc_pace_scale(work, most, GC_PACE_ONE), 100 - pace->share_percent, pace->share_percent);
}

static uint64_t most_bytes(const struct gc_pace *pace)
{
	return pace->limit_bytes == UINT64_MAX ? UINT64_MAX : gc_pace_over(pace->limit_bytes, pace->overhead_bytes);
}

static void aim(struct gc_pace *pace)
{
	uint64_t by_percent = percent_goal(pace), by_limit = limit_goal(pace), live = pace->live_bytes, goal, way;

	pace->limited = by_limit < by_percent;
	goal = pace->limited ? by_limit : by_percent;
	goal = gc_pace_clamp(goal, gc_pace_sum(live, GC_PACE_LEAST_ROOM_BYTES), UINT64_MAX);
	way = goal - live;
	pace->goal_bytes = goal;
	pace->ceiling_bytes = gc_pace_clamp(most_bytes(pace), goal, gc_pace_sum(goal, way / GC_PACE_CEILING_SHARE));
	pace->trigger_bytes = goal == UINT64_MAX ? UINT64_MAX :
		gc_pace_clamp(gc_pace_over(goal, runway(pace)), live + gc_pace_scale(way, GC_PACE_TRIGGER_LOW_PERCENT, 100),
			      live + gc_pace_scale(way, GC_PACE_TRIGGER_HIGH_PERCENT, 100));
}

/* ---------------------------------------------------------------- settings */

void gc_pace_init(struct gc_pace *pace, uint32_t nr_cpus)
{
	*pace = (struct gc_pace){
		.nr_cpus = nr_cpus ? nr_cpus : 1,
		.percent = 100,
		.share_percent = GC_PACE_SHARE_PERCENT,
		.limit_bytes = UINT64_MAX,
		.rate_work = GC_PACE_FIRST_RATE,
		.rate_ns = 1000 * 1000,
	};
	aim(pace);
}

void gc_pace_set_percent(struct gc_pace *pace, uint32_t percent)
{
	pace->percent = percent;
	aim(pace);
}

void gc_pace_set_share(struct gc_pace *pace, uint32_t percent)
{
	pace->share_percent = (uint32_t)gc_pace_clamp(percent, 1, GC_PACE_MOST_SHARE_PERCENT);
	aim(pace);
}

void gc_pace_set_limit(struct gc_pace *pace, uint64_t limit_bytes, enum gc_pace_policy policy)
{
	pace->limit_bytes = limit_bytes;
	pace->policy = policy;
	pace->told = false;
	aim(pace);
}

void gc_pace_memory(struct gc_pace *pace, uint64_t heap_bytes, uint64_t overhead_bytes)
{
	pace->overhead_bytes = overhead_bytes;
	pace->excess_bytes = gc_pace_over(gc_pace_sum(heap_bytes, overhead_bytes), pace->limit_bytes);
	aim(pace);
}

/* ---------------------------------------------------------------- a cycle */

/* The heap at the last cycle's size, as far as it can be that large. */
static uint64_t expected_work(const struct gc_pace *pace)
{
	uint64_t work = gc_pace_sum(pace->heap_work, pace->roots_work);

	return pace->nr_ended && work < pace->worst_work ? work : pace->worst_work;
}

/* What workers will have done shortly. Without it every mutator would assist at the begin, and while a worker rests. */
static uint64_t lead_work(const struct gc_pace *pace)
{
	uint64_t ns = GC_PACE_LEAD_NS * pace->nr_cpus * pace->share_percent / 100;
	uint64_t work = gc_pace_scale(pace->rate_work, ns, pace->rate_ns), most = expected_work(pace) / GC_PACE_LEAD_SHARE;

	return work < most ? work : most;
}

void gc_pace_begin(struct gc_pace *pace, uint64_t heap_bytes, uint64_t worst_work)
{
	check(!gc_pace_is_running(pace));
	pace->nr_begun++;
	pace->begin_bytes = heap_bytes;
	pace->worst_work = worst_work;
	pace->credit_work = lead_work(pace);
	gc_pace_revise(pace, heap_bytes, 0);
}

/*
 * What is found alive makes the next goal. A heap that goes so far now is no larger than it may be then, but for what it allocates black meanwhile. Work is more
 * than what is alive where roots have grown, or mutators have noted much; that is never more than what was there.
 */
static void raise_ceiling(struct gc_pace *pace, uint64_t done_work)
{
	uint64_t alive = gc_pace_clamp(gc_pace_over(done_work, pace->roots_work), 0, pace->begin_bytes);
	uint64_t next_goal = gc_pace_sum(alive, gc_pace_scale(alive, pace->percent, 100));

	pace->ceiling_bytes = gc_pace_clamp(next_goal, pace->ceiling_bytes, gc_pace_clamp(most_bytes(pace), pace->ceiling_bytes, UINT64_MAX));
}

void gc_pace_revise(struct gc_pace *pace, uint64_t heap_bytes, uint64_t done_work)
{
	uint64_t expected = expected_work(pace), left, way, least_way;
	bool grows = done_work > expected, may_grow = grows && !pace->limited;

	if (may_grow)
		raise_ceiling(pace, done_work);
	left = gc_pace_over(grows ? pace->worst_work : expected, done_work);
	/* Where the heap should be when the work is done. More of it than expected is a heap that grows. Under a limit there is nothing to be had in advance. */
	way = gc_pace_over(may_grow ? pace->ceiling_bytes : pace->goal_bytes, heap_bytes);
	least_way = gc_pace_over(pace->goal_bytes, pace->begin_bytes) / MOST_HASTE;
	way = gc_pace_clamp(way, gc_pace_clamp(least_way, GC_PACE_LEAST_ROOM_BYTES, UINT64_MAX), UINT64_MAX);
	pace->ratio = gc_pace_scale(left > LEAST_WORK ? left : LEAST_WORK, GC_PACE_ONE, way);
}

/*
 * Bytes allocated in a time of a mutator's CPU, for each byte scanned in the same time of a worker's: what the division of the CPU was in the cycle cancels
 * out. What workers did on idle CPUs counts as theirs; it does not count as taken from mutators, who could have had it.
 */
static uint64_t alloc_per_mark(const struct gc_pace *pace, const struct gc_pace_cycle *cycle)
{
	uint64_t all_ns = gc_pace_scale(cycle->wall_ns, pace->nr_cpus, 1), taken_ns = cycle->worker_ns + cycle->assist_ns;
	uint64_t mutator_ns = gc_pace_clamp(gc_pace_over(all_ns, taken_ns), all_ns / LEAST_MUTATOR_SHARE + 1, UINT64_MAX);
	uint64_t work = gc_pace_sum(cycle->heap_work, cycle->roots_work);

	return gc_pace_scale(gc_pace_scale(cycle->allocated_bytes, GC_PACE_ONE, work ? work : 1), taken_ns + cycle->idle_ns, mutator_ns);
}

/* A cycle without any allocation says nothing of how fast they come. */
static void learn(struct gc_pace *pace, const struct gc_pace_cycle *cycle)
{
	if (cycle->allocated_bytes)
		pace->alloc_per_mark[pace->nr_ended % GC_PACE_HISTORY] = alloc_per_mark(pace, cycle);
	pace->live_bytes = cycle->live_bytes;
	pace->black_bytes = cycle->black_bytes;
	pace->heap_work = cycle->heap_work;
	pace->roots_work = cycle->roots_work;
}

static void count_late(struct gc_pace *pace, uint64_t heap_bytes)
{
	uint64_t late = gc_pace_over(heap_bytes, pace->goal_bytes);

	pace->nr_late += late > 0;
	if (late > pace->late_bytes)
		pace->late_bytes = late;
}

/* Whether what lives leaves room worth collecting for. */
static bool fits(const struct gc_pace *pace)
{
	return gc_pace_sum(pace->live_bytes, pace->overhead_bytes) <= gc_pace_scale(pace->limit_bytes, GC_PACE_FITS_PERCENT, 100);
}

void gc_pace_end(struct gc_pace *pace, const struct gc_pace_cycle *cycle)
{
	check(gc_pace_is_running(pace));
	count_late(pace, cycle->heap_bytes);
	learn(pace, cycle);
	pace->nr_ended++;
	pace->credit_work = pace->ratio = 0;
	if (fits(pace))
		pace->told = false;
	gc_pace_memory(pace, cycle->live_bytes, pace->overhead_bytes);
}

void gc_pace_drop(struct gc_pace *pace)
{
	pace->nr_begun = pace->nr_ended;
	pace->credit_work = pace->ratio = 0;
	aim(pace);
}

void gc_pace_measured(struct gc_pace *pace, uint64_t work, uint64_t ns)
{
	pace->rate_work = gc_pace_sum(pace->rate_work, work);
	pace->rate_ns = gc_pace_sum(pace->rate_ns, ns);
	while (pace->rate_ns > GC_PACE_RATE_NS) {
		pace->rate_work /= 2;
		pace->rate_ns /= 2;
	}
}

/* ---------------------------------------------------------------- bounds */

/*
 * More than fits is remembered, up to as much again: cut off at the brim, each stretch over it would be free, and the mean would be up to
 * 62 %. Less than nothing is not saved up: a program that has been idle for a day must not collect for the next.
 */
void gc_pace_cpu(struct gc_pace *pace, uint64_t collector_ns, uint64_t mutators_ns)
{
	uint64_t size = GC_PACE_BUCKET_NS * pace->nr_cpus;
	bool was = pace->capped;

	pace->bucket_ns = gc_pace_clamp(gc_pace_over(gc_pace_sum(pace->bucket_ns, collector_ns), mutators_ns), 0, 2 * size);
	pace->capped = pace->bucket_ns >= size;
	pace->nr_capped += pace->capped && !was;
}

/* When an allocation meets the limit for the first time. */
static void begin_wait(const struct gc_pace *pace, struct gc_wait *wait)
{
	wait->ended = pace->nr_begun + 1;
	wait->last = wait->ended + GC_PACE_MOST_WAITS;
}

/* Whether all cycles have ended of which the verdict on this allocation depends. */
static bool has_waited(const struct gc_pace *pace, const struct gc_wait *wait)
{
	return pace->nr_ended >= wait->ended && (!pace->told || pace->nr_ended > pace->told_begun);
}

static enum gc_pace_verdict overshoot(struct gc_pace *pace)
{
	pace->nr_overshot++;
	return GC_PACE_OVERSHOOT;
}

static enum gc_pace_verdict fail(struct gc_pace *pace)
{
	pace->nr_failed++;
	return GC_PACE_FAIL;
}

/* One for itself, which settles it. */
static enum gc_pace_verdict begin_alone(struct gc_pace *pace, struct gc_wait *wait)
{
	wait->is_alone = true;
	pace->nr_alone++;
	return GC_PACE_ALONE;
}

static enum gc_pace_verdict tell(struct gc_pace *pace, struct gc_wait *wait)
{
	pace->told = true;
	pace->told_begun = pace->nr_begun;
	pace->nr_told++;
	wait->ended = pace->nr_begun + 1;
	return GC_PACE_TELL;
}

enum gc_pace_verdict gc_pace_verdict(struct gc_pace *pace, struct gc_wait *wait, uint64_t heap_bytes, uint64_t bytes)
{
	bool known = pace->told && pace->nr_ended > pace->told_begun;

	if (gc_pace_sum(gc_pace_sum(heap_bytes, pace->overhead_bytes), bytes) <= pace->limit_bytes)
		return GC_PACE_GO;
	if (pace->policy == GC_PACE_POLICY_OVERSHOOT && (known || (pace->capped && !fits(pace))))
		return overshoot(pace);
	if (!wait->ended)
		begin_wait(pace, wait);
	if (pace->nr_ended < wait->last && !has_waited(pace, wait))
		return GC_PACE_COLLECT;
	if (pace->nr_ended < wait->last && !pace->told)
		return tell(pace, wait);
	if (pace->policy == GC_PACE_POLICY_OVERSHOOT)
		return overshoot(pace);
	return wait->is_alone || !wait->last ? fail(pace) : begin_alone(pace, wait);
}

void gc_pace_validate(const struct gc_pace *pace)
{
	check(pace->live_bytes <= pace->trigger_bytes && pace->trigger_bytes <= pace->goal_bytes);
	check(pace->goal_bytes <= pace->ceiling_bytes);
	check(pace->nr_ended <= pace->nr_begun && pace->nr_begun <= pace->nr_ended + 1);
	check(pace->bucket_ns <= 2 * GC_PACE_BUCKET_NS * pace->nr_cpus);
}
