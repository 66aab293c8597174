// SPDX-License-Identifier: MIT
/*
 * Limits: per space, per user, in total. Whoever reaches one is told so by ENOMEM where he asks,
 * never when he touches, and can go on after giving something back.
 *
 * Models greedy and broken programs beside others that want to go on. Chunks that cannot be had
 * because the machine has none left are modeled by a reservation larger than memory.
 */
#include "common.h"
#include <sys/stat.h>
#include <sys/uio.h>

#define TESTER_UID 1000

/* Sets a parameter for as long as the test runs; the teardown's part is done by restore(). */
struct saved_parameter {
	const char *name;
	long long value;
};

static struct saved_parameter lower_parameter(const char *name, long long value)
{
	struct saved_parameter saved = { .name = name, .value = parameter_get(name) };

	if (parameter_set(name, value))
		fprintf(stderr, "# cannot set %s to %lld: %m\n", name, value);
	return saved;
}

static void restore(struct saved_parameter saved)
{
	parameter_set(saved.name, saved.value);
}

TEST_F(space, parameters_are_reported)
{
	struct arena_info info = module_info(self->dev);

	EXPECT_EQ(info.max_space_chunks, (uint64_t)parameter_get("max_space_chunks"));
	EXPECT_EQ(info.max_user_chunks, (uint64_t)parameter_get("max_user_chunks"));
	EXPECT_EQ(info.max_total_chunks, (uint64_t)parameter_get("max_total_chunks"));
}

/* Half of memory by default: what nobody's RSS shows must not be able to fill the machine. */
TEST_F(space, total_is_half_of_memory_by_default)
{
	long total_kb = meminfo_kb("MemTotal");
	long cap_kb = (long)parameter_get("max_total_chunks") * 2048;

	EXPECT_LE(cap_kb, total_kb / 2 + 4096);
	EXPECT_LE(total_kb / 4, cap_kb);
}

TEST_F(space, space_cap)
{
	int fd = space_create_full(self->dev, 32, 8, 0);
	char *map;

	fault_catch();
	ASSERT_LE(0, fd);
	EXPECT_EQ(MAP_FAILED, space_map(fd, 0, 9));
	EXPECT_EQ(ENOMEM, errno);
	map = space_map(fd, 0, 8);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(ENOMEM, space_reserve(fd, 8, 1, NULL));
	EXPECT_EQ(8, fault_count(map, 8, 0)) TH_LOG("what was reserved can be touched");
	EXPECT_EQ(0, space_reserve(fd, 0, 8, NULL)) TH_LOG("this asks for nothing new");
	ASSERT_EQ(0, space_zap(fd, 0, 1, NULL));
	EXPECT_EQ(0, space_reserve(fd, 8, 1, NULL));
	EXPECT_EQ(ENOMEM, space_reserve(fd, 0, 1, NULL));
	close(fd);
}

TEST_F(space, user_cap)
{
	struct saved_parameter saved = lower_parameter("max_user_chunks", 16);
	int other = space_create(self->dev, 32);
	char *map = space_map(self->fd, 0, 10);

	fault_catch();
	EXPECT_EQ(16, module_info(self->dev).max_user_chunks);
	ASSERT_LE(0, other);
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(ENOMEM, space_reserve(other, 0, 7, NULL)) TH_LOG("both spaces count");
	EXPECT_EQ(0, space_reserve(other, 0, 6, NULL));
	EXPECT_EQ(MAP_FAILED, space_map(other, 6, 1));
	EXPECT_EQ(ENOMEM, errno);
	EXPECT_EQ(10, fault_count(map, 10, 0));
	ASSERT_EQ(0, space_keep(self->fd, 0, 10, NULL));
	EXPECT_EQ(ENOMEM, space_reserve(other, 6, 1, NULL)) TH_LOG("kept ones stay charged");
	ASSERT_EQ(0, space_zap(self->fd, 0, 10, NULL));
	EXPECT_EQ(0, space_reserve(other, 6, 10, NULL));
	ASSERT_EQ(0, close(other));
	EXPECT_TRUE(handed_settles(self->dev, 0));
	EXPECT_EQ(0, space_reserve(self->fd, 0, 16, NULL));
	restore(saved);
}

