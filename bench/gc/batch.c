// SPDX-License-Identifier: MIT
/*
 * Batches, timed.
 *
 *	wall		from the end of the last batch to the end of this one
 *	own		the thread's CPU time in it, and what it slept: what the runtime made of it, but for what the program itself takes, which is short
 *	lost		what was not for the program: own time beyond the program's, and time on the run queue, when others ran
 *
 * The kernel tells how long a thread was on the run queue (schedstat) and whether it went to sleep (voluntary switches). Wall time that is none of these was
 * the host's, and is left out. schedstat is read only after batches with a gap between the clocks.
 *
 * The program's own share of a batch is the median of all of the thread's, so what each lost is known at the end; a batch of up to twice the median is all the
 * program's, because its own accesses miss caches, too.
 */
#include "bench/gc/batch.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/gc/histogram.h"
#include "bench/gc/utilization.h"

/* Two minutes; a run that takes longer is cut. Memory is there for what is touched. */
#define NR_BINS ((size_t)120 * 1000000000 / UTILIZATION_BIN_NS)
/* Shorter gaps are interrupts and the clocks themselves. */
#define GAP_NS 10000u
/* Batches of a thread that are noted, half a minute of the fastest; memory is there for those that come. */
#define NR_NOTES ((size_t)16 << 20)

/* Of a batch; it ended so long after the thread began. */
struct note {
	uint64_t end_ns;
	uint32_t own_ns, queued_ns;
};

/* The thread's. */
struct timer {
	uint64_t begin_ns, wall_ns, cpu_ns;	/* of the thread; of the batch */
	uint64_t queued_ns, nr_sleeps;		/* when last looked at */
	int schedstat;
	struct note *notes;
	size_t nr_notes;
	struct histogram wall, own, pauses;
};

__thread unsigned int batch_left;
static __thread struct timer *timer;

static bool is_self;		/* fixed */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* guards all below */
static struct histogram wall, own, pauses;
/* Utilization of the worst thread, for windows of so many bins. */
static const size_t windows[] = { 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 2000, 5000, 10000 };
enum { NR_WINDOWS = sizeof(windows) / sizeof(windows[0]), WINDOW_10_MS = 11 };
static double utilization[NR_WINDOWS];

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *map(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		die("out of memory for times");
	return memory;
}

void batch_init(void)
{
	is_self = getenv("ARENA_BENCH_GC_SELF");
	for (size_t i = 0; i < NR_WINDOWS; i++)
		utilization[i] = 1;
}

/* Time on the run queue since the thread began; 0 where the kernel does not count it. */
static uint64_t read_queued_ns(void)
{
	char text[96];
	ssize_t len = pread(timer->schedstat, text, sizeof(text) - 1, 0);
	unsigned long long ran, queued;

	if (len <= 0)
		return 0;
	text[len] = '\0';
	return sscanf(text, "%llu %llu", &ran, &queued) == 2 ? queued : 0;
}

static uint64_t read_sleeps(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return (uint64_t)usage.ru_nvcsw;
}

static void begin_batch(void)
{
	batch_left = BATCH_ALLOCATIONS;
	if (is_self)
		timer->cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	timer->wall_ns = clock_ns(CLOCK_MONOTONIC);
}

void batch_thread_begin(void)
{
	timer = map(sizeof(*timer));
	timer->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (is_self)
		timer->notes = map(NR_NOTES * sizeof(*timer->notes));
	timer->queued_ns = read_queued_ns();
	timer->nr_sleeps = read_sleeps();
	timer->begin_ns = clock_ns(CLOCK_MONOTONIC);
	begin_batch();
}

/* Of @gap_ns without a CPU: on the run queue, and asleep. The rest was the host's. */
static void split_gap(uint64_t gap_ns, uint64_t *queued_ns, uint64_t *slept_ns)
{
	uint64_t nr_sleeps = read_sleeps(), queued;
	bool has_slept = nr_sleeps != timer->nr_sleeps;

	timer->nr_sleeps = nr_sleeps;
	*queued_ns = *slept_ns = 0;
	if (gap_ns < GAP_NS)
		return;
	queued = read_queued_ns();
	*queued_ns = queued - timer->queued_ns < gap_ns ? queued - timer->queued_ns : gap_ns;
	*slept_ns = has_slept ? gap_ns - *queued_ns : 0;
	timer->queued_ns = queued;
}

