// SPDX-License-Identifier: MIT
/*
 * The calls by way of io_uring, and chunks as buffers of io_uring.
 *
 * Models servers that do all their work by a ring. Registering a chunk as a fixed buffer pins it, which
 * 6.1 refuses for memory that is not anonymous; a plain read into a chunk works everywhere.
 */
#include "group.h"
#include <liburing.h>
#include <pthread.h>
#include <sys/utsname.h>

#ifndef IORING_SETUP_SQE128
#define IORING_SETUP_SQE128 (1U << 10)
#endif

static struct io_uring ring;

static int ring_start(unsigned int flags)
{
	return -io_uring_queue_init(8, &ring, flags);
}

static struct io_uring_sqe *entry(int fd, uint32_t op, const struct arena_uring *payload)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, fd, NULL, 0, 0);
	sqe->cmd_op = op;
	memcpy(sqe->cmd, payload, sizeof(*payload));
	return sqe;
}

/* The result of one entry that was prepared. */
static int ring_result(void)
{
	struct io_uring_cqe *cqe;
	int result;

	if (io_uring_submit_and_wait(&ring, 1) != 1 || io_uring_wait_cqe(&ring, &cqe))
		return -EIO;
	result = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return result;
}

static int command(int fd, uint32_t op, const void *address, uint32_t nr_calls)
{
	struct arena_uring payload = { .address = (uintptr_t)address, .nr_calls = nr_calls };

	entry(fd, op, &payload);
	return ring_result();
}

TEST_F(space, one_call_after_the_other)
{
	struct arena_reserve reserve = { .size = sizeof(reserve), .length_bytes = 8 * CHUNK_BYTES };
	struct arena_populate populate = { .size = sizeof(populate), .length_bytes = 8 * CHUNK_BYTES };
	struct arena_reclaim keep = { .size = sizeof(keep), .how = ARENA_RECLAIM_KEEP, .length_bytes = 8 * CHUNK_BYTES };
	struct arena_reclaim zap = { .size = sizeof(zap), .how = ARENA_RECLAIM_ZAP, .length_bytes = 8 * CHUNK_BYTES };
	char *map = space_map_bare(self->fd, 0, 8);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, ring_start(0));
	EXPECT_TRUE(module_info(self->dev).features & ARENA_FEATURE_URING);
	EXPECT_EQ(0, command(self->fd, ARENA_IOC_RESERVE, &reserve, 0));
	EXPECT_EQ(8, reserve.fresh_chunks);
	populate.address = (uintptr_t)map;
	EXPECT_EQ(0, command(self->fd, ARENA_IOC_POPULATE, &populate, 0));
	EXPECT_EQ(8, populate.nr_chunks);
	EXPECT_EQ(8 * 2048, smaps_kb(map, "Rss"));
	EXPECT_EQ(0, command(self->fd, ARENA_IOC_RECLAIM, &keep, 0));
	EXPECT_EQ(8, keep.nr_chunks);
	EXPECT_EQ(8, space_stat(self->dev).kept_chunks);
	EXPECT_EQ(0, command(self->fd, ARENA_IOC_RECLAIM, &zap, 0));
	EXPECT_EQ(8, zap.nr_chunks);
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	io_uring_queue_exit(&ring);
}

TEST_F(space, on_the_device_and_with_large_entries)
{
	struct arena_reserve reserve = { .size = sizeof(reserve), .length_bytes = CHUNK_BYTES };
	struct arena_uring payload = { .address = (uintptr_t)&reserve };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;

	ASSERT_EQ(0, ring_start(0));
	EXPECT_EQ(0, command(self->dev, ARENA_IOC_RESERVE, &reserve, 0));
	EXPECT_EQ(1, reserve.fresh_chunks);
	io_uring_queue_exit(&ring);
	ASSERT_EQ(0, ring_start(IORING_SETUP_SQE128 | IORING_SETUP_CQE32));
	/* This liburing does not know entries of twice the size, but the first is where it thinks. */
	sqe = entry(self->dev, ARENA_IOC_RESERVE, &payload);
	memset((char *)sqe + 64, 0xff, 64);
	reserve.fresh_chunks = 0;
	ASSERT_EQ(1, io_uring_submit_and_wait(&ring, 1));
	ASSERT_EQ(0, io_uring_wait_cqe(&ring, &cqe));
	EXPECT_EQ(0, cqe->res);
	EXPECT_EQ(0, reserve.fresh_chunks) TH_LOG("it was reserved before");
	io_uring_queue_exit(&ring);
}