static int pipe_first_bytes(int to, char *map, unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		struct iovec byte = { .iov_base = map + i * CHUNK_BYTES, .iov_len = 1 };

		map[i * CHUNK_BYTES] = 1;
		if (vmsplice(to, &byte, 1, 0) != 1)
			return errno;
	}
	return 0;
}

/* What somebody else still refers to is its user's until that reference goes. */
TEST_F(space, quarantined_chunks_stay_charged)
{
	struct saved_parameter saved = lower_parameter("max_user_chunks", 8);
	char *map = space_map(self->fd, 0, 8);
	struct arena_reclaim zapped;
	int pipes[2];

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe2(pipes, O_CLOEXEC));
	ASSERT_EQ(0, pipe_first_bytes(pipes[1], map, 8));
	ASSERT_EQ(0, space_zap(self->fd, 0, 8, &zapped));
	EXPECT_EQ(8, zapped.nr_quarantined);
	EXPECT_EQ(0, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(ENOMEM, space_reserve(self->fd, 8, 1, NULL));
	close(pipes[0]);
	close(pipes[1]);
	EXPECT_TRUE(WAIT_UNTIL(!space_reserve(self->fd, 8, 8, NULL), SETTLE_MS));
	EXPECT_EQ(ENOMEM, space_reserve(self->fd, 16, 1, NULL)) TH_LOG("no more than the cap");
	restore(saved);
}

TEST_F(space, total_cap)
{
	struct saved_parameter saved = lower_parameter("max_total_chunks", 12);
	char *map = space_map(self->fd, 0, 12);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(ENOMEM, space_reserve(self->fd, 12, 1, NULL));
	EXPECT_EQ(12, fault_count(map, 12, 0));
	ASSERT_EQ(0, space_zap(self->fd, 0, 12, NULL));
	EXPECT_EQ(0, space_reserve(self->fd, 20, 12, NULL));
	restore(saved);
	EXPECT_EQ(0, space_reserve(self->fd, 0, 16, NULL));
}

/* Lowering a cap below what is in use takes nothing away; it refuses more. */
TEST_F(space, lowered_cap_takes_nothing_away)
{
	char *map = space_map(self->fd, 0, 16);
	struct saved_parameter saved = lower_parameter("max_user_chunks", 4);

	fault_catch();
	ASSERT_NE(MAP_FAILED, map);
	EXPECT_EQ(16, fault_count(map, 16, 0));
	EXPECT_EQ(ENOMEM, space_reserve(self->fd, 16, 1, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 0, 13, NULL));
	EXPECT_EQ(0, space_reserve(self->fd, 16, 1, NULL));
	EXPECT_EQ(ENOMEM, space_reserve(self->fd, 17, 1, NULL));
	restore(saved);
}

TEST_F(space, largest_space_is_a_parameter)
{
	struct saved_parameter saved = lower_parameter("max_space_chunks", 64);

	EXPECT_EQ(-1, space_create(self->dev, 65));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, space_reserve(self->fd, 200, 1, NULL)) TH_LOG("older spaces stay as they are");
	restore(saved);
}

static int reserve_as(int dev, uid_t uid, unsigned int nr)
{
	int fd, error;

	if (setresuid(uid, uid, uid))
		return 255;
	fd = space_create(dev, 64);
	error = fd < 0 ? errno : space_reserve(fd, 0, nr, NULL);
	if (!error && space_stat(dev).uid != uid)
		return 254;
	return error;
}

