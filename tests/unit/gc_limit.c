// SPDX-License-Identifier: MIT
/* Settings of collected heaps: the percentage, also off; the share of the CPU; limits, and what is done at them; memory that goes back. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>

#include "gc/alloc.h"
#include "gc/limit.h"
#include "scavenger.h"
#include "tests/unit/gc_fixture.h"

#define LIMIT (64 * MiB)

static uint64_t cycles(const struct fixture *it)
{
	struct arena_gc_stats stats;

	arena_gc_stats(it->gc, &stats);
	return stats.nr_cycles;
}

static uint64_t held(const struct fixture *it)
{
	struct arena_gc_stats stats;

	arena_gc_stats(it->gc, &stats);
	return stats.held_bytes;
}

/* A root: lists of arrays of so much each. */
#define PART (64 * KiB)
static void *parts[4096];

static bool fill(const struct fixture *it, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		void *part = arena_gc_alloc_atomic(it->gc, PART - 64);

		if (!part)
			return false;
		arena_gc_store(&parts[i], part);
	}
	return true;
}

static void clear(size_t from)
{
	for (size_t i = from; i < ARRAY_LEN(parts); i++)
		arena_gc_store(&parts[i], NULL);
}

static struct fixture limited(uint64_t bytes, enum arena_gc_policy policy, arena_gc_limit_fn *function, void *context)
{
	struct fixture it = set_up(ARENA_GC_OFF);

	CHECK_EQ(arena_gc_add_roots(it.gc, parts, sizeof(parts)), 0);
	arena_gc_set_limit(it.gc, &(struct arena_gc_limit){ .bytes = bytes, .policy = policy, .function = function, .context = context });
	return it;
}

/* ---------------------------------------------------------------- when cycles begin */

TEST(percent, "gc_limit/the percentage may change at any time, and be off")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	for (int i = 0; i < 1000; i++)
		CHECK(arena_gc_alloc_atomic(it.gc, 100000));
	CHECK_EQ(cycles(&it), 0);
	CHECK_EQ(stats_of(it.gc).goal_bytes, UINT64_MAX);
	arena_gc_set_percent(it.gc, 100);
	while (!cycles(&it))
		CHECK(arena_gc_alloc_atomic(it.gc, 100000));
	CHECK(stats_of(it.gc).goal_bytes >= 4 * MiB && stats_of(it.gc).goal_bytes <= 400 * MiB);
	arena_gc_set_percent(it.gc, ARENA_GC_OFF);
	arena_gc_collect(it.gc);
	CHECK_EQ(it.gc->drive.trigger_bytes, UINT64_MAX);
	arena_gc_set_percent(it.gc, 0);
	CHECK_EQ(it.gc->drive.pace.percent, 100);
	arena_gc_destroy(it.gc);
}

TEST(enabled, "gc_limit/while it is disabled no cycle begins but those that are asked for")
{
	struct fixture it = set_up(100);

	arena_gc_set_enabled(it.gc, false);
	for (int i = 0; i < 1000; i++)
		CHECK(arena_gc_alloc_atomic(it.gc, 100000));
	CHECK_EQ(cycles(&it), 0);
	arena_gc_collect(it.gc);
	CHECK_EQ(cycles(&it), 1);
	arena_gc_set_enabled(it.gc, true);
	while (cycles(&it) < 2)
		CHECK(arena_gc_alloc_atomic(it.gc, 100000));
	arena_gc_destroy(it.gc);
}

TEST(enabled_limit, "gc_limit/while it is disabled cycles begin where an allocation would be refused, or pass a limit, not before")
{
	for (int policy = ARENA_GC_OVERSHOOT; policy <= ARENA_GC_FAIL; policy++) {
		struct fixture it = limited(LIMIT, (enum arena_gc_policy)policy, NULL, NULL);

		arena_gc_set_percent(it.gc, 100);
		arena_gc_set_enabled(it.gc, false);
		CHECK(fill(&it, LIMIT / 2 / PART));
		CHECK_EQ(cycles(&it), 0);
		/* Four times what there is room for, all of it garbage. */
		for (size_t i = 0; i < 2 * LIMIT / PART; i++) {
			CHECK(arena_gc_alloc_atomic(it.gc, PART - 64));
			CHECK(held(&it) <= LIMIT);
		}
		CHECK(cycles(&it) >= 2);
		clear(0);
		arena_gc_destroy(it.gc);
	}
}

