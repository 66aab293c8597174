// SPDX-License-Identifier: MIT
/*
 * arena-demo hog: a program that needs memory, and needs more than is free.
 *
 * It wants what the system calls available when it starts plus a share of what idles: in the module's pool and in
 * the service's cache. So it can only be satisfied when idle memory is given back, and it fits when
 * it is: the size comes from the machine, not from us. It grows evenly, as programs do, then holds and checks what it wrote.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"
#include "measure.h"
#include "pool.h"
#include "status.h"

/* Granularity of growing: fine enough to look even in a plot, coarse enough to cost no time. */
#define STEP_BYTES (2 * DEMO_MIB)

static struct {
	uint64_t idle_percent;
	bool has_idle;
	uint64_t seconds;
	uint64_t hold_seconds;
	const char *status_path;
	const char *serve_path;
} run = { .seconds = 6, .hold_seconds = 3 };

static void sleep_until(uint64_t time_ns)
{
	struct timespec until = {
		.tv_sec = (time_t)(time_ns / 1000000000ULL),
		.tv_nsec = (long)(time_ns % 1000000000ULL),
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
		;
}

/* One word per page says which page it is. */
static void fill(char *memory, uint64_t from_bytes, uint64_t to_bytes, uint64_t page_bytes)
{
	uint64_t at;

	for (at = from_bytes; at < to_bytes; at += page_bytes)
		memcpy(memory + at, &at, sizeof(at));
}

static void check(const char *memory, uint64_t bytes, uint64_t page_bytes)
{
	uint64_t at, word;

	for (at = 0; at < bytes; at += page_bytes) {
		memcpy(&word, memory + at, sizeof(word));
		if (word != at)
			demo_die("hog: memory at %llu changed", (unsigned long long)at);
	}
}

static void grow(char *memory, uint64_t fields[STATUS_NR_FIELDS], int status_fd, uint64_t page_bytes)
{
	uint64_t start_ns = measure_now_ns(), total_ns = run.seconds * 1000000000ULL, at, end;

	for (at = 0; at < fields[0]; at = end) {
		end = at + STEP_BYTES < fields[0] ? at + STEP_BYTES : fields[0];
		fill(memory, at, end, page_bytes);
		fields[1] = end;
		status_write(status_fd, fields);
		sleep_until(start_ns + (uint64_t)((double)total_ns * (double)end / (double)fields[0]));
	}
}

/* In the module's pool, and in the cache of the service if there is one. */
static uint64_t idle_bytes(void)
{
	int pool_fd = pool_open();
	struct status serve = { 0 };
	struct pool pool;

	if (pool_fd < 0)
		demo_die("hog sizes itself by the module's pool, and cannot open /dev/arena: %s",
			 strerror(-pool_fd));
	pool_read(pool_fd, &pool);
	close(pool_fd);
	if (run.serve_path)
		status_read(run.serve_path, &serve);
	return pool.idle_bytes + serve.fields[3];
}

static uint64_t wanted_bytes(uint64_t available_bytes, uint64_t idle, uint64_t page_bytes)
{
	uint64_t bytes = available_bytes + idle / 100 * run.idle_percent;

	return bytes / page_bytes * page_bytes;
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "idle-percent", required_argument, NULL, 'p' },
		{ "seconds", required_argument, NULL, 't' },
		{ "hold-seconds", required_argument, NULL, 'h' },
		{ "serve-status", required_argument, NULL, 'v' },
		{ "status", required_argument, NULL, 's' },
		DEMO_COMMON_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'p':
			run.idle_percent = demo_number("idle-percent", optarg, 0, 1000);
			run.has_idle = true;
			break;
		case 't': run.seconds = demo_number("seconds", optarg, 1, 3600); break;
		case 'h': run.hold_seconds = demo_number("hold-seconds", optarg, 0, 3600); break;
		case 'v': run.serve_path = optarg; break;
		case 's': run.status_path = optarg; break;
		default: demo_common_option(option);
		}
	}
	if (optind < argc || !run.has_idle || !run.status_path)
		demo_usage_error("hog needs --idle-percent and --status, and takes no arguments");
}

int hog_main(int argc, char **argv)
{
	uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE), fields[STATUS_NR_FIELDS] = { 0 };
	uint64_t available_bytes;
	int status_fd;
	char *memory;

	setvbuf(stdout, NULL, _IOLBF, 0);
	read_options(argc, argv);
	status_fd = status_create(run.status_path);
	fields[3] = idle_bytes();
	available_bytes = measure_proc_bytes("/proc/meminfo", "MemAvailable");
	fields[0] = wanted_bytes(available_bytes, fields[3], page_bytes);
	printf("hog: wants %.0f MiB: %.0f available + %llu %% of %.0f idle in pool and cache\n",
	       (double)fields[0] / (double)DEMO_MIB, (double)available_bytes / (double)DEMO_MIB,
	       (unsigned long long)run.idle_percent, (double)fields[3] / (double)DEMO_MIB);
	memory = mmap(NULL, fields[0], PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		demo_die("hog: cannot map that much: %s", strerror(errno));
	grow(memory, fields, status_fd, page_bytes);
	sleep_until(measure_now_ns() + run.hold_seconds * 1000000000ULL);
	check(memory, fields[0], page_bytes);
	fields[2] = 1;
	status_write(status_fd, fields);
	printf("hog: had all of it, and it held what was written\n");
	return EXIT_SUCCESS;
}
