// SPDX-License-Identifier: MIT
/* Which CPUs these are is left to their numbers: two of them may be threads of one core. */
#include "bench/cpus.h"

cpu_set_t cpus_first(const cpu_set_t *allowed, size_t nr)
{
	cpu_set_t first;
	size_t taken = 0;

	CPU_ZERO(&first);
	for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, allowed) && (!nr || taken++ < nr))
			CPU_SET(cpu, &first);
	return first;
}

/* Where the kernel has more CPUs than fit a set all stays as it is. */
cpu_set_t cpus_restrict(size_t nr)
{
	cpu_set_t before, first;

	CPU_ZERO(&before);
	if (sched_getaffinity(0, sizeof(before), &before))
		return before;
	first = cpus_first(&before, nr);
	sched_setaffinity(0, sizeof(first), &first);
	return before;
}

void cpus_restore(const cpu_set_t *before)
{
	if (CPU_COUNT(before))
		sched_setaffinity(0, sizeof(*before), before);
}
