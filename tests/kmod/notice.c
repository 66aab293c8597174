// SPDX-License-Identifier: MIT
/*
 * Owners are told before kept chunks are taken: by poll(), by an eventfd, by ARENA_IOC_NOTICE; they
 * have a grace to answer, and what they answer counts.
 *
 * Models a cache that keeps what it can recompute. The demand is that of drop_caches, which runs
 * the shrinkers without any shortage, so that nobody else asks meanwhile.
 */
#include "common.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#define KEPT_CHUNKS	24
#define LONG_MS		20000	/* a grace that no test outlives */
#define PATIENCE_MS	10000	/* for what must come */
#define QUIET_MS	400	/* for what must not */

static struct arena_notice notice_of(int fd)
{
	struct arena_notice n = { .size = sizeof(n) };

	if (ioctl(fd, ARENA_IOC_NOTICE, &n) < 0)
		fprintf(stderr, "# ARENA_IOC_NOTICE: %m\n");
	return n;
}

static int notice_register(int fd, int eventfd)
{
	struct arena_notice n = { .size = sizeof(n), .flags = ARENA_NOTICE_EVENTFD,
				  .eventfd = eventfd };

	return call_errno(fd, ARENA_IOC_NOTICE, &n);
}

static short poll_for(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI };

	return poll(&p, 1, ms) > 0 ? p.revents : 0;
}

static bool is_wanted(int fd)
{
	return poll_for(fd, 0) == POLLPRI;
}

/* Idle chunks would satisfy the demand. */
static int demand(int dev)
{
	if (module_trim(dev, ~0ULL, 0, NULL))
		return -1;
	return file_write_text("/proc/sys/vm/drop_caches", "2\n");
}

/* Until a demand reaches the module: one that comes too early is lost to idle chunks. */
static bool demand_is_heard(int dev, int fd)
{
	return WAIT_UNTIL(!demand(dev) && notice_of(fd).wanted_bytes, PATIENCE_MS);
}

FIXTURE(notice)
{
	int dev;
	int fd;
	char *map;
	long long grace_ms, calm_ms;
};

/* The harness defines these without static. */
void notice_setup(struct __test_metadata *_metadata, FIXTURE_DATA(notice) *self,
		  const FIXTURE_VARIANT(notice) *variant);
void notice_teardown(struct __test_metadata *_metadata, FIXTURE_DATA(notice) *self,
		     const FIXTURE_VARIANT(notice) *variant);

FIXTURE_SETUP(notice)
{
	self->grace_ms = parameter_get("notice_grace_ms");
	self->calm_ms = parameter_get("notice_calm_ms");
	self->dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev);
	self->fd = space_create(self->dev, SPACE_SLOTS);
	ASSERT_LE(0, self->fd);
	self->map = space_map(self->fd, 0, KEPT_CHUNKS);
	ASSERT_NE(MAP_FAILED, self->map);
	for (unsigned int i = 0; i < KEPT_CHUNKS; i++)
		self->map[i * CHUNK_BYTES] = (char)(i + 1);
	ASSERT_EQ(0, space_keep(self->fd, 0, KEPT_CHUNKS, NULL));
	ASSERT_EQ(0, parameter_set("notice_grace_ms", LONG_MS));
	ASSERT_EQ(0, parameter_set("notice_calm_ms", 0));
}

/* Each test leaves calm behind: without a grace what is wanted goes, and calm follows at once. */
FIXTURE_TEARDOWN(notice)
{
	EXPECT_EQ(0, parameter_set("notice_grace_ms", 0));
	EXPECT_EQ(0, parameter_set("notice_calm_ms", 0));
	munmap(self->map, KEPT_CHUNKS * CHUNK_BYTES);
	close(self->fd);
	EXPECT_EQ(0, space_zap(self->dev, 0, 1, NULL));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_EQ(0, notice_of(self->dev).level);
	EXPECT_EQ(0, parameter_set("notice_grace_ms", self->grace_ms));
	EXPECT_EQ(0, parameter_set("notice_calm_ms", self->calm_ms));
	EXPECT_TRUE(stat_settles(self->dev));
	close(self->dev);
}

