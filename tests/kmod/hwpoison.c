// SPDX-License-Identifier: MIT
/*
 * Memory errors, injected: the chunk that was hit is never cleared, pooled or freed again.
 *
 * Models a failing memory module on a server that stays up. The error comes by either way the
 * kernel has, MADV_HWPOISON and the injector's file, and hits a chunk in each place where one can
 * be: mapped, kept, referenced by a pipe, inherited by fork, idle in the pool, zeroed and not yet.
 * Needs a kernel with memory failure handling (Debian's cloud kernel 6.12); elsewhere the tests are
 * skipped. Each test costs its machine 2 MiB for good.
 */
#include "common.h"
#include <sys/uio.h>

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

#define INJECTOR	"/sys/kernel/debug/hwpoison/corrupt-pfn"
#define POISONED	"/sys/class/misc/arena/poisoned_chunks"
#define BAD_PAGE	37	/* any but the first */
#define KPF_BUDDY	(1ULL << 10)
#define KPF_HWPOISON	(1ULL << 19)
#define KPF_COMPOUND_TAIL (1ULL << 16)

static unsigned long poisoned_chunks(void)
{
	char text[32];

	return file_read_text(POISONED, text, sizeof(text)) ? ~0UL : strtoul(text, NULL, 10);
}

static uint64_t frame_of(const char *address)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	if (pread(pagemap, &entry, 8, (off_t)((uintptr_t)address / PAGE_BYTES * 8)) != 8)
		entry = 0;
	close(pagemap);
	return entry & ((1ULL << 55) - 1);
}

static uint64_t frame_flags(uint64_t frame)
{
	int flags = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	uint64_t word = 0;

	if (pread(flags, &word, 8, (off_t)(frame * 8)) != 8)
		word = 0;
	close(flags);
	return word;
}

/* The error is marked in any case; what the kernel thinks of it is not ours to judge. */
static void inject_at_frame(uint64_t frame)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)frame);
	file_write_text(INJECTOR, text);
}

static bool can_inject(void)
{
	return access(INJECTOR, W_OK) == 0;
}

#define REQUIRE_INJECTOR() do {							\
	if (!can_inject())							\
		SKIP(return, "this kernel has no hwpoison-inject");		\
	} while (0)

/* Out of use: counted, marked, and still not the page allocator's. */
static void check_retired(struct __test_metadata *_metadata, int dev, uint64_t frame,
			  unsigned long before)
{
	EXPECT_TRUE(WAIT_UNTIL(poisoned_chunks() == before + 1, SETTLE_MS))
		TH_LOG("%lu poisoned", poisoned_chunks());
	EXPECT_EQ(KPF_HWPOISON, frame_flags(frame) & (KPF_HWPOISON | KPF_BUDDY));
	EXPECT_EQ(KPF_COMPOUND_TAIL, frame_flags(frame) & KPF_COMPOUND_TAIL);
	EXPECT_TRUE(stat_settles(dev));
	EXPECT_EQ(0, module_stat(dev).quarantined_chunks);
}

/* Nothing is to be zeroed, nor is being zeroed just now: that is in no count. */
static bool clearing_settles(int dev)
{
	return WAIT_UNTIL(!module_stat(dev).dirty_chunks && stat_balances(dev), 5 * SETTLE_MS);
}

/* Whether the chunk of `frame` can be had by asking for many. */
static bool comes_back(int fd, uint64_t frame)
{
	const unsigned int nr = 32;	/* below the bound of the pool: nothing goes to the system */
	char *map = space_map(fd, 100, nr);
	bool found = map == MAP_FAILED;

	for (unsigned int i = 0; !found && i < nr; i++) {
		fault_touch(map + i * CHUNK_BYTES);
		found = frame_of(map + i * CHUNK_BYTES) == frame - BAD_PAGE;
	}
	munmap(map, nr * CHUNK_BYTES);
	space_zap(fd, 100, nr, NULL);
	return found;
}

