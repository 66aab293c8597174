// SPDX-License-Identifier: MIT
/*
 * fill [--no-huge-pages] MIB ROUNDS [OBJECT_MIB]
 *
 * Calls malloc() until so many MiB are in use, writes each page of them, looks at them again and frees them; so many times, each with other
 * sizes, or all of OBJECT_MIB. For places where memory is short or has only small pages: run by places.sh, and in VMs by tests/kmod/malloc_places.sh.
 *
 * Prints for each round "held N MiB", or "refused at N MiB" when malloc() said no before, and how much was in huge pages. Exits with 0
 * unless a refusal is not ENOMEM, memory is not what was written, or what was freed is not to be had again.
 */
#include <errno.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PAGE_BYTES 4096
#define MIB ((size_t)1 << 20)

struct object {
	struct object *next;
	size_t bytes;
};

static struct object *objects;
static size_t held_bytes;
static uint64_t state = 4711; /* of the random numbers */
static size_t fixed_bytes; /* of each object, unless 0 */

static __attribute__((noreturn)) void fail(const char *what)
{
	printf("%s\n", what);
	fflush(stdout);
	_exit(1);
}

/* In [least, limit). */
static size_t any_size(size_t least, size_t limit)
{
	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return least + (size_t)(state >> 33) % (limit - least);
}

static size_t size_of_round(unsigned int round)
{
	if (fixed_bytes)
		return fixed_bytes;
	switch (round % 3) {
	case 0: return any_size(sizeof(struct object) + 1, 2000);
	case 1: return any_size(2000, 100000);
	default: return any_size(100000, MIB);
	}
}

static char mark_of(const struct object *object)
{
	return (char)((uintptr_t)object >> 4 | 1);
}

static void write_marks(struct object *object)
{
	char *data = (char *)object;

	for (size_t at = PAGE_BYTES; at < object->bytes; at += PAGE_BYTES)
		data[at] = mark_of(object);
	data[object->bytes - 1] = mark_of(object);
}

static void check_marks(const struct object *object)
{
	const char *data = (const char *)object;

	for (size_t at = PAGE_BYTES; at < object->bytes; at += PAGE_BYTES)
		if (data[at] != mark_of(object))
			fail("memory was lost");
	if (data[object->bytes - 1] != mark_of(object))
		fail("the end of an object was lost");
}

static struct object *add(size_t bytes)
{
	struct object *object = malloc(bytes);

	if (!object)
		return NULL;
	*object = (struct object){ .next = objects, .bytes = bytes };
	objects = object;
	held_bytes += malloc_usable_size(object);
	write_marks(object);
	return object;
}

static void drop_first(void)
{
	struct object *object = objects;

	check_marks(object);
	objects = object->next;
	held_bytes -= malloc_usable_size(object);
	free(object);
}

static bool fill_up(size_t limit_bytes, unsigned int round)
{
	errno = 0;
	while (held_bytes < limit_bytes)
		if (!add(size_of_round(round))) {
			if (errno != ENOMEM)
				fail("refused, but not with ENOMEM");
			return false;
		}
	return true;
}

static long huge_kib(void)
{
	char line[200];
	FILE *file = fopen("/proc/self/smaps_rollup", "r");
	long kib = -1;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "AnonHugePages: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static void run_round(size_t limit_bytes, unsigned int round)
{
	bool is_full = fill_up(limit_bytes, round);
	size_t mib = held_bytes / MIB;

	if (!objects)
		fail("nothing was to be had");
	if (!is_full) {
		size_t bytes = objects->bytes;

		drop_first();
		if (!add(bytes))
			fail("what was freed is not to be had again");
		/* For reading of the huge pages. */
		drop_first();
	}
	printf("%s %zu MiB, %ld KiB huge\n", is_full ? "held" : "refused at", mib, huge_kib());
	while (objects)
		drop_first();
}

int main(int argc, char **argv)
{
	static char buffer[BUFSIZ]; /* printf() needs no memory then */

	if (argc > 3 && !strcmp(argv[1], "--no-huge-pages")) {
		if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0))
			fail("huge pages cannot be switched off");
		execv("/proc/self/exe", argv + 1);
	}
	if (argc < 3)
		return 2;
	if (argc > 3)
		fixed_bytes = strtoul(argv[3], NULL, 10) * MIB;
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	for (unsigned int round = 0; round < strtoul(argv[2], NULL, 10); round++)
		run_round(strtoul(argv[1], NULL, 10) * MIB, round);
	return 0;
}
