// SPDX-License-Identifier: MIT
/*
 * Everything at once, for a while, and then nothing may be left.
 *
 * Models a busy machine: processes that reserve, write, keep, give back, map, unmap, fork and die
 * at any moment, each with a space of its own whose contents it checks against a plain model, and
 * all with one space in common where anything goes. Not a measurement; under emulation the mix of
 * operations says nothing about speed.
 */
#include "common.h"
#include <sys/prctl.h>
#include <sys/uio.h>

#define NR_WORKERS	4
#define NR_OWN		12	/* slots of a worker's own space */
#define NR_COMMON	24
#define RUN_MS		8000
#define WARM_UP_MS	4000
#define LIFE_MS		1500	/* of one worker, when it is not killed before */
#define SLACK_KB	4096	/* page tables and slabs that come and go */

enum content { NOTHING, HELD, KEPT };

struct worker {
	int fd;
	int common;
	int ends[2];
	char *map;
	char *common_map;
	unsigned int seed;
	enum content content[NR_OWN];
	uint64_t word[NR_OWN];		/* what the chunk's first word must be; 0 when fresh */
};

static unsigned int pick(struct worker *w, unsigned int limit)
{
	return (unsigned int)rand_r(&w->seed) % limit;
}

static uint64_t *word_of(const struct worker *w, unsigned int slot)
{
	return (uint64_t *)(void *)(w->map + slot * CHUNK_BYTES);
}

/* Each operation is 0, or the line that found something wrong. */
#define CHECK(condition) do { if (!(condition)) return __LINE__; } while (0)

static int do_reserve(struct worker *w, unsigned int first, unsigned int nr)
{
	struct arena_reserve r;
	unsigned int empty = 0, kept = 0;
	int error = space_reserve(w->fd, first, nr, &r);

	if (error == ENOMEM)
		return 0;
	CHECK(!error);
	for (unsigned int i = first; i < first + nr; i++) {
		empty += w->content[i] == NOTHING;
		kept += w->content[i] == KEPT;
	}
	CHECK(r.fresh_chunks + r.kept_chunks == empty + kept);
	CHECK(r.kept_chunks <= kept);
	for (unsigned int i = first; i < first + nr; i++) {
		uint64_t seen = *word_of(w, i);

		/* Of the kept ones some may have been discarded. */
		CHECK(seen == w->word[i] || (w->content[i] == KEPT && !seen));
		w->word[i] = seen;
		w->content[i] = HELD;
	}
	return 0;
}

static int do_write(struct worker *w, unsigned int first, unsigned int nr)
{
	for (unsigned int i = first; i < first + nr; i++) {
		uint64_t value = ((uint64_t)getpid() << 32) | pick(w, 1U << 30) | 1, seen;
		int signal_nr = fault_read(word_of(w, i), &seen);

		if (w->content[i] == NOTHING)
			CHECK(signal_nr == SIGBUS);
		if (w->content[i] != HELD)
			continue;
		CHECK(!signal_nr && seen == w->word[i]);
		*word_of(w, i) = value;
		w->word[i] = value;
	}
	return 0;
}

static int do_keep(struct worker *w, unsigned int first, unsigned int nr)
{
	int error = space_keep(w->fd, first, nr, NULL);
	bool whole = true, certain = true;

	for (unsigned int i = first; i < first + nr; i++) {
		whole &= w->content[i] != NOTHING;
		certain &= w->content[i] != KEPT;
	}
	/* A slot that is kept already may be empty by now, if it was discarded. */
	CHECK(error == 0 || error == ENXIO);
	CHECK(!certain || error == (whole ? 0 : ENXIO));
	for (unsigned int i = first; !error && i < first + nr; i++)
		w->content[i] = KEPT;
	return 0;
}

static int do_zap(struct worker *w, unsigned int first, unsigned int nr)
{
	CHECK(!space_zap(w->fd, first, nr, NULL));
	for (unsigned int i = first; i < first + nr; i++) {
		CHECK(fault_touch(word_of(w, i)) == SIGBUS);
		w->content[i] = NOTHING;
		w->word[i] = 0;
	}
	return 0;
}

