// SPDX-License-Identifier: MIT
/*
 * No byte that is written after a fork reaches the other side by a reference that was taken before:
 * pages in pipes, and I/O on its way. And what is on its way arrives at the process that asked.
 *
 * Models the class of leaks of copy on write that looks at mappings alone. The delayed disk is
 * device-mapper's, over a RAM disk: it reads and writes memory half a second after it was asked.
 */
#include "fork.h"
#include "fork_disk.h"

#define OLD	0x01d01d01d01d01d0ULL
#define SECRET	0x5ec7e75ec7e75ec7ULL

static uint64_t word_from_pipe(int pipe_out)
{
	uint64_t page[PAGE_BYTES / sizeof(uint64_t)] = { 0 };

	return read(pipe_out, page, sizeof(page)) == (ssize_t)sizeof(page) ? page[0] : 0;
}

static int splice_and_unmap(char *map, int pipe_in)
{
	return helper_splice(map, pipe_in) || munmap(map, NR_CHUNKS * CHUNK_BYTES);
}

/* The child keeps a page of what both share, and is gone when the parent writes. */
TEST_F(cow, parent_writes_what_a_child_keeps)
{
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	fill(self->map, CHUNK_BYTES, OLD);
	ASSERT_EQ(0, IN_CHILD(splice_and_unmap(self->map, ends[1])));
	fill(self->map, CHUNK_BYTES, SECRET);
	EXPECT_TRUE(all_words(self->map, CHUNK_BYTES, SECRET));
	EXPECT_EQ(1, module_stat(self->dev).quarantined_chunks) TH_LOG("left behind, not reused");
	EXPECT_EQ(OLD, word_from_pipe(ends[0]));
	EXPECT_TRUE(WAIT_UNTIL(!module_stat(self->dev).quarantined_chunks, SETTLE_MS));
	close(ends[0]);
	close(ends[1]);
}

/* The same with the child alive, its slot given back. */
TEST_F(cow, parent_writes_what_a_living_child_keeps)
{
	struct helper child;
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	fill(self->map, CHUNK_BYTES, OLD);
	fork_pipe = ends[1];
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(0, helper_do(&child, 'v', 1, 0));
	EXPECT_EQ(0, helper_do(&child, 'Z', 1, 0));
	fill(self->map, CHUNK_BYTES, SECRET);
	EXPECT_EQ(OLD, word_from_pipe(ends[0]));
	helper_end(&child);
	close(ends[0]);
	close(ends[1]);
}

/* The parent keeps a page, gives its slot back, and the child writes. */
TEST_F(cow, child_writes_what_its_parent_keeps)
{
	struct helper child;
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	fill(self->map, CHUNK_BYTES, OLD);
	child = helper_start(self->map, self->fd);
	ASSERT_EQ(0, helper_splice(self->map, ends[1]));
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(0, helper_do(&child, 'w', 1, SECRET));
	EXPECT_EQ(OLD, word_from_pipe(ends[0]));
	helper_end(&child);
	close(ends[0]);
	close(ends[1]);
}

/* A page that was in the pipe at the fork: the chunk stays the parent's, the child has a copy. */
TEST_F(cow, page_in_a_pipe_at_the_fork)
{
	struct helper child;
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	for (unsigned int i = 0; i < NR_CHUNKS; i++)
		fill(self->map + i * CHUNK_BYTES, CHUNK_BYTES, OLD);
	ASSERT_EQ(0, helper_splice(self->map, ends[1]));
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(NR_CHUNKS + 1, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, helper_do(&child, 'e', 1, OLD));
	EXPECT_EQ(0, helper_do(&child, 'w', 1, SECRET));
	fill(self->map, CHUNK_BYTES, OLD + 1);
	EXPECT_EQ(OLD + 1, word_from_pipe(ends[0])) TH_LOG("its own page, as without a fork");
	helper_end(&child);
	close(ends[0]);
	close(ends[1]);
}

