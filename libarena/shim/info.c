// SPDX-License-Identifier: MIT
/*
 * What glibc's malloc tells and lets be set, answered for the main heap. Numbers of chunks are exact; what is in use by objects
 * counts whole pages.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap_json.h"
#include "opt.h"
#include "panic.h"
#include "shim/shim.h"

struct totals {
	size_t held_bytes, used_bytes, idle_bytes, peak_bytes;
	enum arena_source source;
};

static struct totals totals(void)
{
	struct heap *heap = heap_main();
	struct totals all = { 0 };

	if (!heap)
		return all;
	lock_acquire(&heap->lock);
	all.held_bytes = (heap->pages.mapped + heap->pages.nr_idle) * CHUNK_BYTES;
	all.used_bytes = heap->pages.used_pages * PAGE_BYTES;
	all.idle_bytes = heap->pages.nr_idle * CHUNK_BYTES;
	all.peak_bytes = heap->pages.peak * CHUNK_BYTES;
	all.source = heap->pages.source;
	lock_release(&heap->lock);
	return all;
}

SHIM_API struct mallinfo2 mallinfo2(void)
{
	struct totals all = totals();

	return (struct mallinfo2){
		.arena = all.held_bytes,
		.uordblks = all.used_bytes,
		.fordblks = all.held_bytes - all.used_bytes,
		.keepcost = all.idle_bytes,
	};
}

/* Deprecated by glibc, because its numbers wrap around. */
SHIM_API struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();

	return (struct mallinfo){
		.arena = (int)wide.arena,
		.uordblks = (int)wide.uordblks,
		.fordblks = (int)wide.fordblks,
		.keepcost = (int)wide.keepcost,
	};
}

/* glibc's @pad counts bytes left at the top of its heap; here they are whole idle chunks. */
SHIM_API int malloc_trim(size_t pad)
{
	struct heap *heap = heap_main();

	if (!heap)
		return 0;
	heap_flush(heap);
	return heap_scavenge(heap, pad / CHUNK_BYTES, UINT64_MAX) > 0;
}

SHIM_API int malloc_info(int options, FILE *stream)
{
	struct totals all = totals();

	if (options)
		return EINVAL;
	fprintf(stream,
		"<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n</sizes>\n"
		"<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n</heap>\n"
		"<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
		"<system type=\"current\" size=\"%zu\"/>\n</malloc>\n",
		all.held_bytes - all.used_bytes, all.held_bytes, all.held_bytes - all.used_bytes, all.held_bytes);
	return 0;
}

SHIM_API void malloc_stats(void)
{
	struct totals all = totals();

	fprintf(stderr, "arena: %zu bytes held, %zu in use, %zu idle\n", all.held_bytes, all.used_bytes,
		all.idle_bytes);
}

/* Nothing of what glibc lets be tuned exists here. 1 is success, and programs that ask for less than they get are content. */
SHIM_API int mallopt(int parameter, int value)
{
	(void)parameter;
	(void)value;
	return 1;
}

/* ---------------------------------------------------------------- at exit */

/* Standard error as it was at the start: many programs close it before they end. What it was, in case its number is used anew. */
static int exit_fd = -1;
static struct stat exit_file;

static bool is_same_file(int fd)
{
	struct stat now;

	return !fstat(fd, &now) && now.st_dev == exit_file.st_dev && now.st_ino == exit_file.st_ino;
}

/* glibc passes the environment; this constructor comes before that of the C library, which makes getenv() work. */
__attribute__((constructor)) static void keep_stderr(int argc, char **argv, char **environment)
{
	static const char name[] = "ARENA_MALLOC_STATS=";

	(void)argc;
	(void)argv;
	for (; *environment; environment++)
		if (!strncmp(*environment, name, sizeof(name) - 1))
			break;
	if (!*environment || fstat(STDERR_FILENO, &exit_file))
		return;
	/* Far above the numbers that programs count on, where the limit allows. */
	exit_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 900);
	if (exit_fd < 0)
		exit_fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
}

static void put_line(struct text *text)
{
	struct totals all = totals();

	text_put(text, "arena: %zu bytes held, %zu in use, %zu idle, at most %zu, source %s\n", all.held_bytes, all.used_bytes,
		 all.idle_bytes, all.peak_bytes, arena_source_name(all.source));
}

__attribute__((destructor)) static void print_totals(void)
{
	static char lines[HEAP_JSON_BYTES]; /* other threads may still run, but none comes here */
	struct text text;
	uint64_t form;

	if (exit_fd < 0 || !is_same_file(exit_fd) || !(form = opt_get(OPT_MALLOC_STATS)))
		return;
	text_init(&text, lines, sizeof(lines));
	if (form == 2) {
		heap_put_json(&text);
		text_put(&text, "\n");
	} else {
		put_line(&text);
	}
	/* Nobody is left to tell of a failure. */
	if (write(exit_fd, lines, strlen(lines)) < 0)
		return;
}
