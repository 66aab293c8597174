// SPDX-License-Identifier: MIT
/*
 * What POSIX, C23 and glibc say of malloc() and its family, asked of whatever malloc() this program is run with. Run by
 * api.sh with the replacement.
 */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

#define PAGE 4096u
#define KIB ((size_t)1024)
#define MIB (1024 * KIB)
/* What the heap keeps when it has nothing else to do with it. */
#define IDLE_BYTES (4 * MIB)

/* Not in glibc of this age. */
void free_sized(void *object, size_t bytes) __attribute__((weak));
void free_aligned_sized(void *object, size_t align_bytes, size_t bytes) __attribute__((weak));

/* Sizes that no machine has; volatile, because the compiler refuses to pass them. */
static volatile size_t absurd[] = { SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, SIZE_MAX / 2 + 1, (size_t)1 << 62, (size_t)1 << 48 };
#define NR_ABSURD (sizeof(absurd) / sizeof(absurd[0]))
/* Alignments that the compiler refuses as well. */
static volatile size_t odd[] = { 3, 100 };
static volatile size_t none[] = { 0, 3, 24, 100, (1 << 20) + 8, SIZE_MAX };
/* Its square is 0 in 64 bits. */
static volatile size_t root = (size_t)1 << 32;

#define CHECK_NOMEM(call) \
	do { \
		errno = 0; \
		CHECK(!(call)); \
		CHECK_EQ(errno, ENOMEM); \
	} while (0)

static void check_pattern(const unsigned char *object, size_t bytes, unsigned char value)
{
	for (size_t i = 0; i < bytes; i++)
		if (object[i] != value)
			harness_fail(__FILE__, __LINE__, "byte %zu of %zu is %d, not %d", i, bytes, object[i], value);
}

TEST(replaced, "api/this program runs with the replacement")
{
	static const char *const names[] = { "malloc", "calloc", "realloc", "free", "free_sized", "free_aligned_sized",
					     "reallocarray", "aligned_alloc", "posix_memalign", "memalign", "valloc", "pvalloc",
					     "malloc_usable_size", "mallinfo", "mallinfo2", "malloc_trim", "malloc_info",
					     "malloc_stats", "mallopt" };
	Dl_info info;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *symbol = dlsym(RTLD_DEFAULT, names[i]);

		CHECK(symbol && dladdr(symbol, &info));
		CHECK_HAS(info.dli_fname, "libarena-malloc.so");
	}
}

TEST(alloc, "api/malloc: sizes, alignment, zero bytes, ENOMEM")
{
	void *zero = malloc(0), *other = malloc(0);

	CHECK(zero && other && zero != other);
	free(zero);
	free(other);
	for (size_t bytes = 1; bytes < 40 * MIB; bytes += bytes / 3 + 1) {
		char *object = malloc(bytes);

		CHECK(object);
		CHECK_EQ((uintptr_t)object % 16, 0);
		memset(object, 1, bytes);
		free(object);
	}
	for (size_t i = 0; i < NR_ABSURD; i++)
		CHECK_NOMEM(malloc(absurd[i]));
}

TEST(alloc_zero, "api/calloc: zero where memory was used, zero counts, overflow, ENOMEM")
{
	static const size_t sizes[] = { 1, 24, 100, 1000, 5000, 40000, 300000, 3 << 20 };

	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			unsigned char *object = calloc(sizes[i], 3);

			CHECK(object);
			check_pattern(object, sizes[i] * 3, 0);
			memset(object, 0xff, malloc_usable_size(object));
			free(object);
		}
	free(calloc(0, 7));
	free(calloc(7, 0));
	CHECK(calloc(0, 0));
	for (size_t i = 0; i < NR_ABSURD; i++)
		CHECK_NOMEM(calloc(absurd[i], 1));
	CHECK_NOMEM(calloc(absurd[3], 2));
	CHECK_NOMEM(calloc(root, root));
	CHECK_NOMEM(calloc(root + 1, root + 1));
}