TEST_F(space, users_do_not_eat_each_other)
{
	struct saved_parameter saved = lower_parameter("max_user_chunks", 16);

	ASSERT_EQ(0, space_reserve(self->fd, 0, 16, NULL));
	EXPECT_EQ(ENOMEM, space_reserve(self->fd, 16, 1, NULL));
	EXPECT_EQ(0, IN_CHILD(reserve_as(self->dev, TESTER_UID, 16)));
	EXPECT_EQ(ENOMEM, IN_CHILD(reserve_as(self->dev, TESTER_UID, 17)));
	EXPECT_TRUE(handed_settles(self->dev, 16));
	restore(saved);
}

/* The user who created the space pays, whoever reserves in it. */
static int reserve_in_as(int fd, uid_t uid, unsigned int nr)
{
	if (setresuid(uid, uid, uid))
		return 255;
	return space_reserve(fd, 0, nr, NULL);
}

TEST_F(space, creator_pays)
{
	struct saved_parameter saved = lower_parameter("max_user_chunks", 8);

	EXPECT_EQ(ENOMEM, IN_CHILD(reserve_in_as(self->fd, TESTER_UID, 9)));
	EXPECT_EQ(0, IN_CHILD(reserve_in_as(self->fd, TESTER_UID, 8)));
	EXPECT_EQ(0, IN_CHILD(reserve_as(self->dev, TESTER_UID, 8)));
	EXPECT_EQ(ENOMEM, space_reserve(self->fd, 8, 1, NULL));
	restore(saved);
}

/* Monitors see their own spaces only, unless they may see all. */
static int spaces_seen_as(int dev, uid_t uid)
{
	if (setresuid(uid, uid, uid))
		return 255;
	if (space_stat_of(dev, 0).id)
		return 1;
	return space_create(dev, 1) >= 0 && space_stat_of(dev, 0).uid == uid ? 0 : 2;
}

TEST_F(space, others_spaces_are_invisible)
{
	EXPECT_NE(0, space_stat_of(self->dev, 0).id);
	EXPECT_EQ(0, IN_CHILD(spaces_seen_as(self->dev, TESTER_UID)));
}

/*
 * As much as the machine has, which is more than is free: refused in finite time, nobody is killed,
 * and nothing is left behind.
 */
TEST_F_TIMEOUT(space, more_than_memory, 60)
{
	long long ram_chunks = meminfo_kb("MemTotal") / 2048;
	struct saved_parameter total = lower_parameter("max_total_chunks", ram_chunks);
	struct saved_parameter user = lower_parameter("max_user_chunks", ram_chunks);
	int fd = space_create(self->dev, (uint64_t)ram_chunks);
	int64_t start_ms = now_ms();

	ASSERT_LE(0, fd);
	EXPECT_EQ((uint64_t)ram_chunks, module_info(self->dev).max_total_chunks);
	EXPECT_EQ(ENOMEM, space_reserve(fd, 0, (uint64_t)ram_chunks, NULL));
	TH_LOG("refused %lld chunks in %" PRId64 " ms", ram_chunks, now_ms() - start_ms);
	EXPECT_EQ(0, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(0, space_reserve(fd, 0, 8, NULL)) TH_LOG("it works again");
	close(fd);
	restore(user);
	restore(total);
}

TEST_F(space, caps_cannot_exceed_memory)
{
	long long ram_chunks = meminfo_kb("MemTotal") / 2048;

	EXPECT_EQ(-1, parameter_set("max_total_chunks", ram_chunks + 1));
	EXPECT_EQ(-1, parameter_set("max_user_chunks", ram_chunks + 1));
	EXPECT_EQ(-1, parameter_set("max_total_chunks", 0));
	EXPECT_EQ(-1, parameter_set("max_space_chunks", -1));
}

TEST_F(space, device_is_for_its_group)
{
	struct stat s;

	ASSERT_EQ(0, stat(DEVICE, &s));
	EXPECT_EQ(0660, s.st_mode & 07777);
	EXPECT_TRUE(S_ISCHR(s.st_mode));
}

TEST_HARNESS_MAIN
