// SPDX-License-Identifier: MIT
/*
 * Pages are found in three ways: by fullness (lists of chunks, and the bottom row of summaries, which says of each chunk in one load whether
 * a run fits), by address (the tree), or by taking a chunk from the region. A chunk whose last page is freed becomes idle: it keeps
 * its memory until it is used again, the lowest first, or scavenged, the highest first.
 */
#include "palloc.h"

#include <errno.h>

#include "annotate.h"
#include "os.h"

_Static_assert(BITSET_NONE == CHUNK_NONE, "no number is no chunk");

/* Chunks of one fullness that are asked for a short run; only runs of several pages need more than one. */
#define CHUNKS_TRIED 4

static struct chunk_info *info(const struct palloc *pages, uint32_t chunk)
{
	return &pages->region->chunks[chunk];
}

static struct bits *leaf(const struct palloc *pages, uint32_t chunk)
{
	return &pages->region->leaves[chunk];
}

/* ---------------------------------------------------------------- lists, and the set of idle chunks */

/* The list of chunks with so many free pages; PALLOC_LISTS is for idle ones. */
static unsigned int fullness(uint32_t nr_free)
{
	return nr_free / (uint32_t)(PAGES_PER_CHUNK / PALLOC_LISTS);
}

static void list_add(struct palloc *pages, uint32_t chunk)
{
	struct chunk_info *it = info(pages, chunk);
	uint32_t *list = &pages->lists[fullness(it->nr_free)];

	it->is_listed = true;
	if (it->nr_free == PAGES_PER_CHUNK) {
		bitset_add(&pages->idle, chunk);
		return;
	}
	it->prev = CHUNK_NONE;
	it->next = *list;
	if (it->next != CHUNK_NONE)
		info(pages, it->next)->prev = chunk;
	*list = chunk;
}

static void list_remove(struct palloc *pages, uint32_t chunk)
{
	struct chunk_info *it = info(pages, chunk);

	it->is_listed = false;
	if (it->nr_free == PAGES_PER_CHUNK) {
		bitset_remove(&pages->idle, chunk);
		return;
	}
	if (it->next != CHUNK_NONE)
		info(pages, it->next)->prev = it->prev;
	if (it->prev != CHUNK_NONE)
		info(pages, it->prev)->next = it->next;
	else
		pages->lists[fullness(it->nr_free)] = it->next;
}

/* A chunk has another number of free pages now. */
static void set_free(struct palloc *pages, uint32_t chunk, uint32_t nr_free)
{
	struct chunk_info *it = info(pages, chunk);
	bool was_idle = it->nr_free == PAGES_PER_CHUNK, is_idle = nr_free == PAGES_PER_CHUNK;

	if (it->is_listed && nr_free && fullness(it->nr_free) == fullness(nr_free)) {
		atomic_store_relaxed(&it->nr_free, (uint16_t)nr_free);
		return;
	}
	if (it->is_listed)
		list_remove(pages, chunk);
	atomic_store_relaxed(&it->nr_free, (uint16_t)nr_free);
	if (nr_free)
		list_add(pages, chunk);
	pages->nr_idle += (uint64_t)is_idle - was_idle;
	pages->mapped += (uint64_t)was_idle - is_idle;
	if (pages->mapped > pages->peak)
		pages->peak = pages->mapped;
}

/* ---------------------------------------------------------------- growing and shrinking */

static enum arena_source next_source(const struct palloc *pages, uint32_t nr)
{
	bool is_first = !pages->mapped && !pages->nr_idle && nr == 1;

	return pages->starts_small && is_first ? ARENA_SOURCE_PAGES : pages->source;
}

static int take_by_hook(struct palloc *pages, uint32_t chunk, uint32_t nr)
{
	const struct palloc_place *place = &pages->place;
	void *base = (void *)region_address(pages->region, chunk * (uint32_t)PAGES_PER_CHUNK);
	int error = place->take(place->context, base, nr * CHUNK_BYTES);

	if (!error)
		region_set_backed(pages->region, chunk, nr, ARENA_SOURCE_AUTO, place->is_zeroed ? 0 : PAGES_PER_CHUNK);
	else
		os_reclaim(base, nr * CHUNK_BYTES); /* As in region_back(). */
	return error;
}

