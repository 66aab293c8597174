// SPDX-License-Identifier: MIT
/*
 * arena-demo serve: a service after its rush hour.
 *
 * First it holds the results of many requests at once, up to a share of the machine's memory, as a service does
 * at its peak. Then it drops all of them: chunks of /dev/arena go back to the module, whose pool now holds
 * memory that nobody uses, and some of the embedded source stay in the library's cache. Then it answers one request after another until it is told to stop, and says
 * how many and how fast, so that an observer sees whether it goes on while others need the memory.
 */
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "demo.h"
#include "kmod/uapi/arena.h"
#include "measure.h"
#include "request.h"
#include "status.h"

enum phase { PHASE_FILLING, PHASE_DROPPED, PHASE_ANSWERING };

static struct {
	struct mode mode;
	uint64_t peak_percent;
	bool has_peak;
	uint64_t embedded_percent;
	uint64_t seconds; /* 0: until SIGTERM */
	bool join;
	const char *status_path;
	const char *json_path;
	const char *descriptors_path;
} run = { .mode = { .kind = MODE_COLD, .source = ARENA_SOURCE_DEV } };

static struct workload load;
static int status_fd;
static uint64_t status_fields[STATUS_NR_FIELDS];
static volatile sig_atomic_t stopped; /* set by the handler, read by the loop */

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

static uint64_t cached_bytes(void)
{
	struct arena_memory memory;
	uint64_t chunks = 0;
	int i;

	arena_memory(&memory);
	for (i = 0; i < ARENA_NR_SOURCES; i++)
		chunks += memory.source[i].cached_chunks;
	return chunks * ARENA_CHUNK_BYTES;
}

static void publish(enum phase phase)
{
	status_fields[0] = phase;
	status_fields[3] = cached_bytes();
	status_write(status_fd, status_fields);
}

static uint64_t held_bytes(const struct arena *arena)
{
	struct arena_stats stats;

	arena_stats(arena, &stats);
	return stats.held_bytes;
}

/* Results that are held; grows. */
struct crowd {
	struct request *requests;
	size_t count;
};

static void crowd_add(struct crowd *crowd, const struct mode *mode)
{
	struct request *more = realloc(crowd->requests, (crowd->count + 1) * sizeof(*more));

	if (!more)
		demo_die("out of memory for the list of requests");
	crowd->requests = more;
	request_start(&more[crowd->count], mode, NULL, &load);
	request_check_source(more[crowd->count].arena, mode);
	crowd->count++;
}

/* Holds results on @mode's source until they take @peak_bytes; returns the bytes they take. */
static uint64_t crowd_fill(struct crowd *crowd, const struct mode *mode, uint64_t peak_bytes)
{
	uint64_t sum_bytes = 0;

	while (sum_bytes < peak_bytes && !stopped) {
		crowd_add(crowd, mode);
		sum_bytes += held_bytes(crowd->requests[crowd->count - 1].arena);
		publish(PHASE_FILLING);
	}
	return sum_bytes;
}

/* Holds results on both sources, then drops them all. */
static void rush_hour(void)
{
	const struct mode embedded = { .kind = MODE_COLD, .source = ARENA_SOURCE_THP };
	uint64_t total_bytes = measure_proc_bytes("/proc/meminfo", "MemTotal");
	struct crowd crowd = { NULL, 0 };
	uint64_t embedded_bytes = crowd_fill(&crowd, &embedded, total_bytes / 100 * run.embedded_percent);
	uint64_t peak_bytes = crowd_fill(&crowd, &run.mode, total_bytes / 100 * run.peak_percent);

	printf("serve: held %zu results, %.0f MiB on source %s and %.0f MiB on %s; dropping them\n", crowd.count,
	       (double)peak_bytes / (double)DEMO_MIB, arena_source_name(run.mode.source),
	       (double)embedded_bytes / (double)DEMO_MIB, arena_source_name(embedded.source));
	while (crowd.count)
		request_finish(&crowd.requests[--crowd.count], &embedded);
	free(crowd.requests);
	publish(PHASE_DROPPED);
}

static void answer(uint64_t *digest)
{
	uint64_t start_ns = measure_now_ns(), this_digest;
	struct request request;

	request_start(&request, &run.mode, NULL, &load);
	this_digest = workload_digest(&request.parsed);
	request_finish(&request, &run.mode);
	if (*digest && this_digest != *digest)
		demo_die("request %llu gave another result than the first one",
			 (unsigned long long)status_fields[1]);
	*digest = this_digest;
	status_fields[1]++;
	status_fields[2] = measure_now_ns() - start_ns;
	publish(PHASE_ANSWERING);
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "peak-percent", required_argument, NULL, 'p' },
		{ "embedded-percent", required_argument, NULL, 'e' },
		{ "source", required_argument, NULL, 'm' },
		{ "seconds", required_argument, NULL, 't' },
		{ "join", no_argument, NULL, 'j' },
		{ "status", required_argument, NULL, 's' },
		{ "iso-codes", required_argument, NULL, 'i' },
		{ "descriptors", required_argument, NULL, 'd' },
		DEMO_COMMON_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option, source;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			run.peak_percent = demo_number("peak-percent", optarg, 0, 90);
			run.has_peak = true;
			break;
		case 'e': run.embedded_percent = demo_number("embedded-percent", optarg, 0, 90); break;
		case 'm':
			source = arena_source_parse(optarg);
			if (source <= ARENA_SOURCE_AUTO)
				demo_usage_error("\"%s\" is no source", optarg);
			run.mode.source = (enum arena_source)source;
			break;
		case 't': run.seconds = demo_number("seconds", optarg, 1, 86400); break;
		case 'j': run.join = true; break;
		case 's': run.status_path = optarg; break;
		case 'i': run.json_path = optarg; break;
		case 'd': run.descriptors_path = optarg; break;
		default: demo_common_option(option);
		}
	}
	if (optind < argc || !run.has_peak || !run.status_path)
		demo_usage_error("serve needs --peak-percent and --status, and takes no arguments");
}

static void join_daemon(void)
{
	int error = arena_daemon_join(NULL);

	if (error)
		demo_die("cannot register with arenad: %s", strerror(-error));
}

int serve_main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = stop };
	uint64_t digest = 0, end_ns;

	setvbuf(stdout, NULL, _IOLBF, 0);
	read_options(argc, argv);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	workload_load(&load, run.json_path, run.descriptors_path);
	status_fd = status_create(run.status_path);
	if (run.join)
		join_daemon();
	rush_hour();
	end_ns = run.seconds ? measure_now_ns() + run.seconds * 1000000000ULL : UINT64_MAX;
	while (!stopped && measure_now_ns() < end_ns)
		answer(&digest);
	printf("serve: %llu requests answered, digest %016llx\n", (unsigned long long)status_fields[1],
	       (unsigned long long)digest);
	arena_daemon_leave();
	workload_unload(&load);
	return EXIT_SUCCESS;
}
