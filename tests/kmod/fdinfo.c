// SPDX-License-Identifier: MIT
/*
 * What people and scripts read instead of asking by ioctl: /proc/PID/fdinfo of a space, and one
 * value per file in sysfs.
 *
 * Models a monitor. The figures must be those of ARENA_IOC_SPACE and ARENA_IOC_STAT, with a unit
 * in each line or in each name.
 */
#include "common.h"
#include <dirent.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/uio.h>

#define SYSFS "/sys/class/misc/arena/"

/*
 * The number after "key:" in our fdinfo of `fd`, with its unit in `unit`;
 * UINT64_MAX when it is not there.
 */
static uint64_t fdinfo_value(int fd, const char *key, char unit[16])
{
	char path[64], line[256], name[64];
	uint64_t value, found = UINT64_MAX;
	FILE *fdinfo;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	fdinfo = fopen(path, "re");
	while (fdinfo && fgets(line, sizeof(line), fdinfo)) {
		char text[16] = "";

		if (sscanf(line, "%63[^:]: %" SCNu64 " %15s", name, &value, text) >= 2 &&
		    !strcmp(name, key)) {
			found = value;
			strcpy(unit, text);
		}
	}
	if (fdinfo)
		fclose(fdinfo);
	return found;
}

static void check_line(struct __test_metadata *_metadata, int fd, const char *key,
		       uint64_t expected)
{
	char unit[16] = "";

	EXPECT_EQ(expected, fdinfo_value(fd, key, unit)) TH_LOG("%s", key);
	EXPECT_STREQ("chunks", unit) TH_LOG("%s", key);
}

/* Chunks on all nodes; the lines are "arena-nodeN: C chunks". */
static uint64_t fdinfo_on_nodes(int fd)
{
	uint64_t sum = 0, value;
	char key[32], unit[16];

	for (unsigned int node = 0; node < 64; node++) {
		snprintf(key, sizeof(key), "arena-node%u", node);
		value = fdinfo_value(fd, key, unit);
		if (value != UINT64_MAX)
			sum += value;
	}
	return sum;
}

static void check_space(struct __test_metadata *_metadata, int dev, int fd)
{
	struct arena_space_stat s = space_stat(dev);
	char unit[16];

	EXPECT_EQ(s.id, fdinfo_value(fd, "arena-space-id", unit));
	check_line(_metadata, fd, "arena-slots", s.nr_slots);
	check_line(_metadata, fd, "arena-reserved", s.reserved_chunks);
	check_line(_metadata, fd, "arena-live", s.live_chunks);
	check_line(_metadata, fd, "arena-kept", s.kept_chunks);
	check_line(_metadata, fd, "arena-quarantined", s.quarantined_chunks);
	EXPECT_EQ(s.reserved_chunks, fdinfo_on_nodes(fd));
}

TEST_F(space, fdinfo_of_an_empty_space)
{
	check_space(_metadata, self->dev, self->fd);
}

TEST_F(space, fdinfo_follows)
{
	char *map = space_map(self->fd, 0, 12), unit[16];

	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < 5; i++)
		map[i * CHUNK_BYTES] = 1;
	ASSERT_EQ(0, space_keep(self->fd, 3, 4, NULL));
	check_space(_metadata, self->dev, self->fd);
	EXPECT_EQ(12, fdinfo_value(self->fd, "arena-reserved", unit));
	EXPECT_EQ(5, fdinfo_value(self->fd, "arena-live", unit));
	EXPECT_EQ(4, fdinfo_value(self->fd, "arena-kept", unit));
	ASSERT_EQ(0, space_zap(self->fd, 0, 12, NULL));
	check_space(_metadata, self->dev, self->fd);
	EXPECT_EQ(0, fdinfo_value(self->fd, "arena-reserved", unit));
}

/* A chunk that a pipe refers to is out of the space, and still shown. */
TEST_F(space, fdinfo_shows_what_is_held_back)
{
	char *map = space_map(self->fd, 0, 3), unit[16];
	struct iovec page = { .iov_base = map + CHUNK_BYTES, .iov_len = PAGE_BYTES };
	int ends[2];

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, pipe(ends));
	fill(map, 3 * CHUNK_BYTES, 1);
	ASSERT_EQ((ssize_t)PAGE_BYTES, vmsplice(ends[1], &page, 1, 0));
	ASSERT_EQ(0, space_zap(self->fd, 0, 3, NULL));
	check_space(_metadata, self->dev, self->fd);
	EXPECT_EQ(1, fdinfo_value(self->fd, "arena-quarantined", unit));
	EXPECT_EQ(0, fdinfo_value(self->fd, "arena-reserved", unit));
	close(ends[0]);
	close(ends[1]);
	EXPECT_TRUE(WAIT_UNTIL(!fdinfo_value(self->fd, "arena-quarantined", unit), SETTLE_MS));
}

