// SPDX-License-Identifier: MIT
/*
 * What a fork costs a parent for memory that its child shares until one of them writes, per 2 MiB.
 *
 * Each repetition touches N chunks, forks a child that does nothing but wait, and reads one byte of each chunk again. Rows:
 * thp (anonymous huge pages) and dev (a space with copy on write). "fork" is the call alone, "fork_and_read" includes the
 * parent's first read of each chunk, since the module unmaps them. From both, what the fork of the same process without
 * the memory took is subtracted. The module's counters must say that nothing was copied. Then dev goes through more sizes: "fork_call"
 * is the whole call, and "fork_slope" the slope of a line through them.
 *
 * Not measured: the first write after a fork, which copies 2 MiB (dev) or a page (thp).
 */
#include "bench/bench.h"
#include "bench/clock.h"
#include "bench/dev.h"
#include "bench/proc.h"
#include "bench/report.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORK_REPS = 11, FORK_CHUNKS = 128 };

struct fork_times {
	uint64_t fork;
	uint64_t read;
};

static int fork_fail(const char *source, const char *what, int error)
{
	return bench_fail("fork: %s: %s: %s", source, what, strerror(error));
}

/* A child that waits until @ends is closed; how long the fork took, and the parent's reads after it. */
static int fork_once(const char *source, const char *base, size_t nr_chunks, struct fork_times *times)
{
	uint64_t start;
	int ends[2];
	pid_t child;
	char unused;

	if (pipe(ends))
		return fork_fail(source, "pipe", errno);
	start = clock_now();
	child = fork();
	times->fork = clock_now() - start;
	if (!child) {
		close(ends[1]);
		_exit((int)read(ends[0], &unused, 1));
	}
	start = clock_now();
	for (size_t i = 0; i < nr_chunks; i++)
		(void)*(const volatile char *)(base + i * CHUNK_BYTES);
	times->read = clock_now() - start;
	close(ends[0]);
	close(ends[1]);
	if (child < 0 || waitpid(child, NULL, 0) != child)
		return fork_fail(source, "fork", errno);
	return 0;
}

static void fork_touch(char *base, size_t nr_chunks)
{
	for (size_t i = 0; i < nr_chunks; i++)
		*(volatile char *)(base + i * CHUNK_BYTES) = 1;
}

static void fork_add(struct report *report, const char *source, size_t nr_chunks, const struct fork_times *bare,
		     const struct fork_times *times)
{
	double fork = (double)times->fork - (double)bare->fork, n = (double)nr_chunks;
	char name[32];

	if (!report)
		return;
	snprintf(name, sizeof(name), "chunks=%zu", nr_chunks);
	report_add(report, "fork", name, source, "fork", clock_unit(), fork / n);
	report_add(report, "fork", name, source, "fork_and_read", clock_unit(), (fork + (double)times->read) / n);
}

static int fork_thp_mapped(char *base, size_t nr_chunks, const struct fork_times *bare, struct report *report)
{
	struct fork_times times;
	struct proc_usage usage;

	madvise(base, nr_chunks * CHUNK_BYTES, MADV_HUGEPAGE);
	fork_touch(base, nr_chunks);
	if (proc_usage(base, nr_chunks * CHUNK_BYTES, &usage) || usage.anon_huge_bytes != nr_chunks * CHUNK_BYTES) {
		bench_skip("fork: thp: no huge pages to be had");
		return 0;
	}
	if (fork_once("thp", base, nr_chunks, &times))
		return 1;
	fork_add(report, "thp", nr_chunks, bare, &times);
	return 0;
}

static int fork_thp(size_t nr_chunks, struct report *report)
{
	size_t bytes = (nr_chunks + 1) * CHUNK_BYTES;
	struct fork_times bare;
	char *base;
	int error;

	if (fork_once("thp", NULL, 0, &bare))
		return 1;
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED)
		return fork_fail("thp", "mmap", errno);
	error = fork_thp_mapped(base + (CHUNK_BYTES - (uintptr_t)base % CHUNK_BYTES), nr_chunks, &bare, report);
	munmap(base, bytes);
	return error;
}

