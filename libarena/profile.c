// SPDX-License-Identifier: MIT
/*
 * Sites and samples: two tables in mappings of their own, which become accessible in steps as they are used.
 *
 * A site is a stack of one kind, found by its hash. Records of sites differ in length and follow each other; a site's number is where
 * it begins, in words. Samples are records of one length in a free list. All is under one lock: it is taken once in half a mebibyte.
 *
 * invariant: of each site, used = the sum of the weights of its samples, to the last bit, because weights are integers.
 *
 * Limits: a quarter of a million sites of usual depth, a million living samples. Beyond, samples count as allocated but not as in use,
 * and stacks are not told apart.
 */
#include "profile.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lock.h"

#define SITES_BYTES (64 * MiB)
#define SAMPLES_BYTES (32 * MiB)
#define TABLE_STEP_BYTES (256 * KiB)
#define BUCKETS 4096u
/* Sites are numbered by words, so that 32 bits do for all. Word 0 is no site. */
#define WORD_BYTES sizeof(uint64_t)

struct sums {
	uint64_t units, bytes;
};

struct site {
	uint32_t next;		/* in its bucket; fixed, as all but the sums */
	uint32_t hash;
	uint16_t kind;		/* enum site_kind */
	uint16_t nr;		/* addresses */
	uint32_t unused;
	struct sums allocated, used; /* guarded by the lock */
	uintptr_t addresses[];
};

/* Guarded by the lock. */
struct sample {
	uint32_t site;		/* SITE_NONE: free */
	uint32_t next;		/* in the list of its arena, or of free ones */
	struct sample_weight weight;
};

/* A table that becomes accessible step by step. Guarded by the lock; base is fixed once set. */
struct table {
	char *base;
	size_t max_bytes, open_bytes, used_bytes;
};

uint64_t profile_mean_word;
__thread unsigned int profile_pauses;

static struct lock lock = LOCK_INIT(LOCK_PROFILE);
static struct table sites, samples;	/* guarded by lock, as all below */
static uint32_t buckets[BUCKETS];
static uint32_t free_samples;
static uint64_t base_seed, nr_seeds;

static __thread struct sample_random thread_random __attribute__((tls_model("initial-exec")));

/* ---------------------------------------------------------------- tables */

static bool reserve(struct table *table, size_t bytes, size_t first_bytes)
{
	if (table->base)
		return true;
	table->base = os_reserve_table(bytes);
	table->max_bytes = bytes;
	table->used_bytes = first_bytes;
	return table->base;
}

/* With the lock held: @bytes more of a table, zeros; NULL when it is full. */
static void *extend(struct table *table, size_t bytes)
{
	size_t at = table->used_bytes, step_bytes = size_min(TABLE_STEP_BYTES, table->max_bytes - table->open_bytes);

	if (at + bytes > table->max_bytes)
		return NULL;
	if (at + bytes > table->open_bytes) {
		if (os_open_table(table->base + table->open_bytes, step_bytes))
			return NULL;
		table->open_bytes += step_bytes;
	}
	table->used_bytes = at + bytes;
	return table->base + at;
}

static struct site *site_at(uint32_t number)
{
	return (struct site *)(void *)(sites.base + number * WORD_BYTES);
}

static struct sample *sample_at(uint32_t number)
{
	return (struct sample *)(void *)samples.base + number;
}

/* ---------------------------------------------------------------- start */

static uint64_t own_seed(void)
{
	return os_clock_ns() ^ (uint64_t)getpid() << 32 ^ (uintptr_t)&lock;
}

int profile_start(uint64_t mean_bytes, uint64_t seed)
{
	bool ready;

	lock_acquire(&lock);
	ready = reserve(&sites, SITES_BYTES, WORD_BYTES) && reserve(&samples, SAMPLES_BYTES, sizeof(struct sample));
	if (ready) {
		base_seed = seed ? seed : own_seed();
		nr_seeds = 0;
		thread_random.state = 0;
	}
	lock_release(&lock);
	if (!ready)
		return -ENOMEM;
	atomic_store_relaxed(&profile_mean_word, mean_bytes);
	return 0;
}

void profile_stop(void)
{
	atomic_store_relaxed(&profile_mean_word, (uint64_t)0);
}