TEST(environment, "gc_limit/the environment says what the program does not", "ARENA_GC_PERCENT=off", "ARENA_GC_LIMIT=100M", "ARENA_GC_SHARE=10")
{
	struct fixture it = set_up(0), other = set_up(50);

	CHECK_EQ(it.gc->drive.pace.percent, GC_PACE_OFF);
	/* Whole chunks, and what describes them. */
	CHECK(it.gc->drive.pace.limit_bytes <= 100 * MiB && it.gc->drive.pace.limit_bytes > 97 * MiB);
	CHECK_EQ(it.gc->drive.pace.share_percent, 10);
	CHECK_EQ(other.gc->drive.pace.percent, 50);
	arena_gc_destroy(it.gc);
	arena_gc_destroy(other.gc);
}

TEST(share, "gc_limit/the share of the CPU is what workers have", "ARENA_GC_CPUS=6")
{
	struct fixture it = set_up(100);
	uint32_t nr;

	CHECK_EQ(gc_drive_workers(&it.gc->drive, &nr), 50);
	CHECK_EQ(nr, 1);
	arena_gc_set_share(it.gc, 50);
	CHECK_EQ(gc_drive_workers(&it.gc->drive, &nr), 0);
	CHECK_EQ(nr, 3);
	arena_gc_set_share(it.gc, 0);
	CHECK_EQ(gc_drive_workers(&it.gc->drive, &nr), 50);
	arena_gc_destroy(it.gc);
}

TEST(no_share, "gc_limit/where workers have no share, nobody is called for help", "ARENA_GC_CPUS=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, 17);
	pthread_t other;

	/* No setting makes that. */
	it.gc->drive.pace.share_percent = 0;
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it.gc));
	poll_until_done(it.gc);
	CHECK(!pthread_join(other, NULL));
	CHECK_EQ(it.gc->crew.nr_helpers, 0);
	CHECK_EQ(count_leaves(tree), 1 << 17);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- at the limit */

/* CPU time of the collector and of threads that helped it. */
static uint64_t collector_ns(const struct fixture *it)
{
	struct arena_gc_stats stats = stats_of(it->gc);

	return stats.collector_ns + stats.assist_ns;
}

/* The program does with its objects what one would do at least: it writes them. */
static void churn(const struct fixture *it, size_t live)
{
	struct random rng = { .state = harness_seed() };
	uint64_t most = 0, nr, spent_ns, process_ns;

	CHECK(fill(it, live));
	nr = cycles(it);
	spent_ns = collector_ns(it);
	process_ns = os_process_cpu_ns();
	for (int i = 0; i < 8000; i++) {
		void *part = arena_gc_alloc_atomic(it->gc, PART - 64);

		CHECK(part);
		memset(part, i, PART - 64);
		arena_gc_store(&parts[random_below(&rng, live)], part);
		most = size_max(most, held(it));
	}
	spent_ns = collector_ns(it) - spent_ns;
	process_ns = os_process_cpu_ns() - process_ns;
	nr = cycles(it) - nr;
	harness_note("%lu cycles, at most %lu MiB held, the collector took %lu %% of the CPU", nr, most / MiB, 100 * spent_ns / process_ns);
	CHECK(most <= LIMIT + LIMIT * 3 / 100);
	/* Each frees a good part of the room that there is: no more of them than that needs, however tight it is. */
	CHECK(nr >= 8000 * PART / LIMIT && nr <= 4 * 8000 * PART / (LIMIT - live * PART));
	CHECK(harness_sanitized() || spent_ns <= process_ns / 2);
}

