// SPDX-License-Identifier: MIT
/*
 * arena-demo parse: the same requests with malloc and with arenas, side by side.
 *
 * Every mode of every round runs in a process of its own, because the peak of RSS belongs to a process and
 * because a heap that one mode left behind must not help or hurt the next. The rounds interleave the
 * modes (A B C, B C A, ...), so that a machine that gets slower does so for all. The first request of a
 * process counts apart: it pays for memory that is new, and for loading the program, which is the same in all modes.
 *
 * Under QEMU's -icount the clock advances by 1 ns per instruction, so that --unit instructions only has to
 * call the same numbers by their right name.
 *
 * Limits: wall time on a busy machine is a comparison within one run and nothing more; RSS says nothing of
 * chunks that /dev/arena keeps in its pool after a process gave them back.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "demo.h"
#include "measure.h"
#include "request.h"

#define MAX_MODES 16
#define MAX_REQUESTS 1000
#define MAX_ROUNDS 100

/* What one process found out; in memory shared with its parent, who reads it after wait(). */
struct outcome {
	uint64_t digest;
	uint64_t start_rss_bytes;
	uint64_t peak_rss_bytes; /* with a whole result in memory */
	uint64_t idle_rss_bytes; /* between two requests */
	uint64_t left_rss_bytes; /* after the last request, everything freed */
	uint64_t trimmed_rss_bytes; /* after the allocator was asked for what it caches */
	uint64_t first_time_ns;
	uint64_t first_fault_count;
	uint64_t time_ns[MAX_REQUESTS];
	uint64_t fault_count[MAX_REQUESTS];
};

enum metric {
	METRIC_TIME, METRIC_FAULTS, METRIC_FIRST_TIME, METRIC_FIRST_FAULTS, METRIC_PEAK, METRIC_IDLE, METRIC_LEFT,
	METRIC_TRIMMED, NR_METRICS
};

/* All samples of one mode. */
struct series {
	struct mode mode;
	uint64_t *samples[NR_METRICS];
	size_t counts[NR_METRICS];
	struct measure_summary summaries[NR_METRICS];
};

static struct {
	size_t nr_rounds;
	size_t nr_requests;
	bool json;
	bool instructions; /* the clock counts them: QEMU -icount */
	const char *save_path;
	const char *json_path;
	const char *descriptors_path;
	struct series series[MAX_MODES];
	size_t nr_series;
} run = { .nr_rounds = 5, .nr_requests = 10 };

static struct workload load;

/* ------------------------------------------------------------------ one process */

static void measure_request(const struct mode *mode, struct arena *warm, uint64_t *time_ns,
			    uint64_t *fault_count, uint64_t *digest)
{
	uint64_t faults = measure_fault_count(), start_ns = measure_now_ns();
	struct request request;

	request_start(&request, mode, warm, &load);
	*digest = workload_digest(&request.parsed);
	request_finish(&request, mode);
	*time_ns = measure_now_ns() - start_ns;
	*fault_count = measure_fault_count() - faults;
}

/* The first request, which also reads RSS at its peak and checks the source, outside of its time. */
static void observe_request(const struct mode *mode, struct arena *warm, struct outcome *outcome)
{
	uint64_t faults = measure_fault_count(), start_ns = measure_now_ns();
	struct request request;

	request_start(&request, mode, warm, &load);
	outcome->digest = workload_digest(&request.parsed);
	outcome->first_time_ns = measure_now_ns() - start_ns;
	outcome->first_fault_count = measure_fault_count() - faults;
	outcome->peak_rss_bytes = measure_rss_bytes();
	if (request.arena)
		request_check_only_source(request.arena, mode);
	start_ns = measure_now_ns();
	request_finish(&request, mode);
	outcome->first_time_ns += measure_now_ns() - start_ns;
	outcome->idle_rss_bytes = measure_rss_bytes();
}

