// SPDX-License-Identifier: MIT
/*
 * Looks through /proc for the descriptors that arena/shared.h describes, maps what they are and prints it.
 *
 * The other process is not trusted: its file must be sealed against shrinking, so that reading it cannot fault, and what it says of its own
 * layout is checked against its length.
 */
#include "daemon/heaps.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/shared.h"

#define LINK "/memfd:" ARENA_SHARED_NAME " (deleted)"
/* Longer files are not ours: 64 heaps take 8 KiB. */
#define BYTES_MAX (1u << 20)

/* The numbers of one process, mapped. */
struct shown {
	pid_t pid;
	const struct arena_shared *shared;
	size_t bytes;
};

struct printer {
	FILE *out;
	bool is_json;
	size_t nr;	/* heaps printed */
};

/* ---------------------------------------------------------------- finding */

static bool is_sane(const struct arena_shared *shared, size_t bytes)
{
	return shared->magic == ARENA_SHARED_MAGIC && shared->version >= 1 && shared->bytes <= bytes &&
	       shared->heap_bytes >= sizeof(struct arena_shared_heap) && shared->heap_bytes % 8 == 0 &&
	       shared->heaps_offset >= offsetof(struct arena_shared, heaps) && shared->heaps_offset % 8 == 0 &&
	       shared->nr_heaps <= 1024 &&
	       shared->heaps_offset + (uint64_t)shared->nr_heaps * shared->heap_bytes <= shared->bytes;
}

static bool map_file(int fd, struct shown *shown)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat file;
	void *base;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &file) || file.st_size < (off_t)sizeof(struct arena_shared) ||
	    file.st_size > BYTES_MAX)
		return false;
	base = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return false;
	shown->shared = base;
	shown->bytes = (size_t)file.st_size;
	if (is_sane(shown->shared, shown->bytes))
		return true;
	munmap(base, shown->bytes);
	return false;
}

static bool is_ours(int folder, const char *name)
{
	char link[64];
	ssize_t length = readlinkat(folder, name, link, sizeof(link));

	return length == (ssize_t)strlen(LINK) && !memcmp(link, LINK, strlen(LINK));
}

/* The first descriptor of a process that is such a file. */
static bool find_in(DIR *folder, struct shown *shown)
{
	bool found = false;
	struct dirent *entry;
	int fd;

	while (!found && (entry = readdir(folder))) {
		if (!is_ours(dirfd(folder), entry->d_name))
			continue;
		fd = openat(dirfd(folder), entry->d_name, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		found = map_file(fd, shown);
		close(fd);
	}
	return found;
}

static bool open_process(pid_t pid, struct shown *shown)
{
	char path[64];
	bool found;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	if (!folder)
		return false;
	shown->pid = pid;
	found = find_in(folder, shown);
	closedir(folder);
	return found;
}

/* ---------------------------------------------------------------- printing */

/* As arena_source_name() has it; this tool is not linked with the library. */
static const char *source_name(uint64_t source)
{
	static const char *const names[ARENA_NR_SOURCES] = { "auto", "dev", "hugetlb", "thp", "pages" };

	return source < ARENA_NR_SOURCES ? names[source] : "?";
}

static void put_json_collected(FILE *out, const struct arena_shared_heap *heap)
{
	fprintf(out, ",\"nr_cycles\":%" PRIu64 ",\"live_bytes\":%" PRIu64, heap->nr_cycles, heap->live_bytes);
	if (heap->goal_bytes != UINT64_MAX)
		fprintf(out, ",\"goal_bytes\":%" PRIu64, heap->goal_bytes);
}

static void put_json(struct printer *printer, const struct shown *shown, uint32_t number, const struct arena_shared_heap *heap)
{
	fprintf(printer->out,
		"%s{\"pid\":%d,\"heap\":%" PRIu32 ",\"source\":\"%s\",\"limit_chunks\":%" PRIu64 ",\"handed_chunks\":%" PRIu64
		",\"mapped_chunks\":%" PRIu64 ",\"idle_chunks\":%" PRIu64 ",\"returned_chunks\":%" PRIu64 ",\"used_bytes\":%" PRIu64,
		printer->nr ? "," : "", (int)shown->pid, number, source_name(heap->source),
		heap->limit_chunks, heap->handed_chunks, heap->mapped_chunks, heap->idle_chunks, heap->returned_chunks,
		heap->used_bytes);
	if (heap->is_collected)
		put_json_collected(printer->out, heap);
	fputs("}", printer->out);
}

/* Of a heap without a collector, or without a goal, nothing is said. */
static void put_column(FILE *out, uint64_t number, bool is_known)
{
	if (is_known)
		fprintf(out, " %10" PRIu64, number);
	else
		fprintf(out, " %10s", "-");
}

static void put_line(struct printer *printer, const struct shown *shown, uint32_t number, const struct arena_shared_heap *heap)
{
	if (!printer->nr)
		fprintf(printer->out, "%8s %5s %-8s %12s %10s %10s %10s %10s %10s %10s %10s\n", "PID", "HEAP", "SOURCE", "USED KiB", "MAPPED", "IDLE",
			"RETURNED", "HANDED", "CYCLES", "LIVE KiB", "GOAL KiB");
	fprintf(printer->out, "%8d %5" PRIu32 " %-8s %12" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %10" PRIu64,
		(int)shown->pid, number, source_name(heap->source), heap->used_bytes / 1024,
		heap->mapped_chunks, heap->idle_chunks, heap->returned_chunks, heap->handed_chunks);
	put_column(printer->out, heap->nr_cycles, heap->is_collected);
	put_column(printer->out, heap->live_bytes / 1024, heap->is_collected);
	put_column(printer->out, heap->goal_bytes / 1024, heap->is_collected && heap->goal_bytes != UINT64_MAX);
	fputs("\n", printer->out);
}

static void print_process(struct printer *printer, const struct shown *shown)
{
	const struct arena_shared *shared = shown->shared;
	struct arena_shared_heap heap;

	for (uint32_t i = 0; i < shared->nr_heaps && i < ARENA_SHARED_HEAPS; i++) {
		const char *at = (const char *)shared + shared->heaps_offset + (size_t)i * shared->heap_bytes;

		if (!arena_shared_read((const struct arena_shared_heap *)(const void *)at, &heap) || !heap.is_live)
			continue;
		if (printer->is_json)
			put_json(printer, shown, i, &heap);
		else
			put_line(printer, shown, i, &heap);
		printer->nr++;
	}
}

static void print_one(struct printer *printer, pid_t pid)
{
	struct shown shown;

	if (!open_process(pid, &shown))
		return;
	print_process(printer, &shown);
	munmap((void *)(uintptr_t)shown.shared, shown.bytes);
}

static void print_all(struct printer *printer)
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes)))
		if (isdigit((unsigned char)entry->d_name[0]))
			print_one(printer, (pid_t)atoi(entry->d_name));
	if (processes)
		closedir(processes);
}

int heaps_show(pid_t pid, bool is_json, FILE *out)
{
	struct printer printer = { .out = out, .is_json = is_json };

	if (is_json)
		fputs("{\"heaps\":[", out);
	if (pid)
		print_one(&printer, pid);
	else
		print_all(&printer);
	if (is_json)
		fputs("]}\n", out);
	return printer.nr ? 0 : -ENOENT;
}
