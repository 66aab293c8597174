/* SPDX-License-Identifier: MIT */
/* The time that benchmarks are measured in: nanoseconds, or guest instructions under QEMU -icount. */
#ifndef BENCH_CLOCK_H
#define BENCH_CLOCK_H

#include <stdint.h>

/** "ns" or "instructions"; 0, or -errno: -EINVAL no such unit, -ENOTSUP the machine does not count instructions. */
int clock_set_unit(const char *unit);
/** The unit in use. */
const char *clock_unit(void);
/** Now, in that unit, from some fixed point. */
uint64_t clock_now(void);

#endif /* BENCH_CLOCK_H */
