// SPDX-License-Identifier: MIT
/*
 * mremap(), remap_file_pages(), MAP_FIXED over a mapping, and PROT_EXEC: calls that change where a
 * mapping lies, how long it is and what it allows.
 *
 * Models allocators that grow and shrink arrays in place, and programs that replace a piece of
 * their address space at once. A mapping is only a view: none of these calls reserves a chunk or
 * gives one back.
 */
#include "common.h"

#define WORD	0x4e3a9ULL

/* An aligned address with `nr` chunks of room after it, mapped by nobody. */
static char *room(unsigned int nr)
{
	size_t length_bytes = (nr + 1) * CHUNK_BYTES;
	char *area = mmap(NULL, length_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(area, length_bytes);
	return (char *)(((uintptr_t)area + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1));
}

static char *map_at(char *address, int fd, uint64_t slot, uint64_t nr, int prot, int flags)
{
	return mmap(address, nr * CHUNK_BYTES, prot, MAP_SHARED | MAP_FIXED | flags, fd,
		    (off_t)(slot * CHUNK_BYTES));
}

static char *map_rw(char *address, int fd, uint64_t slot, uint64_t nr)
{
	return map_at(address, fd, slot, nr, PROT_READ | PROT_WRITE, 0);
}

TEST_F(space, grow_in_place_reserves_nothing)
{
	char *at = room(4), *map = map_rw(at, self->fd, 0, 1);

	fault_catch();
	ASSERT_EQ(at, map);
	fill(map, CHUNK_BYTES, WORD);
	ASSERT_EQ(at, mremap(map, CHUNK_BYTES, 3 * CHUNK_BYTES, 0)) TH_LOG("%m");
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
	EXPECT_EQ(2048, smaps_kb(map, "FilePmdMapped")) TH_LOG("growing split the mapping");
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(SIGBUS, fault_touch(map + CHUNK_BYTES));
	ASSERT_EQ(0, space_reserve(self->fd, 1, 2, NULL));
	fill(map + CHUNK_BYTES, 2 * CHUNK_BYTES, WORD + 1);
	EXPECT_EQ(3 * 2048, smaps_kb(map, "FilePmdMapped"));
}

TEST_F(space, grow_by_moving)
{
	char *at = room(4), *map = map_rw(at, self->fd, 0, 2), *grown;

	ASSERT_EQ(at, map);
	fill(map, 2 * CHUNK_BYTES, WORD);
	/* Something in the way. */
	ASSERT_NE(MAP_FAILED, mmap(at + 2 * CHUNK_BYTES, PAGE_BYTES, PROT_NONE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	EXPECT_EQ(MAP_FAILED, mremap(map, 2 * CHUNK_BYTES, 4 * CHUNK_BYTES, 0));
	EXPECT_EQ(ENOMEM, errno);
	grown = mremap(map, 2 * CHUNK_BYTES, 4 * CHUNK_BYTES, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, grown) TH_LOG("%m");
	EXPECT_EQ(0, (uintptr_t)grown % CHUNK_BYTES) TH_LOG("moved to where no PMD fits");
	EXPECT_TRUE(all_words(grown, 2 * CHUNK_BYTES, WORD));
	ASSERT_EQ(0, space_reserve(self->fd, 2, 2, NULL));
	EXPECT_TRUE(all_words(grown + 2 * CHUNK_BYTES, 2 * CHUNK_BYTES, 0));
}

#define LEAF_SLOTS 512	/* the module keeps so many slots in a page */

/* What mremap() made of a space of `nr_slots` that reserves at a touch, touched beyond its end. */
static int touch_beyond(int dev, uint64_t nr_slots)
{
	uint64_t nr_grown = nr_slots + 2 * LEAF_SLOTS;
	uint64_t beyond[] = { nr_slots, nr_slots + LEAF_SLOTS, nr_grown - 1 };
	int fd = space_create_full(dev, nr_slots, 0, ARENA_CREATE_ON_TOUCH), wrong = 0;
	char *map = space_map_bare(fd, 0, nr_slots), *grown;

	grown = mremap(map, nr_slots * CHUNK_BYTES, nr_grown * CHUNK_BYTES, MREMAP_MAYMOVE);
	if (map == MAP_FAILED || grown == MAP_FAILED)
		return -1;
	for (unsigned int i = 0; i < 3; i++) {
		wrong += fault_touch(grown + beyond[i] * CHUNK_BYTES) != SIGBUS;
		wrong += fault_write(grown + beyond[i] * CHUNK_BYTES, 1) != SIGBUS;
		wrong += !madvise(grown + beyond[i] * CHUNK_BYTES, PAGE_BYTES, MADV_POPULATE_WRITE);
	}
	wrong += fault_write(grown, 1) != 0;
	wrong += space_stat(fd).reserved_chunks != 1;
	munmap(grown, nr_grown * CHUNK_BYTES);
	close(fd);
	return wrong;
}

/* A mapping may grow beyond its space, as beyond the end of a file; nothing is reserved there. */
TEST_F(space, grow_beyond_a_space_that_reserves_at_a_touch)
{
	fault_catch();
	EXPECT_EQ(0, touch_beyond(self->dev, 1));
	EXPECT_EQ(0, touch_beyond(self->dev, LEAF_SLOTS));
	EXPECT_EQ(0, touch_beyond(self->dev, LEAF_SLOTS + 1));
}

TEST_F(space, shrink_gives_nothing_back)
{
	char *map = space_map(self->fd, 0, 3);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 3 * CHUNK_BYTES, WORD);
	ASSERT_EQ(map, mremap(map, 3 * CHUNK_BYTES, CHUNK_BYTES, 0));
	EXPECT_EQ(SIGSEGV, fault_touch(map + CHUNK_BYTES));
	EXPECT_EQ(2048, smaps_kb(map, "Rss"));
	EXPECT_EQ(3, space_stat(self->dev).reserved_chunks);
	munmap(map, CHUNK_BYTES);
	map = space_map_bare(self->fd, 0, 3);
	EXPECT_TRUE(all_words(map, 3 * CHUNK_BYTES, WORD));
}

/* Lengths that are not whole chunks: mapped page by page where a PMD does not fit. */
TEST_F(space, shrink_and_grow_by_pages)
{
	char *map = space_map(self->fd, 0, 2);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, WORD);
	ASSERT_EQ(map, mremap(map, 2 * CHUNK_BYTES, CHUNK_BYTES + 3 * PAGE_BYTES, 0));
	EXPECT_EQ(SIGSEGV, fault_touch(map + CHUNK_BYTES + 3 * PAGE_BYTES));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES + 3 * PAGE_BYTES, WORD));
	ASSERT_EQ(map, mremap(map, CHUNK_BYTES + 3 * PAGE_BYTES, 2 * CHUNK_BYTES, 0));
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, WORD));
	ASSERT_EQ(0, space_zap(self->fd, 0, 2, NULL));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	EXPECT_EQ(SIGBUS, fault_touch(map + CHUNK_BYTES));
}

