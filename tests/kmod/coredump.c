// SPDX-License-Identifier: MIT
/*
 * The core file of a program that crashed: its heap is in it, and writing it takes no memory.
 *
 * Models a large program that crashes on a busy machine. What it has touched must be found by the
 * debugger; what it only reserved, and what it never reserved, is a hole.
 */
#include "common.h"
#include <elf.h>
#include <sys/resource.h>

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"
#define CORE_FILE	"/tmp/arena-core"
#define NR_SLOTS	4
#define TEXT		0x0c07edabcdef0001ULL
/* /proc/PID/coredump_filter: the default, and with bit 3, shared mappings of files that have a name. */
#define WITHOUT_FILES	"0x33"
#define WITH_FILES	"0x3b"

static char old_pattern[256];

static void dump_to_file(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };

	file_read_text(CORE_PATTERN, old_pattern, sizeof(old_pattern));
	file_write_text(CORE_PATTERN, CORE_FILE);
	setrlimit(RLIMIT_CORE, &unlimited);
}

static void dump_end(void)
{
	file_write_text(CORE_PATTERN, old_pattern);
	unlink(CORE_FILE);
}

/*
 * Slot 0 is full of text, slot 1 is touched by one word, slot 2 is reserved only, slot 3 is not
 * even that. In the other space, which takes chunks by touch, only slot 1 is touched.
 */
static void crash(int fd, int on_touch, char *const *at)
{
	char *map = mmap(at[0], NR_SLOTS * CHUNK_BYTES, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd, 0);
	char *touched = mmap(at[1], 2 * CHUNK_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			     on_touch, 0);

	if (map == MAP_FAILED || touched == MAP_FAILED || space_reserve(fd, 0, 3, NULL))
		_exit(1);
	fill(map, CHUNK_BYTES, TEXT);
	*(uint64_t *)(void *)(map + CHUNK_BYTES + 8) = TEXT + 1;
	*(uint64_t *)(void *)(touched + CHUNK_BYTES) = TEXT + 2;
	abort();
}

static int crash_in_child(int fd, int on_touch, char *const *at)
{
	pid_t child = fork();

	if (!child)
		crash(fd, on_touch, at);
	return child_status(child);
}

/* Where `address` lies in the core file, or -1 if it does not. */
static off_t core_find(int core, const char *address)
{
	Elf64_Ehdr head;
	Elf64_Phdr part;

	if (pread(core, &head, sizeof(head), 0) != sizeof(head))
		return -1;
	for (unsigned int i = 0; i < head.e_phnum; i++) {
		if (pread(core, &part, sizeof(part),
			  (off_t)(head.e_phoff + i * sizeof(part))) != sizeof(part))
			return -1;
		if (part.p_type == PT_LOAD && part.p_vaddr <= (uintptr_t)address &&
		    (uintptr_t)address < part.p_vaddr + part.p_filesz)
			return (off_t)(part.p_offset + (uintptr_t)address - part.p_vaddr);
	}
	return -1;
}

/* The word of the program at `address`; 1 if the core file does not hold it. */
static uint64_t core_word(int core, const char *address)
{
	off_t at = core_find(core, address);
	uint64_t word;

	return at < 0 || pread(core, &word, sizeof(word), at) != sizeof(word) ? 1 : word;
}

/* Whether nothing was written to the core file for `address`. */
static bool core_has_hole(int core, const char *address)
{
	off_t at = core_find(core, address);

	return at >= 0 && lseek(core, at, SEEK_HOLE) == at;
}

