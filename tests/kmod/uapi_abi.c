// SPDX-License-Identifier: MIT
/*
 * The shape of every ioctl: what a program gets that was compiled against an older or a newer
 * header, or that passes rubbish.
 *
 * Models the life of a binary interface: structs grow at the end, so shorter ones must be read as
 * if padded with zeros and longer ones accepted as long as the unknown tail is zero. Says nothing
 * about what the calls do; the other files here do that.
 */
#include "common.h"
#include <linux/fs.h>

#define TAIL_BYTES	64	/* what a future struct may have grown by */
#define CANARY		0xa5

struct call {
	const char *name;
	unsigned int nr;
	unsigned int size;
	unsigned int min_size;	/* shortest struct that can make a valid request */
	unsigned int out_base;	/* where the output fields begin */
	unsigned int out_limit;
	bool changes;		/* needs a descriptor open for writing */
	bool on_space;		/* else on the device */
};

static const struct call calls[] = {
	{ "INFO",    0x00, sizeof(struct arena_info), 16, 8, 48, false, false },
	{ "CREATE",  0x01, sizeof(struct arena_create), 16, 32, 32, true, false },
	{ "RESERVE", 0x02, sizeof(struct arena_reserve), 24, 24, 40, true, true },
	{ "RECLAIM", 0x03, sizeof(struct arena_reclaim), 24, 24, 40, true, true },
	{ "STAT",    0x04, sizeof(struct arena_stat), 16, 8, 112, false, false },
	{ "SPACE",   0x05, sizeof(struct arena_space_stat), 16, 16, 88, false, false },
	{ "TRIM",    0x06, sizeof(struct arena_trim), 16, 16, 32, false, false },
	{ "POPULATE", 0x07, sizeof(struct arena_populate), 24, 24, 32, false, true },
	{ "NOTICE",  0x08, sizeof(struct arena_notice), 16, 12, 32, false, false },
};

union request {
	unsigned char bytes[16384];
	struct {
		uint32_t size;
		uint32_t flags;
	} head;
	struct arena_create create;
	struct arena_reserve reserve;
	struct arena_reclaim reclaim;
	struct arena_trim trim;
	struct arena_populate populate;
};

#define FOR_EACH_CALL(c) for (const struct call *c = calls; c < calls + ARRAY_SIZE(calls); c++)

/* The last slot of the space `fd`, which no other request touches, reserved and mapped once per test. */
static uint64_t populate_address(int fd)
{
	static char *map;

	if (!map)
		map = space_map(fd, SPACE_SLOTS - 1, 1);
	return (uintptr_t)map;
}

/* A valid request that costs little. */
static void request_init_for(int fd, union request *r, const struct call *c)
{
	memset(r, 0, sizeof(*r));
	r->head.size = c->size;
	if (c->nr == _IOC_NR(ARENA_IOC_CREATE))
		r->create.nr_slots = 1;
	if (c->nr == _IOC_NR(ARENA_IOC_RESERVE))
		r->reserve.length_bytes = CHUNK_BYTES;
	if (c->nr == _IOC_NR(ARENA_IOC_RECLAIM)) {
		r->reclaim.how = ARENA_RECLAIM_ZAP;
		r->reclaim.length_bytes = CHUNK_BYTES;
	}
	if (c->nr == _IOC_NR(ARENA_IOC_POPULATE)) {
		r->populate.address = populate_address(fd);
		r->populate.length_bytes = CHUNK_BYTES;
	}
}

#define request_init(r, c) request_init_for(self->fd, r, c)

static int request_send(int fd, const struct call *c, size_t size, void *argument)
{
	unsigned int request = _IOC(_IOC_READ | _IOC_WRITE, ARENA_IOC_MAGIC, c->nr,
				    (unsigned int)size);
	int answer = ioctl(fd, request, argument);

	if (answer < 0)
		return errno;
	if (c->nr == _IOC_NR(ARENA_IOC_CREATE))
		close(answer);
	return 0;
}

/* Sends the request with both the number and the field saying `size`. */
static int request_send_sized(int fd, const struct call *c, unsigned int size, union request *r)
{
	r->head.size = size;
	return request_send(fd, c, size, r);
}

