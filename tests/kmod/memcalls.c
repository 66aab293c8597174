// SPDX-License-Identifier: MIT
/*
 * The memory calls that programs make on any mapping, made on chunks.
 *
 * Models debuggers, databases, language runtimes and kernel subsystems that reach into memory by
 * other ways than a load or a store. A chunk looks like a huge page of a shared file that never
 * goes to disk; wherever such a page has a defined answer, chunks give the same.
 */
#include "group.h"
#include <sys/uio.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif
#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif

/* Of x86 and the generic table alike; the C library may be older than the kernel. */
#ifndef SYS_mseal
#define SYS_mseal 462
#endif

#define LAST_ADVICE	25	/* MADV_COLLAPSE, the newest advice that 6.12 knows */

TEST_F(space, mprotect_and_back)
{
	char *map = space_map(self->fd, 0, 2);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 5);
	ASSERT_EQ(0, mprotect(map, CHUNK_BYTES, PROT_READ));
	EXPECT_EQ(SIGSEGV, fault_write(map, 1));
	EXPECT_EQ(0, fault_write(map + CHUNK_BYTES, 5));
	ASSERT_EQ(0, mprotect(map + 8192, 4096, PROT_NONE)) TH_LOG("%m");
	EXPECT_EQ(SIGSEGV, fault_touch(map + 8192));
	EXPECT_EQ(0, fault_touch(map + 4096));
	ASSERT_EQ(0, mprotect(map, CHUNK_BYTES, PROT_READ | PROT_WRITE));
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 5));
	EXPECT_EQ(0, fault_write(map + 8192, 6));
}

TEST_F(space, hole_of_one_page)
{
	char *map = space_map(self->fd, 0, 2);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 9);
	ASSERT_EQ(0, munmap(map + 64 * PAGE_BYTES, PAGE_BYTES)) TH_LOG("%m");
	EXPECT_EQ(SIGSEGV, fault_touch(map + 64 * PAGE_BYTES));
	EXPECT_TRUE(all_words(map, 64 * PAGE_BYTES, 9));
	EXPECT_TRUE(all_words(map + 65 * PAGE_BYTES, CHUNK_BYTES - 65 * PAGE_BYTES, 9));
	EXPECT_EQ(2048, smaps_kb(map + CHUNK_BYTES, "FilePmdMapped"))
		TH_LOG("the neighbor stays huge");
	EXPECT_EQ(64 * 4, smaps_kb(map, "Rss"));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
	ASSERT_EQ(0, space_zap(self->fd, 0, 2, NULL));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	EXPECT_EQ(SIGBUS, fault_touch(map));
	EXPECT_EQ(SIGBUS, fault_touch(map + 65 * PAGE_BYTES));
}

TEST_F(space, munmap_of_a_middle_chunk)
{
	char *map = space_map(self->fd, 0, 3);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 3 * CHUNK_BYTES, 4);
	ASSERT_EQ(0, munmap(map + CHUNK_BYTES, CHUNK_BYTES));
	EXPECT_EQ(SIGSEGV, fault_touch(map + CHUNK_BYTES));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 4));
	EXPECT_TRUE(all_words(map + 2 * CHUNK_BYTES, CHUNK_BYTES, 4));
	EXPECT_EQ(3, space_stat(self->dev).reserved_chunks) TH_LOG("the slot keeps its chunk");
}