/* Aligned addresses that both processes know, because the parent keeps them free. */
static void choose_addresses(char **at)
{
	char *area = mmap(NULL, 16 * CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	at[0] = (char *)(((uintptr_t)area + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1));
	at[1] = at[0] + 8 * CHUNK_BYTES;
}

/* The space with `nr_slots` slots, which none else has; or one with as many chunks as can be. */
static struct arena_space_stat space_by_length(int dev, uint64_t nr_slots)
{
	struct arena_space_stat next = { .id = 0 };

	do {
		next = (struct arena_space_stat){ .size = sizeof(next), .after_id = next.id };
		if (ioctl(dev, ARENA_IOC_SPACE, &next) < 0)
			return (struct arena_space_stat){ .reserved_chunks = UINT64_MAX };
	} while (next.nr_slots != nr_slots);
	return next;
}

TEST_F(space, core_holds_the_heap_and_populates_no_hole)
{
	int on_touch = space_create_full(self->dev, 7, 0, ARENA_CREATE_ON_TOUCH), core;
	int plain = space_create(self->dev, 9);
	char *at[2];

	ASSERT_LE(0, on_touch);
	ASSERT_LE(0, plain);
	choose_addresses(at);
	dump_to_file();
	ASSERT_EQ(128 + SIGABRT, crash_in_child(plain, on_touch, at));
	core = open(CORE_FILE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, core) TH_LOG("no core file: %m");
	for (size_t i = 0; i < CHUNK_BYTES; i += PAGE_BYTES / 2)
		ASSERT_EQ(TEXT, core_word(core, at[0] + i));
	EXPECT_EQ(0, core_word(core, at[0] + CHUNK_BYTES));
	EXPECT_EQ(TEXT + 1, core_word(core, at[0] + CHUNK_BYTES + 8));
	EXPECT_EQ(0, core_word(core, at[0] + 2 * CHUNK_BYTES));
	EXPECT_EQ(0, core_word(core, at[0] + 3 * CHUNK_BYTES));
	EXPECT_EQ(0, core_word(core, at[1]));
	EXPECT_EQ(TEXT + 2, core_word(core, at[1] + CHUNK_BYTES));
	close(core);
	dump_end();

	EXPECT_EQ(1, space_by_length(self->dev, 7).reserved_chunks) TH_LOG("the dump took a chunk for the hole");
	EXPECT_EQ(3, space_by_length(self->dev, 9).reserved_chunks);
	EXPECT_EQ(2, space_by_length(self->dev, 9).live_chunks) TH_LOG("the dump touched a reserved chunk");
	close(on_touch);
	close(plain);
}

/* In a child that has inherited slots 0 and 1 full of text, and slot 2 untouched; slot 3 is a hole. */
static int crash_with_copies(char *map)
{
	pid_t child = fork();

	if (!child) {
		*(uint64_t *)(void *)(map + CHUNK_BYTES + 8) = TEXT + 1;
		abort();
	}
	return child_status(child);
}

TEST_F(space, core_of_a_child_with_copies)
{
	int fd = space_create_full(self->dev, 5, 0, ARENA_CREATE_FORK_COW), core;
	char *map = space_map_bare(fd, 0, NR_SLOTS);

	ASSERT_NE(MAP_FAILED, map);
	ASSERT_EQ(0, space_reserve(fd, 0, 3, NULL));
	fill(map, 2 * CHUNK_BYTES, TEXT);
	dump_to_file();
	ASSERT_EQ(128 + SIGABRT, crash_with_copies(map));
	core = open(CORE_FILE, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, core) TH_LOG("no core file: %m");
	for (size_t i = 0; i < CHUNK_BYTES; i += PAGE_BYTES / 2)
		ASSERT_EQ(TEXT, core_word(core, map + i));
	EXPECT_EQ(TEXT, core_word(core, map + CHUNK_BYTES));
	EXPECT_EQ(TEXT + 1, core_word(core, map + CHUNK_BYTES + 8)) TH_LOG("the child's own write");
	EXPECT_FALSE(core_has_hole(core, map));
	EXPECT_TRUE(core_has_hole(core, map + 2 * CHUNK_BYTES)) TH_LOG("the dump touched a reserved chunk");
	EXPECT_TRUE(core_has_hole(core, map + 3 * CHUNK_BYTES));
	close(core);
	dump_end();

	EXPECT_TRUE(all_words(map, 2 * CHUNK_BYTES, TEXT)) TH_LOG("it is the child's write alone");
	EXPECT_EQ(3, space_by_length(self->dev, 5).reserved_chunks);
	EXPECT_EQ(2, space_by_length(self->dev, 5).live_chunks);
	fault_catch();
	EXPECT_EQ(SIGBUS, fault_touch(map + 3 * CHUNK_BYTES));
	EXPECT_EQ(0, munmap(map, NR_SLOTS * CHUNK_BYTES));
	close(fd);
}

static int crash_with_filter(int fd, const char *filter)
{
	char *map = space_map(fd, 0, 1);

	if (map == MAP_FAILED || file_write_text("/proc/self/coredump_filter", filter))
		return 1;
	fill(map, CHUNK_BYTES, TEXT);
	abort();
}

static bool file_has_word(const char *path, uint64_t word)
{
	static uint64_t buffer[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool found = false;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n / 8; i++)
			found |= buffer[i] == word;
	close(fd);
	return found;
}

/* Whether the core file of a crash has the text: 1 or 0; -1 if there was none. */
static int core_has_text(int fd, const char *filter)
{
	unlink(CORE_FILE);
	if (IN_CHILD(crash_with_filter(fd, filter)) != 128 + SIGABRT || access(CORE_FILE, R_OK))
		return -1;
	return file_has_word(CORE_FILE, TEXT);
}

/* The device has a name in a folder, so its own space is a file's mapping to the core: bit 3. */
TEST_F(space, core_of_the_devices_own_space)
{
	dump_to_file();
	EXPECT_EQ(0, core_has_text(self->dev, WITHOUT_FILES));
	EXPECT_EQ(1, core_has_text(self->dev, WITH_FILES));
	EXPECT_EQ(1, core_has_text(self->fd, WITHOUT_FILES)) TH_LOG("spaces of CREATE have no name");
	dump_end();
}

static int crash_without_dump(int fd)
{
	char *map = space_map(fd, 0, 1);

	if (map == MAP_FAILED || madvise(map, CHUNK_BYTES, MADV_DONTDUMP))
		return 1;
	fill(map, CHUNK_BYTES, TEXT);
	abort();
}

/* A program with secrets says so, and is obeyed. */
TEST_F(space, dontdump_is_obeyed)
{
	dump_to_file();
	ASSERT_EQ(128 + SIGABRT, IN_CHILD(crash_without_dump(self->fd)));
	ASSERT_EQ(0, access(CORE_FILE, R_OK));
	EXPECT_FALSE(file_has_word(CORE_FILE, TEXT));
	dump_end();
}

TEST_HARNESS_MAIN