TEST_F(space, results_are_those_of_the_ioctl)
{
	struct arena_reserve reserve = { .size = sizeof(reserve) };
	struct arena_reclaim keep = { .size = sizeof(keep), .how = ARENA_RECLAIM_KEEP, .length_bytes = CHUNK_BYTES };
	char path[64];
	int read_only;

	ASSERT_EQ(0, ring_start(0));
	EXPECT_EQ(-EINVAL, command(self->fd, ARENA_IOC_RESERVE, &reserve, 0)) TH_LOG("no length");
	EXPECT_EQ(-ENXIO, command(self->fd, ARENA_IOC_RECLAIM, &keep, 0)) TH_LOG("not reserved");
	EXPECT_EQ(-EFAULT, command(self->fd, ARENA_IOC_RECLAIM, NULL, 0));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, read_only);
	reserve.length_bytes = CHUNK_BYTES;
	EXPECT_EQ(-EBADF, command(read_only, ARENA_IOC_RESERVE, &reserve, 0));
	close(read_only);
	io_uring_queue_exit(&ring);
}

#define BATCH 64

TEST_F(space, a_batch_has_a_result_for_each)
{
	static struct arena_reserve reserve[BATCH];
	static struct arena_uring_call calls[BATCH];

	ASSERT_EQ(0, ring_start(0));
	for (int i = 0; i < BATCH; i++) {
		reserve[i] = (struct arena_reserve){ .size = sizeof(reserve[i]), .length_bytes = CHUNK_BYTES,
						     .offset_bytes = (uint64_t)i * CHUNK_BYTES + (i % 8 == 5) };
		calls[i] = (struct arena_uring_call){ .op = ARENA_IOC_RESERVE, .address = (uintptr_t)&reserve[i] };
	}
	calls[9].op = ARENA_IOC_TRIM;
	calls[10].address = 8;
	EXPECT_EQ(BATCH, command(self->fd, ARENA_URING_BATCH, calls, BATCH));
	for (int i = 0; i < BATCH; i++) {
		int expected = i % 8 == 5 ? -EINVAL : i == 9 ? -EOPNOTSUPP : i == 10 ? -EFAULT : 0;

		EXPECT_EQ(expected, calls[i].result) TH_LOG("call %d", i);
		EXPECT_EQ(!expected, reserve[i].fresh_chunks);
	}
	EXPECT_EQ(BATCH - 10, space_stat(self->dev).reserved_chunks);
	io_uring_queue_exit(&ring);
}

/* Each call of a batch is of another kind, and finds what the one before it did. */
TEST_F(space, a_batch_of_three_kinds)
{
	const size_t bytes = 4 * CHUNK_BYTES;
	char *map = space_map_bare(self->fd, 0, 4);
	struct arena_reserve reserve = { .size = sizeof(reserve), .length_bytes = bytes };
	struct arena_populate populate = { .size = sizeof(populate), .address = (uintptr_t)map, .length_bytes = bytes };
	struct arena_reclaim zap = { .size = sizeof(zap), .how = ARENA_RECLAIM_ZAP, .length_bytes = 3 * CHUNK_BYTES };
	struct arena_uring_call calls[] = {
		{ .op = ARENA_IOC_RESERVE, .address = (uintptr_t)&reserve },
		{ .op = ARENA_IOC_POPULATE, .address = (uintptr_t)&populate },
		{ .op = ARENA_IOC_RECLAIM, .address = (uintptr_t)&zap },
	};

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, ring_start(0));
	EXPECT_EQ(3, command(self->fd, ARENA_URING_BATCH, calls, 3));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, calls[i].result) TH_LOG("call %d", i);
	}
	EXPECT_EQ(4, reserve.fresh_chunks);
	EXPECT_EQ(0, reserve.kept_chunks);
	EXPECT_EQ(4, populate.nr_chunks);
	EXPECT_EQ(3, zap.nr_chunks);
	EXPECT_EQ(0, zap.nr_quarantined);
	EXPECT_EQ(2048, smaps_kb(map, "Rss")) TH_LOG("the fourth is populated and was not zapped");
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
	/* And what is refused in the middle says so itself. */
	reserve = (struct arena_reserve){ .size = sizeof(reserve), .length_bytes = 2 * CHUNK_BYTES };
	populate.nr_chunks = 0;
	zap = (struct arena_reclaim){ .size = sizeof(zap), .how = ARENA_RECLAIM_ZAP, .length_bytes = bytes };
	EXPECT_EQ(3, command(self->fd, ARENA_URING_BATCH, calls, 3));
	EXPECT_EQ(0, calls[0].result);
	EXPECT_EQ(-EFAULT, calls[1].result) TH_LOG("slot 2 is a hole");
	EXPECT_EQ(0, calls[2].result);
	EXPECT_EQ(3, zap.nr_chunks);
	io_uring_queue_exit(&ring);
}