TEST_F(notice, feature_is_shown)
{
	EXPECT_TRUE(module_info(self->dev).features & ARENA_FEATURE_NOTICE);
}

TEST_F(notice, no_demand_no_notice)
{
	struct arena_notice n = notice_of(self->fd);

	EXPECT_EQ(ARENA_NOTICE_NONE, n.level);
	EXPECT_EQ(0, n.wanted_bytes);
	EXPECT_EQ(0, n.grace_ns);
	EXPECT_EQ(0, poll_for(self->fd, 0));
	EXPECT_EQ(0, poll_for(self->dev, 0));
}

TEST_F(notice, poll_and_eventfd_tell)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	struct arena_notice n;
	eventfd_t count = 0;

	ASSERT_LE(0, event);
	ASSERT_EQ(0, notice_register(self->fd, event));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	EXPECT_EQ(POLLPRI, poll_for(self->fd, PATIENCE_MS));
	EXPECT_TRUE(WAIT_UNTIL(!eventfd_read(event, &count), PATIENCE_MS));
	EXPECT_LE(1, count);
	n = notice_of(self->fd);
	EXPECT_EQ(ARENA_NOTICE_MODERATE, n.level);
	EXPECT_LE(CHUNK_BYTES, n.wanted_bytes);
	EXPECT_GE(KEPT_CHUNKS * CHUNK_BYTES, n.wanted_bytes);
	EXPECT_EQ(0, n.wanted_bytes % CHUNK_BYTES);
	EXPECT_LT(0, n.grace_ns);
	EXPECT_GE(LONG_MS * MS_NS, n.grace_ns);
	close(event);
}

/* A poller that sleeps is woken; epoll too. The device itself can be polled as well. */
TEST_F(notice, sleepers_are_woken)
{
	struct epoll_event e = { .events = EPOLLPRI };
	int epoll = epoll_create1(EPOLL_CLOEXEC), status;
	pid_t child;

	ASSERT_EQ(0, space_reserve(self->dev, 0, 1, NULL));
	ASSERT_EQ(0, space_keep(self->dev, 0, 1, NULL));
	ASSERT_EQ(0, epoll_ctl(epoll, EPOLL_CTL_ADD, self->fd, &e));
	ASSERT_EQ(0, epoll_wait(epoll, &e, 1, 0));
	child = fork();
	if (!child)
		_exit(poll_for(self->dev, PATIENCE_MS) != POLLPRI);
	sleep_ms(100);
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	EXPECT_EQ(1, epoll_wait(epoll, &e, 1, PATIENCE_MS));
	EXPECT_EQ(EPOLLPRI, e.events);
	status = child_status(child);
	EXPECT_EQ(0, status);
	close(epoll);
}

TEST_F(notice, who_keeps_nothing_is_left_alone)
{
	int event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	eventfd_t count;

	ASSERT_EQ(0, notice_register(self->dev, event));
	ASSERT_EQ(0, space_reserve(self->dev, 0, 1, NULL));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	EXPECT_EQ(POLLPRI, poll_for(self->fd, PATIENCE_MS));
	EXPECT_EQ(0, poll_for(self->dev, 0));
	EXPECT_EQ(-1, eventfd_read(event, &count));
	close(event);
}

/* Others were told before; whoever keeps something now is told as well. */
TEST_F(notice, who_keeps_later_is_told_then)
{
	int fd = space_create(self->dev, SPACE_SLOTS), event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	eventfd_t count;

	ASSERT_EQ(0, space_reserve(fd, 0, 1, NULL));
	ASSERT_EQ(0, notice_register(fd, event));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	ASSERT_EQ(POLLPRI, poll_for(self->fd, PATIENCE_MS));
	EXPECT_EQ(0, poll_for(fd, 0));
	EXPECT_NE(0, eventfd_read(event, &count));
	ASSERT_EQ(0, space_keep(fd, 0, 1, NULL));
	EXPECT_EQ(0, eventfd_read(event, &count)) TH_LOG("not told");
	EXPECT_EQ(POLLPRI, poll_for(fd, 0));
	close(event);
	close(fd);
}

