// SPDX-License-Identifier: MIT
/*
 * Addresses and memory of heaps. Chunks are found by a scan of a bitmap from the lowest that may be free: taking one is rare, a
 * word says of 64 chunks (128 MiB) that they are taken.
 *
 * Giving memory back replaces the chunk by an inaccessible mapping, which merges with closed neighbors, frees page tables and makes a late
 * access fault. Anonymous memory comes back with one mapping call.
 *
 * Limits: a region that got all addresses it wanted stays as it is. A limit (RLIMIT_AS) that is set later lets the heap use what it has, and no more.
 * Growth ends where somebody else has mapped something behind the region.
 */
#include "region.h"

#include <errno.h>
#include <string.h>

#include "annotate.h"
#include "dev.h"
#include "os.h"

/* Tables of so many chunks are opened first: 4 MiB of addresses for 128 MiB of them. Later ones double what is open. */
#define OPEN_CHUNKS 64u
/* Less is no use, and could not keep strangers apart: an address that is led to a record in a table of that length is no slot of it. */
#define LEAST_CHUNKS 16u
/* Before and behind a region, so that a program that runs out of an object does not get into tables. More than the stride of most loops. */
#define FENCE_BYTES (64 * KiB)
_Static_assert(LEAST_CHUNKS * CHUNK_BYTES >= SPAN_MAX_SLOTS * 32 * KiB, "no record's slots reach to where it is met again");

/* ---------------------------------------------------------------- creation */

static void *table(size_t nr, size_t bytes)
{
	return os_reserve_table(align_up(nr * bytes, PAGE_BYTES));
}

static void drop_table(void *base, size_t nr, size_t bytes)
{
	if (base)
		os_unreserve(base, align_up(nr * bytes, PAGE_BYTES));
}

/* Chunks that the tables have room for: the mask of a cache (cache.h) wants a power of two. */
static size_t table_chunks(const struct region *region)
{
	return power_of_two_from(region->max_chunks);
}

/* Before there are tables: what is beside a region that has no fence there is somebody else's. */
static void set_fences(struct region *region)
{
	region->is_fenced_before = !os_reclaim((void *)(region->base - FENCE_BYTES), FENCE_BYTES);
	region->is_fenced_behind = !os_reclaim((void *)(region->base + region->bytes), FENCE_BYTES);
}

static void drop_fences(struct region *region)
{
	if (region->is_fenced_before)
		os_unreserve((void *)(region->base - FENCE_BYTES), FENCE_BYTES);
	if (region->is_fenced_behind)
		os_unreserve((void *)(region->base + region->bytes), FENCE_BYTES);
}

static void destroy(struct region *region)
{
	size_t nr = table_chunks(region);

	drop_table(region->spans, nr * PAGES_PER_CHUNK, sizeof(*region->spans));
	drop_table(region->remotes, nr * PAGES_PER_CHUNK, sizeof(*region->remotes));
	drop_table(region->leaves, nr, sizeof(*region->leaves));
	drop_table(region->chunks, nr, sizeof(*region->chunks));
	drop_table(region->taken, region->max_chunks / 64 + 1, sizeof(*region->taken));
	drop_fences(region);
	if (region->base)
		os_unreserve((void *)region->base, region->nr_chunks * CHUNK_BYTES);
	*region = (struct region){ 0 };
}

static bool create(struct region *region, size_t nr)
{
	region->nr_chunks = region->max_chunks = region->least_chunks = (uint32_t)nr;
	region->bytes = nr * CHUNK_BYTES;
	region->base = (uintptr_t)os_reserve(region->bytes, table_chunks(region) * CHUNK_BYTES);
	if (region->base)
		set_fences(region);
	region->spans = table(table_chunks(region) * PAGES_PER_CHUNK, sizeof(*region->spans));
	region->remotes = table(table_chunks(region) * PAGES_PER_CHUNK, sizeof(*region->remotes));
	region->leaves = table(table_chunks(region), sizeof(*region->leaves));
	region->chunks = table(table_chunks(region), sizeof(*region->chunks));
	region->taken = os_table(align_up((nr / 64 + 1) * sizeof(*region->taken), PAGE_BYTES));
	if (region->base && region->spans && region->remotes && region->leaves && region->chunks && region->taken)
		return true;
	destroy(region);
	return false;
}

