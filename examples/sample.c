// SPDX-License-Identifier: MIT
/*
 * arena-demo sample: one row of numbers every tenth of a second, for tables and plots.
 *
 * It must go on when memory is short: it locks its memory, allocates nothing per row that matters, and
 * asks not to be chosen by the OOM killer. Pressure is the share of the last interval during which some or all
 * tasks waited for memory, from the counters of /proc/pressure/memory, not from their slow averages.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "demo.h"
#include "measure.h"
#include "pool.h"
#include "status.h"

static struct {
	const char *output_path;
	const char *serve_path;
	const char *hog_path;
	uint64_t interval_ms;
} run = { .interval_ms = 100 };

/* Totals since boot, in microseconds. */
struct pressure {
	uint64_t some_us;
	uint64_t full_us;
};

static volatile sig_atomic_t stopped; /* set by the handler, read by the loop */

static void stop(int signal_number)
{
	(void)signal_number;
	stopped = 1;
}

/* Zeros on a kernel without pressure figures. */
static void pressure_read(struct pressure *pressure)
{
	FILE *file = fopen("/proc/pressure/memory", "re");
	char line[256];

	memset(pressure, 0, sizeof(*pressure));
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		const char *total = strstr(line, "total=");
		uint64_t *field = strncmp(line, "some", 4) ? &pressure->full_us : &pressure->some_us;

		if (total)
			*field = strtoull(total + strlen("total="), NULL, 10);
	}
	fclose(file);
}

static uint64_t rss_bytes(pid_t pid)
{
	char path[64];

	if (!pid)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return measure_proc_bytes(path, "VmRSS");
}

static void write_head(FILE *file)
{
	fputs("time_s,available_bytes,free_bytes,pool_bytes,kept_bytes,handed_bytes,serve_rss_bytes,"
	      "serve_cached_bytes,hog_rss_bytes,hog_wanted_bytes,"
	      "requests,request_ms,some_percent,full_percent,oom_kills\n",
	      file);
}

static double share_percent(uint64_t now_us, uint64_t before_us, double interval_s)
{
	return interval_s > 0 ? (double)(now_us - before_us) / interval_s / 1e6 * 100 : 0;
}

static void write_row(FILE *file, int pool_fd, double time_s, double interval_s,
		      struct pressure *before)
{
	struct status serve, hog;
	struct pressure now;
	struct pool pool;

	pressure_read(&now);
	status_read(run.serve_path, &serve);
	status_read(run.hog_path, &hog);
	pool_read(pool_fd, &pool);
	fprintf(file, "%.3f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, time_s,
		measure_proc_bytes("/proc/meminfo", "MemAvailable"),
		measure_proc_bytes("/proc/meminfo", "MemFree"), pool.idle_bytes, pool.kept_bytes,
		pool.handed_bytes);
	fprintf(file, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.1f",
		rss_bytes(serve.pid), serve.fields[3], rss_bytes(hog.pid), hog.fields[0], serve.fields[1], (double)serve.fields[2] / 1e6);
	fprintf(file, ",%.2f,%.2f,%" PRIu64 "\n", share_percent(now.some_us, before->some_us, interval_s),
		share_percent(now.full_us, before->full_us, interval_s),
		measure_proc_count("/proc/vmstat", "oom_kill"));
	fflush(file);
	*before = now;
}

/* Not to be killed, not to wait for memory. Without the rights for it, sampling goes on all the same. */
static void protect_self(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, "-1000", 5) != 5)
		fputs("arena-demo: sample is not protected from the OOM killer\n", stderr);
	if (fd >= 0)
		close(fd);
	if (mlockall(MCL_CURRENT | MCL_FUTURE))
		fprintf(stderr, "arena-demo: sample cannot lock its memory: %s\n", strerror(errno));
}

static void read_options(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "serve-status", required_argument, NULL, 's' },
		{ "hog-status", required_argument, NULL, 'h' },
		{ "interval-ms", required_argument, NULL, 'i' },
		DEMO_COMMON_OPTIONS,
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'o': run.output_path = optarg; break;
		case 's': run.serve_path = optarg; break;
		case 'h': run.hog_path = optarg; break;
		case 'i': run.interval_ms = demo_number("interval-ms", optarg, 10, 60000); break;
		default: demo_common_option(option);
		}
	}
	if (optind < argc || !run.output_path || !run.serve_path || !run.hog_path)
		demo_usage_error("sample needs --output, --serve-status and --hog-status");
}

static void sample_until_stopped(FILE *file, int pool_fd)
{
	const struct timespec interval = {
		.tv_sec = (time_t)(run.interval_ms / 1000),
		.tv_nsec = (long)(run.interval_ms % 1000 * 1000000),
	};
	uint64_t start_ns = measure_now_ns(), last_ns = start_ns;
	struct pressure before;

	pressure_read(&before);
	while (!stopped) {
		uint64_t now_ns;

		nanosleep(&interval, NULL);
		now_ns = measure_now_ns();
		write_row(file, pool_fd, (double)(now_ns - start_ns) / 1e9, (double)(now_ns - last_ns) / 1e9,
			  &before);
		last_ns = now_ns;
	}
}

int sample_main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = stop };
	FILE *file;

	read_options(argc, argv);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	file = fopen(run.output_path, "we");
	if (!file)
		demo_die("cannot write %s: %s", run.output_path, strerror(errno));
	protect_self();
	write_head(file);
	sample_until_stopped(file, pool_open());
	if (fclose(file))
		demo_die("cannot write %s: %s", run.output_path, strerror(errno));
	return EXIT_SUCCESS;
}
