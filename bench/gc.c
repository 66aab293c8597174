// SPDX-License-Identifier: MIT
/*
 * Collectors beside each other, and beside malloc() and free(), under the same programs. Each run is a process of its own, arena-bench-gc-RUNTIME (gc/driver.c), of
 * which there is one for each runtime that was there when this was built.
 *
 * Programs run plainly, for CPU time, memory, the wall clock and the collector's shares, of which it prints a line for each cycle: some microseconds of its own thread. Those
 * with a column for it also run with each thread timing itself, which costs too much to tell anything else.
 * All runtimes must come to the same checksum.
 */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/child.h"
#include "bench/gc_runs.h"
#include "bench/report.h"

#define DRIVER "arena-bench-gc-"
#define SELF "ARENA_BENCH_GC_SELF"
#define TRACE "ARENA_BENCH_GC_TRACE"

enum { OUTPUT_BYTES = 4096, NAME_BYTES = 64 };

/* The first two must be there. */
static struct runtime {
	const char *name;
	const char *package;	/* of Debian, that was not there when this was built */
	bool is_there;
	char version[64];
} runtimes[] = {
	{ OURS_GC, NULL, false, "" },
	{ "malloc", NULL, false, "" },
	{ "boehm", "libgc-dev", false, "" },
	{ "go", "golang-go", false, "" },
};
enum { NR_RUNTIMES = sizeof(runtimes) / sizeof(runtimes[0]), NR_NEEDED = 2 };

