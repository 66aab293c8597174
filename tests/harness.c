// SPDX-License-Identifier: MIT
/*
 * The runner of self-registering tests; see harness.h.
 *
 * A test reports through its exit status and one line in a pipe; commentary goes to standard output as it comes. A test that
 * hangs is ended by an alarm of its own.
 */
#include "tests/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS_FAILED 1
#define STATUS_SKIPPED 77
/* Guests without hardware help are 20 times slower than their hosts. */
#define TEST_SECONDS 240

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZED true
#elif defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED true
#elif __has_feature(thread_sanitizer)
#define THREAD_SANITIZED true
#endif
#endif
#ifndef ADDRESS_SANITIZED
#define ADDRESS_SANITIZED false
#endif
#ifndef THREAD_SANITIZED
#define THREAD_SANITIZED false
#endif
#define SANITIZED (ADDRESS_SANITIZED || THREAD_SANITIZED)

#if THREAD_SANITIZED
/*
 * At the end of each process that has had threads, and each test is one, the sanitizer sleeps for a second, so that the other threads may still
 * make a mistake. Those of the library do not need as long.
 */
const char *__tsan_default_options(void);
__attribute__((visibility("default"))) const char *__tsan_default_options(void)
{
	return "atexit_sleep_ms=20";
}
#endif

#if ADDRESS_SANITIZED
/* Local variables apart from stacks, for those whose compiler was not told to leave them there (libarena/build.mk): the collector would not find what they lead to. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=1";
}
#endif

static struct test *tests;
static int report_fd = -1; /* in a test: where its last words go */
static uint64_t seed;
static size_t nr_done, nr_failed;
static double began;	/* when the test began */

void harness_add(struct test *test)
{
	struct test **link = &tests;

	while (*link)
		link = &(*link)->next;
	*link = test;
}

bool harness_sanitized(void)
{
	return SANITIZED;
}

bool harness_thread_sanitized(void)
{
	return THREAD_SANITIZED;
}

static double now_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

double harness_seconds(void)
{
	return now_seconds() - began;
}

/* ---------------------------------------------------------------- in a test */

static void __attribute__((noreturn, format(printf, 2, 0))) end(int status, const char *format, va_list list)
{
	vdprintf(report_fd, format, list);
	fflush(NULL);
	_exit(status);
}

void harness_fail(const char *file, int line, const char *format, ...)
{
	va_list list;

	dprintf(report_fd, "%s:%d: ", file, line);
	va_start(list, format);
	end(STATUS_FAILED, format, list);
}

void harness_skip(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	end(STATUS_SKIPPED, format, list);
}

void harness_note(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	dprintf(STDOUT_FILENO, "# ");
	vdprintf(STDOUT_FILENO, format, list);
	dprintf(STDOUT_FILENO, "\n");
	va_end(list);
}

void harness_check_string(const char *a, const char *b, const char *file, int line)
{
	if (strcmp(a, b))
		harness_fail(file, line, "\"%s\" is not \"%s\"", a, b);
}

void harness_check_has(const char *text, const char *part, const char *file, int line)
{
	if (!strstr(text, part))
		harness_fail(file, line, "\"%s\" is not in \"%s\"", part, text);
}

/* ---------------------------------------------------------------- children */

