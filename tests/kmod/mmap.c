// SPDX-License-Identifier: MIT
/*
 * mmap() of a space: what is refused and with which errno, what is reserved, where mappings land.
 *
 * Models programs that map as they are used to from files, hugetlb or DAX. What happens to the
 * mapping afterwards (mprotect, mremap, partial munmap) is in memcalls.c.
 */
#include "common.h"

static int map_errno(int fd, size_t length_bytes, int prot, int flags, off_t offset)
{
	void *map = mmap(NULL, length_bytes, prot, flags, fd, offset);

	if (map == MAP_FAILED)
		return errno;
	munmap(map, length_bytes);
	return 0;
}

#define RW (PROT_READ | PROT_WRITE)

TEST_F(space, odd_lengths_are_refused)
{
	EXPECT_EQ(EINVAL, map_errno(self->fd, 4096, RW, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES + 4096, RW, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES - 4096, RW, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES + 1, RW, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, map_errno(self->fd, 0, RW, MAP_SHARED, 0));
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, odd_offsets_are_refused)
{
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES, RW, MAP_SHARED, 4096));
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES, RW, MAP_SHARED, 1));
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, beyond_the_end_is_refused)
{
	const off_t end = SPACE_SLOTS * (off_t)CHUNK_BYTES;

	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES, RW, MAP_SHARED, end));
	EXPECT_EQ(EINVAL, map_errno(self->fd, 2 * CHUNK_BYTES, RW, MAP_SHARED,
				    end - (off_t)CHUNK_BYTES));
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES, RW, MAP_SHARED | MAP_NORESERVE, end));
	EXPECT_NE(0, map_errno(self->fd, CHUNK_BYTES, RW, MAP_SHARED, 1LL << 61));
	EXPECT_EQ(0, map_errno(self->fd, CHUNK_BYTES, RW, MAP_SHARED, end - (off_t)CHUNK_BYTES));
}

