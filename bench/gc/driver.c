// SPDX-License-Identifier: MIT
/*
 * arena-bench-gc-RUNTIME: runs one program once and prints one line. `arena-bench gc` starts it, for each runtime in turns; there is one driver for each, and
 * each has nothing of the others in it.
 *
 *	arena-bench-gc-RUNTIME PROGRAM SIZE [SOURCE]
 *	checksum=HEX source=NAME elapsed:ms=N cpu:ms=N peak_rss:MiB=N METRIC:UNIT=N...
 *
 * "version" as the program prints what the runtime is. With ARENA_BENCH_GC_TRACE in the environment also what the collector says of its cycles; see gc/batch.h for more.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "bench/gc/cycles.h"
#include "bench/gc/programs.h"
#include "bench/gc/runtime.h"

/* No program takes as long on any machine that it can be measured on. */
enum { LIMIT_S = 600, MAX_THREADS = 8 };

static const struct program {
	const char *name;
	program_fn *run;
	unsigned int nr_threads;
	unsigned int limit_mib;	/* of the collected heap, for runtimes that have one; 0: none */
} programs[] = {
	{ "trees", run_trees, 1, 0 },
	{ "limited", run_trees, 1, 84 },	/* 64 MiB live and what is being made: up to 80 % */
	{ "trees2", run_half_trees, 2, 0 },
	{ "gcbench", run_gcbench, 1, 0 },
	{ "gcbench4", run_gcbench, 4, 0 },
	{ "splay", run_splay, 1, 0 },
	{ "lru", run_lru, 1, 0 },
	{ "intern", run_intern, 1, 0 },
	{ "large", run_large, 1, 0 },
	{ "large4", run_large, 4, 0 },
	{ "idle", run_idle, 1, 0 },
#ifdef RT_STORES
	{ "stores", RT_STORES, 1, 0 },
#endif
};
enum { NR_PROGRAMS = sizeof(programs) / sizeof(programs[0]) };

struct worker {
	pthread_t thread;
	const struct program *program;
	size_t size;
	unsigned int number;
	uint64_t checksum;
};

static int trace_fd = -1;	/* what the runtime says on standard error; -1: not asked for */
static int error_fd = STDERR_FILENO;

void die(const char *what)
{
	dprintf(error_fd, "arena-bench-gc-" RT_NAME ": %s\n", what);
	_exit(1);
}

void outcome_add(struct outcome *outcome, const char *name, const char *unit, double value)
{
	if (outcome->nr == OUTCOME_METRICS)
		die("too many metrics");
	snprintf(outcome->metrics[outcome->nr].name, sizeof(outcome->metrics[0].name), "%s", name);
	outcome->metrics[outcome->nr].unit = unit;
	outcome->metrics[outcome->nr++].value = value;
}

/* ---------------------------------------------------------------- the machine */

static double now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static double cpu_ms(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
}

/* "VmHWM: %lu kB", the peak, or VmRSS. ru_maxrss is inherited from whoever called exec. */
static double status_mib(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t bytes = strlen(name);
	double kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, name, bytes) && line[bytes] == ':')
			kib = strtod(line + bytes + 1, NULL);
	if (kib <= 0)
		die("cannot read /proc/self/status");
	fclose(file);
	return kib / 1024;
}

/* ---------------------------------------------------------------- what the collector says of its cycles */

/* A library that aborts has said why. */
static void spill(int signal)
{
	off_t at = 0;

	(void)signal;
	while (sendfile(error_fd, trace_fd, &at, 4096) > 0)
		;
}

/* A runtime that traces writes to standard error, which becomes a file in memory: a call for each cycle, by the collector's thread. */
static void trace_begin(void)
{
	if (!getenv("ARENA_BENCH_GC_TRACE"))
		return;
	setenv("ARENA_GCTRACE", "1", 1);
	error_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	trace_fd = memfd_create("trace", MFD_CLOEXEC);
	if (error_fd < 0 || trace_fd < 0 || dup2(trace_fd, STDERR_FILENO) < 0)
		_exit(1);
	signal(SIGABRT, spill);
}

static void add_line(struct cycle *sum, const char *line)
{
	struct cycle cycle;

	if (!cycle_parse(line, &cycle))
		return;
	sum->wall_ms += cycle.wall_ms;
	sum->assist_ms += cycle.assist_ms;
	sum->worker_ms += cycle.worker_ms;
	sum->idle_ms += cycle.idle_ms;
	sum->sweep_ms += cycle.sweep_ms;
	sum->sweep_wall_ms += cycle.sweep_wall_ms;
}

/* As the collector counts them. */
static double count_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) ? (double)sysconf(_SC_NPROCESSORS_ONLN) : CPU_COUNT(&cpus);
}

