// SPDX-License-Identifier: MIT
/*
 * Chunks that are on their way: in the hands of the clearing thread, or asked for ahead. They are
 * neither lost to their group, nor made for one that is gone, nor at the expense of what it has otherwise.
 *
 * VM: memory=1536M cpus=2, RAM disks (limits.vm)
 */
#include "group.h"
#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>

#define LIMIT_CHUNKS	32
#define ROUNDS		60
#define SPINNERS	12
#define TRIMMED_CHUNKS	8
/* What is left to the group besides chunks: less than one of them. */
#define ROOM_BYTES	(CHUNK_BYTES / 2)

static int range_ahead(int fd, unsigned int nr)
{
	struct arena_reserve r = { .size = sizeof(r), .flags = ARENA_RESERVE_AHEAD,
				   .length_bytes = nr * CHUNK_BYTES };

	return call_errno(fd, ARENA_IOC_RESERVE, &r);
}

/* Takes ordinary memory until only ROOM_BYTES are left to the group. */
static void group_fill(uint64_t limit_bytes)
{
	long long room = (long long)limit_bytes - (long long)group_bytes() - (long long)ROOM_BYTES;
	size_t bytes = room > 0 ? (size_t)room & ~(PAGE_BYTES - 1) : 0;
	char *map = MAP_FAILED;

	if (bytes)
		map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t at = 0; map != MAP_FAILED && at < bytes; at += PAGE_BYTES)
		map[at] = 1;
}

static int work_all_again(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS), error;
	unsigned int nr = LIMIT_CHUNKS - 4;
	char *map;

	NEED(1, fd >= 0 && !space_reserve(fd, 0, nr, NULL));
	map = space_map_bare(fd, 0, nr);
	NEED(2, map != MAP_FAILED);
	memset(map, 1, nr * CHUNK_BYTES);
	group_fill(LIMIT_CHUNKS * CHUNK_BYTES);
	for (int round = 0; round < ROUNDS; round++) {
		NEED(3, !space_zap(fd, 0, nr, NULL));
		/* The thread that clears is in the middle of some chunk. */
		sleep_ms(round % 5);
		error = space_reserve(fd, 0, nr, NULL);
		if (error)
			fprintf(stderr, "# round %d: error %d\n", round, error);
		NEED(4, !error);
		for (unsigned int i = 0; i < nr; i++)
			map[i * CHUNK_BYTES] = 1;
	}
	return 0;
}

/* The kernel's number of the clearing thread of node 0; -1 when there is none. */
static pid_t clearing_thread(void)
{
	DIR *listing = opendir("/proc");
	struct dirent *entry;
	char path[300], name[32];
	pid_t found = -1;

	while (listing && found < 0 && (entry = readdir(listing))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (!file_read_text(path, name, sizeof(name)) && !strncmp(name, "arena_clear/0", 13))
			found = atoi(entry->d_name);
	}
	closedir(listing);
	return found;
}

/* Where the thread that clears runs, with all who leave nothing of that processor to an idle one. */
#define CLEARING_CPU 1

static int pin(pid_t pid, int first, int last)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	for (int cpu = first; cpu <= last; cpu++)
		CPU_SET((size_t)cpu, &cpus);
	return sched_setaffinity(pid, sizeof(cpus), &cpus);
}

static pid_t spinner_start(void)
{
	pid_t child = fork();

	if (!child && pin(0, CLEARING_CPU, CLEARING_CPU))
		_exit(1);
	while (!child)
		continue;
	return child;
}

/* From now on the thread that clears gets next to nothing of a processor. */
static bool spinners_start(pid_t *spinners)
{
	if (pin(clearing_thread(), CLEARING_CPU, CLEARING_CPU))
		return false;
	for (int i = 0; i < SPINNERS; i++)
		spinners[i] = spinner_start();
	return true;
}

static bool spinners_end(const pid_t *spinners)
{
	bool all = true;
	int status;

	for (int i = 0; i < SPINNERS; i++)
		all &= spinners[i] > 0 && !kill(spinners[i], SIGKILL) &&
		       waitpid(spinners[i], &status, 0) > 0 && WIFSIGNALED(status);
	return all && !pin(clearing_thread(), 0, CLEARING_CPU);
}