TEST_F(space, error_in_a_mapped_chunk_by_madvise)
{
	char *map = space_map(self->fd, 0, 2);
	unsigned long before = poisoned_chunks();
	struct arena_stat stat;
	uint64_t frame;
	int error;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 7);
	frame = frame_of(map + BAD_PAGE * PAGE_BYTES);
	error = madvise(map + BAD_PAGE * PAGE_BYTES, PAGE_BYTES, MADV_HWPOISON) ? errno : 0;
	if (error == EINVAL)
		SKIP(return, "this kernel has no MADV_HWPOISON");
	TH_LOG("MADV_HWPOISON answers: %s", strerror(error));
	ASSERT_EQ(KPF_HWPOISON, frame_flags(frame) & KPF_HWPOISON);

	/* Mapped anew, the bad page is SIGBUS and the rest still there. */
	ASSERT_EQ(0, madvise(map, 2 * CHUNK_BYTES, MADV_DONTNEED));
	EXPECT_EQ(SIGBUS, fault_touch(map + BAD_PAGE * PAGE_BYTES));
	EXPECT_TRUE(all_words(map, BAD_PAGE * PAGE_BYTES, 7));
	EXPECT_TRUE(all_words(map + (BAD_PAGE + 1) * PAGE_BYTES,
			      2 * CHUNK_BYTES - (BAD_PAGE + 1) * PAGE_BYTES, 7));

	/* What the module's own check at load left is cleared some time. */
	EXPECT_TRUE(clearing_settles(self->dev));
	stat = module_stat(self->dev);
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	check_retired(_metadata, self->dev, frame, before);
	EXPECT_EQ(stat.cleared_chunks, module_stat(self->dev).cleared_chunks);
	EXPECT_EQ(stat.handed_chunks - 1, module_stat(self->dev).handed_chunks);
	EXPECT_FALSE(comes_back(self->fd, frame));
}

TEST_F(space, error_in_a_mapped_chunk_by_the_injector)
{
	char *map = space_map(self->fd, 0, 1);
	unsigned long before = poisoned_chunks();
	uint64_t frame;

	REQUIRE_INJECTOR();
	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, 7);
	frame = frame_of(map + BAD_PAGE * PAGE_BYTES);
	inject_at_frame(frame);
	ASSERT_EQ(0, madvise(map, CHUNK_BYTES, MADV_DONTNEED));
	EXPECT_TRUE(all_words(map, BAD_PAGE * PAGE_BYTES, 7));
	EXPECT_EQ(SIGBUS, fault_touch(map + BAD_PAGE * PAGE_BYTES));
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	check_retired(_metadata, self->dev, frame, before);
	EXPECT_FALSE(comes_back(self->fd, frame));
}

TEST_F(space, error_in_an_idle_chunk)
{
	char *map = space_map(self->fd, 0, 1);
	unsigned long before = poisoned_chunks();
	uint64_t frame;

	REQUIRE_INJECTOR();
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 1;
	frame = frame_of(map) + BAD_PAGE;
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_TRUE(clearing_settles(self->dev));
	ASSERT_LE(1, module_stat(self->dev).clean_chunks);
	inject_at_frame(frame);
	EXPECT_FALSE(comes_back(self->fd, frame));
	check_retired(_metadata, self->dev, frame, before);
}

TEST_F(space, error_in_an_idle_chunk_that_is_trimmed)
{
	char *map = space_map(self->fd, 0, 1);
	unsigned long before = poisoned_chunks();
	uint64_t frame;

	REQUIRE_INJECTOR();
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 1;
	frame = frame_of(map) + BAD_PAGE;
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_TRUE(clearing_settles(self->dev));
	inject_at_frame(frame);
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, 0, NULL));
	check_retired(_metadata, self->dev, frame, before);
}

#define CLEAR_RATE	"clear_max_chunks_per_s"
#define NR_DIRTY	4U

/*
 * Gives chunks back full of data, and injects an error into one of them before it is zeroed: with one chunk a second
 * the thread comes to the first or the last at most. Its bad frame.
 */
