// SPDX-License-Identifier: MIT
/* Elements that are copied, moved and cleared: as memmove() would, and as so many stores with their barriers. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "tests/unit/gc_fixture.h"

#define ELEMENTS 24

static struct node *cell[2]; /* a root */

/* ---------------------------------------------------------------- what is written */

static void fill(const struct fixture *it, struct node *array, struct node *copy, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		arena_gc_store(&array[i].left, &array[i * 7 % nr]);
		arena_gc_store(&array[i].right, i % 2 ? NULL : new_node(it, NULL, NULL, i));
		array[i].value = i * i + 1;
	}
	memcpy(copy, array, nr * sizeof(*array));
}

/* All moves within an array of 24, against memmove(). */
static void move_all_ways(const struct fixture *it)
{
	struct node *array = arena_gc_alloc_array(it->gc, it->node, ELEMENTS), copy[ELEMENTS];
	size_t nr_moves = 0;

	for (size_t to = 0; to < ELEMENTS; to++)
		for (size_t from = 0; from < ELEMENTS; from++)
			for (size_t nr = 0; nr <= ELEMENTS - size_max(to, from); nr++, nr_moves++) {
				fill(it, array, copy, ELEMENTS);
				arena_gc_move(it->gc, it->node, &array[to], &array[from], nr);
				memmove(&copy[to], &copy[from], nr * sizeof(*copy));
				CHECK(!memcmp(array, copy, sizeof(copy)));
			}
	CHECK_EQ(nr_moves, 5476);
}

TEST(all, "gc_copy/5,476 moves within an array do what memmove() does")
{
	struct fixture it = set_up(100);

	move_all_ways(&it);
	arena_gc_destroy(it.gc);
}

TEST(all_marking, "gc_copy/and while a cycle marks")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	pthread_t collector;

	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	move_all_ways(&it);
	poll_until_done(it.gc);
	CHECK(!pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

#define MANY 20000 /* 480 KB: in pieces */

TEST(large, "gc_copy/a large array in pieces, both ways, copied and cleared")
{
	struct fixture it = set_up(100);
	struct node *array = arena_gc_alloc_array(it.gc, it.node, MANY), *other = arena_gc_alloc_array(it.gc, it.node, MANY);
	struct node *copy = malloc(MANY * sizeof(*copy));

	CHECK(array && other && copy);
	fill(&it, array, copy, MANY);
	arena_gc_copy(it.gc, it.node, other, array, MANY);
	CHECK(!memcmp(other, copy, MANY * sizeof(*copy)));
	for (size_t by = 1; by < MANY; by *= 5) {
		arena_gc_move(it.gc, it.node, array + by, array, MANY - by);
		memmove(copy + by, copy, (MANY - by) * sizeof(*copy));
		CHECK(!memcmp(array, copy, MANY * sizeof(*copy)));
		arena_gc_move(it.gc, it.node, array, array + by, MANY - by);
		memmove(copy, copy + by, (MANY - by) * sizeof(*copy));
		CHECK(!memcmp(array, copy, MANY * sizeof(*copy)));
	}
	arena_gc_clear(it.gc, it.node, array + 1, MANY - 2);
	memset(copy + 1, 0, (MANY - 2) * sizeof(*copy));
	CHECK(!memcmp(array, copy, MANY * sizeof(*copy)));
	free(copy);
	arena_gc_destroy(it.gc);
}

TEST(odd, "gc_copy/types without pointers, of any length, and words that may be pointers")
{
	static const struct arena_gc_layout layout = { "odd", 7, NULL, 0, NULL };
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc_type *type = arena_gc_type_create(it.gc, &layout);
	char *text = arena_gc_alloc_array(it.gc, type, 10);
	uintptr_t *words = arena_gc_alloc_conservative(it.gc, 80);

	strcpy(text, "the quick brown fox");
	arena_gc_move(it.gc, type, text + 7, text, 3);
	CHECK_STR(text, "the quithe quick brown fox");
	arena_gc_clear(it.gc, type, text, 4);
	CHECK(!text[0] && !text[27]);
	arena_gc_store(&words[0], new_node(&it, NULL, NULL, 7));
	arena_gc_copy(it.gc, NULL, &words[5], &words[0], 5);
	arena_gc_clear(it.gc, NULL, words, 5);
	wipe_stack();
	arena_gc_collect(it.gc);
	CHECK(!words[0] && is_alive(it.gc, (struct node *)words[5], 7));
	arena_gc_destroy(it.gc);
}

/* ---------------------------------------------------------------- barriers */

/* The thread that the collector waits for, before it looks into objects. */
static struct {
	struct arena_gc *gc;
	uint32_t is_there, is_free; /* atomic */
} late;

static void *hold_up(void *unused)
{
	CHECK_EQ(arena_gc_attach(late.gc), 0);
	__atomic_store_n(&late.is_there, 1, __ATOMIC_RELEASE);
	poll_until_black();
	while (!__atomic_load_n(&late.is_free, __ATOMIC_ACQUIRE))
		usleep(200);
	arena_gc_detach(late.gc);
	return unused;
}

__attribute__((noinline)) static void fill_cell(const struct fixture *it)
{
	arena_gc_store(&cell[0], new_node(it, new_node(it, NULL, NULL, 7), NULL, 8));
}

/* A cycle up to the moment when this stack is scanned and the heap is not; what the node in the cell led to is taken and overwritten. */
static void overwrite(const struct fixture *it, void (*function)(const struct fixture *it, struct node *node))
{
	pthread_t collector, holder;
	struct node *taken;

	fill_cell(it);
	wipe_stack();
	late.gc = it->gc;
	CHECK(!pthread_create(&holder, NULL, hold_up, NULL));
	while (!__atomic_load_n(&late.is_there, __ATOMIC_ACQUIRE))
		usleep(200);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it->gc));
	poll_until(GC_BARRIER_OLD);
	taken = arena_gc_load(&cell[0]->left);
	function(it, cell[0]);
	__atomic_store_n(&late.is_free, 1, __ATOMIC_RELEASE);
	poll_until_done(it->gc);
	CHECK(is_alive(it->gc, taken, 7) && !cell[0]->left);
	CHECK(!pthread_join(holder, NULL) && !pthread_join(collector, NULL));
}

