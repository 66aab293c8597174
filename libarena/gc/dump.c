// SPDX-License-Identifier: MIT
/*
 * Writes a heap as lines of words:
 *
 *	arena-gc-dump 1
 *	heap BASE UNIT			addresses of objects are BASE + UNIT * their number
 *	kind KIND BYTES NAME		of objects: what each takes, 0 if they differ; its type
 *	root WHAT THREAD LOCATION N	range, handle, uncollectable or stack: where its pointer is, and the object that it leads to
 *	N KIND [=BYTES] N ...		an object, what it takes if its kind does not tell, and the objects that it leads to
 *	end NR				objects
 *
 * BASE, LOCATION and object numbers are hexadecimal, all others decimal. A kind comes before its first object, roots before all objects. So half of a
 * dump is numbers of two to six digits: 40 MB for a million objects with two pointers each, and a tenth of that under gzip.
 */
#include "gc/dump.h"

#include <errno.h>
#include <unistd.h>

#include "gc/look.h"
#include "panic.h"

#define UNIT_BYTES 8u
#define BUFFER_BYTES (32 * KiB)
/* Longest word, except names of types, which are cut. */
#define WORD_BYTES 64u
#define NAME_BYTES 256u

struct dump {
	struct arena_gc *gc;
	int fd;
	int error;
	size_t nr_objects;
	struct text text;	/* what is not written yet, in buffer */
	bool kinds[GC_KINDS_MAX]; /* that were told of */
	char buffer[BUFFER_BYTES];
};
#define DUMP_BYTES align_up(sizeof(struct dump), PAGE_BYTES)

static void write_out(struct dump *dump)
{
	const char *at = dump->buffer;

	while (at < dump->text.at && !dump->error) {
		ssize_t done = write(dump->fd, at, (size_t)(dump->text.at - at));

		if (done > 0)
			at += done;
		else if (errno != EINTR)
			dump->error = -errno;
	}
	text_init(&dump->text, dump->buffer, sizeof(dump->buffer));
}

/* Where @bytes more fit. */
static struct text *room(struct dump *dump, size_t bytes)
{
	if ((size_t)(dump->text.limit - dump->text.at) <= bytes)
		write_out(dump);
	return &dump->text;
}

static void put_hex(struct dump *dump, const char *before, uint64_t number)
{
	char digits[17];
	size_t at = sizeof(digits) - 1;

	digits[at] = 0;
	do {
		digits[--at] = "0123456789abcdef"[number % 16];
		number /= 16;
	} while (number);
	text_put(room(dump, WORD_BYTES), "%s%s", before, &digits[at]);
}

static void put_object(struct dump *dump, const char *before, uintptr_t object)
{
	put_hex(dump, before, (object - dump->gc->space.base) / UNIT_BYTES);
}

/* ---------------------------------------------------------------- lines */

static void put_root(void *context, const struct gc_root *root, uintptr_t word)
{
	static const char *const names[] = {
		[ARENA_GC_ROOT_NONE] = "?", [ARENA_GC_ROOT_RANGE] = "range", [ARENA_GC_ROOT_HANDLE] = "handle",
		[ARENA_GC_ROOT_UNCOLLECTABLE] = "uncollectable", [ARENA_GC_ROOT_STACK] = "stack",
		[ARENA_GC_ROOT_ARENA] = "arena", [ARENA_GC_ROOT_CLEANUP] = "cleanup",
	};
	struct dump *dump = context;
	struct gc_ref ref;

	if (!gc_graph_find(dump->gc, word, &ref))
		return;
	text_put(room(dump, WORD_BYTES), "root %s %u", names[root->kind], root->thread_id);
	put_hex(dump, " ", root->location);
	put_object(dump, " ", gc_object_base(&dump->gc->space, &ref));
	text_put(room(dump, WORD_BYTES), "\n");
}

static void put_kind(struct dump *dump, const struct gc_ref *ref)
{
	struct text *text = room(dump, WORD_BYTES + NAME_BYTES);
	const char *name = gc_graph_type(dump->gc, ref);

	text_put(text, "kind %u %u ", ref->span->kind, ref->span->slot_bytes);
	for (size_t i = 0; name[i] && i < NAME_BYTES; i++)
		text_put(text, "%c", name[i] == '\n' ? ' ' : name[i]);
	text_put(text, "\n");
	dump->kinds[ref->span->kind] = true;
}

static void put_edge(void *context, uintptr_t word)
{
	struct dump *dump = context;
	struct gc_ref ref;

	if (gc_graph_find(dump->gc, word, &ref))
		put_object(dump, " ", gc_object_base(&dump->gc->space, &ref));
}

static void put_line(void *context, const struct gc_ref *ref)
{
	struct dump *dump = context;

	if (!dump->kinds[ref->span->kind])
		put_kind(dump, ref);
	put_object(dump, "", gc_object_base(&dump->gc->space, ref));
	text_put(room(dump, WORD_BYTES), " %u", ref->span->kind);
	if (!ref->span->slot_bytes)
		text_put(room(dump, WORD_BYTES), " =%zu", gc_object_bytes(ref->span));
	gc_graph_edges(dump->gc, ref, put_edge, dump);
	text_put(room(dump, WORD_BYTES), "\n");
	dump->nr_objects++;
}

static void put_all(struct arena_gc *gc, void *context)
{
	struct dump *dump = context;

	text_init(&dump->text, dump->buffer, sizeof(dump->buffer));
	text_put(&dump->text, "arena-gc-dump 1\nheap");
	put_hex(dump, " ", gc->space.base);
	text_put(&dump->text, " %u\n", UNIT_BYTES);
	gc_graph_roots(gc, put_root, dump);
	gc_graph_objects(gc, put_line, dump);
	text_put(room(dump, WORD_BYTES), "end %zu\n", dump->nr_objects);
	write_out(dump);
}

int gc_dump(struct arena_gc *gc, int fd)
{
	struct dump *dump = os_table(DUMP_BYTES);
	int error;

	if (!dump)
		return -ENOMEM;
	dump->gc = gc;
	dump->fd = fd;
	error = gc_look(gc, put_all, dump);
	if (!error)
		error = dump->error;
	os_unreserve(dump, DUMP_BYTES);
	return error;
}