TEST_F(space, process_vm_calls)
{
	char *map = space_map(self->fd, 0, 2), local[64] = "";
	struct iovec here = { .iov_base = local, .iov_len = 32 };
	struct iovec there = { .iov_base = map + CHUNK_BYTES - 16, .iov_len = 32 };

	ASSERT_NE(MAP_FAILED, map);
	memcpy(map + CHUNK_BYTES - 16, "across the edge of two chunks...", 32);
	EXPECT_EQ(32, process_vm_readv(getpid(), &here, 1, &there, 1, 0)) TH_LOG("%m");
	EXPECT_EQ(0, memcmp("across the edge of two chunks...", local, 32));
	memcpy(local, "WRITTEN", 7);
	EXPECT_EQ(32, process_vm_writev(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(0, memcmp("WRITTENthe edge of", map + CHUNK_BYTES - 16, 16));
	ASSERT_EQ(0, space_zap(self->fd, 1, 1, NULL));
	EXPECT_EQ(16, process_vm_readv(getpid(), &here, 1, &there, 1, 0)) TH_LOG("up to the hole");
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(-1, process_vm_readv(getpid(), &here, 1, &there, 1, 0));
	EXPECT_EQ(EFAULT, errno);
}

TEST_F(space, proc_mem)
{
	char *map = space_map(self->fd, 0, 1), local[8] = "";
	int mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, mem);
	strcpy(map, "debug");
	EXPECT_EQ(6, pread(mem, local, 6, (off_t)(uintptr_t)map)) TH_LOG("%m");
	EXPECT_STREQ("debug", local);
	EXPECT_EQ(2, pwrite(mem, "DE", 2, (off_t)(uintptr_t)map));
	EXPECT_STREQ("DEbug", map);
	close(mem);
}

TEST_F(space, read_and_write_files)
{
	char *map = space_map(self->fd, 0, 2);
	int file = open("/tmp/arena-memcalls", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	const size_t length = CHUNK_BYTES + 4096;

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, file);
	fill(map, CHUNK_BYTES, 0x77);
	EXPECT_EQ(length, pwrite(file, map, length, 0)) TH_LOG("%m");
	ASSERT_EQ(0, space_zap(self->fd, 0, 2, NULL));
	EXPECT_EQ(-1, pwrite(file, map, length, 0));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, pread(file, map, length, 0));
	EXPECT_EQ(EFAULT, errno);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 2, NULL));
	EXPECT_EQ(length, pread(file, map, length, 0));
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 0x77));
	close(file);
	unlink("/tmp/arena-memcalls");
}

/* References to many pages at once, as direct I/O takes them. */
TEST_F(space, pages_in_a_pipe)
{
	char *map = space_map(self->fd, 0, 1), local[8192];
	struct iovec pages = { .iov_base = map + CHUNK_BYTES - 8192, .iov_len = 8192 };
	int ends[2];

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	memset(map + CHUNK_BYTES - 8192, 'p', 8192);
	EXPECT_EQ(8192, vmsplice(ends[1], &pages, 1, 0)) TH_LOG("%m");
	map[CHUNK_BYTES - 1] = 'q';
	EXPECT_EQ(8192, read(ends[0], local, sizeof(local)));
	EXPECT_EQ('p', local[0]);
	EXPECT_EQ('q', local[8191]) TH_LOG("the pipe refers to the page, it has no copy");
}

TEST_F(space, mlock_populates)
{
	char *map = space_map(self->fd, 0, 4);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, mlock(map, 4 * CHUNK_BYTES)) TH_LOG("%m");
	EXPECT_EQ(4 * 2048, smaps_kb(map, "Rss"));
	EXPECT_EQ(0, space_zap(self->fd, 1, 1, NULL));
	EXPECT_EQ(3 * 2048, smaps_kb(map, "Rss")) TH_LOG("ZAP revokes locked memory too");
	EXPECT_EQ(0, munlock(map, 4 * CHUNK_BYTES));
	EXPECT_EQ(0, module_stat(self->dev).quarantined_chunks);
}

/* On a shared mapping MADV_DONTNEED only unmaps: the data belongs to the file. */
TEST_F(space, dontneed_keeps_data)
{
	char *map = space_map(self->fd, 0, 2);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 3);
	ASSERT_EQ(0, madvise(map, 2 * CHUNK_BYTES, MADV_DONTNEED));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 3));
	ASSERT_EQ(0, madvise(map + 4096, 8192, MADV_DONTNEED));
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 3));
}

TEST_F(space, populate_maps_and_reports)
{
	char *map = space_map_bare(self->fd, 0, 4);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 3, NULL));
	EXPECT_EQ(0, madvise(map, CHUNK_BYTES, MADV_POPULATE_READ)) TH_LOG("%m");
	EXPECT_EQ(0, madvise(map, 3 * CHUNK_BYTES, MADV_POPULATE_WRITE)) TH_LOG("%m");
	EXPECT_EQ(3 * 2048, smaps_kb(map, "FilePmdMapped"));
	EXPECT_EQ(-1, madvise(map, 4 * CHUNK_BYTES, MADV_POPULATE_WRITE));
	EXPECT_EQ(EFAULT, errno) TH_LOG("the last slot is not reserved");
}