static int back(struct palloc *pages, uint32_t chunk, uint32_t nr)
{
	void *base = (void *)region_address(pages->region, chunk * (uint32_t)PAGES_PER_CHUNK);
	enum arena_source source = next_source(pages, nr);
	int error;

	if (pages->place.take)
		return take_by_hook(pages, chunk, nr);
	error = region_back(pages->region, chunk, nr, source);
	if (error)
		return error;
	if (pages->place.node >= 0)
		error = os_prefer_node(base, nr * CHUNK_BYTES, (unsigned int)pages->place.node);
	/* What does not go back either is used, whatever node it comes from. */
	if (error && !region_unback(pages->region, chunk, nr))
		return error;
	if (source != pages->source)
		pages->small_chunk = chunk;
	return 0;
}

/* Whether it took it. */
static bool unback(struct palloc *pages, uint32_t chunk)
{
	uintptr_t base = region_address(pages->region, chunk * (uint32_t)PAGES_PER_CHUNK);

	if (pages->place.give) {
		/* The program may look at its memory once more. */
		annotate_object(base, base + CHUNK_BYTES);
		annotate_open(base, base + CHUNK_BYTES);
		pages->place.give(pages->place.context, (void *)base, CHUNK_BYTES);
	}
	if (!region_unback(pages->region, chunk, 1))
		return true;
	/* What the program has back is not ours to use again. */
	if (pages->place.give)
		region_forget(pages->region, chunk, 1);
	return pages->place.give;
}

int palloc_set_place(struct palloc *pages, const struct palloc_place *place)
{
	void *probe;
	int error = 0;

	check(!pages->handed);
	if (place->node >= 0) {
		probe = os_table(PAGE_BYTES);
		error = probe ? os_prefer_node(probe, PAGE_BYTES, (unsigned int)place->node) : -ENOMEM;
		if (probe)
			os_unreserve(probe, PAGE_BYTES);
	}
	if (error)
		return error;
	pages->place = *place;
	if (place->take) {
		pages->source = ARENA_SOURCE_AUTO;
		pages->starts_small = false;
	}
	return 0;
}

static void add_idle(struct palloc *pages, uint32_t chunk)
{
	*leaf(pages, chunk) = (struct bits){ 0 };
	atomic_store_relaxed(&info(pages, chunk)->nr_free, (uint16_t)PAGES_PER_CHUNK);
	list_add(pages, chunk);
	pages->nr_idle++;
	pages->handed++;
	if (pages->mapped + pages->nr_idle > pages->most_held)
		pages->most_held = pages->mapped + pages->nr_idle;
}

/* False: the system does not take it, and it stays idle. */
static bool return_idle(struct palloc *pages, uint32_t chunk)
{
	if (!unback(pages, chunk))
		return false;
	list_remove(pages, chunk);
	if (chunk == pages->small_chunk)
		pages->small_chunk = CHUNK_NONE;
	for (unsigned int i = 0; i < BITS_WORDS; i++)
		leaf(pages, chunk)->word[i] = ~(uint64_t)0;
	tree_used(&pages->tree, (size_t)chunk * PAGES_PER_CHUNK, PAGES_PER_CHUNK);
	region_give(pages->region, chunk, 1);
	pages->nr_idle--;
	pages->returned++;
	return true;
}

uint64_t palloc_scavenge(struct palloc *pages, uint64_t keep, uint64_t max)
{
	uint64_t nr = 0;

	while (pages->nr_idle > keep && nr < max && return_idle(pages, bitset_highest(&pages->idle)))
		nr++;
	return nr;
}

uint64_t palloc_excess(const struct palloc *pages, uint64_t nr)
{
	return size_max(limit_excess(&pages->limit, palloc_held(pages), nr), region_excess(pages->region, nr));
}

/* @nr neighboring chunks, aligned, idle now: the first, or CHUNK_NONE. What is idle already did not do, so it goes back first. */
static uint32_t grow(struct palloc *pages, uint32_t nr, uint32_t align_chunks)
{
	uint32_t chunk;

	palloc_scavenge(pages, 0, limit_make_way(pages->mapped, pages->nr_idle, nr, palloc_excess(pages, nr)));
	if (!limit_allows(&pages->limit, palloc_held(pages), nr))
		return CHUNK_NONE;
	chunk = region_take(pages->region, nr, align_chunks, pages);
	if (chunk == CHUNK_NONE)
		return CHUNK_NONE;
	if (back(pages, chunk, nr)) {
		region_give(pages->region, chunk, nr);
		return CHUNK_NONE;
	}
	pages->has_grown = true;
	for (uint32_t i = chunk; i < chunk + nr; i++)
		add_idle(pages, i);
	tree_freed(&pages->tree, (size_t)chunk * PAGES_PER_CHUNK, (size_t)nr * PAGES_PER_CHUNK);
	return chunk;
}

bool palloc_grow(struct palloc *pages)
{
	return grow(pages, 1, 1) != CHUNK_NONE;
}

/* ---------------------------------------------------------------- marking */

