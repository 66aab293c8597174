/* SPDX-License-Identifier: MIT */
/*
 * What the kernel-facing tests share: short names for the calls of kmod/uapi/arena.h, the fixture
 * "space", accesses that report their signal instead of dying, and views of /proc.
 *
 * Every TEST_F(space, ...) starts with an open device and one space of SPACE_SLOTS slots, and ends
 * with the check that the module's books balance. Calls return 0 or the errno that they failed
 * with, so that a test can say ASSERT_EQ(EINVAL, space_reserve(...)).
 */
#ifndef ARENA_TESTS_KMOD_COMMON_H
#define ARENA_TESTS_KMOD_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <arena.h>
#include "../kselftest_harness.h"

/*
 * The harness gives a test 30 s, which a loaded machine may need for it under a kernel that checks
 * itself. What hangs is ended by the limit of the whole program.
 */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 300

#define DEVICE		"/dev/arena"
#define PARAMETERS	"/sys/module/arena/parameters/"
#define CHUNK_BYTES	((size_t)ARENA_CHUNK_BYTES)
#define PAGE_BYTES	((size_t)4096)
#define SPACE_SLOTS	256
#define MS_NS		1000000LL
/* For exec(): it does nothing. Not a test: the harness of Linux 6.1 runs all, whatever it is asked. */
#define EXEC_ENDS	"/bin/true"
/* For work that the module defers: exits, clearing, quarantine. */
#define SETTLE_MS	(2000 * slowness())

static inline void sleep_ms(long ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static inline int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / MS_NS;
}

/* How much longer than on a stock kernel the module may take here. */
static inline long slowness(void)
{
	const char *text = getenv("VM_SLOWNESS");

	return text && atol(text) > 0 ? atol(text) : 1;
}

/* Evaluates `condition` until it is true or `ms` have passed; is the last answer. */
#define WAIT_UNTIL(condition, ms) ({						\
	int64_t limit_ms_ = now_ms() + (ms);					\
	bool done_;								\
	while (!(done_ = (condition)) && now_ms() < limit_ms_)			\
		sleep_ms(5);							\
	done_; })

/* ---- calls ---------------------------------------------------------------------------------- */

static inline int call_errno(int fd, unsigned long request, void *argument)
{
	return ioctl(fd, request, argument) < 0 ? errno : 0;
}

static inline int space_create_full(int dev, uint64_t nr_slots, uint64_t max_chunks, uint32_t flags)
{
	struct arena_create c = { .size = sizeof(c), .flags = flags, .nr_slots = nr_slots,
				  .max_chunks = max_chunks };

	return ioctl(dev, ARENA_IOC_CREATE, &c);
}

static inline int space_create(int dev, uint64_t nr_slots)
{
	return space_create_full(dev, nr_slots, 0, 0);
}

static inline int range_reserve(int fd, uint64_t offset_bytes, uint64_t length_bytes,
				struct arena_reserve *out)
{
	struct arena_reserve r = { .size = sizeof(r), .offset_bytes = offset_bytes,
				   .length_bytes = length_bytes };
	int error = call_errno(fd, ARENA_IOC_RESERVE, &r);

	if (out)
		*out = r;
	return error;
}

static inline int range_reclaim(int fd, uint32_t how, uint64_t offset_bytes, uint64_t length_bytes,
				struct arena_reclaim *out)
{
	struct arena_reclaim r = { .size = sizeof(r), .how = how, .offset_bytes = offset_bytes,
				   .length_bytes = length_bytes };
	int error = call_errno(fd, ARENA_IOC_RECLAIM, &r);

	if (out)
		*out = r;
	return error;
}

static inline int space_reserve(int fd, uint64_t slot, uint64_t nr, struct arena_reserve *out)
{
	return range_reserve(fd, slot * CHUNK_BYTES, nr * CHUNK_BYTES, out);
}

static inline int space_keep(int fd, uint64_t slot, uint64_t nr, struct arena_reclaim *out)
{
	return range_reclaim(fd, ARENA_RECLAIM_KEEP, slot * CHUNK_BYTES, nr * CHUNK_BYTES, out);
}

static inline int space_zap(int fd, uint64_t slot, uint64_t nr, struct arena_reclaim *out)
{
	return range_reclaim(fd, ARENA_RECLAIM_ZAP, slot * CHUNK_BYTES, nr * CHUNK_BYTES, out);
}

static inline char *space_map_flags(int fd, uint64_t slot, uint64_t nr, int flags)
{
	return mmap(NULL, nr * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | flags, fd,
		    (off_t)(slot * CHUNK_BYTES));
}

static inline char *space_map(int fd, uint64_t slot, uint64_t nr)
{
	return space_map_flags(fd, slot, nr, 0);
}

