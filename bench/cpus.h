/* SPDX-License-Identifier: MIT */
/* So many CPUs and no more, for programs that are to leave none idle. */
#ifndef BENCH_CPUS_H
#define BENCH_CPUS_H

#include <sched.h>
#include <stddef.h>

/** The first @nr CPUs of @allowed, or all where there are no more; 0: all. Pure. */
cpu_set_t cpus_first(const cpu_set_t *allowed, size_t nr);
/** Let this thread, and what it starts from now on, run on the first @nr of its CPUs only. What it had, for cpus_restore(). */
cpu_set_t cpus_restrict(size_t nr);
void cpus_restore(const cpu_set_t *before);

#endif /* BENCH_CPUS_H */
