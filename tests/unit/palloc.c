// SPDX-License-Identifier: MIT
/* The page allocator against a plain row of bytes; fullness, alignment, growth to the last page, and what comes back. No page is touched. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "palloc.h"
#include "tests/harness.h"

enum { NR_CHUNKS = 64, NR_PAGES = NR_CHUNKS * 512, NR_RUNS = 400 };

static struct region region;
static struct palloc pages;
static unsigned char used[NR_PAGES]; /* the model: 1 = in use */

static void start(void)
{
	CHECK_EQ(region_init(&region, NR_CHUNKS), 0);
	CHECK_EQ(region.nr_chunks, NR_CHUNKS);
	CHECK_EQ(palloc_init(&pages, &region, ARENA_SOURCE_PAGES), 0);
}

static void model_set(uint32_t page, uint32_t nr, unsigned char to)
{
	CHECK(page + nr <= NR_PAGES);
	for (uint32_t i = page; i < page + nr; i++) {
		CHECK_EQ(used[i], !to);
		used[i] = to;
	}
}

static uint32_t take(uint32_t nr, uint32_t align)
{
	bool is_zero;
	uint32_t page = palloc_run(&pages, nr, align, &is_zero);

	if (page != PAGE_NONE) {
		CHECK_EQ(page % align, 0);
		model_set(page, nr, 1);
	}
	return page;
}

static void give(uint32_t page, uint32_t nr)
{
	model_set(page, nr, 0);
	palloc_free(&pages, page, nr);
}

struct run {
	uint32_t page, nr;
};

static void random_step(struct random *random, struct run *run)
{
	uint32_t more = (uint32_t)random_below(random, 20) + 1;

	if (!run->nr) {
		run->nr = (uint32_t)random_below(random, random_below(random, 10) ? 30 : 1500) + 1;
		run->page = take(run->nr, 1u << random_below(random, random_below(random, 4) ? 1 : 10));
		if (run->page == PAGE_NONE)
			run->nr = 0;
	} else if (random_below(random, 4) == 0 && palloc_extend(&pages, run->page + run->nr, more)) {
		model_set(run->page + run->nr, more, 1);
		run->nr += more;
	} else {
		give(run->page, run->nr);
		run->nr = 0;
	}
}

TEST(random_runs, "palloc/random runs never overlap, and the books balance")
{
	static struct run runs[NR_RUNS];
	struct random random = { .state = harness_seed() };

	start();
	for (int i = 0; i < 200000; i++) {
		random_step(&random, &runs[random_below(&random, NR_RUNS)]);
		if (i % 1000 == 0) {
			palloc_validate(&pages);
			palloc_scavenge(&pages, random_below(&random, 4), random_below(&random, 8));
		}
	}
	for (int i = 0; i < NR_RUNS; i++)
		if (runs[i].nr)
			give(runs[i].page, runs[i].nr);
	palloc_validate(&pages);
	CHECK_EQ(pages.mapped, 0);
	palloc_scavenge(&pages, 0, UINT64_MAX);
	CHECK_EQ(pages.handed, pages.returned);
	CHECK_EQ(region.first_free, 0);
}

TEST(to_the_last, "palloc/every page can be had, and not one more")
{
	start();
	for (uint32_t i = 0; i < NR_PAGES; i++)
		CHECK(take(1, 1) != PAGE_NONE);
	CHECK_EQ(take(1, 1), PAGE_NONE);
	CHECK_EQ(pages.mapped, NR_CHUNKS);
	give(777, 1);
	CHECK_EQ(take(2, 1), PAGE_NONE);
	CHECK_EQ(take(1, 1), 777);
	palloc_validate(&pages);
}

TEST(fullest, "palloc/short runs go to the fullest chunk that has room")
{
	start();
	CHECK_EQ(take(512, 1), 0);
	CHECK_EQ(take(512, 1), 512);
	give(10, 100);
	give(600, 10);
	CHECK_EQ(take(3, 1), 600);
	CHECK_EQ(take(8, 1), 10);
	CHECK_EQ(take(7, 1), 603);
	/* Longer ones go by address. */
	CHECK_EQ(take(9, 1), 18);
}

TEST(anywhere, "palloc/before a short run is refused it is found in whichever chunk, or two, it fits")
{
	start();
	for (uint32_t i = 0; i < NR_PAGES; i++)
		CHECK(take(1, 1) != PAGE_NONE);
	/* More chunks of one fullness than are looked at, and two of them in the middle have what is wanted. */
	for (uint32_t chunk = 10; chunk < 30; chunk++) {
		give(chunk * 512 + 100, 1);
		give(chunk * 512 + (chunk == 20 ? 101 : 200), 1);
	}
	CHECK_EQ(take(2, 1), 20 * 512 + 100);
	CHECK_EQ(take(2, 1), PAGE_NONE);
	give(40 * 512 - 1, 2);
	CHECK_EQ(take(2, 1), 40 * 512 - 1);
	palloc_validate(&pages);
}