TEST_F(space, mremap_moves)
{
	char *map = space_map(self->fd, 0, 2), *moved, *target;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 8);
	target = space_map_bare(self->fd, 100, 2);
	ASSERT_NE(MAP_FAILED, target);
	moved = mremap(map, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		       target);
	ASSERT_EQ(target, moved) TH_LOG("%m");
	EXPECT_EQ(SIGSEGV, fault_touch(map));
	EXPECT_TRUE(all_words(moved, 2 * CHUNK_BYTES, 8));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
	ASSERT_EQ(0, space_zap(self->fd, 0, 2, NULL));
	EXPECT_EQ(SIGBUS, fault_touch(moved));
	EXPECT_EQ(0, smaps_kb(moved, "Rss"));
}

/* To an address that no huge mapping fits: slower, but the same bytes. */
TEST_F(space, mremap_to_an_odd_address)
{
	char *map = space_map(self->fd, 0, 1), *moved, *area;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, 6);
	area = mmap(NULL, 4 * CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	area = (char *)(((uintptr_t)area + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1));
	moved = mremap(map, CHUNK_BYTES, CHUNK_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		       area + 3 * PAGE_BYTES);
	if (moved == MAP_FAILED)
		SKIP(return, "refused: %m");
	EXPECT_TRUE(all_words(moved, CHUNK_BYTES, 6));
	EXPECT_EQ(2048, smaps_kb(moved, "Rss"));
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(SIGBUS, fault_touch(moved));
	EXPECT_EQ(0, smaps_kb(moved, "Rss"));
}

/* A mapping cannot be grown past the end of its space into chunks that do not exist. */
TEST_F(space, mremap_cannot_grow_past_the_end)
{
	char *map = space_map(self->fd, SPACE_SLOTS - 1, 1), *grown;

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	grown = mremap(map, CHUNK_BYTES, 2 * CHUNK_BYTES, MREMAP_MAYMOVE);
	if (grown == MAP_FAILED)
		return;
	EXPECT_EQ(0, fault_touch(grown));
	EXPECT_EQ(SIGBUS, fault_touch(grown + CHUNK_BYTES));
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
}

/* Whatever advice is given, about a part of a chunk or all of it, no byte may change. */
TEST_F(space, advice_never_changes_data)
{
	char *map = space_map(self->fd, 0, 3);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 3 * CHUNK_BYTES, 0xadce);
	for (int advice = 0; advice <= LAST_ADVICE; advice++) {
		if (advice == MADV_REMOVE || advice == MADV_DOFORK)
			continue;
		madvise(map + CHUNK_BYTES + 5 * PAGE_BYTES, 7 * PAGE_BYTES, advice);
		madvise(map, 2 * CHUNK_BYTES, advice);
		EXPECT_TRUE(all_words(map, 3 * CHUNK_BYTES, 0xadce)) TH_LOG("advice %d", advice);
	}
	EXPECT_EQ(3, space_stat(self->dev).reserved_chunks);
	ASSERT_EQ(0, space_zap(self->fd, 0, 3, NULL));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
}

/* MADV_REMOVE of less than a chunk is not ours to round: it is refused and removes nothing. */
TEST_F(space, remove_of_a_part_is_refused)
{
	char *map = space_map(self->fd, 0, 1);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, 2);
	EXPECT_EQ(-1, madvise(map + 4096, 4096, MADV_REMOVE));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 2));
}

/* The flags are checked, and none but those of any shared mapping is known. */
TEST_F(space, shared_validate_knows_no_sync)
{
	char *map = mmap(NULL, CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE, self->fd, 0);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, 3);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, CHUNK_BYTES, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC,
				   self->fd, 0));
	EXPECT_EQ(EOPNOTSUPP, errno);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 3));
}