/* Apply to the parts of [page, page + nr) that lie in one chunk each. */
#define FOR_EACH_PART(chunk, at, n, page, nr) \
	for (uint32_t part_page_ = (page), part_end_ = part_page_ + (nr), chunk, at, n; \
	     part_page_ < part_end_ && (chunk = part_page_ / PAGES_PER_CHUNK, at = part_page_ % PAGES_PER_CHUNK, \
					n = (uint32_t)size_min(part_end_ - part_page_, PAGES_PER_CHUNK - at), true); \
	     part_page_ += n)

/* Pages are used from now on; whether all of them were never used before. */
static bool mark_used(struct palloc *pages, uint32_t page, uint32_t nr)
{
	bool is_zero = true;

	FOR_EACH_PART(chunk, at, n, page, nr) {
		struct chunk_info *it = info(pages, chunk);

		bits_use(leaf(pages, chunk), at, n);
		is_zero &= at >= it->zero_from;
		it->zero_from = (uint16_t)size_max(it->zero_from, at + n);
		set_free(pages, chunk, it->nr_free - n);
	}
	tree_used(&pages->tree, page, nr);
	pages->used_pages += nr;
	return is_zero;
}

void palloc_free(struct palloc *pages, uint32_t page, uint32_t nr)
{
	FOR_EACH_PART(chunk, at, n, page, nr) {
		check(bits_count(leaf(pages, chunk), at, n) == n);
		bits_free(leaf(pages, chunk), at, n);
		set_free(pages, chunk, info(pages, chunk)->nr_free + n);
	}
	tree_freed(&pages->tree, page, nr);
	pages->used_pages -= nr;
}

/* ---------------------------------------------------------------- finding */

/* Does a run of @nr fit somewhere in the chunk, which has a free page? */
static bool fits(struct palloc *pages, uint32_t chunk, uint32_t nr)
{
	return nr == 1 || tree_longest(&pages->tree, chunk) >= nr;
}

/* The fullest chunk with room for a short run; an idle one, the lowest, only when no other has. */
static uint32_t fullest(struct palloc *pages, uint32_t nr)
{
	for (unsigned int i = 0; i < PALLOC_LISTS; i++) {
		uint32_t chunk = pages->lists[i];

		for (int tried = 0; chunk != CHUNK_NONE && tried < CHUNKS_TRIED; tried++) {
			if (fits(pages, chunk, nr))
				return chunk;
			chunk = info(pages, chunk)->next;
		}
	}
	return bitset_from(&pages->idle, 0);
}

/* A chunk for a short run, by fullness, and by growing. */
static uint32_t chunk_for(struct palloc *pages, uint32_t nr)
{
	uint32_t chunk = fullest(pages, nr);

	return chunk == CHUNK_NONE ? grow(pages, 1, 1) : chunk;
}

/* The first page from @page on whose address is aligned: a region in the program's memory begins with just any chunk. */
static size_t align_page(const struct palloc *pages, size_t page, size_t align_pages)
{
	size_t base = pages->region->base / PAGE_BYTES;

	return align_up(base + page, align_pages) - base;
}

/* The lowest place among free pages, aligned; PAGE_NONE when there is none. */
static uint32_t find_lowest(struct palloc *pages, uint32_t nr, uint32_t align_pages)
{
	size_t page = tree_find(&pages->tree, nr);

	/* Most often what is found is aligned by luck; else with room to align. */
	if (page != TREE_NONE && page != align_page(pages, page, align_pages))
		page = tree_find(&pages->tree, nr + align_pages - 1);
	return page == TREE_NONE ? PAGE_NONE : (uint32_t)align_page(pages, page, align_pages);
}

/* Where few chunks were looked at and there are no more, some other has room, or two neighbors together. */
static uint32_t find_short(struct palloc *pages, uint32_t nr)
{
	uint32_t chunk = chunk_for(pages, nr);

	return chunk == CHUNK_NONE ? find_lowest(pages, nr, 1)
				   : chunk * (uint32_t)PAGES_PER_CHUNK + bits_find(leaf(pages, chunk), nr, 0);
}

/* Chunks of its own go back as soon as a run is freed; those that others share do not, but nothing lies idle in them. */
static bool fills_chunks(uint32_t nr)
{
	return align_up(nr, PAGES_PER_CHUNK) - nr <= nr / PALLOC_TAIL_PART;
}

