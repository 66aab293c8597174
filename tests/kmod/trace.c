// SPDX-License-Identifier: MIT
/*
 * The tracepoints, as somebody uses them who looks for a cause: switch one on, do what it is about,
 * and find the line, with the numbers in it.
 *
 * Models no load: a tracepoint is looked at with nobody else at work.
 */
#include "common.h"
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/uio.h>

#define TRACING		"/sys/kernel/tracing/"
#define EVENTS		TRACING "events/arena/"
#define TRACE_BYTES	(256 * 1024)

static int event_set(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), EVENTS "%s/enable", name);
	return file_write_text(path, value);
}

/* Whole: one read() of the trace gives no more than a page. */
static char *trace_read(void)
{
	static char text[TRACE_BYTES];
	int fd = open(TRACING "trace", O_RDONLY | O_CLOEXEC);
	size_t length = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)n;
	text[length] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

static int trace_clear(void)
{
	int fd = open(TRACING "trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	return fd < 0 ? -1 : close(fd);
}

static bool trace_has(const char *pattern)
{
	regex_t regex;
	bool found;

	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
		return false;
	found = !regexec(&regex, trace_read(), 0, NULL, 0);
	regfree(&regex);
	return found;
}

static int do_reserve(int dev, int fd)
{
	return space_reserve(fd, 3, 5, NULL);
}

static int do_keep(int dev, int fd)
{
	return space_reserve(fd, 3, 5, NULL) || space_keep(fd, 4, 2, NULL);
}

static int do_zap(int dev, int fd)
{
	return space_reserve(fd, 3, 5, NULL) || space_zap(fd, 0, 100, NULL);
}

static int do_discard(int dev, int fd)
{
	return do_keep(dev, fd) || module_trim(dev, ~0ULL, ARENA_TRIM_KEPT, NULL);
}

static int do_fault(int dev, int fd)
{
	char *map = space_map(fd, 7, 2);

	if (map == MAP_FAILED)
		return -1;
	map[CHUNK_BYTES + 12345] = 1;
	return munmap(map, 2 * CHUNK_BYTES);
}

/* What was touched comes back dirty. */
static int do_clear(int dev, int fd)
{
	return do_fault(dev, fd) || space_zap(fd, 7, 2, NULL);
}

static int do_quarantine(int dev, int fd)
{
	char *map = space_map(fd, 0, 1), byte;
	struct iovec page = { .iov_base = map, .iov_len = 1 };
	int ends[2];

	if (map == MAP_FAILED || pipe(ends))
		return -1;
	map[0] = 1;
	if (vmsplice(ends[1], &page, 1, 0) != 1 || space_zap(fd, 0, 1, NULL) ||
	    read(ends[0], &byte, 1) != 1)
		return -1;
	close(ends[0]);
	close(ends[1]);
	return munmap(map, CHUNK_BYTES);
}

static int do_trim(int dev, int fd)
{
	return do_zap(dev, fd) || module_trim(dev, ~0ULL, 0, NULL);
}

static int do_pressure(int dev, int fd)
{
	return do_trim(dev, fd) || do_keep(dev, fd) ||
	       file_write_text("/proc/sys/vm/drop_caches", "2\n");
}

static const struct {
	const char *event;
	const char *line;
	int (*act)(int dev, int fd);
} events[] = {
	{ "chunk_take", "chunk_take: node=[0-9]+ nr_chunks=5", do_reserve },
	{ "chunk_give", "chunk_give: node=[0-9]+ nr_chunks=5", do_zap },
	{ "reserve", "reserve: space_id=[0-9]+ first_slot=3 nr_slots=5 nr_chunks=5", do_reserve },
	{ "reclaim", "reclaim: space_id=[0-9]+ how=keep first_slot=4 nr_slots=2 nr_chunks=2",
	  do_keep },
	{ "reclaim", "reclaim: space_id=[0-9]+ how=zap first_slot=0 nr_slots=100 nr_chunks=5",
	  do_zap },
	{ "reclaim", "reclaim: space_id=[0-9]+ how=discard first_slot=4 nr_slots=2 nr_chunks=2",
	  do_discard },
	{ "fault", "-[0-9]+ .* fault: space_id=[0-9]+ slot=8", do_fault },
	{ "clear", "clear: node=[0-9]+ nr_chunks=1", do_clear },
	{ "quarantine", "quarantine: space_id=[0-9]+ nr_chunks=1", do_quarantine },
	{ "trim", "trim: node=-?[0-9]+ nr_chunks=[1-9]", do_trim },
	{ "pressure", "pressure: node=[0-9]+ nr_chunks=[1-9]", do_pressure },
	{ "notice", "notice: level=1 wanted_chunks=[12] grace_ns=[1-9][0-9]*", do_pressure },
};

/* Lines of one event only, and only while it is on. */
TEST_F_TIMEOUT(space, each_event_tells, 100)
{
	long long calm_ms = parameter_get("notice_calm_ms");

	fault_catch();
	/* So that each notice has its grace. */
	ASSERT_EQ(0, parameter_set("notice_calm_ms", 0));
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		ASSERT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, NULL));
		ASSERT_EQ(0, trace_clear());
		ASSERT_EQ(0, event_set(events[i].event, "1")) TH_LOG("%s", events[i].event);
		EXPECT_EQ(0, events[i].act(self->dev, self->fd)) TH_LOG("%s", events[i].event);
		EXPECT_TRUE(WAIT_UNTIL(trace_has(events[i].line), SETTLE_MS))
			TH_LOG("no line for %s in\n%s", events[i].line, trace_read());
		EXPECT_EQ(0, event_set(events[i].event, "0"));
	}
	EXPECT_EQ(0, trace_clear());
	EXPECT_EQ(0, do_zap(self->dev, self->fd));
	EXPECT_FALSE(trace_has(" node=| space_id="));
	EXPECT_EQ(0, parameter_set("notice_calm_ms", calm_ms));
}

