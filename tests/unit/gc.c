// SPDX-License-Identifier: MIT
/* Collected heaps: types, objects of all sizes, garbage in cycles, roots and handles, threads that come and go, bad input. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena/gc.h"
#include "arena/heap.h"
#include "gc/cycle.h"
#include "tests/unit/gc_fixture.h"

static struct node *cell[2];	/* a root */
/* An object that nothing leads to but what is hidden here, once the stack is wiped. */
static uintptr_t hidden;

static void make_garbage(const struct fixture *it, void *unused)
{
	struct node *tree = new_tree(it, 14);

	(void)unused;
	/* In cycles, so that counting references would not do. */
	for (struct node *node = tree; node->left; node = node->left)
		arena_gc_store(&node->right, tree);
}

TEST(garbage, "gc/garbage in cycles is freed, what the stack leads to is not")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, 12);

	elsewhere(&it, make_garbage, NULL);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, (2 << 14) - 1);
	CHECK_EQ(count_leaves(tree), 1 << 12);
	CHECK_EQ(tree->value, 1 << 12);
	CHECK(stats_of(it.gc).nr_cycles == 1);
	arena_gc_keep_alive(tree);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- slots and pages */

static struct palloc pages_of(struct arena_gc *gc)
{
	struct palloc pages;

	lock_acquire(&gc->space.heap->lock);
	pages = gc->space.heap->pages;
	lock_release(&gc->space.heap->lock);
	return pages;
}

struct quad {
	long double value;
	void *next;
};
ARENA_GC_LAYOUT(quad_layout, struct quad, next);
static const struct arena_gc_layout word_layout = { .name = "word", .bytes = sizeof(void *), .pointers = (const uint32_t[]){ 0 }, .nr_pointers = 1 };

/* The distance between two objects, of which one has just been made. */
static size_t distance(struct arena_gc *gc, struct arena_gc_type *type)
{
	uintptr_t first = (uintptr_t)arena_gc_alloc(gc, type), second = (uintptr_t)arena_gc_alloc(gc, type);

	CHECK(first && second && arena_gc_usable_bytes(gc, (void *)first) == second - first);
	return second - first;
}

TEST(dense, "gc/objects lie as densely as their size allows, aligned as their type wants it")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc_type *quad = arena_gc_type_create(it.gc, &quad_layout), *word = arena_gc_type_create(it.gc, &word_layout);
	struct arena_gc_type *page = arena_gc_type_create(it.gc, &(struct arena_gc_layout){ .name = "two pages", .bytes = 2 * PAGE_BYTES });

	CHECK_EQ(distance(it.gc, it.node), sizeof(struct node));
	CHECK_EQ(distance(it.gc, quad), sizeof(struct quad));
	CHECK_EQ((uintptr_t)arena_gc_alloc(it.gc, quad) % _Alignof(struct quad), 0);
	/* A page has no more slots than its span has bits. */
	CHECK_EQ(distance(it.gc, word), 16);
	/* An array of them has the slots of its class, also one of nothing. */
	CHECK(arena_gc_alloc_array(it.gc, page, 0) && arena_gc_usable_bytes(it.gc, arena_gc_alloc_array(it.gc, page, 0)) == 16);
	CHECK_EQ(arena_gc_usable_bytes(it.gc, arena_gc_alloc_array(it.gc, word, 7)), 64);
	arena_gc_destroy(it.gc);
}

static void make_one(const struct fixture *it, void *unused)
{
	(void)unused;
	new_node(it, NULL, NULL, 1);
}

TEST(pages, "gc/pages that a thread has at hand go back with it, and those that are empty with the cycle")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_node(&it, NULL, NULL, 1);
	size_t nr_used;

	/* Who has one object has one page. */
	CHECK_EQ(pages_of(it.gc).used_pages, 1);
	tree = new_tree(&it, 12);
	arena_gc_collect(it.gc);
	nr_used = pages_of(it.gc).used_pages;
	for (int i = 0; i < 100; i++)
		elsewhere(&it, make_one, NULL);
	elsewhere(&it, make_garbage, NULL);
	CHECK(pages_of(it.gc).used_pages > nr_used + 100);
	arena_gc_collect(it.gc);
	CHECK_EQ(pages_of(it.gc).used_pages, nr_used);
	arena_gc_keep_alive(tree);
	arena_gc_destroy(it.gc);
}