static uint32_t find_long(struct palloc *pages, uint32_t nr, uint32_t align_pages)
{
	uint32_t align = fills_chunks(nr) ? (uint32_t)size_max(align_pages, PAGES_PER_CHUNK) : align_pages;
	uint32_t nr_chunks = (uint32_t)((nr + PAGES_PER_CHUNK - 1) / PAGES_PER_CHUNK), page, chunk;

	/* Where the pages before them are free as well no search by length finds that chunks are. */
	if (align == PAGES_PER_CHUNK && pages->nr_idle >= nr_chunks) {
		chunk = bitset_row(&pages->idle, nr_chunks);
		if (chunk != CHUNK_NONE)
			return chunk * (uint32_t)PAGES_PER_CHUNK;
	}
	page = find_lowest(pages, nr, align);
	if (page != PAGE_NONE)
		return page;
	/* Of aligned ones no more than the run needs: what lies between them and others takes addresses, and counts for no limit. */
	chunk = grow(pages, nr_chunks, (uint32_t)size_max(align / PAGES_PER_CHUNK, 1));
	if (chunk != CHUNK_NONE && align > 1)
		return chunk * (uint32_t)PAGES_PER_CHUNK;
	/* To begin with a chunk was only a wish; and what is free before new chunks is used up with them. */
	return chunk == CHUNK_NONE && align == align_pages ? PAGE_NONE : find_lowest(pages, nr, align_pages);
}

/* Chunks that the system might take are held again before they are used; one that it took, and has no other for, goes. */
static bool unkeep(struct palloc *pages, uint32_t page, uint32_t nr)
{
	FOR_EACH_PART(chunk, at, n, page, nr) {
		bool was_taken;

		if (likely(!info(pages, chunk)->is_kept))
			continue;
		if (region_unkeep(pages->region, chunk, &was_taken)) {
			return_idle(pages, chunk);
			return false;
		}
		if (was_taken)
			info(pages, chunk)->zero_from = 0;
		pages->handed += was_taken;
		pages->returned += was_taken;
	}
	return true;
}

void palloc_keep_idle(struct palloc *pages)
{
	for (uint32_t chunk = 0; (chunk = bitset_from(&pages->idle, chunk)) != BITSET_NONE; chunk++)
		region_keep(pages->region, chunk);
}

uint32_t palloc_run(struct palloc *pages, uint32_t nr, uint32_t align_pages, bool *is_zero)
{
	uint32_t page;

	if (nr <= PALLOC_SHORT_PAGES && align_pages == 1)
		page = find_short(pages, nr);
	else
		page = find_long(pages, nr, align_pages);
	if (page == PAGE_NONE || !unkeep(pages, page, nr))
		return PAGE_NONE;
	*is_zero = mark_used(pages, page, nr);
	return page;
}

bool palloc_extend(struct palloc *pages, uint32_t page, uint32_t nr)
{
	/* Nobody's chunks have no tables yet. Pairs with open_tables() of region.c. */
	uint32_t nr_open = atomic_load_acquire(&pages->region->nr_open);

	FOR_EACH_PART(chunk, at, n, page, nr) {
		if (chunk >= nr_open ||
		    atomic_load_relaxed(&info(pages, chunk)->pages) != pages ||
		    bits_count(leaf(pages, chunk), at, n))
			return false;
	}
	if (!unkeep(pages, page, nr))
		return false;
	mark_used(pages, page, nr);
	return true;
}

/* The lowest @nr ones of a word, or all. */
static uint64_t ones_first(uint64_t word, unsigned int nr)
{
	uint64_t rest = word;

	/* What a busy thread asks for. */
	if (nr >= BITS_PER_WORD)
		return word;
	for (; nr && rest; nr--)
		rest &= rest - 1;
	return word ^ rest;
}

uint64_t palloc_take_group(struct palloc *pages, unsigned int nr, uint32_t *first)
{
	uint32_t chunk = chunk_for(pages, 1), at;
	struct bits *bits;
	uint64_t group;

	if (chunk == CHUNK_NONE || !unkeep(pages, chunk * (uint32_t)PAGES_PER_CHUNK, 1))
		return 0;
	bits = leaf(pages, chunk);
	at = bits_find(bits, 1, 0) / BITS_PER_WORD;
	group = ones_first(~bits->word[at], nr);
	bits->word[at] |= group;
	*first = chunk * (uint32_t)PAGES_PER_CHUNK + at * BITS_PER_WORD;
	/* Which of them will be written to is not known here. */
	info(pages, chunk)->zero_from =
		(uint16_t)size_max(info(pages, chunk)->zero_from,
				   (at + 1) * BITS_PER_WORD - (unsigned int)__builtin_clzll(group));
	set_free(pages, chunk, info(pages, chunk)->nr_free - (uint32_t)__builtin_popcountll(group));
	tree_touch(&pages->tree, *first, false);
	pages->used_pages += (uint64_t)__builtin_popcountll(group);
	return group;
}

