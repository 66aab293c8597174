// SPDX-License-Identifier: MIT
/* malloc() and its family under ARENA_MEMORY_LIMIT=64M: NULL and ENOMEM when it is used up, and everything works again afterwards. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/harness.h"

enum { LIMIT_MIB = 64, NR = 100 };

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

static void check_refused(void *object)
{
	CHECK(!object);
	CHECK_EQ(errno, ENOMEM);
	errno = 0;
}

TEST(refused, "limit/each function refuses with ENOMEM, and gives again what was freed")
{
	size_t big = (size_t)5 << 20;
	void *object = malloc(100), *aligned = NULL;
	size_t nr;

	for (int round = 0; round < 3; round++) {
		nr = fill();
		harness_note("%zu MiB", nr);
		CHECK(nr > LIMIT_MIB - 8 && nr < LIMIT_MIB);
		check_refused(malloc(big));
		check_refused(calloc(1, big));
		check_refused(realloc(object, big));
		check_refused(aligned_alloc(64, big));
		CHECK_EQ(posix_memalign(&aligned, 64, big), ENOMEM);
		CHECK_EQ(errno, 0);
		empty(nr);
	}
	memset(object, 1, 100);
	free(object);
}