TEST(lazy, "gc/who allocates sweeps what it needs, and no more, before it takes new pages")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *node = NULL;
	size_t nr_used;

	elsewhere(&it, make_garbage, NULL);
	/* As at the end of a cycle that has marked nothing, with a collector that does not come to sweep. */
	gc_kinds_flip(&it.gc->space, &it.gc->types);
	nr_used = pages_of(it.gc).used_pages;
	for (int i = 0; i < 1000; i++)
		node = new_node(&it, node, NULL, 1);
	CHECK_EQ(pages_of(it.gc).used_pages, nr_used);
	CHECK(stats_of(it.gc).freed_objects >= 1000 && stats_of(it.gc).freed_objects <= 4000);
	arena_gc_destroy(it.gc);
}

static size_t resident_pages(const struct heap *heap, uint32_t page)
{
	unsigned char is_here[PAGES_PER_CHUNK];
	size_t nr = 0;

	CHECK(page != PAGE_NONE && !mincore((void *)region_address(heap->pages.region, page), CHUNK_BYTES, is_here));
	for (size_t i = 0; i < PAGES_PER_CHUNK; i++)
		nr += is_here[i] & 1;
	return nr;
}

/* Of the lowest chunks that are idle. */
static void count_resident(struct heap *heap, size_t *first, size_t *second)
{
	bool is_zero;
	uint32_t lowest = heap_take_run(heap, PAGES_PER_CHUNK, &is_zero), next = heap_take_run(heap, PAGES_PER_CHUNK, &is_zero);

	*first = resident_pages(heap, lowest);
	*second = resident_pages(heap, next);
	heap_give_pages(heap, lowest, PAGES_PER_CHUNK);
	heap_give_pages(heap, next, PAGES_PER_CHUNK);
}

TEST(rest, "gc/the collector touches what is left of the first chunk when some of it is in use, and not before")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct heap *heap = it.gc->space.heap;
	struct node *tree = new_tree(&it, 6);
	uint32_t chunk = pages_of(it.gc).small_chunk;

	if (chunk == CHUNK_NONE)
		harness_skip("the first chunk is like all others here");
	CHECK(!heap_is_low(heap));
	CHECK(resident_pages(heap, chunk * PAGES_PER_CHUNK) <= 2 * pages_of(it.gc).used_pages);
	tree = new_tree(&it, 12);
	for (int ms = 0; ms < 20000 && resident_pages(heap, chunk * PAGES_PER_CHUNK) < PAGES_PER_CHUNK; ms++)
		usleep(1000);
	CHECK_EQ(resident_pages(heap, chunk * PAGES_PER_CHUNK), PAGES_PER_CHUNK);
	CHECK_EQ(pages_of(it.gc).small_chunk, CHUNK_NONE);
	CHECK_EQ(pages_of(it.gc).mapped, 1);
	CHECK_EQ(pages_of(it.gc).nr_idle, 0);
	CHECK_EQ(tree->value, 1 << 12);
	arena_gc_destroy(it.gc);
}

/* On a busy machine a chunk may come too late for who wished for it, and be used by then. */
static bool has_two_soon(struct arena_gc *gc)
{
	for (int ms = 0; ms < 1000 && pages_of(gc).nr_idle < 2; ms++)
		usleep(1000);
	return pages_of(gc).nr_idle == 2;
}