/* Of all CPUs, from the begin of cycles until barriers were off, and while the collector swept; and of all CPU time that was spent. */
static void report_shares(struct outcome *outcome, const struct cycle *sum, double spent_ms)
{
	double nr_cpus = count_cpus(), workers_ms = sum->worker_ms + sum->idle_ms;

	outcome_add(outcome, "cycle_workers", "percent", 100 * workers_ms / (sum->wall_ms * nr_cpus));
	outcome_add(outcome, "cycle_assists", "percent", 100 * sum->assist_ms / (sum->wall_ms * nr_cpus));
	if (sum->sweep_wall_ms > 0)
		outcome_add(outcome, "sweep_workers", "percent", 100 * sum->sweep_ms / (sum->sweep_wall_ms * nr_cpus));
	outcome_add(outcome, "collector", "percent", 100 * (workers_ms + sum->assist_ms + sum->sweep_ms) / spent_ms);
}

static void trace_report(struct outcome *outcome, double spent_ms)
{
	FILE *file = trace_fd < 0 || lseek(trace_fd, 0, SEEK_SET) ? NULL : fdopen(trace_fd, "r");
	struct cycle sum = { 0 };
	char line[512];

	while (file && fgets(line, sizeof(line), file))
		add_line(&sum, line);
	if (file)
		outcome_add(outcome, "cpus", "n", count_cpus());
	if (sum.wall_ms > 0)
		report_shares(outcome, &sum, spent_ms);
}

/* ---------------------------------------------------------------- one run */

static void *work(void *argument)
{
	struct worker *worker = argument;

	rt_begin();
	batch_thread_begin();
	worker->checksum = worker->program->run(worker->size, worker->number);
	batch_thread_end();
	rt_end();
	return NULL;
}

static uint64_t run_threads(const struct program *program, size_t size)
{
	struct worker workers[MAX_THREADS];
	uint64_t checksum = 0;

	for (unsigned int i = 0; i < program->nr_threads; i++) {
		workers[i] = (struct worker){ .program = program, .size = size / program->nr_threads, .number = i };
		/* Depths, not amounts. */
		if (program->run == run_gcbench)
			workers[i].size = size;
		if (rt_start(&workers[i].thread, work, &workers[i]))
			die("no thread");
	}
	for (unsigned int i = 0; i < program->nr_threads; i++) {
		rt_join(workers[i].thread);
		checksum = checksum * 31 + workers[i].checksum;
	}
	return checksum;
}

/* By how much what the process took since the heap was made went beyond the limit. */
static void report_limit(struct outcome *outcome, const struct program *program, double rss_mib)
{
	double over_mib = status_mib("VmHWM") - rss_mib - program->limit_mib;

	if (program->limit_mib)
		outcome_add(outcome, "over_limit", "percent", over_mib > 0 ? 100 * over_mib / program->limit_mib : 0);
}

static void set_limit(const struct program *program)
{
	char bytes[32];

	snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)program->limit_mib << 20);
	if (program->limit_mib)
		setenv("ARENA_GC_LIMIT", bytes, 1);
}

static void run(const struct program *program, size_t size, const char *source)
{
	struct outcome outcome = { 0 };
	double cpu = cpu_ms(), start = now_ms(), rss_mib = status_mib("VmRSS");
	uint64_t checksum;

	set_limit(program);
	rt_init(source);
	trees_prepare();
	splay_prepare();
	tables_prepare();
	checksum = run_threads(program, size);
	outcome_add(&outcome, "elapsed", "ms", now_ms() - start);
	cpu = cpu_ms() - cpu;
	outcome_add(&outcome, "cpu", "ms", cpu);
	outcome_add(&outcome, "peak_rss", "MiB", status_mib("VmHWM"));
	report_limit(&outcome, program, rss_mib);
	batch_report(&outcome);
	rt_report(&outcome);
	trace_report(&outcome, cpu);
	printf("checksum=%016llx source=%s", (unsigned long long)checksum, rt_source());
	for (size_t i = 0; i < outcome.nr; i++)
		printf(" %s:%s=%.10g", outcome.metrics[i].name, outcome.metrics[i].unit, outcome.metrics[i].value);
	putchar('\n');
}

static const struct program *find(const char *name)
{
	for (size_t i = 0; i < NR_PROGRAMS; i++)
		if (!strcmp(programs[i].name, name))
			return &programs[i];
	die("no such program");
}

int main(int argc, char **argv)
{
	unsigned long size;
	char *end;

	if (argc == 2 && !strcmp(argv[1], "version"))
		return puts(rt_version()) < 0;
	if (argc != 3 && argc != 4)
		die("usage: arena-bench-gc-" RT_NAME " PROGRAM SIZE [SOURCE]");
	size = strtoul(argv[2], &end, 10);
	if (*end || !size)
		die("bad size");
	alarm(LIMIT_S);
	trace_begin();
	batch_init();
	run(find(argv[1]), size, argv[3]);
	return fflush(stdout) ? 1 : 0;
}