struct sample_random *profile_random(void)
{
	if (unlikely(!thread_random.state)) {
		lock_acquire(&lock);
		sample_seed(&thread_random, base_seed + nr_seeds++ * 1000003u);
		lock_release(&lock);
	}
	return &thread_random;
}

/* ---------------------------------------------------------------- sites */

static uint32_t hash_of(const uintptr_t *addresses, unsigned int nr, enum site_kind kind)
{
	uint64_t hash = kind + 1u;

	for (unsigned int i = 0; i < nr; i++)
		hash = (hash ^ addresses[i]) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
	return (uint32_t)(hash >> 32);
}

static bool is_same(const struct site *site, uint32_t hash, enum site_kind kind, const uintptr_t *addresses, unsigned int nr)
{
	return site->hash == hash && site->kind == kind && site->nr == nr && !memcmp(site->addresses, addresses, nr * sizeof(*addresses));
}

/* With the lock held. */
static uint32_t find_site(enum site_kind kind, const uintptr_t *addresses, unsigned int nr)
{
	uint32_t hash = hash_of(addresses, nr, kind), *bucket = &buckets[hash % BUCKETS];
	struct site *site;

	for (uint32_t number = *bucket; number; number = site_at(number)->next)
		if (is_same(site_at(number), hash, kind, addresses, nr))
			return number;
	site = extend(&sites, sizeof(*site) + nr * sizeof(*addresses));
	/* The site of no addresses stands for all that have no room. */
	if (!site)
		return nr ? find_site(kind, NULL, 0) : SITE_NONE;
	site->next = *bucket;
	site->hash = hash;
	site->kind = (uint16_t)kind;
	site->nr = (uint16_t)nr;
	memcpy(site->addresses, addresses, nr * sizeof(*addresses));
	*bucket = (uint32_t)(((char *)site - sites.base) / (ptrdiff_t)WORD_BYTES);
	return *bucket;
}

/* What walking allocates must not be sampled. */
static unsigned int walk(uintptr_t addresses[STACK_MAX])
{
	unsigned int nr;

	profile_pauses++;
	nr = stack_walk(addresses);
	profile_pauses--;
	return nr;
}

uint32_t profile_site(enum site_kind kind)
{
	uintptr_t addresses[STACK_MAX];
	unsigned int nr = walk(addresses);
	uint32_t site;

	lock_acquire(&lock);
	site = sites.base ? find_site(kind, addresses, nr) : SITE_NONE;
	lock_release(&lock);
	return site;
}

const uintptr_t *profile_addresses(uint32_t site, unsigned int *nr)
{
	*nr = site ? site_at(site)->nr : 0;
	return site ? site_at(site)->addresses : NULL;
}

/* ---------------------------------------------------------------- samples */

/* With the lock held. */
static uint32_t take_sample(void)
{
	uint32_t number = free_samples;
	struct sample *sample;

	if (number) {
		free_samples = sample_at(number)->next;
		return number;
	}
	sample = extend(&samples, sizeof(*sample));
	return sample ? (uint32_t)(sample - sample_at(0)) : SAMPLE_NONE;
}

static void sums_add(struct sums *sums, struct sample_weight weight)
{
	sums->units += weight.units;
	sums->bytes += weight.bytes;
}

/* With the lock held. */
static uint32_t add(uint32_t number, struct sample_weight weight, uint32_t next)
{
	uint32_t sample = number ? take_sample() : SAMPLE_NONE;

	if (number)
		sums_add(&site_at(number)->allocated, weight);
	if (!sample)
		return SAMPLE_NONE;
	sums_add(&site_at(number)->used, weight);
	*sample_at(sample) = (struct sample){ .site = number, .next = next, .weight = weight };
	return sample;
}

static void add_here(enum site_kind kind, uint64_t mean_bytes, uint64_t bytes, uint32_t *list)
{
	struct sample_weight weight = sample_weigh(mean_bytes, bytes);
	uintptr_t addresses[STACK_MAX];
	unsigned int nr = walk(addresses);
	uint32_t sample;

	lock_acquire(&lock);
	sample = add(find_site(kind, addresses, nr), weight, *list);
	if (sample)
		*list = sample;
	lock_release(&lock);
}