static int do_remap(struct worker *w)
{
	CHECK(!munmap(w->map, NR_OWN * CHUNK_BYTES));
	w->map = space_map_bare(w->fd, 0, NR_OWN);
	CHECK(w->map != MAP_FAILED);
	return 0;
}

/* A page of the common space goes to a pipe, and stays there for a while. */
static int do_splice(struct worker *w)
{
	static char drain[PAGE_BYTES];
	struct iovec page = { .iov_base = w->common_map + pick(w, NR_COMMON) * CHUNK_BYTES,
			      .iov_len = PAGE_BYTES };

	if (vmsplice(w->ends[1], &page, 1, SPLICE_F_NONBLOCK) < 0 || pick(w, 3) == 0)
		while (read(w->ends[0], drain, sizeof(drain)) > 0)
			;
	return 0;
}

static int do_fork(struct worker *w)
{
	pid_t child = fork();

	if (!child) {
		char *map = space_map_bare(w->common, 0, NR_COMMON);

		for (unsigned int i = 0; map != MAP_FAILED && i < NR_COMMON; i++)
			fault_write(map + i * CHUNK_BYTES, 1);
		_exit(0);
	}
	CHECK(child > 0);
	if (pick(w, 2))
		kill(child, SIGKILL);
	CHECK(waitpid(child, NULL, 0) == child);
	return 0;
}

static int do_common(struct worker *w)
{
	unsigned int slot = pick(w, NR_COMMON), nr = 1 + pick(w, NR_COMMON - slot);
	uint64_t ignored;

	switch (pick(w, 4)) {
	case 0:
		CHECK(!space_zap(w->common, slot, nr, NULL));
		break;
	case 1:
		space_keep(w->common, slot, 1, NULL);
		break;
	default:
		space_reserve(w->common, slot, nr, NULL);
		if (!fault_read(w->common_map + slot * CHUNK_BYTES, &ignored))
			fault_write(w->common_map + slot * CHUNK_BYTES, ~ignored);
	}
	return 0;
}

static int do_something(struct worker *w)
{
	unsigned int first = pick(w, NR_OWN), nr = 1 + pick(w, NR_OWN - first);

	switch (pick(w, 32)) {
	case 0:
		return do_fork(w);
	case 1:
		return do_remap(w);
	case 2 ... 4:
		return do_splice(w);
	case 5 ... 12:
		return do_common(w);
	case 13 ... 17:
		return do_keep(w, first, nr);
	case 18 ... 20:
		return do_zap(w, first, nr);
	case 21:
		module_trim(w->fd, pick(w, 4), pick(w, 2) ? ARENA_TRIM_KEPT : 0, NULL);
		return 0;
	case 22 ... 26:
		return do_write(w, first, nr);
	default:
		return do_reserve(w, first, nr);
	}
}

/* Lives for a while, and is 0 or what went wrong (a line number's low bits, never 0). */
static int worker_run(int common, unsigned int seed)
{
	struct worker w = { .common = common, .seed = seed };
	int64_t limit_ms = now_ms() + LIFE_MS;
	int line = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w.fd = space_create(open(DEVICE, O_RDWR | O_CLOEXEC), NR_OWN);
	w.map = space_map_bare(w.fd, 0, NR_OWN);
	w.common_map = space_map_bare(common, 0, NR_COMMON);
	if (w.map == MAP_FAILED || w.common_map == MAP_FAILED || pipe2(w.ends, O_NONBLOCK))
		return 1;
	while (!line && now_ms() < limit_ms)
		line = do_something(&w);
	if (!line)
		return 0;
	fprintf(stderr, "# stress.c:%d failed, seed %u: %m\n", line, seed);
	return 2;
}

static pid_t worker_start(int common, unsigned int seed)
{
	pid_t child = fork();

	if (!child) {
		fault_catch();
		_exit(worker_run(common, seed));
	}
	return child;
}

