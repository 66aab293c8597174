// SPDX-License-Identifier: MIT
/* malloc() and its family under ARENA_MEMORY_LIMIT=64M: NULL and ENOMEM when it is used up, and everything works again afterwards. */
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

/* Of the object that is to grow: not all of a page. */
enum { LIMIT_MIB = 64, NR = 100, KEPT = 3000, SMALL = 1024 };

static void *objects[NR];

/* Objects of a MiB until there are no more. */
static size_t fill(void)
{
	size_t nr = 0;

	while (nr < NR && (objects[nr] = malloc((size_t)1 << 20))) {
		memset(objects[nr], 1, (size_t)1 << 20);
		nr++;
	}
	return nr;
}

static void empty(size_t nr)
{
	while (nr)
		free(objects[--nr]);
}

/* C++'s without an exception, by symbol: this program has no libstdc++. They say nothing of errno. */
static void *(*operator_new)(size_t bytes, const void *tag);
static void *(*operator_new_aligned)(size_t bytes, size_t align_bytes, const void *tag);

static void find_operators(void)
{
	*(void **)(void *)&operator_new = dlsym(RTLD_DEFAULT, "_ZnwmRKSt9nothrow_t");
	*(void **)(void *)&operator_new_aligned = dlsym(RTLD_DEFAULT, "_ZnwmSt11align_val_tRKSt9nothrow_t");
	CHECK(operator_new && operator_new_aligned);
}

#define CHECK_REFUSED(call) \
	do { \
		errno = 0; \
		CHECK(!(call)); \
		CHECK_EQ(errno, ENOMEM); \
	} while (0)

/* By every function that allocates; the object that was to grow is what it was. */
static void check_refused(unsigned char *object, size_t bytes)
{
	void *untouched = object;

	CHECK_REFUSED(malloc(bytes));
	CHECK_REFUSED(calloc(1, bytes));
	CHECK_REFUSED(calloc(bytes / 16, 16));
	CHECK_REFUSED(realloc(NULL, bytes));
	CHECK_REFUSED(realloc(object, bytes));
	CHECK_REFUSED(reallocarray(object, bytes / 16, 16));
	CHECK_REFUSED(aligned_alloc(64, bytes));
	CHECK_REFUSED(memalign(1 << 16, bytes));
	CHECK_REFUSED(valloc(bytes));
	CHECK_REFUSED(pvalloc(bytes));
	errno = 0;
	CHECK_EQ(posix_memalign(&untouched, 64, bytes), ENOMEM);
	CHECK(untouched == object);
	CHECK_EQ(errno, 0);
	CHECK(!operator_new(bytes, ""));
	CHECK(!operator_new_aligned(bytes, 1 << 16, ""));
	for (size_t i = 0; i < KEPT; i++)
		CHECK_EQ(object[i], i % 251);
}

TEST(refused, "limit/each function refuses with ENOMEM, realloc keeps the object, and all is to be had again that was freed")
{
	size_t big = (size_t)5 << 20, nr;
	unsigned char *object = malloc(KEPT);

	find_operators();
	CHECK(object);
	for (size_t i = 0; i < KEPT; i++)
		object[i] = (unsigned char)(i % 251);
	for (int round = 0; round < 3; round++) {
		nr = fill();
		harness_note("%zu MiB", nr);
		CHECK(nr > LIMIT_MIB - 8 && nr < LIMIT_MIB);
		check_refused(object, big);
		empty(nr);
	}
	object = realloc(object, big);
	CHECK(object);
	for (size_t i = 0; i < KEPT; i++)
		CHECK_EQ(object[i], i % 251);
	free(object);
}

/* Small ones, which come from caches, pages and chunks in turn. */
TEST(small, "limit/small objects are refused with ENOMEM too, by every function, when all is used up")
{
	struct link {
		struct link *next;
	} *first = NULL, *link;
	size_t nr = 0;

	find_operators();
	for (errno = 0; (link = malloc(SMALL)); nr++) {
		link->next = first;
		first = link;
	}
	CHECK_EQ(errno, ENOMEM);
	harness_note("%zu objects", nr);
	CHECK(nr > ((size_t)(LIMIT_MIB - 8) << 20) / SMALL);
	CHECK_REFUSED(calloc(1, SMALL));
	CHECK_REFUSED(realloc(NULL, SMALL));
	CHECK_REFUSED(aligned_alloc(16, SMALL));
	CHECK(!operator_new(SMALL, ""));
	for (; (link = first); free(link))
		first = link->next;
	CHECK(fill() > LIMIT_MIB - 8);
}
