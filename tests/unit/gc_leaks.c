// SPDX-License-Identifier: MIT
/* Leaks: uncollectable objects that nothing leads to, and handles that are left when a heap is destroyed. */
#include <errno.h>
#include <string.h>

#include "arena/gc.h"
#include "tests/harness.h"

struct node {
	struct node *next;
	uint64_t value;
};
ARENA_GC_LAYOUT(node_layout, struct node, next);

static struct arena_gc *gc;
static struct arena_gc_type *type;
static struct node *cell; /* a root */
static struct arena_gc_step leaks[4];

static void set_up(void)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_PAGES, .percent = ARENA_GC_OFF };

	gc = arena_gc_create(&options);
	CHECK(gc && !arena_gc_attach(gc));
	type = arena_gc_type_create(gc, &node_layout);
	CHECK(type && !arena_gc_add_roots(gc, &cell, sizeof(cell)));
}

/* A list in which every object is freed by hand. */
__attribute__((noinline)) static uintptr_t make_list(void)
{
	struct node *last = NULL;

	for (int i = 0; i < 3; i++) {
		struct node *node = arena_gc_alloc_uncollectable(gc, type);

		CHECK(node);
		arena_gc_store(&node->next, cell);
		arena_gc_store(&cell, node);
		last = last ? last : node;
	}
	return ~(uintptr_t)last;
}

TEST(list, "gc_leaks/what is led to by a root or another object is none; what nothing leads to is, until it is let go")
{
	uintptr_t hidden;

	set_up();
	hidden = make_list();
	arena_gc_detach(gc);
	CHECK_EQ(arena_gc_leaks(gc, leaks, 4), 0);
	CHECK(!arena_gc_attach(gc));
	/* The last one of the list falls off. */
	arena_gc_store(&cell->next->next, NULL);
	arena_gc_detach(gc);
	CHECK_EQ(arena_gc_leaks(gc, leaks, 4), 1);
	CHECK((uintptr_t)leaks[0].object == ~hidden && leaks[0].bytes == sizeof(struct node));
	CHECK_EQ(leaks[0].root, ARENA_GC_ROOT_UNCOLLECTABLE);
	CHECK_STR(leaks[0].type, "struct node");
	CHECK(!arena_gc_attach(gc));
	arena_gc_make_collectable(gc, (void *)~hidden);
	arena_gc_store(&cell, NULL);
	arena_gc_detach(gc);
	CHECK_EQ(arena_gc_leaks(gc, leaks, 1), 2);
	arena_gc_destroy(gc);
}

TEST(handle, "gc_leaks/what a handle leads to is none as long as the heap is there")
{
	struct node *node;

	set_up();
	node = arena_gc_alloc_uncollectable(gc, type);
	CHECK(arena_gc_handle_create(gc, node));
	node = NULL;
	arena_gc_detach(gc);
	CHECK_EQ(arena_gc_leaks(gc, leaks, 4), 0);
	arena_gc_destroy(gc);
}

static void leave_some(void *unused)
{
	(void)unused;
	set_up();
	make_list();
	arena_gc_store(&cell->next, NULL);
	CHECK(arena_gc_handle_create(gc, arena_gc_alloc(gc, type)) && arena_gc_handle_create(gc, NULL));
	arena_gc_destroy(gc);
}

TEST(report, "gc_leaks/a heap that is destroyed reports them and its handles, if it is asked to", "ARENA_GCLEAKS=1")
{
	struct death death;

	harness_child(&death, leave_some, NULL);
	CHECK(!death.signal && !death.status);
	CHECK_HAS(death.text, "16 bytes of struct node at 0x");
	CHECK_HAS(death.text, "uncollectable, and no root leads to it");
	CHECK_HAS(death.text, "was not freed");
	CHECK_HAS(death.text, "gc leaks: 3, of 48 bytes");
}

TEST(silent, "gc_leaks/else it says nothing")
{
	struct death death;

	harness_child(&death, leave_some, NULL);
	CHECK_STR(death.text, "");
}
