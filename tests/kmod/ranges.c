// SPDX-License-Identifier: MIT
/*
 * Ranges that make no sense, or that ask for what the space does not have: each gets its errno,
 * and the space and the module's counters are as they were.
 *
 * Models a library with an arithmetic bug, or a hostile program. Does not try memory shortage;
 * caps.c does.
 */
#include "common.h"
#include <linux/falloc.h>

struct range {
	const char *what;
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

#define END	(SPACE_SLOTS * ARENA_CHUNK_BYTES)

static const struct range bad_ranges[] = {
	{ "empty", 0, 0 },
	{ "one page", 0, 4096 },
	{ "one byte short", 0, ARENA_CHUNK_BYTES - 1 },
	{ "one byte long", 0, ARENA_CHUNK_BYTES + 1 },
	{ "offset of one page", 4096, ARENA_CHUNK_BYTES },
	{ "offset of one byte", 1, ARENA_CHUNK_BYTES },
	{ "starts at the end", END, ARENA_CHUNK_BYTES },
	{ "starts beyond the end", 2 * END, ARENA_CHUNK_BYTES },
	{ "ends one slot beyond", END - ARENA_CHUNK_BYTES, 2 * ARENA_CHUNK_BYTES },
	{ "one slot too long", 0, END + ARENA_CHUNK_BYTES },
	{ "end wraps to 0", 0 - ARENA_CHUNK_BYTES, ARENA_CHUNK_BYTES },
	{ "end wraps into the space", 0 - ARENA_CHUNK_BYTES, 3 * ARENA_CHUNK_BYTES },
	{ "length wraps", ARENA_CHUNK_BYTES, 0 - ARENA_CHUNK_BYTES },
	{ "offset has the sign bit", 1ULL << 63, ARENA_CHUNK_BYTES },
	{ "length has the sign bit", 0, 1ULL << 63 },
	{ "offset truncates to 0", 1ULL << 53, ARENA_CHUNK_BYTES },
	{ "both have the sign bit", 1ULL << 63, 1ULL << 63 },
};

static bool same_stat(const struct arena_stat *a, const struct arena_stat *b)
{
	return a->handed_chunks == b->handed_chunks && a->kept_chunks == b->kept_chunks &&
	       a->quarantined_chunks == b->quarantined_chunks && a->nr_spaces == b->nr_spaces;
}

#define FOR_EACH_BAD_RANGE(b) \
	for (const struct range *b = bad_ranges; b < bad_ranges + ARRAY_SIZE(bad_ranges); b++)

TEST_F(space, reserve_refuses_bad_ranges)
{
	struct arena_stat before = module_stat(self->dev), after;

	FOR_EACH_BAD_RANGE(b) {
		EXPECT_EQ(EINVAL, range_reserve(self->fd, b->offset_bytes, b->length_bytes, NULL))
			TH_LOG("%s", b->what);
	}
	after = module_stat(self->dev);
	EXPECT_TRUE(same_stat(&before, &after));
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, reclaim_refuses_bad_ranges)
{
	struct arena_stat before, after;

	ASSERT_EQ(0, space_reserve(self->fd, 0, 4, NULL));
	before = module_stat(self->dev);
	FOR_EACH_BAD_RANGE(b) {
		EXPECT_EQ(EINVAL, range_reclaim(self->fd, ARENA_RECLAIM_KEEP, b->offset_bytes,
						b->length_bytes, NULL)) TH_LOG("%s", b->what);
		EXPECT_EQ(EINVAL, range_reclaim(self->fd, ARENA_RECLAIM_ZAP, b->offset_bytes,
						b->length_bytes, NULL)) TH_LOG("%s", b->what);
	}
	after = module_stat(self->dev);
	EXPECT_TRUE(same_stat(&before, &after));
	EXPECT_EQ(4, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, first_and_last_slot_work)
{
	struct arena_reserve r;

	ASSERT_EQ(0, space_reserve(self->fd, 0, 1, &r));
	EXPECT_EQ(1, r.fresh_chunks);
	EXPECT_EQ(0, r.kept_chunks);
	ASSERT_EQ(0, space_reserve(self->fd, SPACE_SLOTS - 1, 1, &r));
	EXPECT_EQ(1, r.fresh_chunks);
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, reserve_skips_what_is_reserved)
{
	struct arena_reserve r;

	ASSERT_EQ(0, space_reserve(self->fd, 2, 2, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 0, 8, &r));
	EXPECT_EQ(6, r.fresh_chunks);
	ASSERT_EQ(0, space_reserve(self->fd, 0, 8, &r));
	EXPECT_EQ(0, r.fresh_chunks);
	EXPECT_EQ(8, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, reserve_is_all_or_nothing)
{
	int fd = space_create_full(self->dev, 16, 8, 0);
	struct arena_stat before;

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, space_reserve(fd, 4, 4, NULL));
	before = module_stat(self->dev);
	EXPECT_EQ(ENOMEM, space_reserve(fd, 0, 16, NULL));
	EXPECT_EQ(ENOMEM, space_reserve(fd, 3, 10, NULL));
	EXPECT_EQ(before.handed_chunks, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(4, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(0, space_reserve(fd, 0, 8, NULL));
	close(fd);
}

TEST_F(space, keep_needs_every_slot)
{
	ASSERT_EQ(0, space_reserve(self->fd, 0, 3, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 4, 3, NULL));
	EXPECT_EQ(ENXIO, space_keep(self->fd, 0, 7, NULL));
	EXPECT_EQ(ENXIO, space_keep(self->fd, 3, 1, NULL));
	EXPECT_EQ(ENXIO, space_keep(self->fd, 6, 2, NULL));
	EXPECT_EQ(ENXIO, space_keep(self->fd, 100, 1, NULL));
	EXPECT_EQ(0, module_stat(self->dev).kept_chunks);
	EXPECT_EQ(6, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, zap_skips_empty_slots)
{
	struct arena_reclaim r;

	EXPECT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, &r));
	EXPECT_EQ(0, r.nr_chunks);
	ASSERT_EQ(0, space_reserve(self->fd, 1, 1, NULL));
	ASSERT_EQ(0, space_reserve(self->fd, 200, 2, NULL));
	EXPECT_EQ(0, space_zap(self->fd, 0, SPACE_SLOTS, &r));
	EXPECT_EQ(3, r.nr_chunks);
	EXPECT_EQ(0, r.nr_quarantined);
	EXPECT_EQ(0, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, fallocate_punches_whole_chunks_only)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	ASSERT_EQ(0, space_reserve(self->fd, 0, 2, NULL));
	EXPECT_EQ(-1, fallocate(self->fd, punch, 4096, (off_t)CHUNK_BYTES));
	EXPECT_EQ(-1, fallocate(self->fd, punch, 0, 4096));
	EXPECT_EQ(-1, fallocate(self->fd, punch, (off_t)END, (off_t)CHUNK_BYTES));
	EXPECT_EQ(2, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(0, fallocate(self->fd, punch, 0, (off_t)CHUNK_BYTES));
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
}

TEST_F(space, other_fallocate_modes_are_refused)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE,
		FALLOC_FL_INSERT_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_UNSHARE_RANGE, FALLOC_FL_PUNCH_HOLE,
	};

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		EXPECT_EQ(-1, fallocate(self->fd, modes[i], 0, (off_t)CHUNK_BYTES));
		EXPECT_EQ(EOPNOTSUPP, errno) TH_LOG("mode %#x: %m", modes[i]);
	}
}

/* A space is a file of a pseudo file system; nothing may change its length under a mapping. */
TEST_F(space, length_of_the_file_cannot_change)
{
	char *map = space_map(self->fd, 0, 1);

	ASSERT_NE(MAP_FAILED, map);
	map[0] = 'x';
	EXPECT_EQ(-1, ftruncate(self->fd, 0));
	EXPECT_EQ(-1, ftruncate(self->fd, 4096));
	EXPECT_EQ(-1, ftruncate(self->fd, INT64_MAX));
	EXPECT_EQ('x', map[0]);
	EXPECT_EQ(1, space_stat(self->dev).reserved_chunks);
	EXPECT_EQ(0, munmap(map, CHUNK_BYTES));
}

TEST_F(space, create_checks_its_limits)
{
	struct arena_info info = module_info(self->dev);
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;

	EXPECT_EQ(-1, space_create(self->dev, info.max_space_chunks + 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, space_create(self->dev, UINT64_MAX));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, space_create(self->dev, 1ULL << 43));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, space_create_full(self->dev, 4, 5, 0));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(nr_spaces, module_stat(self->dev).nr_spaces);
}

TEST_F(space, default_length_is_the_largest)
{
	int fd = space_create(self->dev, 0);

	ASSERT_LE(0, fd);
	EXPECT_EQ(module_info(self->dev).max_space_chunks, space_stat(self->dev).nr_slots);
	close(fd);
}

TEST_F(space, create_without_descriptors_loses_nothing)
{
	uint64_t nr_spaces = module_stat(self->dev).nr_spaces;

	while (dup(self->dev) >= 0)
		;
	EXPECT_EQ(-1, space_create(self->dev, 4));
	EXPECT_EQ(EMFILE, errno);
	EXPECT_EQ(nr_spaces, module_stat(self->dev).nr_spaces);
}

TEST_HARNESS_MAIN
