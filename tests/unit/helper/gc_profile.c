// SPDX-License-Identifier: MIT
/*
 * A program that writes a profile of a collected heap to the file of its argument, for tests/unit/gc_profile.sh: keeps_half() allocates 64 MB and keeps
 * every second object, keeps_nothing() allocates as much. Both are seen by the dynamic linker.
 */
#include <string.h>

#include "arena/gc.h"
#include "arena/profile.h"

#define NODES (1 << 21)

struct node {
	struct node *next;
	char text[24];
};
ARENA_GC_LAYOUT(node_layout, struct node, next);

static struct arena_gc *gc;
static struct arena_gc_type *type;
static struct node *kept;

void keeps_half(void);
void keeps_nothing(void);

__attribute__((noinline)) void keeps_half(void)
{
	for (int i = 0; i < NODES; i++) {
		struct node *node = arena_gc_alloc(gc, type);

		if (i % 2)
			continue;
		arena_gc_store(&node->next, kept);
		arena_gc_store(&kept, node);
	}
}

__attribute__((noinline)) void keeps_nothing(void)
{
	for (int i = 0; i < NODES; i++)
		memset(((struct node *)arena_gc_alloc(gc, type))->text, i, sizeof(kept->text));
}

int main(int argc, char **argv)
{
	const struct arena_profile_options options = { .mean_bytes = 16384, .seed = 3 };

	gc = arena_gc_create(NULL);
	type = gc ? arena_gc_type_create(gc, &node_layout) : NULL;
	if (argc != 2 || !type || arena_gc_attach(gc) || arena_gc_add_roots(gc, &kept, sizeof(kept)) || arena_profile_start(&options))
		return 1;
	keeps_half();
	keeps_nothing();
	arena_gc_collect(gc);
	arena_gc_collect(gc);
	return arena_profile_save(argv[1]) != 0;
}