/* Maps without reserving, for tests that reserve by the ioctl. */
static inline char *space_map_bare(int fd, uint64_t slot, uint64_t nr)
{
	return space_map_flags(fd, slot, nr, MAP_NORESERVE);
}

static inline struct arena_stat module_stat(int fd)
{
	struct arena_stat s = { .size = sizeof(s) };

	if (ioctl(fd, ARENA_IOC_STAT, &s) < 0) {
		fprintf(stderr, "# ARENA_IOC_STAT: %m\n");
		memset(&s, 0xff, sizeof(s));
	}
	return s;
}

static inline struct arena_info module_info(int fd)
{
	struct arena_info i = { .size = sizeof(i) };

	if (ioctl(fd, ARENA_IOC_INFO, &i) < 0)
		fprintf(stderr, "# ARENA_IOC_INFO: %m\n");
	return i;
}

/* The newest space that `pid` created (0: that anybody did); its id is 0 if there is none. */
static inline struct arena_space_stat space_stat_of(int fd, pid_t pid)
{
	struct arena_space_stat found = { .size = 0 }, next;
	uint64_t after_id = 0;

	for (;;) {
		next = (struct arena_space_stat){ .size = sizeof(next), .after_id = after_id };
		if (ioctl(fd, ARENA_IOC_SPACE, &next) < 0)
			return found;
		after_id = next.id;
		if (!pid || next.pid == (uint32_t)pid)
			found = next;
	}
}

static inline struct arena_space_stat space_stat(int fd)
{
	return space_stat_of(fd, getpid());
}

static inline int module_trim(int fd, uint64_t max_chunks, uint32_t flags, struct arena_trim *out)
{
	struct arena_trim t = { .size = sizeof(t), .flags = flags, .max_chunks = max_chunks };
	int error = call_errno(fd, ARENA_IOC_TRIM, &t);

	if (out)
		*out = t;
	return error;
}

static inline bool stat_balances(int fd)
{
	struct arena_stat s = module_stat(fd);

	return s.taken_chunks == s.returned_chunks + s.handed_chunks + s.clean_chunks +
				 s.dirty_chunks + s.quarantined_chunks;
}

static inline void stat_print(int fd)
{
	struct arena_stat s = module_stat(fd);

	fprintf(stderr, "# taken %llu returned %llu handed %llu (kept %llu) clean %llu dirty %llu "
		"quarantined %llu discarded %llu spaces %llu\n", s.taken_chunks, s.returned_chunks,
		s.handed_chunks, s.kept_chunks, s.clean_chunks, s.dirty_chunks,
		s.quarantined_chunks, s.discarded_chunks, s.nr_spaces);
}

static inline bool stat_settles(int fd)
{
	bool balanced = WAIT_UNTIL(stat_balances(fd), SETTLE_MS);

	if (!balanced)
		stat_print(fd);
	return balanced;
}

static inline bool handed_settles(int fd, uint64_t chunks)
{
	bool settled = WAIT_UNTIL(module_stat(fd).handed_chunks == chunks, SETTLE_MS);

	if (!settled)
		stat_print(fd);
	return settled;
}

/* ---- fixture -------------------------------------------------------------------------------- */

FIXTURE(space)
{
	int dev;
	int fd;
};

/* The harness defines these without static. */
void space_setup(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self,
		 const FIXTURE_VARIANT(space) *variant);
void space_teardown(struct __test_metadata *_metadata, FIXTURE_DATA(space) *self,
		    const FIXTURE_VARIANT(space) *variant);

FIXTURE_SETUP(space)
{
	self->dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, self->dev) TH_LOG("cannot open %s: %m", DEVICE);
	self->fd = space_create(self->dev, SPACE_SLOTS);
	ASSERT_LE(0, self->fd) TH_LOG("ARENA_IOC_CREATE: %m");
}

FIXTURE_TEARDOWN(space)
{
	if (self->fd >= 0)
		EXPECT_EQ(0, close(self->fd));
	EXPECT_TRUE(stat_settles(self->dev));
	EXPECT_EQ(0, close(self->dev));
}

/* ---- accesses that report their signal ------------------------------------------------------ */

static __thread sigjmp_buf fault_return;
static __thread volatile sig_atomic_t fault_expected;

static inline void fault_on_signal(int signal_nr)
{
	if (!fault_expected) {
		signal(signal_nr, SIG_DFL);
		raise(signal_nr);
	}
	fault_expected = 0;
	siglongjmp(fault_return, signal_nr);
}