/* A filter on a field picks one space out of many. */
TEST_F(space, events_can_be_filtered)
{
	struct arena_space_stat s = space_stat(self->dev);
	char filter[64], line[128];

	snprintf(filter, sizeof(filter), "space_id == %llu && nr_chunks > 4", s.id);
	snprintf(line, sizeof(line), "space_id=%llu .*nr_chunks=6", s.id);
	ASSERT_EQ(0, trace_clear());
	ASSERT_EQ(0, file_write_text(EVENTS "reserve/filter", filter));
	ASSERT_EQ(0, event_set("reserve", "1"));
	EXPECT_EQ(0, space_reserve(self->dev, 0, 7, NULL));
	EXPECT_EQ(0, space_reserve(self->fd, 0, 3, NULL));
	EXPECT_EQ(0, space_reserve(self->fd, 10, 6, NULL));
	EXPECT_EQ(0, event_set("reserve", "0"));
	EXPECT_EQ(0, file_write_text(EVENTS "reserve/filter", "0"));
	EXPECT_TRUE(trace_has(line));
	EXPECT_FALSE(trace_has("nr_chunks=[37]"));
}

/* What bpftrace and perf read: every field is there by name. */
TEST(formats_name_the_fields)
{
	static const char *const fields[][2] = {
		{ "chunk_take", "node" }, { "chunk_give", "nr_chunks" }, { "fault", "slot" },
		{ "clear", "nr_chunks" }, { "reclaim", "how" }, { "quarantine", "space_id" },
		{ "pressure", "nr_chunks" }, { "notice", "grace_ns" },
	};
	char path[128], text[4096], field[64];

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		snprintf(path, sizeof(path), EVENTS "%s/format", fields[i][0]);
		snprintf(field, sizeof(field), " %s;", fields[i][1]);
		ASSERT_EQ(0, file_read_text(path, text, sizeof(text))) TH_LOG("%s", path);
		EXPECT_NE(NULL, strstr(text, field)) TH_LOG("%s of %s", fields[i][1], fields[i][0]);
	}
}

/*
 * ---- the kernel's own event for flushes of the TLB ----------------------------------------------
 *
 * It names its reason by a number (include/linux/mm_types.h, enum tlb_flush_reason); left out are switches
 * between tasks and flushes of the kernel's own addresses.
 */
#define FLUSH		TRACING "events/tlb/tlb_flush/"
#define FLUSH_REMOTE	"(1)"	/* here, because another processor asked */
#define FLUSH_HERE	"(3)"
#define FLUSH_SENT	"(4)"	/* other processors were asked, all by one event */
#define FLUSH_CHUNKS	128
#define FLUSH_ROUNDS	20

