// SPDX-License-Identifier: MIT
/*
 * Small questions with one number as the answer: what a page costs, what a program pays for the malloc replacement before it does anything, and
 * how long freed memory stays in a program that sleeps.
 */
#include "bench/bench.h"
#include "bench/child.h"
#include "bench/clock.h"
#include "bench/malloc.h"
#include "bench/report.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_BYTES = 8192, MICRO_REPS = 7 };

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---------------------------------------------------------------- pages */

#define PAGES_DRIVER "arena-bench-pages"

static const struct part {
	const char *name;
	size_t nr, quick_nr;
	const char *function;	/* whose instructions are counted; NULL: none's, because threads wait for each other */
	const char *metric;
} parts[] = {
	{ "pair", 50000000, 100000, "--toggle-collect=pair_loop", "pair_instructions" },
	{ "run", 2000000, 20000, "--toggle-collect=take_run", "run_of_64_instructions" },
	{ "threads", 20000000, 100000, NULL, NULL },
};
/* A multiple of the runs that the driver takes at a time. */
enum { NR_PARTS = sizeof(parts) / sizeof(parts[0]), COUNTED = 100 * 1024 };

/* "METRIC:UNIT=NUMBER ...": what was no such word is named. */
static int take_words(char *line, const char *part, struct report *report)
{
	char metric[32], unit[32], *state = NULL;
	double value;

	for (char *word = strtok_r(line, " \n", &state); word; word = strtok_r(NULL, " \n", &state)) {
		if (sscanf(word, "%31[^:]:%31[^=]=%lf", metric, unit, &value) != 3)
			return bench_fail("pages: " PAGES_DRIVER " said '%s'", word);
		report_add(report, "pages", part, MALLOC_SOURCE, metric, unit, value);
	}
	return 0;
}

static int run_part(const struct part *part, size_t nr, struct report *report)
{
	char driver[PATH_MAX], output[OUTPUT_BYTES], name[16], number[24], own_name[] = PAGES_DRIVER;
	char *arguments[] = { own_name, name, number, NULL };

	snprintf(name, sizeof(name), "%s", part->name);
	snprintf(number, sizeof(number), "%zu", nr);
	if (!child_path(PAGES_DRIVER, driver, sizeof(driver)) || child_run(driver, arguments, "", false, output, sizeof(output)))
		return bench_fail("pages: " PAGES_DRIVER " %s failed", part->name);
	return take_words(output, part->name, report);
}

/* One run tells: instructions do not depend on the machine's mood. */
static int count(const struct part *part, struct report *report)
{
	char driver[PATH_MAX], output[OUTPUT_BYTES], number[24], *collected;
	const char *const words[] = { "valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", part->function,
				      "--log-fd=1", driver, part->name, number, NULL };
	int status;

	if (!part->function)
		return 0;
	snprintf(number, sizeof(number), "%d", COUNTED);
	if (!child_path(PAGES_DRIVER, driver, sizeof(driver)))
		return bench_fail("pages: no " PAGES_DRIVER " beside this program");
	status = child_run(words[0], (char *const *)(uintptr_t)words, "", true, output, sizeof(output));
	if (status < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == 127)) {
		bench_skip("pages: instructions of %s: no valgrind", part->name);
		return 0;
	}
	collected = strstr(output, "Collected : ");
	if (status || !collected)
		return bench_fail("pages: callgrind failed, wait status %#x", (unsigned int)status);
	report_add(report, "pages", part->name, MALLOC_SOURCE, part->metric, "instructions",
		   strtod(collected + strlen("Collected : "), NULL) / COUNTED);
	return 0;
}

int bench_pages(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : MICRO_REPS;
	int error = 0;

	for (size_t rep = 0; rep < reps; rep++)
		for (size_t i = 0; i < NR_PARTS; i++)
			error |= run_part(&parts[i], options->quick ? parts[i].quick_nr : parts[i].nr, report);
	for (size_t i = 0; i < NR_PARTS; i++)
		error |= count(&parts[i], report);
	return error;
}

/* ---------------------------------------------------------------- start */

enum { START_REPS = 101 };

/* What becomes the program: waits for @go, so that the parent is ready. */
static void become_true(char **environment, int go)
{
	char name[] = "true", *arguments[] = { name, NULL }, byte;

	if (read(go, &byte, 1) == 1)
		execve("/bin/true", arguments, environment);
	_exit(127);
}