/* Must be called once per process before any of the accesses below. */
static inline void fault_catch(void)
{
	struct sigaction action = { .sa_handler = fault_on_signal, .sa_flags = SA_NODEFER };

	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

/* Each is 0 or the signal that the access got. */
static inline int fault_read(const volatile void *address, uint64_t *value)
{
	int signal_nr = sigsetjmp(fault_return, 0);

	if (signal_nr)
		return signal_nr;
	fault_expected = 1;
	*value = *(const volatile uint64_t *)address;
	fault_expected = 0;
	return 0;
}

static inline int fault_write(volatile void *address, uint64_t value)
{
	int signal_nr = sigsetjmp(fault_return, 0);

	if (signal_nr)
		return signal_nr;
	fault_expected = 1;
	*(volatile uint64_t *)address = value;
	fault_expected = 0;
	return 0;
}

static inline int fault_touch(const volatile void *address)
{
	uint64_t ignored;

	return fault_read(address, &ignored);
}

/* How many of the chunks answer a read with `signal_nr` (0: with data). */
static inline unsigned int fault_count(const char *base, unsigned int nr_chunks, int signal_nr)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < nr_chunks; i++)
		count += fault_touch(base + i * CHUNK_BYTES) == signal_nr;
	return count;
}

/* ---- contents ------------------------------------------------------------------------------- */

static inline void fill(char *base, size_t length_bytes, uint64_t word)
{
	uint64_t *p = (uint64_t *)(void *)base;

	for (size_t i = 0; i < length_bytes / sizeof(*p); i++)
		p[i] = word;
}

static inline bool all_words(const char *base, size_t length_bytes, uint64_t word)
{
	const uint64_t *p = (const uint64_t *)(const void *)base;

	for (size_t i = 0; i < length_bytes / sizeof(*p); i++)
		if (p[i] != word)
			return false;
	return true;
}

/* ---- the rest of the system ----------------------------------------------------------------- */

/* A field in kB of the smaps entry that holds `address`, or -1. */
static inline long smaps_kb(const void *address, const char *field)
{
	char line[512], name[64];
	unsigned long base, limit;
	bool inside = false;
	long kb, found = -1;
	FILE *smaps = fopen("/proc/self/smaps", "re");

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &base, &limit) == 2)
			inside = base <= (unsigned long)address && (unsigned long)address < limit;
		else if (inside && sscanf(line, "%63[^:]: %ld kB", name, &kb) == 2 &&
			 !strcmp(name, field))
			found = kb;
	}
	if (smaps)
		fclose(smaps);
	return found;
}

/* A field in kB of /proc/meminfo, or -1. */
static inline long meminfo_kb(const char *field)
{
	char line[256], name[64];
	long kb, found = -1;
	FILE *meminfo = fopen("/proc/meminfo", "re");

	while (meminfo && fgets(line, sizeof(line), meminfo))
		if (sscanf(line, "%63[^:]: %ld", name, &kb) == 2 && !strcmp(name, field))
			found = kb;
	if (meminfo)
		fclose(meminfo);
	return found;
}

/*
 * Free memory, with what lies on the per-CPU lists of the page allocator: MemFree leaves that out, and freed
 * chunks stay there for a while.
 */
static inline long free_kb(void)
{
	FILE *file = fopen("/proc/zoneinfo", "re");
	char line[256];
	long pages = 0, count;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, " count: %ld", &count) == 1)
			pages += count;
	if (file)
		fclose(file);
	return meminfo_kb("MemFree") + pages * (long)(PAGE_BYTES / 1024);
}

static inline int file_read_text(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -1 : 0;
}

static inline int file_write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/*
 * How much of what was freed the processors keep in lists of theirs, where it is of no use for
 * chunks and counts as free in no order. Since Linux 6.7 that grows with what is freed, up to an
 * eighth of the memory, unless a fraction is named: the least is less than a chunk.
 */
#define FREED_IN_LISTS_LEAST	"1000000"
#define FREED_IN_LISTS_DEFAULT	"0"
static inline int freed_pages_in_lists(const char *fraction)
{
	return file_write_text("/proc/sys/vm/percpu_pagelist_high_fraction", fraction);
}

static inline long long parameter_get(const char *name)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	return file_read_text(path, text, sizeof(text)) ? -1 : atoll(text);
}

static inline int parameter_set(const char *name, long long value)
{
	char path[128], text[64];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(text, sizeof(text), "%lld\n", value);
	return file_write_text(path, text);
}

/* Exit status of a child, or 128 + the signal that ended it. */
static inline int child_status(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs `body`, an expression, in a child whose exit status it is. */
#define IN_CHILD(body) ({							\
	pid_t child_ = fork();							\
	if (!child_) {								\
		fault_catch();							\
		_exit(body);							\
	}									\
	child_status(child_); })

#endif /* ARENA_TESTS_KMOD_COMMON_H */
