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

#include "bench/arena_case.h"
#include "bench/bench.h"
#include "bench/child.h"
#include "bench/cpus.h"
#include "bench/gc_plot.h"
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
	size_t nr_cpus;			/* it has no more, so that none is idle; 0: as many as there are */
} programs[] = {
	{ "trees", 2500, 100, 10, true, NULL, 0 },
	{ "trees2", 2500, 100, 5, true, NULL, 2 },
	{ "limited", 2500, 100, 3, true, OURS_GC, 0 },
	{ "idle", 2500, 100, 10, true, "malloc", 0 },
	{ "gcbench", 16, 8, 3, false, NULL, 0 },
	{ "gcbench4", 14, 8, 3, false, NULL, 0 },
	{ "splay", 80000, 300, 3, false, NULL, 0 },
	{ "lru", 4000000, 60000, 3, false, NULL, 0 },
	{ "intern", 8000000, 120000, 3, false, NULL, 0 },
	{ "large", 1024, 8, 1, false, NULL, 0 },
	{ "large4", 1024, 8, 1, true, NULL, 2 },
	{ "stores", 4000000, 16384, 5, false, OURS_GC, 0 },
};
enum { NR_PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

/* ---------------------------------------------------------------- one run */

/* @source: NULL: none is asked for. */
static int run_driver(const char *runtime, const char *program, size_t size, const char *source, char output[OUTPUT_BYTES])
{
	char driver[PATH_MAX], file[64], own_name[] = DRIVER, name[32], number[24], where[16];
	char *arguments[] = { own_name, name, size ? number : NULL, source ? where : NULL, NULL };

	snprintf(file, sizeof(file), DRIVER "%s", runtime);
	snprintf(name, sizeof(name), "%s", program);
	snprintf(number, sizeof(number), "%zu", size);
	snprintf(where, sizeof(where), "%s", source ? source : "");
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

/* "source=NAME", where memory really was from: not another source than was asked for. */
static int check_source(const char *name, const char *source, const char *wanted)
{
	return !wanted || !strcmp(source, wanted) ? 0 : bench_fail("gc: %s: memory is of %s, not of %s", name, source, wanted);
}

/* The driver's line: first the checksum, then the source, if its runtime has any. Of a run with timing only what is not there without it. */
static int take_line(const struct gc_program *program, const char *name, const char *wanted, bool is_timed, char *line, struct report *report)
{
	char source[16] = MALLOC_SOURCE, *state = NULL;
	unsigned long long checksum;
	int error = 0;

	for (char *word = strtok_r(line, " \n", &state); word && !error; word = strtok_r(NULL, " \n", &state)) {
		if (sscanf(word, "checksum=%llx", &checksum) == 1)
			error = check(program, name, checksum);
		else if (sscanf(word, "source=%15s", source) == 1)
			error = check_source(name, source, wanted);
		else if (!(is_timed && gc_is_plain(word)) && !take_metric(word, name, source, report))
			error = bench_fail("gc: %s: the driver said '%s'", name, word);
	}
	return error;
}

/* The row of the picture: our source is named where one was asked for. */
static void expect_tables(const struct gc_program *program, const char *runtime, const char *source)
{
	char row[NAME_BYTES];

	snprintf(row, sizeof(row), "%s%s%s", runtime, source ? "-" : "", source ? source : "");
	gc_plot_expect(program->name, row);
}

static int run_once(const struct gc_program *program, const char *runtime, const char *source, bool quick, bool is_timed, struct report *report)
{
	char output[OUTPUT_BYTES], name[NAME_BYTES];
	cpu_set_t before;
	int status;

	if (!quick)
		child_warm();
	setenv(is_timed ? SELF : TRACE, "1", 1);
	if (is_timed)
		expect_tables(program, runtime, source);
	snprintf(name, sizeof(name), "%s/%s", program->name, runtime);
	before = cpus_restrict(program->nr_cpus);
	status = run_driver(runtime, program->name, quick ? program->quick_size : program->size, source, output);
	cpus_restore(&before);
	unsetenv(SELF);
	unsetenv(TRACE);
	if (status)
		return bench_fail("gc: %s: " DRIVER "%s failed, wait status %#x", name, runtime, (unsigned int)status);
	return take_line(program, name, source, is_timed, output, report);
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
		runtime->is_there = !run_driver(runtime->name, "version", 0, NULL, output) && sscanf(output, "%63s", runtime->version) == 1;
		if (!runtime->is_there && i < NR_NEEDED)
			return bench_fail("gc: " DRIVER "%s does not run; it belongs beside arena-bench", runtime->name);
		if (!runtime->is_there)
			bench_skip("%s: no " DRIVER "%s: %s was not there when this was built", runtime->name, runtime->name, runtime->package);
	}
	return 0;
}

const char *gc_version(const char *name)
{
	for (size_t i = 0; i < NR_RUNTIMES; i++)
		if (runtimes[i].is_there && !strcmp(runtimes[i].name, name))
			return runtimes[i].version;
	return NULL;
}

void gc_print_versions(FILE *out)
{
	if (find_runtimes())
		return;
	for (size_t i = 0; i < NR_RUNTIMES; i++)
		if (runtimes[i].is_there)
			fprintf(out, "# %s: %s\n", runtimes[i].name, runtimes[i].version);
}

/* The sources that ours is to have, NULL where none was asked for. */
struct plan {
	const struct options *options;
	const char *sources[ARENA_NR_SOURCES];
	size_t nr_sources;
};

/* Plainly, and timed where the program has a column for it. */
static int run_both(const struct gc_program *program, const char *runtime, const char *source, const struct plan *plan, struct report *report)
{
	bool quick = plan->options->quick;
	int error = run_once(program, runtime, source, quick, false, report);

	if (program->is_timed && !error)
		error = run_once(program, runtime, source, quick, true, report);
	return error;
}

/* Each time another runtime is first. */
static int run_program(const struct gc_program *program, const struct plan *plan, size_t rep, struct report *report)
{
	int error = 0;

	for (size_t i = 0; i < NR_RUNTIMES; i++) {
		const struct runtime *runtime = &runtimes[(i + rep) % NR_RUNTIMES];
		bool is_ours = !strcmp(runtime->name, OURS_GC);

		if (!runtime->is_there || (program->only && strcmp(program->only, runtime->name)))
			continue;
		for (size_t j = 0; j < (is_ours ? plan->nr_sources : 1); j++)
			error |= run_both(program, runtime->name, is_ours ? plan->sources[j] : NULL, plan, report);
	}
	return error;
}

/* 1 after a message when a source is not to be had. */
static int plan_sources(struct plan *plan)
{
	enum arena_source sources[ARENA_NR_SOURCES];
	int nr = 1;

	if (plan->options->sources_asked)
		nr = arena_case_sources(plan->options, ARENA_SOURCE_THP, sources);
	for (int i = 0; i < nr && plan->options->sources_asked; i++)
		plan->sources[i] = arena_source_name(sources[i]);
	plan->nr_sources = nr > 0 ? (size_t)nr : 0;
	return nr < 0;
}

/* Whether there is such a program, and --source says something about it; 1 after a message if not. */
static int check_options(const struct options *options)
{
	const struct gc_program *program = NULL;

	for (size_t i = 0; i < NR_PROGRAMS && options->program; i++)
		if (!strcmp(programs[i].name, options->program))
			program = &programs[i];
	if (options->program && !program)
		return bench_fail("gc: no such program: %s", options->program);
	if (options->sources_asked && program && program->only && strcmp(program->only, OURS_GC))
		return bench_fail("gc: %s runs on %s alone, whose memory has no source that could be chosen", program->name, program->only);
	if (options->svg && program && !program->is_timed)
		return bench_fail("gc: no thread times itself in %s: there is nothing to draw", program->name);
	return 0;
}

static bool is_wanted(const struct gc_program *program, const struct options *options)
{
	return !options->program || !strcmp(options->program, program->name);
}

int bench_gc(const struct options *options, struct report *report)
{
	struct plan plan = { .options = options };
	size_t reps_most = options->reps ? options->reps : options->quick ? 1 : 10;
	int error = check_options(options) || find_runtimes() || plan_sources(&plan) || (options->svg && gc_plot_begin(options->svg));

	for (size_t rep = 0; rep < reps_most && !error; rep++)
		for (size_t i = 0; i < NR_PROGRAMS; i++) {
			if (!is_wanted(&programs[i], options) || (!options->reps && rep >= programs[i].reps))
				continue;
			error |= run_program(&programs[i], &plan, rep, report);
		}
	gc_add_ratios(report);
	error |= gc_plot_end();
	return error;
}