TEST_F(space, hostile_batches)
{
	static struct arena_reserve reserve = { .size = sizeof(reserve), .length_bytes = CHUNK_BYTES };
	struct arena_uring_call *calls = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
					      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct arena_uring_call *last = (struct arena_uring_call *)((char *)calls + PAGE_BYTES) - 1;
	struct arena_uring payload = { .address = (uintptr_t)last, .nr_calls = 1, .flags = 1 };

	ASSERT_EQ(0, ring_start(0));
	EXPECT_EQ(-EINVAL, command(self->fd, ARENA_URING_BATCH, calls, 0));
	EXPECT_EQ(-EINVAL, command(self->fd, ARENA_URING_BATCH, calls, ARENA_URING_MAX_CALLS + 1));
	EXPECT_EQ(-EINVAL, command(self->fd, ARENA_URING_BATCH, calls, ~0U));
	EXPECT_EQ(-EFAULT, command(self->fd, ARENA_URING_BATCH, NULL, 1));
	EXPECT_EQ(-EFAULT, command(self->fd, ARENA_URING_BATCH, (void *)~0xfffUL, 1));
	entry(self->fd, ARENA_URING_BATCH, &payload);
	EXPECT_EQ(-EINVAL, ring_result()) TH_LOG("flags");
	*last = (struct arena_uring_call){ .op = ARENA_IOC_RESERVE, .address = (uintptr_t)&reserve, .result = 7 };
	EXPECT_EQ(-EINVAL, command(self->fd, ARENA_URING_BATCH, last, 1)) TH_LOG("a result on entry");
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
	ASSERT_EQ(0, munmap(calls + PAGE_BYTES / sizeof(*calls), PAGE_BYTES));
	last->result = 0;
	EXPECT_EQ(1, command(self->fd, ARENA_URING_BATCH, last, 2)) TH_LOG("the second lies beyond the page");
	EXPECT_EQ(0, last->result);
	last->result = 0;
	reserve.fresh_chunks = 0;
	ASSERT_EQ(0, mprotect(calls, PAGE_BYTES, PROT_READ));
	EXPECT_EQ(-EFAULT, command(self->fd, ARENA_URING_BATCH, last, 1)) TH_LOG("no room for the result");
	io_uring_queue_exit(&ring);
}

TEST_F(space, other_commands_are_refused)
{
	static const uint32_t others[] = { 0, ~0U, ARENA_IOC_INFO, ARENA_IOC_CREATE, ARENA_IOC_STAT, ARENA_IOC_SPACE,
					   ARENA_IOC_TRIM, ARENA_URING_BATCH + 1 };
	struct arena_reserve reserve = { .size = sizeof(reserve), .length_bytes = CHUNK_BYTES };

	ASSERT_EQ(0, ring_start(0));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		EXPECT_EQ(-EOPNOTSUPP, command(self->fd, others[i], &reserve, 0)) TH_LOG("%#x", others[i]);
	}
	EXPECT_EQ(-EINVAL, command(self->fd, ARENA_IOC_RESERVE, &reserve, 1)) TH_LOG("a single call has no number");
	EXPECT_EQ(-ENOTTY, command(self->fd, ARENA_IOC_RESERVE & ~(3U << 30), &reserve, 0)) TH_LOG("direction");
	io_uring_queue_exit(&ring);
}

/* A thread rewrites the entry's memory for as long as it is looked at: some answer, no harm. */
static volatile bool rewriting;

