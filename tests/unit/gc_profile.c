// SPDX-License-Identifier: MIT
/* Profiles of collected heaps: every object when all are sampled, sums near the truth when few are, nothing that is left over. */
#include <pthread.h>
#include <string.h>

#include "arena/gc.h"
#include "arena/profile.h"
#include "gc/threads.h"
#include "profile.h"
#include "tests/harness.h"

#define SEED 7
/* No function that allocates here is longer. */
#define REACH 256u

struct node {
	struct node *next;
	uint64_t value;
};
ARENA_GC_LAYOUT(node_layout, struct node, next);

static struct arena_gc *gc;
static struct arena_gc_type *type;
static struct node *cell; /* a root */

static void set_up(size_t mean_bytes)
{
	const struct arena_gc_options options = { .source = ARENA_SOURCE_PAGES, .percent = ARENA_GC_OFF };
	const struct arena_profile_options profile = { .mean_bytes = mean_bytes, .seed = SEED };

	gc = arena_gc_create(&options);
	CHECK(gc && !arena_gc_attach(gc) && !arena_profile_start(&profile));
	type = arena_gc_type_create(gc, &node_layout);
	CHECK(type && !arena_gc_add_roots(gc, &cell, sizeof(cell)));
}

/* Sums of sites that have @function's address in them, as far as its code reaches; of all sites of collected heaps when it is NULL. */
struct sums {
	uintptr_t from, to;
	struct arena_profile_site all;
};

static bool add(const struct arena_profile_site *site, void *data)
{
	struct sums *sums = data;
	bool is_in = !sums->from;

	for (size_t i = 0; i < site->nr_addresses; i++)
		is_in |= site->addresses[i] - sums->from < sums->to - sums->from;
	if (strcmp(site->kind, "gc") || !is_in)
		return true;
	sums->all.allocated_objects += site->allocated_objects;
	sums->all.allocated_bytes += site->allocated_bytes;
	sums->all.used_objects += site->used_objects;
	sums->all.used_bytes += site->used_bytes;
	return true;
}

static struct arena_profile_site sums_of(uintptr_t from, uintptr_t to)
{
	struct sums sums = { .from = from, .to = to };

	arena_profile_for_each(add, &sums);
	profile_validate();
	return sums.all;
}

static void push(void)
{
	struct node *node = arena_gc_alloc(gc, type);

	arena_gc_store(&node->next, cell);
	arena_gc_store(&cell, node);
}

TEST(all, "gc_profile/with a mean of a byte every object is in the profile, until it is freed")
{
	struct arena_profile_site sums;

	set_up(1);
	for (int i = 0; i < 1000; i++)
		push();
	CHECK(arena_gc_alloc_atomic(gc, 100000));
	sums = sums_of(0, 0);
	CHECK_EQ(sums.allocated_objects, 1001);
	CHECK_EQ(sums.used_objects, 1001);
	CHECK(sums.used_bytes >= 1000 * sizeof(struct node) + 100000);
	arena_gc_store(&cell, cell->next->next->next->next);
	/* So that no stale word of this stack keeps anything. */
	arena_gc_detach(gc);
	arena_gc_collect(gc);
	sums = sums_of(0, 0);
	CHECK_EQ(sums.allocated_objects, 1001);
	CHECK_EQ(sums.used_objects, 996);
	arena_gc_destroy(gc);
	CHECK_EQ(sums_of(0, 0).used_objects, 0);
}

/* Two that take turns: who samples each so many objects would see one of them. */
__attribute__((noinline, aligned(REACH))) static struct node *first_site(void)
{
	struct node *node = arena_gc_alloc(gc, type);

	__asm__ volatile("");
	return node;
}

__attribute__((noinline, aligned(REACH))) static struct node *second_site(void)
{
	struct node *node = arena_gc_alloc(gc, type);

	__asm__ volatile("nop");
	return node;
}

