// SPDX-License-Identifier: MIT
/*
 * RSS tells the truth: chunks that are touched are counted, as huge mappings, and are gone from the
 * count the moment they are given back, by whichever of the three ways.
 *
 * Models what a person sees in smaps and top. It is no measurement of speed.
 */
#include "common.h"
#include <linux/falloc.h>
#include <sys/prctl.h>

#define NR_CHUNKS	128
#define NR_KB		(NR_CHUNKS * 2048L)
#define LENGTH_BYTES	(NR_CHUNKS * CHUNK_BYTES)

enum way { ZAP, PUNCH_HOLE, REMOVE };

static int give_back(enum way way, int fd, char *map)
{
	switch (way) {
	case ZAP:
		return space_zap(fd, 0, NR_CHUNKS, NULL);
	case PUNCH_HOLE:
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				 (off_t)LENGTH_BYTES);
	default:
		return madvise(map, LENGTH_BYTES, MADV_REMOVE);
	}
}

/* Touches one byte of every chunk. */
static char *map_and_touch(int fd)
{
	char *map = space_map(fd, 0, NR_CHUNKS);

	for (size_t i = 0; map != MAP_FAILED && i < NR_CHUNKS; i++)
		map[i * CHUNK_BYTES] = 1;
	return map;
}

static void check_way(struct __test_metadata *_metadata, int dev, int fd, enum way way)
{
	char *map = map_and_touch(fd);

	ASSERT_NE(MAP_FAILED, map) TH_LOG("%m");
	EXPECT_EQ(NR_KB, smaps_kb(map, "Rss"));
	EXPECT_EQ(NR_KB, smaps_kb(map, "FilePmdMapped"));
	EXPECT_EQ(NR_CHUNKS, space_stat(dev).live_chunks);
	ASSERT_EQ(0, give_back(way, fd, map)) TH_LOG("%m");
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	EXPECT_EQ(0, smaps_kb(map, "FilePmdMapped"));
	EXPECT_EQ(0, space_stat(dev).reserved_chunks);
	fault_catch();
	EXPECT_EQ(NR_CHUNKS, fault_count(map, NR_CHUNKS, SIGBUS));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
}

TEST_F_TIMEOUT(space, zero_after_zap, 120)
{
	check_way(_metadata, self->dev, self->fd, ZAP);
}

TEST_F_TIMEOUT(space, zero_after_punch_hole, 120)
{
	check_way(_metadata, self->dev, self->fd, PUNCH_HOLE);
}

TEST_F_TIMEOUT(space, zero_after_madv_remove, 120)
{
	check_way(_metadata, self->dev, self->fd, REMOVE);
}

TEST_F(space, reserving_alone_is_no_rss)
{
	char *map = space_map(self->fd, 0, 8);

	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	EXPECT_EQ(8, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, partial_zap_leaves_the_rest)
{
	char *map = space_map(self->fd, 0, 8);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < 8; i++)
		map[i * CHUNK_BYTES] = (char)i;
	ASSERT_EQ(0, space_zap(self->fd, 2, 3, NULL));
	EXPECT_EQ(5 * 2048, smaps_kb(map, "Rss"));
	for (unsigned int i = 0; i < 8; i++)
		EXPECT_EQ(i >= 2 && i < 5 ? SIGBUS : 0, fault_touch(map + i * CHUNK_BYTES));
	EXPECT_EQ(7, map[7 * CHUNK_BYTES]);
}

/* ZAP unmaps everywhere, not only in the caller. */
TEST_F(space, zap_reaches_every_mapping)
{
	char *first = space_map(self->fd, 0, 2), *second = space_map(self->fd, 0, 2);

	fault_catch();
	ASSERT_NE(MAP_FAILED, first);
	ASSERT_NE(MAP_FAILED, second);
	first[0] = 1;
	EXPECT_EQ(1, second[0]);
	ASSERT_EQ(0, space_zap(self->fd, 0, 1, NULL));
	EXPECT_EQ(SIGBUS, fault_touch(first));
	EXPECT_EQ(SIGBUS, fault_touch(second));
	EXPECT_EQ(0, smaps_kb(first, "Rss"));
	EXPECT_EQ(0, smaps_kb(second, "Rss"));
}

/* Leaves less memory untouched than the chunks need, so that some are made of these pages next. */
static int use_as_anonymous(int dev)
{
	size_t length_bytes;

	module_trim(dev, ~0ULL, 0, NULL);
	length_bytes = (size_t)meminfo_kb("MemFree") * 1024 - LENGTH_BYTES / 2;
	file_write_text("/proc/self/oom_score_adj", "1000");
	return mmap(NULL, length_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED;
}

/* What a page was before must not decide how it is mapped. */
TEST_F_TIMEOUT(space, former_anonymous_memory_is_mapped_huge, 90)
{
	char *map;

	ASSERT_EQ(0, IN_CHILD(use_as_anonymous(self->dev)));
	map = map_and_touch(self->fd);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(NR_KB, smaps_kb(map, "FilePmdMapped"));
	ASSERT_EQ(0, space_zap(self->fd, 0, NR_CHUNKS, NULL));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
}

/*
 * A process may forbid itself huge mappings. 6.12 obeys and maps 4 KiB pages, 6.1 does not look:
 * either is right as long as data and counts are.
 */
TEST_F(space, without_huge_pages_it_still_works)
{
	char *map;
	long rss_kb;

	ASSERT_EQ(0, prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	map = space_map(self->fd, 0, 2);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 1;
	map[CHUNK_BYTES + 4096] = 2;
	rss_kb = smaps_kb(map, "Rss");
	TH_LOG("Rss %ld kB, FilePmdMapped %ld kB after touching two pages", rss_kb,
	       smaps_kb(map, "FilePmdMapped"));
	EXPECT_TRUE(rss_kb == 8 || rss_kb == 4096);
	fill(map, 2 * CHUNK_BYTES, 7);
	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, 7));
	EXPECT_EQ(4096, smaps_kb(map, "Rss"));
	ASSERT_EQ(0, space_zap(self->fd, 0, 2, NULL));
	EXPECT_EQ(0, smaps_kb(map, "Rss"));
	fault_catch();
	EXPECT_EQ(2, fault_count(map, 2, SIGBUS));
}

TEST_HARNESS_MAIN