/* An old length of 0 makes a second mapping of the same chunks. */
TEST_F(space, mremap_doubles)
{
	char *map = space_map(self->fd, 0, 1), *twin;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, WORD);
	twin = mremap(map, 0, CHUNK_BYTES, MREMAP_MAYMOVE);
	ASSERT_NE(MAP_FAILED, twin) TH_LOG("%m");
	EXPECT_TRUE(all_words(twin, CHUNK_BYTES, WORD));
	EXPECT_EQ(0, fault_write(twin, WORD + 1));
	EXPECT_EQ(WORD + 1, *(uint64_t *)(void *)map);
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(SIGBUS, fault_touch(map));
	EXPECT_EQ(SIGBUS, fault_touch(twin));
}

/* The source stays mapped, and shows the same chunk: the memory belongs to the space. */
TEST_F(space, mremap_dontunmap)
{
	const int dontunmap = 4;
	char *map = space_map(self->fd, 0, 1), *moved;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, WORD);
	moved = (char *)syscall(SYS_mremap, map, CHUNK_BYTES, CHUNK_BYTES,
				MREMAP_MAYMOVE | dontunmap, NULL);
	ASSERT_NE(MAP_FAILED, moved) TH_LOG("%m");
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	EXPECT_TRUE(all_words(moved, CHUNK_BYTES, WORD));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
}

/* ---- copy on write -------------------------------------------------------------------------- */

