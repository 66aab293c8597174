// SPDX-License-Identifier: MIT
/*
 * Writes rings of events in the Trace Event Format (N. Duca, D. Sinclair, "Trace Event Format", 2016), a JSON array with an event in each line:
 *
 *	X	something with a begin and a duration, on the track of its thread: those of a track lie within each other or apart
 *	b, e	a request and its answer. It may begin and end anywhere in what its thread does, and so has a track beside it
 *	C	counters: bytes of the heap, and its goal
 *	M	names
 *
 * One file for all heaps of the process. After each cycle it is complete: its closing bracket is overwritten by the next one's events. A
 * process that dies while it writes leaves an array without an end, which the format allows, and loses one cycle. What is no file (a pipe) gets
 * no closing bracket.
 *
 * Nothing is allocated: the library may be the program's malloc(). A child of fork() does not write.
 */
#include "gc/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "opt.h"
#include "panic.h"

#define BUFFER_BYTES (32 * KiB)
/* Longest event: two lines. */
#define EVENT_BYTES 512
#define PATH_BYTES 1024
#define CLOSING "\n]\n"

static struct {
	struct lock lock;	/* guards all */
	bool is_started;	/* the file was asked for, or there is none to be had */
	int fd;			/* -1: none */
	pid_t pid;		/* who writes */
	bool has_end;		/* it can be written to at any offset */
	off_t offset;		/* where the next event goes */
	struct text text;	/* what is not written yet, in buffer */
} file = { .lock = LOCK_INIT(LOCK_GC_EVENT), .fd = -1 };
/* Guarded by the same lock. Apart, because what begins with zeros is neither in the library's file nor in memory until it is used. */
static char buffer[BUFFER_BYTES];

static const char *const names[GC_NR_EVENTS] = {
	[GC_EVENT_CYCLE] = "cycle", [GC_EVENT_LEFT] = "sweep what was left", [GC_EVENT_ON] = "barriers on", [GC_EVENT_ROOTS] = "roots",
	[GC_EVENT_SCAN] = "scan stacks", [GC_EVENT_MARK] = "mark", [GC_EVENT_ROUND] = "round", [GC_EVENT_BURY] = "clear weak references",
	[GC_EVENT_LOOK] = "stopped",
	[GC_EVENT_OFF] = "barriers off", [GC_EVENT_SWEEP] = "sweep", [GC_EVENT_HANDSHAKE] = "handshake", [GC_EVENT_ALLOC] = "allocate",
	[GC_EVENT_POLL] = "poll", [GC_EVENT_ANSWER] = "answer", [GC_EVENT_ASSIST] = "assist", [GC_EVENT_SAFE] = "blocking", [GC_EVENT_ASKED] = "asked",
};

static const char *const requests[GC_REQUEST_MASK + 1] = {
	[GC_REQUEST_OFF] = "off", [GC_REQUEST_BARRIER] = "barrier", [GC_REQUEST_BLACK] = "black", [GC_REQUEST_SCAN] = "scan",
	[GC_REQUEST_FLUSH] = "flush", [GC_REQUEST_STOP] = "stop", [GC_REQUEST_RESUME] = "resume",
};

/* ---------------------------------------------------------------- the file */

/* A file that cannot be written to is told of once, and no more is written. */
static void write_bytes_locked(const char *from, size_t bytes, off_t offset)
{
	while (bytes && file.fd >= 0) {
		ssize_t done = file.has_end ? pwrite(file.fd, from, bytes, offset) : write(file.fd, from, bytes);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			report("the timeline of ARENA_TRACE cannot be written: error %d", errno);
			close(file.fd);
			file.fd = -1;
			return;
		}
		from += done;
		bytes -= (size_t)done;
		offset += done;
	}
}

static void write_out_locked(void)
{
	size_t bytes = (size_t)(file.text.at - buffer);

	write_bytes_locked(buffer, bytes, file.offset);
	file.offset += (off_t)bytes;
	text_init(&file.text, buffer, sizeof(buffer));
}

/* As it is to be if the next cycle never ends. */
static void close_array_locked(void)
{
	write_out_locked();
	if (file.has_end)
		write_bytes_locked(CLOSING, strlen(CLOSING), file.offset);
}

/* Where an event goes, with all that is between it and the one before. */
static struct text *next_event_locked(void)
{
	if (file.text.limit - file.text.at < EVENT_BYTES)
		write_out_locked();
	text_put(&file.text, ",\n");
	return &file.text;
}

/* %p stands for the number of the process. */
static void put_path(struct text *path, const char *from)
{
	for (; *from; from++)
		if (from[0] == '%' && from[1] == 'p') {
			text_put(path, "%d", (int)getpid());
			from++;
		} else {
			text_put(path, "%c", *from);
		}
}

/* Names are told by the program: what would end a string is left out. */
static void put_name(struct text *text, const char *name)
{
	for (; *name; name++)
		text_put(text, "%c", *name < ' ' || *name == '"' || *name == '\\' || *name == 127 ? '_' : *name);
}

static void open_locked(const char *name)
{
	char path[PATH_BYTES];
	struct text text;

	text_init(&text, path, sizeof(path));
	put_path(&text, name);
	file.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (file.fd < 0) {
		report("the timeline %s cannot be written: error %d", path, errno);
		return;
	}
	file.pid = getpid();
	file.has_end = lseek(file.fd, 0, SEEK_CUR) == 0;
	text_init(&file.text, buffer, sizeof(buffer));
	text_put(&file.text, "[\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":0,\"args\":{\"name\":\"", (int)file.pid);
	put_name(&file.text, program_invocation_short_name);
	text_put(&file.text, "\"}}");
	close_array_locked();
}

