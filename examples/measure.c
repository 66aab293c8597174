// SPDX-License-Identifier: MIT
/*
 * Reads the clock and /proc, and sums up samples.
 *
 * VmHWM is kept from per-CPU counters that may lag by some pages, so exact figures come from
 * smaps_rollup, which walks the page tables and is therefore never read inside a timed part.
 */
#include "measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "demo.h"

uint64_t measure_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

uint64_t measure_fault_count(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
}

uint64_t measure_proc_count(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	size_t length = strlen(name);
	uint64_t value = 0;
	char line[256];

	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file)) {
		if (strncmp(line, name, length) || !strchr(": \t", line[length]))
			continue;
		value = strtoull(line + length + 1, NULL, 10);
		break;
	}
	fclose(file);
	return value;
}

uint64_t measure_proc_bytes(const char *path, const char *name)
{
	return measure_proc_count(path, name) * DEMO_KIB;
}

uint64_t measure_rss_bytes(void)
{
	uint64_t bytes = measure_proc_bytes("/proc/self/smaps_rollup", "Rss");

	if (!bytes)
		demo_die("cannot read Rss in /proc/self/smaps_rollup");
	return bytes;
}

uint64_t measure_peak_rss_bytes(void)
{
	return measure_proc_bytes("/proc/self/status", "VmHWM");
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The quantile @part of sorted samples, between neighbors by linear interpolation. */
static double quantile(const uint64_t *samples, size_t count, double part)
{
	double position = part * (double)(count - 1);
	size_t below = (size_t)position;
	size_t above = below + 1 < count ? below + 1 : below;
	double weight = position - (double)below;

	return (double)samples[below] * (1 - weight) + (double)samples[above] * weight;
}

struct measure_summary measure_summarize(uint64_t *samples, size_t count)
{
	qsort(samples, count, sizeof(*samples), compare);
	return (struct measure_summary){
		.median = quantile(samples, count, 0.5),
		.low = quantile(samples, count, 0.25),
		.high = quantile(samples, count, 0.75),
		.count = count,
	};
}
