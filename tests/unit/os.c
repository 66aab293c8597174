// SPDX-License-Identifier: MIT
/* The door to the operating system: what each call does to addresses and contents. */
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/harness.h"

TEST(reserve, "os/reserved addresses are aligned and fault")
{
	for (size_t i = 0; i < 20; i++) {
		char *base = os_reserve(CHUNK_BYTES, CHUNK_BYTES);

		CHECK(base && (uintptr_t)base % CHUNK_BYTES == 0);
		CHECK(harness_faults(base) && harness_faults(base + CHUNK_BYTES - 1));
	}
	CHECK(!os_reserve((size_t)1 << 50, CHUNK_BYTES));
}

TEST(open_close, "os/open, close, merge")
{
	char *base = os_reserve(4 * CHUNK_BYTES, CHUNK_BYTES);
	size_t before = harness_mappings();

	for (size_t i = 0; i < 4; i++)
		CHECK_EQ(os_open(base + i * CHUNK_BYTES, CHUNK_BYTES, OS_PAGES_SMALL), 0);
	CHECK_EQ(harness_mappings(), before);
	memset(base, 1, 4 * CHUNK_BYTES);
	CHECK_EQ(os_close(base + CHUNK_BYTES, CHUNK_BYTES), 0);
	CHECK_EQ(os_close(base + 2 * CHUNK_BYTES, CHUNK_BYTES), 0);
	CHECK_EQ(harness_mappings(), before + 2);
	CHECK(!harness_faults(base) && harness_faults(base + CHUNK_BYTES) && !harness_faults(base + 3 * CHUNK_BYTES));
	CHECK_EQ(os_open(base + CHUNK_BYTES, CHUNK_BYTES, OS_PAGES_SMALL), 0);
	CHECK(base[CHUNK_BYTES] == 0);
}

TEST(move, "os/move takes contents along and leaves zeros")
{
	char *base = os_reserve(2 * CHUNK_BYTES, CHUNK_BYTES);

	CHECK_EQ(os_open(base, CHUNK_BYTES, OS_PAGES_SMALL), 0);
	memset(base, 7, CHUNK_BYTES);
	CHECK_EQ(os_move(base, base + CHUNK_BYTES, CHUNK_BYTES), 0);
	for (size_t i = 0; i < CHUNK_BYTES; i++)
		CHECK(base[CHUNK_BYTES + i] == 7);
	CHECK(base[0] == 0 && base[CHUNK_BYTES - 1] == 0);
}

TEST(drop, "os/drop gives memory back and keeps addresses")
{
	char *base = os_table(CHUNK_BYTES);

	memset(base, 7, CHUNK_BYTES);
	CHECK_EQ(os_drop(base, CHUNK_BYTES), 0);
	CHECK(base[0] == 0 && base[CHUNK_BYTES - 1] == 0);
}

TEST(guard, "os/guard, where the kernel has it")
{
	char *base = os_table(4 * PAGE_BYTES);
	int error = os_guard(base + PAGE_BYTES, PAGE_BYTES);

	if (error)
		harness_skip("no MADV_GUARD_INSTALL in this kernel");
	CHECK(!harness_faults(base) && harness_faults(base + PAGE_BYTES) && !harness_faults(base + 2 * PAGE_BYTES));
	CHECK_EQ(os_open(base + PAGE_BYTES, PAGE_BYTES, OS_PAGES_SMALL), 0);
	CHECK(!harness_faults(base + PAGE_BYTES));
}

TEST(text, "os/read a small file")
{
	char text[64], tiny[4];

	CHECK(os_read_text("/proc/sys/vm/max_map_count", text, sizeof(text)));
	CHECK(text[0] >= '1' && text[0] <= '9');
	CHECK(os_read_text("/proc/version", tiny, sizeof(tiny)));
	CHECK_STR(tiny, "Lin");
	CHECK(!os_read_text("/proc/nothing/here", text, sizeof(text)));
	CHECK_STR(text, "");
}

TEST(file, "os/a descriptor that is kept is high, and known as lost once its number means something else")
{
	struct rlimit limit;
	struct os_file file;

	CHECK(os_file_keep(STDERR_FILENO, &file));
	CHECK(os_file_is_kept(&file));
	CHECK(file.fd >= 900 || (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur <= 900 && file.fd >= 3));
	close(file.fd);
	CHECK(!os_file_is_kept(&file));
	CHECK_EQ(dup2(open("/proc/version", O_RDONLY), file.fd), file.fd);
	CHECK(!os_file_is_kept(&file));
	errno = 77;
	CHECK(!os_file_keep(-1, &file) && !os_file_is_kept(&file));
	CHECK_EQ(errno, 77);
	limit = (struct rlimit){ 100, 100 };
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	CHECK(os_file_keep(STDERR_FILENO, &file) && file.fd >= 3 && file.fd < 100);
}

TEST(mapping, "os/the mapping that an address is in, of many, with the memory at hand")
{
	enum { NR = 300 };
	char *base = os_reserve((2 * NR + 1) * PAGE_BYTES, PAGE_BYTES);
	uintptr_t from = 0, to = 0;

	/* Enough that lines lie across all borders of what is read at once. */
	for (size_t i = 0; i < NR; i++)
		CHECK_EQ(os_open(base + (2 * i + 1) * PAGE_BYTES, PAGE_BYTES, OS_PAGES_SMALL), 0);
	errno = 77;
	for (uintptr_t page = (uintptr_t)base + PAGE_BYTES; page < (uintptr_t)base + 2 * NR * PAGE_BYTES; page += PAGE_BYTES) {
		CHECK(os_find_mapping(page + (page / PAGE_BYTES & 1 ? PAGE_BYTES - 1 : 0), &from, &to));
		CHECK_EQ(from, page);
		CHECK_EQ(to, page + PAGE_BYTES);
	}
	os_unreserve(base + PAGE_BYTES, PAGE_BYTES);
	CHECK(!os_find_mapping((uintptr_t)base + PAGE_BYTES, &from, &to) && !os_find_mapping(0, &from, &to));
	CHECK(!os_find_mapping(UINTPTR_MAX, &from, &to));
	CHECK_EQ(errno, 77);
}

TEST(clock, "os/clock runs forward")
{
	uint64_t last = os_clock_ns();

	for (size_t i = 0; i < 1000; i++) {
		uint64_t now = os_clock_ns();

		CHECK(now >= last);
		last = now;
	}
}

TEST(errors, "os/errors are returned, errno is left alone")
{
	errno = 77;
	CHECK(os_open((void *)PAGE_BYTES, (size_t)1 << 60, OS_PAGES_SMALL) < 0);
	CHECK(os_drop((void *)1, PAGE_BYTES) == -EINVAL);
	CHECK(os_map_file(os_reserve(PAGE_BYTES, PAGE_BYTES), PAGE_BYTES, -1) == -EBADF);
	CHECK_EQ(errno, 77);
}

TEST(wait_ns, "os/who waits for a word for a while goes on after that, or when it is another one, and errno stays")
{
	uint32_t word = 1;

	errno = 77;
	os_futex_wait_for(&word, 1, 1000);
	os_futex_wait_for(&word, 2, UINT64_MAX / 2);
	CHECK_EQ(errno, 77);
}