TEST_F(space, private_mappings_are_refused)
{
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES, RW, MAP_PRIVATE, 0));
	EXPECT_EQ(EINVAL, map_errno(self->fd, CHUNK_BYTES, PROT_READ, MAP_PRIVATE, 0));
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, fixed_address_must_be_aligned)
{
	char *area = mmap(NULL, 4 * CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *aligned = (char *)(((uintptr_t)area + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1));

	ASSERT_NE(MAP_FAILED, area);
	EXPECT_EQ(MAP_FAILED, mmap(aligned + 4096, CHUNK_BYTES, RW, MAP_SHARED | MAP_FIXED,
				   self->fd, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(aligned, mmap(aligned, CHUNK_BYTES, RW, MAP_SHARED | MAP_FIXED, self->fd, 0));
	aligned[0] = 1;
	EXPECT_EQ(2048, smaps_kb(aligned, "FilePmdMapped"));
}

TEST_F(space, mappings_are_aligned_without_asking)
{
	for (unsigned int i = 0; i < 8; i++) {
		char *map = space_map(self->fd, i, 1 + i % 3);

		ASSERT_NE(MAP_FAILED, map);
		EXPECT_EQ(0, (uintptr_t)map % CHUNK_BYTES);
	}
}

TEST_F(space, hints_are_taken_or_ignored)
{
	char *taken = space_map(self->fd, 0, 1), *beside;

	ASSERT_NE(MAP_FAILED, taken);
	beside = mmap(taken, CHUNK_BYTES, RW, MAP_SHARED, self->fd, (off_t)CHUNK_BYTES);
	ASSERT_NE(MAP_FAILED, beside);
	EXPECT_NE(taken, beside);
	EXPECT_EQ(0, (uintptr_t)beside % CHUNK_BYTES);
	EXPECT_EQ(MAP_FAILED, mmap(taken, CHUNK_BYTES, RW, MAP_SHARED | MAP_FIXED_NOREPLACE,
				   self->fd, 0));
	EXPECT_EQ(EEXIST, errno);
}

TEST_F(space, execution_is_refused)
{
	int error = map_errno(self->fd, CHUNK_BYTES, RW | PROT_EXEC, MAP_SHARED, 0);
	char *map;

	EXPECT_TRUE(error == EACCES || error == EPERM) TH_LOG("errno %d", error);
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
	map = space_map(self->fd, 0, 1);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(-1, mprotect(map, CHUNK_BYTES, PROT_READ | PROT_EXEC));
	EXPECT_EQ(EACCES, errno);
}

TEST_F(space, execution_works_when_asked_for)
{
	static const unsigned char return_42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	int fd = space_create_full(self->dev, 1, 0, ARENA_CREATE_EXEC);
	int (*function)(void);
	char *map;

	ASSERT_LE(0, fd);
	map = space_map(fd, 0, 1);
	ASSERT_NE(MAP_FAILED, map);
	memcpy(map, return_42, sizeof(return_42));
	ASSERT_EQ(0, mprotect(map, CHUNK_BYTES, PROT_READ | PROT_EXEC)) TH_LOG("%m");
	memcpy(&function, &map, sizeof(function));
	EXPECT_EQ(42, function());
	close(fd);
}

TEST_F(space, mmap_reserves)
{
	char *map = space_map(self->fd, 10, 4);
	struct arena_space_stat s = space_stat(self->dev);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(4, s.reserved_chunks);
	EXPECT_EQ(0, s.live_chunks);
	map[0] = 1;
	map[CHUNK_BYTES] = 1;
	s = space_stat(self->dev);
	EXPECT_EQ(4, s.reserved_chunks);
	EXPECT_EQ(2, s.live_chunks);
}

TEST_F(space, noreserve_defers_to_reserve)
{
	char *map = space_map_bare(self->fd, 0, 2);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(SIGBUS, fault_touch(map));
	EXPECT_EQ(SIGBUS, fault_write(map + CHUNK_BYTES, 1));
	EXPECT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_EQ(0, fault_write(map, 1));
	EXPECT_EQ(SIGBUS, fault_write(map + CHUNK_BYTES, 1));
}

TEST_F(space, on_touch_takes_chunks_by_itself)
{
	int fd = space_create_full(self->dev, 4, 2, ARENA_CREATE_ON_TOUCH);
	char *map;

	fault_catch();
	ASSERT_LE(0, fd);
	map = space_map_bare(fd, 0, 4);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(0, fault_write(map, 1));
	EXPECT_EQ(0, fault_write(map + 3 * CHUNK_BYTES, 1));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(SIGBUS, fault_touch(map + CHUNK_BYTES)) TH_LOG("the space's cap is 2 chunks");
	close(fd);
}

TEST_F(space, populate_maps_ahead)
{
	char *map = space_map_flags(self->fd, 0, 4, MAP_POPULATE);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(8192, smaps_kb(map, "Rss"));
	EXPECT_EQ(4, space_stat(self->dev).live_chunks);
}

TEST_F(space, read_only_descriptor_maps_read_only)
{
	int dev = open(DEVICE, O_RDONLY | O_CLOEXEC);
	char *map;

	fault_catch();
	ASSERT_LE(0, dev);
	EXPECT_EQ(EACCES, map_errno(dev, CHUNK_BYTES, RW, MAP_SHARED, 0));
	map = mmap(NULL, CHUNK_BYTES, PROT_READ, MAP_SHARED, dev, 0);
	ASSERT_NE(MAP_FAILED, map) TH_LOG("%m");
	EXPECT_EQ(0, module_stat(dev).handed_chunks) TH_LOG("it must not reserve");
	EXPECT_EQ(SIGBUS, fault_touch(map));
	EXPECT_EQ(-1, mprotect(map, CHUNK_BYTES, RW));
	EXPECT_EQ(EACCES, errno);
	close(dev);
}

TEST_F(space, read_only_mapping_reads_zeros_then_data)
{
	char *map = mmap(NULL, CHUNK_BYTES, PROT_READ, MAP_SHARED, self->fd, 0);
	char *writable;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 0));
	EXPECT_EQ(SIGSEGV, fault_write(map, 1));
	writable = space_map(self->fd, 0, 1);
	ASSERT_NE(MAP_FAILED, writable);
	writable[5] = 'y';
	EXPECT_EQ('y', map[5]);
}

TEST_F(space, two_mappings_share_their_chunks)
{
	char *first = space_map(self->fd, 0, 2), *second = space_map(self->fd, 1, 2);

	ASSERT_NE(MAP_FAILED, first);
	ASSERT_NE(MAP_FAILED, second);
	EXPECT_EQ(3, space_stat(self->dev).reserved_chunks);
	strcpy(first + CHUNK_BYTES, "same chunk");
	EXPECT_STREQ("same chunk", second);
}

TEST_F(space, mapping_survives_close)
{
	char *map = space_map(self->fd, 0, 1);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, close(self->fd));
	self->fd = -1;
	fill(map, CHUNK_BYTES, 0x1234);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 0x1234));
	EXPECT_EQ(1, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, munmap(map, CHUNK_BYTES));
	EXPECT_TRUE(handed_settles(self->dev, 0));
}

TEST_F(space, reservation_survives_munmap)
{
	char *map = space_map(self->fd, 0, 1);

	ASSERT_NE(MAP_FAILED, map);
	strcpy(map, "still here");
	ASSERT_EQ(0, munmap(map, CHUNK_BYTES));
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
	map = space_map(self->fd, 0, 1);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_STREQ("still here", map);
}

TEST_F(space, device_itself_can_be_mapped)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC), other = open(DEVICE, O_RDWR | O_CLOEXEC);
	char *map, *map_other;

	ASSERT_LE(0, dev);
	ASSERT_LE(0, other);
	map = space_map(dev, 0, 2);
	map_other = space_map(other, 0, 2);
	ASSERT_NE(MAP_FAILED, map);
	ASSERT_NE(MAP_FAILED, map_other);
	map[0] = 'a';
	map_other[0] = 'b';
	EXPECT_EQ('a', map[0]) TH_LOG("each open file has a space of its own");
	EXPECT_EQ(2048, smaps_kb(map, "FilePmdMapped"));
	EXPECT_EQ(4, module_stat(dev).handed_chunks);
	EXPECT_EQ(0, space_zap(dev, 0, 2, NULL));
	EXPECT_EQ(2, module_stat(dev).handed_chunks);
	close(dev);
	close(other);
}

TEST_F(space, descriptor_closes_on_exec)
{
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->fd, F_GETFD));
	EXPECT_EQ(O_RDWR, fcntl(self->fd, F_GETFL) & O_ACCMODE);
}

/* Bytes go through the mapping only. */
TEST_F(space, read_and_write_are_refused)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->fd, &byte, 1));
	EXPECT_EQ(-1, write(self->fd, &byte, 1));
	EXPECT_EQ(-1, read(self->dev, &byte, 1));
	EXPECT_EQ(-1, write(self->dev, &byte, 1));
}

TEST_HARNESS_MAIN