TEST(tail, "palloc/a run that nearly fills its chunks begins with one, and its tail serves others")
{
	start();
	CHECK_EQ(take(5, 1), 0);
	CHECK_EQ(take(410, 1), 512);
	CHECK_EQ(take(820, 1), 2 * 512);
	CHECK_EQ(take(409, 1), 5);
	CHECK_EQ(take(102, 1), 512 + 410);
	CHECK_EQ(take(204, 1), 2 * 512 + 820);
	CHECK_EQ(pages.mapped, 4);
}

TEST(behind, "palloc/a run of a chunk gets an idle one, also when what lies before it is free")
{
	start();
	CHECK_EQ(take(300, 1), 0);
	CHECK_EQ(take(512, 1), 512);
	give(512, 512);
	CHECK_EQ(take(512, 1), 512);
	give(512, 512);
	CHECK_EQ(take(450, 1), 512);
	CHECK_EQ(pages.handed, 2);
	palloc_validate(&pages);
}

TEST(row, "palloc/a run of several chunks gets idle ones, the first that lie in a row, also when what lies before them is free")
{
	start();
	CHECK_EQ(take(300, 1), 0);
	for (uint32_t nr = 2048; nr >= 1000; nr -= 262) {
		CHECK_EQ(take(nr, 1), 512);
		give(512, nr);
	}
	CHECK_EQ(pages.handed, 5);
	CHECK_EQ(take(512, 512), 512);
	CHECK_EQ(take(512, 512), 1024);
	give(512, 512);
	/* Chunk 1, then 3 and 4: one alone is passed by. */
	CHECK_EQ(take(1024, 1), 1536);
	CHECK_EQ(pages.handed, 5);
	/* No three of those that are idle lie in a row. */
	give(1536, 1024);
	CHECK(take(1536, 1) >= 2048);
	CHECK_EQ(pages.handed, 8);
	palloc_validate(&pages);
}

TEST(packed, "palloc/runs of three quarters of a chunk leave no quarter free")
{
	start();
	for (uint32_t i = 0; i < 8; i++)
		CHECK_EQ(take(384, 1), i * 384);
	CHECK_EQ(pages.mapped, 6);
	/* Longer than a chunk, the same: two and a quarter. */
	for (uint32_t i = 0; i < 4; i++)
		CHECK_EQ(take(1152, 1), 6 * 512 + i * 1152);
	CHECK_EQ(pages.mapped, 15);
	palloc_validate(&pages);
}

TEST(aligned, "palloc/runs aligned to one page up to four chunks")
{
	start();
	CHECK_EQ(take(3, 1), 0);
	for (uint32_t align = 1; align <= 2048; align *= 2)
		CHECK(take(7, align) != PAGE_NONE);
	palloc_validate(&pages);
}

TEST(aligned_alone, "palloc/what is aligned to more than a chunk holds its own chunks and no others, which are there for the next")
{
	start();
	CHECK_EQ(take(3, 1), 0);
	CHECK_EQ(take(7, 2048), 2048);
	CHECK_EQ(take(600, 4096), 4096);
	CHECK_EQ(pages.handed, 4);
	CHECK_EQ(take(1024, 1), 512);
	CHECK_EQ(take(512, 512), 3 * 512);
	CHECK_EQ(take(600, 2048), 3 * 2048);
	/* From 32 MiB on there are four places, and each has something. */
	for (uint32_t page = 0; page < NR_PAGES; page += 8192)
		if (!used[page])
			CHECK_EQ(take(1, 8192), page);
	CHECK_EQ(take(1, 8192), PAGE_NONE);
	palloc_validate(&pages);
}

