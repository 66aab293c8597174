// SPDX-License-Identifier: MIT
/* Samples of collected objects: a table of (page of its span, slot, sample), hashed by page. */
#include "gc/sample.h"

/* As many as the profile can hold. */
#define ENTRIES_MAX ((size_t)1 << 20)
/* A power of two: 128 GiB have no more samples at the usual mean. */
#define BUCKETS ((uint32_t)1 << 18)

/* An object that was sampled. Free: only next. */
struct sampled {
	uint32_t next;		/* of its bucket, or of the free ones; 0: none */
	uint32_t sample;	/* its number in the profile; SAMPLE_NONE: free */
	uint32_t page;
	uint32_t slot;
};

struct gc_sample_table {
	uint32_t nr;		/* entries that were ever used; [0] is none */
	uint32_t free;
	uint32_t buckets[BUCKETS];
	struct sampled entries[ENTRIES_MAX];
};
#define TABLE_BYTES align_up(sizeof(struct gc_sample_table), PAGE_BYTES)

/* ---------------------------------------------------------------- the table; the heap's lock is held */

static uint32_t take_entry(struct gc_sample_table *table)
{
	uint32_t entry = table->free;

	if (entry)
		table->free = table->entries[entry].next;
	else if (table->nr + 1 < ENTRIES_MAX)
		entry = ++table->nr;
	return entry;
}

static void give_entry(struct gc_sample_table *table, uint32_t entry)
{
	table->entries[entry] = (struct sampled){ .next = table->free };
	table->free = entry;
}

static bool insert(struct arena_gc *gc, uint32_t page, uint32_t slot, uint32_t sample)
{
	struct gc_sample_table *table = gc->samples;
	uint32_t entry;

	if (!table)
		table = gc->samples = os_table(TABLE_BYTES);
	entry = table ? take_entry(table) : 0;
	if (!entry)
		return false;
	table->entries[entry] = (struct sampled){ table->buckets[page % BUCKETS], sample, page, slot };
	table->buckets[page % BUCKETS] = entry;
	return true;
}

/* Those of unmarked slots go; whether others stay. */
static bool remove_dead(struct gc_sample_table *table, struct gc_span *span, uint32_t page)
{
	uint32_t *link = &table->buckets[page % BUCKETS], entry;
	bool any = false;

	while ((entry = *link)) {
		struct sampled *sampled = &table->entries[entry];
		bool is_ours = sampled->page == page;

		if (is_ours && !gc_is_marked(&(struct gc_ref){ span, sampled->slot })) {
			*link = sampled->next;
			profile_remove(sampled->sample);
			give_entry(table, entry);
			continue;
		}
		any |= is_ours;
		link = &sampled->next;
	}
	return any;
}

/* ---------------------------------------------------------------- objects */

/* Without room it counts as allocated, and not as in use. */
static void add(struct arena_gc *gc, struct gc_span *span, uint32_t slot, uint32_t sample)
{
	bool is_done;

	if (!sample)
		return;
	lock_acquire(&gc->lock);
	is_done = insert(gc, gc_page(&gc->space, span), slot, sample);
	lock_release(&gc->lock);
	if (is_done)
		span->has_samples = true;
	else
		profile_remove(sample);
}

void gc_samples_sweep(struct arena_gc *gc, struct gc_span *span)
{
	lock_acquire(&gc->lock);
	span->has_samples = remove_dead(gc->samples, span, gc_page(&gc->space, span));
	lock_release(&gc->lock);
}

void gc_samples_fini(struct arena_gc *gc)
{
	if (!gc->samples)
		return;
	for (uint32_t entry = 1; entry <= gc->samples->nr; entry++)
		profile_remove(gc->samples->entries[entry].sample);
	os_unreserve(gc->samples, TABLE_BYTES);
}

/* ---------------------------------------------------------------- sampling */

static void sample(struct gc_mutator *mutator, const void *object, uint64_t mean_bytes, uint32_t bytes)
{
	struct gc_ref ref;

	check(gc_find(&mutator->gc->space, (uintptr_t)object, &ref));
	add(mutator->gc, ref.span, ref.slot, profile_add(SITE_GC, mean_bytes, bytes));
}

void gc_sample_taken(struct gc_mutator *mutator, struct gc_bin *bin, const void *object)
{
	uint64_t mean_bytes = profile_mean(), ahead = bin->ahead;

	bin->ahead = 0;
	if (!mean_bytes)
		return;
	if (!ahead)
		ahead = (uint64_t)sample_skip(profile_random(), mean_bytes, bin->slot_bytes) + 1;
	if (ahead == 1) {
		sample(mutator, object, mean_bytes, bin->slot_bytes);
		ahead += (uint64_t)sample_skip(profile_random(), mean_bytes, bin->slot_bytes) + 1;
	}
	/* Not in this word: it is as any other, and the next one draws anew. */
	if (ahead - 1 > (uint64_t)__builtin_popcountll(bin->free))
		return;
	bin->ahead = (uint32_t)(ahead - 1);
	bin->free = 0;
}

void gc_sample_large(struct arena_gc *gc, struct gc_span *span)
{
	uint64_t mean_bytes = profile_mean();

	if (mean_bytes && sample_hits(profile_random(), mean_bytes, gc_object_bytes(span)))
		add(gc, span, 0, profile_add(SITE_GC, mean_bytes, gc_object_bytes(span)));
}