TEST(ahead, "gc/the collector touches the next chunk before a thread needs it, and maps the one behind it")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *tree = new_tree(&it, 15);
	size_t touched, mapped;

	for (int tries = 0; tries < 20 && !has_two_soon(it.gc); tries++)
		tree = new_tree(&it, 15);
	CHECK_EQ(pages_of(it.gc).nr_idle, 2);
	count_resident(it.gc->space.heap, &touched, &mapped);
	CHECK_EQ(touched, PAGES_PER_CHUNK);
	CHECK_EQ(mapped, 0);
	CHECK_EQ(tree->value, 1 << 15);
	arena_gc_destroy(it.gc);
}

TEST(no_room, "gc/where there is no room for another chunk its collector is not woken for each page")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct node *trees[10];
	uint32_t kicks;

	lock_acquire(&it.gc->space.heap->lock);
	it.gc->space.heap->pages.limit.soft_chunks = 8;
	lock_release(&it.gc->space.heap->lock);
	/* 3 MiB each. */
	for (size_t i = 0; i < 6; i++)
		trees[i] = new_tree(&it, 16);
	kicks = atomic_load_seq_cst(&it.gc->kicks);
	for (size_t i = 6; i < 10; i++)
		trees[i] = new_tree(&it, 16);
	CHECK(pages_of(it.gc).mapped > 8);
	CHECK(atomic_load_seq_cst(&it.gc->kicks) - kicks <= 3);
	CHECK_EQ(trees[9]->value, 1 << 16);
	arena_gc_destroy(it.gc);
}

TEST(only_idle, "gc/an object is not refused for want of room that only idle chunks of another collected heap take")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc *other = arena_gc_create(NULL);
	struct node *tree = new_tree(&it, 15);
	void *object;

	CHECK(other && !arena_gc_attach(other));
	for (int tries = 0; tries < 20 && !has_two_soon(it.gc); tries++)
		tree = new_tree(&it, 15);
	CHECK_EQ(arena_heap_set_limit(NULL, (pages_of(it.gc).mapped + 7) * CHUNK_BYTES), 0);
	object = arena_gc_alloc_atomic(other, 6 * CHUNK_BYTES);
	CHECK(object);
	CHECK_EQ(tree->value, 1 << 15);
	arena_gc_destroy(other);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- stacks */

TEST(stack, "gc/a pointer into the middle, in a register across a call, keeps an object")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	char *text = arena_gc_alloc_atomic(it.gc, 3000), *middle = text + 1234;

	strcpy(middle, "still here");
	text = NULL;
	wipe_stack();
	arena_gc_collect(it.gc);
	CHECK_STR(middle, "still here");
	CHECK_EQ(arena_gc_usable_bytes(it.gc, middle), 3072);
	arena_gc_destroy(it.gc);
}

static struct node **volatile somewhere;

/* Nothing that makes a compiler leave them where they are: no assembly, no call that returns twice. */
__attribute__((noinline)) static struct node *by_local_variables(const struct fixture *it)
{
	struct node *nodes[8] = { NULL };

	somewhere = nodes;
	somewhere[3] = (struct node *)~hidden_node(it, 7);
	wipe_stack();
	arena_gc_collect(it->gc);
	return somewhere[3];
}

TEST(variables, "gc/local variables are where the collector looks for them, under sanitizers too")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	CHECK(is_alive(it.gc, by_local_variables(&it), 7));
	arena_gc_destroy(it.gc);
}

/* The last use of @node is what keeps it: its address is nowhere else. */
__attribute__((noinline)) static bool outlives_a_cycle(const struct fixture *it)
{
	struct node *node = new_node(it, NULL, NULL, 7);
	uintptr_t address = ~(uintptr_t)node;
	bool is_there;

	wipe_stack();
	arena_gc_collect(it->gc);
	is_there = !is_gone(it->gc, address);
	arena_gc_keep_alive(node);
	return is_there;
}

TEST(keep_alive, "gc/an object stays until the call that keeps it")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	CHECK(outlives_a_cycle(&it));
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- objects of all sizes */

