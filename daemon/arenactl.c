// SPDX-License-Identifier: MIT
/*
 * arenactl: shows what the module, the daemon and registered processes hold, and asks for memory back. Works as far as
 * it can without the daemon and without the module, and says what is missing.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arena/arena.h"
#include "daemon/heaps.h"
#include "daemon/link.h"
#include "daemon/module.h"
#include "daemon/objects.h"
#include "daemon/view.h"

#define EXIT_USAGE 2

struct options {
	const char *socket;
	const char *device;
	bool is_json;
	unsigned int watch_s;	/* 0 = once */
	uint32_t what;		/* CTL_TRIM_* */
	uint64_t max_bytes;
	uint64_t pid;		/* 0 = all */
	uint64_t why;		/* an address, or 0 */
	const char *file;	/* a dump */
};

static const char help[] =
	"Usage: arenactl status [--json] [--watch[=SECONDS]]\n"
	"       arenactl trim [--pool] [--kept] [--processes] [--bytes=N[K|M|G]] [--json]\n"
	"       arenactl heaps [--pid=PID] [--json]\n"
	"       arenactl objects [--why=ADDRESS] [--json] DUMP\n"
	"\n"
	"status  the module's pool and spaces, registered processes, memory pressure, and what arenad\n"
	"        did and why; works without the daemon and without the module\n"
	"trim    give memory back now: the module's idle pool and what processes cache (default), kept\n"
	"        chunks too with --kept; needs root; without the daemon only the module is trimmed\n"
	"heaps   the heaps of processes that run with ARENA_SHARED_STATS=1, in chunks of 2 MiB\n"
	"objects what is in a collected heap, by types, and what it keeps alive; DUMP is a file that\n"
	"        arena_gc_dump() has written, or -\n"
	"\n"
	"  --json            one JSON object on a line instead of text\n"
	"  --watch[=SECONDS] repeat (every 2 seconds)\n"
	"  --pool            idle chunks of the module\n"
	"  --kept            chunks that programs keep as discardable\n"
	"  --processes       chunks that registered processes cache\n"
	"  --pid=PID         only that process's\n"
	"  --why=ADDRESS     the shortest path from a root to that object instead\n"
	"  --bytes=N         at most that much in all, cheapest first\n"
	"  --socket=PATH     of arenad (" CTL_SOCKET_DEFAULT ", or $" CTL_SOCKET_ENV ")\n"
	"  --device=PATH     of the module (" MODULE_DEVICE ")\n"
	"  --help, --version\n"
	"Exit status: 0 done, 1 failed, 2 wrong usage.\n";

static int usage(const char *what, const char *detail)
{
	fprintf(stderr, "arenactl: %s%s (see --help)\n", what, detail);
	return EXIT_USAGE;
}

static int do_status(const struct options *options)
{
	for (;;) {
		struct view view;

		view_read(&view, options->socket, options->device);
		if (options->is_json)
			show_json(&view, stdout);
		else
			show_text(&view, stdout);
		view_free(&view);
		if (fflush(stdout) == EOF)
			return 1;
		if (!options->watch_s)
			return 0;
		sleep(options->watch_s);
		if (!options->is_json)
			putchar('\n');
	}
}

static void show_result(const struct options *options, const struct ctl_result *result, bool has_daemon)
{
	if (options->is_json) {
		printf("{\"daemon\":%s,\"error\":%d,\"pool_bytes\":%llu,\"kept_bytes\":%llu,\"asked_bytes\":%llu,\"nr_asked\":%u}\n",
		       has_daemon ? "true" : "false", result->error, (unsigned long long)result->pool_bytes,
		       (unsigned long long)result->kept_bytes, (unsigned long long)result->asked_bytes, result->nr_asked);
		return;
	}
	printf("gave back %llu MiB of the pool and %llu MiB of kept chunks",
	       (unsigned long long)result->pool_bytes / 1048576, (unsigned long long)result->kept_bytes / 1048576);
	if (has_daemon)
		printf("; asked %u processes for %llu MiB\n", result->nr_asked, (unsigned long long)result->asked_bytes / 1048576);
	else
		printf("; no daemon, so no process was asked\n");
}