/* What a group has just given back it can have again, all of it, though it could have no more. */
TEST_F(space, a_full_group_gets_back_all_that_it_gave)
{
	pid_t spinners[SPINNERS];

	GROUP_OR_SKIP(LIMIT_CHUNKS);
	ASSERT_TRUE(spinners_start(spinners));
	EXPECT_EQ(0, IN_GROUP(work_all_again(self->dev)));
	EXPECT_TRUE(spinners_end(spinners));
	GROUP_END();
}

/* Who takes back all that idles gets what is just being zeroed, too. */
TEST_F(space, trim_leaves_nothing_that_idles)
{
	pid_t spinners[SPINNERS];
	char *map = space_map_bare(self->fd, 0, TRIMMED_CHUNKS);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_TRUE(spinners_start(spinners));
	for (int round = 0; round < ROUNDS / 3; round++) {
		EXPECT_EQ(0, space_reserve(self->fd, 0, TRIMMED_CHUNKS, NULL));
		memset(map, 1, TRIMMED_CHUNKS * CHUNK_BYTES);
		EXPECT_EQ(0, space_zap(self->fd, 0, TRIMMED_CHUNKS, NULL));
		sleep_ms(round % 5);
		EXPECT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
		EXPECT_EQ(0, idle_chunks(self->dev)) TH_LOG("round %d", round);
	}
	EXPECT_TRUE(spinners_end(spinners));
}

static int work_ahead_and_go(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS);

	NEED(1, fd >= 0 && !range_ahead(fd, 200));
	NEED(2, WAIT_UNTIL(idle_chunks(dev), SETTLE_MS));
	return 0;
}

/* Nobody makes chunks for a group that is gone, at its parent's expense and without end. */
TEST_F(space, what_a_removed_group_asked_for_is_forgotten)
{
	long long rate = parameter_get("clear_max_chunks_per_s");
	uint64_t taken;

	GROUP_OR_SKIP(400);
	/* So slow that time drains faster. */
	ASSERT_EQ(0, parameter_set("clear_max_chunks_per_s", 20));
	EXPECT_EQ(0, IN_GROUP(work_ahead_and_go(self->dev)));
	GROUP_END();
	EXPECT_TRUE(WAIT_UNTIL(!idle_chunks(self->dev), 2 * SETTLE_MS));
	taken = module_stat(self->dev).taken_chunks;
	sleep_ms(1500);
	EXPECT_EQ(taken, module_stat(self->dev).taken_chunks);
	EXPECT_EQ(0, idle_chunks(self->dev));
	parameter_set("clear_max_chunks_per_s", rate);
}

/* Of 4 MiB or more, all zeros. */
#define DISKS		"/dev/ram%d"
#define NR_DISKS	16

/* Reads disks until only ROOM_BYTES are left to the group, which pays for the page cache. That goes when they are closed. */
static void group_fill_cache(uint64_t limit_bytes)
{
	static char block[16 * PAGE_BYTES];
	char path[32];

	for (int i = 0; i < NR_DISKS; i++) {
		int disk;

		snprintf(path, sizeof(path), DISKS, i);
		disk = open(path, O_RDONLY | O_CLOEXEC);
		/* Without it more is read than was asked for. */
		posix_fadvise(disk, 0, 0, POSIX_FADV_RANDOM);
		while (group_bytes() + ROOM_BYTES + sizeof(block) < limit_bytes && read(disk, block, sizeof(block)) > 0)
			continue;
	}
}

/** struct reclaimed - what tells that memory of the group was looked for */
struct reclaimed {
	uint64_t times_full;
	uint64_t scanned_pages;
};

static struct reclaimed group_reclaimed(void)
{
	return (struct reclaimed){
		.times_full = file_number(GROUP "/memory.events", "max"),
		.scanned_pages = file_number(GROUP "/memory.stat", "pgscan"),
	};
}

/* Whether what was asked for ahead has reached the thread. */
static bool thread_ran(int dev, uint64_t since_ns)
{
	return module_stat(dev).clearing_ns != since_ns;
}

