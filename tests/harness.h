/* SPDX-License-Identifier: MIT */
/*
 * Tests register themselves and print TAP. Each runs in a process of its own, forked before the library was used, so that
 * it sees a fresh library, may set its options, and may die without harm to the others.
 *
 *	TEST(adds, "sum/adds") { CHECK(1 + 1 == 2); }
 *	TEST(deferred, "revoke/deferred", "ARENA_GUARD=0") { ... }		options of the environment
 *	TEST_EACH_SOURCE(reads, "source/reads") { ... source ... }		a test per source: source/reads/thp ...
 *
 * A program takes a substring of names as its argument or in $T, and --list, --each-source, --seed N, --help.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena/arena.h"

#define HARNESS_ENV_MAX 6

struct test {
	const char *name;
	void (*run)(void);
	void (*run_source)(enum arena_source source); /* instead of run: once per source */
	enum arena_source only; /* with run_source: only that one, unless AUTO */
	const char *env[HARNESS_ENV_MAX]; /* "NAME=VALUE" ..., NULL */
	struct test *next;
};

void harness_add(struct test *test);

#define TEST(function, title, ...) \
	static void function(void); \
	static struct test test_##function = { .name = title, .run = function, .env = { __VA_ARGS__ } }; \
	__attribute__((constructor)) static void add_##function(void) \
	{ \
		harness_add(&test_##function); \
	} \
	static void function(void)

#define TEST_EACH_SOURCE(function, title, ...) \
	static void function(enum arena_source source); \
	static struct test test_##function = { .name = title, .run_source = function, .env = { __VA_ARGS__ } }; \
	__attribute__((constructor)) static void add_##function(void) \
	{ \
		harness_add(&test_##function); \
	} \
	static void function(enum arena_source source)

#define TEST_ONE_SOURCE(function, title, which, ...) \
	static void function(enum arena_source source); \
	static struct test test_##function = { .name = title, .run_source = function, .only = which, \
					       .env = { __VA_ARGS__ } }; \
	__attribute__((constructor)) static void add_##function(void) \
	{ \
		harness_add(&test_##function); \
	} \
	static void function(enum arena_source source)

/** End the test as failed or skipped; formats of printf(). */
void harness_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));
void harness_skip(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
/** A line of commentary in the TAP stream. */
void harness_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CHECK(condition) \
	do { \
		if (!(condition)) \
			harness_fail(__FILE__, __LINE__, "%s", #condition); \
	} while (0)
#define CHECK_EQ(a, b) \
	do { \
		unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b); \
		if (a_ != b_) \
			harness_fail(__FILE__, __LINE__, "%s is %llu, %s is %llu", #a, a_, #b, b_); \
	} while (0)
#define CHECK_STR(a, b) harness_check_string((a), (b), __FILE__, __LINE__)
#define CHECK_HAS(text, part) harness_check_has((text), (part), __FILE__, __LINE__)
void harness_check_string(const char *a, const char *b, const char *file, int line);
void harness_check_has(const char *text, const char *part, const char *file, int line);

/* How a child of a test ended, and what it wrote to standard error. */
struct death {
	int signal;	/* 0 when it ended by itself */
	int status;	/* its exit status */
	char text[8192];
};

/** Run @function in a child and wait for it. The child ends with status 0 when the function returns. */
void harness_child(struct death *death, void (*function)(void *), void *argument);
/** Whether it died by that signal, or by a sanitizer's report of the same. */
bool harness_died(const struct death *death, int signal);
/** Read one byte at @address in a child: it must fault, and (unless @part is NULL) print @part. */
#define CHECK_FAULTS(address, part) harness_check_faults((address), (part), __FILE__, __LINE__)
void harness_check_faults(const void *address, const char *part, const char *file, int line);
/** True when reading @address faults; much cheaper than a child, prints nothing. */
bool harness_faults(const void *address);
/** The number that follows @key, behind @part, in the text @json; a failure if they are not there. */
uint64_t harness_number_after(const char *json, const char *part, const char *key);

/** The seed of this run, and numbers from it. */
uint64_t harness_seed(void);
struct random {
	uint64_t state;
};
uint64_t random_next(struct random *random);
/** In [0, limit); limit > 0. */
size_t random_below(struct random *random, size_t limit);

/** Seconds since the test began: long tests end early on slow machines, and say so. */
double harness_seconds(void);

/** Whether a sanitizer is built in: it changes memory use, time and the way of dying. */
bool harness_sanitized(void);
/** Whether that is the thread sanitizer, which cannot fork a process with threads. */
bool harness_thread_sanitized(void);
/** Resident memory of this process, in bytes. */
size_t harness_rss_bytes(void);
/** Mappings of this process. */
size_t harness_mappings(void);

#endif /* TESTS_HARNESS_H */