void palloc_give_group(struct palloc *pages, uint32_t first, uint64_t group)
{
	uint32_t chunk = first / (uint32_t)PAGES_PER_CHUNK;
	uint64_t *word = &leaf(pages, chunk)->word[first % PAGES_PER_CHUNK / BITS_PER_WORD];

	if (!group)
		return;
	check((*word & group) == group);
	*word &= ~group;
	set_free(pages, chunk, info(pages, chunk)->nr_free + (uint32_t)__builtin_popcountll(group));
	tree_touch(&pages->tree, first, true);
	pages->used_pages -= (uint64_t)__builtin_popcountll(group);
}

/* ---------------------------------------------------------------- life */

static size_t idle_bytes(const struct region *region)
{
	return align_up(bitset_words(region->max_chunks) * sizeof(uint64_t), PAGE_BYTES);
}

int palloc_init(struct palloc *pages, struct region *region, enum arena_source source)
{
	uint64_t *idle;

	*pages = (struct palloc){ .region = region, .source = source, .limit = limit_from_bytes(0), .small_chunk = CHUNK_NONE };
	pages->place.node = -1;
	pages->starts_small = source == ARENA_SOURCE_THP || source == ARENA_SOURCE_DEV;
	for (unsigned int i = 0; i < PALLOC_LISTS; i++)
		pages->lists[i] = CHUNK_NONE;
	pages->tree.leaves = region->leaves;
	pages->tree.nr_leaves = region->max_chunks;
	for (unsigned int i = 0; i < TREE_LEVELS; i++) {
		size_t bytes = align_up(tree_level_entries(region->max_chunks, i) * sizeof(uint64_t), PAGE_BYTES);

		pages->tree.level[i] = os_table(bytes);
		if (!pages->tree.level[i]) {
			palloc_fini(pages);
			return -ENOMEM;
		}
	}
	idle = os_table(idle_bytes(region));
	if (!idle) {
		palloc_fini(pages);
		return -ENOMEM;
	}
	bitset_init(&pages->idle, idle, region->max_chunks);
	return 0;
}

static void drop_chunk(struct palloc *pages, uint32_t chunk)
{
	if (info(pages, chunk)->is_listed)
		list_remove(pages, chunk);
	if (!unback(pages, chunk))
		region_forget(pages->region, chunk, 1);
	region_give(pages->region, chunk, 1);
}

void palloc_fini(struct palloc *pages)
{
	struct region *region = pages->region;
	uint32_t nr_open = atomic_load_acquire(&region->nr_open); /* pairs with open_tables() of region.c */

	for (uint32_t chunk = 0; chunk < nr_open && pages->handed != pages->returned; chunk++)
		if (atomic_load_relaxed(&info(pages, chunk)->pages) == pages) {
			drop_chunk(pages, chunk);
			pages->returned++;
		}
	for (unsigned int i = 0; i < TREE_LEVELS; i++) {
		size_t bytes = align_up(tree_level_entries(region->max_chunks, i) * sizeof(uint64_t), PAGE_BYTES);

		if (pages->tree.level[i])
			os_unreserve(pages->tree.level[i], bytes);
	}
	if (pages->idle.summary)
		os_unreserve(pages->idle.summary, idle_bytes(region));
}

void palloc_validate(const struct palloc *pages)
{
	uint32_t nr_open = atomic_load_acquire(&pages->region->nr_open); /* pairs with open_tables() of region.c */
	uint64_t mapped = 0, idle = 0, used = 0;

	for (uint32_t chunk = 0; chunk < nr_open; chunk++) {
		const struct chunk_info *it = info(pages, chunk);
		uint32_t in_use;

		if (atomic_load_relaxed(&it->pages) != pages)
			continue;
		in_use = bits_count(leaf(pages, chunk), 0, BITS_PER_LEAF);
		check(it->is_backed && it->nr_free == PAGES_PER_CHUNK - in_use);
		check(it->is_listed == (it->nr_free > 0) && bitset_has(&pages->idle, chunk) == !in_use);
		check(!it->is_kept || (!in_use && it->source == ARENA_SOURCE_DEV));
		check(tree_is_touched(&pages->tree, chunk) ||
		      pages->tree.level[TREE_LEVELS - 1][chunk] == sum_pack(bits_runs(leaf(pages, chunk))));
		mapped += in_use > 0;
		idle += !in_use;
		used += in_use;
	}
	check(mapped == pages->mapped && idle == pages->nr_idle && used == pages->used_pages);
	check(pages->handed == pages->mapped + pages->nr_idle + pages->returned);
}