TEST(aligned_addresses, "palloc/it is addresses that are aligned, also where the first chunk is at an odd multiple of its size")
{
	char *raw = mmap(NULL, 256 * MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uintptr_t base;
	bool is_zero;

	CHECK(raw != MAP_FAILED);
	/* Records are in front of it, and no multiple of 128 MiB behind. */
	base = align_up((uintptr_t)raw, 128 * MiB) + 7 * CHUNK_BYTES;
	CHECK_EQ(region_init_in(&region, base - 2 * CHUNK_BYTES, 40 * CHUNK_BYTES), 0);
	CHECK_EQ(palloc_init(&pages, &region, ARENA_SOURCE_PAGES), 0);
	region.is_supplied = true;
	for (uint32_t align = 512; align <= 8192; align *= 2)
		for (uint32_t nr = 1; nr <= 1600; nr = nr * 3 + 1) {
			uint32_t page = palloc_run(&pages, nr, align, &is_zero);

			CHECK(page != PAGE_NONE);
			CHECK_EQ(region_address(&region, page) % (align * PAGE_BYTES), 0);
			palloc_validate(&pages);
			palloc_free(&pages, page, nr);
		}
	CHECK_EQ(palloc_run(&pages, 1, 32768, &is_zero), PAGE_NONE);
}

static uint32_t highest_backed(void)
{
	uint32_t chunk = NR_CHUNKS;

	while (chunk && !region.chunks[chunk - 1].is_backed)
		chunk--;
	return chunk;
}

TEST(order, "palloc/idle chunks go back highest first, and serve lowest first, in whatever order they became idle")
{
	struct random random = { .state = harness_seed() };
	uint32_t chunks[NR_CHUNKS], nr_left;

	start();
	for (int round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < NR_CHUNKS; i++)
			chunks[i] = take(512, 512) / 512;
		for (uint32_t i = NR_CHUNKS; i; i--) {
			uint32_t *any = &chunks[random_below(&random, i)];

			give(*any * 512, 512);
			*any = chunks[i - 1];
		}
		palloc_validate(&pages);
		for (nr_left = NR_CHUNKS; nr_left > NR_CHUNKS / 2; nr_left--) {
			CHECK_EQ(highest_backed(), nr_left);
			CHECK_EQ(palloc_scavenge(&pages, 0, 1), 1);
		}
		for (uint32_t i = 0; i < nr_left; i++)
			for (uint32_t page = 0; page < 512; page += 8)
				CHECK_EQ(take(8, 1), i * 512 + page);
		CHECK_EQ(pages.nr_idle, 0);
		give(0, nr_left * 512);
		CHECK_EQ(palloc_scavenge(&pages, 10, UINT64_MAX), nr_left - 10);
		CHECK_EQ(highest_backed(), 10);
		palloc_validate(&pages);
	}
}

/* Without a limit: what a heap holds does not grow because of chunks that it cannot use. */
TEST(makes_way, "palloc/a growth gives back as many idle chunks that do not serve, the highest, but for a tenth of what is in use, or two")
{
	start();
	for (uint32_t i = 0; i < 21; i++)
		CHECK_EQ(take(512, 512), i * 512);
	for (uint32_t i = 1; i < 21; i += 2)
		give(i * 512, 512);
	/* None lies beside another. */
	CHECK_EQ(take(2 * 512, 1), 21 * 512);
	CHECK(pages.returned == 2 && pages.nr_idle == 8);
	CHECK(!region.chunks[19].is_backed && !region.chunks[17].is_backed && region.chunks[15].is_backed);
	CHECK_EQ(take(8 * 512, 1), 23 * 512);
	CHECK(pages.returned == 8 && pages.nr_idle == 2);
	CHECK_EQ(take(2 * 512, 1), 31 * 512);
	CHECK(pages.returned == 8 && pages.nr_idle == 2);
	palloc_validate(&pages);
}

TEST(small_chunk, "palloc/which chunk is of ordinary pages is known as long as there is one, and one more is to be had idle")
{
	bool is_zero;
	uint32_t page;

	CHECK_EQ(region_init(&region, NR_CHUNKS), 0);
	CHECK_EQ(palloc_init(&pages, &region, ARENA_SOURCE_THP), 0);
	CHECK_EQ(pages.small_chunk, CHUNK_NONE);
	page = palloc_run(&pages, 1, 1, &is_zero);
	CHECK_EQ(pages.small_chunk, page / PAGES_PER_CHUNK);
	CHECK_EQ(region.chunks[pages.small_chunk].source, ARENA_SOURCE_PAGES);
	CHECK(palloc_grow(&pages) && pages.nr_idle == 1);
	CHECK_EQ(pages.small_chunk, page / PAGES_PER_CHUNK);
	palloc_free(&pages, page, 1);
	palloc_scavenge(&pages, 1, 1);
	CHECK_EQ(pages.small_chunk, page / PAGES_PER_CHUNK);
	palloc_scavenge(&pages, 0, 1);
	CHECK_EQ(pages.small_chunk, CHUNK_NONE);
	CHECK(palloc_run(&pages, 1, 1, &is_zero) != PAGE_NONE && pages.small_chunk != CHUNK_NONE);
	pages.limit.hard_chunks = 1;
	CHECK(!palloc_grow(&pages) && !pages.nr_idle);
	palloc_validate(&pages);
	palloc_fini(&pages);
}

