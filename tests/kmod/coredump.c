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

static int crash_without_dump(int fd)
{
	char *map = space_map(fd, 0, 1);

	if (map == MAP_FAILED || madvise(map, CHUNK_BYTES, MADV_DONTDUMP))
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