/* Advice by way of a process descriptor is the same advice; what may lose bytes is refused. */
TEST_F(space, process_madvise_advises)
{
	char *map = space_map(self->fd, 0, 2);
	struct iovec range = { map, 2 * CHUNK_BYTES };
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_LE(0, pidfd);
	fill(map, 2 * CHUNK_BYTES, 4);
	EXPECT_EQ(2 * CHUNK_BYTES, syscall(SYS_process_madvise, pidfd, &range, 1, MADV_COLD, 0));
	EXPECT_EQ(2 * CHUNK_BYTES, syscall(SYS_process_madvise, pidfd, &range, 1, MADV_PAGEOUT, 0));
	EXPECT_EQ(-1, syscall(SYS_process_madvise, pidfd, &range, 1, MADV_REMOVE, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 4));
	close(pidfd);
}

/* Without keys in the processor it is mprotect(). */
TEST_F(space, pkey_mprotect_protects)
{
	char *map = space_map(self->fd, 0, 2);
	int key = pkey_alloc(0, 0);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 6);
	ASSERT_EQ(0, pkey_mprotect(map, CHUNK_BYTES, key < 0 ? PROT_READ : PROT_READ | PROT_WRITE, key));
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 6));
	if (key >= 0)
		ASSERT_EQ(0, pkey_set(key, PKEY_DISABLE_WRITE));
	EXPECT_EQ(SIGSEGV, fault_write(map, 7));
	EXPECT_EQ(0, fault_write(map + CHUNK_BYTES, 6));
	ASSERT_EQ(0, pkey_mprotect(map, CHUNK_BYTES, PROT_READ | PROT_WRITE, key < 0 ? -1 : 0));
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 6));
}

/* A view that nobody can remove or change until the process ends. The chunks are not sealed. */
static int work_sealed(int fd)
{
	char *map = space_map(fd, 0, 2);

	NEED(1, map != MAP_FAILED);
	fill(map, 2 * CHUNK_BYTES, 8);
	NEED(2, !syscall(SYS_mseal, map, 2 * CHUNK_BYTES, 0));
	NEED(3, munmap(map, CHUNK_BYTES) && errno == EPERM);
	NEED(4, mprotect(map, CHUNK_BYTES, PROT_READ) && errno == EPERM);
	NEED(5, all_words(map, 2 * CHUNK_BYTES, 8));
	NEED(6, !space_zap(fd, 0, 1, NULL));
	fault_catch();
	NEED(7, fault_touch(map) == SIGBUS && !fault_touch(map + CHUNK_BYTES));
	return 0;
}

TEST_F(space, mseal_seals_the_view)
{
	if (syscall(SYS_mseal, 0, 0, 0) && errno == ENOSYS)
		SKIP(return, "this kernel has no mseal");
	EXPECT_EQ(0, IN_CHILD(work_sealed(self->fd)));
}

/* The kernel's struct pm_scan_arg and struct page_region, since Linux 6.7. */
struct scan_region {
	uint64_t start, end, categories;
};

struct scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};

#define SCAN		_IOWR('f', 16, struct scan)
#define SCAN_FILE	(1 << 2)
#define SCAN_PRESENT	(1 << 3)

TEST_F(space, pagemap_scan_shows_what_is_mapped)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), found;
	char *map = space_map(self->fd, 0, 3);
	struct scan_region region[4] = {};
	struct scan scan = { .size = sizeof(scan), .start = (uintptr_t)map,
			     .end = (uintptr_t)map + 3 * CHUNK_BYTES,
			     .vec = (uintptr_t)region, .vec_len = ARRAY_SIZE(region),
			     .category_mask = SCAN_PRESENT,
			     .return_mask = SCAN_PRESENT | SCAN_FILE };

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 2 * CHUNK_BYTES, 1);
	found = ioctl(pagemap, SCAN, &scan);
	close(pagemap);
	if (found < 0 && errno == ENOTTY)
		SKIP(return, "this kernel has no PAGEMAP_SCAN");
	ASSERT_EQ(1, found) TH_LOG("%m");
	EXPECT_EQ((uintptr_t)map, region[0].start);
	EXPECT_EQ((uintptr_t)map + 2 * CHUNK_BYTES, region[0].end);
	EXPECT_EQ(SCAN_PRESENT | SCAN_FILE, region[0].categories);
}

