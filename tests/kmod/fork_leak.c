// SPDX-License-Identifier: MIT
/*
 * No byte that is written after a fork reaches the other side by a reference that was taken before:
 * pages in pipes, and I/O on its way. And what is on its way arrives at the process that asked.
 *
 * Models the class of leaks of copy on write that looks at mappings alone. The delayed disk is
 * device-mapper's, over a RAM disk: what it reads is written to memory half a second later.
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
	ASSERT_EQ((long)PAGE_BYTES, disk_read_end(&aio));
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
	ASSERT_EQ((long)PAGE_BYTES, disk_read_end(&aio));
	EXPECT_TRUE(all_words(self->map, PAGE_BYTES, SECRET));
	EXPECT_TRUE(all_words(self->map + PAGE_BYTES, CHUNK_BYTES - PAGE_BYTES, OLD));
	EXPECT_EQ(0, helper_do(&child, 'e', 1, OLD));
	helper_end(&child);
	disk_close(disk);
}

TEST_HARNESS_MAIN