TEST(below, "gc_limit/a heap of which 80 % live stays below its limit, by either policy, for at most half of the CPU")
{
	for (int policy = ARENA_GC_OVERSHOOT; policy <= ARENA_GC_FAIL; policy++) {
		struct fixture it = limited(LIMIT, (enum arena_gc_policy)policy, NULL, NULL);

		churn(&it, LIMIT * 8 / 10 / PART);
		clear(0);
		arena_gc_destroy(it.gc);
	}
}

static void count_call(struct arena_gc *gc, void *context)
{
	(void)gc;
	++*(int *)context;
}

TEST(fails, "gc_limit/what does not fit is refused, after the program was told once")
{
	int calls = 0;
	struct fixture it = limited(LIMIT, ARENA_GC_FAIL, count_call, &calls);

	CHECK(!fill(&it, 2 * LIMIT / PART));
	CHECK_EQ(calls, 1);
	CHECK(held(&it) <= LIMIT);
	CHECK(!arena_gc_alloc_atomic(it.gc, MiB));
	CHECK_EQ(calls, 1);
	clear(10);
	CHECK(fill(&it, LIMIT / 2 / PART));
	arena_gc_destroy(it.gc);
}

static void drop(struct arena_gc *gc, void *context)
{
	count_call(gc, context);
	clear(LIMIT / 2 / PART);
}

/* Of two chunks, and not quite three: what they hold is far from the number that the program said. */
#define BETWEEN (6 * MiB)

TEST(between, "gc_limit/a limit that is no number of chunks is reached all the same, and nobody waits for ever there")
{
	for (int policy = ARENA_GC_OVERSHOOT; policy <= ARENA_GC_FAIL; policy++) {
		int calls = 0;
		struct fixture it = limited(BETWEEN, (enum arena_gc_policy)policy, count_call, &calls);

		CHECK_EQ(fill(&it, 2 * BETWEEN / PART), policy == ARENA_GC_OVERSHOOT);
		CHECK_EQ(calls, 1);
		CHECK(policy == ARENA_GC_OVERSHOOT || held(&it) <= BETWEEN);
		clear(0);
		arena_gc_destroy(it.gc);
	}
}

TEST(long_ones, "gc_limit/an object for which no room is long enough is refused, or not, although all that lives would fit twice")
{
	for (int policy = ARENA_GC_OVERSHOOT; policy <= ARENA_GC_FAIL; policy++) {
		struct fixture it = limited(LIMIT, (enum arena_gc_policy)policy, NULL, NULL);

		CHECK(fill(&it, LIMIT * 8 / 10 / PART));
		for (size_t i = 0; i < ARRAY_LEN(parts); i++)
			if (i % 2)
				arena_gc_store(&parts[i], NULL);
		CHECK_EQ(!!arena_gc_alloc_atomic(it.gc, LIMIT / 2), policy == ARENA_GC_OVERSHOOT);
		CHECK(cycles(&it) <= 20);
		clear(0);
		arena_gc_destroy(it.gc);
	}
}

/* More threads would have all pages of two chunks at hand. */
#define IDLERS 60
static pthread_barrier_t idlers;

static void *meet(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&idlers);
	return NULL;
}

static void *allocate_and_wait(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	CHECK(arena_gc_alloc_atomic(gc, 16));
	arena_gc_blocking(meet, NULL);
	arena_gc_blocking(meet, NULL);
	arena_gc_detach(gc);
	return NULL;
}

TEST(idle, "gc_limit/pages that threads have at hand while they wait are there for others")
{
	struct fixture it = limited(BETWEEN, ARENA_GC_FAIL, NULL, NULL);
	pthread_t threads[IDLERS];

	pthread_barrier_init(&idlers, NULL, IDLERS + 1);
	for (size_t i = 0; i < IDLERS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, allocate_and_wait, it.gc), 0);
	arena_gc_blocking(meet, NULL);
	CHECK(fill(&it, BETWEEN / 2 / PART));
	arena_gc_blocking(meet, NULL);
	for (size_t i = 0; i < IDLERS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&idlers);
	clear(0);
	arena_gc_destroy(it.gc);
}

