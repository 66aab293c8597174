/* SPDX-License-Identifier: MIT */
/* TAP for the tests of arena-bench's pure parts, which are linked without the library. */
#ifndef TESTS_BENCH_CHECK_H
#define TESTS_BENCH_CHECK_H

#include <stdbool.h>
#include <stdio.h>

static int nr_tests, nr_failed;

/** One test: its line. */
static inline void check(bool good, const char *name)
{
	nr_tests++;
	nr_failed += !good;
	printf("%sok %d - %s\n", good ? "" : "not ", nr_tests, name);
}

/** The plan; what main() returns. */
static inline int check_end(void)
{
	printf("1..%d\n", nr_tests);
	return nr_failed != 0;
}

#endif /* TESTS_BENCH_CHECK_H */