static unsigned int trace_count(const char *word)
{
	unsigned int count = 0;

	for (const char *at = trace_read(); (at = strstr(at, word)); at++)
		count++;
	return count;
}

struct flushes {
	unsigned int here;
	unsigned int sent;
	unsigned int remote;
};

static int pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

/* What one ZAP of all these chunks, each of them touched, flushes in the threads of this process. */
static int flushes_of_zap(int fd, char *map, pid_t other, struct flushes *flushes)
{
	char filter[128];

	for (size_t i = 0; i < FLUSH_CHUNKS; i++)
		map[i * CHUNK_BYTES] = 1;
	snprintf(filter, sizeof(filter), "(reason == 1 || reason == 3 || reason == 4) && "
		 "(common_pid == %d || common_pid == %d)", gettid(), other);
	if (trace_clear() || file_write_text(FLUSH "filter", filter) ||
	    file_write_text(FLUSH "enable", "1"))
		return -1;
	if (space_zap(fd, 0, FLUSH_CHUNKS, NULL) || file_write_text(FLUSH "enable", "0"))
		return -1;
	*flushes = (struct flushes){ trace_count(FLUSH_HERE), trace_count(FLUSH_SENT),
				     trace_count(FLUSH_REMOTE) };
	return file_write_text(FLUSH "filter", "0");
}

/*
 * One flush, not one for each chunk. The other processor runs another process meanwhile: else it would keep this
 * one's addresses for a while after it last ran there, and be asked too.
 */
TEST_F(space, a_zap_of_many_chunks_flushes_once)
{
	struct flushes flushes;
	pid_t other;
	char *map;

	ASSERT_EQ(0, pin_to(0));
	other = fork();
	if (!other) {
		pin_to(1);
		for (;;)
			continue;
	}
	sleep_ms(100);
	map = space_map(self->fd, 0, FLUSH_CHUNKS);
	EXPECT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, flushes_of_zap(self->fd, map, other, &flushes));
	TH_LOG("%u flush for %u chunks, %u requests to other processors", flushes.here,
	       FLUSH_CHUNKS, flushes.sent);
	EXPECT_EQ(1, flushes.here);
	EXPECT_EQ(0, flushes.sent);
	EXPECT_EQ(0, flushes.remote);
	kill(other, SIGKILL);
	EXPECT_EQ(128 + SIGKILL, child_status(other));
}

struct spinner {
	atomic_int tid;		/* 0 until it runs where it should */
	atomic_bool stop;
};

static void *spin(void *data)
{
	struct spinner *spinner = data;

	if (!pin_to(1))
		atomic_store(&spinner->tid, gettid());
	while (!atomic_load(&spinner->stop))
		continue;
	return NULL;
}

/*
 * The same with a thread on another processor. A processor that happens to run something else needs
 * no flush, so there may be none there, but never more than one; it is tried until there was one.
 */
TEST_F(space, a_zap_of_many_chunks_asks_other_processors_once)
{
	struct spinner spinner = { .tid = 0 };
	struct flushes flushes = { 0 };
	pthread_t thread;
	char *map;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "one processor");
	ASSERT_EQ(0, pin_to(0));
	ASSERT_EQ(0, pthread_create(&thread, NULL, spin, &spinner));
	EXPECT_TRUE(WAIT_UNTIL(atomic_load(&spinner.tid), SETTLE_MS));
	map = space_map_bare(self->fd, 0, FLUSH_CHUNKS);
	EXPECT_NE(MAP_FAILED, map);
	for (int round = 0; round < FLUSH_ROUNDS && !flushes.remote; round++) {
		EXPECT_EQ(0, space_reserve(self->fd, 0, FLUSH_CHUNKS, NULL));
		EXPECT_EQ(0, flushes_of_zap(self->fd, map, spinner.tid, &flushes));
		EXPECT_EQ(1, flushes.here);
		EXPECT_GE(1, flushes.sent);
		EXPECT_GE(1, flushes.remote);
	}
	TH_LOG("%u flush here and %u there for %u chunks, by %u request", flushes.here,
	       flushes.remote, FLUSH_CHUNKS, flushes.sent);
	EXPECT_EQ(1, flushes.remote);
	atomic_store(&spinner.stop, true);
	EXPECT_EQ(0, pthread_join(thread, NULL));
}

TEST_HARNESS_MAIN
