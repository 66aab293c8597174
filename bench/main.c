// SPDX-License-Identifier: MIT
/*
 * arena-bench: the command line, and which benchmark runs.
 *
 * Exit status: 0 measured, 1 a benchmark failed or measured something else than it was asked to, 2 usage.
 */
#include "bench/bars.h"
#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/gc_runs.h"
#include "bench/malloc.h"
#include "bench/peer.h"
#include "bench/proc.h"
#include "bench/report.h"
#include "bench/trace.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PARTS = 3, EXIT_USAGE = 2 };

struct benchmark {
	const char *name;
	const char *part;	/* NULL when it is one piece */
	int (*run)(const struct options *options, struct report *report);
	const char *summary;
};

static const struct benchmark benchmarks[] = {
	{ "fault", NULL, bench_fault, "first touch and give-back per 2 MiB, by source" },
	{ "reclaim", "chunks", bench_reclaim, "KEEP, its re-reserve and ZAP by number of chunks (needs /dev/arena)" },
	{ "reclaim", "objects", bench_reclaim_objects, "arena_reset() and arena_free() by number of objects" },
	{ "fork", NULL, bench_fork, "a fork per 2 MiB of memory that parent and child share until a write" },
	{ "arena", "append", bench_append, "a slice that grows by append: glibc, mimalloc, arena warm and cold" },
	{ "arena", "nodes", bench_nodes, "100,000 nodes of 24 B: glibc, mimalloc, arena warm and cold" },
	{ "arena", "request", bench_request, "16 objects of 64 B a million times, 1 and 2 threads" },
	{ "malloc", NULL, bench_malloc, "programs on malloc(): ours, glibc, mimalloc, jemalloc, gperftools" },
	{ "gc", NULL, bench_gc, "collected heaps: ours, malloc() and free(), Boehm's collector, Go" },
	{ "pages", NULL, bench_pages, "the page allocator: a page, a run of 64 pages, 1 to 64 threads" },
	{ "start", NULL, bench_start, "what `true` pays for a preloaded allocator" },
	{ "idle", NULL, bench_idle, "how soon 1 GiB is back that a sleeping program has freed" },
};
enum { NR_BENCHMARKS = sizeof(benchmarks) / sizeof(benchmarks[0]) };

__attribute__((format(printf, 2, 0))) static void vmessage(const char *what, const char *format, va_list arguments)
{
	fprintf(stderr, "arena-bench: %s", what);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
}

int bench_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vmessage("", format, arguments);
	va_end(arguments);
	return 1;
}

void bench_skip(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vmessage("skipped: ", format, arguments);
	va_end(arguments);
}

static void print_help(void)
{
	puts("usage: arena-bench BENCHMARK [PART] [OPTION]...\n"
	     "       arena-bench table [--check] FILE...\n"
	     "       arena-bench events|mix FILE\n"
	     "Measure page faults, giving memory back, and arenas and malloc() beside their peers.\n"
	     "\n"
	     "Benchmarks (all parts unless one is named):");
	for (size_t i = 0; i < NR_BENCHMARKS; i++)
		printf("  %-8s%-9s%s\n", benchmarks[i].name, benchmarks[i].part ? benchmarks[i].part : "",
		       benchmarks[i].summary);
	puts("\n"
	     "  table    print result lines of --json; with --check fail when a bar is missed\n"
	     "  events   print a trace of libarena-trace.so, one line for each call\n"
	     "  mix      sum one up: sizes and lifetimes, as the programs trace-* of malloc have them\n"
	     "\n"
	     "Options:\n"
	     "  --source LIST   of pages, thp, hugetlb, dev, by commas; one that is not to be had is then\n"
	     "                  a failure (default: fault: all that work; arena: thp; reclaim: dev; gc: the library's)\n"
	     "  --chunks N      fault, fork: chunks per repetition (128); reclaim: largest number (1024)\n"
	     "  --objects N     objects of append and nodes (100000)\n"
	     "  --requests N    requests of each row of request (1000000)\n"
	     "  --program NAME  malloc, gc: only this program of its list\n"
	     "  --quick         malloc, gc, pages, idle: small sizes; says that it works, and nothing about speed\n"
	     "  --svg FILE      gc: draw utilization and pauses of programs whose threads time themselves; needs gnuplot\n"
	     "  --reps N        repetitions (each benchmark's own default)\n"
	     "  --unit UNIT     ns, or instructions under QEMU -icount shift=0 (default $ARENA_BENCH_UNIT, else ns)\n"
	     "  --json          one JSON object per line instead of a table\n"
	     "  --list          names of benchmarks and parts\n"
	     "  --help, --version\n"
	     "\n"
	     "Medians with the 95 % interval of order statistics (all samples when fewer than 6).");
}

