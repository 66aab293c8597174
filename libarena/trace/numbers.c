// SPDX-License-Identifier: MIT
/*
 * The number of each object, by its address: a table of two levels, so that nobody ever waits for a lock, which a fork() could
 * leave taken. A word belongs to who owns the object at its address: it is written after the object was allocated and before it is freed.
 *
 * Addresses without memory behind are all it costs where nothing is: a gibibyte for each in which objects lie.
 */
#include <sys/mman.h>

#include "atomic.h"
#include "geometry.h"
#include "trace/trace.h"

/* As the least of allocators align objects: jemalloc those of eight bytes. */
#define OBJECT_SHIFT 3
#define LEAF_SHIFT 30
#define NR_LEAVES ((size_t)1 << (ADDRESS_SHIFT - LEAF_SHIFT))
#define LEAF_WORDS ((size_t)1 << (LEAF_SHIFT - OBJECT_SHIFT))
#define LEAF_BYTES (LEAF_WORDS * sizeof(uint64_t))

static uint64_t *leaves[NR_LEAVES]; /* atomic; once set they stay */

/* NULL when there is no room. */
static uint64_t *make_leaf(uint64_t **place)
{
	uint64_t *mine = mmap(NULL, LEAF_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t *other = NULL;

	if (mine == MAP_FAILED)
		return NULL;
	/* Zeros by the kernel need no order: the release says which mapping they are in. Pairs with the acquire in word_of(). */
	if (atomic_cas_release(place, &other, mine))
		return mine;
	munmap(mine, LEAF_BYTES);
	return atomic_load_acquire(place);
}

static uint64_t *word_of(const void *object, bool is_new)
{
	uintptr_t address = (uintptr_t)object;
	uint64_t **place, *leaf;

	if (address >> ADDRESS_SHIFT)
		return NULL;
	place = &leaves[address >> LEAF_SHIFT];
	leaf = atomic_load_acquire(place);
	if (!leaf && is_new)
		leaf = make_leaf(place);
	return leaf ? &leaf[address >> OBJECT_SHIFT & (LEAF_WORDS - 1)] : NULL;
}

/* Relaxed: what passes the object from thread to thread passes its word. */
void numbers_set(const void *object, uint64_t number)
{
	uint64_t *word = word_of(object, true);

	if (word)
		atomic_store_relaxed(word, number);
}

uint64_t numbers_take(const void *object)
{
	uint64_t *word = word_of(object, false), number = 0;

	if (word) {
		number = atomic_load_relaxed(word);
		/* Most that is freed without a number is never written to: no memory shall be taken for that. */
		if (number)
			atomic_store_relaxed(word, (uint64_t)0);
	}
	return number;
}