/*
 * Free memory, chunks above all. Slabs count as free: a kernel that checks itself keeps objects that were freed, of all the processes
 * that have lived, for a while. What becomes of the module's own kmemleak says.
 */
static long settled_free_kb(int dev)
{
	module_trim(dev, ~0ULL, ARENA_TRIM_KEPT, NULL);
	file_write_text("/proc/sys/vm/drop_caches", "3");
	return free_kb() + meminfo_kb("Slab");
}

static bool nothing_left(int dev)
{
	struct arena_stat s = module_stat(dev);

	return s.handed_chunks == 0 && s.quarantined_chunks == 0 && s.kept_chunks == 0;
}

/* A chunk that is being cleared at this moment escapes one TRIM, not the next. */
static bool all_returned(int dev)
{
	struct arena_stat s;

	module_trim(dev, ~0ULL, 0, NULL);
	s = module_stat(dev);
	return s.taken_chunks == s.returned_chunks;
}

/* Waits for any worker, for a short time; kills one now and then. Is its pid, or 0. */
static pid_t reap_one(const pid_t *workers, unsigned int *seed, int *status)
{
	pid_t pid = waitpid(-1, status, WNOHANG);

	if (pid > 0)
		return pid;
	if (rand_r(seed) % 32 == 0)
		kill(workers[(unsigned int)rand_r(seed) % NR_WORKERS], SIGKILL);
	sleep_ms(20);
	return 0;
}

static bool worker_is_fine(int status)
{
	return (WIFEXITED(status) && WEXITSTATUS(status) == 0) ||
	       (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Lets workers live, die and be replaced for `ms`; is how many did not end well. */
static unsigned int run_workers(int common, unsigned int seed, int64_t ms)
{
	int64_t limit_ms = now_ms() + ms;
	unsigned int started = 0, wrong = 0;
	pid_t workers[NR_WORKERS];
	int status;

	for (unsigned int i = 0; i < NR_WORKERS; i++)
		workers[i] = worker_start(common, seed + started++);
	while (now_ms() < limit_ms) {
		pid_t pid = reap_one(workers, &seed, &status);

		for (unsigned int i = 0; pid && i < NR_WORKERS; i++) {
			if (workers[i] != pid)
				continue;
			wrong += !worker_is_fine(status);
			workers[i] = worker_start(common, seed + started++);
		}
	}
	for (unsigned int i = 0; i < NR_WORKERS; i++) {
		kill(workers[i], SIGKILL);
		wrong += waitpid(workers[i], &status, 0) != workers[i] || !worker_is_fine(status);
	}
	fprintf(stderr, "# %u workers lived\n", started);
	return wrong;
}

TEST_F_TIMEOUT(space, everything_at_once, 90)
{
	unsigned int seed = (unsigned int)now_ms();
	long before_kb, after_kb = 0;

	TH_LOG("seed %u", seed);
	/* A short run first, so that the kernel's caches have grown before free memory is read. */
	EXPECT_EQ(0, run_workers(self->fd, seed, WARM_UP_MS));
	ASSERT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, NULL));
	EXPECT_TRUE(WAIT_UNTIL(nothing_left(self->dev), 3 * SETTLE_MS)) stat_print(self->dev);
	before_kb = settled_free_kb(self->dev);

	EXPECT_EQ(0, run_workers(self->fd, seed + 1000, RUN_MS));
	stat_print(self->dev);
	ASSERT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, NULL));
	EXPECT_TRUE(WAIT_UNTIL(nothing_left(self->dev), 3 * SETTLE_MS)) stat_print(self->dev);
	EXPECT_EQ(2, module_stat(self->dev).nr_spaces) TH_LOG("the device's and ours");
	EXPECT_TRUE(WAIT_UNTIL((after_kb = settled_free_kb(self->dev)) > before_kb - SLACK_KB,
			       5 * SETTLE_MS / 2));
	TH_LOG("free before %ld kB, after %ld kB", before_kb, after_kb);
	EXPECT_TRUE(WAIT_UNTIL(all_returned(self->dev), SETTLE_MS)) stat_print(self->dev);
}

TEST_HARNESS_MAIN
