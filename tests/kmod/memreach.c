// SPDX-License-Identifier: MIT
/*
 * Other ways into a chunk than a load or a store of its owner: a debugger, a pipe, direct I/O,
 * userfaultfd, page migration, and file calls on the space's own descriptor.
 *
 * Models gdb, backup programs, databases with O_DIRECT and runtimes with their own paging. What the
 * kernel can do with a shared file's pages it does with chunks; what it cannot is refused with an
 * errno, and nothing hangs.
 */
#include "common.h"
#include <linux/userfaultfd.h>
#include <sys/ptrace.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

#define WORD		0x5eac4ULL
#define MPOL_BIND_	2
#define MPOL_MF_STRICT_	1
#define MPOL_MF_MOVE_	2

/* ---- a debugger ----------------------------------------------------------------------------- */

/* An aligned address that parent and child know. */
static char *common_address(void)
{
	char *area = mmap(NULL, 4 * CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return (char *)(((uintptr_t)area + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1));
}

/* The child maps the chunks itself, since mappings do not go through fork. Is 0 or what was wrong. */
static int trace_it(int fd)
{
	char *at = common_address();
	pid_t child = fork();
	int status;
	long word;

	if (!child) {
		if (mmap(at, 2 * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
			 0) != at || ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(1);
		*(uint64_t *)(void *)at = WORD;
		raise(SIGSTOP);
		_exit(*(uint64_t *)(void *)at == WORD + 1 ? 0 : 2);
	}
	if (waitpid(child, &status, 0) != child || !WIFSTOPPED(status))
		return 3;
	errno = 0;
	word = ptrace(PTRACE_PEEKDATA, child, at, NULL);
	if (word != (long)WORD || errno)
		return 4;
	/* A word that nobody touched is zero, and reading it is a touch like any other. */
	if (ptrace(PTRACE_PEEKDATA, child, at + CHUNK_BYTES, NULL) || errno)
		return 5;
	if (ptrace(PTRACE_POKEDATA, child, at, WORD + 1))
		return 6;
	if (space_zap(fd, 1, 1, NULL))
		return 7;
	errno = 0;
	if (ptrace(PTRACE_PEEKDATA, child, at + CHUNK_BYTES, NULL) != -1 || errno != EIO)
		return 8;
	ptrace(PTRACE_CONT, child, NULL, NULL);
	return child_status(child);
}

TEST_F(space, ptrace_reads_and_writes)
{
	EXPECT_EQ(0, IN_CHILD(trace_it(self->fd)));
}

/* ---- pipes, files --------------------------------------------------------------------------- */

TEST_F(space, gifted_pages_stay_ours)
{
	char *map = space_map(self->fd, 0, 1), local[PAGE_BYTES];
	struct iovec page = { .iov_base = map, .iov_len = PAGE_BYTES };
	int ends[2], file = open("/tmp/arena-reach", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, file);
	ASSERT_EQ(0, pipe(ends));
	fill(map, CHUNK_BYTES, WORD);
	ASSERT_EQ((ssize_t)PAGE_BYTES, vmsplice(ends[1], &page, 1, SPLICE_F_GIFT));
	EXPECT_EQ((ssize_t)PAGE_BYTES, splice(ends[0], NULL, file, NULL, PAGE_BYTES,
					      SPLICE_F_MOVE)) TH_LOG("%m");
	EXPECT_EQ((ssize_t)PAGE_BYTES, pread(file, local, PAGE_BYTES, 0));
	EXPECT_TRUE(all_words(local, PAGE_BYTES, WORD));
	fill(map, PAGE_BYTES, WORD + 1);
	EXPECT_EQ((ssize_t)PAGE_BYTES, pread(file, local, PAGE_BYTES, 0));
	EXPECT_TRUE(all_words(local, PAGE_BYTES, WORD)) TH_LOG("the file took over the page");
	EXPECT_TRUE(all_words(map + PAGE_BYTES, CHUNK_BYTES - PAGE_BYTES, WORD));
	close(file);
	close(ends[0]);
	close(ends[1]);
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_TRUE(WAIT_UNTIL(module_stat(self->dev).quarantined_chunks == 0, SETTLE_MS));
}

/* The descriptor is for mapping: it is no file to be read. */
TEST_F(space, descriptor_has_no_bytes)
{
	char local[64] = "";
	int ends[2], file = open("/tmp/arena-reach", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	off_t at = 0;

	ASSERT_EQ(0, pipe(ends));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_EQ(-1, read(self->fd, local, sizeof(local)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, local, sizeof(local)));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, pread(self->fd, local, sizeof(local), 0));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, sendfile(file, self->fd, &at, PAGE_BYTES));
	EXPECT_EQ(ESPIPE, errno);
	EXPECT_EQ(-1, splice(self->fd, NULL, ends[1], NULL, PAGE_BYTES, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, copy_file_range(self->fd, NULL, file, NULL, PAGE_BYTES, 0));
	EXPECT_EQ(EXDEV, errno);
	EXPECT_EQ(-1, ftruncate(self->fd, 0));
	EXPECT_EQ(-1, fcntl(self->fd, F_ADD_SEALS, F_SEAL_WRITE));
	EXPECT_EQ(EINVAL, errno) TH_LOG("seals are for memfds");
	EXPECT_EQ(0, space_stat(self->dev).live_chunks);
	close(ends[0]);
	close(ends[1]);
	close(file);
}

/* What a file holds goes out of a chunk and into it, to the device where there is one. */
TEST_F(space, direct_io)
{
	const size_t length = CHUNK_BYTES + PAGE_BYTES;
	char *map = space_map(self->fd, 0, 4);
	int disk = open("/dev/ram0", O_RDWR | O_DIRECT | O_CLOEXEC);

	if (disk < 0)
		SKIP(return, "no disk for direct I/O here: %m");
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, WORD);
	EXPECT_EQ((ssize_t)length, pwrite(disk, map + PAGE_BYTES, length, 0)) TH_LOG("%m");
	EXPECT_EQ((ssize_t)length, pread(disk, map + 2 * CHUNK_BYTES, length, 0)) TH_LOG("%m");
	EXPECT_TRUE(all_words(map + 2 * CHUNK_BYTES, length, WORD));
	EXPECT_TRUE(all_words(map + 2 * CHUNK_BYTES + length, CHUNK_BYTES - PAGE_BYTES, 0));
	/* Into a hole: as far as it goes, or EFAULT. */
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(-1, pread(disk, map, PAGE_BYTES, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(0, module_stat(self->dev).quarantined_chunks);
	close(disk);
}

/* ---- paging by somebody else ---------------------------------------------------------------- */

static int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int uffd_register(int uffd, const char *map, uint64_t mode)
{
	struct uffdio_register r = { .mode = mode, .range = { .start = (uintptr_t)map,
							      .len = CHUNK_BYTES } };

	return call_errno(uffd, UFFDIO_REGISTER, &r);
}

/* Who pages for a chunk is the module, and nobody else. */
TEST_F(space, userfaultfd_is_refused)
{
	static const uint64_t modes[] = { UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP,
					  UFFDIO_REGISTER_MODE_MINOR };
	char *map = space_map(self->fd, 0, 1);
	int uffd = uffd_open(0);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, uffd) TH_LOG("%m");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(EINVAL, uffd_register(uffd, map, modes[i])) TH_LOG("mode %zu", i);
	}
	close(uffd);
	fill(map, CHUNK_BYTES, WORD);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
}

TEST_F(space, userfaultfd_is_refused_with_copies)
{
	static const uint64_t modes[] = { UFFDIO_REGISTER_MODE_MISSING, UFFDIO_REGISTER_MODE_WP,
					  UFFDIO_REGISTER_MODE_MINOR };
	int fd = space_create_full(self->dev, 4, 0, ARENA_CREATE_FORK_COW), uffd = uffd_open(0);
	char *map = space_map(fd, 0, 1);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, uffd) TH_LOG("%m");
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(EINVAL, uffd_register(uffd, map, modes[i])) TH_LOG("mode %zu", i);
	}
	close(uffd);
	uffd = uffd_open(UFFD_FEATURE_WP_ASYNC);
	if (uffd >= 0) {
		EXPECT_EQ(EINVAL, uffd_register(uffd, map, UFFDIO_REGISTER_MODE_WP)) TH_LOG("asynchronous");
	}
	close(uffd);
	EXPECT_EQ(0, munmap(map, CHUNK_BYTES));
	close(fd);
}