TEST(sizes, "gc/objects of 0 to 3,000,000 bytes are zeroed, aligned, and found by any address in them")
{
	struct fixture it = set_up(10);

	for (size_t bytes = 0; bytes <= 3000000; bytes += bytes < 600 ? 1 : bytes / 5) {
		unsigned char *object = arena_gc_alloc_atomic(it.gc, bytes);
		size_t usable = arena_gc_usable_bytes(it.gc, object);

		CHECK(object && (uintptr_t)object % 16 == 0 && usable >= bytes);
		for (size_t i = 0; i < usable; i += usable < 5000 ? 1 : 997) {
			CHECK_EQ(object[i], 0);
			CHECK_EQ(arena_gc_usable_bytes(it.gc, object + i), usable);
		}
		CHECK_EQ(arena_gc_usable_bytes(it.gc, object + usable - 1), usable);
		memset(object, 0xa5, bytes);
	}
	CHECK(!arena_gc_alloc_atomic(it.gc, SIZE_MAX / 2));
	arena_gc_destroy(it.gc);
}

TEST(slots, "gc/the slot of each offset in a span is what division says")
{
	for (unsigned int class = 1; class < NR_CLASSES; class++) {
		uint32_t bytes = size_classes[class].bytes, inverse = gc_inverse(bytes);

		for (uint32_t offset = 0; offset < size_classes[class].pages * PAGE_BYTES; offset++)
			CHECK_EQ((uint64_t)offset * inverse >> 32, offset / bytes);
	}
}

TEST(array, "gc/an array of types is scanned to its end, a large one in pieces")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	const size_t counts[] = { 1, 7, 500, 100000 };

	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
		struct node *array = arena_gc_alloc_array(it.gc, it.node, counts[c]);

		CHECK(array);
		for (size_t i = 0; i < counts[c]; i++)
			arena_gc_store(&array[i].right, new_node(&it, NULL, NULL, i));
		wipe_stack();
		arena_gc_collect(it.gc);
		for (size_t i = 0; i < counts[c]; i++)
			CHECK_EQ(array[i].right->value, i);
		arena_gc_keep_alive(array);
	}
	CHECK(!arena_gc_alloc_array(it.gc, it.node, SIZE_MAX / 8));
	arena_gc_destroy(it.gc);
}

struct tagged {
	uintptr_t pointer_and_tag;
	uint64_t number;
};

static void scan_tagged(const void *object, size_t bytes, struct arena_gc_visitor *visitor)
{
	const struct tagged *tagged = object;

	CHECK_EQ(bytes, sizeof(*tagged));
	arena_gc_visit(visitor, (const void *)((uintptr_t)arena_gc_load(&tagged->pointer_and_tag) & ~(uintptr_t)1));
}

/* The places of three nodes go into three kinds of objects. */
static void fill_kinds(const struct fixture *it, void *argument)
{
	uintptr_t **to = argument;

	to[0][0] = (uintptr_t)new_node(it, NULL, NULL, 1) | 1;
	to[1][99] = (uintptr_t)new_node(it, NULL, NULL, 2) + 8;
	to[2][99] = (uintptr_t)new_node(it, NULL, NULL, 3);
	hidden = ~to[2][99];
}

TEST(kinds, "gc/what atomic, conservative and scanned objects keep")
{
	static const struct arena_gc_layout tagged_layout = { "tagged", sizeof(struct tagged), NULL, 0, scan_tagged };
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc_type *type = arena_gc_type_create(it.gc, &tagged_layout);
	uintptr_t *to[3] = { arena_gc_alloc(it.gc, type), arena_gc_alloc_conservative(it.gc, 800), arena_gc_alloc_atomic(it.gc, 800) };

	CHECK(type && to[0] && to[1] && to[2]);
	elsewhere(&it, fill_kinds, to);
	arena_gc_collect(it.gc);
	CHECK(is_alive(it.gc, (struct node *)(to[0][0] - 1), 1));
	CHECK(is_alive(it.gc, (struct node *)(to[1][99] - 8), 2));
	CHECK(is_gone(it.gc, hidden) && to[2][99] == ~hidden);
	arena_gc_destroy(it.gc);
}

