// SPDX-License-Identifier: MIT
/*
 * Mappings that the core merges, grows or copies behind the module's back.
 *
 * Models allocators that map an arena piece by piece at consecutive addresses, and debuggers that
 * follow writes across fork. A copy-on-write view ends with its last mapping, so each mapping must
 * be counted once, whatever the core makes of it.
 */
#include "fork.h"
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#define HALF (NR_CHUNKS / 2)

/* The fixture's mapping again, as two at consecutive addresses and offsets. */
static bool map_in_halves(char *map, int fd)
{
	for (unsigned int i = 0; i < 2; i++) {
		size_t offset = i * HALF * CHUNK_BYTES;

		if (mmap(map + offset, HALF * CHUNK_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, fd, (off_t)offset) != map + offset)
			return false;
	}
	return true;
}

static int unmap_all(char *map)
{
	return munmap(map, NR_CHUNKS * CHUNK_BYTES);
}

TEST_F(cow, adjacent_mappings)
{
	ASSERT_EQ(0, unmap_all(self->map));
	ASSERT_TRUE(map_in_halves(self->map, self->fd));
	mark_all(self->map, NR_CHUNKS, 1);
	EXPECT_EQ(NR_CHUNKS, module_stat(self->dev).handed_chunks);
	ASSERT_EQ(0, unmap_all(self->map));
	EXPECT_TRUE(handed_settles(self->dev, 0)) TH_LOG("a mapping was counted that is none");
}

/* The same in a child: its view must be gone before the space is. */
static int child_of_halves(char *map, int fd)
{
	if (unmap_all(map) || !map_in_halves(map, fd))
		return 1;
	mark_all(map, NR_CHUNKS, 2);
	if (unmap_all(map))
		return 2;
	/* Without a mapping there is no view. */
	return space_reserve(fd, 0, 1, NULL) == ENXIO ? 0 : 3;
}

TEST_F(cow, adjacent_mappings_of_a_child)
{
	mark_all(self->map, NR_CHUNKS, 1);
	EXPECT_EQ(0, IN_CHILD(child_of_halves(self->map, self->fd)));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	EXPECT_TRUE(handed_settles(self->dev, NR_CHUNKS));
}

/* What is replaced by a mapping of the same view is taken off before the new one is there. */
TEST_F(cow, mapped_over_itself)
{
	mark_all(self->map, NR_CHUNKS, 1);
	ASSERT_EQ(self->map + CHUNK_BYTES,
		  mmap(self->map + CHUNK_BYTES, CHUNK_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_FIXED, self->fd, CHUNK_BYTES));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	ASSERT_EQ(0, unmap_all(self->map));
	EXPECT_TRUE(handed_settles(self->dev, 0));
}

/* Nothing the module has not agreed to becomes part of a mapping. */
TEST_F(cow, does_not_grow)
{
	char *grown;

	mark_all(self->map, NR_CHUNKS, 1);
	grown = mremap(self->map, NR_CHUNKS * CHUNK_BYTES, (NR_CHUNKS + 1) * CHUNK_BYTES,
		       MREMAP_MAYMOVE);
	EXPECT_EQ(MAP_FAILED, grown);
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	ASSERT_EQ(0, mprotect(self->map + CHUNK_BYTES, CHUNK_BYTES, PROT_READ));
	ASSERT_EQ(0, mprotect(self->map + CHUNK_BYTES, CHUNK_BYTES, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(all_marked(self->map, NR_CHUNKS, 1));
	ASSERT_EQ(0, unmap_all(self->map));
	EXPECT_TRUE(handed_settles(self->dev, 0)) TH_LOG("split and joined: still one view");
}

/* A userfaultfd that watches writes to a chunk, and those of children; -1 where that is refused. */
static int watch_writes(char *map)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_EVENT_FORK };
	struct uffdio_register r = { .mode = UFFDIO_REGISTER_MODE_WP,
				     .range = { .start = (uintptr_t)map, .len = CHUNK_BYTES } };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd >= 0 && (ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &r))) {
		close(uffd);
		return -1;
	}
	return uffd;
}

/* fork() waits until somebody has read of it. */
static void *take_event(void *uffd)
{
	struct uffd_msg message;

	if (read(*(int *)uffd, &message, sizeof(message)) == (ssize_t)sizeof(message) &&
	    message.event == UFFD_EVENT_FORK)
		close((int)message.arg.fork.ufd);
	return NULL;
}

/* For a child that is watched the core copies page tables, also those of shared memory. */
TEST_F(space, nothing_is_inherited_by_userfaultfd)
{
	char *map = space_map(self->fd, 0, 1);
	pthread_t thread;
	int uffd;

	ASSERT_NE(MAP_FAILED, map);
	/* Single pages: only those are copied. */
	ASSERT_EQ(0, mprotect(map + PAGE_BYTES, PAGE_BYTES, PROT_READ));
	*(volatile uint64_t *)map = 7;
	ASSERT_EQ(0, madvise(map, CHUNK_BYTES, MADV_DOFORK));
	uffd = watch_writes(map);
	if (uffd < 0) {
		munmap(map, CHUNK_BYTES);
		SKIP(return, "this kernel watches no writes asynchronously");
	}
	ASSERT_EQ(0, pthread_create(&thread, NULL, take_event, &uffd));
	EXPECT_EQ(SIGBUS, IN_CHILD(fault_touch(map))) TH_LOG("the parent's memory is in the child");
	pthread_join(thread, NULL);
	EXPECT_EQ(7, *(volatile uint64_t *)map);
	close(uffd);
	munmap(map, CHUNK_BYTES);
}

TEST_HARNESS_MAIN