/* Pages of a table that records [first, first + nr) touch; the ends may be open already. */
static bool open_part(void *base, size_t bytes, uint32_t first, uint32_t nr)
{
	uintptr_t from = (uintptr_t)base + first * bytes, to = from + nr * bytes;

	from &= ~(PAGE_BYTES - 1);
	return !os_open_table((void *)from, align_up(to, PAGE_BYTES) - from);
}

static bool open_tables(struct region *region, uint32_t limit)
{
	uint32_t first = region->nr_open, nr;

	if (limit <= first)
		return true;
	limit = (uint32_t)size_min(power_of_two_from(size_max(limit, OPEN_CHUNKS)), table_chunks(region));
	nr = limit - first;
	if (!open_part(region->spans, sizeof(*region->spans) * PAGES_PER_CHUNK, first, nr) ||
	    !open_part(region->remotes, sizeof(*region->remotes) * PAGES_PER_CHUNK, first, nr) ||
	    !open_part(region->leaves, sizeof(*region->leaves), first, nr) ||
	    !open_part(region->chunks, sizeof(*region->chunks), first, nr))
		return false;
	/* The release pairs with heap_open_bytes(). */
	atomic_store_release(&region->nr_open, limit);
	return true;
}

static bool is_taken(const struct region *region, uint32_t chunk)
{
	return region->taken[chunk / 64] >> chunk % 64 & 1;
}

/* No chunk from here on, and none below @least, is taken. */
static uint32_t free_end(const struct region *region, uint32_t least)
{
	uint32_t limit = region->nr_chunks;

	while (limit > least && !is_taken(region, limit - 1))
		limit--;
	return limit;
}

/* Give back the addresses of free chunks at the end, down to the least. */
static void shorten(struct region *region)
{
	uint32_t limit = free_end(region, region->least_chunks);

	if (limit < region->nr_chunks)
		os_unreserve((void *)(region->base + limit * CHUNK_BYTES), (region->nr_chunks - limit) * CHUNK_BYTES);
	region->nr_chunks = limit;
}

int region_init(struct region *region, size_t want_chunks)
{
	size_t nr = want_chunks;

	*region = (struct region){ 0 };
	while (!create(region, nr) && nr > LEAST_CHUNKS)
		nr -= nr / 8;
	if (region->base && nr < want_chunks && nr / 2 > LEAST_CHUNKS) {
		/* Cut off at last, so that the tables are not where it is to grow. */
		region->least_chunks = (uint32_t)nr / 2;
		shorten(region);
	}
	region->lock = (struct lock)LOCK_INIT(LOCK_REGION);
	region->limit = limit_from_bytes(0);
	region->fd = -1;
	/* Where no misuse is sought NULL is led to the first record, as an object is: nobody must own that. */
	region->first_free = !SEEKS_MISUSE;
	/* So that there are records to look at before there are pages. */
	if (region->base && open_tables(region, 1))
		return 0;
	destroy(region);
	return -ENOMEM;
}

/* Zeroed records from the front of the memory. */
static void *cut(uintptr_t *at, size_t nr, size_t bytes)
{
	void *records = memset((void *)*at, 0, align_up(nr * bytes, 64));

	*at += align_up(nr * bytes, 64);
	return records;
}

static size_t records_bytes(size_t nr)
{
	return align_up(nr * PAGES_PER_CHUNK * sizeof(struct span), 64) + align_up(nr * PAGES_PER_CHUNK * sizeof(struct span_remote), 64) +
	       align_up(nr * sizeof(struct bits), 64) + align_up(nr * sizeof(struct chunk_info), 64) +
	       align_up((nr / 64 + 1) * sizeof(uint64_t), 64);
}