static void make_uncollectable(const struct fixture *it, void *where)
{
	struct node *node = arena_gc_alloc_uncollectable(it->gc, it->node);

	CHECK(node);
	node->value = 5;
	arena_gc_store(&node->left, new_node(it, NULL, NULL, 6));
	hidden = ~(uintptr_t)node->left;
	*(uintptr_t *)where = ~(uintptr_t)node;
}

static void release(const struct fixture *it, void *where)
{
	uintptr_t own = *(uintptr_t *)where;

	CHECK(is_alive(it->gc, (struct node *)~own, 5));
	CHECK(is_alive(it->gc, (struct node *)~hidden, 6));
	arena_gc_make_collectable(it->gc, (void *)~own);
}

TEST(uncollectable, "gc/an uncollectable object stays until it is made collectable")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	uintptr_t own;

	elsewhere(&it, make_uncollectable, &own);
	arena_gc_collect(it.gc);
	elsewhere(&it, release, &own);
	arena_gc_collect(it.gc);
	CHECK(is_gone(it.gc, own) && is_gone(it.gc, hidden));
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- roots */

#define HANDLES 1000

static void fill(const struct fixture *it, void *argument)
{
	struct arena_gc_handle **handles = argument;

	arena_gc_store(&cell[1], new_node(it, NULL, NULL, 1));
	hidden = ~(uintptr_t)cell[1];
	for (size_t i = 0; i < HANDLES; i++) {
		handles[i] = arena_gc_handle_create(it->gc, new_node(it, NULL, NULL, i));
		CHECK(handles[i]);
	}
}

static void free_handles(const struct fixture *it, void *argument)
{
	struct arena_gc_handle **handles = argument;

	CHECK(is_alive(it->gc, cell[1], 1));
	for (size_t i = 0; i < HANDLES; i++) {
		CHECK(is_alive(it->gc, arena_gc_handle_get(handles[i]), i));
		arena_gc_handle_free(it->gc, handles[i]);
	}
	arena_gc_handle_free(it->gc, NULL);
}

TEST(roots, "gc/ranges and handles keep what they lead to, until they go")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc_handle *handles[HANDLES];

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	elsewhere(&it, fill, handles);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_objects, 0);
	elsewhere(&it, free_handles, handles);
	CHECK_EQ(arena_gc_remove_roots(it.gc, cell), 0);
	CHECK(arena_gc_remove_roots(it.gc, cell) == -ENOENT);
	arena_gc_collect(it.gc);
	CHECK(is_gone(it.gc, hidden));
	CHECK_EQ(stats_of(it.gc).freed_objects, HANDLES + 1);
	arena_gc_destroy(it.gc);
}

TEST(many_ranges, "gc/a thousand ranges of roots, which are no ranges when they are not aligned")
{
	static struct node *ranges[1000][2];
	struct fixture it = set_up(ARENA_GC_OFF);

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		CHECK_EQ(arena_gc_add_roots(it.gc, ranges[i], sizeof(ranges[i])), 0);
		arena_gc_store(&ranges[i][1], new_node(&it, NULL, NULL, i));
	}
	CHECK(arena_gc_add_roots(it.gc, (char *)cell + 1, 8) == -EINVAL);
	CHECK(arena_gc_add_roots(it.gc, cell, 7) == -EINVAL);
	CHECK(arena_gc_add_roots(it.gc, cell, 0) == -EINVAL);
	arena_gc_collect(it.gc);
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		CHECK(is_alive(it.gc, ranges[i][1], i));
		CHECK_EQ(arena_gc_remove_roots(it.gc, ranges[i]), 0);
	}
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- threads and heaps */

static void *come_and_go(void *argument)
{
	const struct fixture *it = argument;
	struct node *tree;

	CHECK_EQ(arena_gc_attach(it->gc), 0);
	tree = new_tree(it, 8);
	CHECK_EQ(count_leaves(tree), 1 << 8);
	return NULL;
}

