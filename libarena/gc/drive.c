// SPDX-License-Identifier: MIT
/*
 * Between the pacer and those who are paced. The lock is held for some arithmetic; who would wait for it only to make the ratio anew does without,
 * because somebody else just does that.
 */
#include "gc/drive.h"

/* How often the pace is told of CPU time: often enough for a cap of a second, seldom enough to ask for all threads'. */
#define CPU_NS ((uint64_t)10 * 1000 * 1000)

static void publish_locked(struct gc_drive *drive)
{
	const struct gc_pace *pace = &drive->pace;
	bool is_never = pace->trigger_bytes == UINT64_MAX || drive->is_disabled;

	atomic_store_relaxed(&drive->ratio, gc_pace_is_running(pace) && !pace->capped ? pace->ratio : 0);
	atomic_store_relaxed(&drive->slice_work, gc_pace_slice_work(pace));
	atomic_store_relaxed(&drive->goal_bytes, pace->goal_bytes);
	atomic_store_relaxed(&drive->ceiling_bytes, pace->ceiling_bytes);
	atomic_store_relaxed(&drive->trigger_bytes, is_never ? UINT64_MAX : pace->trigger_bytes - pace->live_bytes);
	atomic_store_relaxed(&drive->has_limit, pace->limit_bytes != UINT64_MAX);
	atomic_store_relaxed(&drive->nr_begun, pace->nr_begun);
	atomic_store_relaxed(&drive->is_running, gc_pace_is_running(pace));
}

static void publish_and_release(struct gc_drive *drive)
{
	publish_locked(drive);
	lock_release(&drive->lock);
}

void gc_drive_init(struct gc_drive *drive, uint32_t nr_cpus)
{
	*drive = (struct gc_drive){ .lock = LOCK_INIT(LOCK_GC_DRIVE) };
	gc_pace_init(&drive->pace, nr_cpus);
	drive->told_process_ns = os_process_cpu_ns();
	publish_locked(drive);
}

void gc_drive_set_percent(struct gc_drive *drive, uint32_t percent)
{
	lock_acquire(&drive->lock);
	gc_pace_set_percent(&drive->pace, percent);
	publish_and_release(drive);
}

void gc_drive_set_share(struct gc_drive *drive, uint32_t percent)
{
	lock_acquire(&drive->lock);
	gc_pace_set_share(&drive->pace, percent);
	publish_and_release(drive);
}

void gc_drive_set_limit(struct gc_drive *drive, uint64_t bytes, enum gc_pace_policy policy)
{
	lock_acquire(&drive->lock);
	gc_pace_set_limit(&drive->pace, bytes, policy);
	publish_and_release(drive);
}

void gc_drive_set_enabled(struct gc_drive *drive, bool is_enabled)
{
	lock_acquire(&drive->lock);
	drive->is_disabled = !is_enabled;
	publish_and_release(drive);
}

/* ---------------------------------------------------------------- a cycle */

struct gc_sums gc_drive_sums(const struct gc_drive *drive)
{
	return (struct gc_sums){
		.done_work = atomic_load_relaxed(&drive->sums.done_work),
		.worker_ns = atomic_load_relaxed(&drive->sums.worker_ns),
		.assist_ns = atomic_load_relaxed(&drive->sums.assist_ns),
		.nr_slices = atomic_load_relaxed(&drive->sums.nr_slices),
	};
}

/* All that is not the collector's is mutators': other heaps' collectors as well, who are as good as any other thread of the program. */
static void tell_cpu_locked(struct gc_drive *drive)
{
	struct gc_sums now = gc_drive_sums(drive);
	uint64_t process_ns = os_process_cpu_ns(), collector_ns = now.worker_ns + now.assist_ns;
	uint64_t spent_ns = gc_pace_over(collector_ns, drive->told_collector_ns);

	gc_pace_cpu(&drive->pace, spent_ns, gc_pace_over(gc_pace_over(process_ns, drive->told_process_ns), spent_ns));
	drive->told_collector_ns = collector_ns;
	drive->told_process_ns = process_ns;
}

void gc_drive_begin(struct gc_drive *drive, uint64_t heap_bytes, uint64_t worst_work)
{
	lock_acquire(&drive->lock);
	drive->begin = gc_drive_sums(drive);
	drive->begin_ns = os_clock_ns();
	tell_cpu_locked(drive);
	gc_pace_begin(&drive->pace, heap_bytes, worst_work);
	atomic_store_relaxed(&drive->credit_work, drive->pace.credit_work);
	publish_and_release(drive);
}

/* What workers took beyond their share was there because nobody else wanted it: gc/workers.c sees to that. */
static void divide_worker_time(const struct gc_drive *drive, struct gc_pace_cycle *cycle, uint64_t worker_ns)
{
	uint64_t share_ns = gc_pace_scale(cycle->wall_ns, drive->pace.nr_cpus * (uint64_t)drive->pace.share_percent, 100);

	cycle->idle_ns = gc_pace_over(worker_ns, share_ns);
	cycle->worker_ns = worker_ns - cycle->idle_ns;
}