static int work_ahead_of_cache(int dev)
{
	int fd = space_create(dev, SPACE_SLOTS);
	uint64_t limit_bytes = LIMIT_CHUNKS * CHUNK_BYTES, taken, ran_ns;
	struct reclaimed before, after;

	/* The group has a pool from here on, and no chunk in it. */
	NEED(1, fd >= 0 && !space_reserve(fd, 0, 2, NULL) && !space_zap(fd, 0, 2, NULL));
	NEED(2, WAIT_UNTIL(nothing_idles(dev), SETTLE_MS));
	group_fill_cache(limit_bytes);
	NEED(3, group_bytes() + CHUNK_BYTES > limit_bytes);
	before = group_reclaimed();
	taken = module_stat(dev).taken_chunks;
	ran_ns = module_stat(dev).clearing_ns;
	NEED(4, !range_ahead(fd, 8));
	NEED(5, WAIT_UNTIL(thread_ran(dev, ran_ns), SETTLE_MS));
	sleep_ms(300 * slowness());
	after = group_reclaimed();
	NEED(6, after.times_full == before.times_full);
	NEED(7, after.scanned_pages == before.scanned_pages);
	NEED(8, module_stat(dev).taken_chunks == taken);
	/* Who means it gets the memory of the cache. */
	NEED(9, !space_reserve(fd, 0, 8, NULL));
	after = group_reclaimed();
	NEED(10, after.times_full > before.times_full && after.scanned_pages > before.scanned_pages);
	return 0;
}

/* What is asked for ahead comes from what the group has to spare: nothing of it is reclaimed. */
TEST_F(space, what_is_asked_for_ahead_costs_no_page_cache)
{
	if (access("/dev/ram0", R_OK))
		SKIP(return, "no RAM disk");
	GROUP_OR_SKIP(LIMIT_CHUNKS);
	EXPECT_EQ(0, IN_GROUP(work_ahead_of_cache(self->dev)));
	EXPECT_EQ(0, group_kills());
	GROUP_END();
	/* The next test counts what idles. */
	EXPECT_TRUE(WAIT_UNTIL(nothing_idles(self->dev), SETTLE_MS));
}

/* Whoever wants memory back gets it: what was asked for ahead is not made again at once. */
TEST_F(space, what_was_made_ahead_and_taken_back_is_not_made_again)
{
	long long rate = parameter_get("clear_max_chunks_per_s");
	uint64_t taken;

	parameter_set("pool_max_chunks", 400);
	ASSERT_EQ(0, parameter_set("clear_max_chunks_per_s", 20));
	ASSERT_EQ(0, range_ahead(self->fd, 200));
	EXPECT_TRUE(WAIT_UNTIL(idle_chunks(self->dev) > 2, SETTLE_MS));
	EXPECT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
	/* One may have been in the making. */
	sleep_ms(200);
	taken = module_stat(self->dev).taken_chunks;
	sleep_ms(500);
	EXPECT_EQ(taken, module_stat(self->dev).taken_chunks);
	parameter_set("clear_max_chunks_per_s", rate);
}

/* The parameter says "most", and more than one chunk for each tick is not what it is made of. */
TEST_F(space, the_clearing_thread_keeps_to_its_rate)
{
	long long rate = parameter_get("clear_max_chunks_per_s"), ms;
	const unsigned int nr = 200, per_s = 130;
	uint64_t cleared;
	char *map;

	parameter_set("pool_max_chunks", 400);
	ASSERT_EQ(0, parameter_set("clear_max_chunks_per_s", per_s));
	map = space_map(self->fd, 0, nr);
	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < nr; i++)
		map[i * CHUNK_BYTES] = 1;
	cleared = module_stat(self->dev).cleared_chunks;
	ms = now_ms();
	ASSERT_EQ(0, space_zap(self->fd, 0, nr, NULL));
	EXPECT_TRUE(WAIT_UNTIL(module_stat(self->dev).cleared_chunks - cleared >= nr / 2, 10 * SETTLE_MS));
	cleared = module_stat(self->dev).cleared_chunks - cleared;
	ms = now_ms() - ms;
	/* A tenth for what comes at once. */
	EXPECT_LE(cleared * 1000, (uint64_t)ms * per_s * 11 / 10) TH_LOG("%llu in %lld ms",
		  (unsigned long long)cleared, ms);
	parameter_set("clear_max_chunks_per_s", rate);
}