TEST(many_threads, "gc/500 threads end without a word, and what they had is freed")
{
	struct fixture it = set_up(10);

	for (size_t i = 0; i < 50; i++) {
		pthread_t threads[10];

		for (size_t t = 0; t < ARRAY_LEN(threads); t++)
			CHECK(!pthread_create(&threads[t], NULL, come_and_go, &it));
		arena_gc_collect(it.gc);
		for (size_t t = 0; t < ARRAY_LEN(threads); t++)
			CHECK(!pthread_join(threads[t], NULL));
	}
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).live_bytes, 0);
	CHECK(stats_of(it.gc).held_bytes <= 16 * MiB);
	arena_gc_destroy(it.gc);
}

TEST(trigger, "gc/cycles begin by themselves when as much was allocated as is live")
{
	struct fixture it = set_up(100);
	struct node *live = new_tree(&it, 16);

	/* The collector may be late, on a machine that is busy with something else. */
	for (size_t i = 0; i < 3000 || stats_of(it.gc).nr_cycles < 5; i++)
		new_tree(&it, 8);
	CHECK_EQ(count_leaves(live), 1 << 16);
	CHECK(stats_of(it.gc).freed_objects > 100000);
	arena_gc_destroy(it.gc);
}

TEST(two_heaps, "gc/two heaps of one thread, each with cycles of its own")
{
	struct fixture one = set_up(ARENA_GC_OFF), two = set_up(ARENA_GC_OFF);
	struct node *first = new_tree(&one, 10), *second = new_tree(&two, 10);

	arena_gc_collect(one.gc);
	CHECK_EQ(stats_of(two.gc).nr_cycles, 0);
	arena_gc_collect(two.gc);
	arena_gc_detach(one.gc);
	arena_gc_collect(two.gc);
	CHECK_EQ(count_leaves(second), 1 << 10);
	CHECK_EQ(arena_gc_attach(one.gc), 0);
	CHECK_EQ(count_leaves(first), 1 << 10);
	arena_gc_destroy(one.gc);
	arena_gc_destroy(two.gc);
	arena_gc_destroy(NULL);
}

static void fill_memory(const struct fixture *it, void *unused)
{
	(void)unused;
	for (size_t i = 0; i < 100; i++)
		CHECK(arena_gc_alloc_atomic(it->gc, MiB));
}

TEST(memory_back, "gc/what is freed leaves its chunks")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	elsewhere(&it, fill_memory, NULL);
	CHECK(stats_of(it.gc).held_bytes >= 100 * MiB);
	arena_gc_collect(it.gc);
	CHECK_EQ(stats_of(it.gc).freed_bytes, 100 * MiB);
	CHECK_EQ(it.gc->space.heap->pages.used_pages, 0);
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- bad input */

TEST(layouts, "gc/layouts that are none are refused")
{
	static const uint32_t odd[] = { 4 }, behind[] = { 24 };
	const struct arena_gc_layout bad[] = {
		{ "empty", 0, NULL, 0, NULL },
		{ "odd", 24, odd, 1, NULL },
		{ "behind", 24, behind, 1, NULL },
		{ "both", 24, behind, 1, scan_tagged },
		{ "length", 20, (const uint32_t[]){ 8 }, 1, NULL },
		{ "huge", (size_t)1 << 40, NULL, 0, NULL },
	};
	struct fixture it = set_up(ARENA_GC_OFF);

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		CHECK(!arena_gc_type_create(it.gc, &bad[i]));
	CHECK(!arena_gc_create(&(struct arena_gc_options){ .source = ARENA_NR_SOURCES }));
	arena_gc_destroy(it.gc);
}

static void alloc_detached(void *argument)
{
	const struct fixture *it = argument;

	arena_gc_detach(it->gc);
	arena_gc_alloc(it->gc, it->node);
}

static void attach_twice(void *argument)
{
	arena_gc_attach(((const struct fixture *)argument)->gc);
}