static int trim_by_daemon(int fd, const struct options *options, struct ctl_result *result)
{
	struct ctl_command command = { .max_bytes = options->max_bytes, .what = options->what };
	struct ctl_header *answer;
	int error;

	ctl_header_init(&command.header, CTL_COMMAND, sizeof(command), 1);
	error = link_ask(fd, &command.header, CTL_RESULT, &answer);
	if (error)
		return error;
	memcpy(result, answer, sizeof(*result));
	free(answer);
	return result->error;
}

/* Kept chunks come after the whole pool in the module, so --kept without --pool cannot be had alone. */
static int trim_by_hand(const struct options *options, struct ctl_result *result)
{
	uint64_t max_chunks = options->max_bytes / ARENA_CHUNK_BYTES;
	struct arena_trim trim;
	int error, fd;

	if (!(options->what & (CTL_TRIM_POOL | CTL_TRIM_KEPT)))
		return -ECONNREFUSED;
	fd = module_open(options->device);
	if (fd < 0)
		return fd;
	error = module_trim(fd, options->max_bytes == UINT64_MAX ? UINT64_MAX : max_chunks,
			    options->what & CTL_TRIM_KEPT ? ARENA_TRIM_KEPT : 0, &trim);
	close(fd);
	if (error)
		return error;
	result->pool_bytes = trim.pool_chunks * ARENA_CHUNK_BYTES;
	result->kept_bytes = trim.discarded_chunks * ARENA_CHUNK_BYTES;
	return 0;
}

static int explain(const struct options *options, int error, bool has_daemon)
{
	const char *who = has_daemon ? options->socket : options->device;

	if (error == -EPERM || error == -EACCES)
		fprintf(stderr, "arenactl: %s: only root, or whom the daemon runs as, may trim\n", who);
	else if (!has_daemon && error == -ENOENT)
		fprintf(stderr, "arenactl: neither the daemon (%s) nor the module (%s) is there\n", options->socket,
			options->device);
	else if (!has_daemon && error == -ECONNREFUSED)
		fprintf(stderr, "arenactl: only the daemon asks processes, and none listens at %s\n", options->socket);
	else
		fprintf(stderr, "arenactl: %s: %s\n", who, strerror(-error));
	return 1;
}

static int do_trim(const struct options *options)
{
	struct ctl_result result = { .error = 0 };
	int fd = link_open(options->socket);
	bool has_daemon = fd >= 0;
	int error;

	if (fd < 0 && fd != -ENOENT && fd != -ECONNREFUSED && fd != -EACCES)
		return explain(options, fd, true);
	error = has_daemon ? trim_by_daemon(fd, options, &result) : trim_by_hand(options, &result);
	/* Shut out by both: the socket is what one could be let in to. */
	if (error && fd == -EACCES)
		return explain(options, fd, true);
	if (has_daemon)
		close(fd);
	if (error)
		return explain(options, error, has_daemon);
	show_result(options, &result, has_daemon);
	return 0;
}

static int do_heaps(const struct options *options)
{
	int error = heaps_show((pid_t)options->pid, options->is_json, stdout);

	if (error)
		fputs("arenactl: no process shows its heaps, or none that you may look at (ARENA_SHARED_STATS=1 makes one do so)\n", stderr);
	return error || fflush(stdout) == EOF;
}

static int complain_of_dump(const struct options *options, int error, size_t line)
{
	if (error == -EINVAL)
		fprintf(stderr, "arenactl: %s, line %zu: not a whole dump of a collected heap\n", options->file, line);
	else
		fprintf(stderr, "arenactl: %s: %s\n", options->file, strerror(-error));
	return 1;
}

static int show_objects(const struct options *options, const struct dump *dump)
{
	struct objects objects;
	int error = objects_init(&objects, dump) ? 0 : -ENOMEM;

	if (!error && options->why)
		error = objects_show_path(&objects, options->why, stdout);
	else if (!error)
		objects_show(&objects, options->is_json, stdout);
	objects_free(&objects);
	if (error == -ENOENT)
		fputs("arenactl: no root leads to such an object\n", stderr);
	else if (error)
		complain_of_dump(options, error, 0);
	return error || fflush(stdout) == EOF;
}

