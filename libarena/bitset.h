/* SPDX-License-Identifier: MIT */
/*
 * A set of numbers: its highest, and the lowest from a number on, in a few loads. Pure arithmetic: no locks; the words are the caller's.
 *
 * A bit for each number, and above them a summary, a bit for each word of these that is not 0: a word of it for 4,096 numbers. One level, and
 * not a tree of them, because adding and removing are the frequent operations: of the summary's words those are looked at that were ever used.
 */
#ifndef LIBARENA_BITSET_H
#define LIBARENA_BITSET_H

#include "base.h"

#define BITSET_SHIFT 6
#define BITSET_NONE UINT32_MAX

/* Invariant: bit i of the summary is set when word i is not 0. */
struct bitset {
	uint64_t *words;
	uint64_t *summary;
	uint32_t nr_used;	/* words of the summary that may be other than 0 */
};

static inline size_t bitset_summary_words(size_t nr)
{
	return (nr >> 2 * BITSET_SHIFT) + 1;
}

/** Words for a set of numbers below @nr. */
static inline size_t bitset_words(size_t nr)
{
	/* One behind the last, where a search from @nr on may look. */
	return bitset_summary_words(nr) + (nr >> BITSET_SHIFT) + 1;
}

/** An empty set in bitset_words(@nr) zeroed @words. The summary and what is for small numbers are together, at the beginning. */
static inline void bitset_init(struct bitset *set, uint64_t *words, size_t nr)
{
	*set = (struct bitset){ .words = words + bitset_summary_words(nr), .summary = words };
}

static inline bool bitset_has(const struct bitset *set, uint32_t n)
{
	return set->words[n >> BITSET_SHIFT] >> n % 64 & 1;
}

static inline void bitset_add(struct bitset *set, uint32_t n)
{
	uint32_t word = n >> BITSET_SHIFT, at = word >> BITSET_SHIFT;

	set->words[word] |= (uint64_t)1 << n % 64;
	set->summary[at] |= (uint64_t)1 << word % 64;
	if (unlikely(at >= set->nr_used))
		set->nr_used = at + 1;
}

static inline void bitset_remove(struct bitset *set, uint32_t n)
{
	uint32_t word = n >> BITSET_SHIFT;

	set->words[word] &= ~((uint64_t)1 << n % 64);
	if (!set->words[word])
		set->summary[word >> BITSET_SHIFT] &= ~((uint64_t)1 << word % 64);
}

/** The highest number; BITSET_NONE when there is none. O(numbers / 4096), which is one load for as many. */
static inline uint32_t bitset_highest(const struct bitset *set)
{
	for (uint32_t at = set->nr_used; at--;)
		if (set->summary[at]) {
			uint32_t word = (at << BITSET_SHIFT) + 63 - (uint32_t)__builtin_clzll(set->summary[at]);

			return (word << BITSET_SHIFT) + 63 - (uint32_t)__builtin_clzll(set->words[word]);
		}
	return BITSET_NONE;
}

/** The lowest number that is @n or more, which is at most what bitset_init() had; BITSET_NONE when there is none. As bitset_highest(). */
static inline uint32_t bitset_from(const struct bitset *set, uint32_t n)
{
	uint32_t word = n >> BITSET_SHIFT, at;
	uint64_t rest = set->words[word] >> n % 64;

	if (rest)
		return n + (uint32_t)__builtin_ctzll(rest);
	word++;
	for (at = word >> BITSET_SHIFT; at < set->nr_used; word = ++at << BITSET_SHIFT) {
		rest = set->summary[at] >> word % 64;
		if (!rest)
			continue;
		word += (uint32_t)__builtin_ctzll(rest);
		return (word << BITSET_SHIFT) + (uint32_t)__builtin_ctzll(set->words[word]);
	}
	return BITSET_NONE;
}

/** The lowest number that @nr ones in a row begin with, which is one; BITSET_NONE when there is none. O(numbers in the set below it). */
static inline uint32_t bitset_row(const struct bitset *set, uint32_t nr)
{
	uint32_t first = bitset_from(set, 0), limit = first;

	while (first != BITSET_NONE && limit - first < nr) {
		if (bitset_has(set, limit))
			limit++;
		else
			first = limit = bitset_from(set, limit);
	}
	return first;
}

#endif /* LIBARENA_BITSET_H */
