// SPDX-License-Identifier: MIT
/*
 * The one door to the operating system: memory, clock, small files, futex.
 *
 * Closing replaces a range by a fresh inaccessible mapping rather than changing its protection: that drops memory and
 * page tables in the same call, and the fresh mapping merges with closed neighbors, which a protected range with a
 * history of its own would not. Moving leaves the old range mapped (MREMAP_DONTUNMAP), because a hole could be
 * taken by another thread's mmap() before it is closed.
 *
 * A program may lock its memory (mlockall()). With MCL_FUTURE the kernel locks inaccessible mappings as well, and counts them against RLIMIT_MEMLOCK:
 * they are unlocked at once, so that what is closed neither counts nor is kept from its neighbors. Whether there is something to unlock is
 * found by asking to drop a page: a filter of system calls may kill a program that calls munlock() and never locked anything.
 */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
#include <sys/rseq.h>
#endif
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x10
#endif

/* Kernels are built for at most so many nodes. */
#define NODES_MAX 1024u

/* Addresses, and tables of which little is touched: no memory is put aside for them. */
#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

static bool is_locking; /* atomic: what was mapped last was locked. Relaxed: only a hint, as the program may change it at any time */

/* 0 or -errno of a call that was just made, with errno as it was before. */
static int result(bool ok, int saved_errno)
{
	int error = ok ? 0 : -errno;

	errno = saved_errno;
	return error;
}

static int unlock(void *base, size_t bytes)
{
	int saved = errno;

	return result(!munlock(base, bytes), saved);
}

/* Whether the kernel has locked a mapping that was just made and that nobody has written to: it refuses to drop what is locked. */
static bool find_locked(void *base)
{
	int saved = errno;
	bool is_locked = madvise(base, PAGE_BYTES, MADV_DONTNEED) && errno == EINVAL;

	/* Most often it is as it was, and the line stays with all CPUs. */
	if (atomic_load_relaxed(&is_locking) != is_locked)
		atomic_store_relaxed(&is_locking, is_locked);
	errno = saved;
	return is_locked;
}

bool os_is_locking(void)
{
	return atomic_load_relaxed(&is_locking);
}

/* An inaccessible mapping that was just made counts for nothing. */
static void *unlocked(void *base, size_t bytes)
{
	if (base && find_locked(base))
		unlock(base, bytes);
	return base;
}

static void *map_or_null(size_t bytes, int protection)
{
	int saved = errno;
	void *base = mmap(NULL, bytes, protection, ANONYMOUS, -1, 0);

	errno = saved;
	return base == MAP_FAILED ? NULL : base;
}