static void run_mode(const struct mode *mode, struct outcome *outcome)
{
	struct arena *warm = NULL;
	uint64_t digest, peak_bytes;
	size_t i;

	outcome->start_rss_bytes = measure_rss_bytes();
	if (mode->kind == MODE_WARM)
		warm = request_arena_new(mode);
	observe_request(mode, warm, outcome);
	for (i = 0; i < run.nr_requests; i++) {
		measure_request(mode, warm, &outcome->time_ns[i], &outcome->fault_count[i], &digest);
		if (digest != outcome->digest)
			demo_die("request %zu with %s on %s gave another result than the first one", i,
				 mode_case(mode), mode_source(mode));
	}
	arena_free(warm);
	outcome->left_rss_bytes = measure_rss_bytes();
	mode_trim(mode);
	outcome->trimmed_rss_bytes = measure_rss_bytes();
	peak_bytes = measure_peak_rss_bytes();
	if (peak_bytes > outcome->peak_rss_bytes)
		outcome->peak_rss_bytes = peak_bytes;
}

/* Run @function in a child process; returns its exit status, or 128 and more when a signal ended it. */
static int in_child(void (*function)(const struct mode *, struct outcome *),
		    const struct mode *mode, struct outcome *outcome)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		demo_die("cannot fork: %s", strerror(errno));
	if (!pid) {
		function(mode, outcome);
		exit(EXIT_SUCCESS);
	}
	if (waitpid(pid, &status, 0) < 0)
		demo_die("cannot wait for a child: %s", strerror(errno));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ------------------------------------------------------------------ the run */

static void keep_sample(struct series *series, enum metric metric, uint64_t value)
{
	series->samples[metric][series->counts[metric]++] = value;
}

static void keep_outcome(struct series *series, const struct outcome *outcome)
{
	size_t i;

	for (i = 0; i < run.nr_requests; i++) {
		keep_sample(series, METRIC_TIME, outcome->time_ns[i]);
		keep_sample(series, METRIC_FAULTS, outcome->fault_count[i]);
	}
	keep_sample(series, METRIC_PEAK, outcome->peak_rss_bytes);
	keep_sample(series, METRIC_IDLE, outcome->idle_rss_bytes);
	keep_sample(series, METRIC_LEFT, outcome->left_rss_bytes);
	keep_sample(series, METRIC_TRIMMED, outcome->trimmed_rss_bytes);
	keep_sample(series, METRIC_FIRST_TIME, outcome->first_time_ns);
	keep_sample(series, METRIC_FIRST_FAULTS, outcome->first_fault_count);
}

static void check_digest(uint64_t *expected, const struct outcome *outcome, const struct mode *mode)
{
	if (!*expected)
		*expected = outcome->digest;
	if (outcome->digest != *expected)
		demo_die("%s on %s gave digest %016llx, the modes before it gave %016llx", mode_case(mode),
			 mode_source(mode), (unsigned long long)outcome->digest,
			 (unsigned long long)*expected);
}

/* Returns the digest that all of them agreed on. */
static uint64_t run_rounds(struct outcome *outcome)
{
	uint64_t expected = 0;
	size_t round, i;

	for (round = 0; round < run.nr_rounds; round++) {
		for (i = 0; i < run.nr_series; i++) {
			struct series *series = &run.series[(i + round) % run.nr_series];
			int status;

			memset(outcome, 0, sizeof(*outcome));
			status = in_child(run_mode, &series->mode, outcome);
			if (status)
				demo_die("%s on %s failed with status %d", mode_case(&series->mode),
					 mode_source(&series->mode), status);
			check_digest(&expected, outcome, &series->mode);
			keep_outcome(series, outcome);
		}
	}
	return expected;
}

static void series_prepare(void)
{
	size_t i, metric;

	for (i = 0; i < run.nr_series; i++)
		for (metric = 0; metric < NR_METRICS; metric++) {
			run.series[i].samples[metric] =
				calloc(run.nr_rounds * run.nr_requests, sizeof(uint64_t));
			if (!run.series[i].samples[metric])
				demo_die("out of memory for the samples");
		}
}

static void series_summarize(void)
{
	size_t i, metric;

	for (i = 0; i < run.nr_series; i++)
		for (metric = 0; metric < NR_METRICS; metric++) {
			struct series *series = &run.series[i];

			series->summaries[metric] =
				measure_summarize(series->samples[metric], series->counts[metric]);
			free(series->samples[metric]);
		}
}

/* ------------------------------------------------------------------ output */

static bool is_time(size_t metric)
{
	return metric == METRIC_TIME || metric == METRIC_FIRST_TIME;
}