TEST(groups, "palloc/groups of up to 64 pages for threads")
{
	uint32_t first;
	uint64_t group;

	start();
	CHECK_EQ(take(3, 1), 0);
	group = palloc_take_group(&pages, 64, &first);
	CHECK_EQ(first, 0);
	CHECK_EQ(group, ~(uint64_t)7);
	palloc_give_group(&pages, 0, (uint64_t)1 << 63);
	palloc_validate(&pages);
	CHECK_EQ(palloc_take_group(&pages, 64, &first), (uint64_t)1 << 63);
	CHECK_EQ(palloc_take_group(&pages, 64, &first), ~(uint64_t)0);
	CHECK_EQ(first, 64);
	palloc_validate(&pages);
	/* Fewer, from the lowest on. */
	CHECK_EQ(palloc_take_group(&pages, 8, &first), 0xff);
	CHECK_EQ(first, 128);
	palloc_give_group(&pages, 128, 1 << 3);
	CHECK_EQ(palloc_take_group(&pages, 2, &first), 1 << 3 | 1 << 8);
	CHECK_EQ(first, 128);
	palloc_validate(&pages);
	palloc_free(&pages, 0, 137);
	CHECK_EQ(pages.mapped, 0);
}

TEST(zeros, "palloc/pages that were never used are known to be zero")
{
	bool is_zero;

	start();
	CHECK_EQ(palloc_run(&pages, 100, 1, &is_zero), 0);
	CHECK(is_zero);
	palloc_free(&pages, 0, 100);
	CHECK_EQ(palloc_run(&pages, 50, 1, &is_zero), 0);
	CHECK(!is_zero);
	CHECK_EQ(palloc_run(&pages, 100, 1, &is_zero), 50);
	CHECK(!is_zero);
	CHECK_EQ(palloc_run(&pages, 100, 1, &is_zero), 150);
	CHECK(is_zero);
	palloc_free(&pages, 0, 250);
	palloc_scavenge(&pages, 0, UINT64_MAX);
	CHECK_EQ(palloc_run(&pages, 100, 1, &is_zero), 0);
	CHECK(is_zero);
	/* A run over two chunks is when both its parts are. */
	palloc_free(&pages, 0, 100);
	CHECK_EQ(palloc_run(&pages, 700, 1, &is_zero), 0);
	CHECK(!is_zero);
	palloc_free(&pages, 600, 100);
	CHECK_EQ(palloc_run(&pages, 100, 1, &is_zero), 600);
	CHECK(!is_zero);
	CHECK_EQ(palloc_run(&pages, 700, 1, &is_zero), 700);
	CHECK(is_zero);
}

TEST(limit, "palloc/a limit in chunks holds, idle ones counted in")
{
	start();
	pages.limit = limit_from_bytes(3 * CHUNK_BYTES);
	CHECK_EQ(take(1024, 1), 0);
	CHECK_EQ(take(1024, 1), PAGE_NONE);
	CHECK_EQ(take(512, 1), 1024);
	CHECK_EQ(take(1, 1), PAGE_NONE);
	give(0, 1024);
	CHECK_EQ(take(513, 1), 0);
	CHECK_EQ(take(200, 1), 513);
	palloc_validate(&pages);
}

TEST(two, "palloc/two allocators share a region and none of its chunks")
{
	static struct palloc other;
	bool is_zero;

	start();
	CHECK_EQ(palloc_init(&other, &region, ARENA_SOURCE_PAGES), 0);
	CHECK_EQ(palloc_run(&pages, 1, 1, &is_zero), 0);
	CHECK_EQ(palloc_run(&other, 1, 1, &is_zero), 512);
	CHECK(!palloc_extend(&pages, 1, 512));
	CHECK(palloc_extend(&pages, 1, 511));
	CHECK(!palloc_extend(&pages, 512, 1));
	palloc_validate(&pages);
	palloc_validate(&other);
	palloc_fini(&pages);
	CHECK_EQ(region.chunks[1].pages == &other, 1);
	palloc_fini(&other);
	CHECK_EQ(region.first_free, 0);
}

TEST(passed_on, "palloc/a chunk that went back to the region is not found any more, whoever has it now")
{
	static struct palloc other;
	uint64_t group;
	uint32_t first;
	bool is_zero;

	start();
	CHECK_EQ(palloc_init(&other, &region, ARENA_SOURCE_PAGES), 0);
	group = palloc_take_group(&pages, 64, &first);
	palloc_give_group(&pages, first, group);
	CHECK_EQ(palloc_scavenge(&pages, 0, UINT64_MAX), 1);
	CHECK_EQ(palloc_run(&other, 1, 1, &is_zero), 0);
	CHECK_EQ(take(9, 1), 512);
	palloc_validate(&pages);
	palloc_validate(&other);
	palloc_fini(&other);
	palloc_fini(&pages);
}