TEST(again, "api/realloc: NULL, 0, growing, shrinking; ENOMEM keeps the old object")
{
	unsigned char *object = realloc(NULL, 10);

	CHECK(object);
	memset(object, 7, 10);
	for (size_t bytes = 10; bytes < 30 * MIB; bytes = bytes * 5 / 2) {
		object = realloc(object, bytes * 5 / 2);
		CHECK(object);
		check_pattern(object, bytes, 7);
		memset(object, 7, bytes * 5 / 2);
	}
	for (size_t bytes = 20 * MIB; bytes; bytes /= 3) {
		for (size_t i = 0; i < NR_ABSURD; i++)
			CHECK_NOMEM(realloc(object, absurd[i]));
		object = realloc(object, bytes);
		CHECK(object);
		CHECK(malloc_usable_size(object) >= bytes);
		check_pattern(object, bytes, 7);
	}
	errno = 99;
	CHECK(!realloc(object, 0));
	CHECK_EQ(errno, 99);
	object = realloc(NULL, 0);
	CHECK(object);
	free(object);
	for (size_t i = 0; i < NR_ABSURD; i++)
		CHECK_NOMEM(realloc(NULL, absurd[i]));
}

TEST(array, "api/reallocarray: overflow keeps the old object")
{
	unsigned char *object = reallocarray(NULL, 10, 10);

	CHECK(object);
	memset(object, 3, 100);
	CHECK_NOMEM(reallocarray(object, absurd[3], 2));
	CHECK_NOMEM(reallocarray(object, root + 1, root + 1));
	check_pattern(object, 100, 3);
	object = reallocarray(object, 1000, 100);
	CHECK(object);
	check_pattern(object, 100, 3);
	free(object);
}

TEST(freeing, "api/free and its relatives take NULL and leave errno alone")
{
	static const size_t sizes[] = { 0, 1, 100, 5000, 40000, 3 << 20, 100 << 20 };

	CHECK(free_sized && free_aligned_sized);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *one = malloc(sizes[i]), *two = malloc(sizes[i]), *three = aligned_alloc(64, sizes[i]);

		CHECK(one && two && three);
		errno = 99;
		free(one);
		free_sized(two, sizes[i]);
		free_aligned_sized(three, 64, sizes[i]);
		CHECK_EQ(errno, 99);
	}
	free(NULL);
	free_sized(NULL, 0);
	free_aligned_sized(NULL, 64, 0);
	malloc_trim(0);
	CHECK_EQ(errno, 99);
}

static void check_aligned(void *object, size_t align, size_t bytes)
{
	CHECK(object);
	CHECK_EQ((uintptr_t)object % align, 0);
	CHECK(malloc_usable_size(object) >= bytes);
	memset(object, 1, bytes);
	free(object);
}

TEST(alignment, "api/aligned_alloc, posix_memalign, memalign, valloc, pvalloc")
{
	static const size_t sizes[] = { 0, 1, 24, 100, 4096, 5000, 40000, 300000, 3 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (size_t align = 8; align <= 64 * MIB; align *= 2) {
			void *object = NULL;

			check_aligned(aligned_alloc(align, sizes[i]), align, sizes[i]);
			check_aligned(memalign(align, sizes[i]), align, sizes[i]);
			CHECK_EQ(posix_memalign(&object, align, sizes[i]), 0);
			check_aligned(object, align, sizes[i]);
		}
		check_aligned(valloc(sizes[i]), PAGE, sizes[i]);
		check_aligned(pvalloc(sizes[i]), PAGE, (sizes[i] + PAGE - 1) / PAGE * PAGE);
	}
	/* glibc rounds up. */
	check_aligned(memalign(odd[0], 10), 4, 10);
	check_aligned(memalign(odd[1], 10), 128, 10);
}

