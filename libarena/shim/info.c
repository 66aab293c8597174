// SPDX-License-Identifier: MIT
/*
 * What glibc's malloc tells and lets be set, answered for the main heap. Numbers of chunks are exact; what is in use by objects
 * counts whole pages, but in malloc_info(), which finds free slots between objects: beside threads at work about as many as there are.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#include "shim/shim.h"
#include "walk.h"

struct totals {
	size_t held_bytes, used_bytes, idle_bytes, most_bytes;
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
	all.most_bytes = heap->pages.most_held * CHUNK_BYTES;
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

/* What is free: slots, by class, and pages. */
struct free_parts {
	uint64_t nr_slots[NR_CLASSES];
	uint64_t nr_all_slots, slot_bytes;
	uint64_t nr_pages;
	size_t held_bytes, most_bytes;
};

static struct free_parts free_parts(void)
{
	struct totals all = totals();
	struct free_parts parts = { .nr_pages = (all.held_bytes - all.used_bytes) / PAGE_BYTES, .held_bytes = all.held_bytes,
				     .most_bytes = all.most_bytes };

	if (heap_main())
		heap_count_free(heap_main(), parts.nr_slots);
	for (unsigned int class = 0; class < NR_CLASSES; class++) {
		parts.nr_all_slots += parts.nr_slots[class];
		parts.slot_bytes += parts.nr_slots[class] * size_classes[class].bytes;
	}
	return parts;
}

/*
 * glibc's "fast" chunks are those that lie ready for their size, which slots are; pages are the rest. Addresses are the heap's as long as its chunks are: all of
 * them may be read and written. @more: what glibc says of all heaps alone.
 */
static void print_sums(const struct free_parts *parts, const char *more, FILE *stream)
{
	fprintf(stream, "<total type=\"fast\" count=\"%lu\" size=\"%lu\"/>\n", parts->nr_all_slots, parts->slot_bytes);
	fprintf(stream, "<total type=\"rest\" count=\"%lu\" size=\"%lu\"/>\n", parts->nr_pages, parts->nr_pages * PAGE_BYTES);
	fprintf(stream, "%s<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n", more, parts->held_bytes, parts->most_bytes);
	fprintf(stream, "<aspace type=\"total\" size=\"%zu\"/>\n<aspace type=\"mprotect\" size=\"%zu\"/>\n", parts->held_bytes, parts->held_bytes);
}

SHIM_API int malloc_info(int options, FILE *stream)
{
	struct free_parts parts;

	if (options)
		return EINVAL;
	/* Before anything is printed, which allocates. */
	parts = free_parts();
	fprintf(stream, "<malloc version=\"1\">\n<heap nr=\"0\">\n<sizes>\n");
	for (unsigned int class = 0; class < NR_CLASSES; class++)
		if (parts.nr_slots[class])
			fprintf(stream, "  <size from=\"%u\" to=\"%u\" total=\"%lu\" count=\"%lu\"/>\n", size_classes[class].bytes,
				size_classes[class].bytes, parts.nr_slots[class] * size_classes[class].bytes, parts.nr_slots[class]);
	fprintf(stream, "</sizes>\n");
	print_sums(&parts, "", stream);
	fprintf(stream, "</heap>\n");
	/* Nothing is mapped for one object alone. */
	print_sums(&parts, "<total type=\"mmap\" count=\"0\" size=\"0\"/>\n", stream);
	fprintf(stream, "</malloc>\n");
	return 0;
}

SHIM_API void malloc_stats(void)
{
	struct totals all = totals();

	fprintf(stderr, "arena: %zu bytes held, %zu in use, %zu idle\n", all.held_bytes, all.used_bytes,
		all.idle_bytes);
}

/*
 * Nothing of what glibc lets be tuned exists here. Its parameters are hints, on which nothing but speed and memory depends: taken, and not heeded.
 * But for one: who asks for memory to be filled is to know that it is not.
 */
SHIM_API int mallopt(int parameter, int value)
{
	return parameter != M_PERTURB || !value;
}

void shim_put_totals(struct text *text)
{
	struct totals all = totals();

	text_put(text, "arena: %zu bytes held, %zu in use, %zu idle, at most %zu, source %s\n", all.held_bytes, all.used_bytes,
		 all.idle_bytes, all.most_bytes, arena_source_name(all.source));
}
