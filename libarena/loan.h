/* SPDX-License-Identifier: MIT */
/*
 * How a cache counts to the next sampled object without counting on its fast path.
 *
 * While there is sampling a class is not allocated from the word of its span but from one of its own, which holds only so many of the
 * span's free slots as are to be handed out before the next sample. When these are used up, the slow path is where an allocation ends up anyway:
 *
 *	span's word	1 1 0 0 0 0 0 1		freed slots, and those beyond the next sample
 *	loan's word	0 0 0 1 0 1 0 0		what the fast path may take
 *
 * Without sampling there are no loans, and the fast paths are the same.
 *
 * Limit: a slot on loan, at most 64 of a class, looks to free() as if it were in use. An object that is freed twice is not noticed while its slot is.
 */
#ifndef LIBARENA_LOAN_H
#define LIBARENA_LOAN_H

#include "cache.h"
#include "os.h"
#include "profile.h"

/* Of one class; atomic, relaxed, what loan_lent() reads. */
struct loan {
	uint64_t word;		/* atomic: free slots, cleared in the span */
	uint64_t *home;		/* atomic: the span's word that they are from, while the fronts look at word */
	uint64_t mean_bytes;	/* that skip was drawn for; 0 = none yet */
	uint32_t skip;		/* objects until the next sample, beside those in word */
};

struct loans {
	struct loan of[NR_CLASSES];
};

/** Whether a cache lends, or is about to. */
static inline bool loan_wanted(const struct cache *cache)
{
	return cache->loans || atomic_load_relaxed(&profile_mean_word);
}

/** Make room for a cache's loans: false when out of memory. */
static inline bool loan_open(struct cache *cache)
{
	/* The release pairs with loan_lent(). */
	if (!cache->loans)
		atomic_store_release(&cache->loans, (struct loans *)os_table(align_up(sizeof(*cache->loans), PAGE_BYTES)));
	return cache->loans;
}

/* All fronts of a class look at the same word. */
static inline void loan_set_word(struct cache *cache, unsigned int class, uint64_t *word)
{
	for (unsigned int i = size_classes[class].first_front; i <= size_classes[class].front; i++)
		cache->fronts[i].word = word;
}

/** The word that a class is allocated from is the span's again. */
static inline void loan_return(struct cache *cache, unsigned int class)
{
	struct loan *loan = &cache->loans->of[class];
	uint64_t *home = loan->home;

	if (cache->fronts[size_classes[class].front].word != &loan->word)
		return;
	loan_set_word(cache, class, home);
	/* A class without a span looks at a word that nobody may write. */
	if (!loan->word)
		return;
	atomic_store_relaxed(home, *home | loan->word);
	loan->skip += (uint32_t)__builtin_popcountll(loan->word);
	atomic_store_relaxed(&loan->word, 0u);
}

/** A class is allocated from a loan: free slots of its word, at most loan->skip. After loan_return(). */
static inline void loan_take(struct cache *cache, unsigned int class)
{
	struct loan *loan = &cache->loans->of[class];
	uint64_t *home = cache->fronts[size_classes[class].front].word, kept = *home;

	if ((uint32_t)__builtin_popcountll(kept) <= loan->skip)
		kept = 0;
	else
		for (uint32_t i = 0; i < loan->skip; i++)
			kept &= kept - 1;
	atomic_store_relaxed(&loan->word, *home & ~kept);
	atomic_store_relaxed(&loan->home, home);
	loan->skip -= (uint32_t)__builtin_popcountll(loan->word);
	if (loan->word)
		atomic_store_relaxed(home, kept);
	loan_set_word(cache, class, &loan->word);
}

/** Slots that are on loan from the word @home of a span of @owner; NULL, nobody's, lends none. Any thread, of which all but the owner's get a hint. */
static inline uint64_t loan_lent(const struct cache *owner, unsigned int class, const uint64_t *home)
{
	const struct loans *loans = owner ? atomic_load_acquire(&owner->loans) : NULL; /* pairs with loan_open() */

	return loans && atomic_load_relaxed(&loans->of[class].home) == home ? atomic_load_relaxed(&loans->of[class].word) : 0;
}

#endif /* LIBARENA_LOAN_H */