TEST(two_over, "gc_limit/who goes beyond the limit has none until it is done, whoever else is")
{
	struct fixture it = limited(BETWEEN, ARENA_GC_OVERSHOOT, NULL, NULL);
	struct gc_mutator *mutator = gc_mutator_of(it.gc);
	struct gc_refusal first = { 0 }, second = { 0 };
	const struct limit *limit = &it.gc->space.heap->pages.limit;
	uint64_t usual = limit->hard_chunks;

	CHECK(fill(&it, 2 * BETWEEN / PART));
	while (!first.is_over)
		CHECK(gc_limit_help(mutator, &first));
	CHECK(gc_limit_help(mutator, &second) && second.is_over);
	CHECK_EQ(limit->hard_chunks, UINT64_MAX);
	gc_limit_end(mutator, &second);
	CHECK_EQ(limit->hard_chunks, UINT64_MAX);
	/* Even then it is refused: by the system. */
	CHECK(!gc_limit_help(mutator, &first));
	gc_limit_end(mutator, &first);
	CHECK_EQ(limit->hard_chunks, usual);
	clear(0);
	arena_gc_destroy(it.gc);
}

static bool has_taken; /* atomic */

static void *take_one_of_each(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	CHECK(arena_gc_alloc_atomic(gc, 16));
	__atomic_store_n(&has_taken, true, __ATOMIC_RELEASE);
	CHECK(arena_gc_alloc_atomic(gc, PART));
	arena_gc_detach(gc);
	return NULL;
}

TEST(starved, "gc_limit/what would fit is not refused because others were faster in nine cycles: there is one more, of which they take nothing")
{
	struct fixture it = limited(LIMIT, ARENA_GC_FAIL, NULL, NULL);
	struct gc_mutator *mutator = gc_mutator_of(it.gc);
	struct gc_refusal refusal = { 0 };
	uint64_t before;
	pthread_t other;

	CHECK(fill(&it, LIMIT / 2 / PART));
	/* As it sees nine cycles of which nothing is left. */
	for (before = cycles(&it); cycles(&it) < before + GC_PACE_MOST_WAITS + 1;)
		CHECK(gc_limit_help(mutator, &refusal));
	CHECK(gc_limit_help(mutator, &refusal));
	while (!refusal.is_alone)
		CHECK(gc_limit_help(mutator, &refusal));
	CHECK_EQ(cycles(&it), before + GC_PACE_MOST_WAITS + 2);
	CHECK_EQ(pthread_create(&other, NULL, take_one_of_each, it.gc), 0);
	be_silent();
	CHECK(!__atomic_load_n(&has_taken, __ATOMIC_ACQUIRE));
	CHECK(arena_gc_alloc_atomic(it.gc, PART));
	/* It is refused when even that was in vain. */
	CHECK(!gc_limit_help(mutator, &refusal));
	CHECK(!__atomic_load_n(&has_taken, __ATOMIC_ACQUIRE));
	gc_limit_end(mutator, &refusal);
	arena_gc_blocking(join, &other);
	CHECK(has_taken);
	clear(0);
	arena_gc_destroy(it.gc);
}

/* Another thread's, or nobody's. */
static void set_turn(const struct fixture *it, bool is_others)
{
	atomic_store_relaxed(&it->gc->alone, is_others ? gc_mutator_of(it->gc)->thread_id + 1 : 0u);
}

TEST(slots, "gc_limit/while it is another thread's turn a thread takes no free slots of spans either")
{
	struct fixture it = limited(LIMIT, ARENA_GC_FAIL, NULL, NULL);
	struct gc_mutator *mutator = gc_mutator_of(it.gc);

	for (size_t i = 0; i < 10000; i++) {
		struct node *node = new_node(&it, NULL, NULL, i);

		if (i % 1000 == 0)
			arena_gc_store(&parts[i / 1000], node);
	}
	gc_alloc_leave(mutator);
	arena_gc_collect(it.gc);
	set_turn(&it, true);
	CHECK(!gc_bin_refill(mutator, it.node->single));
	set_turn(&it, false);
	CHECK(gc_limit_help(mutator, &(struct gc_refusal){ 0 }));
	CHECK(gc_bin_refill(mutator, it.node->single));
	clear(0);
	arena_gc_destroy(it.gc);
}

