// SPDX-License-Identifier: MIT
/*
 * arena-bench-malloc: runs one program once, on whatever malloc() this process has, and prints one line. `arena-bench malloc`
 * starts it, for each allocator in turns.
 *
 *	arena-bench-malloc PROGRAM SIZE
 *	library=FILE source=NAME elapsed:ms=N cpu:ms=N peak_rss:MiB=N [METRIC:UNIT=N]...
 *
 * The library is where malloc() really is, as the dynamic linker says; a preloaded file that is missing or of no use is seen there. The source
 * is told from the mapping in which an object lies. Elapsed and CPU are those of the program; loading is not counted, the end of
 * its threads is. What the module's workers spend on clearing pages for it is counted in.
 */
#include "bench/driver.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* No program takes as long on any machine that it can be measured on: an allocator hangs. */
enum { LIMIT_S = 600 };

/* So large that it does not lie in the first chunk of a heap alone, which may be of ordinary pages whatever the source. */
#define PROBE_BYTES (16 * MiB)

void die(const char *what)
{
	fprintf(stderr, "arena-bench-malloc: %s\n", what);
	_exit(1);
}

void *take(size_t bytes)
{
	char *object = malloc(bytes);

	if (!object)
		die("out of memory");
	object[0] = 1;
	object[bytes - 1] = 1;
	keep(object);
	return object;
}

void *table_new(size_t bytes)
{
	void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (table == MAP_FAILED)
		die("out of memory for a table");
	return table;
}

void table_free(void *table, size_t bytes)
{
	munmap(table, bytes);
}

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void outcome_add(struct outcome *outcome, const char *name, const char *unit, double value)
{
	struct metric *metric = &outcome->metrics[outcome->nr_metrics];

	if (outcome->nr_metrics++ == MAX_METRICS)
		die("too many metrics");
	snprintf(metric->name, sizeof(metric->name), "%s", name);
	metric->unit = unit;
	metric->value = value;
}

size_t rss_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	size_t pages = 0;

	if (!file || fscanf(file, "%*u %zu", &pages) != 1)
		die("cannot read /proc/self/statm");
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

void peak_rss_reset(void)
{
	int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	/* "5" is the peak alone (proc(5)). */
	if (write(fd, "5", 1) < 0)
		fprintf(stderr, "arena-bench-malloc: peak_rss has the tables in it\n");
	close(fd);
}

/* Not ru_maxrss: that one is inherited from whoever called exec. */
static size_t peak_rss_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmHWM: %zu", &kib) == 1)
			break;
	if (!kib)
		die("cannot read VmHWM");
	fclose(file);
	return kib * KiB;
}

uint64_t cpu_ns(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
}

/*
 * What the module's threads have spent on clearing, of the whole machine; 0 without the module. The kernel clears other memory at the touch,
 * in the process.
 */
static uint64_t clearing_ns(void)
{
	FILE *file = fopen("/sys/class/misc/arena/clearing_ns", "re");
	uint64_t ns = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%" SCNu64, &ns) != 1)
		die("cannot read clearing_ns");
	fclose(file);
	return ns;
}

/* The file that malloc() is in. */
static void print_library(void)
{
	void *function = dlsym(RTLD_DEFAULT, "malloc");
	char path[PATH_MAX];
	Dl_info info;

	if (!function || !dladdr(function, &info) || !realpath(info.dli_fname, path))
		die("cannot tell where malloc() is");
	printf("library=%s", path);
}

/* Of the mappings that an object lies in: the device, its huge pages, or that it is advised to have some. */
static const char *source_of(const void *object, size_t bytes)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	const char *source = "pages";
	uintptr_t base, limit, start = (uintptr_t)object;
	bool inside = false;
	char line[512];

	if (!file)
		die("cannot read /proc/self/smaps");
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &base, &limit) == 2)
			inside = base < start + bytes && start < limit;
		if (!inside)
			continue;
		/* A space is a file of the module's own, not the device. */
		if (strstr(line, " /arena (deleted)\n"))
			source = "dev";
		else if (!strncmp(line, "VmFlags:", 8) && strstr(line, " ht"))
			source = "hugetlb";
		else if (!strncmp(line, "VmFlags:", 8) && strstr(line, " hg"))
			source = "thp";
	}
	fclose(file);
	return source;
}

static const struct program *find(const char *name)
{
	const struct program *const lists[] = { programs_alone, programs_threads, programs_mix };

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (const struct program *program = lists[i]; program->name; program++)
			if (!strcmp(program->name, name))
				return program;
	die("no such program");
}

static void run(const struct program *program, size_t size)
{
	struct outcome outcome = { 0 };
	uint64_t cpu = cpu_ns() + clearing_ns(), start_ns = now_ns(), elapsed_ns;
	size_t peak_bytes;
	void *object;

	program->run(size, &outcome);
	elapsed_ns = now_ns() - start_ns - outcome.idle_ns;
	cpu = cpu_ns() + clearing_ns() - cpu - outcome.idle_cpu_ns;
	peak_bytes = peak_rss_bytes() - outcome.table_bytes;
	print_library();
	object = take(PROBE_BYTES);
	printf(" source=%s elapsed:ms=%.6g cpu:ms=%.6g peak_rss:MiB=%.6g", source_of(object, PROBE_BYTES), (double)elapsed_ns / 1e6,
	       (double)cpu / 1e6, mib(peak_bytes));
	free(object);
	for (size_t i = 0; i < outcome.nr_metrics; i++)
		printf(" %s:%s=%.10g", outcome.metrics[i].name, outcome.metrics[i].unit, outcome.metrics[i].value);
	putchar('\n');
}

int main(int argc, char **argv)
{
	char *end;
	unsigned long size;

	if (argc != 3)
		die("usage: arena-bench-malloc PROGRAM SIZE");
	size = strtoul(argv[2], &end, 10);
	if (*end || !size)
		die("bad size");
	alarm(LIMIT_S);
	run(find(argv[1]), size);
	return fflush(stdout) ? 1 : 0;
}