TEST_F(notice, nothing_goes_during_the_grace)
{
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	sleep_ms(QUIET_MS);
	EXPECT_EQ(KEPT_CHUNKS, space_stat(self->dev).kept_chunks);
}

/* What the owner gives is enough: when the grace is over nothing more is taken. */
TEST_F(notice, zap_satisfies)
{
	uint64_t before = module_stat(self->dev).discarded_chunks, wanted, left;

	ASSERT_EQ(0, parameter_set("notice_grace_ms", 2000));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	wanted = notice_of(self->fd).wanted_bytes / CHUNK_BYTES;
	ASSERT_GT(KEPT_CHUNKS, wanted);
	ASSERT_EQ(0, space_zap(self->fd, 0, wanted, NULL));
	EXPECT_EQ(0, notice_of(self->fd).wanted_bytes);
	EXPECT_FALSE(is_wanted(self->fd));
	sleep_ms(2000 + QUIET_MS);
	left = space_stat(self->dev).kept_chunks;
	EXPECT_EQ(KEPT_CHUNKS - wanted, left);
	EXPECT_EQ(before, module_stat(self->dev).discarded_chunks);
}

TEST_F(notice, reserve_protects)
{
	uint64_t before = module_stat(self->dev).discarded_chunks;
	struct arena_reserve r;

	ASSERT_EQ(0, parameter_set("notice_grace_ms", 1000));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	ASSERT_EQ(0, space_reserve(self->fd, 0, KEPT_CHUNKS, &r));
	ASSERT_EQ(KEPT_CHUNKS, r.kept_chunks);
	EXPECT_FALSE(is_wanted(self->fd));
	sleep_ms(1000 + QUIET_MS);
	EXPECT_EQ(before, module_stat(self->dev).discarded_chunks);
	for (unsigned int i = 0; i < KEPT_CHUNKS; i++)
		EXPECT_EQ((char)(i + 1), self->map[i * CHUNK_BYTES]);
}

/* After the grace so much is taken as was wanted, and RESERVE says how much. */
TEST_F(notice, taken_after_the_grace)
{
	uint64_t before = module_stat(self->dev).discarded_chunks, taken;
	struct arena_reserve r;

	ASSERT_EQ(0, parameter_set("notice_grace_ms", 500));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	ASSERT_TRUE(WAIT_UNTIL(module_stat(self->dev).discarded_chunks > before, PATIENCE_MS));
	ASSERT_TRUE(WAIT_UNTIL(!notice_of(self->fd).wanted_bytes, PATIENCE_MS));
	EXPECT_FALSE(is_wanted(self->fd));
	taken = module_stat(self->dev).discarded_chunks - before;
	EXPECT_GT(KEPT_CHUNKS, taken);
	ASSERT_EQ(0, space_reserve(self->fd, 0, KEPT_CHUNKS, &r));
	EXPECT_EQ(taken, r.fresh_chunks);
	EXPECT_EQ(KEPT_CHUNKS - taken, r.kept_chunks);
	EXPECT_EQ(taken, fault_count(self->map, KEPT_CHUNKS, 0) -
			 (KEPT_CHUNKS - (unsigned int)taken));
}

