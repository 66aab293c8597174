// SPDX-License-Identifier: MIT
/*
 * What no program should do with malloc()'s memory, by each function that takes an object: the program is told and ends. Nothing is sampled and no
 * object is guarded: this is what every program has. Run by api.sh with the replacement.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/harness.h"

#define MIB ((size_t)1 << 20)

/* Small ones share a page, middle ones a run of pages, large ones have their own. */
static const size_t sizes[] = { 40, 3000, 200000, 3 * MIB };
#define NR_SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* ---------------------------------------------------------------- who is given the object */

/* No longer than it is, so that it need not move. */
static void resize(void *object)
{
	char *volatile fresh = realloc(object, 24);

	(void)fresh;
}

/* Of C++, by its symbol: this program has no libstdc++. */
static void delete(void *object)
{
	void (*operator_delete)(void *);

	*(void **)(void *)&operator_delete = dlsym(RTLD_DEFAULT, "_ZdlPv");
	CHECK(operator_delete);
	operator_delete(object);
}

static const struct taker {
	const char *name;	/* as the report has it */
	void (*take)(void *object);
} takers[] = {
	{ "free()", free },
	{ "realloc()", resize },
	{ "free()", delete },
};
#define NR_TAKERS (sizeof(takers) / sizeof(takers[0]))

static void *run_free(void *object)
{
	free(object);
	return NULL;
}

static void free_elsewhere(void *object)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run_free, object));
	CHECK(!pthread_join(thread, NULL));
}

/* ---------------------------------------------------------------- what it is given */

struct misuse {
	const struct taker *taker;
	size_t bytes;
	void (*before)(void *object);	/* NULL: the object lives */
	size_t offset;
};

static void commit(void *argument)
{
	const struct misuse *misuse = argument;
	/* Neighbors: a page is no page of nobody's when its object is free. */
	char *volatile neighbor = malloc(misuse->bytes), *volatile object = malloc(misuse->bytes), *volatile other = malloc(misuse->bytes);

	CHECK(neighbor && object && other);
	if (misuse->before)
		misuse->before(object);
	misuse->taker->take(object + misuse->offset);
}

static void check_caught(struct misuse *misuse, const char *why)
{
	char wanted[64];
	struct death death;

	snprintf(wanted, sizeof(wanted), "arena: %s of 0x", misuse->taker->name);
	harness_child(&death, commit, misuse);
	if (death.signal != SIGABRT)
		harness_fail(__FILE__, __LINE__, "%s, %zu bytes, at %zu: signal %d, %s", misuse->taker->name, misuse->bytes, misuse->offset,
			     death.signal, death.text);
	CHECK_HAS(death.text, wanted);
	CHECK_HAS(death.text, why);
}

/* An object of each size to each function. */
static void check_all(struct misuse misuse, const char *why)
{
	for (size_t i = 0; i < NR_TAKERS; i++)
		for (size_t j = 0; j < NR_SIZES; j++) {
			misuse.taker = &takers[i];
			misuse.bytes = sizes[j];
			check_caught(&misuse, why);
		}
}

TEST(twice, "misuse/an object that is free already is no object to free, realloc and delete")
{
	check_all((struct misuse){ .before = free }, "it is free already");
}

TEST(deleted, "misuse/nor is one that was deleted")
{
	check_all((struct misuse){ .before = delete }, "it is free already");
}

/* Not the owner's free of what another thread has freed, which is seen when the other's is taken in (doc/heap.md). */
TEST(elsewhere, "misuse/another thread cannot free what is free already, whoever freed it")
{
	static const struct taker other = { "free()", free_elsewhere };

	for (size_t i = 0; i < NR_SIZES; i++) {
		check_caught(&(struct misuse){ .taker = &other, .bytes = sizes[i], .before = free }, "it is free already");
		check_caught(&(struct misuse){ .taker = &other, .bytes = sizes[i], .before = free_elsewhere }, "it is free already");
	}
}

/* Pages of a large object but the first are no pages of objects. */
TEST(inside, "misuse/an address within an object is no object, whatever it is a multiple of")
{
	for (size_t i = 0; i < NR_TAKERS; i++)
		for (size_t j = 0; j < NR_SIZES; j++)
			for (size_t offset = 1; offset < sizes[j]; offset *= 2)
				check_caught(&(struct misuse){ .taker = &takers[i], .bytes = sizes[j], .offset = offset },
					     sizes[j] >= 200000 && offset < 4096 ? "it points into an object" : "no object begins there");
}

/* Of the stack, of the program's variables, and of nobody. */
static void take_stranger(void *argument)
{
	static char variable[64];
	char *const strangers[] = { (char *)&argument, variable, (char *)16, (char *)UINTPTR_MAX - 15 };
	const struct misuse *misuse = argument;

	misuse->taker->take(strangers[misuse->offset]);
}

TEST(stranger, "misuse/what malloc() never gave is no object")
{
	for (size_t i = 0; i < NR_TAKERS; i++)
		for (size_t j = 0; j < 4; j++) {
			struct misuse misuse = { .taker = &takers[i], .offset = j };
			struct death death;

			harness_child(&death, take_stranger, &misuse);
			CHECK_EQ(death.signal, SIGABRT);
			CHECK_HAS(death.text, "this is no memory of a heap");
		}
}