/* A process that never forked may lose no write of a device, whatever unmaps its chunks. */
TEST_F(cow, own_references_do_not_move_a_chunk)
{
	int ends[2];

	ASSERT_EQ(0, pipe(ends));
	fill(self->map, CHUNK_BYTES, OLD);
	ASSERT_EQ(0, helper_splice(self->map, ends[1]));
	ASSERT_EQ(0, madvise(self->map, CHUNK_BYTES, MADV_DONTNEED));
	fill(self->map, CHUNK_BYTES, OLD + 2);
	EXPECT_EQ(OLD + 2, word_from_pipe(ends[0]));
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	close(ends[0]);
	close(ends[1]);
}

/* A read of a disk that is on its way at the fork arrives at the parent, and only there. */
TEST_F(cow, disk_read_at_the_fork)
{
	int disk = disk_open(SECRET);
	struct helper child;
	aio_context_t aio = 0;

	if (disk < 0)
		SKIP(return, "no delayed disk: %m");
	fill(self->map, CHUNK_BYTES, OLD);
	ASSERT_EQ(0, disk_read_start(disk, self->map, PAGE_BYTES, &aio));
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(NR_CHUNKS + 1, module_stat(self->dev).handed_chunks);
	*(volatile uint64_t *)(self->map + 2 * PAGE_BYTES) = OLD + 1;
	ASSERT_EQ((long)PAGE_BYTES, disk_end(&aio));
	EXPECT_TRUE(all_words(self->map, PAGE_BYTES, SECRET));
	EXPECT_EQ(OLD + 1, *(volatile uint64_t *)(self->map + 2 * PAGE_BYTES));
	EXPECT_EQ(0, helper_do(&child, 'e', 1, OLD));
	helper_end(&child);
	disk_close(disk);
}

/* One that starts after the fork makes a copy for whoever asked. */
TEST_F(cow, disk_read_after_the_fork)
{
	int disk = disk_open(SECRET);
	struct helper child;
	aio_context_t aio = 0;

	if (disk < 0)
		SKIP(return, "no delayed disk: %m");
	fill(self->map, CHUNK_BYTES, OLD);
	child = helper_start(self->map, self->fd);
	ASSERT_EQ(0, disk_read_start(disk, self->map, PAGE_BYTES, &aio));
	EXPECT_EQ(0, IN_CHILD(!all_words(self->map + PAGE_BYTES, PAGE_BYTES, OLD)));
	ASSERT_EQ((long)PAGE_BYTES, disk_end(&aio));
	EXPECT_TRUE(all_words(self->map, PAGE_BYTES, SECRET));
	EXPECT_TRUE(all_words(self->map + PAGE_BYTES, CHUNK_BYTES - PAGE_BYTES, OLD));
	EXPECT_EQ(0, helper_do(&child, 'e', 1, OLD));
	helper_end(&child);
	disk_close(disk);
}

static int child_disk = -1;
static aio_context_t child_aio;

/* The child's own I/O, started and ended by orders of its parent. */
static int obey_disk(char *map, struct order order)
{
	switch (order.what) {
	case '<': return disk_read_start(child_disk, map, PAGE_BYTES, &child_aio);
	case '>': return disk_write_start(child_disk, map, PAGE_BYTES, &child_aio);
	case '.': return disk_end(&child_aio) == (long)PAGE_BYTES ? 0 : 1;
	case '=': return all_words(map, PAGE_BYTES, order.word) ? 0 : 1;
	case 'E': return all_words(map + PAGE_BYTES, CHUNK_BYTES - PAGE_BYTES, order.word) ? 0 : 1;
	default: return -1;
	}
}

static struct helper disk_helper(int disk, char *map, int fd)
{
	child_disk = disk;
	fork_obey = obey_disk;
	return helper_start(map, fd);
}

/* A child's read arrives at the child, whatever its parent writes meanwhile, and not at the parent. */
TEST_F(cow, childs_disk_read_while_its_parent_writes)
{
	int disk = disk_open(SECRET);
	struct helper child;

	if (disk < 0)
		SKIP(return, "no delayed disk: %m");
	fill(self->map, CHUNK_BYTES, OLD);
	child = disk_helper(disk, self->map, self->fd);
	ASSERT_EQ(0, helper_do(&child, '<', 0, 0));
	EXPECT_TRUE(all_words(self->map, CHUNK_BYTES, OLD));
	fill(self->map, CHUNK_BYTES, OLD + 1);
	EXPECT_EQ(0, helper_do(&child, '.', 0, 0));
	EXPECT_TRUE(all_words(self->map, CHUNK_BYTES, OLD + 1)) TH_LOG("the child's data, or a lost write");
	EXPECT_EQ(0, helper_do(&child, '=', 0, SECRET));
	EXPECT_EQ(0, helper_do(&child, 'E', 0, OLD));
	*(volatile uint64_t *)(self->map + PAGE_BYTES) = OLD + 2;
	EXPECT_EQ(0, helper_do(&child, 'E', 0, OLD));
	helper_end(&child);
	disk_close(disk);
}