int region_init_in(struct region *region, uintptr_t memory, size_t bytes)
{
	uintptr_t limit = memory + bytes, base = 0, at = align_up(memory, 64);
	size_t nr = bytes / CHUNK_BYTES;

	/* The most chunks that leave room for their records. */
	for (; nr && (base = align_up(at + records_bytes(nr), CHUNK_BYTES)) + nr * CHUNK_BYTES > limit; nr--)
		;
	if (!nr)
		return -ENOMEM;
	*region = (struct region){ .base = base, .bytes = nr * CHUNK_BYTES, .fd = -1, .is_supplied = true };
	region->nr_chunks = region->max_chunks = region->least_chunks = region->nr_open = (uint32_t)nr;
	region->spans = cut(&at, nr * PAGES_PER_CHUNK, sizeof(*region->spans));
	region->remotes = cut(&at, nr * PAGES_PER_CHUNK, sizeof(*region->remotes));
	region->leaves = cut(&at, nr, sizeof(*region->leaves));
	region->chunks = cut(&at, nr, sizeof(*region->chunks));
	region->taken = cut(&at, nr / 64 + 1, sizeof(*region->taken));
	region->lock = (struct lock)LOCK_INIT(LOCK_REGION);
	region->limit = limit_from_bytes(0);
	return 0;
}

/* ---------------------------------------------------------------- addresses */

static void set_taken(struct region *region, uint32_t chunk, uint32_t nr, bool taken)
{
	for (uint32_t i = chunk; i < chunk + nr; i++) {
		uint64_t bit = (uint64_t)1 << i % 64;

		region->taken[i / 64] = taken ? region->taken[i / 64] | bit : region->taken[i / 64] & ~bit;
	}
}

static bool is_aligned(const struct region *region, uint32_t chunk, uint32_t align_chunks)
{
	return !((region->base / CHUNK_BYTES + chunk) & (align_chunks - 1));
}

/* The lowest @nr free chunks in a row from an aligned one on. */
static uint32_t find(const struct region *region, uint32_t nr, uint32_t align_chunks)
{
	uint32_t run = 0;

	for (uint32_t i = region->first_free; i < region->nr_chunks; i++) {
		if (i % 64 == 0 && !~region->taken[i / 64]) {
			i += 63;
			run = 0;
			continue;
		}
		/* Among free chunks the run that begins first is the first to be long enough. */
		run = is_taken(region, i) || (!run && !is_aligned(region, i, align_chunks)) ? 0 : run + 1;
		if (run == nr)
			return i + 1 - nr;
	}
	return CHUNK_NONE;
}

/* Make the free end @nr chunks long, from an aligned one on. The addresses behind it are reserved only if they are nobody's. */
static uint32_t extend(struct region *region, uint32_t nr, uint32_t align_chunks)
{
	uint32_t chunk = free_end(region, 0), more;

	while (!is_aligned(region, chunk, align_chunks))
		chunk++;
	more = chunk + nr - region->nr_chunks;
	if (chunk + nr > region->max_chunks || os_reclaim((void *)(region->base + region->nr_chunks * CHUNK_BYTES), more * CHUNK_BYTES))
		return CHUNK_NONE;
	region->nr_chunks += more;
	return chunk;
}

/* Of addresses that are there, or are to be had. */
static uint32_t find_or_extend(struct region *region, uint32_t nr, uint32_t align_chunks)
{
	uint32_t chunk = find(region, nr, align_chunks);

	return chunk == CHUNK_NONE ? extend(region, nr, align_chunks) : chunk;
}