static union request r;

#define FD_OF(c) ((c)->on_space ? self->fd : self->dev)

TEST_F(space, struct_sizes_never_change)
{
	EXPECT_EQ(48, sizeof(struct arena_info));
	EXPECT_EQ(32, sizeof(struct arena_create));
	EXPECT_EQ(40, sizeof(struct arena_reserve));
	EXPECT_EQ(40, sizeof(struct arena_reclaim));
	EXPECT_EQ(112, sizeof(struct arena_stat));
	EXPECT_EQ(88, sizeof(struct arena_space_stat));
	EXPECT_EQ(32, sizeof(struct arena_trim));
	EXPECT_EQ(32, sizeof(struct arena_populate));
	EXPECT_EQ(32, sizeof(struct arena_notice));
}

TEST_F(space, exact_size_is_accepted)
{
	FOR_EACH_CALL(c) {
		request_init(&r, c);
		EXPECT_EQ(0, request_send(FD_OF(c), c, c->size, &r)) TH_LOG("%s", c->name);
	}
}

TEST_F(space, info_describes_the_module)
{
	struct arena_info info = module_info(self->dev);

	EXPECT_EQ(sizeof(info), info.size);
	EXPECT_EQ(ARENA_API_VERSION, info.api_version);
	EXPECT_EQ(ARENA_CHUNK_SHIFT, info.chunk_shift);
	EXPECT_TRUE(info.features & ARENA_FEATURE_KEEP);
	EXPECT_TRUE(info.features & ARENA_FEATURE_PMD);
	EXPECT_TRUE(info.features & ARENA_FEATURE_QUARANTINE);
	/* Not where the module was loaded with shrinker=0: noshrinker.c. */
	EXPECT_TRUE(info.features & ARENA_FEATURE_NOTICE);
	EXPECT_LT(0, info.max_space_chunks);
	EXPECT_LT(0, info.max_user_chunks);
	EXPECT_LT(0, info.max_total_chunks);
}

TEST_F(space, smaller_structs_are_accepted)
{
	FOR_EACH_CALL(c) {
		for (unsigned int size = c->min_size; size < c->size; size += 8) {
			request_init(&r, c);
			memset(r.bytes + size, CANARY, TAIL_BYTES);
			EXPECT_EQ(0, request_send_sized(FD_OF(c), c, size, &r))
				TH_LOG("%s with %u bytes", c->name, size);
			for (unsigned int i = size; i < size + TAIL_BYTES; i++) {
				ASSERT_EQ(CANARY, r.bytes[i])
					TH_LOG("%s with %u bytes wrote byte %u", c->name, size, i);
			}
		}
	}
}

TEST_F(space, larger_structs_with_zero_tail_are_accepted)
{
	FOR_EACH_CALL(c) {
		request_init(&r, c);
		EXPECT_EQ(0, request_send_sized(FD_OF(c), c, c->size + TAIL_BYTES, &r))
			TH_LOG("%s", c->name);
		for (unsigned int i = c->size; i < c->size + TAIL_BYTES; i++) {
			ASSERT_EQ(0, r.bytes[i]) TH_LOG("%s wrote byte %u", c->name, i);
		}
	}
}

TEST_F(space, larger_structs_with_other_tail_are_refused)
{
	FOR_EACH_CALL(c) {
		for (unsigned int i = c->size; i < c->size + TAIL_BYTES; i++) {
			request_init(&r, c);
			r.bytes[i] = 1;
			EXPECT_EQ(E2BIG, request_send_sized(FD_OF(c), c, c->size + TAIL_BYTES, &r))
				TH_LOG("%s, byte %u", c->name, i);
		}
	}
}

TEST_F(space, too_small_structs_are_refused)
{
	FOR_EACH_CALL(c) {
		for (unsigned int size = 0; size < ARENA_MIN_STRUCT_BYTES; size++) {
			request_init(&r, c);
			EXPECT_EQ(EINVAL, request_send_sized(FD_OF(c), c, size, &r))
				TH_LOG("%s with %u bytes", c->name, size);
		}
	}
}