static void is_near(uint64_t number, uint64_t truth)
{
	if (number < truth - truth / 6 || number > truth + truth / 6)
		harness_fail(__FILE__, __LINE__, "%lu instead of %lu", number, truth);
}

TEST(turns, "gc_profile/sites that take turns have the same share, and what is live is told from what was")
{
	enum { NR = 1 << 20 };

	set_up(16384);
	for (int i = 0; i < NR; i++) {
		struct node *node = i % 2 ? first_site() : second_site();

		if (i % 4 == 1) {
			arena_gc_store(&node->next, cell);
			arena_gc_store(&cell, node);
		}
	}
	is_near(sums_of((uintptr_t)first_site, (uintptr_t)first_site + REACH).allocated_objects, NR / 2);
	is_near(sums_of((uintptr_t)second_site, (uintptr_t)second_site + REACH).allocated_objects, NR / 2);
	arena_gc_collect(gc);
	is_near(sums_of((uintptr_t)first_site, (uintptr_t)first_site + REACH).used_bytes, NR / 4 * sizeof(struct node));
	CHECK(sums_of((uintptr_t)second_site, (uintptr_t)second_site + REACH).used_objects < NR / 100);
	arena_gc_destroy(gc);
	CHECK_EQ(sums_of(0, 0).used_objects, 0);
}

TEST(stopped, "gc_profile/when sampling stops in the middle of a word the rest of it is allocated as ever")
{
	set_up(64);
	for (int i = 0; i < 10000; i++) {
		if (i == 5000)
			arena_profile_stop();
		push();
	}
	for (int i = 0; i < 10000; i++, cell = cell->next)
		CHECK(cell && cell->value == 0);
	CHECK(!cell);
	arena_gc_destroy(gc);
}

/* Where the next object of the type will be. */
static struct node *next_slot(const struct gc_bin *bin)
{
	return (struct node *)(bin->base + word_lowest(*bin->home) * bin->slot_bytes);
}

TEST(cleared, "gc_profile/a word of which each object is met is cleared once, as others are, and again when it was handed in")
{
	const struct gc_bin *bin;
	struct node *slot;

	set_up(1);
	bin = &gc_mutator_of(gc)->bins[type->single];
	push();
	CHECK(bin->ahead && !bin->free && !gc_span_at(&gc->space, bin->current)->is_fresh);
	slot = next_slot(bin);
	slot->value = 1;
	CHECK(arena_gc_alloc(gc, type) == slot && slot->value == 1);
	next_slot(bin)->value = 1;
	arena_gc_collect(gc);
	CHECK(!bin->home);
	for (int i = 0; i < 100; i++)
		CHECK(!((struct node *)arena_gc_alloc(gc, type))->value);
	arena_gc_destroy(gc);
}

static void *churn(void *unused)
{
	CHECK(!arena_gc_attach(gc));
	for (int i = 0; i < 200000; i++)
		CHECK(i % 1000 ? arena_gc_alloc(gc, type) : arena_gc_alloc_atomic(gc, 50000));
	arena_gc_detach(gc);
	return unused;
}

TEST(threads, "gc_profile/threads that allocate while others collect, under verification", "ARENA_GCVERIFY=1")
{
	pthread_t threads[3];

	set_up(32);
	for (int i = 0; i < 1000; i++)
		push();
	arena_gc_detach(gc);
	for (size_t i = 0; i < 3; i++)
		CHECK(!pthread_create(&threads[i], NULL, churn, NULL));
	for (int i = 0; i < 10; i++)
		arena_gc_collect(gc);
	for (size_t i = 0; i < 3; i++)
		CHECK(!pthread_join(threads[i], NULL));
	arena_gc_collect(gc);
	is_near(sums_of(0, 0).used_objects, 1000);
	is_near(sums_of(0, 0).allocated_objects, 601000);
	arena_gc_destroy(gc);
	CHECK_EQ(sums_of(0, 0).used_objects, 0);
}
