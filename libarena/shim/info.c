// SPDX-License-Identifier: MIT
/*
 * What glibc's malloc tells and lets be set, answered for the main heap. Numbers of chunks are exact; what is in use by objects
 * counts whole pages.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>

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

void shim_put_totals(struct text *text)
{
	struct totals all = totals();

	text_put(text, "arena: %zu bytes held, %zu in use, %zu idle, at most %zu, source %s\n", all.held_bytes, all.used_bytes,
		 all.idle_bytes, all.peak_bytes, arena_source_name(all.source));
}