static void print_list(void)
{
	for (size_t i = 0; i < NR_BENCHMARKS; i++)
		printf("%s%s%s\n", benchmarks[i].name, benchmarks[i].part ? " " : "",
		       benchmarks[i].part ? benchmarks[i].part : "");
}

static int usage_error(const char *what, const char *value)
{
	fprintf(stderr, "arena-bench: %s: '%s'; see arena-bench --help\n", what, value);
	return EXIT_USAGE;
}

static bool parse_sources(const char *list, struct options *options)
{
	char copy[64], *state = NULL;

	if (strlen(list) >= sizeof(copy))
		return false;
	memcpy(copy, list, strlen(list) + 1);
	options->sources = 0;
	options->sources_asked = true;
	for (char *name = strtok_r(copy, ",", &state); name; name = strtok_r(NULL, ",", &state)) {
		int source = arena_source_parse(name);

		if (source <= 0)
			return false;
		options->sources |= 1U << source;
	}
	return options->sources;
}

static bool parse_count(const char *text, size_t *count)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '0' || text[0] > '9' || number < 1 || number > 1000000000)
		return false;
	*count = number;
	return true;
}

static int parse_unit(const char *unit)
{
	int error = clock_set_unit(unit);

	if (error == -EINVAL)
		return usage_error("no such unit", unit);
	if (error)
		return bench_fail("--unit instructions: this machine's clock does not count instructions; it does under"
				  " qemu -icount shift=0");
	return 0;
}

enum { OPT_SOURCE = 256, OPT_CHUNKS, OPT_OBJECTS, OPT_REQUESTS, OPT_REPS, OPT_UNIT, OPT_JSON, OPT_LIST, OPT_HELP,
       OPT_VERSION, OPT_CHECK, OPT_PROGRAM, OPT_QUICK, OPT_SVG };

static const struct option long_options[] = {
	{ "source", required_argument, NULL, OPT_SOURCE },   { "chunks", required_argument, NULL, OPT_CHUNKS },
	{ "objects", required_argument, NULL, OPT_OBJECTS }, { "requests", required_argument, NULL, OPT_REQUESTS },
	{ "reps", required_argument, NULL, OPT_REPS },	     { "unit", required_argument, NULL, OPT_UNIT },
	{ "json", no_argument, NULL, OPT_JSON },	     { "list", no_argument, NULL, OPT_LIST },
	{ "help", no_argument, NULL, OPT_HELP },	     { "version", no_argument, NULL, OPT_VERSION },
	{ "check", no_argument, NULL, OPT_CHECK },	     { "program", required_argument, NULL, OPT_PROGRAM },
	{ "quick", no_argument, NULL, OPT_QUICK },	     { "svg", required_argument, NULL, OPT_SVG },
	{ NULL, 0, NULL, 0 },
};

struct command {
	struct options options;
	bool check;
	const char *unit;
};

static int parse_value(int option, const char *value, struct options *options)
{
	bool good = false;

	switch (option) {
	case OPT_SOURCE:
		good = parse_sources(value, options);
		break;
	case OPT_CHUNKS:
		good = parse_count(value, &options->chunks);
		break;
	case OPT_OBJECTS:
		good = parse_count(value, &options->objects);
		break;
	case OPT_REQUESTS:
		good = parse_count(value, &options->requests);
		break;
	case OPT_PROGRAM:
		good = *value;
		options->program = value;
		break;
	case OPT_SVG:
		good = *value;
		options->svg = value;
		break;
	case OPT_REPS:
		good = parse_count(value, &options->reps) && options->reps <= 100000;
		break;
	}
	return good ? 0 : usage_error("bad value", value);
}

