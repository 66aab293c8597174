/* SPDX-License-Identifier: MIT */
/*
 * A leaf: which of 512 pages are in use, one bit each, in one cache line. Pure arithmetic: no addresses, no locks.
 *
 * Finding and summarizing look at a word at a time, never at a bit: a word that is wholly free or in use is one comparison,
 * and inside a word a run of n is found in log2(n) shifts (H. Warren, Hacker's Delight, "finding a string of 1-bits").
 * The shape is that of Go's page allocator (proposal 35112).
 */
#ifndef LIBARENA_BITS_H
#define LIBARENA_BITS_H

#include "base.h"

#define BITS_PER_WORD 64
#define BITS_PER_LEAF 512
#define BITS_WORDS (BITS_PER_LEAF / BITS_PER_WORD)

/* A set bit is a page in use. Bit 0 of word 0 is the first page. Guarded by whoever owns the leaf. */
struct bits {
	uint64_t word[BITS_WORDS];
};

/* The free runs of a leaf or of a larger stretch, in pages: at its start, the longest, at its end. */
struct free_runs {
	unsigned int start, max, end;
};

/** @nr ones, from bit @first of a word; @first + @nr <= 64 and @nr > 0. */
static inline uint64_t bits_mask(unsigned int first, unsigned int nr)
{
	return (~(uint64_t)0 >> (BITS_PER_WORD - nr)) << first;
}

/**
 * Set bit @n of an array of words; whether it was set. Compilers make eight instructions of it where x86 has one, in the middle of the most
 * frequent path there is. (That one is not atomic.)
 */
static inline bool words_set_bit(uint64_t *words, uint64_t n)
{
#ifdef __x86_64__
	bool was;

	__asm__("btsq %3, %1" : "=@ccc"(was), "+m"(words[0]), "+m"(*(struct { uint64_t rest[3]; } *)(words + 1)) : "r"(n));
	return was;
#else
	uint64_t *at = &words[n / BITS_PER_WORD], bit = (uint64_t)1 << n % BITS_PER_WORD, word = *at;

	__atomic_store_n(at, word | bit, __ATOMIC_RELAXED);
	return word & bit;
#endif
}

/** The lowest set bit of @word, which is not 0. Compilers widen what their own function gives, from int, once more. */
static inline uint64_t word_lowest(uint64_t word)
{
#ifdef __x86_64__
	/* tzcnt where there is one, else bsf: the same for what is not 0. In place, so that it waits for no other register. */
	__asm__("rep bsfq %0, %0" : "+r"(word) : : "cc");
	return word;
#else
	return (uint64_t)__builtin_ctzll(word);
#endif
}

static inline uint64_t word_rotate_right(uint64_t word, unsigned int n)
{
	return word >> n | word << (BITS_PER_WORD - n);
}

/* Ones at the low and at the high end of a word: 0 to 64. */
static inline unsigned int ones_low(uint64_t word)
{
	return ~word ? (unsigned int)__builtin_ctzll(~word) : BITS_PER_WORD;
}

static inline unsigned int ones_high(uint64_t word)
{
	return ~word ? (unsigned int)__builtin_clzll(~word) : BITS_PER_WORD;
}

/** The lowest position in @word where @nr ones start (1 to 64); 64 when there is none. O(log nr). */
static inline unsigned int ones_find(uint64_t word, unsigned int nr)
{
	unsigned int have = 1, step;

	/* Bit i of word says that @have ones start at i. */
	for (; have < nr && word; have += step) {
		step = have < nr - have ? have : nr - have;
		word &= word >> step;
	}
	return word ? (unsigned int)__builtin_ctzll(word) : BITS_PER_WORD;
}

/** The longest run of ones in @word, when it is more than @least; else @least. */
static inline unsigned int ones_longest(uint64_t word, unsigned int least)
{
	unsigned int have = 1;

	if (least >= BITS_PER_WORD || ones_find(word, least + 1) == BITS_PER_WORD)
		return least;
	for (; word & word >> 1; have++)
		word &= word >> 1;
	return have;
}

/* Apply to the words that [first, first + nr) touches: the word's number and the mask of the bits in it. */
#define BITS_FOR_RANGE(w, mask, first, nr) \
	for (unsigned int bits_at_ = (first), bits_end_ = bits_at_ + (nr), w, nr_; bits_at_ < bits_end_; bits_at_ += nr_) \
		for (uint64_t mask = (w = bits_at_ / BITS_PER_WORD, \
				      nr_ = BITS_PER_WORD - bits_at_ % BITS_PER_WORD, \
				      nr_ = nr_ < bits_end_ - bits_at_ ? nr_ : bits_end_ - bits_at_, \
				      bits_mask(bits_at_ % BITS_PER_WORD, nr_)); \
		     mask; mask = 0)

static inline void bits_use(struct bits *bits, unsigned int first, unsigned int nr)
{
	BITS_FOR_RANGE(w, mask, first, nr)
		bits->word[w] |= mask;
}

static inline void bits_free(struct bits *bits, unsigned int first, unsigned int nr)
{
	BITS_FOR_RANGE(w, mask, first, nr)
		bits->word[w] &= ~mask;
}

/** Pages of [@first, @first + @nr) that are in use. */
static inline unsigned int bits_count(const struct bits *bits, unsigned int first, unsigned int nr)
{
	unsigned int count = 0;

	BITS_FOR_RANGE(w, mask, first, nr)
		count += (unsigned int)__builtin_popcountll(bits->word[w] & mask);
	return count;
}

/**
 * The first free run of @nr pages (1 to 512) that starts at or after @from; BITS_PER_LEAF when there is none.
 */
static inline unsigned int bits_find(const struct bits *bits, unsigned int nr, unsigned int from)
{
	/* Free pages directly below the word looked at, which reach from @from or later. */
	unsigned int below = 0;

	for (unsigned int w = from / BITS_PER_WORD; w < BITS_WORDS; w++) {
		uint64_t free_bits = ~bits->word[w];
		unsigned int at;

		if (w == from / BITS_PER_WORD)
			free_bits &= ~(uint64_t)0 << from % BITS_PER_WORD;
		if (below + ones_low(free_bits) >= nr)
			return w * BITS_PER_WORD - below;
		at = nr <= BITS_PER_WORD ? ones_find(free_bits, nr) : BITS_PER_WORD;
		if (at < BITS_PER_WORD)
			return w * BITS_PER_WORD + at;
		below = ~free_bits ? ones_high(free_bits) : below + BITS_PER_WORD;
	}
	return BITS_PER_LEAF;
}

/** The free runs of the whole leaf. */
static inline struct free_runs bits_runs(const struct bits *bits)
{
	struct free_runs runs = { .start = BITS_PER_LEAF };
	unsigned int below = 0;

	for (unsigned int w = 0; w < BITS_WORDS; w++) {
		uint64_t free_bits = ~bits->word[w];

		if (!~free_bits) {
			below += BITS_PER_WORD;
			continue;
		}
		below += ones_low(free_bits);
		if (runs.start == BITS_PER_LEAF)
			runs.start = below;
		runs.max = below > runs.max ? below : runs.max;
		runs.max = ones_longest(free_bits, runs.max);
		below = ones_high(free_bits);
	}
	runs.end = below;
	runs.max = below > runs.max ? below : runs.max;
	return runs;
}

#endif /* LIBARENA_BITS_H */