/* A chunk cannot be replaced by another one: its page stays where it is, and in use. */
TEST_F(space, soft_offline_moves_nothing)
{
	char *map = space_map(self->fd, 0, 1);
	int error;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, 12);
	error = madvise(map + 37 * PAGE_BYTES, PAGE_BYTES, MADV_SOFT_OFFLINE) ? errno : 0;
	if (error == EINVAL)
		SKIP(return, "this kernel has no MADV_SOFT_OFFLINE");
	EXPECT_EQ(EIO, error);
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 12));
}

static void read_whole(const char *path)
{
	static char buffer[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && read(fd, buffer, sizeof(buffer)) > 0)
		;
	if (fd >= 0)
		close(fd);
}

/* Everything in /proc that walks page tables, and the writable ones that change them. */
TEST_F(space, observers_are_harmless)
{
	static const char *const clear[] = { "1", "2", "3", "4", "5" };
	char *map = space_map(self->fd, 0, 3);
	unsigned char resident[1024];
	uint64_t entry = 0;
	int pagemap;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 3 * CHUNK_BYTES, 0x0b5e);
	ASSERT_EQ(0, munmap(map + 2 * CHUNK_BYTES + PAGE_BYTES, PAGE_BYTES));
	read_whole("/proc/self/numa_maps");
	read_whole("/proc/self/smaps_rollup");
	read_whole("/proc/self/maps");
	for (size_t i = 0; i < ARRAY_SIZE(clear); i++)
		file_write_text("/proc/self/clear_refs", clear[i]);
	EXPECT_EQ(0, mincore(map, 2 * CHUNK_BYTES, resident)) TH_LOG("%m");
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap >= 0) {
		EXPECT_EQ(8, pread(pagemap, &entry, 8, (off_t)((uintptr_t)map / PAGE_BYTES * 8)));
		EXPECT_TRUE(entry >> 63);
		close(pagemap);
	}
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 0x0b5e));
	/* There is nothing to write back: done, as with other memory. */
	EXPECT_EQ(0, msync(map, CHUNK_BYTES, MS_SYNC)) TH_LOG("%m");
}

/* Chunks are where they are: asking to move them is answered, and moves nothing. */
TEST_F(space, page_migration_is_survived)
{
	char *map = space_map(self->fd, 0, 1);
	void *page = map;
	int node = 0, status = -1;

	ASSERT_NE(MAP_FAILED, map);
	fill(map, CHUNK_BYTES, 0x316);
	syscall(SYS_move_pages, 0, 1UL, &page, &node, &status, 2);
	file_write_text("/proc/sys/vm/compact_memory", "1");
	file_write_text("/proc/sys/vm/drop_caches", "3");
	EXPECT_TRUE(all_words(map, CHUNK_BYTES, 0x316));
	EXPECT_EQ(2048, smaps_kb(map, "Rss"));
}

/*
 * A private futex is keyed by its address. A shared one is keyed by the page cache's idea of the
 * page, which a chunk has none of: it may be refused, at once and clearly, but must not hang.
 */
TEST_F(space, futex_in_a_chunk)
{
	const int wait_private = 128, wait_shared = 0;	/* FUTEX_WAIT, with and without _PRIVATE */
	char *map = space_map(self->fd, 0, 1);
	struct timespec limit = { .tv_nsec = 20 * MS_NS };

	ASSERT_NE(MAP_FAILED, map);
	map[0] = 0;
	EXPECT_EQ(-1, syscall(SYS_futex, map, wait_private, 0, &limit, NULL, 0));
	EXPECT_EQ(ETIMEDOUT, errno) TH_LOG("%m");
	EXPECT_EQ(-1, syscall(SYS_futex, map, wait_shared, 0, &limit, NULL, 0));
	EXPECT_TRUE(errno == ETIMEDOUT || errno == EFAULT);
	TH_LOG("a shared futex wait on a chunk answers: %m");
}

TEST_HARNESS_MAIN