/* 0, or an exit status; -1: done, exit with 0. */
static int parse_options(int argc, char **argv, struct command *command)
{
	int option, error = 0;

	while (!error && (option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		if (option == '?')
			return EXIT_USAGE;
		if (option == OPT_HELP)
			return print_help(), -1;
		if (option == OPT_LIST)
			return print_list(), -1;
		if (option == OPT_VERSION)
			return printf("arena-bench %s\n", arena_version()), -1;
		if (option == OPT_JSON)
			command->options.json = true;
		else if (option == OPT_CHECK)
			command->check = true;
		else if (option == OPT_QUICK)
			command->options.quick = true;
		else if (option == OPT_UNIT)
			command->unit = optarg;
		else
			error = parse_value(option, optarg, &command->options);
	}
	return error;
}

static void print_head(const char *name)
{
	struct arena_memory memory;

	arena_memory(&memory);
	printf("# arena-bench %s\n", arena_version());
	proc_print_machine(stdout);
	if (!strcmp(name, "arena"))
		peer_print_versions(stdout);
	if (!strcmp(name, "malloc") || !strcmp(name, "start") || !strcmp(name, "idle"))
		malloc_print_versions(stdout);
	if (!strcmp(name, "gc"))
		gc_print_versions(stdout);
	printf("# guard pages (MADV_GUARD_INSTALL): %s\n", memory.guard_pages ? "yes" : "no");
}

/* Of what a row is about: the last part of its case. NULL: of nothing that has a version. */
static const char *version_of(const struct row *row)
{
	const char *slash = strrchr(row->name, '/'), *name = slash ? slash + 1 : "";

	if (!strcmp(row->bench, "malloc") || !strcmp(row->bench, "start") || !strcmp(row->bench, "idle"))
		return malloc_version(name);
	if (!strcmp(row->bench, "gc"))
		return gc_version(name);
	if (!strcmp(row->bench, "arena"))
		return peer_version(name);
	return NULL;
}

/* Results are kept without the head that people read. */
static void set_versions(struct row *rows, size_t nr_rows)
{
	for (size_t i = 0; i < nr_rows; i++) {
		const char *version = version_of(&rows[i]);

		if (version)
			snprintf(rows[i].version, sizeof(rows[i].version), "%s", version);
	}
}

static bool is_wanted(const struct benchmark *benchmark, const char *name, const char *part)
{
	return !strcmp(benchmark->name, name) && (!part || (benchmark->part && !strcmp(benchmark->part, part)));
}

static void print_tables(const struct report *report, const struct row *rows, size_t nr_rows)
{
	report_print_rows(rows, nr_rows, stdout);
	report_print_ratios(report, stdout);
	malloc_print_ratios(report, stdout);
	gc_print_ratios(report, stdout);
	bars_print(rows, nr_rows, stdout);
}

/* Small sizes say nothing about bars. */
static void print_results(const struct options *options, const struct report *report)
{
	size_t nr_rows;
	struct row *rows = report_rows(report, &nr_rows);

	set_versions(rows, nr_rows);
	if (!options->quick)
		bars_set(rows, nr_rows);
	if (!options->json)
		print_tables(report, rows, nr_rows);
	for (size_t i = 0; options->json && i < nr_rows; i++)
		json_print(stdout, &rows[i]);
	free(rows);
}

static int run(const struct command *command, const char *name, const char *part)
{
	struct report report;
	bool found = false;
	int error = 0;

	report_init(&report);
	if (!command->options.json)
		print_head(name);
	for (size_t i = 0; i < NR_BENCHMARKS; i++) {
		if (!is_wanted(&benchmarks[i], name, part))
			continue;
		found = true;
		error |= benchmarks[i].run(&command->options, &report);
	}
	if (!found)
		return usage_error("no such benchmark or part", part ? part : name);
	print_results(&command->options, &report);
	report_fini(&report);
	if (fflush(stdout) || ferror(stdout))
		error = bench_fail("cannot write results: %s", strerror(errno));
	return error;
}

static int show_trace(const char *how, const char *path)
{
	return !strcmp(how, "mix") ? bench_mix(path) : bench_events(path);
}

int main(int argc, char **argv)
{
	const char *unit = getenv("ARENA_BENCH_UNIT");
	struct command command = {
		.options = { .sources = ~0U, .objects = 100000, .requests = 1000000 },
		.unit = unit ? unit : "ns",
	};
	int error = parse_options(argc, argv, &command), nr_words = argc - optind;

	if (error)
		return error < 0 ? 0 : error;
	if (nr_words < 1)
		return usage_error("nothing to do", "");
	if (!strcmp(argv[optind], "table"))
		return nr_words < 2 ? usage_error("table needs a file", "") :
				      bench_table(argv + optind + 1, (size_t)nr_words - 1, command.check);
	if (!strcmp(argv[optind], "events") || !strcmp(argv[optind], "mix"))
		return nr_words != 2 ? usage_error("one file is needed by", argv[optind]) : show_trace(argv[optind], argv[optind + 1]);
	if (nr_words > 2)
		return usage_error("one benchmark at a time, not also", argv[optind + 2]);
	if (command.options.svg && strcmp(argv[optind], "gc"))
		return usage_error("--svg is of gc, not of", argv[optind]);
	error = parse_unit(command.unit);
	if (error)
		return error;
	return run(&command, argv[optind], nr_words > 1 ? argv[optind + 1] : NULL);
}