void gc_drive_end(struct gc_drive *drive, struct gc_pace_cycle cycle)
{
	struct gc_sums now = gc_drive_sums(drive);

	lock_acquire(&drive->lock);
	cycle.heap_work = gc_pace_over(now.done_work - drive->begin.done_work, cycle.roots_work);
	cycle.wall_ns = os_clock_ns() - drive->begin_ns;
	cycle.assist_ns = now.assist_ns - drive->begin.assist_ns;
	divide_worker_time(drive, &cycle, now.worker_ns - drive->begin.worker_ns);
	tell_cpu_locked(drive);
	gc_pace_end(&drive->pace, &cycle);
	atomic_store_relaxed(&drive->credit_work, 0u);
	publish_and_release(drive);
}

void gc_drive_drop(struct gc_drive *drive)
{
	lock_acquire(&drive->lock);
	gc_pace_drop(&drive->pace);
	drive->told_process_ns = os_process_cpu_ns();
	atomic_store_relaxed(&drive->credit_work, 0u);
	publish_and_release(drive);
}

void gc_drive_revise(struct gc_drive *drive, uint64_t now_ns, uint64_t heap_bytes)
{
	if (now_ns - atomic_load_relaxed(&drive->revised_ns) < GC_DRIVE_REVISE_NS || !lock_try(&drive->lock))
		return;
	atomic_store_relaxed(&drive->revised_ns, now_ns);
	if (gc_pace_is_running(&drive->pace))
		gc_pace_revise(&drive->pace, heap_bytes, atomic_load_relaxed(&drive->sums.done_work) - drive->begin.done_work);
	publish_and_release(drive);
}

/* ---------------------------------------------------------------- work */

void gc_drive_did(struct gc_drive *drive, uint64_t work)
{
	atomic_add_relaxed(&drive->sums.done_work, work);
	atomic_add_relaxed(&drive->credit_work, work);
}

void gc_drive_ran(struct gc_drive *drive, uint64_t work, uint64_t ns)
{
	uint64_t spent_ns = atomic_add_relaxed(&drive->sums.worker_ns, ns) + ns + atomic_load_relaxed(&drive->sums.assist_ns);

	lock_acquire(&drive->lock);
	if (work)
		gc_pace_measured(&drive->pace, work, ns);
	if (spent_ns - drive->told_collector_ns >= CPU_NS)
		tell_cpu_locked(drive);
	publish_and_release(drive);
}

static void note_most(uint64_t *most, uint64_t number)
{
	uint64_t before = atomic_load_relaxed(most);

	while (number > before && !atomic_cas_relaxed(most, &before, number))
		;
}

void gc_drive_assisted(struct gc_drive *drive, uint64_t asked_work, uint64_t work, uint64_t ns)
{
	atomic_add_relaxed(&drive->sums.done_work, work);
	atomic_add_relaxed(&drive->sums.assist_ns, ns);
	atomic_add_relaxed(&drive->sums.nr_slices, 1u);
	note_most(&drive->slice_most_work, work);
	note_most(&drive->slice_most_over, gc_pace_over(work, asked_work));
}

uint64_t gc_drive_take_credit(struct gc_drive *drive, uint64_t work)
{
	uint64_t credit = atomic_load_relaxed(&drive->credit_work), taken;

	do
		taken = work < credit ? work : credit;
	while (taken && !atomic_cas_relaxed(&drive->credit_work, &credit, credit - taken));
	return taken;
}

uint32_t gc_drive_workers(struct gc_drive *drive, uint32_t *nr_workers)
{
	uint32_t percent;

	lock_acquire(&drive->lock);
	percent = gc_pace_workers(&drive->pace, nr_workers);
	lock_release(&drive->lock);
	return percent;
}

/* ---------------------------------------------------------------- the limit */

void gc_drive_memory(struct gc_drive *drive, uint64_t heap_bytes, uint64_t overhead_bytes)
{
	lock_acquire(&drive->lock);
	gc_pace_memory(&drive->pace, heap_bytes, overhead_bytes);
	publish_and_release(drive);
}

/* That there is no room is known: the page allocator has said so. */
enum gc_pace_verdict gc_drive_verdict(struct gc_drive *drive, struct gc_wait *wait)
{
	enum gc_pace_verdict verdict;

	lock_acquire(&drive->lock);
	tell_cpu_locked(drive);
	verdict = gc_pace_verdict(&drive->pace, wait, UINT64_MAX, 1);
	publish_and_release(drive);
	return verdict;
}

void gc_drive_waited(struct gc_drive *drive, uint64_t ns)
{
	lock_acquire(&drive->lock);
	gc_pace_cpu(&drive->pace, 0, ns);
	publish_and_release(drive);
}
