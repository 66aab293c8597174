/* SPDX-License-Identifier: MIT */
/*
 * The page allocator of a heap: runs of pages in chunks of a region.
 *
 * Short runs come from the fullest chunk that has room, so that emptier ones run dry and can go back whole; longer ones from the lowest
 * address that fits (first fit, a radix tree of summaries); a run that nearly fills its chunks begins with one, and the tail of its
 * last one is as good as any other free pages. Shape: Go's page allocator (proposal 35112) with the filler of Google's TCMalloc (A. Hunter et al., "Beyond
 * malloc efficiency to fleet efficiency", OSDI 2021).
 *
 * The heap's lock guards everything here; each function wants it held. Pages are numbers in the region.
 */
#ifndef LIBARENA_PALLOC_H
#define LIBARENA_PALLOC_H

#include "bitset.h"
#include "limit.h"
#include "region.h"
#include "tree.h"

/* Lists of chunks by free pages: 1-31, 32-63 ... 480-511. */
#define PALLOC_LISTS 16
/* Longer runs are placed by address. */
#define PALLOC_SHORT_PAGES 8u
/* A run begins with a chunk when that leaves at most so much of its own length free behind it. */
#define PALLOC_TAIL_PART 4

/*
 * Invariants: handed = mapped + nr_idle + returned; a chunk with free pages and pages in use is on the list of its fullness, one
 * without pages in use is in the set of idle ones.
 */
/* Where chunks get their memory from, apart from the source. */
struct palloc_place {
	int (*take)(void *context, void *address, size_t bytes); /* NULL: from the source */
	void (*give)(void *context, void *address, size_t bytes); /* may be NULL */
	void *context;
	bool is_zeroed;	/* take() gives zeros */
	int node;	/* that the memory is to be on, or -1 */
};

struct palloc {
	struct region *region;	/* fixed after palloc_init(), as all down to starts_small */
	enum arena_source source;
	bool starts_small;	/* the first chunk is of ordinary pages */
	bool has_grown;		/* since somebody looked: it may be near a limit */
	struct limit limit;
	struct palloc_place place;
	struct tree tree;
	uint32_t lists[PALLOC_LISTS];
	struct bitset idle;	/* chunks with memory and no page in use; its words are a table of ours */
	uint64_t handed;	/* chunks that got memory since start */
	uint64_t mapped;	/* chunks with pages in use */
	uint64_t nr_idle;
	uint64_t returned;	/* chunks given back to the system since start */
	uint64_t most_held;	/* at any time since start, of mapped and nr_idle together */
	uint64_t peak;		/* most of mapped since the scavenger last looked */
	uint64_t used_pages;
	uint32_t small_chunk;	/* the one of ordinary pages that it started with, until somebody has touched all of it; CHUNK_NONE: none */
};

/** 0 or -ENOMEM. @source is a real one, not AUTO. */
int palloc_init(struct palloc *pages, struct region *region, enum arena_source source);
/** Another place for memory, before there is any: 0, or -errno when there is none. */
int palloc_set_place(struct palloc *pages, const struct palloc_place *place);
/** Give back all chunks, whatever is in them: O(chunks). */
void palloc_fini(struct palloc *pages);

/**
 * A run of @nr pages whose address is aligned to @align_pages (a power of two, a chunk's or more too); PAGE_NONE when out of memory.
 * *@is_zero says whether it is known to hold zeros.
 */
uint32_t palloc_run(struct palloc *pages, uint32_t nr, uint32_t align_pages, bool *is_zero);
/** Another chunk with memory becomes idle; false when there is no room for it. */
bool palloc_grow(struct palloc *pages);
/** Give back a run, or any part of one. */
void palloc_free(struct palloc *pages, uint32_t page, uint32_t nr);
/** Take the @nr pages behind a run as well: false when they are not all free. */
bool palloc_extend(struct palloc *pages, uint32_t page, uint32_t nr);
/**
 * For a thread's page cache: the lowest @nr free pages, or all there are, of one aligned group of 64, as bits; *@first is the group's first
 * page. 0 when out of memory.
 */
uint64_t palloc_take_group(struct palloc *pages, unsigned int nr, uint32_t *first);
void palloc_give_group(struct palloc *pages, uint32_t first, uint64_t group);

/** Chunks with memory. */
static inline uint64_t palloc_held(const struct palloc *pages)
{
	return pages->mapped + pages->nr_idle;
}

/** By how many chunks this heap, or all of the region together, would be over a soft limit with @nr more. The greater number. */
uint64_t palloc_excess(const struct palloc *pages, uint64_t nr);

/** Give back idle chunks, highest address first, until @keep are left, at most @max, or until the system refuses one; returns how many. O(1) for each. */
uint64_t palloc_scavenge(struct palloc *pages, uint64_t keep, uint64_t max);
/** Let the system take the memory of idle chunks where the source offers that (dev): it tells before, and they come back when used. */
void palloc_keep_idle(struct palloc *pages);
/** Panics when tables and counters contradict each other. */
void palloc_validate(const struct palloc *pages);

#endif /* LIBARENA_PALLOC_H */