static uint32_t clamp_ns(uint64_t ns)
{
	return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void note_own(uint64_t wall_ns, uint64_t end_ns)
{
	uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - timer->cpu_ns, queued_ns, slept_ns;

	split_gap(wall_ns > cpu_ns ? wall_ns - cpu_ns : 0, &queued_ns, &slept_ns);
	histogram_add(&timer->own, cpu_ns + slept_ns);
	if (timer->nr_notes < NR_NOTES)
		timer->notes[timer->nr_notes++] = (struct note){ end_ns - timer->begin_ns, clamp_ns(cpu_ns + slept_ns), clamp_ns(queued_ns) };
}

void batch_end(void)
{
	uint64_t end_ns, wall_ns;

	/* A thread that is not timed allocates, too. */
	batch_left = BATCH_ALLOCATIONS;
	if (!timer)
		return;
	end_ns = clock_ns(CLOCK_MONOTONIC);
	wall_ns = end_ns - timer->wall_ns;
	histogram_add(&timer->wall, wall_ns);
	if (is_self)
		note_own(wall_ns, end_ns);
	begin_batch();
}

static void lose_all(float *lost)
{
	uint64_t median_ns = histogram_percentile(&timer->own, 0.5);

	for (size_t i = 0; i < timer->nr_notes; i++) {
		const struct note *note = &timer->notes[i];
		uint64_t beyond_ns = note->own_ns > 2 * median_ns ? note->own_ns - median_ns : 0;

		if (beyond_ns)
			histogram_add(&timer->pauses, beyond_ns);
		utilization_lose(lost, NR_BINS, note->end_ns, beyond_ns + note->queued_ns);
	}
}

static void merge_utilization(void)
{
	float *lost = map(NR_BINS * sizeof(*lost));
	size_t nr_bins = (clock_ns(CLOCK_MONOTONIC) - timer->begin_ns) / UTILIZATION_BIN_NS + 1;

	lose_all(lost);
	for (size_t i = 0; i < NR_WINDOWS; i++) {
		double min = utilization_min(lost, nr_bins < NR_BINS ? nr_bins : NR_BINS, windows[i]);

		utilization[i] = min < utilization[i] ? min : utilization[i];
	}
	munmap(lost, NR_BINS * sizeof(*lost));
	munmap(timer->notes, NR_NOTES * sizeof(*timer->notes));
}

void batch_thread_end(void)
{
	pthread_mutex_lock(&lock);
	histogram_merge(&wall, &timer->wall);
	histogram_merge(&own, &timer->own);
	if (is_self)
		merge_utilization();
	histogram_merge(&pauses, &timer->pauses);
	pthread_mutex_unlock(&lock);
	close(timer->schedstat);
	munmap(timer, sizeof(*timer));
	timer = NULL;
}

/* ---------------------------------------------------------------- results */

/* What other runs have written stays. */
static FILE *open_table(const char *prefix, const char *what)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s.%s", prefix, what);
	file = fopen(path, "ae");
	if (!file)
		die("cannot write a table");
	return file;
}

static void write_histogram(FILE *file, const struct histogram *histogram)
{
	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (histogram->counts[i])
			fprintf(file, "%g %llu\n", (double)histogram_limit(i) / 1e3, (unsigned long long)histogram->counts[i]);
	fclose(file);
}

/* An empty line ends a curve. */
static void write_tables(const char *prefix)
{
	FILE *file;

	write_histogram(open_table(prefix, "pauses"), &pauses);
	file = open_table(prefix, "utilization");
	for (size_t i = 0; i < NR_WINDOWS; i++)
		fprintf(file, "%g %g\n", (double)windows[i] * UTILIZATION_BIN_NS / 1e6, utilization[i]);
	fputc('\n', file);
	fclose(file);
}

static void report_histogram(struct outcome *outcome, const char *which, const struct histogram *histogram)
{
	static const struct { const char *name; double share; } parts[] = {
		{ "p99_9", 0.999 }, { "p99_99", 0.9999 },
	};
	char name[32];

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(name, sizeof(name), "%s_%s", which, parts[i].name);
		outcome_add(outcome, name, "us", (double)histogram_percentile(histogram, parts[i].share) / 1e3);
	}
	snprintf(name, sizeof(name), "%s_max", which);
	outcome_add(outcome, name, "us", (double)histogram->max / 1e3);
}

void batch_report(struct outcome *outcome)
{
	const char *prefix = getenv("ARENA_BENCH_GC_TABLES");

	report_histogram(outcome, "wall", &wall);
	if (is_self) {
		report_histogram(outcome, "own", &own);
		outcome_add(outcome, "utilization_10ms", "ratio", utilization[WINDOW_10_MS]);
	}
	if (prefix && is_self)
		write_tables(prefix);
}
