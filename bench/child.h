/* SPDX-License-Identifier: MIT */
/* Programs that a benchmark starts: those beside arena-bench, with or without a library preloaded. */
#ifndef BENCH_CHILD_H
#define BENCH_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/** The path of a file beside this program; false when there is none. */
bool child_path(const char *name, char *path, size_t bytes);
/**
 * Run @path, or what is found as @path in PATH, with @preload in LD_PRELOAD (empty: nothing) and take what it prints, as a string that is cut at
 * @bytes. Its wait status, or -errno when it could not be started. With @silent it has no standard error.
 */
int child_run(const char *path, char *const arguments[], const char *preload, bool silent, char *output, size_t bytes);
/**
 * Touch as much memory as any program of a benchmark takes, in huge pages, and let go of it. A host may have taken back what a guest left free (free page
 * reporting), and takes milliseconds to give 2 MiB again: that would be counted for whoever comes to a page first.
 */
void child_warm(void);
/** This environment, but for what is preloaded; for free(). NULL when out of memory. @preload stays the caller's. */
char **child_environment(const char *preload, char *variable, size_t bytes);

#endif /* BENCH_CHILD_H */