static void by_clear(const struct fixture *it, struct node *node)
{
	arena_gc_clear(it->gc, it->node, node, 1);
}

static void by_copy(const struct fixture *it, struct node *node)
{
	const struct node nothing = { 0 };

	arena_gc_copy(it->gc, it->node, node, &nothing, 1);
}

TEST(old_cleared, "gc_copy/what is cleared away before it was scanned is marked", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	overwrite(&it, by_clear);
	arena_gc_destroy(it.gc);
}

TEST(old_copied, "gc_copy/what is copied over before it was scanned is marked", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	overwrite(&it, by_copy);
	arena_gc_destroy(it.gc);
}

__attribute__((noinline)) static void copy_hidden(const struct fixture *it, uintptr_t hidden)
{
	struct node *words[2] = { (struct node *)~hidden, NULL };

	arena_gc_copy(it->gc, NULL, cell, words, 2);
}

TEST(new_copied, "gc_copy/what a stack that is not scanned copies to a root that is, is marked", "ARENA_GCVERIFY=1")
{
	struct fixture it = set_up(ARENA_GC_OFF);
	uintptr_t hidden = hidden_node(&it, 7);
	pthread_t other;

	CHECK_EQ(arena_gc_add_roots(it.gc, cell, sizeof(cell)), 0);
	wipe_stack();
	CHECK(!pthread_create(&other, NULL, collect_elsewhere, it.gc));
	poll_until_black();
	be_silent();
	copy_hidden(&it, hidden);
	wipe_stack();
	poll_until_done(it.gc);
	CHECK(is_alive(it.gc, cell[0], 7));
	CHECK(!pthread_join(other, NULL));
	arena_gc_destroy(it.gc);
}

/* Answers in between, and not within an element. */
static void copy_under_request(size_t element_bytes, size_t nr, bool answers)
{
	const struct arena_gc_layout layout = { "block", element_bytes, (const uint32_t[]){ 0 }, 1, NULL };
	struct fixture it = set_up(ARENA_GC_OFF);
	struct arena_gc_type *type = arena_gc_type_create(it.gc, &layout);
	char *from = arena_gc_alloc_array(it.gc, type, nr), *to = arena_gc_alloc_array(it.gc, type, nr);
	pthread_t collector;

	CHECK(from && to);
	CHECK(!pthread_create(&collector, NULL, collect_elsewhere, it.gc));
	wait_for_request();
	CHECK_EQ(arena_gc_local_.barrier, 0);
	arena_gc_copy(it.gc, type, to, from, nr);
	CHECK_EQ(arena_gc_local_.barrier != 0, answers);
	poll_until_done(it.gc);
	CHECK(!pthread_join(collector, NULL));
	arena_gc_destroy(it.gc);
}

TEST(polls, "gc_copy/requests are answered between pieces of 64 KiB, and never within an element")
{
	copy_under_request(64, 1024, false);
	copy_under_request(64, 1025, true);
	copy_under_request(4 * MiB, 1, false);
	copy_under_request(4 * MiB, 2, true);
}

/* ---------------------------------------------------------------- bad input */

static void overlap(const struct fixture *it)
{
	struct node *array = arena_gc_alloc_array(it->gc, it->node, 3);

	arena_gc_copy(it->gc, it->node, array, array + 1, 2);
}

static void unattached(const struct fixture *it)
{
	arena_gc_detach(it->gc);
	arena_gc_clear(it->gc, it->node, cell, 0);
}

static void other_heap(const struct fixture *it)
{
	struct fixture other = set_up(ARENA_GC_OFF);

	arena_gc_clear(other.gc, it->node, cell, 0);
}

static void too_many(const struct fixture *it)
{
	arena_gc_clear(it->gc, it->node, cell, SIZE_MAX / 4);
}

static void with_heap(void *argument)
{
	struct fixture it = set_up(ARENA_GC_OFF);

	(*(void (**)(const struct fixture *))argument)(&it);
}

TEST(misuse, "gc_copy/misuse aborts and says why")
{
	static const struct {
		void (*function)(const struct fixture *it);
		const char *says;
	} cases[] = {
		{ overlap, "overlap" },
		{ unattached, "not attached" },
		{ other_heap, "of another heap" },
		{ too_many, "more elements" },
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		void (*function)(const struct fixture *) = cases[i].function;
		struct death death;

		harness_child(&death, with_heap, &function);
		CHECK(harness_died(&death, SIGABRT));
		CHECK_HAS(death.text, cases[i].says);
	}
}