static void read_all(int fd, char *text, size_t text_bytes)
{
	size_t length = 0;
	char rest[512];
	ssize_t got;

	do {
		bool full = length + 1 >= text_bytes;

		got = full ? read(fd, rest, sizeof(rest)) : read(fd, text + length, text_bytes - 1 - length);
		length += got > 0 && !full ? (size_t)got : 0;
	} while (got > 0 || (got < 0 && errno == EINTR));
	text[length] = 0;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

void harness_child(struct death *death, void (*function)(void *), void *argument)
{
	int fds[2], status;
	pid_t pid;

	memset(death, 0, sizeof(*death));
	CHECK(pipe(fds) == 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		function(argument);
		_exit(0);
	}
	close(fds[1]);
	read_all(fds[0], death->text, sizeof(death->text));
	close(fds[0]);
	status = wait_for(pid);
	death->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	death->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

bool harness_died(const struct death *death, int signal_number)
{
	return death->signal == signal_number || (SANITIZED && !death->signal && death->status);
}

static void read_byte(void *address)
{
	(void)*(volatile char *)address;
}

void harness_check_faults(const void *address, const char *part, const char *file, int line)
{
	struct death death;

	harness_child(&death, read_byte, (void *)(uintptr_t)address);
	if (!harness_died(&death, SIGSEGV) && !harness_died(&death, SIGBUS))
		harness_fail(file, line, "%p can be read (signal %d, status %d)", address, death.signal, death.status);
	if (part)
		harness_check_has(death.text, part, file, line);
}

/* The kernel's word for it: thread sanitizer does not survive a jump out of a handler. */
static bool faults_in_kernel(const void *address)
{
	int fds[2];
	ssize_t done;

	CHECK(pipe(fds) == 0);
	done = write(fds[1], address, 1);
	close(fds[0]);
	close(fds[1]);
	return done < 0;
}

static sigjmp_buf fault_return;

static void return_from_fault(int signal_number)
{
	(void)signal_number;
	siglongjmp(fault_return, 1);
}

bool harness_faults(const void *address)
{
	struct sigaction action, old_segv, old_bus;
	volatile bool faulted = true;

	if (THREAD_SANITIZED)
		return faults_in_kernel(address);
	memset(&action, 0, sizeof(action));
	action.sa_handler = return_from_fault;
	action.sa_flags = SA_NODEFER;
	sigaction(SIGSEGV, &action, &old_segv);
	sigaction(SIGBUS, &action, &old_bus);
	if (!sigsetjmp(fault_return, 0)) {
		(void)*(const volatile char *)address;
		faulted = false;
	}
	sigaction(SIGSEGV, &old_segv, NULL);
	sigaction(SIGBUS, &old_bus, NULL);
	return faulted;
}

/* ---------------------------------------------------------------- numbers */

uint64_t harness_number_after(const char *json, const char *part, const char *key)
{
	const char *at = strstr(json, part);

	at = at ? strstr(at, key) : NULL;
	if (!at)
		harness_fail(__FILE__, __LINE__, "no %s %s in %s", part, key, json);
	return strtoull(at + strlen(key), NULL, 10);
}

uint64_t harness_seed(void)
{
	return seed;
}

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). */
uint64_t random_next(struct random *random)
{
	uint64_t z = random->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

size_t random_below(struct random *random, size_t limit)
{
	return random_next(random) % limit;
}

size_t harness_rss_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	CHECK(file && fscanf(file, "%*u %lu", &pages) == 1);
	fclose(file);
	return pages * 4096;
}

size_t harness_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "r");
	size_t nr = 0;
	int c;

	CHECK(file);
	while ((c = fgetc(file)) != EOF)
		nr += c == '\n';
	fclose(file);
	return nr;
}

/* ---------------------------------------------------------------- reserved huge pages */

#define NR_HUGEPAGES "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
/* What the tests of hugetlb use at a time. */
#define HUGEPAGES_WANTED 24

static long huge_pages(long set)
{
	FILE *file = fopen(NR_HUGEPAGES, set < 0 ? "r" : "w");
	long nr = -1;

	if (!file)
		return -1;
	if (set >= 0)
		nr = fprintf(file, "%ld\n", set) < 0 ? -1 : set;
	else if (fscanf(file, "%ld", &nr) != 1)
		nr = -1;
	return fclose(file) ? -1 : nr;
}

/* ---------------------------------------------------------------- the runner */

static void set_environment(const struct test *test)
{
	for (size_t i = 0; i < HARNESS_ENV_MAX && test->env[i]; i++)
		putenv((char *)(uintptr_t)test->env[i]);
}