/* Newer kernels offer to watch writes to any memory: that may be had, and changes no byte. */
TEST_F(space, userfaultfd_may_watch_writes)
{
	struct uffdio_writeprotect wp = { .mode = UFFDIO_WRITEPROTECT_MODE_WP };
	char *map = space_map(self->fd, 0, 2);
	int uffd = uffd_open(UFFD_FEATURE_WP_ASYNC);

	ASSERT_NE(MAP_FAILED, map);
	if (uffd < 0)
		SKIP(return, "this kernel watches no writes asynchronously");
	fill(map, 2 * CHUNK_BYTES, WORD);
	if (uffd_register(uffd, map, UFFDIO_REGISTER_MODE_WP))
		SKIP(return, "this kernel watches no writes to files");
	wp.range.start = (uintptr_t)map;
	wp.range.len = CHUNK_BYTES;
	EXPECT_EQ(0, call_errno(uffd, UFFDIO_WRITEPROTECT, &wp));
	map[5 * PAGE_BYTES] = 1;
	map[5 * PAGE_BYTES] = WORD & 0xff;
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, WORD));
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 1, NULL));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 0));
	close(uffd);
	EXPECT_TRUE(all_words(map + CHUNK_BYTES, CHUNK_BYTES, WORD));
}

/* Chunks stay where they are, and the answer says so. */
TEST_F(space, migration_moves_nothing)
{
	unsigned long nodes = 1;
	char *map = space_map(self->fd, 0, 1);
	void *page = map;
	int node = 0, status = -1000;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, WORD);
	EXPECT_EQ(0, syscall(SYS_move_pages, 0, 1UL, &page, NULL, &status, 0)) TH_LOG("%m");
	EXPECT_EQ(0, status) TH_LOG("on which node it is");
	EXPECT_LE(0, syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, MPOL_MF_MOVE_));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
	errno = 0;
	syscall(SYS_mbind, map, CHUNK_BYTES, MPOL_BIND_, &nodes, 64, MPOL_MF_MOVE_ | MPOL_MF_STRICT_);
	EXPECT_TRUE(errno == 0 || errno == EIO) TH_LOG("%m");
	syscall(SYS_migrate_pages, 0, 64, &nodes, &nodes);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, WORD));
	EXPECT_EQ(2048, smaps_kb(map, "FilePmdMapped"));
}

TEST_HARNESS_MAIN