static void print_json(FILE *file)
{
	static const struct {
		const char *name;
		const char *unit;
	} metrics[NR_METRICS] = {
		[METRIC_TIME] = { "time", "ns" },
		[METRIC_FAULTS] = { "faults", "faults" },
		[METRIC_FIRST_TIME] = { "first_time", "ns" },
		[METRIC_FIRST_FAULTS] = { "first_faults", "faults" },
		[METRIC_PEAK] = { "peak_rss", "bytes" },
		[METRIC_IDLE] = { "idle_rss", "bytes" },
		[METRIC_LEFT] = { "left_rss", "bytes" },
		[METRIC_TRIMMED] = { "trimmed_rss", "bytes" },
	};
	struct utsname kernel;
	size_t i, metric;

	uname(&kernel);
	for (i = 0; i < run.nr_series; i++)
		for (metric = 0; metric < NR_METRICS; metric++) {
			const struct measure_summary *sum = &run.series[i].summaries[metric];

			fprintf(file,
				"{\"bench\":\"demo\",\"case\":\"parse/%s\",\"source\":\"%s\",\"metric\":\"%s\","
				"\"unit\":\"%s\",\"median\":%.1f,\"low\":%.1f,\"high\":%.1f,\"n\":%zu,"
				"\"kernel\":\"%s\"}\n",
				mode_case(&run.series[i].mode), mode_source(&run.series[i].mode),
				metrics[metric].name,
				is_time(metric) && run.instructions ? "instructions" : metrics[metric].unit, sum->median, sum->low, sum->high,
				sum->count, kernel.release);
		}
}

static void print_head(uint64_t digest, uint64_t start_rss_bytes)
{
	struct utsname kernel;

	uname(&kernel);
	printf("Linux %s, %ld CPUs; inputs: %zu bytes of JSON, %zu bytes of descriptors\n",
	       kernel.release, sysconf(_SC_NPROCESSORS_ONLN), load.json_bytes, load.descriptors_bytes);
	printf("%zu rounds x %zu requests for each row, interleaved; every result has digest %016llx\n",
	       run.nr_rounds, run.nr_requests, (unsigned long long)digest);
	printf("RSS when a process starts: %.1f MiB\n\n", (double)start_rss_bytes / (double)DEMO_MIB);
}

/* What speed is measured against; 0 when malloc is not among the modes. */
static double glibc_ns(void)
{
	size_t i;

	for (i = 0; i < run.nr_series; i++)
		if (run.series[i].mode.kind == MODE_MALLOC && !run.series[i].mode.is_mimalloc)
			return run.series[i].summaries[METRIC_TIME].median;
	return 0;
}

static void print_table(void)
{
	const double malloc_ns = glibc_ns();
	size_t i;

	printf("%-11s %-8s | %8s %17s %6s | %8s %6s %6s | %8s %8s %8s\n", "memory from", "source",
	       run.instructions ? "Minstr." : "ms each", "quartiles", "speed",
	       run.instructions ? "Minstr." : "ms", "faults", "faults", "peak RSS", "RSS left", "trimmed");
	printf("%-11s %-8s | %8s %17s %6s | %8s %6s %6s | %8s %8s %8s\n", "", "", "(median)", "", "", "first",
	       "first", "each", "MiB", "MiB", "MiB");
	for (i = 0; i < run.nr_series; i++) {
		const struct series *series = &run.series[i];
		const struct measure_summary *sum = series->summaries;
		char speed[32] = "", quartiles[64];

		if (malloc_ns > 0)
			snprintf(speed, sizeof(speed), "%.2fx", malloc_ns / sum[METRIC_TIME].median);
		snprintf(quartiles, sizeof(quartiles), "%.2f - %.2f", sum[METRIC_TIME].low / 1e6,
			 sum[METRIC_TIME].high / 1e6);
		printf("%-11s %-8s | %8.2f %17s %6s | %8.2f %6.0f %6.0f | %8.1f %8.1f %8.1f\n",
		       mode_case(&series->mode), mode_source(&series->mode),
		       sum[METRIC_TIME].median / 1e6, quartiles, speed, sum[METRIC_FIRST_TIME].median / 1e6,
		       sum[METRIC_FIRST_FAULTS].median, sum[METRIC_FAULTS].median,
		       sum[METRIC_PEAK].median / (double)DEMO_MIB,
		       sum[METRIC_LEFT].median / (double)DEMO_MIB,
		       sum[METRIC_TRIMMED].median / (double)DEMO_MIB);
	}
	if (run.instructions)
		printf("\nMinstr.: million instructions of one request, user and kernel, counted by QEMU.");
	printf("\nspeed: against glibc's malloc in this run. first: the first request of a process; each: the others.\n"
	       "RSS left: everything freed. trimmed: the allocator was asked for what it caches (malloc_trim,\n"
	       "mi_collect, arena_trim, which is what arenad asks for under pressure).\n");
}

