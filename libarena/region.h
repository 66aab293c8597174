/* SPDX-License-Identifier: MIT */
/*
 * Regions: the addresses that heaps live in, reserved once, and the tables that say what is where.
 *
 * One region serves all heaps of a process, whatever their sources, and is aligned to a power of two that it fits into: so freeing finds the
 * record of a page by a shift and a mask of the address alone. (A window rotates its addresses
 * so that freed ones rest; a region does the opposite and hands out the lowest, so that heaps stay dense.)
 *
 * Where fewer addresses are to be had than wanted (RLIMIT_AS), half of these are reserved at first, because the program needs some as well. The
 * region grows behind its last chunk, by what is asked for and as far as the place is nobody's, and gives these addresses back when the chunks there are.
 *
 * Tables are opened as chunks are taken, a power of two of them at any time, and never closed: a record may be looked at by any thread at
 * any time.
 */
#ifndef LIBARENA_REGION_H
#define LIBARENA_REGION_H

#include "arena/arena.h"
#include "bits.h"
#include "limit.h"
#include "lock.h"
#include "span.h"

struct palloc;

#define CHUNK_NONE UINT32_MAX

/* A chunk of a heap. Guarded by the lock of that heap; by the region's while nobody's. */
struct chunk_info {
	struct palloc *pages;	/* atomic, relaxed: the page allocator whose it is; NULL = nobody's */
	uint32_t next, prev;	/* chunks; list of those as full as this one */
	uint16_t nr_free;	/* free pages. Atomic, relaxed: caches look at it without the lock of the heap */
	uint16_t zero_from;	/* pages from here on are known to be zero: never used since the system gave them */
	uint8_t source;		/* enum arena_source that its memory is from */
	bool is_backed;		/* has memory, as far as it was touched */
	bool is_listed;		/* on the list of its fullness, or in the set of idle ones */
	bool is_kept;		/* the system may take its memory: idle, of dev */
};

struct region {
	uintptr_t base;		/* fixed after creation, as all down to the lock. Aligned to a power of two of at least its bytes; supplied: to a chunk */
	size_t bytes;		/* up to the last chunk that there may ever be */
	uint32_t max_chunks;	/* that there may ever be */
	uint32_t least_chunks;	/* whose addresses are never given back */
	struct span *spans;	/* per page */
	struct span_remote *remotes; /* per page */
	struct bits *leaves;	/* per chunk: pages in use. Guarded by the lock of the chunk's heap */
	struct chunk_info *chunks; /* per chunk */
	uint64_t *taken;	/* per chunk a bit: some heap's */
	int fd;			/* of the device's space whose slots are the chunks; -1: none. Fixed before a heap has chunks of dev */
	size_t nr_slots;	/* of that space: fixed as fd */
	bool is_supplied;	/* its memory is the program's, and stays */
	bool is_fenced_before, is_fenced_behind; /* by inaccessible addresses that are the region's */

	struct lock lock;	/* guards all below, and taken */
	uint32_t nr_chunks;	/* whose addresses are reserved */
	uint32_t nr_open;	/* chunks whose tables are open */
	uint32_t first_free;	/* no chunk below is free */
	uint32_t nr_taken;	/* chunks that are some heap's; atomic, relaxed: read as a hint without the lock */
	struct limit limit;	/* of nr_taken; soft_chunks as nr_taken */
};

/** Reserve addresses for heaps, @want_chunks, or half of what is to be had and the rest on demand: 0 or -ENOMEM. */
int region_init(struct region *region, size_t want_chunks);

/** The same in memory that is there, records and all; -ENOMEM when no chunk fits. */
int region_init_in(struct region *region, uintptr_t memory, size_t bytes);

/**
 * The lowest @nr neighboring chunks that are nobody's, now @pages's, without memory; CHUNK_NONE when addresses or the limit are used up. The address
 * of the first is aligned to @align_chunks, a power of two.
 */
uint32_t region_take(struct region *region, uint32_t nr, uint32_t align_chunks, struct palloc *pages);
/** Give back chunks that have no memory. */
void region_give(struct region *region, uint32_t chunk, uint32_t nr);

/** What all heaps together may hold from now on. */
void region_set_limit(struct region *region, struct limit limit);
/** By how many chunks all heaps together would be over the soft limit with @nr more; a hint while others grow. */
static inline uint64_t region_excess(const struct region *region, uint64_t nr)
{
	const struct limit soft = { .soft_chunks = atomic_load_relaxed(&region->limit.soft_chunks) };

	return limit_excess(&soft, atomic_load_relaxed(&region->nr_taken), nr);
}

/** Whether all heaps together may hold @nr chunks at all. */
bool region_allows(struct region *region, uint64_t nr);

/** Make chunks of the device to be had: 0, or -errno that says why they are not. The caller sees to it that one does so at a time. */
int region_start_dev(struct region *region);
/** Memory for chunks without: zeroed when touched. 0 or -ENOMEM. */
int region_back(struct region *region, uint32_t chunk, uint32_t nr, enum arena_source source);
/** Chunks have got memory, in whatever way; their pages from @zero_from on are zero. */
void region_set_backed(struct region *region, uint32_t chunk, uint32_t nr, enum arena_source source, uint32_t zero_from);
/** Let the system take the memory of an idle chunk, if its source can: it is not to be touched until region_unkeep(). */
void region_keep(struct region *region, uint32_t chunk);
/** Undo that: 0, or -ENOMEM when it was taken and there is no other. *@was_taken: it is another one, of zeros. */
int region_unkeep(struct region *region, uint32_t chunk, bool *was_taken);
/** Make zeros of an object. Chunks that are all its own take no memory then before they are touched, where that costs less than writing them. */
void region_clear(const struct region *region, void *object, size_t bytes);
/** Give the memory of chunks back to the system; their addresses fault. -errno when it refuses: they are as they were then, but for their contents. */
int region_unback(struct region *region, uint32_t chunk, uint32_t nr);
/** Of chunks that it refuses nobody has use for: they may be given, and their memory stays until they are backed again. */
void region_forget(struct region *region, uint32_t chunk, uint32_t nr);

/**
 * Whether an address is in the region or right beside it, and where there is no memory: *@behind is how far it is behind the last byte in front of
 * it that is memory, or 0 when none is. Takes no lock: a hint while other threads allocate. O(chunks) between.
 */
bool region_gap(const struct region *region, uintptr_t address, size_t *behind);

static inline uintptr_t region_address(const struct region *region, uint32_t page)
{
	return region->base + ((uintptr_t)page << PAGE_SHIFT);
}

static inline uint32_t region_page(const struct region *region, uintptr_t address)
{
	return (uint32_t)((address - region->base) >> PAGE_SHIFT);
}

#endif /* LIBARENA_REGION_H */