TEST(kept_out, "gc_limit/who looked for memory while it was another thread's turn is not refused for having found none")
{
	struct fixture it = limited(LIMIT, ARENA_GC_FAIL, NULL, NULL);
	struct gc_mutator *mutator = gc_mutator_of(it.gc);
	uint32_t kind = gc_kind_get(&it.gc->types, it.gc->types.atomic, gc_class_of(MiB));
	struct gc_refusal refusal = { 0 };

	for (int i = 0; i < 3 * GC_PACE_MOST_WAITS; i++) {
		set_turn(&it, true);
		CHECK(!gc_alloc_large(mutator, kind, MiB));
		set_turn(&it, false);
		CHECK(gc_limit_help(mutator, &refusal));
	}
	CHECK_EQ(cycles(&it), 0);
	CHECK(gc_alloc_large(mutator, kind, MiB));
	gc_limit_end(mutator, &refusal);
	arena_gc_destroy(it.gc);
}

#define RIVALS 4
static uint32_t nr_refused; /* atomic */

static void *allocate_often(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	for (int i = 0; i < 1000; i++)
		if (!arena_gc_alloc_atomic(gc, PART - 64))
			__atomic_add_fetch(&nr_refused, 1, __ATOMIC_RELAXED);
	arena_gc_detach(gc);
	return NULL;
}

TEST(rivals, "gc_limit/of four threads that make garbage beside what is nearly the limit none is refused")
{
	struct fixture it = limited(LIMIT, ARENA_GC_FAIL, NULL, NULL);
	pthread_t threads[RIVALS];

	CHECK(fill(&it, LIMIT * 9 / 10 / PART));
	for (size_t i = 0; i < RIVALS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, allocate_often, it.gc), 0);
	for (size_t i = 0; i < RIVALS; i++)
		arena_gc_blocking(join, &threads[i]);
	harness_note("%llu cycles, %llu of them for one thread", (unsigned long long)cycles(&it), (unsigned long long)it.gc->drive.pace.nr_alone);
	CHECK_EQ(nr_refused, 0);
	CHECK(held(&it) <= LIMIT);
	clear(0);
	arena_gc_destroy(it.gc);
}

TEST(told, "gc_limit/what the program drops when it is told lets it go on")
{
	int calls = 0;
	struct fixture it = limited(LIMIT, ARENA_GC_FAIL, drop, &calls);

	CHECK(fill(&it, LIMIT * 3 / 2 / PART));
	CHECK(calls >= 1);
	CHECK(held(&it) <= LIMIT);
	arena_gc_destroy(it.gc);
}

TEST(overshoots, "gc_limit/with the other policy a program gets what it needs, and the limit holds again later")
{
	int calls = 0;
	struct fixture it = limited(LIMIT, ARENA_GC_OVERSHOOT, count_call, &calls);

	CHECK(fill(&it, 2 * LIMIT / PART));
	CHECK_EQ(calls, 1);
	CHECK(held(&it) >= 2 * LIMIT - 2 * CHUNK_BYTES);
	clear(10);
	arena_gc_collect(it.gc);
	/* Or the scavenger has been there. */
	arena_gc_trim(it.gc);
	CHECK(held(&it) <= LIMIT);
	churn(&it, LIMIT / 2 / PART);
	CHECK(it.gc->drive.pace.nr_overshot > 0);
	arena_gc_destroy(it.gc);
}

