// SPDX-License-Identifier: MIT
/*
 * A program that writes a dump of a known heap to standard output, for tests/unit/gc_dump.sh: a root leads to a slice of a few bytes of a large
 * array, a handle to a list of 100 nodes, each of which leads to one leaf that all share.
 */
#include <stdlib.h>
#include <unistd.h>

#include "arena/gc.h"

struct slice {
	const char *bytes;
	size_t nr;
};
ARENA_GC_LAYOUT(slice_layout, struct slice, bytes);

struct node {
	struct node *next;
	struct leaf *leaf;
};
ARENA_GC_LAYOUT(node_layout, struct node, next, leaf);

struct leaf {
	char text[100];
};
static const struct arena_gc_layout leaf_layout = { .name = "struct \"leaf\"", .bytes = sizeof(struct leaf) };

static struct slice *cell;

static void *fill(void *gc)
{
	struct arena_gc_type *slice = arena_gc_type_create(gc, &slice_layout), *node = arena_gc_type_create(gc, &node_layout),
			     *leaf = arena_gc_type_create(gc, &leaf_layout);
	struct arena_gc_handle *handle;
	struct leaf *shared;

	if (arena_gc_attach(gc))
		abort();
	arena_gc_add_roots(gc, &cell, sizeof(cell));
	arena_gc_store(&cell, arena_gc_alloc(gc, slice));
	arena_gc_store(&cell->bytes, (char *)arena_gc_alloc_atomic(gc, 1 << 20) + 4000);
	handle = arena_gc_handle_create(gc, NULL);
	shared = arena_gc_alloc(gc, leaf);
	for (int i = 0; i < 100; i++) {
		struct node *it = arena_gc_alloc(gc, node);

		arena_gc_store(&it->next, arena_gc_handle_get(handle));
		arena_gc_store(&it->leaf, shared);
		arena_gc_handle_set(handle, it);
	}
	arena_gc_detach(gc);
	return NULL;
}

int main(void)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_PAGES, .percent = ARENA_GC_OFF };
	struct arena_gc *gc = arena_gc_create(&options);
	int error;

	if (!gc)
		return 1;
	fill(gc);
	error = arena_gc_dump(gc, STDOUT_FILENO);
	arena_gc_destroy(gc);
	return error != 0;
}
