/* SPDX-License-Identifier: MIT */
/* The core's fault injection, for one task: what its nth allocation from now on does, and how many it has met. */
#ifndef ARENA_TESTS_KMOD_FAILNTH_H
#define ARENA_TESTS_KMOD_FAILNTH_H

#include "common.h"

#define FAULTS "/sys/kernel/debug/"

/* Of the thread whose /proc file `fd` is. 0: none fails. */
static inline void fail_set(int fd, unsigned int nth)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", nth);

	if (pwrite(fd, text, (size_t)length, 0) != length)
		abort();
}

/* How many allocations were left until one would have failed; 0 when it has. None fails from here on. */
static inline unsigned int fail_end(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		abort();
	fail_set(fd, 0);
	return (unsigned int)atoi(text);
}

/* By default the core's injection spares what may sleep, and says a lot. */
static inline bool faults_available(void)
{
	static const char *const settings[][2] = {
		{ FAULTS "failslab/ignore-gfp-wait", "N" },
		{ FAULTS "failslab/cache-filter", "N" },
		{ FAULTS "failslab/verbose", "0" },
		{ FAULTS "fail_page_alloc/ignore-gfp-wait", "N" },
		{ FAULTS "fail_page_alloc/ignore-gfp-highmem", "N" },
		{ FAULTS "fail_page_alloc/min-order", "0" },
		{ FAULTS "fail_page_alloc/verbose", "0" },
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++)
		if (file_write_text(settings[i][0], settings[i][1]))
			return false;
	return !access("/proc/thread-self/fail-nth", W_OK);
}

/*
 * The main function of such a test. The C library's rseq area is written by the kernel at every preemption, and a task whose
 * area cannot be written, because the page for it could not be had, is killed. So the tests run without one.
 * Where the kernel has no fault injection, one line says so, not one for each operation.
 */
static inline int fail_main(int argc, char **argv, int (*run_all)(int argc, char **argv))
{
	if (faults_available()) {
		if (getenv("GLIBC_TUNABLES"))
			return run_all(argc, argv);
		setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
		execv("/proc/self/exe", argv);
	}
	printf("TAP version 13\n1..0 # SKIP this kernel is built without fault injection\n");
	return KSFT_SKIP;
}

#endif /* ARENA_TESTS_KMOD_FAILNTH_H */