static struct arena_stat stat_while_dirty(int fd, unsigned int ms)
{
	WAIT_UNTIL(!module_stat(fd).dirty_chunks, ms);
	return module_stat(fd);
}

/* Its share of CPU holds while there is more to do than it allows. */
TEST_F(space, the_clearing_thread_keeps_to_its_share)
{
	long long rate = parameter_get("clear_max_chunks_per_s"), ms;
	const unsigned int nr = 200, percent = 10;
	struct arena_stat before, after;
	uint64_t ran_ns, chunk_ns;
	char *map;

	parameter_set("pool_max_chunks", 400);
	ASSERT_EQ(0, parameter_set("clear_max_chunks_per_s", 0));
	ASSERT_EQ(0, parameter_set("clear_max_percent", percent));
	map = space_map(self->fd, 0, nr);
	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < nr; i++)
		map[i * CHUNK_BYTES] = 1;
	before = module_stat(self->dev);
	ms = now_ms();
	ASSERT_EQ(0, space_zap(self->fd, 0, nr, NULL));
	after = stat_while_dirty(self->dev, 3000);
	ms = now_ms() - ms;
	ran_ns = after.clearing_ns - before.clearing_ns;
	ASSERT_LT(before.cleared_chunks, after.cleared_chunks);
	chunk_ns = ran_ns / (after.cleared_chunks - before.cleared_chunks);
	TH_LOG("%llu chunks in %lld ms, %llu.%llu %% of them on a processor",
	       after.cleared_chunks - before.cleared_chunks, ms,
	       (unsigned long long)ran_ns / MS_NS * 100 / ms,
	       (unsigned long long)ran_ns / MS_NS * 1000 / ms % 10);
	/* Half as much again for clocks, and a chunk that is paid for later. */
	EXPECT_LE(ran_ns, (uint64_t)(ms * MS_NS) * percent * 3 / 200 + chunk_ns);
	EXPECT_EQ(0, parameter_set("clear_max_percent", 100));
	EXPECT_TRUE(WAIT_UNTIL(!module_stat(self->dev).dirty_chunks, 10 * SETTLE_MS));
	parameter_set("clear_max_chunks_per_s", rate);
}

/* Idle while it waits for work, and not while it has some: it may hold what others wait for. One chunk in a second is seen. */
TEST_F(space, the_clearing_thread_is_idle_only_where_it_holds_nothing)
{
	long long rate = parameter_get("clear_max_chunks_per_s");
	pid_t thread = clearing_thread();

	char *map = space_map(self->fd, 0, 8);

	ASSERT_LT(0, thread);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, parameter_set("clear_max_chunks_per_s", 1));
	for (unsigned int i = 0; i < 8; i++)
		map[i * CHUNK_BYTES] = 1;
	ASSERT_EQ(0, space_zap(self->fd, 0, 8, NULL));
	EXPECT_TRUE(WAIT_UNTIL(sched_getscheduler(thread) == SCHED_OTHER, SETTLE_MS));
	EXPECT_EQ(19, getpriority(PRIO_PROCESS, (id_t)thread));
	ASSERT_EQ(0, parameter_set("clear_max_chunks_per_s", rate));
	EXPECT_TRUE(WAIT_UNTIL(!module_stat(self->dev).dirty_chunks, 10 * SETTLE_MS));
	EXPECT_TRUE(WAIT_UNTIL(sched_getscheduler(thread) == SCHED_IDLE, SETTLE_MS));
}

/* A lower bound holds for what is there already. */
TEST_F(space, a_lower_bound_of_the_pools_takes_effect)
{
	long long most = parameter_get("pool_max_chunks");

	ASSERT_EQ(0, parameter_set("pool_max_chunks", 400));
	/* Nothing in the slots of the processors: what they give back makes somebody look. */
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 50, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, 50, NULL));
	ASSERT_LE(50, idle_chunks(self->dev));
	ASSERT_EQ(0, parameter_set("pool_max_chunks", 10));
	EXPECT_TRUE(WAIT_UNTIL(idle_chunks(self->dev) <= 10, SETTLE_MS));
	parameter_set("pool_max_chunks", most);
}

TEST_HARNESS_MAIN