TEST(removed, "gc_limit/a limit may go again")
{
	struct fixture it = limited(LIMIT, ARENA_GC_FAIL, NULL, NULL);

	CHECK(!fill(&it, 2 * LIMIT / PART));
	arena_gc_set_limit(it.gc, &(struct arena_gc_limit){ 0 });
	CHECK(fill(&it, 2 * LIMIT / PART));
	CHECK_EQ(it.gc->drive.trigger_bytes, UINT64_MAX);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- memory that goes back */

/* As many objects as are nearly so many bytes, written. */
static void make_garbage(const struct fixture *it, void *bytes)
{
	for (size_t i = 0; i < *(const size_t *)bytes / MiB; i++) {
		char *part = arena_gc_alloc_atomic(it->gc, MiB - 64);

		CHECK(part);
		memset(part, 1, MiB - 64);
	}
}

/* So few chunks that nobody gives any back by time (SCAVENGER_LEAST_CHUNKS). */
#define FEW (12 * MiB)

TEST(trim, "gc_limit/what a trim says that it has given back is no longer held, nor resident, and that is all there was")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	size_t before, resident, given, bytes = FEW;

	elsewhere(&it, make_garbage, &bytes);
	arena_gc_collect(it.gc);
	before = held(&it);
	resident = harness_rss_bytes();
	CHECK(!scavenger_is_made());
	CHECK(before >= FEW);
	given = arena_gc_trim(it.gc);
	CHECK_EQ(before - held(&it), given);
	CHECK(held(&it) <= CHUNK_BYTES);
	/* The kernel counts late, by some pages. */
	CHECK(harness_sanitized() || resident - harness_rss_bytes() >= given - MiB);
	CHECK_EQ(arena_gc_trim(it.gc), 0);
	arena_gc_destroy(it.gc);
}

#define MUCH (100 * MiB)

TEST(scavenged, "gc_limit/what cycles have freed goes back without a trim too, but for what may be wanted again soon")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	size_t resident, bytes = MUCH;

	elsewhere(&it, make_garbage, &bytes);
	CHECK(held(&it) >= MUCH);
	resident = harness_rss_bytes();
	arena_gc_collect(it.gc);
	/* Nothing is done but wait, for ever if it must be. */
	while (held(&it) > MUCH / 8)
		usleep(10000);
	CHECK(harness_sanitized() || harness_rss_bytes() <= resident - MUCH / 2);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- the cgroup's limit */

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	CHECK(file && fputs(text, file) >= 0 && !fclose(file));
}

/* Mounts that nobody else sees; who may not have them becomes root of a namespace of users for it. */
static void have_own_mounts(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getegid());
	if (unshare(CLONE_NEWNS)) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
			harness_skip("no mounts of its own: %s", strerror(errno));
		write_text("/proc/self/uid_map", users);
		write_text("/proc/self/setgroups", "deny");
		write_text("/proc/self/gid_map", groups);
	}
	/* Below chroot() "/" is no mount. */
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		harness_skip("no mounts of its own: %s", strerror(errno));
}

static void write_limit(const char *point, const char *file, const char *text)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", point, file);
	write_text(path, text);
}

static char points[8][256];
static size_t nr_points;

/* Where cgroups are, that this process's memory is said to be in, is a folder that has but the files written below. */
static void cover_cgroups(void)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "r");
	char line[1024];

	CHECK(mounts);
	while (nr_points < ARRAY_LEN(points) && fgets(line, sizeof(line), mounts))
		if (strstr(line, " - cgroup2 ") || (strstr(line, " - cgroup ") && strstr(line, "memory")))
			nr_points += sscanf(line, "%*s %*s %*s %*s %255s", points[nr_points]) == 1;
	fclose(mounts);
	for (size_t i = 0; i < nr_points; i++)
		CHECK(!mount("none", points[i], "tmpfs", 0, NULL));
	if (!nr_points)
		harness_skip("no cgroups of memory are mounted");
}

static uint64_t limit_when(const char *text)
{
	for (size_t i = 0; i < nr_points; i++) {
		write_limit(points[i], "memory.max", text);
		write_limit(points[i], "memory.limit_in_bytes", text);
	}
	return arena_gc_cgroup_bytes();
}

TEST(cgroup, "gc_limit/the cgroup's limit is what its file says, or there is none")
{
	have_own_mounts();
	cover_cgroups();
	CHECK_EQ(arena_gc_cgroup_bytes(), 0);
	CHECK_EQ(limit_when("536870912\n"), 512 * MiB);
	CHECK_EQ(limit_when("300000000\n"), 300000000);
	CHECK_EQ(limit_when("max\n"), 0);
}