uint32_t region_take(struct region *region, uint32_t nr, uint32_t align_chunks, struct palloc *pages)
{
	uint32_t chunk = CHUNK_NONE;

	lock_acquire(&region->lock);
	if (nr <= region->max_chunks && limit_allows(&region->limit, region->nr_taken, nr))
		chunk = find_or_extend(region, nr, align_chunks);
	if (chunk != CHUNK_NONE && !open_tables(region, chunk + nr)) {
		shorten(region);
		chunk = CHUNK_NONE;
	}
	if (chunk != CHUNK_NONE) {
		set_taken(region, chunk, nr, true);
		atomic_store_relaxed(&region->nr_taken, region->nr_taken + nr);
		if (chunk == region->first_free)
			region->first_free = chunk + nr;
	}
	lock_release(&region->lock);
	for (uint32_t i = chunk; chunk != CHUNK_NONE && i < chunk + nr; i++)
		atomic_store_relaxed(&region->chunks[i].pages, pages);
	return chunk;
}

void region_give(struct region *region, uint32_t chunk, uint32_t nr)
{
	for (uint32_t i = chunk; i < chunk + nr; i++) {
		check(!region->chunks[i].is_backed && !region->chunks[i].is_listed);
		atomic_store_relaxed(&region->chunks[i].pages, NULL);
	}
	lock_acquire(&region->lock);
	set_taken(region, chunk, nr, false);
	atomic_store_relaxed(&region->nr_taken, region->nr_taken - nr);
	if (chunk < region->first_free)
		region->first_free = chunk;
	shorten(region);
	lock_release(&region->lock);
}

void region_set_limit(struct region *region, struct limit limit)
{
	lock_acquire(&region->lock);
	region->limit.hard_chunks = limit.hard_chunks;
	atomic_store_relaxed(&region->limit.soft_chunks, limit.soft_chunks);
	lock_release(&region->lock);
}

bool region_allows(struct region *region, uint64_t nr)
{
	bool allows;

	lock_acquire(&region->lock);
	allows = limit_allows(&region->limit, 0, nr);
	lock_release(&region->lock);
	return allows;
}

bool region_gap(const struct region *region, uintptr_t address, size_t *behind)
{
	uintptr_t offset = address - region->base;
	size_t chunk = size_min(offset / CHUNK_BYTES + 1, atomic_load_acquire(&region->nr_open)); /* pairs with open_tables() */

	*behind = 0;
	if (!region->base || address < region->base - FENCE_BYTES || address >= region->base + region->bytes + FENCE_BYTES)
		return false;
	if (address < region->base)
		return true;
	/* A hint, as other threads give back and take meanwhile. */
	while (chunk && !region->chunks[chunk - 1].is_backed)
		chunk--;
	*behind = chunk && offset >= chunk * CHUNK_BYTES ? offset - chunk * CHUNK_BYTES + 1 : 0;
	return !chunk || *behind;
}

/* ---------------------------------------------------------------- memory */

int region_start_dev(struct region *region)
{
	int fd = region->fd < 0 ? dev_create_cow(region->max_chunks, &region->nr_slots) : region->fd;

	if (fd < 0)
		return fd;
	region->fd = fd;
	return 0;
}

/* Reserved apart from mapping, so that what fails after the mapping is closed again by force: it is ours. */
static int back_dev(struct region *region, uint32_t chunk, uint32_t nr)
{
	void *base = (void *)(region->base + chunk * CHUNK_BYTES);
	int error;

	if (region->fd < 0 || chunk + nr > region->nr_slots)
		return -ENOMEM;
	error = os_map_part(base, nr * CHUNK_BYTES, region->fd, chunk * CHUNK_BYTES);
	if (error)
		return error;
	error = dev_reserve(region->fd, chunk, nr);
	if (error)
		os_close(base, nr * CHUNK_BYTES);
	return error;
}