/* VmHWM of a process; 0 when it cannot be read. */
static size_t peak_kib(pid_t process)
{
	char path[64], line[256];
	size_t kib = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)process);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %zu", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/* Stops the process when it ends and looks at it: 0 when that is not allowed. */
static size_t watch_end(pid_t process, int go)
{
	bool is_traced = !ptrace(PTRACE_SEIZE, process, NULL, (void *)(uintptr_t)PTRACE_O_TRACEEXIT);
	size_t kib = 0;
	int status;

	if (write(go, "g", 1) != 1)
		kill(process, SIGKILL);
	while (waitpid(process, &status, 0) == process && WIFSTOPPED(status)) {
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			kib = peak_kib(process);
		ptrace(PTRACE_CONT, process, NULL, NULL);
	}
	return is_traced && WIFEXITED(status) && !WEXITSTATUS(status) ? kib : 0;
}

static size_t true_peak_kib(const char *preload)
{
	char variable[640], **environment = child_environment(preload, variable, sizeof(variable));
	size_t kib = 0;
	int ends[2];
	pid_t process;

	if (!environment || pipe2(ends, O_CLOEXEC)) {
		free(environment);
		return 0;
	}
	process = fork();
	if (!process)
		become_true(environment, ends[0]);
	if (process > 0)
		kib = watch_end(process, ends[1]);
	close(ends[0]);
	close(ends[1]);
	free(environment);
	return kib;
}

static int run_true(const struct allocator *allocator, double *ms, double *kib)
{
	char name[] = "true", *arguments[] = { name, NULL }, output[16];
	uint64_t start_ns = now_ns();
	int status = child_run("/bin/true", arguments, allocator->preload, false, output, sizeof(output));

	*ms = (double)(now_ns() - start_ns) / 1e6;
	*kib = (double)true_peak_kib(allocator->preload);
	return status ? bench_fail("start: true with %s: wait status %#x", allocator->name, (unsigned int)status) : 0;
}

/* All allocators one after the other, and what each adds to the first one without anything preloaded, which is glibc. Each time
 * another one is first: who always follows an allocator that touches megabytes pays for the caches that one has filled. */
static int start_all(const struct allocator *allocators, size_t nr, size_t rep, struct report *report)
{
	double ms[MAX_ALLOCATORS] = { 0 }, kib[MAX_ALLOCATORS] = { 0 };
	size_t base = 0;
	int error = 0;

	for (size_t turn = 0; turn < nr; turn++) {
		size_t i = (rep + turn) % nr;

		error |= run_true(&allocators[i], &ms[i], &kib[i]);
	}
	while (base < nr - 1 && *allocators[base].preload)
		base++;
	for (size_t i = 0; i < nr && !error; i++) {
		char name[64];

		snprintf(name, sizeof(name), "true/%s", allocators[i].name);
		report_add(report, "start", name, MALLOC_SOURCE, "elapsed", "ms", ms[i]);
		report_add(report, "start", name, MALLOC_SOURCE, "added_elapsed", "ms", ms[i] - ms[base]);
		if (kib[i] < 1 || kib[base] < 1)
			continue;
		report_add(report, "start", name, MALLOC_SOURCE, "peak_rss", "KiB", kib[i]);
		report_add(report, "start", name, MALLOC_SOURCE, "added_peak_rss", "KiB", kib[i] - kib[base]);
	}
	return error;
}

int bench_start(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : START_REPS, nr;
	const struct allocator *allocators = malloc_allocators(&nr);
	int error = !allocators;

	for (size_t rep = 0; rep < reps && !error; rep++)
		error = start_all(allocators, nr, rep, report);
	return error;
}

/* ---------------------------------------------------------------- idle */

enum { IDLE_REPS = 3, IDLE_MIB = 1024, IDLE_QUICK_MIB = 128 };

/* Each time another one is first, as in start_all(). */
static int idle_all(const struct allocator *allocators, size_t nr, size_t rep, bool quick, struct report *report)
{
	int error = 0;

	for (size_t turn = 0; turn < nr; turn++) {
		if (!quick)
			child_warm();
		error |= malloc_run(&allocators[(rep + turn) % nr], "idle", "idle", quick ? IDLE_QUICK_MIB : IDLE_MIB, report);
	}
	return error;
}

int bench_idle(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : IDLE_REPS, nr;
	const struct allocator *allocators = malloc_allocators(&nr);
	int error = !allocators;

	for (size_t rep = 0; rep < reps && allocators; rep++)
		error |= idle_all(allocators, nr, rep, options->quick, report);
	return error;
}
