// SPDX-License-Identifier: MIT
/*
 * What the shrinker gives back is whole: the system has as many more free blocks of a chunk's size.
 *
 * Models a huge page that somebody else wants after chunks have idled. Where it lies is up to the
 * page allocator, which keeps some in lists of the processors, where nobody counts them.
 */
#include "group.h"

#define NR_IDLE		64U
#define NR_UNCOUNTED	16U
/* 4 KiB << 9 */
#define CHUNK_ORDER	9

/* The blocks of one zone, a number for each order, as chunks. */
static uint64_t chunks_of_zone(const char *orders)
{
	uint64_t chunks = 0;
	char *end;

	for (int order = 0; ; order++, orders = end) {
		unsigned long long blocks = strtoull(orders, &end, 10);

		if (end == orders)
			return chunks;
		if (order >= CHUNK_ORDER)
			chunks += blocks << (order - CHUNK_ORDER);
	}
}

/* Chunks that free memory is good for without moving anything. */
static uint64_t free_chunks(void)
{
	FILE *file = fopen("/proc/buddyinfo", "re");
	uint64_t chunks = 0;
	char line[512];
	int orders;

	while (file && fgets(line, sizeof(line), file)) {
		orders = 0;
		if (sscanf(line, "Node %*d, zone %*s%n", &orders) == 0 && orders)
			chunks += chunks_of_zone(line + orders);
	}
	if (file)
		fclose(file);
	return chunks;
}

/* It only tries locks. */
static bool is_drained(int dev)
{
	file_write_text("/proc/sys/vm/drop_caches", "2");
	return !idle_chunks(dev);
}

TEST_F(space, what_the_shrinker_gives_back_is_whole)
{
	uint64_t before, returned;

	ASSERT_EQ(0, parameter_set("pool_max_chunks", 2 * NR_IDLE));
	ASSERT_TRUE(WAIT_UNTIL(nothing_idles(self->dev), SETTLE_MS));
	ASSERT_EQ(0, space_reserve(self->fd, 0, NR_IDLE, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_IDLE, NULL));
	ASSERT_EQ(NR_IDLE, idle_chunks(self->dev));
	ASSERT_EQ(0, freed_pages_in_lists(FREED_IN_LISTS_LEAST));
	before = free_chunks();
	returned = module_stat(self->dev).returned_chunks;
	ASSERT_TRUE(WAIT_UNTIL(is_drained(self->dev), SETTLE_MS));
	EXPECT_LE(returned + NR_IDLE, module_stat(self->dev).returned_chunks);
	EXPECT_LE(before + NR_IDLE - NR_UNCOUNTED, free_chunks());
	EXPECT_EQ(0, freed_pages_in_lists(FREED_IN_LISTS_DEFAULT));
}

TEST_HARNESS_MAIN