static int do_objects(const struct options *options)
{
	FILE *file = strcmp(options->file, "-") ? fopen(options->file, "r") : stdin;
	struct dump dump;
	size_t line;
	int error;

	if (!file)
		return complain_of_dump(options, -errno, 0);
	error = dump_read(&dump, file, &line);
	error = error ? complain_of_dump(options, error, line) : show_objects(options, &dump);
	dump_free(&dump);
	fclose(file);
	return error;
}

static bool parse_address(const char *text, uint64_t *address)
{
	char *end;

	errno = 0;
	*address = strtoull(text, &end, 16);
	return !strncmp(text, "0x", 2) && !*end && !errno && *address;
}

static bool parse_bytes(const char *text, uint64_t *bytes)
{
	unsigned long long number;
	unsigned int shift = 0;
	char *end;

	/* strtoull() would skip spaces and take a sign. */
	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end == 'K' || *end == 'M' || *end == 'G')
		shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30, end++;
	*bytes = number << shift;
	return !*end && *bytes >> shift == number;
}

static bool parse_seconds(const char *text, unsigned int *seconds)
{
	uint64_t number;

	if (!parse_bytes(text, &number) || !number || number > 86400)
		return false;
	*seconds = (unsigned int)number;
	return true;
}

static const struct option long_options[] = {
	{ "json", no_argument, NULL, 'j' },	   { "watch", optional_argument, NULL, 'w' },
	{ "pool", no_argument, NULL, 'p' },	   { "kept", no_argument, NULL, 'k' },
	{ "processes", no_argument, NULL, 'P' },   { "bytes", required_argument, NULL, 'b' },
	{ "socket", required_argument, NULL, 's' }, { "device", required_argument, NULL, 'd' },
	{ "pid", required_argument, NULL, 'n' },   { "why", required_argument, NULL, 'y' },
	{ "help", no_argument, NULL, 'h' },	   { "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

/* -1 to go on, else the exit status. */
static int parse_one(struct options *options, int option)
{
	switch (option) {
	case 'j': options->is_json = true; return -1;
	case 'p': options->what |= CTL_TRIM_POOL; return -1;
	case 'k': options->what |= CTL_TRIM_KEPT; return -1;
	case 'P': options->what |= CTL_TRIM_PROCESSES; return -1;
	case 's': options->socket = optarg; return -1;
	case 'd': options->device = optarg; return -1;
	case 'w':
		options->watch_s = 2;
		return !optarg || parse_seconds(optarg, &options->watch_s) ? -1 : usage("no number of seconds: ", optarg);
	case 'b': return parse_bytes(optarg, &options->max_bytes) ? -1 : usage("no number of bytes: ", optarg);
	case 'n':
		return parse_bytes(optarg, &options->pid) && options->pid && options->pid <= INT32_MAX ? -1 :
		       usage("no number of a process: ", optarg);
	case 'y': return parse_address(optarg, &options->why) ? -1 : usage("no address (0x...): ", optarg);
	case 'h': return fputs(help, stdout) == EOF;
	case 'V': return printf("arenactl %s\n", ARENA_VERSION_STRING) < 0;
	default: return EXIT_USAGE;
	}
}

int main(int argc, char **argv)
{
	struct options options = { .socket = link_default_path(), .device = MODULE_DEVICE, .max_bytes = UINT64_MAX };
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1) {
		int status = parse_one(&options, option);

		if (status >= 0)
			return status;
	}
	if (optind + 2 == argc && !strcmp(argv[optind], "objects")) {
		options.file = argv[optind + 1];
		return do_objects(&options);
	}
	if (optind + 1 != argc)
		return usage(optind == argc ? "say what to do: status, trim, heaps or objects" : "too many words: ",
			     optind == argc ? "" : argv[optind + 1]);
	/* --kept is more than the default, not instead of it. */
	if (!(options.what & ~CTL_TRIM_KEPT))
		options.what |= CTL_TRIM_POOL | CTL_TRIM_PROCESSES;
	if (!strcmp(argv[optind], "status"))
		return do_status(&options);
	if (!strcmp(argv[optind], "trim"))
		return do_trim(&options);
	if (!strcmp(argv[optind], "heaps"))
		return do_heaps(&options);
	if (!strcmp(argv[optind], "objects"))
		return usage("which dump? ", "arenactl objects FILE");
	return usage("no such command: ", argv[optind]);
}