TEST(bad_alignment, "api/alignments that are none, and sizes that cannot be had")
{
	static const size_t bad[] = { 0, 1, 2, 4, 12, 24, 100, (1 << 20) + 8 };
	void *object = &object;

	errno = 99;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK_EQ(posix_memalign(&object, bad[i], 8), EINVAL);
	for (size_t i = 0; i < NR_ABSURD; i++)
		CHECK_EQ(posix_memalign(&object, 64, absurd[i]), ENOMEM);
	/* Neither is touched by a failure. */
	CHECK_EQ(errno, 99);
	CHECK(object == &object);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		errno = 0;
		CHECK(!aligned_alloc(none[i], 8));
		CHECK_EQ(errno, EINVAL);
	}
	for (size_t i = 0; i < NR_ABSURD; i++) {
		CHECK_NOMEM(aligned_alloc(64, absurd[i]));
		CHECK_NOMEM(memalign(64, absurd[i]));
		CHECK_NOMEM(valloc(absurd[i]));
		CHECK_NOMEM(pvalloc(absurd[i]));
	}
}

TEST(usable, "api/all of malloc_usable_size() may be written")
{
	static unsigned char *objects[600];

	CHECK_EQ(malloc_usable_size(NULL), 0);
	for (size_t i = 0; i < 600; i++) {
		objects[i] = malloc(i * i / 3);
		CHECK(objects[i]);
		CHECK(malloc_usable_size(objects[i]) >= i * i / 3);
		memset(objects[i], (int)(i % 251), malloc_usable_size(objects[i]));
	}
	for (size_t i = 0; i < 600; i++) {
		check_pattern(objects[i], malloc_usable_size(objects[i]), (unsigned char)(i % 251));
		free(objects[i]);
	}
}

/* ---------------------------------------------------------------- what it tells */

TEST(info2, "api/mallinfo2 grows and shrinks with what is in use")
{
	struct mallinfo2 before = mallinfo2(), full, after;
	char *object = malloc(50 * MIB);

	CHECK(object);
	full = mallinfo2();
	CHECK(full.uordblks >= before.uordblks + 50 * MIB);
	CHECK(full.arena >= full.uordblks);
	CHECK_EQ(full.arena, full.uordblks + full.fordblks);
	free(object);
	/* Two chunks do not go back by themselves. */
	after = mallinfo2();
	CHECK(after.keepcost >= IDLE_BYTES && after.keepcost <= after.fordblks && after.arena == after.uordblks + after.fordblks);
	malloc_trim(0);
	after = mallinfo2();
	CHECK_EQ(after.keepcost, 0);
	CHECK(after.uordblks + 50 * MIB <= full.uordblks);
	CHECK(after.arena < full.arena);
}

TEST(trim, "api/malloc_trim gives memory back, all but what it is to leave, once")
{
	char *object = malloc(50 * MIB);
	size_t full;

	CHECK(object);
	memset(object, 1, 50 * MIB);
	full = harness_rss_bytes();
	free(object);
	malloc_trim(IDLE_BYTES);
	CHECK_EQ(mallinfo2().keepcost, IDLE_BYTES);
	CHECK_EQ(malloc_trim(0), 1);
	CHECK(harness_rss_bytes() + 40 * MIB < full);
	CHECK_EQ(malloc_trim(0), 0);
}

/* That it is well-formed is asked by api.sh of a parser. */
TEST(xml, "api/malloc_info begins as glibc's does, and knows no options")
{
	char *text = NULL;
	size_t bytes;
	FILE *stream = open_memstream(&text, &bytes);

	CHECK(stream);
	CHECK_EQ(malloc_info(0, stream), 0);
	CHECK(!fclose(stream));
	CHECK(!strncmp(text, "<malloc version=\"", 17));
	free(text);
	CHECK_EQ(malloc_info(1, stdout), EINVAL);
}