void region_set_backed(struct region *region, uint32_t chunk, uint32_t nr, enum arena_source source, uint32_t zero_from)
{
	uintptr_t base = region->base + chunk * CHUNK_BYTES;

	if (!region->is_supplied)
		annotate_forbid(base, base + nr * CHUNK_BYTES);
	for (uint32_t i = chunk; i < chunk + nr; i++) {
		region->chunks[i].is_backed = true;
		region->chunks[i].source = (uint8_t)source;
		region->chunks[i].zero_from = (uint16_t)zero_from;
	}
}

int region_back(struct region *region, uint32_t chunk, uint32_t nr, enum arena_source source)
{
	void *base = (void *)(region->base + chunk * CHUNK_BYTES);
	size_t bytes = nr * CHUNK_BYTES;
	int error;

	if (source == ARENA_SOURCE_DEV)
		error = back_dev(region, chunk, nr);
	else if (source == ARENA_SOURCE_HUGETLB)
		error = os_map_hugetlb(base, bytes);
	else
		error = os_open(base, bytes, source == ARENA_SOURCE_THP ? OS_PAGES_HUGE : OS_PAGES_SMALL);
	if (!error)
		region_set_backed(region, chunk, nr, source, 0);
	else
		os_reclaim(base, bytes); /* The kernel may have made a hole first, which is anybody's and would be mapped over later. */
	return error;
}

void region_keep(struct region *region, uint32_t chunk)
{
	struct chunk_info *it = &region->chunks[chunk];

	/* A module without that keeps it for us alone. */
	if (it->source == ARENA_SOURCE_DEV && !it->is_kept)
		it->is_kept = !dev_keep(region->fd, chunk, 1);
}

int region_unkeep(struct region *region, uint32_t chunk, bool *was_taken)
{
	size_t nr_fresh;
	int error = dev_unkeep(region->fd, chunk, 1, &nr_fresh);

	*was_taken = nr_fresh;
	if (!error)
		region->chunks[chunk].is_kept = false;
	return error;
}

/* Small pages cost as much to be given back as to be written, and a fault each. */
static bool drop_chunks(const struct region *region, uintptr_t base, uintptr_t limit)
{
	for (uint32_t page = region_page(region, base); page < region_page(region, limit); page += PAGES_PER_CHUNK)
		if (region->chunks[page / PAGES_PER_CHUNK].source != ARENA_SOURCE_THP)
			return false;
	return base < limit && !region->is_supplied && !os_drop_unlocked((void *)base, limit - base);
}

void region_clear(const struct region *region, void *object, size_t bytes)
{
	uintptr_t at = (uintptr_t)object, base = align_up(at, CHUNK_BYTES), limit = (at + bytes) & ~(CHUNK_BYTES - 1);

	if (!drop_chunks(region, base, limit)) {
		memset(object, 0, bytes);
		return;
	}
	memset(object, 0, base - at);
	memset((void *)limit, 0, at + bytes - limit);
}

/* What is not to be had by closing, as where the address map is full, goes back all the same. */
static int take_memory(const struct region *region, uint32_t chunk, uint32_t nr)
{
	void *base = (void *)(region->base + chunk * CHUNK_BYTES);
	bool is_dev = region->chunks[chunk].source == ARENA_SOURCE_DEV;
	int error = is_dev ? dev_zap(region->fd, chunk, nr) : 0;

	if (!error && os_close(base, nr * CHUNK_BYTES) && !is_dev)
		error = os_drop(base, nr * CHUNK_BYTES);
	return error;
}

void region_forget(struct region *region, uint32_t chunk, uint32_t nr)
{
	for (uint32_t i = chunk; i < chunk + nr; i++)
		region->chunks[i].is_backed = region->chunks[i].is_kept = false;
}

int region_unback(struct region *region, uint32_t chunk, uint32_t nr)
{
	uintptr_t base = region->base + chunk * CHUNK_BYTES;
	int error = region->is_supplied ? 0 : take_memory(region, chunk, nr);

	if (error)
		return error;
	region_forget(region, chunk, nr);
	if (!region->is_supplied)
		annotate_revoked(base, base + nr * CHUNK_BYTES);
	return 0;
}