static void *rewrite(void *argument)
{
	struct arena_uring *payload = argument;

	while (rewriting) {
		payload->nr_calls = ~0U;
		payload->address = 8;
		payload->flags = 0;
		payload->nr_calls = 1;
	}
	return NULL;
}

TEST_F(space, entries_that_change_under_way)
{
	struct arena_reserve reserve = { .size = sizeof(reserve), .length_bytes = CHUNK_BYTES };
	struct arena_uring_call call = { .op = ARENA_IOC_RESERVE, .address = (uintptr_t)&reserve };
	struct arena_uring payload = { .address = (uintptr_t)&call, .nr_calls = 1 };
	int64_t limit_ms = now_ms() + 500;
	pthread_t thread;

	ASSERT_EQ(0, ring_start(0));
	while (now_ms() < limit_ms) {
		struct io_uring_sqe *sqe = entry(self->fd, ARENA_URING_BATCH, &payload);
		int result;

		rewriting = true;
		ASSERT_EQ(0, pthread_create(&thread, NULL, rewrite, sqe->cmd));
		result = ring_result();
		rewriting = false;
		pthread_join(thread, NULL);
		ASSERT_TRUE(result == 1 || result == -EINVAL || result == -EFAULT) TH_LOG("%d", result);
		call.result = 0;
		reserve.fresh_chunks = 0;
		reserve.kept_chunks = 0;
	}
	io_uring_queue_exit(&ring);
}

/* The ring, and with it the descriptors it uses, may end while commands are under way. */
TEST_F(space, a_ring_that_ends_early)
{
	for (int i = 0; i < 20; i++) {
		int status = IN_CHILD(({
			static struct arena_reserve reserve[8];

			if (ring_start(0))
				_exit(9);
			for (int j = 0; j < 8; j++) {
				struct arena_uring payload = { .address = (uintptr_t)&reserve[j] };

				reserve[j] = (struct arena_reserve){ .size = sizeof(reserve[j]), .length_bytes = 8 * CHUNK_BYTES,
								     .offset_bytes = (uint64_t)j * 8 * CHUNK_BYTES };
				entry(self->fd, ARENA_IOC_RESERVE, &payload)->flags |= j & 1 ? IOSQE_ASYNC : 0;
			}
			io_uring_submit(&ring);
			7;
		}));

		ASSERT_EQ(7, status);
		ASSERT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, NULL));
	}
}

static bool is_6_1(void)
{
	struct utsname name;

	return !uname(&name) && !strncmp(name.release, "6.1.", 4);
}

static const char text[] = "from a file by way of a ring";

static int file_with_text(void)
{
	int fd = open("/tmp/uring-text", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	return fd >= 0 && write(fd, text, sizeof(text)) == sizeof(text) ? fd : -1;
}

TEST_F(space, reading_into_a_chunk)
{
	char *map = space_map(self->fd, 0, 1);
	int file = file_with_text();

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, ring_start(0));
	io_uring_prep_read(io_uring_get_sqe(&ring), file, map + 4096, sizeof(text), 0);
	EXPECT_EQ(sizeof(text), ring_result());
	EXPECT_STREQ(text, map + 4096);
	io_uring_queue_exit(&ring);
	close(file);
}

TEST_F(space, chunks_as_fixed_buffers)
{
	char *map = space_map(self->fd, 0, 4);
	struct iovec buffer = { .iov_base = map, .iov_len = 4 * CHUNK_BYTES };
	struct arena_reclaim zap;
	int file = file_with_text(), error;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, file);
	fill(map, 4 * CHUNK_BYTES, 1);
	ASSERT_EQ(0, ring_start(0));
	error = io_uring_register_buffers(&ring, &buffer, 1);
	if (is_6_1()) {
		EXPECT_EQ(-EOPNOTSUPP, error);
		io_uring_queue_exit(&ring);
		return;
	}
	ASSERT_EQ(0, error) TH_LOG("%s", strerror(-error));
	io_uring_prep_read_fixed(io_uring_get_sqe(&ring), file, map + CHUNK_BYTES, sizeof(text), 0, 0);
	EXPECT_EQ(sizeof(text), ring_result());
	EXPECT_STREQ(text, map + CHUNK_BYTES);
	memcpy(map + 2 * CHUNK_BYTES, "back", 4);
	io_uring_prep_write_fixed(io_uring_get_sqe(&ring), file, map + 2 * CHUNK_BYTES, 4, 0, 0);
	EXPECT_EQ(4, ring_result());
	EXPECT_EQ(4, pread(file, map, 4, 0));
	EXPECT_EQ(0, memcmp("back", map, 4));
	/* Given back while registered: held until the ring lets go. */
	ASSERT_EQ(0, space_zap(self->fd, 0, 4, &zap));
	EXPECT_EQ(4, zap.nr_quarantined);
	EXPECT_EQ(4, module_stat(self->dev).quarantined_chunks);
	io_uring_queue_exit(&ring);
	EXPECT_TRUE(WAIT_UNTIL(module_stat(self->dev).quarantined_chunks == 0, SETTLE_MS));
	close(file);
}

