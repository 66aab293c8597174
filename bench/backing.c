// SPDX-License-Identifier: MIT
/*
 * Maps memory of each source in its own best way, and proves afterwards that it was that source.
 *
 * Anonymous sources are mapped anew in each repetition and given back by munmap(), as a program would; dev keeps its
 * mapping and gives back by RECLAIM (ZAP), as libarena does. The slack that alignment needs is cut off before anything
 * is timed. Huge pages that were added to the system's pool are taken away again, also after SIGINT and SIGTERM.
 */
#include "bench/backing.h"

#include "bench/bench.h"
#include "bench/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGETLB_POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
#define HUGETLB_FREE "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
#define THP_ENABLED "/sys/kernel/mm/transparent_hugepage/enabled"

/* What to write back to HUGETLB_POOL at exit. Written before the handlers are installed, then fixed. */
static char hugetlb_before[32];

static void hugetlb_restore(void)
{
	int fd = open(HUGETLB_POOL, O_WRONLY | O_CLOEXEC);
	ssize_t written;

	if (fd < 0)
		return;
	/* Nothing can be done about a failure at exit. */
	written = write(fd, hugetlb_before, strlen(hugetlb_before));
	(void)written;
	close(fd);
}

static void hugetlb_restore_and_die(int signal_number)
{
	hugetlb_restore();
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static int hugetlb_init(size_t nr_chunks, char *why, size_t why_bytes)
{
	long pool = proc_read_number(HUGETLB_POOL), idle = proc_read_number(HUGETLB_FREE);
	long want = (long)nr_chunks;

	if (pool < 0 || idle < 0) {
		snprintf(why, why_bytes, "no 2 MiB hugetlb pages in this kernel");
		return -ENOTSUP;
	}
	if (idle >= want)
		return 0;
	snprintf(hugetlb_before, sizeof(hugetlb_before), "%ld\n", pool);
	if (!proc_write_number(HUGETLB_POOL, pool + want - idle)) {
		atexit(hugetlb_restore);
		signal(SIGINT, hugetlb_restore_and_die);
		signal(SIGTERM, hugetlb_restore_and_die);
	}
	idle = proc_read_number(HUGETLB_FREE);
	if (idle >= want)
		return 0;
	snprintf(why, why_bytes, "%ld free hugetlb pages, %ld needed; set %s (needs root and free memory)", idle, want,
		 HUGETLB_POOL);
	return -ENOMEM;
}

static int thp_init(char *why, size_t why_bytes)
{
	char text[128] = "";
	FILE *file = fopen(THP_ENABLED, "re");

	if (file) {
		if (!fgets(text, sizeof(text), file))
			text[0] = '\0';
		fclose(file);
	}
	if (text[0] && !strstr(text, "[never]"))
		return 0;
	snprintf(why, why_bytes, "transparent huge pages are off (%s)", THP_ENABLED);
	return -ENOTSUP;
}

static int dev_init(struct backing *backing, size_t nr_chunks, char *why, size_t why_bytes)
{
	int error = dev_space_check();

	if (!error)
		error = dev_space_init(&backing->space, nr_chunks, 0);
	if (error)
		snprintf(why, why_bytes, "/dev/arena: %s", strerror(-error));
	return error;
}

int backing_init(struct backing *backing, enum arena_source source, size_t nr_chunks, char *why, size_t why_bytes)
{
	size_t available_bytes = proc_available_bytes();

	memset(backing, 0, sizeof(*backing));
	backing->source = source;
	backing->bytes = nr_chunks * CHUNK_BYTES;
	if (source == ARENA_SOURCE_HUGETLB)
		return hugetlb_init(nr_chunks, why, why_bytes);
	if (backing->bytes > available_bytes) {
		snprintf(why, why_bytes, "%zu MiB needed, %zu MiB available", backing->bytes / MiB,
			 available_bytes / MiB);
		return -ENOMEM;
	}
	if (source == ARENA_SOURCE_DEV)
		return dev_init(backing, nr_chunks, why, why_bytes);
	return source == ARENA_SOURCE_THP ? thp_init(why, why_bytes) : 0;
}

void backing_fini(struct backing *backing)
{
	if (backing->source == ARENA_SOURCE_DEV)
		dev_space_fini(&backing->space);
}

/* Anonymous memory aligned to a chunk, without slack. */
static char *map_aligned(size_t bytes)
{
	char *map = mmap(NULL, bytes + CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before, after;

	if (map == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)map & (CHUNK_BYTES - 1);
	after = CHUNK_BYTES - before;
	if (before)
		munmap(map, before);
	munmap(map + before + bytes, after);
	return map + before;
}

static int anonymous_map(struct backing *backing)
{
	int advice = backing->source == ARENA_SOURCE_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE;

	backing->base = map_aligned(backing->bytes);
	if (!backing->base)
		return -ENOMEM;
	/* A kernel without THP refuses MADV_NOHUGEPAGE, and does what it asks for. */
	if (madvise(backing->base, backing->bytes, advice) && advice == MADV_HUGEPAGE)
		return -errno;
	return 0;
}

static int hugetlb_map(struct backing *backing)
{
	backing->base = mmap(NULL, backing->bytes, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	return backing->base == MAP_FAILED ? -errno : 0;
}

/* Reserving without ARENA_RESERVE_NO_CLEAR makes the chunks ready: clearing happens here, outside the measurement. */
static int dev_map(struct backing *backing)
{
	struct arena_reserve reserve;
	int error = dev_space_reserve(&backing->space, backing->space.nr_chunks, &reserve);

	backing->base = backing->space.base;
	return error ? error : dev_space_stat(&backing->space, &backing->before);
}

int backing_map(struct backing *backing)
{
	if (backing->source == ARENA_SOURCE_DEV)
		return dev_map(backing);
	return backing->source == ARENA_SOURCE_HUGETLB ? hugetlb_map(backing) : anonymous_map(backing);
}

size_t backing_step_bytes(const struct backing *backing)
{
	return backing->source == ARENA_SOURCE_PAGES ? PAGE_BYTES : CHUNK_BYTES;
}

int backing_give_back(struct backing *backing)
{
	struct arena_reclaim reclaim;
	int error;

	if (backing->source != ARENA_SOURCE_DEV)
		return munmap(backing->base, backing->bytes) ? -errno : 0;
	error = dev_space_reclaim(&backing->space, backing->space.nr_chunks, ARENA_RECLAIM_ZAP, &reclaim);
	if (!error && (reclaim.nr_chunks != backing->space.nr_chunks || reclaim.nr_quarantined))
		error = -EBUSY;
	return error;
}

static bool is_equal(const char *what, size_t got_bytes, size_t want_bytes, char *why, size_t why_bytes)
{
	if (got_bytes == want_bytes)
		return true;
	snprintf(why, why_bytes, "%s is %zu kB instead of %zu kB", what, got_bytes / KiB, want_bytes / KiB);
	return false;
}

/* Chunks that were zeroed during the touch were not ready, and touches that the module did not answer not its own. */
static bool dev_was_ready(const struct backing *backing, char *why, size_t why_bytes)
{
	struct arena_stat now;

	if (dev_space_stat(&backing->space, &now)) {
		snprintf(why, why_bytes, "the module's counters cannot be read");
		return false;
	}
	if (now.cleared_at_touch_chunks != backing->before.cleared_at_touch_chunks) {
		snprintf(why, why_bytes, "%llu chunks were cleared at touch",
			 now.cleared_at_touch_chunks - backing->before.cleared_at_touch_chunks);
		return false;
	}
	if (now.fault_count - backing->before.fault_count < backing->space.nr_chunks) {
		snprintf(why, why_bytes, "the module answered %llu faults for %zu chunks",
			 now.fault_count - backing->before.fault_count, backing->space.nr_chunks);
		return false;
	}
	return true;
}

bool backing_is_mapped(const struct backing *backing, char *why, size_t why_bytes)
{
	struct proc_usage usage;
	size_t bytes = backing->bytes;

	if (proc_usage(backing->base, bytes, &usage)) {
		snprintf(why, why_bytes, "/proc/self/smaps cannot be read");
		return false;
	}
	switch (backing->source) {
	case ARENA_SOURCE_PAGES:
		return is_equal("Rss", usage.rss_bytes, bytes, why, why_bytes) &&
		       is_equal("AnonHugePages", usage.anon_huge_bytes, 0, why, why_bytes);
	case ARENA_SOURCE_THP:
		return is_equal("AnonHugePages", usage.anon_huge_bytes, bytes, why, why_bytes);
	case ARENA_SOURCE_HUGETLB:
		return is_equal("Private_Hugetlb", usage.hugetlb_bytes, bytes, why, why_bytes);
	case ARENA_SOURCE_DEV:
		return is_equal("Rss", usage.rss_bytes, bytes, why, why_bytes) &&
		       is_equal("FilePmdMapped", usage.file_pmd_bytes, bytes, why, why_bytes) &&
		       dev_was_ready(backing, why, why_bytes);
	case ARENA_SOURCE_AUTO:
	case ARENA_NR_SOURCES:
		break;
	}
	snprintf(why, why_bytes, "no such source");
	return false;
}

bool backing_is_gone(const struct backing *backing, char *why, size_t why_bytes)
{
	struct proc_usage usage;

	if (proc_usage(backing->base, backing->bytes, &usage)) {
		snprintf(why, why_bytes, "/proc/self/smaps cannot be read");
		return false;
	}
	return is_equal("Rss after giving back", usage.rss_bytes, 0, why, why_bytes);
}
