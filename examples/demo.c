// SPDX-License-Identifier: MIT
/*
 * arena-demo: what arenas do for real programs, and what the daemon does under memory pressure.
 *
 * One program with a command per role, so that a test VM needs one file: parse measures, serve is the service
 * that the scene under pressure is about, hog is the program that wants the memory, sample writes down
 * what happens.
 */
#include "demo.h"

#include <arena/arena.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
	"usage: arena-demo parse  [--modes LIST] [--rounds N] [--requests N] [--unit NAME] [--json]\n"
	"                         [--save FILE] [--iso-codes FILE] [--descriptors FILE]\n"
	"       arena-demo serve  --peak-percent N --status FILE [--source NAME] [--embedded-percent N]\n"
	"                         [--seconds N] [--join] [--iso-codes FILE] [--descriptors FILE]\n"
	"       arena-demo hog    --idle-percent N --status FILE [--serve-status FILE] [--seconds N] [--hold-seconds N]\n"
	"       arena-demo sample --output FILE --serve-status FILE --hog-status FILE [--interval-ms N]\n"
	"       arena-demo --help | --version\n"
	"\n"
	"parse: answer requests. One request parses the list of languages (JSON, jansson) and a protobuf\n"
	"descriptor set (protobuf-c), digests both results and drops them.\n"
	"  --modes LIST        what to compare, with commas: malloc, mimalloc, SOURCE-cold (an arena for each\n"
	"                      request, freed and revoked) or SOURCE-warm (one arena, reset), where SOURCE is\n"
	"                      pages, thp, hugetlb or dev. Default: all but hugetlb, where they are.\n"
	"  --rounds N          processes for each mode, in turn (default 5)\n"
	"  --requests N        requests in each process that count, after one that does not (default 10)\n"
	"  --unit NAME         ns (default), or instructions where QEMU's -icount makes 1 ns of 1 instruction\n"
	"  --json              JSON lines instead of the table\n"
	"  --save FILE         JSON lines there, besides what is printed\n"
	"  --iso-codes FILE    the JSON input (default " "/usr/share/iso-codes/json/iso_639-3.json" ")\n"
	"  --descriptors FILE  the descriptor set (default: the program's own path with .pb)\n"
	"serve: hold many results at once, drop them, and then answer requests one by one until SIGTERM.\n"
	"  --peak-percent N    hold results until that much of MemTotal is in use (0: none)\n"
	"  --source NAME       of the arenas (default dev)\n"
	"  --embedded-percent N  at first also hold that much of MemTotal on source thp (default 0)\n"
	"  --seconds N         stop after that time instead of waiting for SIGTERM\n"
	"  --join              register with arenad; fails when there is none\n"
	"  --status FILE       kept up to date for sample: phase, requests answered, time of the last\n"
	"hog: use as much memory as is available plus a share of what idles in the module's pool.\n"
	"  --idle-percent N    that share\n"
	"  --serve-status FILE  what this service caches idles too\n"
	"  --seconds N         how long growing takes (default 6)\n"
	"  --hold-seconds N    how long it is held (default 3)\n"
	"  --status FILE       kept up to date for sample: bytes wanted, bytes in use\n"
	"sample: write memory, pool and pressure to a CSV file until SIGTERM.\n"
	"  --interval-ms N     between two rows (default 100)\n"
	"\n"
	"Exit status: 0 done, 1 failed (a message says why), 2 wrong command line.\n";

void demo_die(const char *format, ...)
{
	va_list args;

	fputs("arena-demo: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_FAILURE);
}

void demo_usage_error(const char *format, ...)
{
	va_list args;

	fputs("arena-demo: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs(" (see arena-demo --help)\n", stderr);
	exit(DEMO_EXIT_USAGE);
}

void demo_usage(FILE *stream)
{
	fputs(usage_text, stream);
}

uint64_t demo_number(const char *option, const char *text, uint64_t low, uint64_t high)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < low || value > high)
		demo_usage_error("--%s takes a number from %llu to %llu, not \"%s\"", option,
				 (unsigned long long)low, (unsigned long long)high, text);
	return value;
}

void demo_common_option(int option)
{
	if (option == DEMO_OPTION_HELP) {
		demo_usage(stdout);
		exit(EXIT_SUCCESS);
	}
	if (option == DEMO_OPTION_VERSION) {
		printf("arena-demo %s\n", arena_version());
		exit(EXIT_SUCCESS);
	}
	/* getopt_long() has already said what is wrong. */
	exit(DEMO_EXIT_USAGE);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{ "parse", parse_main }, { "serve", serve_main },
		{ "hog", hog_main }, { "sample", sample_main },
	};
	size_t i;

	if (argc < 2)
		demo_usage_error("no command");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		demo_common_option(DEMO_OPTION_HELP);
	if (!strcmp(argv[1], "--version"))
		demo_common_option(DEMO_OPTION_VERSION);
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	demo_usage_error("unknown command \"%s\"", argv[1]);
}