/* What is pinned must not be copied at a fork: refused, clearly, and nothing is pinned. */
TEST_F(space, no_fixed_buffers_with_copies)
{
	int fd = space_create_full(self->dev, 8, 0, ARENA_CREATE_FORK_COW), error;
	char *map = space_map(fd, 0, 2);
	struct iovec buffer = { .iov_base = map, .iov_len = 2 * CHUNK_BYTES };
	struct arena_reclaim zap;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 1);
	ASSERT_EQ(0, ring_start(0));
	error = io_uring_register_buffers(&ring, &buffer, 1);
	EXPECT_EQ(is_6_1() ? -EOPNOTSUPP : -EFAULT, error);
	ASSERT_EQ(0, space_zap(fd, 0, 2, &zap));
	EXPECT_EQ(0, zap.nr_quarantined);
	io_uring_queue_exit(&ring);
	EXPECT_EQ(0, munmap(map, 2 * CHUNK_BYTES));
	close(fd);
}

/* A worker of the ring works on the slots that its process sees, not on those of the first process. */
TEST_F(space, commands_of_a_child_with_copies)
{
	int fd = space_create_full(self->dev, 8, 0, ARENA_CREATE_FORK_COW);
	char *map = space_map(fd, 0, 4);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 4 * CHUNK_BYTES, 5);
	EXPECT_EQ(7, IN_CHILD(({
		struct arena_reclaim zap = { .size = sizeof(zap), .how = ARENA_RECLAIM_ZAP, .length_bytes = 4 * CHUNK_BYTES };
		int result;

		if (ring_start(0))
			_exit(1);
		result = command(fd, ARENA_IOC_RECLAIM, &zap, 0);
		result || zap.nr_chunks != 4 || fault_touch(map) != SIGBUS ? 2 : 7;
	})));
	EXPECT_TRUE(all_words(map, 4 * CHUNK_BYTES, 5));
	EXPECT_EQ(0, munmap(map, 4 * CHUNK_BYTES));
	close(fd);
}

/*
 * Workers of a ring are threads of its process, which is in no group here: what they reserve is
 * charged to the group of the space's creator, and its limit holds.
 */
TEST_F(space, workers_spend_what_the_creator_has)
{
	struct arena_reserve some = { .size = sizeof(some), .length_bytes = 10 * CHUNK_BYTES };
	struct arena_reserve more = { .size = sizeof(more), .offset_bytes = 10 * CHUNK_BYTES,
				      .length_bytes = 16 * CHUNK_BYTES };
	struct arena_uring_call call = { .op = ARENA_IOC_RESERVE, .address = (uintptr_t)&more };
	uint64_t before;
	int fd;

	GROUP_OR_SKIP(16);
	fd = space_of_group(self->dev);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, ring_start(0));
	before = group_bytes();
	EXPECT_EQ(0, command(fd, ARENA_IOC_RESERVE, &some, 0));
	EXPECT_LE(before + 10 * CHUNK_BYTES, group_bytes() + group_slack_bytes());
	EXPECT_EQ(1, command(fd, ARENA_URING_BATCH, &call, 1));
	EXPECT_EQ(-ENOMEM, call.result);
	EXPECT_GE(16 * CHUNK_BYTES, group_bytes());
	io_uring_queue_exit(&ring);
	close(fd);
	GROUP_END();
}

TEST_HARNESS_MAIN