static uint64_t error_in_a_dirty_chunk(struct __test_metadata *_metadata, int dev, int fd)
{
	char *map = space_map(fd, 0, NR_DIRTY);
	uint64_t frame;

	EXPECT_NE(MAP_FAILED, map);
	fill(map, NR_DIRTY * CHUNK_BYTES, 7);
	frame = frame_of(map + CHUNK_BYTES) + BAD_PAGE;
	EXPECT_TRUE(clearing_settles(dev));
	EXPECT_EQ(0, parameter_set(CLEAR_RATE, 1));
	EXPECT_EQ(0, space_zap(fd, 0, NR_DIRTY, NULL));
	inject_at_frame(frame);
	EXPECT_LE(NR_DIRTY - 1, module_stat(dev).dirty_chunks);
	return frame;
}

TEST_F(space, error_in_a_dirty_chunk_that_is_to_be_cleared)
{
	unsigned long before = poisoned_chunks();
	long long rate = parameter_get(CLEAR_RATE);
	uint64_t frame, cleared;

	REQUIRE_INJECTOR();
	EXPECT_TRUE(clearing_settles(self->dev));
	cleared = module_stat(self->dev).cleared_chunks;
	frame = error_in_a_dirty_chunk(_metadata, self->dev, self->fd);
	EXPECT_EQ(0, parameter_set(CLEAR_RATE, rate));
	EXPECT_TRUE(clearing_settles(self->dev));
	check_retired(_metadata, self->dev, frame, before);
	EXPECT_EQ(NR_DIRTY - 1, module_stat(self->dev).cleared_chunks - cleared);
	EXPECT_FALSE(comes_back(self->fd, frame));
}

TEST_F(space, error_in_a_dirty_chunk_that_is_wanted)
{
	unsigned long before = poisoned_chunks();
	long long rate = parameter_get(CLEAR_RATE);
	uint64_t frame, cleared;

	REQUIRE_INJECTOR();
	cleared = module_stat(self->dev).cleared_at_touch_chunks;
	frame = error_in_a_dirty_chunk(_metadata, self->dev, self->fd);
	EXPECT_FALSE(comes_back(self->fd, frame));
	check_retired(_metadata, self->dev, frame, before);
	EXPECT_LT(cleared, module_stat(self->dev).cleared_at_touch_chunks) TH_LOG("none was dirty");
	EXPECT_EQ(0, parameter_set(CLEAR_RATE, rate));
}

/* In a child whose parent has an error in the first of two chunks. 0 or what was wrong. */
static int child_of_error(char *map)
{
	if (fault_touch(map + BAD_PAGE * PAGE_BYTES) != SIGBUS)
		return 1;
	if (fault_write(map, 9) != SIGBUS)
		return 2;
	if (!all_words(map + CHUNK_BYTES, CHUNK_BYTES, 7) || fault_write(map + CHUNK_BYTES, 9))
		return 3;
	return 0;
}

static void check_parent_of_error(struct __test_metadata *_metadata, char *map)
{
	const size_t rest = (BAD_PAGE + 1) * PAGE_BYTES;

	EXPECT_EQ(0, fault_write(map, 7)) TH_LOG("what is sound can be written to");
	EXPECT_EQ(SIGBUS, fault_touch(map + BAD_PAGE * PAGE_BYTES));
	EXPECT_TRUE(all_words(map, BAD_PAGE * PAGE_BYTES, 7));
	EXPECT_TRUE(all_words(map + rest, 2 * CHUNK_BYTES - rest, 7));
}