/* What a child has on its way to the disk is not what its parent writes afterwards, the slot shared or not. */
static void child_writes_to_disk(struct __test_metadata *_metadata, char *map, int fd, bool zap)
{
	int disk = disk_open(0);
	struct helper child;

	if (disk < 0)
		SKIP(return, "no delayed disk: %m");
	fill(map, CHUNK_BYTES, OLD);
	child = disk_helper(disk, map, fd);
	ASSERT_EQ(0, helper_do(&child, '>', 0, 0));
	if (zap)
		EXPECT_EQ(0, helper_do(&child, 'Z', 1, 0));
	fill(map, CHUNK_BYTES, SECRET);
	EXPECT_EQ(0, helper_do(&child, '.', 0, 0));
	EXPECT_TRUE(disk_holds(disk, OLD)) TH_LOG("the parent's secret is on the child's disk");
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, SECRET));
	helper_end(&child);
	disk_close(disk);
}

TEST_F(cow, childs_disk_write_while_its_parent_writes)
{
	child_writes_to_disk(_metadata, self->map, self->fd, false);
}

TEST_F(cow, childs_disk_write_of_what_it_gave_back)
{
	child_writes_to_disk(_metadata, self->map, self->fd, true);
}

/* The same in the other direction. */
static void parent_writes_to_disk(struct __test_metadata *_metadata, char *map, int fd, bool zap)
{
	int disk = disk_open(0);
	aio_context_t aio = 0;
	struct helper child;

	if (disk < 0)
		SKIP(return, "no delayed disk: %m");
	fill(map, CHUNK_BYTES, OLD);
	child = helper_start(map, fd);
	ASSERT_EQ(0, disk_write_start(disk, map, PAGE_BYTES, &aio));
	if (zap)
		EXPECT_EQ(0, space_zap(fd, 0, 1, NULL));
	EXPECT_EQ(0, helper_do(&child, 'w', 1, SECRET));
	ASSERT_EQ((long)PAGE_BYTES, disk_end(&aio));
	EXPECT_TRUE(disk_holds(disk, OLD)) TH_LOG("the child's secret is on its parent's disk");
	EXPECT_EQ(0, helper_do(&child, 'r', 1, SECRET));
	helper_end(&child);
	disk_close(disk);
}

TEST_F(cow, parents_disk_write_while_its_child_writes)
{
	parent_writes_to_disk(_metadata, self->map, self->fd, false);
}

TEST_F(cow, parents_disk_write_of_what_it_gave_back)
{
	parent_writes_to_disk(_metadata, self->map, self->fd, true);
}

/* A write that is on its way at the fork: the chunk stays the parent's, the child writes to a copy. */
TEST_F(cow, disk_write_at_the_fork)
{
	int disk = disk_open(0);
	aio_context_t aio = 0;
	struct helper child;

	if (disk < 0)
		SKIP(return, "no delayed disk: %m");
	fill(self->map, CHUNK_BYTES, OLD);
	ASSERT_EQ(0, disk_write_start(disk, self->map, PAGE_BYTES, &aio));
	child = helper_start(self->map, self->fd);
	EXPECT_EQ(NR_CHUNKS + 1, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, helper_do(&child, 'w', 1, SECRET));
	ASSERT_EQ((long)PAGE_BYTES, disk_end(&aio));
	EXPECT_TRUE(disk_holds(disk, OLD));
	EXPECT_TRUE(all_words(self->map, CHUNK_BYTES, OLD));
	helper_end(&child);
	disk_close(disk);
}

TEST_HARNESS_MAIN