static const struct gc_program {
	const char *name;
	size_t size, quick_size;	/* what they count: the programs say */
	size_t reps;
	bool is_timed;			/* also by each thread itself */
	const char *only;		/* by this runtime alone; NULL: all */
} programs[] = {
	{ "trees", 2500, 100, 10, true, NULL },
	{ "trees2", 2500, 100, 5, true, NULL },
	{ "limited", 2500, 100, 3, true, OURS_GC },
	{ "idle", 2500, 100, 10, true, "malloc" },
	{ "gcbench", 16, 8, 3, false, NULL },
	{ "gcbench4", 14, 8, 3, false, NULL },
	{ "splay", 80000, 300, 3, false, NULL },
	{ "lru", 4000000, 60000, 3, false, NULL },
	{ "intern", 8000000, 120000, 3, false, NULL },
	{ "large", 1024, 8, 1, false, NULL },
	{ "large4", 1024, 8, 1, true, NULL },
	{ "stores", 4000000, 16384, 5, false, OURS_GC },
};
enum { NR_PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

/* ---------------------------------------------------------------- one run */

static int run_driver(const char *runtime, const char *program, size_t size, char output[OUTPUT_BYTES])
{
	char driver[PATH_MAX], file[64], own_name[] = DRIVER, name[32], number[24], *arguments[] = { own_name, name, size ? number : NULL, NULL };

	snprintf(file, sizeof(file), DRIVER "%s", runtime);
	snprintf(name, sizeof(name), "%s", program);
	snprintf(number, sizeof(number), "%zu", size);
	if (!child_path(file, driver, sizeof(driver)))
		return -1;
	return child_run(driver, arguments, "", false, output, OUTPUT_BYTES);
}

/* The first runtime that runs a program of a size says what the others must come to. */
static int check(const struct gc_program *program, const char *name, unsigned long long checksum)
{
	static unsigned long long wanted[NR_PROGRAMS]; /* main thread only */
	unsigned long long *first = &wanted[program - programs];

	if (!*first)
		*first = checksum;
	return *first == checksum ? 0 : bench_fail("gc: %s: the checksum is %016llx, not %016llx", name, checksum, *first);
}

/* "METRIC:UNIT=NUMBER" */
static bool take_metric(const char *word, const char *name, const char *source, struct report *report)
{
	char metric[32], unit[32], rest;
	double value;

	if (sscanf(word, "%31[^:]:%31[^=]=%lf%c", metric, unit, &value, &rest) != 3)
		return false;
	report_add(report, "gc", name, source, metric, unit, value);
	return true;
}

/* The driver's line. Of a run with timing only what is not there without it. */
static int take_line(const struct gc_program *program, const char *runtime, bool is_timed, char *line, struct report *report)
{
	const char *source = strcmp(runtime, OURS_GC) ? MALLOC_SOURCE : "auto";
	char name[NAME_BYTES], *state = NULL;
	unsigned long long checksum;

	snprintf(name, sizeof(name), "%s/%s", program->name, runtime);
	for (char *word = strtok_r(line, " \n", &state); word; word = strtok_r(NULL, " \n", &state)) {
		if (sscanf(word, "checksum=%llx", &checksum) == 1) {
			if (check(program, name, checksum))
				return 1;
		} else if (is_timed && gc_is_plain(word)) {
			continue;
		} else if (!take_metric(word, name, source, report)) {
			return bench_fail("gc: %s: the driver said '%s'", name, word);
		}
	}
	return 0;
}

static int run_once(const struct gc_program *program, const char *runtime, bool quick, bool is_timed, struct report *report)
{
	char output[OUTPUT_BYTES];
	int status;

	if (!quick)
		child_warm();
	setenv(is_timed ? SELF : TRACE, "1", 1);
	status = run_driver(runtime, program->name, quick ? program->quick_size : program->size, output);
	unsetenv(SELF);
	unsetenv(TRACE);
	if (status)
		return bench_fail("gc: %s/%s: " DRIVER "%s failed, wait status %#x", program->name, runtime, runtime, (unsigned int)status);
	return take_line(program, runtime, is_timed, output, report);
}

/* ---------------------------------------------------------------- all of them */

/* Whose driver is there; 1 after a message when one is not that must be. */
static int find_runtimes(void)
{
	for (size_t i = 0; i < NR_RUNTIMES; i++) {
		struct runtime *runtime = &runtimes[i];
		char output[OUTPUT_BYTES];

		if (runtime->is_there)
			continue;
		runtime->is_there = !run_driver(runtime->name, "version", 0, output) && sscanf(output, "%63s", runtime->version) == 1;
		if (!runtime->is_there && i < NR_NEEDED)
			return bench_fail("gc: " DRIVER "%s does not run; it belongs beside arena-bench", runtime->name);
		if (!runtime->is_there)
			bench_skip("%s: no " DRIVER "%s: %s was not there when this was built", runtime->name, runtime->name, runtime->package);
	}
	return 0;
}

void gc_print_versions(FILE *out)
{
	if (find_runtimes())
		return;
	for (size_t i = 0; i < NR_RUNTIMES; i++)
		if (runtimes[i].is_there)
			fprintf(out, "# %s: %s\n", runtimes[i].name, runtimes[i].version);
}

/* Each time another runtime is first. */
static int run_program(const struct gc_program *program, const struct options *options, size_t rep, struct report *report)
{
	int error = 0;

	for (size_t i = 0; i < NR_RUNTIMES; i++) {
		const struct runtime *runtime = &runtimes[(i + rep) % NR_RUNTIMES];

		if (!runtime->is_there || (program->only && strcmp(program->only, runtime->name)))
			continue;
		error |= run_once(program, runtime->name, options->quick, false, report);
		if (program->is_timed && !error)
			error |= run_once(program, runtime->name, options->quick, true, report);
	}
	return error;
}

static bool is_wanted(const struct gc_program *program, const struct options *options)
{
	return !options->program || !strcmp(options->program, program->name);
}

int bench_gc(const struct options *options, struct report *report)
{
	size_t nr_wanted = 0, reps_most = options->reps ? options->reps : options->quick ? 1 : 10;
	int error = find_runtimes();

	for (size_t rep = 0; rep < reps_most && !error; rep++)
		for (size_t i = 0; i < NR_PROGRAMS; i++) {
			if (!is_wanted(&programs[i], options) || (!options->reps && rep >= programs[i].reps))
				continue;
			nr_wanted++;
			error |= run_program(&programs[i], options, rep, report);
		}
	if (!nr_wanted && !error)
		return bench_fail("gc: no such program: %s", options->program);
	gc_add_ratios(report);
	return error;
}
