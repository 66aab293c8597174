// SPDX-License-Identifier: MIT
/*
 * Reads the file of a trace: the blocks of all threads, put into one order by their tickets. A file of a program that is still running is
 * read as far as it is; one that was damaged is refused.
 */
#include "bench/trace.h"

#include "bench/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const op_names[] = {
	[TRACE_ALLOC] = "malloc", [TRACE_CALLOC] = "calloc", [TRACE_ALIGNED] = "aligned",
	[TRACE_REALLOC] = "realloc", [TRACE_FREE] = "free",
};
enum { NR_OPS = sizeof(op_names) / sizeof(op_names[0]) };

/* The whole file, mapped; NULL after a message. */
static const uint8_t *map_file(const char *path, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	void *file = MAP_FAILED;
	struct stat info;

	if (fd >= 0 && !fstat(fd, &info) && info.st_size >= (off_t)TRACE_HEADER_BYTES) {
		*bytes = (size_t)info.st_size;
		file = mmap(NULL, *bytes, PROT_READ, MAP_SHARED, fd, 0);
	}
	if (file == MAP_FAILED)
		bench_fail("%s: %s", path, fd < 0 || errno ? strerror(errno) : "too short for a trace");
	if (fd >= 0)
		close(fd);
	return file == MAP_FAILED ? NULL : file;
}

/* Operands by operation; where the next event is, NULL for damage. */
static const uint8_t *read_event(const uint8_t *at, const uint8_t *limit, struct event *event)
{
	uint64_t head, value = 0;

	at = trace_get(at, limit, &head);
	event->op = head & 7;
	event->ticket += head >> 3;
	if (!at || event->op >= NR_OPS || !op_names[event->op])
		return NULL;
	if (event->op >= TRACE_ALIGNED)
		at = trace_get(at, limit, &value);
	event->align_shift = event->op == TRACE_ALIGNED ? value & 63 : 0;
	event->old = event->op >= TRACE_REALLOC ? event->ticket - value : 0;
	event->bytes = 0;
	if (at && event->op != TRACE_FREE)
		at = trace_get(at, limit, &event->bytes);
	return at;
}

static bool add_event(struct trace *trace, size_t *cap, const struct event *event)
{
	if (trace->nr == *cap) {
		size_t more = *cap ? 2 * *cap : 1024;
		struct event *events = reallocarray(trace->events, more, sizeof(*events));

		if (!events)
			return false;
		trace->events = events;
		*cap = more;
	}
	trace->events[trace->nr++] = *event;
	return true;
}

/* False for damage, or when out of memory. */
static bool read_block(struct trace *trace, size_t *cap, const struct trace_block *block, const uint8_t *end)
{
	const uint8_t *at = (const uint8_t *)(block + 1);
	/* The writer may be at work: what it says is used is there. */
	const uint8_t *limit = at + __atomic_load_n(&block->used_bytes, __ATOMIC_ACQUIRE);
	struct event event = { .ticket = block->ticket, .thread = block->thread };

	if (limit > end)
		return false;
	while (at && at < limit) {
		at = read_event(at, limit, &event);
		if (at && !add_event(trace, cap, &event))
			return false;
	}
	return at != NULL;
}

static int compare(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	return (x->ticket > y->ticket) - (x->ticket < y->ticket);
}

int trace_read(const char *path, struct trace *trace)
{
	size_t bytes = 0, cap = 0;
	const uint8_t *file = map_file(path, &bytes);
	const struct trace_header *header = (const void *)file;
	bool good;

	*trace = (struct trace){ 0 };
	if (!file)
		return 1;
	trace->first_ticket = header->first_ticket;
	good = header->magic == TRACE_MAGIC;
	for (size_t at = TRACE_HEADER_BYTES; good && at + TRACE_BLOCK_BYTES <= bytes; at += TRACE_BLOCK_BYTES)
		good = read_block(trace, &cap, (const void *)(file + at), file + at + TRACE_BLOCK_BYTES);
	munmap((void *)(uintptr_t)file, bytes);
	if (good) {
		qsort(trace->events, trace->nr, sizeof(*trace->events), compare);
		return 0;
	}
	free(trace->events);
	return bench_fail("%s: not a trace, or damaged", path);
}

int bench_events(const char *path)
{
	struct trace trace;

	if (trace_read(path, &trace))
		return 1;
	for (size_t i = 0; i < trace.nr; i++) {
		const struct event *event = &trace.events[i];

		printf("%" PRIu64 " thread %u %s", event->ticket, event->thread, op_names[event->op]);
		if (event->old)
			printf(" of %" PRIu64 "%s", event->old, event->old < trace.first_ticket ? " inherited" : "");
		if (event->op != TRACE_FREE)
			printf(" %" PRIu64 " bytes", event->bytes);
		if (event->op == TRACE_ALIGNED)
			printf(" at multiples of %" PRIu64, UINT64_C(1) << event->align_shift);
		putchar('\n');
	}
	free(trace.events);
	return fflush(stdout) || ferror(stdout) ? bench_fail("cannot write: %s", strerror(errno)) : 0;
}