/* The number of an attribute, in the first element that begins so. */
static size_t attribute(const char *text, const char *element, const char *name)
{
	char key[32];

	snprintf(key, sizeof(key), " %s=\"", name);
	text = strstr(text, element);
	CHECK(text && (text = strstr(text, key)));
	return strtoul(text + strlen(key), NULL, 10);
}

/* What it says; the caller frees it. All sums agree. */
static char *info_text(void)
{
	char *text = NULL;
	size_t bytes, count = 0, total = 0;
	FILE *stream = open_memstream(&text, &bytes);

	CHECK(stream && !malloc_info(0, stream) && !fclose(stream));
	for (const char *line = text; (line = strstr(line, "<size from")); line++) {
		CHECK_EQ(attribute(line, "<size", "total"), attribute(line, "<size", "count") * attribute(line, "<size", "to"));
		count += attribute(line, "<size", "count");
		total += attribute(line, "<size", "total");
	}
	CHECK(count);
	CHECK(strstr(text, "<total type=\"mmap\"") > strstr(text, "</heap>"));
	for (const char *part = text; (part = strstr(part, "<total type=\"fast\"")); part++) {
		CHECK_EQ(attribute(part, "<total", "count"), count);
		CHECK_EQ(attribute(part, "<total", "size"), total);
		CHECK_EQ(attribute(part, "<total type=\"rest", "size"), attribute(part, "<total type=\"rest", "count") * PAGE);
		CHECK(attribute(part, "<system", "size") >= total + attribute(part, "<total type=\"rest", "size"));
		CHECK(attribute(part, "<system type=\"max\"", "size") >= attribute(part, "<system type=\"current\"", "size"));
		CHECK_EQ(attribute(part, "<aspace type=\"total\"", "size"), attribute(part, "<system type=\"current\"", "size"));
		CHECK_EQ(attribute(part, "<aspace type=\"mprotect\"", "size"), attribute(part, "<system type=\"current\"", "size"));
	}
	return text;
}

/* There is a line for a size that has free slots. */
static size_t free_112(const char *text)
{
	return strstr(text, "<size from=\"112\"") ? attribute(text, "<size from=\"112\"", "count") : 0;
}

/* In builds with VERIFY=1 no more may be used of an object than what was asked for, and what is freed rests. */
static bool looks_after_objects(void)
{
	void *object = malloc(100);
	size_t bytes = malloc_usable_size(object);

	free(object);
	return bytes == 100;
}

TEST(parts, "api/malloc_info counts free slots by size, and free pages")
{
	static void *objects[3000];
	char *before, *between, *after;

	if (looks_after_objects())
		harness_skip("slots are others where objects are looked after");
	for (size_t i = 0; i < 3000; i++)
		CHECK((objects[i] = malloc(112)));
	before = info_text();
	/* Every third: no page is without an object. */
	for (size_t i = 0; i < 3000; i += 3)
		free(objects[i]);
	between = info_text();
	CHECK_EQ(free_112(between), free_112(before) + 1000);
	for (size_t i = 0; i < 3000; i++)
		if (i % 3)
			free(objects[i]);
	malloc_trim(0);
	after = info_text();
	/* 3,000 are 84 pages, and a page keeps less than all of it. */
	CHECK(attribute(after, "<total type=\"rest\"", "count") >= attribute(before, "<total type=\"rest\"", "count") + 80);
	CHECK(free_112(after) < 1000);
	free(before);
	free(between);
	free(after);
}

TEST(options, "api/mallopt takes what glibc knows, and refuses to fill memory")
{
	static const int hints[] = { M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_ARENA_TEST, M_ARENA_MAX };

	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
		CHECK_EQ(mallopt(hints[i], 100), 1);
		CHECK_EQ(mallopt(hints[i], 0), 1);
	}
	CHECK_EQ(mallopt(M_PERTURB, 0x5a), 0);
	CHECK_EQ(mallopt(M_PERTURB, 0), 1);
}