/* 0, 1 after a message, or -ENOMEM when there are not so many chunks to be had. */
static int fork_dev_mapped(const struct dev_space *space, struct fork_times *times)
{
	struct arena_stat before, after;
	struct arena_reserve reserve;
	int error = dev_space_reserve(space, space->nr_chunks, &reserve);

	if (error)
		return error == -ENOMEM ? error : fork_fail("dev", "RESERVE", -error);
	fork_touch(space->base, space->nr_chunks);
	dev_space_stat(space, &before);
	if (fork_once("dev", space->base, space->nr_chunks, times))
		return 1;
	dev_space_stat(space, &after);
	if (after.handed_chunks != before.handed_chunks || after.taken_chunks != before.taken_chunks)
		return bench_fail("fork: dev: chunks were copied");
	return 0;
}

/* Likewise; also what the process's fork takes without the memory. */
static int fork_dev_once(size_t nr_chunks, struct fork_times *bare, struct fork_times *times)
{
	struct dev_space space;
	int error;

	if (fork_once("dev", NULL, 0, bare))
		return 1;
	error = dev_space_init(&space, nr_chunks, ARENA_CREATE_FORK_COW);
	if (error)
		return fork_fail("dev", "CREATE", -error);
	error = fork_dev_mapped(&space, times);
	dev_space_fini(&space);
	return error;
}

static int fork_dev(size_t nr_chunks, struct report *report)
{
	struct fork_times bare, times;
	int error = fork_dev_once(nr_chunks, &bare, &times);

	if (error)
		return error < 0 ? fork_fail("dev", "RESERVE", -error) : 1;
	fork_add(report, "dev", nr_chunks, &bare, &times);
	return 0;
}

/* The sizes up to *@nr_sizes in one pass; *@nr_sizes becomes how many fit. No report: to warm up. */
static int fork_pass(size_t *nr_sizes, struct report *report)
{
	double chunks[NR_CALL_SIZES], calls[NR_CALL_SIZES];
	struct fork_times bare, times;
	char text[32];

	for (size_t i = 0; i < *nr_sizes; i++) {
		int error = fork_dev_once(size_chunks(i), &bare, &times);

		snprintf(text, sizeof(text), "chunks=%zu", size_chunks(i));
		if (error == -ENOMEM) {
			bench_skip("fork: dev: %s: RESERVE: %s", text, strerror(ENOMEM));
			*nr_sizes = i;
			break;
		}
		if (error)
			return 1;
		chunks[i] = (double)size_chunks(i);
		calls[i] = (double)times.fork - (double)bare.fork;
		if (report)
			report_add(report, "fork", text, "dev", "fork_call", clock_unit(), calls[i]);
	}
	snprintf(text, sizeof(text), "%s/chunk", clock_unit());
	if (report && *nr_sizes >= 2)
		report_add(report, "fork", "slope", "dev", "fork_slope", text, stat_slope(chunks, calls, *nr_sizes));
	return 0;
}

/* How many of the sizes were asked for. */
static size_t fork_nr_sizes(const struct options *options)
{
	size_t nr = 0, most = options->chunks ? options->chunks : size_chunks(NR_CALL_SIZES - 1);

	while (nr < NR_CALL_SIZES && size_chunks(nr) <= most)
		nr++;
	return nr;
}

static bool fork_wants(const struct options *options, enum arena_source source)
{
	return !options->sources_asked || options->sources & 1U << source;
}

int bench_fork(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : FORK_REPS;
	size_t nr_chunks = options->chunks ? options->chunks : FORK_CHUNKS, nr_sizes = fork_nr_sizes(options);
	bool dev = fork_wants(options, ARENA_SOURCE_DEV), thp = fork_wants(options, ARENA_SOURCE_THP);
	int error = dev ? dev_space_check() : 0;

	if (error && options->sources_asked)
		return bench_fail("fork: dev: /dev/arena: %s", strerror(-error));
	if (error)
		bench_skip("fork: dev: /dev/arena: %s", strerror(-error));
	dev = dev && !error;
	error = 0;
	/* A child of such a process does not preempt it when it starts, and so does not run within the measured call. */
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	/* Repetition 0 warms up, as in fault.c. */
	for (size_t rep = 0; rep <= reps && !error; rep++) {
		error = thp ? fork_thp(nr_chunks, rep ? report : NULL) : 0;
		if (!error && dev)
			error = fork_dev(nr_chunks, rep ? report : NULL);
	}
	for (size_t rep = 0; rep <= reps && !error && dev; rep++)
		error = fork_pass(&nr_sizes, rep ? report : NULL);
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 });
	return error;
}
