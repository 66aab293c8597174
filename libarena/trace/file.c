// SPDX-License-Identifier: MIT
/*
 * The file of a trace. Each thread writes into a block of it that is mapped, shared: what was written is in the file whatever ends the process,
 * be it exec, _exit() or a signal, and nothing has to be flushed. The file is opened for each block and closed again, because
 * programs close descriptors that they do not know.
 *
 * A child of fork() has a file of its own. It learns that it is a child from a page that the kernel wipes then, so that no handler of fork() is
 * needed, and children of _Fork() and clone() are noticed as well. A child of vfork() is its parent until it calls exec.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "atomic.h"
#include "panic.h"
#include "trace/trace.h"

#define EVENTS_BYTES (TRACE_BLOCK_BYTES - sizeof(struct trace_block))
/* Programs that a process becomes by exec one after the other: each has a file. */
#define FILES_MAX 10000

static char prefix[PATH_MAX];	/* of the names of files; fixed by the constructor */
static char path[PATH_MAX + 32]; /* of this process's file; written while it has one thread, or by who starts the first file */
static bool is_on;		/* atomic, relaxed: stops for good after a failure */
static bool *is_same_process;	/* in a page that reads as zero in a child; fixed by the constructor */
static uint64_t last_ticket;	/* atomic */
static uint32_t nr_blocks;	/* atomic; of the file */
static uint32_t nr_threads;	/* atomic; of the process */
static pthread_key_t ending;	/* fixed by the constructor */

/* What a thread writes into. */
struct writer {
	struct trace_block *block;
	uint64_t ticket;	/* of the last event */
	uint32_t thread;
	uint32_t used_bytes;
	bool is_busy;		/* what happens meanwhile is the tracer's own, or a signal handler's: not written */
};

static __thread struct writer writer __attribute__((tls_model("initial-exec")));

bool trace_is_on(void)
{
	return atomic_load_relaxed(&is_on);
}

uint64_t trace_ticket(void)
{
	/* Relaxed: what makes an object known to another thread orders these two as well. */
	return atomic_add_relaxed(&last_ticket, UINT64_C(1)) + 1;
}

static void stop(const char *what)
{
	atomic_store_relaxed(&is_on, false);
	report("trace: %s %s: error %d; nothing more is written", what, path, errno);
}

/* ---------------------------------------------------------------- files and blocks */

static bool write_header(int fd, uint64_t first_ticket)
{
	struct trace_header header = {
		.magic = TRACE_MAGIC,
		.process = (uint64_t)getpid(),
		.parent = (uint64_t)getppid(),
		.first_ticket = first_ticket,
	};

	return write(fd, &header, sizeof(header)) == sizeof(header) && !ftruncate(fd, TRACE_HEADER_BYTES);
}

/* A file that was not there: PREFIX.PROCESS.NUMBER. */
static bool start_file(uint64_t first_ticket)
{
	int fd = -1;

	for (unsigned int i = 0; fd < 0 && i < FILES_MAX; i++) {
		struct text text;

		text_init(&text, path, sizeof(path));
		text_put(&text, "%s.%d.%u", prefix, (int)getpid(), i);
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd >= 0 && !write_header(fd, first_ticket)) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		return !close(fd);
	stop("cannot write");
	return false;
}

/* Space is taken at once: a store into the mapping of a file without any would be a signal. */
static struct trace_block *map_block(off_t offset)
{
	int fd = open(path, O_RDWR | O_CLOEXEC), error;
	void *block = MAP_FAILED;

	if (fd < 0)
		return NULL;
	error = posix_fallocate(fd, offset, TRACE_BLOCK_BYTES);
	if (error)
		errno = error;
	else
		block = mmap(NULL, TRACE_BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
	close(fd);
	return block == MAP_FAILED ? NULL : block;
}

static void leave_block(void)
{
	if (writer.block)
		munmap(writer.block, TRACE_BLOCK_BYTES);
	writer.block = NULL;
}

static bool next_block(uint64_t ticket)
{
	uint32_t number = atomic_add_relaxed(&nr_blocks, 1u);

	leave_block();
	writer.block = map_block((off_t)(TRACE_HEADER_BYTES + (size_t)number * TRACE_BLOCK_BYTES));
	if (!writer.block) {
		stop("cannot extend");
		return false;
	}
	if (!writer.thread)
		writer.thread = atomic_add_relaxed(&nr_threads, 1u) + 1;
	writer.block->ticket = ticket;
	writer.block->thread = writer.thread;
	writer.used_bytes = 0;
	writer.ticket = ticket;
	pthread_setspecific(ending, writer.block);
	return true;
}

/* In a child, which has one thread: the one that called fork() and now writes, as its first event, that of @ticket. */
static bool start_child(uint64_t ticket)
{
	leave_block();
	writer.thread = 1;
	nr_threads = 1;
	nr_blocks = 0;
	*is_same_process = true;
	return start_file(ticket);
}

/* ---------------------------------------------------------------- events */

static bool is_ready(uint64_t ticket)
{
	if (unlikely(!atomic_load_relaxed(is_same_process)) && !start_child(ticket))
		return false;
	if (writer.block && writer.used_bytes + TRACE_EVENT_BYTES <= EVENTS_BYTES)
		return true;
	return next_block(ticket);
}

void trace_event(enum trace_op op, uint64_t ticket, const uint64_t *operands, unsigned int nr)
{
	int saved = errno;
	uint8_t *events, *at;

	if (writer.is_busy || !trace_is_on())
		return;
	writer.is_busy = true;
	if (is_ready(ticket)) {
		events = (uint8_t *)(writer.block + 1);
		at = trace_put(events + writer.used_bytes, (ticket - writer.ticket) << 3 | op);
		for (unsigned int i = 0; i < nr; i++)
			at = trace_put(at, operands[i]);
		writer.ticket = ticket;
		writer.used_bytes = (uint32_t)(at - events);
		atomic_store_release(&writer.block->used_bytes, writer.used_bytes);
	}
	writer.is_busy = false;
	errno = saved;
}

/* Destructors of other keys may allocate after this one: then a block more is taken. */
static void end_thread(void *block)
{
	(void)block;
	leave_block();
}

/* ---------------------------------------------------------------- start */

/* The program may change its folder. */
static bool set_prefix(const char *name)
{
	struct text text;
	char folder[PATH_MAX] = "";

	if (*name != '/' && !getcwd(folder, sizeof(folder)))
		return false;
	text_init(&text, prefix, sizeof(prefix));
	text_put(&text, "%s%s%s", folder, *name == '/' ? "" : "/", name);
	return strlen(prefix) + 1 < sizeof(prefix);
}

__attribute__((constructor)) static void start(void)
{
	const char *name = secure_getenv("ARENA_TRACE");
	void *page;

	if (!name || !*name || !set_prefix(name) || pthread_key_create(&ending, end_thread))
		return;
	page = mmap(NULL, TRACE_HEADER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || madvise(page, TRACE_HEADER_BYTES, MADV_WIPEONFORK)) {
		stop("cannot start");
		return;
	}
	is_same_process = page;
	*is_same_process = true;
	if (start_file(1))
		atomic_store_relaxed(&is_on, true);
}