TEST_F(space, largest_encodable_size_is_safe)
{
	FOR_EACH_CALL(c) {
		int error;

		request_init(&r, c);
		error = request_send_sized(FD_OF(c), c, _IOC_SIZEMASK, &r);
		EXPECT_TRUE(error == 0 || error == E2BIG) TH_LOG("%s: %d", c->name, error);
	}
}

TEST_F(space, size_field_must_match_the_number)
{
	static const int off_by[] = { -8, -1, 1, 8, 4096 };

	FOR_EACH_CALL(c) {
		for (size_t i = 0; i < ARRAY_SIZE(off_by); i++) {
			request_init(&r, c);
			r.head.size = (uint32_t)((int)c->size + off_by[i]);
			EXPECT_EQ(EINVAL, request_send(FD_OF(c), c, c->size, &r))
				TH_LOG("%s, %d bytes off", c->name, off_by[i]);
		}
	}
}

TEST_F(space, bad_pointers_are_refused)
{
	char *page = mmap(NULL, 2 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_EQ(0, munmap(page + PAGE_BYTES, PAGE_BYTES));
	FOR_EACH_CALL(c) {
		EXPECT_EQ(EFAULT, request_send(FD_OF(c), c, c->size, NULL)) TH_LOG("%s", c->name);
		EXPECT_EQ(EFAULT, request_send(FD_OF(c), c, c->size, (void *)~0xfffUL))
			TH_LOG("%s", c->name);
		request_init(&r, c);
		memcpy(page + PAGE_BYTES - c->size + 8, &r, c->size - 8);
		EXPECT_EQ(EFAULT, request_send(FD_OF(c), c, c->size,
					       page + PAGE_BYTES - c->size + 8))
			TH_LOG("%s, struct ends beyond its page", c->name);
	}
}

/* Where the answer cannot be written, nothing is done. */
TEST_F(space, read_only_structs_change_nothing)
{
	union request *page = mmap(NULL, sizeof(r), PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct arena_stat before, after;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_NE(0, populate_address(self->fd));
	before = module_stat(self->dev);
	FOR_EACH_CALL(c) {
		ASSERT_EQ(0, mprotect(page, sizeof(r), PROT_READ | PROT_WRITE));
		request_init(page, c);
		ASSERT_EQ(0, mprotect(page, sizeof(r), PROT_READ));
		/* A call that answers nothing may have a constant argument. */
		EXPECT_EQ(c->out_base < c->out_limit ? EFAULT : 0, request_send(FD_OF(c), c, c->size, page))
			TH_LOG("%s", c->name);
	}
	after = module_stat(self->dev);
	EXPECT_EQ(before.handed_chunks, after.handed_chunks);
	EXPECT_EQ(before.nr_spaces, after.nr_spaces);
}

TEST_F(space, unknown_flags_are_refused)
{
	static const uint32_t known[] = { 0, ARENA_CREATE_FLAGS, ARENA_RESERVE_FLAGS, 3, 0, 0,
					  ARENA_TRIM_FLAGS, 0 };

	FOR_EACH_CALL(c) {
		for (unsigned int bit = 0; bit < 32; bit++) {
			if (known[c - calls] & (1U << bit))
				continue;
			request_init(&r, c);
			r.head.flags |= 1U << bit;
			EXPECT_EQ(EINVAL, request_send(FD_OF(c), c, c->size, &r))
				TH_LOG("%s, bit %u", c->name, bit);
		}
	}
}

TEST_F(space, reclaim_needs_exactly_one_way)
{
	static const uint32_t how[] = { 0, ARENA_RECLAIM_KEEP | ARENA_RECLAIM_ZAP, 4, ~0U };

	for (size_t i = 0; i < ARRAY_SIZE(how); i++) {
		EXPECT_EQ(EINVAL, range_reclaim(self->fd, how[i], 0, CHUNK_BYTES, NULL))
			TH_LOG("how = %#x", how[i]);
	}
}

TEST_F(space, output_fields_must_be_zero)
{
	FOR_EACH_CALL(c) {
		for (unsigned int i = c->out_base; i < c->out_limit; i++) {
			request_init(&r, c);
			r.bytes[i] = 1;
			EXPECT_EQ(EINVAL, request_send(FD_OF(c), c, c->size, &r))
				TH_LOG("%s, byte %u", c->name, i);
		}
	}
}

TEST_F(space, unknown_numbers_are_refused)
{
	struct arena_info info = { .size = sizeof(info) };

	for (unsigned int nr = ARRAY_SIZE(calls); nr < 0x100; nr++) {
		EXPECT_EQ(ENOTTY, call_errno(self->dev, _IOWR(ARENA_IOC_MAGIC, nr, info), &info))
			TH_LOG("number %#x on the device", nr);
		EXPECT_EQ(ENOTTY, call_errno(self->fd, _IOWR(ARENA_IOC_MAGIC, nr, info), &info))
			TH_LOG("number %#x on the space", nr);
	}
	EXPECT_EQ(ENOTTY, call_errno(self->dev, _IOWR(ARENA_IOC_MAGIC + 1, 0, info), &info));
}

/* The direction is part of the number: anything but read and write is somebody else's. */
TEST_F(space, other_directions_are_refused)
{
	struct arena_info info = { .size = sizeof(info) };

	EXPECT_EQ(ENOTTY, call_errno(self->dev, _IO(ARENA_IOC_MAGIC, 0), &info));
	EXPECT_EQ(ENOTTY, call_errno(self->dev, _IOR(ARENA_IOC_MAGIC, 0, info), &info));
	EXPECT_EQ(ENOTTY, call_errno(self->dev, _IOW(ARENA_IOC_MAGIC, 0, info), &info));
}

/* Small numbers belong to the virtual file system, which answers some before the module. */
TEST_F(space, raw_numbers_are_harmless)
{
	struct arena_stat before = module_stat(self->dev), after;
	static char buffer[4096];
	char *map;

	for (unsigned int nr = 0; nr < 0x100; nr++) {
		memset(buffer, 0, sizeof(buffer));
		call_errno(self->dev, nr, buffer);
		call_errno(self->fd, nr, buffer);
	}
	EXPECT_NE(0, call_errno(self->fd, FIFREEZE, buffer));
	after = module_stat(self->dev);
	EXPECT_EQ(before.handed_chunks, after.handed_chunks);
	EXPECT_EQ(before.nr_spaces, after.nr_spaces);
	map = space_map(self->fd, 0, 1);
	ASSERT_NE(MAP_FAILED, map);
	map[0] = 1;
	EXPECT_EQ(0, munmap(map, CHUNK_BYTES));
}

TEST_F(space, create_is_for_the_device_only)
{
	int fd = space_create(self->fd, 1);

	EXPECT_EQ(-1, fd);
	EXPECT_TRUE(errno == ENOTTY || errno == EINVAL) TH_LOG("%m");
}

TEST_F(space, read_only_device_answers_questions_only)
{
	int dev = open(DEVICE, O_RDONLY | O_CLOEXEC);

	ASSERT_LE(0, dev);
	FOR_EACH_CALL(c) {
		/* A question about a space has no answer here: this descriptor is of another one. */
		int expected = c->changes ? EBADF : c->on_space ? EFAULT : 0;

		request_init(&r, c);
		EXPECT_EQ(expected, request_send(dev, c, c->size, &r)) TH_LOG("%s", c->name);
	}
	close(dev);
}

TEST_F(space, read_only_space_answers_questions_only)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP(return, "a space cannot be reopened: %m");
	EXPECT_EQ(EBADF, space_reserve(fd, 0, 1, NULL));
	EXPECT_EQ(EBADF, space_keep(fd, 0, 1, NULL));
	EXPECT_EQ(EBADF, space_zap(fd, 0, 1, NULL));
	EXPECT_NE(0, fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       (off_t)CHUNK_BYTES));
	EXPECT_LE(1, module_stat(fd).nr_spaces);
	close(fd);
}

TEST_F(space, questions_work_on_a_space)
{
	EXPECT_EQ(ARENA_API_VERSION, module_info(self->fd).api_version);
	EXPECT_LE(1, module_stat(self->fd).nr_spaces);
	EXPECT_NE(0, space_stat(self->fd).id);
}

TEST_HARNESS_MAIN