/* The error stays with the parent, who loses the bad page and nothing else. */
TEST_F(space, error_in_a_chunk_at_the_fork)
{
	int fd = space_create_full(self->dev, 4, 0, ARENA_CREATE_FORK_COW);
	char *map = space_map(fd, 0, 2);
	unsigned long before = poisoned_chunks();
	uint64_t frame;
	pid_t child;

	REQUIRE_INJECTOR();
	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 7);
	frame = frame_of(map) + BAD_PAGE;
	inject_at_frame(frame);
	child = fork();
	if (!child)
		_exit(child_of_error(map));
	check_parent_of_error(_metadata, map);
	EXPECT_EQ(0, child_status(child));
	EXPECT_EQ(0, munmap(map, 2 * CHUNK_BYTES));
	close(fd);
	check_retired(_metadata, self->dev, frame, before);
	EXPECT_FALSE(comes_back(self->fd, frame));
}

/* The error comes later, to what both share: as where memory for a copy is missing, the parent takes it. */
TEST_F(space, error_in_a_chunk_after_the_fork)
{
	int fd = space_create_full(self->dev, 4, 0, ARENA_CREATE_FORK_COW), ends[2];
	char *map = space_map(fd, 0, 2), go;
	unsigned long before = poisoned_chunks();
	uint64_t frame;
	pid_t child;

	REQUIRE_INJECTOR();
	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	fill(map, 2 * CHUNK_BYTES, 7);
	frame = frame_of(map) + BAD_PAGE;
	child = fork();
	if (!child)
		_exit(read(ends[0], &go, 1) == 1 ? child_of_error(map) : 9);
	inject_at_frame(frame);
	check_parent_of_error(_metadata, map);
	ASSERT_EQ(1, write(ends[1], "", 1));
	EXPECT_EQ(0, child_status(child));
	EXPECT_EQ(0, munmap(map, 2 * CHUNK_BYTES));
	close(fd);
	close(ends[0]);
	close(ends[1]);
	check_retired(_metadata, self->dev, frame, before);
	EXPECT_FALSE(comes_back(self->fd, frame));
}

TEST_F(space, error_in_a_kept_chunk)
{
	char *map = space_map(self->fd, 0, 1);
	unsigned long before = poisoned_chunks();
	uint64_t frame;

	REQUIRE_INJECTOR();
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 1;
	frame = frame_of(map) + BAD_PAGE;
	ASSERT_EQ(0, space_keep(self->fd, 0, 1, NULL));
	inject_at_frame(frame);
	ASSERT_EQ(0, module_trim(self->dev, ~0ULL, ARENA_TRIM_KEPT, NULL));
	check_retired(_metadata, self->dev, frame, before);
}

/* Held back first, because a pipe refers to it; out of use when the pipe is gone. */
TEST_F(space, error_in_a_referenced_chunk)
{
	char *map = space_map(self->fd, 0, 1);
	struct iovec page = { .iov_base = map, .iov_len = PAGE_BYTES };
	unsigned long before = poisoned_chunks();
	uint64_t frame;
	int ends[2];

	REQUIRE_INJECTOR();
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	map[0] = 1;
	frame = frame_of(map) + BAD_PAGE;
	ASSERT_EQ((ssize_t)PAGE_BYTES, vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	inject_at_frame(frame);
	EXPECT_EQ(1, module_stat(self->dev).quarantined_chunks);
	EXPECT_EQ(before, poisoned_chunks());
	close(ends[0]);
	close(ends[1]);
	check_retired(_metadata, self->dev, frame, before);
}

/* The last descriptor's end is a ZAP too, and no account of the user stays behind. */
TEST_F(space, error_in_a_space_that_ends)
{
	int fd = space_create(self->dev, 4);
	char *map = space_map(fd, 0, 4);
	unsigned long before = poisoned_chunks();
	uint64_t frame;

	REQUIRE_INJECTOR();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 4 * CHUNK_BYTES, 3);
	frame = frame_of(map + CHUNK_BYTES) + BAD_PAGE;
	inject_at_frame(frame);
	ASSERT_EQ(0, munmap(map, 4 * CHUNK_BYTES));
	ASSERT_EQ(0, close(fd));
	check_retired(_metadata, self->dev, frame, before);
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_FALSE(comes_back(self->fd, frame));
}

TEST_HARNESS_MAIN
