// SPDX-License-Identifier: MIT
/*
 * Hash tables whose entries die old.
 *
 *	lru	a cache of 50,000 entries with texts of 16 to 271 bytes, the least recently used one goes for a new one
 *	intern	texts of a few letters, each kept once; a table is dropped as a whole when 100,000 texts are in it
 */
#include <string.h>

#include "bench/gc/programs.h"
#include "bench/gc/runtime.h"

enum { BUCKETS = 65536 };

/* ---------------------------------------------------------------- lru */

enum { CAPACITY = 50000, KEYS = 150000 };

struct entry {
	struct entry *next;		/* of the bucket */
	struct entry *newer, *older;	/* in order of use */
	char *text;
	uint64_t key;
	size_t bytes;
};
RT_TYPE(entry_type, struct entry, next, newer, older, text);

struct cache {
	struct entry **buckets;
	struct entry *newest, *oldest;
	size_t nr;
};
RT_TYPE(cache_type, struct cache, buckets, newest, oldest);

static struct entry **bucket_of(struct cache *cache, uint64_t key)
{
	return &cache->buckets[key * 0x9e3779b97f4a7c15U >> 48];
}

static struct entry *find(struct cache *cache, uint64_t key)
{
	struct entry *entry = *bucket_of(cache, key);

	while (entry && entry->key != key)
		entry = entry->next;
	return entry;
}

static void unlink_use(struct cache *cache, struct entry *entry)
{
	rt_set(entry->newer ? &entry->newer->older : &cache->newest, entry->older);
	rt_set(entry->older ? &entry->older->newer : &cache->oldest, entry->newer);
}

static void link_use(struct cache *cache, struct entry *entry)
{
	rt_set(&entry->older, cache->newest);
	rt_set(&entry->newer, NULL);
	rt_set(cache->newest ? &cache->newest->newer : &cache->oldest, entry);
	rt_set(&cache->newest, entry);
}

static void drop_oldest(struct cache *cache)
{
	struct entry *entry = cache->oldest, **link = bucket_of(cache, entry->key);

	while (*link != entry)
		link = &(*link)->next;
	rt_set(link, entry->next);
	unlink_use(cache, entry);
	rt_free(entry->text);
	rt_free(entry);
	cache->nr--;
}

static void add(struct cache *cache, uint64_t key)
{
	struct entry *entry = rt_new(entry_type);

	entry->next = entry->newer = entry->older = NULL;
	entry->text = NULL;
	entry->key = key;
	entry->bytes = 16 + key % 256;
	rt_set(&entry->text, rt_text(entry->bytes));
	memset(entry->text, (int)(key & 127), entry->bytes);
	rt_set(&entry->next, *bucket_of(cache, key));
	rt_set(bucket_of(cache, key), entry);
	link_use(cache, entry);
	cache->nr++;
}

static struct cache *cache_new(void)
{
	struct cache *cache = rt_new(cache_type);

	cache->newest = cache->oldest = NULL;
	cache->buckets = NULL;
	cache->nr = 0;
	rt_set(&cache->buckets, rt_pointers(BUCKETS));
	return cache;
}

static void cache_free(struct cache *cache)
{
	while (RT_FREES && cache->nr)
		drop_oldest(cache);
	rt_free(cache->buckets);
	rt_free(cache);
}

uint64_t run_lru(size_t size, unsigned int thread)
{
	uint64_t random = random_seed(thread), total = 0;
	struct cache *cache = cache_new();

	for (size_t i = 0; i < size; i++) {
		/* Small keys are asked for more often. */
		uint64_t a = random_next(&random) % KEYS, b = random_next(&random) % KEYS, key = a < b ? a : b;
		struct entry *entry = find(cache, key);

		if (entry) {
			total += entry->bytes + (uint64_t)entry->text[entry->bytes / 2];
			unlink_use(cache, entry);
			link_use(cache, entry);
			continue;
		}
		if (cache->nr == CAPACITY)
			drop_oldest(cache);
		add(cache, key);
	}
	cache_free(cache);
	return total;
}

/* ---------------------------------------------------------------- intern */

enum { TEXTS = 100000, LETTERS_MOST = 12 };

struct text {
	struct text *next;	/* of the bucket */
	char *letters;
	uint32_t nr, hash;
};
RT_TYPE(text_type, struct text, next, letters);

/* A text of common letters and lengths, as a scanner finds it in its input. */
static uint32_t next_text(uint64_t *random, char letters[LETTERS_MOST])
{
	uint64_t number = random_next(random);
	uint32_t nr = 2 + (uint32_t)(number % (LETTERS_MOST - 1));

	for (uint32_t i = 0; i < nr; i++) {
		number = number >> 5 | number << 59;
		letters[i] = (char)('a' + (number & number >> 7 & 15));
	}
	return nr;
}

static uint32_t hash_of(const char *letters, uint32_t nr)
{
	uint32_t hash = 2166136261u;

	for (uint32_t i = 0; i < nr; i++)
		hash = (hash ^ (unsigned char)letters[i]) * 16777619u;
	return hash;
}

static struct text *text_new(const char *letters, uint32_t nr, uint32_t hash)
{
	struct text *text = rt_new(text_type);

	text->next = NULL;
	text->letters = NULL;
	text->nr = nr;
	text->hash = hash;
	rt_set(&text->letters, rt_text(nr));
	memcpy(text->letters, letters, nr);
	return text;
}

/* The one text of these letters; @nr_texts counts new ones. */
static struct text *intern(struct text **table, const char *letters, uint32_t nr, size_t *nr_texts)
{
	uint32_t hash = hash_of(letters, nr);
	struct text **bucket = &table[hash % BUCKETS], *text;

	for (text = *bucket; text; text = text->next)
		if (text->hash == hash && text->nr == nr && !memcmp(text->letters, letters, nr))
			return text;
	text = text_new(letters, nr, hash);
	rt_set(&text->next, *bucket);
	rt_set(bucket, text);
	++*nr_texts;
	return text;
}

static void table_free(struct text **table)
{
	for (size_t i = 0; RT_FREES && i < BUCKETS; i++)
		for (struct text *text = table[i], *next; text; text = next) {
			next = text->next;
			rt_free(text->letters);
			rt_free(text);
		}
	rt_free(table);
}

uint64_t run_intern(size_t size, unsigned int thread)
{
	uint64_t random = random_seed(thread), total = 0;
	size_t nr_texts = 0;
	struct text **table = rt_pointers(BUCKETS);

	for (size_t i = 0; i < size; i++) {
		char letters[LETTERS_MOST];
		uint32_t nr = next_text(&random, letters);
		struct text *text = intern(table, letters, nr, &nr_texts);

		total += text->hash ^ text->nr;
		if (nr_texts < TEXTS)
			continue;
		table_free(table);
		table = rt_pointers(BUCKETS);
		nr_texts = 0;
	}
	table_free(table);
	return total;
}

void tables_prepare(void)
{
	RT_MAKE(entry_type);
	RT_MAKE(cache_type);
	RT_MAKE(text_type);
}