uint32_t profile_add(enum site_kind kind, uint64_t mean_bytes, uint64_t bytes)
{
	uint32_t sample = SAMPLE_NONE;

	add_here(kind, mean_bytes, bytes, &sample);
	return sample;
}

void profile_add_to(uint32_t *list, uint64_t mean_bytes, uint64_t bytes)
{
	add_here(SITE_ARENA, mean_bytes, bytes, list);
}

/* With the lock held; the next one of its list. */
static uint32_t remove_one(uint32_t number)
{
	struct sample *sample = sample_at(number);
	struct site *site = site_at(sample->site);
	uint32_t next = sample->next;

	check(sample->site && site->used.units >= sample->weight.units && site->used.bytes >= sample->weight.bytes);
	site->used.units -= sample->weight.units;
	site->used.bytes -= sample->weight.bytes;
	*sample = (struct sample){ .next = free_samples };
	free_samples = number;
	return next;
}

void profile_remove(uint32_t sample)
{
	if (!sample)
		return;
	lock_acquire(&lock);
	remove_one(sample);
	lock_release(&lock);
}

void profile_remove_all(uint32_t *list)
{
	if (likely(!*list))
		return;
	lock_acquire(&lock);
	for (uint32_t sample = *list; sample;)
		sample = remove_one(sample);
	lock_release(&lock);
	*list = SAMPLE_NONE;
}

uint32_t profile_site_of(uint32_t sample)
{
	uint32_t site;

	lock_acquire(&lock);
	site = sample_at(sample)->site;
	lock_release(&lock);
	return site;
}

/* ---------------------------------------------------------------- reading */

/* The site that begins at word @at or behind, and the next one's word; false at the end. */
static bool read_site(size_t at, struct site *site, size_t *next)
{
	bool is_there;

	lock_acquire(&lock);
	is_there = sites.base && at * WORD_BYTES < sites.used_bytes;
	if (is_there) {
		*site = *site_at((uint32_t)at);
		*next = at + (sizeof(*site) + site->nr * sizeof(uintptr_t)) / WORD_BYTES;
	}
	lock_release(&lock);
	return is_there;
}

void arena_profile_for_each(bool (*function)(const struct arena_profile_site *site, void *data), void *data)
{
	static const char *const kinds[NR_SITE_KINDS] = { [SITE_HEAP] = "heap", [SITE_ARENA] = "arena", [SITE_GC] = "gc" };
	bool goes_on = true;
	struct site site;

	profile_pauses++;
	for (size_t at = 1, next; goes_on && read_site(at, &site, &next); at = next) {
		const struct arena_profile_site out = {
			.kind = kinds[site.kind],
			.addresses = site_at((uint32_t)at)->addresses,
			.nr_addresses = site.nr,
			.allocated_objects = (site.allocated.units + SAMPLE_UNIT / 2) / SAMPLE_UNIT,
			.allocated_bytes = site.allocated.bytes,
			.used_objects = (site.used.units + SAMPLE_UNIT / 2) / SAMPLE_UNIT,
			.used_bytes = site.used.bytes,
		};

		goes_on = !out.kind || function(&out, data);
	}
	profile_pauses--;
}

/* With the lock held: what the samples of all sites add up to. */
static struct sums living(void)
{
	size_t nr = samples.used_bytes / sizeof(struct sample);
	struct sums sums = { 0 };

	for (uint32_t i = 1; i < nr; i++)
		if (sample_at(i)->site)
			sums_add(&sums, sample_at(i)->weight);
	return sums;
}

void profile_validate(void)
{
	struct sums used = { 0 }, all;
	struct site site;

	for (size_t at = 1, next; read_site(at, &site, &next); at = next) {
		check(site.used.units <= site.allocated.units && site.used.bytes <= site.allocated.bytes);
		used.units += site.used.units;
		used.bytes += site.used.bytes;
	}
	lock_acquire(&lock);
	all = living();
	lock_release(&lock);
	check(used.units == all.units && used.bytes == all.bytes);
}

/* ---------------------------------------------------------------- fork */

void profile_fork_prepare(void)
{
	lock_acquire(&lock);
}

void profile_fork_done(void)
{
	lock_release(&lock);
}