/* Whether there is one. */
static bool start_file(void)
{
	const char *name = opt_gc_timeline();
	bool is_there;
	int saved = errno;

	if (!name || !*name)
		return false;
	lock_acquire(&file.lock);
	if (!file.is_started)
		open_locked(name);
	file.is_started = true;
	is_there = file.fd >= 0;
	lock_release(&file.lock);
	errno = saved;
	return is_there;
}

/* ---------------------------------------------------------------- events */

static void put_us(struct text *text, const char *key, uint64_t ns)
{
	text_put(text, "\"%s\":%lu.%lu%lu%lu,", key, ns / 1000, ns / 100 % 10, ns / 10 % 10, ns % 10);
}

/* What all events begin with. */
static void put_head(struct text *text, const char *name, const char *phase, uint64_t ns, uint32_t thread_id)
{
	text_put(text, "{\"name\":\"%s\",\"cat\":\"gc\",\"ph\":\"%s\",", name, phase);
	put_us(text, "ts", ns);
	text_put(text, "\"pid\":%d,\"tid\":%u,", (int)file.pid, thread_id);
}

static void name_thread_locked(const struct arena_gc *gc, uint32_t thread_id)
{
	bool is_collector = thread_id == gc->thread_id;
	struct text *text = next_event_locked();

	text_put(text, "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%d,\"tid\":%u,\"args\":{\"name\":\"%s %u\"}}", (int)file.pid, thread_id,
		 is_collector ? "collector of heap" : "mutator", is_collector ? gc->space.heap->id : thread_id);
	text = next_event_locked();
	text_put(text, "{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":%d,\"tid\":%u,\"args\":{\"sort_index\":%d}}", (int)file.pid, thread_id,
		 is_collector ? -1 : 1);
}

static void put_span_locked(const struct gc_event *event)
{
	bool has_request = event->kind == GC_EVENT_HANDSHAKE || event->kind == GC_EVENT_ANSWER;
	struct text *text = next_event_locked();

	put_head(text, names[event->kind], "X", event->begin_ns, event->thread_id);
	put_us(text, "dur", event->end_ns - event->begin_ns);
	text_put(text, "\"args\":{");
	if (has_request)
		text_put(text, "\"request\":\"%s\"", requests[event->request]);
	text_put(text, "}}");
}

/* A request of a thread, whose number is the event's. */
static void put_asked_locked(const struct arena_gc *gc, const struct gc_event *event)
{
	for (int is_end = 0; is_end <= 1; is_end++) {
		struct text *text = next_event_locked();

		put_head(text, requests[event->request], is_end ? "e" : "b", is_end ? event->end_ns : event->begin_ns, event->thread_id);
		text_put(text, "\"id\":\"%u.%u\",\"args\":{}}", gc->space.heap->id, event->thread_id);
	}
}

static void put_counter_locked(const struct arena_gc *gc, uint64_t ns, uint64_t heap_bytes, uint64_t goal_bytes)
{
	struct text *text = next_event_locked();

	put_head(text, "heap", "C", ns, gc->thread_id);
	text_put(text, "\"id\":\"%u\",\"args\":{\"heap_bytes\":%lu,\"goal_bytes\":%lu}}", gc->space.heap->id, heap_bytes, goal_bytes);
}

static void put_ring_locked(const struct arena_gc *gc, struct gc_ring *ring)
{
	struct gc_event event;

	while (gc_ring_take(ring, &event)) {
		if (event.kind == GC_EVENT_ASKED) {
			put_asked_locked(gc, &event);
			continue;
		}
		if (ring->named != event.thread_id)
			name_thread_locked(gc, event.thread_id);
		ring->named = event.thread_id;
		put_span_locked(&event);
	}
}

static void put_lost_locked(const struct arena_gc *gc, uint64_t lost)
{
	struct text *text;

	if (!lost)
		return;
	text = next_event_locked();
	put_head(text, "events that did not fit", "i", gc->cycle.end_ns, gc->thread_id);
	text_put(text, "\"s\":\"t\",\"args\":{\"events\":%lu}}", lost);
}

static void put_counters_locked(struct arena_gc *gc)
{
	const struct gc_cycle *cycle = &gc->cycle;

	/* Once for each cycle: not again when the heap is destroyed. */
	if (cycle->end_ns == gc->counted_ns)
		return;
	gc->counted_ns = cycle->end_ns;
	put_counter_locked(gc, cycle->start_ns, cycle->start_bytes, cycle->goal_bytes);
	put_counter_locked(gc, cycle->mark_end_ns, cycle->end_bytes, cycle->goal_bytes);
	put_counter_locked(gc, cycle->end_ns, atomic_load_relaxed(&gc->live_bytes), atomic_load_relaxed(&gc->drive.goal_bytes));
}

void gc_timeline_write(struct arena_gc *gc)
{
	struct gc_ring *ring = gc_rings_first(&gc->rings);
	uint64_t lost = 0;
	int saved = errno;

	if (!gc->ring || getpid() != file.pid)
		return;
	lock_acquire(&file.lock);
	for (; ring; ring = ring->next) {
		put_ring_locked(gc, ring);
		lost += atomic_swap_acquire(&ring->lost, 0u);
	}
	put_counters_locked(gc);
	put_lost_locked(gc, lost);
	close_array_locked();
	lock_release(&file.lock);
	errno = saved;
}

void gc_timeline_start(struct arena_gc *gc)
{
	if (start_file())
		gc->ring = gc_ring_get(&gc->rings);
}

void gc_timeline_lock(void)
{
	lock_acquire_nested(&file.lock);
}

void gc_timeline_unlock(void)
{
	lock_release_nested(&file.lock);
}