/* One shortage, one grace: until it has been calm for a while, what is wanted goes at once. */
TEST_F(notice, later_demands_have_no_grace)
{
	uint64_t before = module_stat(self->dev).discarded_chunks, first;

	ASSERT_EQ(0, parameter_set("notice_grace_ms", 100));
	ASSERT_EQ(0, parameter_set("notice_calm_ms", 60000));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	ASSERT_TRUE(WAIT_UNTIL(module_stat(self->dev).discarded_chunks > before &&
			       !notice_of(self->fd).wanted_bytes, PATIENCE_MS));
	first = module_stat(self->dev).discarded_chunks;
	ASSERT_EQ(0, parameter_set("notice_grace_ms", LONG_MS));
	EXPECT_TRUE(WAIT_UNTIL(!demand(self->dev) &&
			       module_stat(self->dev).discarded_chunks > first, PATIENCE_MS));
	EXPECT_EQ(ARENA_NOTICE_MODERATE, notice_of(self->fd).level);
}

TEST_F(notice, after_calm_there_is_a_grace_again)
{
	uint64_t before = module_stat(self->dev).discarded_chunks;

	ASSERT_EQ(0, parameter_set("notice_grace_ms", 100));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	ASSERT_TRUE(WAIT_UNTIL(module_stat(self->dev).discarded_chunks > before &&
			       !notice_of(self->fd).level, PATIENCE_MS));
	before = module_stat(self->dev).discarded_chunks;
	ASSERT_EQ(0, parameter_set("notice_grace_ms", LONG_MS));
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	sleep_ms(QUIET_MS);
	EXPECT_EQ(before, module_stat(self->dev).discarded_chunks);
	EXPECT_LT(0, notice_of(self->fd).grace_ns);
}

TEST_F(notice, trim_by_hand_asks_nobody)
{
	struct arena_trim t;

	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, ARENA_TRIM_KEPT, &t));
	EXPECT_EQ(KEPT_CHUNKS, t.discarded_chunks);
	EXPECT_EQ(ARENA_NOTICE_NONE, notice_of(self->fd).level);
}

TEST_F(notice, hostile_descriptors)
{
	int event = eventfd(0, EFD_CLOEXEC), plain = open("/dev/null", O_RDWR | O_CLOEXEC);
	int reader = open(DEVICE, O_RDONLY | O_CLOEXEC);
	struct arena_notice n = { .size = sizeof(n), .eventfd = event };

	EXPECT_EQ(EBADF, notice_register(self->fd, 12345));
	EXPECT_EQ(EBADF, notice_register(self->fd, -2));
	EXPECT_EQ(EINVAL, notice_register(self->fd, plain));
	EXPECT_EQ(EINVAL, notice_register(self->fd, self->fd));
	EXPECT_EQ(EBADF, notice_register(reader, event));
	EXPECT_EQ(0, notice_of(reader).level);
	/* Without the flag the field is padding. */
	EXPECT_EQ(EINVAL, call_errno(self->fd, ARENA_IOC_NOTICE, &n));
	n = (struct arena_notice){ .size = sizeof(n), .flags = 2 };
	EXPECT_EQ(EINVAL, call_errno(self->fd, ARENA_IOC_NOTICE, &n));
	n = (struct arena_notice){ .size = sizeof(n), .wanted_bytes = 1 };
	EXPECT_EQ(EINVAL, call_errno(self->fd, ARENA_IOC_NOTICE, &n));
	close(reader);
	close(plain);
	close(event);
}

/* The module holds the eventfd, not its descriptor; a new one takes the place of the old one. */
TEST_F(notice, eventfd_is_replaced_and_removed)
{
	int first = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	int second = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), kept = dup(second);
	eventfd_t count;

	ASSERT_EQ(0, notice_register(self->fd, first));
	ASSERT_EQ(0, notice_register(self->fd, second));
	close(second);
	ASSERT_TRUE(demand_is_heard(self->dev, self->fd));
	EXPECT_TRUE(WAIT_UNTIL(!eventfd_read(kept, &count), PATIENCE_MS));
	EXPECT_EQ(-1, eventfd_read(first, &count));
	EXPECT_EQ(0, notice_register(self->fd, -1));
	EXPECT_EQ(0, notice_register(self->fd, -1));
	close(first);
	close(kept);
}

TEST_HARNESS_MAIN