TEST_F(space, fdinfo_of_the_device_is_its_own_space)
{
	int dev = open(DEVICE, O_RDWR | O_CLOEXEC);
	char unit[16];

	ASSERT_LE(0, dev);
	ASSERT_EQ(0, space_reserve(dev, 0, 3, NULL));
	EXPECT_EQ(3, fdinfo_value(dev, "arena-reserved", unit));
	EXPECT_EQ(0, fdinfo_value(self->fd, "arena-reserved", unit));
	close(dev);
}

#define DEBUGFS "/sys/kernel/debug/arena/"

/* The row of a space in debugfs has the same figures, in the order of its head. */
TEST_F(space, debugfs_has_a_row_for_each_space)
{
	char text[8192], row[128];
	struct arena_space_stat s;
	struct stat file;

	ASSERT_EQ(0, space_reserve(self->fd, 0, 7, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, 2, NULL));
	s = space_stat(self->dev);
	snprintf(row, sizeof(row), "\n%llu %u %u 0x0 %llu 7 0 2 0 ", s.id, s.uid, s.pid,
		 s.nr_slots);
	ASSERT_EQ(0, file_read_text(DEBUGFS "spaces", text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, row)) TH_LOG("no%sin\n%s", row, text);
	ASSERT_EQ(0, file_read_text(DEBUGFS "notices", text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "kept_chunks level wanted_chunks grace_ns\n"));
	ASSERT_EQ(0, stat(DEBUGFS "spaces", &file));
	EXPECT_EQ(0400, file.st_mode & 07777);
}

/* What a process calls itself does not break the table. */
TEST_F(space, debugfs_keeps_its_rows_whole)
{
	char text[8192];
	int fd;

	ASSERT_EQ(0, file_write_text("/proc/self/comm", "a b\n9 9"));
	fd = space_create(self->dev, 1);
	ASSERT_LE(0, fd);
	ASSERT_EQ(0, file_read_text(DEBUGFS "spaces", text, sizeof(text)));
	EXPECT_NE(NULL, strstr(text, "a\\040b\\0129\\0409\n")) TH_LOG("%s", text);
	close(fd);
}

/* The creator is shown by pid and name. */
TEST_F(space, space_names_its_creator)
{
	struct arena_space_stat s = space_stat(self->dev);
	char comm[32];

	ASSERT_EQ(0, file_read_text("/proc/self/comm", comm, sizeof(comm)));
	comm[strcspn(comm, "\n")] = '\0';
	EXPECT_STREQ(comm, s.comm);
	EXPECT_EQ(getpid(), (pid_t)s.pid);
	EXPECT_EQ(getuid(), s.uid);
	EXPECT_EQ(SPACE_SLOTS, s.nr_slots);
}

struct field {
	const char *name;
	size_t offset;
};

#define FIELD(name) { #name, offsetof(struct arena_stat, name) }

static const struct field fields[] = {
	FIELD(taken_chunks), FIELD(returned_chunks), FIELD(handed_chunks), FIELD(kept_chunks),
	FIELD(clean_chunks), FIELD(dirty_chunks), FIELD(quarantined_chunks),
	FIELD(discarded_chunks), FIELD(cleared_chunks), FIELD(clearing_ns),
	FIELD(cleared_at_touch_chunks), FIELD(fault_count), FIELD(nr_spaces),
};

static uint64_t field_value(const struct arena_stat *s, const struct field *f)
{
	return *(const uint64_t *)(const void *)((const char *)s + f->offset);
}

static bool sysfs_agrees(int dev, const struct field *f)
{
	char path[128], text[64];
	struct arena_stat before = module_stat(dev), after;
	uint64_t value;

	snprintf(path, sizeof(path), SYSFS "%s", f->name);
	if (file_read_text(path, text, sizeof(text)) || text[strlen(text) - 1] != '\n')
		return false;
	after = module_stat(dev);
	value = strtoull(text, NULL, 10);
	return field_value(&before, f) == value && value == field_value(&after, f);
}

