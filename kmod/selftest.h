/* SPDX-License-Identifier: GPL-2.0-only */
/* At load: does a touch really map 2 MiB at once on this kernel? */
#ifndef ARENA_SELFTEST_H
#define ARENA_SELFTEST_H

#include <linux/types.h>

/**
 * Try it in the loading process's own address space; says in the log what it found. Run last:
 * cannot fail.
 */
void selftest_run(void);
/** What it found. */
bool selftest_saw_pmd(void);

#endif /* ARENA_SELFTEST_H */