/* At the aligned address below one that is free: most often all from there is. Needs no more addresses than are asked for. */
static void *reserve_below(size_t bytes, size_t align_bytes)
{
	void *free_base = map_or_null(bytes, PROT_NONE), *base;
	int saved = errno;

	if (!free_base || !((uintptr_t)free_base & (align_bytes - 1)))
		return free_base;
	munmap(free_base, bytes);
	base = mmap((void *)((uintptr_t)free_base & ~(align_bytes - 1)), bytes, PROT_NONE, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	/* Old kernels take the address for a wish. */
	if (base != MAP_FAILED && (uintptr_t)base & (align_bytes - 1))
		munmap(base, bytes);
	errno = saved;
	return base == MAP_FAILED || (uintptr_t)base & (align_bytes - 1) ? NULL : base;
}

void *os_reserve(size_t bytes, size_t align_bytes)
{
	char *raw = reserve_below(bytes, align_bytes);
	char *base, *limit;

	if (raw)
		return unlocked(raw, bytes);
	raw = map_or_null(bytes + align_bytes, PROT_NONE);
	if (!raw)
		return NULL;
	base = (char *)align_up((uintptr_t)raw, align_bytes);
	limit = base + bytes;
	if (base != raw)
		os_unreserve(raw, (size_t)(base - raw));
	if (limit != raw + bytes + align_bytes)
		os_unreserve(limit, (size_t)(raw + bytes + align_bytes - limit));
	return unlocked(base, bytes);
}

void os_unreserve(void *base, size_t bytes)
{
	int saved = errno;

	munmap(base, bytes);
	errno = saved;
}

static void *map_table(size_t bytes, int protection)
{
	void *table = map_or_null(bytes, protection);
	int saved = errno;

	/* Tables are touched sparsely; huge pages would make each touch cost 2 MiB. */
	if (table)
		madvise(table, bytes, MADV_NOHUGEPAGE);
	errno = saved;
	return table;
}

void *os_table(size_t bytes)
{
	return map_table(bytes, PROT_READ | PROT_WRITE);
}

void *os_reserve_table(size_t bytes)
{
	return map_table(bytes, PROT_NONE);
}

int os_open_table(void *base, size_t bytes)
{
	int saved = errno;

	return result(!mprotect(base, bytes, PROT_READ | PROT_WRITE), saved);
}

int os_open(void *base, size_t bytes, enum os_pages pages)
{
	int saved = errno;
	/* It counts as memory: what the machine cannot have at all is refused here, and nobody killed for it later. */
	void *got = mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int error = result(got == base, saved);

	if (error)
		return error;
	find_locked(base);
	/* A kernel without huge pages refuses the advice; its pages are the small ones then. */
	madvise(base, bytes, pages == OS_PAGES_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	errno = saved;
	return 0;
}

static int map_closed(void *base, size_t bytes)
{
	int saved = errno;
	void *got = mmap(base, bytes, PROT_NONE, ANONYMOUS | MAP_FIXED, -1, 0);
	int error = result(got == base, saved);

	if (!error)
		unlocked(base, bytes);
	return error;
}

/* Memory goes first: so what fails leaves the addresses accessible. */
static int close_in_place(void *base, size_t bytes)
{
	int saved = errno, error = os_drop(base, bytes);

	return error ? error : result(!mprotect(base, bytes, PROT_NONE), saved);
}

/*
 * Where the limit is lower than what is locked, or than the range. In parts, as far as they go, it merges with its neighbors all the same, and reserved huge
 * pages are given up: where no part goes they stay reserved until something else is mapped there.
 */
static int close_by_parts(char *base, size_t bytes)
{
	int error = close_in_place(base, bytes);

	for (size_t at = 0; !error && at < bytes; at += CHUNK_BYTES)
		if (map_closed(base + at, size_min(bytes - at, CHUNK_BYTES)))
			break;
	return error;
}

int os_close(void *base, size_t bytes)
{
	int error = map_closed(base, bytes);

	/* The kernel counts what replaces locked memory as if it came on top. */
	if (error == -EAGAIN && !unlock(base, bytes))
		error = map_closed(base, bytes);
	return error == -EAGAIN ? close_by_parts(base, bytes) : error;
}

static int map_free(void *base, size_t bytes)
{
	int saved = errno;
	void *got = mmap(base, bytes, PROT_NONE, ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	/* Kernels before 4.17 do not know the flag and map elsewhere. */
	if (got != MAP_FAILED && got != base) {
		munmap(got, bytes);
		errno = EEXIST;
	}
	if (got == base)
		unlocked(base, bytes);
	return result(got == base, saved);
}

/* What is not locked grows without being counted against RLIMIT_MEMLOCK: a page is all that must be allowed. */
static int grow_free(void *base, size_t bytes)
{
	int saved = errno, error = map_free(base, PAGE_BYTES);

	if (error || bytes == PAGE_BYTES)
		return error;
	error = result(mremap(base, PAGE_BYTES, bytes, 0) == base, saved);
	if (error)
		os_unreserve(base, PAGE_BYTES);
	return error;
}

int os_reclaim(void *base, size_t bytes)
{
	int error = map_free(base, bytes);

	return error == -EAGAIN ? grow_free(base, bytes) : error;
}

static int advise(void *base, size_t bytes, int advice)
{
	int saved = errno;
	int done;

	do {
		done = madvise(base, bytes, advice);
	} while (done && (errno == EINTR || errno == EAGAIN));
	return result(done == 0, saved);
}

int os_guard(void *base, size_t bytes)
{
	return advise(base, bytes, MADV_GUARD_INSTALL);
}

int os_drop_unlocked(void *base, size_t bytes)
{
	return advise(base, bytes, MADV_DONTNEED);
}

int os_drop(void *base, size_t bytes)
{
	int error = os_drop_unlocked(base, bytes);

	if (error == -EINVAL)
		error = advise(base, bytes, MADV_DONTNEED_LOCKED);
	/* Before Linux 5.18. */
	if (error == -EINVAL && !unlock(base, bytes))
		error = os_drop_unlocked(base, bytes);
	return error;
}

int os_populate(void *base, size_t bytes)
{
	return advise(base, bytes, MADV_POPULATE_WRITE);
}

int os_move(void *from, void *to, size_t bytes)
{
	int saved = errno;
	void *got = mremap(from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to);

	return result(got == to, saved);
}

int os_map_hugetlb(void *base, size_t bytes)
{
	int saved = errno;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB | (CHUNK_SHIFT << MAP_HUGE_SHIFT);
	void *got = mmap(base, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);

	return result(got == base, saved);
}

int os_map_part(void *base, size_t bytes, int fd, size_t offset_bytes)
{
	int saved = errno;
	int flags = MAP_SHARED | MAP_NORESERVE | MAP_FIXED;
	/* Out of reach first: where vm.overcommit_memory is 2 the kernel drops MAP_NORESERVE, and the range would be reserved. */
	void *got = mmap(base, bytes, PROT_NONE, flags, fd, (off_t)offset_bytes);

	return result(got == base && !mprotect(base, bytes, PROT_READ | PROT_WRITE), saved);
}

/* libnuma would be one more library for malloc() to load; the system call is all that is needed of it. */
int os_prefer_node(void *base, size_t bytes, unsigned int node)
{
	unsigned long mask[NODES_MAX / 64] = { 0 };
	int saved = errno;

	if (node >= NODES_MAX)
		return -EINVAL;
	mask[node / 64] = 1ul << node % 64;
	return result(!syscall(SYS_mbind, base, bytes, MPOL_PREFERRED, mask, (unsigned long)NODES_MAX + 1, 0ul), saved);
}

int os_map_file(void *base, size_t bytes, int fd)
{
	int error = os_map_part(base, bytes, fd, 0);

	return error ? error : advise(base, bytes, MADV_DONTFORK);
}

/* ---------------------------------------------------------------- descriptors beside the program's */

/* Far above the numbers that programs count on, where the limit allows, and never one of the standard streams'. */
#define FD_LEAST 900
#define FD_LEAST_OF_ALL 3

static bool identify(int fd, struct os_file *file)
{
	struct stat now;

	if (fstat(fd, &now))
		return false;
	*file = (struct os_file){ fd, now.st_dev, now.st_ino };
	return true;
}

static int duplicate_high(int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_LEAST);

	return high < 0 ? fcntl(fd, F_DUPFD_CLOEXEC, FD_LEAST_OF_ALL) : high;
}

bool os_file_keep(int fd, struct os_file *file)
{
	int saved = errno, high = duplicate_high(fd);
	bool done = high >= 0 && identify(high, file);

	if (!done)
		file->fd = -1;
	errno = saved;
	return done;
}

bool os_file_is_kept(const struct os_file *file)
{
	int saved = errno;
	struct os_file now;
	bool same = file->fd >= 0 && identify(file->fd, &now) && now.device == file->device && now.inode == file->inode;

	errno = saved;
	return same;
}

/* ---------------------------------------------------------------- shared with readers */

/* Mapped before it is sealed: from then on nobody can map it for writing. */
static void *map_sealed(void *base, size_t bytes, int fd)
{
	void *got = mmap(base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (base ? MAP_FIXED : 0), fd, 0);

	if (got == MAP_FAILED)
		return NULL;
	/* Linux before 5.1 has no seal against writers; that it does not shrink is what readers need. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL))
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return got;
}

/* The mapping, and a descriptor that is kept of it; or NULL, and none. */
static void *share(int fd, void *base, size_t bytes, struct os_file *file)
{
	void *got = ftruncate(fd, (off_t)bytes) || !os_file_keep(fd, file) ? NULL : map_sealed(base, bytes, fd);

	if (!got && file->fd >= 0) {
		syscall(SYS_close, file->fd);
		file->fd = -1;
	}
	return got;
}

void *os_shared_create(const char *name, void *base, size_t bytes, struct os_file *file)
{
	int saved = errno;
	int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	void *got = NULL;

	file->fd = -1;
	if (fd >= 0) {
		got = share(fd, base, bytes, file);
		syscall(SYS_close, fd);
	}
	errno = saved;
	return got;
}

void os_shared_close(const struct os_file *file)
{
	int saved = errno;

	if (os_file_is_kept(file))
		syscall(SYS_close, file->fd);
	errno = saved;
}

/* ---------------------------------------------------------------- time */

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t os_clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t os_thread_cpu_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t os_process_cpu_ns(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---------------------------------------------------------------- CPUs */

/* The C library tells the kernel where, if it is new enough (glibc 2.35) and was not told to leave it (glibc.pthread.rseq=0). */
const uint32_t *os_cpu_word(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
	const struct rseq *rseq = (const void *)((const char *)__builtin_thread_pointer() + __rseq_offset);

	return __rseq_size ? &rseq->cpu_id : NULL;
#else
	return NULL;
#endif
}

void os_cpus_allowed(struct os_cpus *cpus)
{
	int saved = errno;

	*cpus = (struct os_cpus){ 0 };
	syscall(SYS_sched_getaffinity, 0, sizeof(*cpus), cpus);
	errno = saved;
}

uint32_t os_nr_cpus(void)
{
	struct os_cpus cpus;
	uint32_t nr = 0;

	os_cpus_allowed(&cpus);
	for (size_t i = 0; i < OS_CPU_WORDS; i++)
		nr += (uint32_t)__builtin_popcountll(cpus.mask[i]);
	return nr ? nr : 1;
}

static bool are_equal(const struct os_cpus *a, const struct os_cpus *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static bool run_on(const struct os_cpus *cpus)
{
	return !syscall(SYS_sched_setaffinity, 0, sizeof(*cpus), cpus);
}

/* Wherever the machine and the thread's cpuset let it. A mask of fewer would leave out for ever what is added to these. */
static void run_anywhere(struct os_cpus *allowed)
{
	struct os_cpus all;

	memset(&all, 0xff, sizeof(all));
	run_on(&all);
	os_cpus_allowed(allowed);
}

static struct os_cpus in_both(const struct os_cpus *a, const struct os_cpus *b)
{
	struct os_cpus cpus;

	for (size_t i = 0; i < OS_CPU_WORDS; i++)
		cpus.mask[i] = a->mask[i] & b->mask[i];
	return cpus;
}

static struct os_cpus all_but(const struct os_cpus *cpus, const struct os_cpus *taken)
{
	struct os_cpus rest;

	for (size_t i = 0; i < OS_CPU_WORDS; i++)
		rest.mask[i] = cpus->mask[i] & ~taken->mask[i];
	return rest;
}

/* It has run on @rest. What it may run on by now, and is not the cpuset's doing, somebody has asked for meanwhile, and gets; else it is as @before. */
static void restore(const struct os_cpus *rest, const struct os_cpus *before, bool is_restricted)
{
	struct os_cpus now, all, expected;

	os_cpus_allowed(&now);
	run_anywhere(&all);
	expected = in_both(rest, &all);
	if (!are_equal(&now, &expected))
		run_on(&now);
	else if (is_restricted)
		run_on(before);
}

/* Who may not run where it does is moved before the call returns, and waits for the CPU that it is moved to. */
bool os_leave_cpus(const struct os_cpus *taken)
{
	struct os_cpus before, all, rest;
	bool is_restricted, has_left = false;
	int saved = errno;

	os_cpus_allowed(&before);
	rest = all_but(&before, taken);
	if (!are_equal(&rest, &(struct os_cpus){ 0 })) {
		run_anywhere(&all);
		is_restricted = !are_equal(&all, &before);
		has_left = run_on(&rest);
		restore(has_left ? &rest : &all, &before, is_restricted);
	}
	errno = saved;
	return has_left;
}

/* ---------------------------------------------------------------- small files */

/* By number: the function of that name is a point of cancellation. */
void os_sleep_ns(uint64_t ns)
{
	struct timespec time = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
	int saved = errno;

	syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &time, NULL);
	errno = saved;
}

/* The functions of these names would be points of cancellation, and callers hold locks. */
bool os_read_text(const char *path, char *text, size_t text_bytes)
{
	int saved = errno;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	long got = -1;

	if (fd >= 0) {
		got = syscall(SYS_read, fd, text, text_bytes - 1);
		syscall(SYS_close, fd);
	}
	text[got > 0 ? got : 0] = 0;
	errno = saved;
	return got > 0;
}

/* A file, read by bytes. */
struct reader {
	int fd;
	size_t at, nr;		/* of text */
	char text[512];		/* more would be faster, but signal stacks are small */
};

/* The next byte, or -1 at the end. */
static int read_byte(struct reader *reader)
{
	long got;

	if (reader->at == reader->nr) {
		got = syscall(SYS_read, reader->fd, reader->text, sizeof(reader->text));
		if (got <= 0)
			return -1;
		reader->at = 0;
		reader->nr = (size_t)got;
	}
	return (unsigned char)reader->text[reader->at++];
}

/* A line without its end, cut to @bytes - 1; false at the end of the file. */
static bool read_line(struct reader *reader, char *line, size_t bytes)
{
	size_t nr = 0;
	int byte;

	while ((byte = read_byte(reader)) >= 0 && byte != '\n')
		if (nr + 1 < bytes)
			line[nr++] = (char)byte;
	line[nr] = 0;
	return byte >= 0 || nr;
}

static bool open_reader(struct reader *reader, const char *path)
{
	reader->at = reader->nr = 0;
	reader->fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	return reader->fd >= 0;
}

bool os_read_lines(const char *path, void (*function)(void *context, char *line), void *context)
{
	int saved = errno;
	struct reader reader;
	char line[4096];
	bool is_open = open_reader(&reader, path);

	if (is_open) {
		while (read_line(&reader, line, sizeof(line)))
			function(context, line);
		syscall(SYS_close, reader.fd);
	}
	errno = saved;
	return is_open;
}

/* ---------------------------------------------------------------- what is mapped */

size_t os_main_stack_bytes(void)
{
	struct rlimit now;

	return getrlimit(RLIMIT_STACK, &now) || now.rlim_cur == RLIM_INFINITY ? SIZE_MAX : now.rlim_cur;
}

/* A number in hexadecimal digits up to @end, which is taken as well; false when there is something else. */
static bool read_hex(struct reader *reader, uintptr_t *number, int end)
{
	int byte = read_byte(reader);

	for (*number = 0; byte != end; byte = read_byte(reader)) {
		if (byte >= '0' && byte <= '9')
			*number = *number << 4 | (unsigned int)(byte - '0');
		else if (byte >= 'a' && byte <= 'f')
			*number = *number << 4 | (unsigned int)(byte - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool skip_line(struct reader *reader)
{
	int byte;

	do {
		byte = read_byte(reader);
	} while (byte >= 0 && byte != '\n');
	return byte >= 0;
}

/* Lines are "BASE-LIMIT ...", ascending. */
static bool find_line(struct reader *reader, uintptr_t address, uintptr_t *base, uintptr_t *limit)
{
	while (read_hex(reader, base, '-') && read_hex(reader, limit, ' ') && *base <= address) {
		if (address < *limit)
			return true;
		if (!skip_line(reader))
			break;
	}
	return false;
}

bool os_is_main_thread(void)
{
	return syscall(SYS_gettid) == getpid();
}

/* That of the thread: a process whose first thread has ended has no other. */
bool os_find_mapping(uintptr_t address, uintptr_t *base, uintptr_t *limit)
{
	int saved = errno;
	struct reader reader;
	bool found = false;

	if (open_reader(&reader, "/proc/thread-self/maps")) {
		found = find_line(&reader, address, base, limit);
		syscall(SYS_close, reader.fd);
	}
	errno = saved;
	return found;
}

/* ---------------------------------------------------------------- waiting */

void os_futex_wait(uint32_t *word, uint32_t value)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	errno = saved;
}

void os_futex_wait_for(uint32_t *word, uint32_t value, uint64_t ns)
{
	struct timespec most = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, &most, NULL, 0);
	errno = saved;
}

static void wake(uint32_t *word, int nr)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, nr, NULL, NULL, 0);
	errno = saved;
}

void os_futex_wake(uint32_t *word)
{
	wake(word, 1);
}

void os_futex_wake_all(uint32_t *word)
{
	wake(word, INT_MAX);
}

uint32_t os_thread_id(void)
{
	return (uint32_t)syscall(SYS_gettid);
}
