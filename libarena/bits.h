/* SPDX-License-Identifier: MIT */
/*
 * A leaf: which of 512 pages are in use, one bit each, in one cache line. Pure arithmetic: no addresses, no locks.
 *
 * Finding and summarizing look at a word at a time, never at a bit: runs that reach an end of a word or its middle are measured by counting
 * zeros, and others of n found in log2(n) shifts (H. Warren, Hacker's Delight, "finding a string of 1-bits").
 * The shape is that of Go's page allocator (proposal 35112).
 */
#ifndef LIBARENA_BITS_H
#define LIBARENA_BITS_H

#include "base.h"

#define BITS_PER_WORD 64
#define BITS_LEAF_SHIFT 9
#define BITS_PER_LEAF (1 << BITS_LEAF_SHIFT)
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
 * Set bit @n of an array of words; whether it was set. Compilers make eight instructions of it where x86 needs five, in the middle of the most
 * frequent path there is. (They are not atomic. One would do, `bts` on memory, but processors take that apart: what waits for the word waits longer.)
 */
static inline bool words_set_bit(uint64_t *words, uint64_t n)
{
#ifdef __x86_64__
	uint64_t word;
	bool was;

	__asm__("movq %[at], %[word]\n\tbtsq %[n], %[word]\n\tmovq %[word], %[at]"
		: "=@ccc"(was), [at] "+m"(words[n / BITS_PER_WORD]), [word] "=&r"(word)
		: [n] "r"(n));
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

/* Ones at the low end of a word: 0 to 64. */
static inline unsigned int ones_low(uint64_t word)
{
	return ~word ? (unsigned int)__builtin_ctzll(~word) : BITS_PER_WORD;
}

/** The positions in @word where @nr ones start (1 to 65): each run of ones, shorter by @nr - 1. O(log nr). */
static inline uint64_t ones_starts(uint64_t word, unsigned int nr)
{
	/* Bit i of word says that @have ones start at i. */
	unsigned int have = 1;

	for (; 2 * have <= nr; have *= 2) {
		word &= word >> have;
		if (!word)
			return 0;
	}
	return word & word >> (nr - have);
}

/** The lowest position in @word where @nr ones start (1 to 64); 64 when there is none. O(log nr). */
static inline unsigned int ones_find(uint64_t word, unsigned int nr)
{
	word = ones_starts(word, nr);
	return word ? (unsigned int)__builtin_ctzll(word) : BITS_PER_WORD;
}

/** The longest run of ones in @word, when it is more than @least; else @least. */
static inline unsigned int ones_longest(uint64_t word, unsigned int least)
{
	unsigned int most = least;

	/* What is left of longer runs, mostly none or one: measured, and taken away by a carry through it. */
	for (word = ones_starts(word, least + 1); word; word &= word + (word & -word))
		most = unsigned_max(most, least + ones_low(word >> __builtin_ctzll(word)));
	return most;
}

/** The run of zeros through the middle of @word, or that ends there. One that is longer than half a word goes through. */
static inline unsigned int zeros_middle(uint64_t word)
{
	const unsigned int half = BITS_PER_WORD / 2;
	uint64_t end = (uint64_t)1 << half;

	return (unsigned int)__builtin_clzll(word << half | end >> 1) + (unsigned int)word_lowest(word >> half | end);
}

/* The lowest @nr bits of a word; all for more. */
static inline uint64_t bits_below(unsigned int nr)
{
	return nr < BITS_PER_WORD ? ~(~(uint64_t)0 << nr) : ~(uint64_t)0;
}

/* Apply to the words that [first, first + nr) touches: the word's number and the mask of the bits in it. */
#define BITS_FOR_RANGE(w, mask, first, nr) \
	for (unsigned int w = (first) / BITS_PER_WORD, from_ = (first) % BITS_PER_WORD, end_ = (first) + (nr); \
	     w * BITS_PER_WORD < end_; w++, from_ = 0) \
		for (uint64_t mask = ~(uint64_t)0 << from_ & bits_below(end_ - w * BITS_PER_WORD); mask; mask = 0)

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

/** The first free run of @nr pages (1 to 512) that begins in word @w or later; BITS_PER_LEAF when there is none. */
static inline unsigned int bits_find(const struct bits *bits, unsigned int nr, unsigned int w)
{
	/* Free pages directly below the word looked at. */
	unsigned int below = 0;

	for (; w < BITS_WORDS; w++) {
		uint64_t used = bits->word[w];

		if (!used) {
			below += BITS_PER_WORD;
			continue;
		}
		if (below + word_lowest(used) >= nr)
			break;
		/* One with an end on both sides in the word. */
		if (nr <= BITS_PER_WORD - 2) {
			unsigned int at = ones_find(~used, nr);

			if (at < BITS_PER_WORD)
				return w * BITS_PER_WORD + at;
		}
		below = (unsigned int)__builtin_clzll(used);
	}
	return w < BITS_WORDS || below >= nr ? w * BITS_PER_WORD - below : BITS_PER_LEAF;
}

/**
 * The free runs of the whole leaf. Of those that reach an end of a word or go through its middle each is measured, without a branch that
 * depends on where runs are; only when all of these are short does a longer one have to be looked for.
 */
static inline struct free_runs bits_runs(const struct bits *bits)
{
	struct free_runs runs = { 0 };
	unsigned int below, w = 0;

	while (w < BITS_WORDS && !bits->word[w])
		w++;
	if (w == BITS_WORDS)
		return (struct free_runs){ BITS_PER_LEAF, BITS_PER_LEAF, BITS_PER_LEAF };
	below = w * BITS_PER_WORD;
	runs.start = below + (unsigned int)__builtin_ctzll(bits->word[w]);
	for (; w < BITS_WORDS; w++) {
		uint64_t used = bits->word[w];

		if (!used) {
			below += BITS_PER_WORD;
			continue;
		}
		below += (unsigned int)word_lowest(used);
		runs.max = unsigned_max(runs.max, below);
		runs.max = unsigned_max(runs.max, zeros_middle(used));
		below = (unsigned int)__builtin_clzll(used);
	}
	runs.end = below;
	runs.max = unsigned_max(runs.max, below);
	for (w = 0; w < BITS_WORDS && runs.max < BITS_PER_WORD / 2; w++)
		runs.max = ones_longest(~bits->word[w], runs.max);
	return runs;
}

#endif /* LIBARENA_BITS_H */
