// SPDX-License-Identifier: MIT
/* Memory of heaps before it is needed, without a collector: at limits, in the child of a fork, and where the first chunk has gone. */
#include <sys/mman.h>

#include "heap.h"
#include "tests/harness.h"

static struct heap *heap;	/* a test's */

/* Half a chunk and more is in use, so that the next is due. */
static void start(void)
{
	heap = heap_create(ARENA_SOURCE_PAGES);
	CHECK(heap && heap_take_pages(heap, 300) != PAGE_NONE);
	CHECK(heap_is_low(heap));
}

static size_t resident_pages(uint32_t page)
{
	unsigned char is_here[PAGES_PER_CHUNK];
	size_t nr = 0;

	CHECK(!mincore((void *)region_address(heap->pages.region, page), CHUNK_BYTES, is_here));
	for (size_t i = 0; i < PAGES_PER_CHUNK; i++)
		nr += is_here[i] & 1;
	return nr;
}

static void set_soft_limit(uint64_t chunks)
{
	lock_acquire(&heap->lock);
	heap->pages.limit.soft_chunks = chunks;
	lock_release(&heap->lock);
}

TEST(two, "prepare/two chunks are idle then, of which the lower one is touched, and nothing is due")
{
	uint32_t lower;

	start();
	CHECK(heap_prepare(heap));
	CHECK(heap->pages.nr_idle == 2 && heap->pages.mapped == 1);
	CHECK(!heap_is_low(heap));
	CHECK(heap_prepare(heap));
	CHECK_EQ(heap->pages.nr_idle, 2);
	lower = heap_take_pages(heap, PAGES_PER_CHUNK);
	CHECK_EQ(resident_pages(lower), PAGES_PER_CHUNK);
	CHECK_EQ(resident_pages(lower + PAGES_PER_CHUNK), 0);
	CHECK(heap_is_low(heap));
	heap_validate(heap);
	heap_destroy(heap);
}

TEST(no_room, "prepare/where there is no room for two the one that is idle stays as it is, for who needs it")
{
	uint32_t page;

	start();
	CHECK(heap_prepare(heap));
	set_soft_limit(3);
	page = heap_take_pages(heap, PAGES_PER_CHUNK);
	CHECK_EQ(heap->pages.nr_idle, 1);
	CHECK(!heap_prepare(heap));
	CHECK_EQ(heap->pages.nr_idle, 1);
	CHECK_EQ(resident_pages(page + PAGES_PER_CHUNK), 0);
	heap_validate(heap);
	heap_destroy(heap);
}

/* As in the middle of heap_prepare(). */
static void take_touched(void)
{
	start();
	heap->touched = heap_take_pages(heap, PAGES_PER_CHUNK);
	CHECK(heap->touched != PAGE_NONE);
}

TEST(limited, "prepare/a limit that is set while a chunk is touched has it given back")
{
	take_touched();
	set_soft_limit(1);
	heap_give_touched(heap);
	CHECK_EQ(heap->touched, PAGE_NONE);
	CHECK(heap->pages.mapped == 1 && heap->pages.nr_idle == 0);
	heap_validate(heap);
	heap_destroy(heap);
}

static void look_in_child(void *unused)
{
	(void)unused;
	CHECK_EQ(heap->touched, PAGE_NONE);
	CHECK_EQ(heap->pages.used_pages, 300);
	heap_validate(heap);
}

TEST(forked, "prepare/the child of a fork has the chunk back that a thread of the parent's touches")
{
	struct death death;

	take_touched();
	harness_child(&death, look_in_child, NULL);
	CHECK(!death.signal && !death.status);
	CHECK_EQ(heap->pages.used_pages, 300 + PAGES_PER_CHUNK);
	heap_give_touched(heap);
	heap_validate(heap);
	heap_destroy(heap);
}