static void save_json(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		demo_die("cannot write %s: %s", path, strerror(errno));
	print_json(file);
	if (fclose(file))
		demo_die("cannot write %s: %s", path, strerror(errno));
}

/* ------------------------------------------------------------------ command line */

static void add_mode(const char *name)
{
	if (run.nr_series == MAX_MODES)
		demo_usage_error("more than %d modes", MAX_MODES);
	if (!mode_parse(name, &run.series[run.nr_series].mode))
		demo_usage_error("\"%s\" is no mode", name);
	run.nr_series++;
}

static void add_modes(char *list)
{
	char *rest, *name;

	for (name = strtok_r(list, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
		add_mode(name);
	if (!run.nr_series)
		demo_usage_error("--modes is empty");
}

/* In a child, because a device that was opened before a fork would be shared with those who measure. */
static void probe(const struct mode *mode, struct outcome *outcome)
{
	(void)outcome;
	exit(mode_check(mode));
}

/* What is not here is said, not silently left out. */
static void add_default_modes(void)
{
	static const char *const names[] = {
		"malloc", "mimalloc", "pages-cold", "pages-warm", "thp-cold", "thp-warm", "dev-cold", "dev-warm",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct mode mode;
		int error;

		mode_parse(names[i], &mode);
		error = in_child(probe, &mode, NULL);
		if (error)
			fprintf(stderr, "arena-demo: no row for %s: %s\n", names[i], strerror(error));
		else
			add_mode(names[i]);
	}
}

static bool is_instructions(const char *unit)
{
	if (strcmp(unit, "ns") && strcmp(unit, "instructions"))
		demo_usage_error("--unit is ns or instructions, not \"%s\"", unit);
	return !strcmp(unit, "instructions");
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "modes", required_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "requests", required_argument, NULL, 'n' },
		{ "json", no_argument, NULL, 'j' },
		{ "unit", required_argument, NULL, 'u' },
		{ "save", required_argument, NULL, 's' },
		{ "iso-codes", required_argument, NULL, 'i' },
		{ "descriptors", required_argument, NULL, 'd' },
		DEMO_COMMON_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'm': add_modes(optarg); break;
		case 'r': run.nr_rounds = demo_number("rounds", optarg, 1, MAX_ROUNDS); break;
		case 'n': run.nr_requests = demo_number("requests", optarg, 1, MAX_REQUESTS); break;
		case 'j': run.json = true; break;
		case 'u': run.instructions = is_instructions(optarg); break;
		case 's': run.save_path = optarg; break;
		case 'i': run.json_path = optarg; break;
		case 'd': run.descriptors_path = optarg; break;
		default: demo_common_option(option);
		}
	}
	if (optind < argc)
		demo_usage_error("parse takes no argument \"%s\"", argv[optind]);
	if (!run.nr_series)
		add_default_modes();
}

int parse_main(int argc, char **argv)
{
	struct outcome *outcome;
	uint64_t digest;

	read_options(argc, argv);
	workload_load(&load, run.json_path, run.descriptors_path);
	outcome = mmap(NULL, sizeof(*outcome), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (outcome == MAP_FAILED)
		demo_die("no memory for the outcome: %s", strerror(errno));
	series_prepare();
	digest = run_rounds(outcome);
	series_summarize();
	if (run.json) {
		print_json(stdout);
	} else {
		print_head(digest, outcome->start_rss_bytes);
		print_table();
	}
	if (run.save_path)
		save_json(run.save_path);
	munmap(outcome, sizeof(*outcome));
	workload_unload(&load);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}