/* Two mapped chunks full of WORD, in a space that children get a copy of. */
static char *map_cow(int dev, int *fd)
{
	char *map;

	*fd = space_create_full(dev, 8, 0, ARENA_CREATE_FORK_COW);
	map = space_map(*fd, 0, 2);
	if (map != MAP_FAILED)
		fill(map, 2 * CHUNK_BYTES, WORD);
	return map;
}

static int remap_errno(char *map, size_t old_bytes, size_t new_bytes, int flags)
{
	return mremap(map, old_bytes, new_bytes, flags) == MAP_FAILED ? errno : 0;
}

/* Each mapping is counted, and none may grow: refused with the bytes as they were. */
TEST_F(space, cow_mappings_do_not_grow)
{
	const size_t bytes = 2 * CHUNK_BYTES;
	const int dontunmap = 4;
	int fd;
	char *map = map_cow(self->dev, &fd);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(EFAULT, remap_errno(map, bytes, 2 * bytes, 0));
	EXPECT_EQ(EFAULT, remap_errno(map, bytes, 2 * bytes, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, remap_errno(map, bytes, bytes + PAGE_BYTES, MREMAP_MAYMOVE));
	EXPECT_EQ(EFAULT, remap_errno(map, 0, bytes, MREMAP_MAYMOVE)) TH_LOG("doubled");
	EXPECT_EQ(EINVAL, remap_errno(map, bytes, bytes, MREMAP_MAYMOVE | dontunmap));
	EXPECT_TRUE(all_words(map, bytes, WORD));
	EXPECT_EQ(2 * 2048, smaps_kb(map, "FilePmdMapped"));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(0, munmap(map, bytes));
	EXPECT_TRUE(handed_settles(self->dev, 0)) TH_LOG("the last mapping takes the memory along");
	close(fd);
}

TEST_F(space, cow_mappings_move_and_shrink)
{
	int fd;
	char *map = map_cow(self->dev, &fd), *at = room(2), *moved;

	ASSERT_NE(MAP_FAILED, map);
	fault_catch();
	moved = mremap(map, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED, at);
	ASSERT_EQ(at, moved) TH_LOG("%m");
	EXPECT_EQ(SIGSEGV, fault_touch(map));
	EXPECT_TRUE(all_words(moved, 2 * CHUNK_BYTES, WORD));
	ASSERT_EQ(moved, mremap(moved, 2 * CHUNK_BYTES, CHUNK_BYTES, 0)) TH_LOG("%m");
	EXPECT_EQ(SIGSEGV, fault_touch(moved + CHUNK_BYTES));
	EXPECT_TRUE(all_words(moved, CHUNK_BYTES, WORD));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks) TH_LOG("a mapping is left");
	EXPECT_EQ(0, munmap(moved, CHUNK_BYTES));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	close(fd);
}

static unsigned int mappings_in(const char *base, size_t length_bytes)
{
	unsigned long from, to, first = (uintptr_t)base;
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int count = 0;
	char line[512];

	while (maps && fgets(line, sizeof(line), maps))
		count += sscanf(line, "%lx-%lx ", &from, &to) == 2 && from >= first &&
			 to <= first + length_bytes;
	if (maps)
		fclose(maps);
	return count;
}

TEST_F(space, cow_mappings_are_not_merged)
{
	int fd;
	char *map = map_cow(self->dev, &fd);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(1, mappings_in(map, 2 * CHUNK_BYTES));
	ASSERT_EQ(0, mprotect(map, CHUNK_BYTES, PROT_READ));
	ASSERT_EQ(0, mprotect(map, CHUNK_BYTES, PROT_READ | PROT_WRITE));
	EXPECT_EQ(2, mappings_in(map, 2 * CHUNK_BYTES));
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, WORD));
	EXPECT_EQ(0, munmap(map, 2 * CHUNK_BYTES));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	close(fd);
}

static int remap_pages(char *map, uint64_t slot)
{
	/* glibc warns of the call, which the kernel emulates by mmap(). */
	return (int)syscall(SYS_remap_file_pages, map, CHUNK_BYTES, 0, slot * 512, 0);
}

