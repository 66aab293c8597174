/* SPDX-License-Identifier: MIT */
/* TAP for the daemon's unit tests: CHECK() inside a test says what failed, RUN() prints one line per test. */
#ifndef TESTS_DAEMON_TAP_H
#define TESTS_DAEMON_TAP_H

#include <stdbool.h>
#include <stdio.h>

static int tap_count, tap_failures;
static bool tap_is_ok;

#define CHECK(condition, ...) \
	do { \
		if (!(condition)) { \
			tap_is_ok = false; \
			printf("# %s:%d: %s: ", __FILE__, __LINE__, #condition); \
			printf(__VA_ARGS__); \
			putchar('\n'); \
		} \
	} while (0)

#define RUN(test) \
	do { \
		tap_is_ok = true; \
		test(); \
		tap_failures += !tap_is_ok; \
		printf("%sok %d - %s\n", tap_is_ok ? "" : "not ", ++tap_count, #test); \
	} while (0)

static inline int tap_end(void)
{
	printf("1..%d\n", tap_count);
	return tap_failures || !tap_count;
}

#endif /* TESTS_DAEMON_TAP_H */