static void __attribute__((noreturn)) run_here(const struct test *test, enum arena_source source)
{
	int error;

	began = now_seconds();
	alarm(TEST_SECONDS);
	set_environment(test);
	if (test->run_source) {
		error = arena_source_check(source);
		if (error)
			harness_skip("no source %s here: %s", arena_source_name(source), strerror(-error));
		test->run_source(source);
	} else {
		test->run();
	}
	fflush(NULL);
	_exit(0);
}

static void print_result(const char *name, int status, const char *words)
{
	bool exited = WIFEXITED(status);
	int code = exited ? WEXITSTATUS(status) : -1;

	nr_done++;
	if (code == 0) {
		printf("ok %zu - %s\n", nr_done, name);
	} else if (code == STATUS_SKIPPED) {
		printf("ok %zu - %s # SKIP %s\n", nr_done, name, words);
	} else {
		nr_failed++;
		printf("not ok %zu - %s\n", nr_done, name);
		if (*words)
			printf("# %s\n", words);
		if (!exited)
			printf("# ended by signal %d%s\n", WTERMSIG(status),
			       WTERMSIG(status) == SIGALRM ? " (it ran too long)" : "");
	}
	fflush(stdout);
}

static void run_test(const struct test *test, enum arena_source source, const char *name)
{
	long old_huge = -1;
	char words[1024];
	int fds[2];
	pid_t pid;

	if (source == ARENA_SOURCE_HUGETLB) {
		old_huge = huge_pages(-1);
		if (old_huge >= 0)
			huge_pages(old_huge + HUGEPAGES_WANTED);
	}
	fflush(NULL);
	if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0) {
		perror("harness: cannot start a test");
		exit(2);
	}
	if (!pid) {
		report_fd = fds[1];
		close(fds[0]);
		run_here(test, source);
	}
	close(fds[1]);
	read_all(fds[0], words, sizeof(words));
	close(fds[0]);
	print_result(name, wait_for(pid), words);
	if (old_huge >= 0)
		huge_pages(old_huge);
}

static bool only_sources;

/* The sources of one test, or AUTO for a test without. */
static void for_each_case(const char *filter, void (*action)(const struct test *, enum arena_source, const char *))
{
	for (const struct test *test = tests; test; test = test->next) {
		int first = test->run_source ? ARENA_SOURCE_DEV : ARENA_SOURCE_AUTO;
		int last = test->run_source ? ARENA_NR_SOURCES - 1 : ARENA_SOURCE_AUTO;

		for (int source = first; source <= last; source++) {
			char name[128];

			if ((test->only && (int)test->only != source) || (only_sources && !test->run_source))
				continue;
			snprintf(name, sizeof(name), "%s%s%s", test->name, test->run_source ? "/" : "",
				 test->run_source ? arena_source_name((enum arena_source)source) : "");
			if (!filter || strstr(name, filter))
				action(test, (enum arena_source)source, name);
		}
	}
}

static void list_test(const struct test *test, enum arena_source source, const char *name)
{
	(void)test;
	(void)source;
	puts(name);
}

static size_t nr_cases;
static void count_test(const struct test *test, enum arena_source source, const char *name)
{
	(void)test;
	(void)source;
	(void)name;
	nr_cases++;
}

int main(int argc, char **argv)
{
	const char *filter = getenv("T"), *seed_text = getenv("SEED");
	bool list = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help")) {
			printf("usage: %s [--list] [--each-source] [--seed N] [SUBSTRING]\nRuns the tests whose names contain it,"
			       " or of these the ones that run once for each source of memory; prints TAP.\n", argv[0]);
			return 0;
		} else if (!strcmp(argv[i], "--list")) {
			list = true;
		} else if (!strcmp(argv[i], "--each-source")) {
			only_sources = true;
		} else if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
			seed_text = argv[++i];
		} else {
			filter = argv[i];
		}
	}
	seed = seed_text ? strtoull(seed_text, NULL, 0) : (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
	if (list) {
		for_each_case(filter, list_test);
		return 0;
	}
	for_each_case(filter, count_test);
	printf("TAP version 13\n1..%zu\n# seed %llu\n", nr_cases, (unsigned long long)seed);
	for_each_case(filter, run_test);
	return nr_failed ? 1 : 0;
}