TEST_F(space, sysfs_agrees_with_stat)
{
	ASSERT_EQ(0, space_reserve(self->fd, 0, 9, NULL));
	ASSERT_EQ(0, space_keep(self->fd, 0, 4, NULL));
	ASSERT_EQ(0, space_zap(self->fd, 7, 2, NULL));
	for (const struct field *f = fields; f < fields + ARRAY_SIZE(fields); f++) {
		EXPECT_TRUE(WAIT_UNTIL(sysfs_agrees(self->dev, f), SETTLE_MS))
			TH_LOG("%s", f->name);
	}
	EXPECT_EQ(7, module_stat(self->dev).handed_chunks);
	EXPECT_EQ(4, module_stat(self->dev).kept_chunks);
}

static bool ends_in(const char *name, const char *end)
{
	size_t length = strlen(name), end_length = strlen(end);

	return length > end_length && !strcmp(name + length - end_length, end);
}

/* What the kernel puts beside the module's files, for every device. */
static bool is_of_the_kernel(const char *name)
{
	return !strcmp(name, "dev") || !strcmp(name, "uevent") || name[0] == '.';
}

/* One number, one line, and a name that says what it counts. */
static void check_file(struct __test_metadata *_metadata, const char *folder, const char *name)
{
	char path[512], text[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	ASSERT_EQ(0, file_read_text(path, text, sizeof(text))) TH_LOG("%s: %m", path);
	EXPECT_LT(0, strspn(text, "0123456789")) TH_LOG("%s: %s", path, text);
	EXPECT_STREQ("\n", text + strspn(text, "0123456789")) TH_LOG("%s: %s", path, text);
	EXPECT_TRUE(ends_in(name, "_chunks") || ends_in(name, "_ns") || ends_in(name, "_count") ||
		    !strncmp(name, "nr_", 3)) TH_LOG("%s: no unit", path);
}

/* How many files of the module `folder` holds, each one checked. */
static unsigned int check_folder(struct __test_metadata *_metadata, const char *folder)
{
	DIR *listing = opendir(folder);
	unsigned int count = 0;
	struct dirent *entry;

	while (listing && (entry = readdir(listing))) {
		if (entry->d_type != DT_REG || is_of_the_kernel(entry->d_name))
			continue;
		check_file(_metadata, folder, entry->d_name);
		count++;
	}
	if (listing)
		closedir(listing);
	return count;
}

TEST_F(space, sysfs_has_one_value_in_each_file)
{
	const unsigned int of_module = 14, of_node = 6;
	unsigned int node = 0;
	char folder[64];

	ASSERT_EQ(0, space_reserve(self->fd, 0, 9, NULL));
	EXPECT_EQ(of_module, check_folder(_metadata, SYSFS));
	do {
		snprintf(folder, sizeof(folder), SYSFS "node%u", node);
		EXPECT_EQ(of_node, check_folder(_metadata, folder)) TH_LOG("%s", folder);
		snprintf(folder, sizeof(folder), SYSFS "node%u", ++node);
	} while (!access(folder, X_OK));
}

TEST_F(space, faults_are_counted)
{
	uint64_t faults = module_stat(self->dev).fault_count;
	char *map = space_map(self->fd, 0, 8);

	ASSERT_NE(MAP_FAILED, map);
	for (unsigned int i = 0; i < 8; i++)
		map[i * CHUNK_BYTES] = 1;
	EXPECT_EQ(faults + 8, module_stat(self->dev).fault_count);
	map[CHUNK_BYTES + 4096] = 1;
	EXPECT_EQ(faults + 8, module_stat(self->dev).fault_count) TH_LOG("one fault per chunk");
}

/* Idle dirty chunks are cleared in the background, and the time for that is shown. */
TEST_F(space, clearing_happens_and_is_accounted)
{
	struct arena_stat before, after;
	char *map = space_map(self->fd, 0, 16);

	ASSERT_NE(MAP_FAILED, map);
	fill(map, 16 * CHUNK_BYTES, 1);
	before = module_stat(self->dev);
	ASSERT_EQ(0, space_zap(self->fd, 0, 16, NULL));
	EXPECT_TRUE(WAIT_UNTIL(module_stat(self->dev).dirty_chunks == 0, 5 * SETTLE_MS));
	after = module_stat(self->dev);
	TH_LOG("%llu chunks cleared in %llu us, %llu idle",
	       after.cleared_chunks - before.cleared_chunks,
	       (after.clearing_ns - before.clearing_ns) / 1000, after.clean_chunks);
	EXPECT_LT(0, after.cleared_chunks - before.cleared_chunks);
	EXPECT_LT(before.clearing_ns, after.clearing_ns);
}

TEST_HARNESS_MAIN
