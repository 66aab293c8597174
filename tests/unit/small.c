// SPDX-License-Identifier: MIT
/* Small runs: many to a mapping, each revoked on its own, page tables given back. */
#include "small.h"

#include <stdio.h>
#include <string.h>

#include "meta.h"
#include "revoke.h"
#include "tests/harness.h"

static void start(void)
{
	CHECK_EQ(meta_start(), 0);
	CHECK_EQ(small_start(), 0);
}

static void check_runs(void)
{
	static uintptr_t runs[300];
	size_t before;

	start();
	small_release(small_acquire(1, 0), 1);
	before = harness_mappings();
	for (size_t i = 0; i < 300; i++) {
		size_t nr = 1 + i % 7;

		runs[i] = small_acquire(nr, 0);
		CHECK(runs[i] && runs[i] % PAGE_BYTES == 0);
		for (size_t byte = 0; byte < nr * PAGE_BYTES; byte += 512)
			CHECK(((char *)runs[i])[byte] == 0);
		memset((void *)runs[i], (int)i, nr * PAGE_BYTES);
	}
	CHECK(harness_mappings() <= before + 2);
	for (size_t i = 0; i < 300; i += 3)
		small_release(runs[i], 1 + i % 7);
	small_validate();
	for (size_t i = 0; i < 300; i++)
		for (size_t page = 0; page < 1 + i % 7; page++) {
			char *at = (char *)runs[i] + page * PAGE_BYTES;

			CHECK(i % 3 ? at[0] == (char)i && at[PAGE_BYTES - 1] == (char)i : harness_faults(at));
		}
}

TEST(runs, "small/runs side by side")
{
	check_runs();
}

TEST(runs_closed, "small/runs side by side without guard pages", "ARENA_GUARD=0")
{
	check_runs();
}

static size_t page_tables_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	size_t kib = 0;
	char line[200];

	CHECK(file);
	while (fgets(line, sizeof(line), file))
		sscanf(line, "VmPTE: %zu", &kib);
	fclose(file);
	return kib;
}

static void check_page_tables(void)
{
	size_t before;

	start();
	for (size_t i = 0; i < 1000; i++) {
		uintptr_t run = small_acquire(1, 0);

		*(char *)run = 1;
		small_release(run, 1);
	}
	before = page_tables_kib();
	/* 200 page-table pages' worth. */
	for (size_t i = 0; i < 200 * PAGES_PER_CHUNK; i++) {
		uintptr_t run = small_acquire(1, 0);

		CHECK(run);
		*(char *)run = 1;
		small_release(run, 1);
	}
	harness_note("page tables: %zu KiB before, %zu after", before, page_tables_kib());
	/* The tables of the window itself grow by 5 KiB per page table; shadow memory has page tables too. */
	if (!harness_sanitized())
		CHECK(page_tables_kib() <= before + 100);
}

TEST(page_tables, "small/page tables of revoked pages are given back")
{
	check_page_tables();
}

TEST(page_tables_closed, "small/page tables are given back without guard pages", "ARENA_GUARD=0")
{
	check_page_tables();
}