static void unpin_none(void *argument)
{
	const struct fixture *it = argument;

	arena_gc_make_collectable(it->gc, arena_gc_alloc(it->gc, it->node));
}

static bool is_there; /* atomic */

static void *sit(void *gc)
{
	CHECK_EQ(arena_gc_attach(gc), 0);
	__atomic_store_n(&is_there, true, __ATOMIC_RELEASE);
	pause();
	return NULL;
}

static void destroy_in_use(void *argument)
{
	pthread_t other;

	CHECK(!pthread_create(&other, NULL, sit, ((const struct fixture *)argument)->gc));
	while (!__atomic_load_n(&is_there, __ATOMIC_ACQUIRE))
		usleep(1000);
	arena_gc_destroy(((const struct fixture *)argument)->gc);
}

static void *take_word(void *word)
{
	return word;
}

static void *join_other(void *thread)
{
	void *result;

	CHECK(!pthread_join(*(pthread_t *)thread, &result));
	return result;
}

/* A freed handle is known by its place, not by what it holds. */
TEST(any_word, "gc/handles hold any word, also one that looks like that of a freed one; so may a new thread's argument be any")
{
	static const uintptr_t words[] = { 0, 1, (uintptr_t)-1, (uintptr_t)-4096, (uintptr_t)1 << 63, ~(uintptr_t)0x7f0012345678 };
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_t thread;

	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct arena_gc_handle *handle = arena_gc_handle_create(it.gc, (void *)words[i]);

		CHECK_EQ((uintptr_t)arena_gc_handle_get(handle), words[i]);
		arena_gc_handle_set(handle, (void *)~words[i]);
		CHECK_EQ((uintptr_t)arena_gc_handle_get(handle), ~words[i]);
		arena_gc_handle_free(it.gc, handle);
		CHECK_EQ(arena_gc_thread_create(it.gc, &thread, NULL, take_word, (void *)words[i]), 0);
		CHECK_EQ((uintptr_t)arena_gc_blocking(join_other, &thread), words[i]);
	}
	arena_gc_destroy(it.gc);
}

static struct arena_gc_handle *freed_handle(struct arena_gc *gc)
{
	struct arena_gc_handle *handle = arena_gc_handle_create(gc, NULL);

	CHECK(handle);
	arena_gc_handle_free(gc, handle);
	return handle;
}

static void free_handle_twice(void *argument)
{
	const struct fixture *it = argument;

	arena_gc_handle_free(it->gc, freed_handle(it->gc));
}

static void get_freed_handle(void *argument)
{
	arena_gc_handle_get(freed_handle(((const struct fixture *)argument)->gc));
}

static void set_freed_handle(void *argument)
{
	arena_gc_handle_set(freed_handle(((const struct fixture *)argument)->gc), NULL);
}

/* In a child that makes the heap itself: threads do not survive a fork. */
static void with_heap(void *argument)
{
	struct fixture it = set_up(ARENA_GC_OFF);

	(*(void (**)(void *))argument)(&it);
}

TEST(misuse, "gc/misuse aborts and says why")
{
	static const struct {
		void (*function)(void *argument);
		const char *says;
	} cases[] = {
		{ alloc_detached, "not attached" },
		{ attach_twice, "attached already" },
		{ unpin_none, "no object that is uncollectable" },
		{ destroy_in_use, "still attached" },
		{ free_handle_twice, "arena_gc_handle_free(): the handle was freed" },
		{ get_freed_handle, "arena_gc_handle_get(): the handle was freed" },
		{ set_freed_handle, "arena_gc_handle_set(): the handle was freed" },
	};

	if (harness_thread_sanitized())
		harness_skip("the thread sanitizer cannot fork a process with threads");
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct death death;

		harness_child(&death, with_heap, (void *)&cases[i].function);
		CHECK(harness_died(&death, SIGABRT));
		CHECK_HAS(death.text, cases[i].says);
	}
}
