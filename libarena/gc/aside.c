// SPDX-License-Identifier: MIT
/*
 * A scheduler puts a thread that wakes on the CPU of who woke it, now and then, though another one has nothing to do, and leaves both there for some slices: of
 * 2 to 4 ms, in which a mutator waits for the collector. So who marks or sweeps looks, each 50 us, whether a mutator that runs is on its own CPU: the
 * kernel writes that where it is read for nothing (restartable sequences: P. Turner and A. Hunter, 2013; M. Desnoyers, Linux 4.18).
 *
 * It asks to be moved, and to be free again at once: where it runs from then on is the scheduler's to say, as before. Where each CPU has a mutator of its own
 * a worker with a duty goes to the next one each time that it rests (gc/workers.c): the scheduler would wake it where it slept, in the same mutator's way.
 *
 * Nobody says whether another program is busy there. Then the thread waits for its turn, and nobody else can take it back. So it looks how long it took, but for
 * what it would have rested anyway, and stays where it is for 20 times as long: a twentieth of the time, at most, is lost.
 */
#include "gc/aside.h"

#include "gc/threads.h"

#define STAY_TIMES 20

/* There is time for it, in which the thread has nothing else to do. */
static bool leave(struct gc_aside *aside, const struct os_cpus *taken, uint64_t free_ns)
{
	uint64_t begin_ns = os_clock_ns(), end_ns;
	bool has_left;

	if (begin_ns < aside->stays_until_ns)
		return false;
	has_left = os_leave_cpus(taken);
	end_ns = os_clock_ns();
	aside->stays_until_ns = end_ns + STAY_TIMES * gc_pace_over(end_ns - begin_ns, free_ns);
	return has_left;
}

bool gc_step_aside(struct gc_aside *aside, struct arena_gc *gc)
{
	const uint32_t *cpu = os_cpu_word();
	struct os_cpus taken;

	if (!cpu || !gc_threads_are_on(gc, atomic_load_relaxed(cpu), &taken))
		return false;
	return leave(aside, &taken, 0);
}

void gc_move_on(struct gc_aside *aside, uint64_t rest_ns)
{
	const uint32_t *cpu = os_cpu_word();
	struct os_cpus here = { 0 };

	if (!cpu)
		return;
	os_cpus_add(&here, atomic_load_relaxed(cpu));
	leave(aside, &here, rest_ns);
}