TEST_F(space, remap_file_pages_shows_another_slot)
{
	char *map = space_map(self->fd, 0, 2);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, WORD);
	fill(map + CHUNK_BYTES, CHUNK_BYTES, WORD + 1);
	ASSERT_EQ(0, remap_pages(map, 1)) TH_LOG("%m");
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, WORD + 1));
	EXPECT_EQ(-1, remap_pages(map, SPACE_SLOTS)) TH_LOG("past the end");
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, syscall(SYS_remap_file_pages, map + CHUNK_BYTES, PAGE_BYTES, 0, 7, 0));
	EXPECT_EQ(EINVAL, errno) TH_LOG("mappings are of whole chunks");
	EXPECT_TRUE(all_words(map + CHUNK_BYTES + PAGE_BYTES, CHUNK_BYTES - PAGE_BYTES, WORD + 1));
}

TEST_F(space, map_fixed_over_chunks_keeps_them)
{
	char *map = space_map(self->fd, 0, 3), *over;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 3 * CHUNK_BYTES, WORD);
	/* Anonymous memory over the middle, and a page of it over the edge. */
	over = mmap(map + CHUNK_BYTES, CHUNK_BYTES + PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	ASSERT_EQ(map + CHUNK_BYTES, over);
	EXPECT_TRUE(all_words(over, CHUNK_BYTES + PAGE_BYTES, 0)) TH_LOG("it shows chunks");
	fill(over, CHUNK_BYTES + PAGE_BYTES, 1);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
	EXPECT_TRUE(all_words(over + CHUNK_BYTES + PAGE_BYTES, CHUNK_BYTES - PAGE_BYTES, WORD));
	/* And chunks over anonymous memory. */
	ASSERT_EQ(map, map_rw(map, self->fd, 0, 3));
	EXPECT_TRUE(all_words(map, 3 * CHUNK_BYTES, WORD));
	EXPECT_EQ(3, space_stat(self->dev).reserved_chunks);
	/* Another slot over a mapped one, and a place where no chunk can begin. */
	ASSERT_EQ(map, map_rw(map, self->fd, 5, 1));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 0));
	EXPECT_EQ(MAP_FAILED, map_rw(map + PAGE_BYTES, self->fd, 0, 1));
	EXPECT_EQ(EINVAL, errno);
}

TEST_F(space, exec_is_by_creation_only)
{
	int exec = space_create_full(self->dev, 4, 0, ARENA_CREATE_EXEC);
	const int rx = PROT_READ | PROT_EXEC;
	char *at = room(1), *map;
	int (*answer)(void);

	ASSERT_LE(0, exec);
	EXPECT_EQ(MAP_FAILED, map_at(at, self->fd, 0, 1, rx, 0));
	EXPECT_EQ(EACCES, errno);
	map = space_map(self->fd, 0, 1);
	EXPECT_EQ(-1, mprotect(map, CHUNK_BYTES, rx));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, mprotect(map, PAGE_BYTES, PROT_EXEC));
	EXPECT_EQ(EACCES, errno);

	map = space_map(exec, 0, 1);
	ASSERT_NE(MAP_FAILED, map);
	memcpy(map, "\xb8\x2a\x00\x00\x00\xc3", 6);	/* x86: mov $42, %eax; ret */
	ASSERT_EQ(0, mprotect(map, CHUNK_BYTES, rx)) TH_LOG("%m");
#ifdef __x86_64__
	memcpy(&answer, &map, sizeof(answer));
	EXPECT_EQ(42, answer());
#endif
	close(exec);
}

/* A descriptor that may not write gives no mapping that may, now or later. */
TEST_F(space, read_only_descriptors)
{
	char path[64], *map = space_map(self->fd, 0, 1), *view;
	int fd;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, WORD);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, fd) TH_LOG("%m");
	EXPECT_EQ(MAP_FAILED, space_map(fd, 0, 1));
	EXPECT_EQ(EACCES, errno);
	view = mmap(NULL, CHUNK_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ASSERT_NE(MAP_FAILED, view);
	EXPECT_TRUE(all_words(view, CHUNK_BYTES, WORD));
	EXPECT_EQ(-1, mprotect(view, CHUNK_BYTES, PROT_READ | PROT_WRITE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_EQ(-1, madvise(view, CHUNK_BYTES, MADV_REMOVE));
	EXPECT_EQ(EACCES, errno);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
	close(fd);
}

TEST_HARNESS_MAIN
