// SPDX-License-Identifier: MIT
/*
 * A cache that several threads share, and that keeps what is asked for often without saying how much: an entry leads to its value by a weak reference,
 * and each thread keeps the last values that it used. A value that no thread keeps any more is there until the collector comes by; asked for before,
 * it is kept again. There is no list of least recently used ones and no lock for one, no count of references, and nothing is freed by hand.
 *
 *	cache [THREADS [REQUESTS [LIMIT_MIB]]]
 *
 * With a limit the collector comes by more often the less room there is; when what lives does not fit, the program is told, and each thread keeps half as many.
 * The exit status tells whether the limit was kept to.
 *
 * A bucket's lock is held while nothing is allocated: an allocation may wait for a cycle, which waits until all threads have answered, and a thread that
 * waits for the lock does not.
 */
#include <arena/gc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUCKETS = 16384, KEYS = 400000, KEPT = 2000, KEPT_LEAST = 16, THREADS_MAX = 16, VALUE_WORDS_LEAST = 16, VALUE_WORDS_MORE = 240 };

/* What a limit may be passed by: a moment's allocations of all threads. */
enum { SLACK_PERCENT = 3 };

/* Made once, never changed: who has one may read it without a lock. */
struct value {
	uint64_t key;
	uint64_t nr_words;
	uint64_t *words;	/* what it took to compute */
};
ARENA_GC_LAYOUT(value_layout, struct value, words);

struct entry {
	struct entry *next;
	struct arena_gc_weak *value;
	uint64_t key;
};
ARENA_GC_LAYOUT(entry_layout, struct entry, next, value);

struct slot {
	void *to;
};
ARENA_GC_LAYOUT(slot_layout, struct slot, to);

struct client {
	pthread_t thread;
	uint64_t random;
	uint64_t nr_requests, nr_hits, nr_died;
	bool is_good;
};

static struct arena_gc *gc;
static struct arena_gc_type *value_type, *entry_type, *slot_type;
static struct arena_gc_handle *table;	/* of buckets: the one root */
static size_t nr_kept = KEPT;		/* atomic, relaxed: by each thread */
static pthread_mutex_t locks[BUCKETS];	/* a bucket's guards the chain from it and all entries in it */

static void *need(void *object)
{
	if (!object) {
		fputs("cache: out of memory\n", stderr);
		exit(EXIT_FAILURE);
	}
	return object;
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* ---------------------------------------------------------------- values */

/* What a service would compute, or ask a data base for. */
static struct value *compute(uint64_t key)
{
	struct value *value = need(arena_gc_alloc(gc, value_type));

	value->key = key;
	value->nr_words = VALUE_WORDS_LEAST + key % VALUE_WORDS_MORE;
	arena_gc_store(&value->words, need(arena_gc_alloc_atomic(gc, value->nr_words * sizeof(*value->words))));
	for (uint64_t i = 0; i < value->nr_words; i++)
		value->words[i] = key * i;
	return value;
}

static bool is_right(const struct value *value, uint64_t key)
{
	uint64_t last = value->nr_words - 1;

	return value->key == key && value->words[0] == 0 && value->words[last] == key * last;
}

/* ---------------------------------------------------------------- the cache */

static size_t bucket_of(uint64_t key)
{
	return key * 0x9e3779b97f4a7c15U >> 50;
}

/* The value of a key, if it still lives. */
static struct value *look_up(uint64_t key)
{
	struct slot *buckets = arena_gc_handle_get(table);
	struct value *value = NULL;
	struct entry *entry;

	pthread_mutex_lock(&locks[bucket_of(key)]);
	entry = arena_gc_load(&buckets[bucket_of(key)].to);
	while (entry && entry->key != key)
		entry = arena_gc_load(&entry->next);
	if (entry)
		value = arena_gc_weak_get(entry->value);
	pthread_mutex_unlock(&locks[bucket_of(key)]);
	return value;
}

/* The living value of @key in a bucket, if there is one; entries of dead ones are dropped on the way. */
static struct value *prune_locked(struct client *me, struct slot *bucket, uint64_t key)
{
	void **link = &bucket->to;
	struct value *found = NULL;

	for (struct entry *entry; (entry = arena_gc_load(link));) {
		struct value *value = arena_gc_weak_get(entry->value);

		if (value) {
			found = entry->key == key ? value : found;
			link = (void **)&entry->next;
			continue;
		}
		arena_gc_store(link, arena_gc_load(&entry->next));
		me->nr_died++;
	}
	return found;
}

/* Two threads may come with a new value of the same key: the first one's stays. */
static struct value *put(struct client *me, uint64_t key, struct value *value)
{
	struct entry *entry = need(arena_gc_alloc(gc, entry_type));
	struct slot *bucket = (struct slot *)arena_gc_handle_get(table) + bucket_of(key);
	struct value *other;

	entry->key = key;
	arena_gc_store(&entry->value, need(arena_gc_weak_create(gc, value)));
	pthread_mutex_lock(&locks[bucket_of(key)]);
	other = prune_locked(me, bucket, key);
	if (!other) {
		arena_gc_store(&entry->next, arena_gc_load(&bucket->to));
		arena_gc_store(&bucket->to, entry);
	}
	pthread_mutex_unlock(&locks[bucket_of(key)]);
	return other ? other : value;
}

static struct value *get(struct client *me, uint64_t key)
{
	struct value *value = look_up(key);

	me->nr_hits += value != NULL;
	return value ? value : put(me, key, compute(key));
}

/* ---------------------------------------------------------------- clients */

/* Small keys are asked for more often. */
static uint64_t pick_key(struct client *me)
{
	uint64_t a = random_next(&me->random) % KEYS, b = random_next(&me->random) % KEYS, c = random_next(&me->random) % KEYS;

	a = a < b ? a : b;
	return a < c ? a : c;
}

/* The first ones of @kept that are used, as far as the limit lets; the others are let go. */
static size_t fit(struct slot *kept, size_t nr)
{
	size_t wanted = __atomic_load_n(&nr_kept, __ATOMIC_RELAXED);

	while (nr > wanted)
		arena_gc_store(&kept[--nr].to, NULL);
	return nr;
}

static void *serve(void *argument)
{
	struct client *me = argument;
	size_t nr = KEPT;
	struct slot *kept;

	if (arena_gc_attach(gc))
		exit(EXIT_FAILURE);
	kept = need(arena_gc_alloc_array(gc, slot_type, KEPT));
	for (uint64_t i = 0; i < me->nr_requests; i++) {
		uint64_t key = pick_key(me);
		struct value *value = get(me, key);

		me->is_good &= is_right(value, key);
		nr = fit(kept, nr);
		arena_gc_store(&kept[i % nr].to, value);
		arena_gc_poll();
	}
	arena_gc_detach(gc);
	return NULL;
}

/* What lives does not fit. Called by a thread that allocates, which holds no lock. */
static void keep_less(struct arena_gc *heap, void *nothing)
{
	size_t nr = __atomic_load_n(&nr_kept, __ATOMIC_RELAXED);

	(void)heap;
	(void)nothing;
	__atomic_store_n(&nr_kept, nr / 2 > KEPT_LEAST ? nr / 2 : KEPT_LEAST, __ATOMIC_RELAXED);
}

static void set_up(uint64_t limit_bytes)
{
	gc = need(arena_gc_create(NULL));
	arena_gc_set_limit(gc, &(struct arena_gc_limit){ .bytes = limit_bytes, .policy = ARENA_GC_OVERSHOOT, .function = keep_less });
	value_type = need(arena_gc_type_create(gc, &value_layout));
	entry_type = need(arena_gc_type_create(gc, &entry_layout));
	slot_type = need(arena_gc_type_create(gc, &slot_layout));
	for (size_t i = 0; i < BUCKETS; i++)
		pthread_mutex_init(&locks[i], NULL);
	if (arena_gc_attach(gc))
		exit(EXIT_FAILURE);
	table = need(arena_gc_handle_create(gc, need(arena_gc_alloc_array(gc, slot_type, BUCKETS))));
	arena_gc_detach(gc);
}

/*
 * Without a word the heap stays within its limit. Once the program was told it may have gone beyond, and objects do not move together again: what lives must fit then,
 * now that less is kept.
 */
static bool is_within(uint64_t limit_bytes)
{
	struct arena_gc_stats stats;

	arena_gc_stats(gc, &stats);
	return !limit_bytes || (nr_kept < KEPT ? stats.live_bytes : stats.held_bytes) <= limit_bytes + limit_bytes * SLACK_PERCENT / 100;
}

static void print(const struct client *all)
{
	struct arena_gc_stats stats;
	struct arena_gc_latency latency;

	arena_gc_stats(gc, &stats);
	arena_gc_latency(gc, &latency);
	printf("%llu requests, %.1f %% found, %llu values died\n", (unsigned long long)all->nr_requests,
	       100.0 * (double)all->nr_hits / (double)all->nr_requests, (unsigned long long)all->nr_died);
	printf("%zu values kept by each thread at the end\n", nr_kept);
	printf("%llu cycles, %.1f MB live, %.1f MB held, in the runtime for at most %llu us at once\n", (unsigned long long)stats.nr_cycles,
	       (double)stats.live_bytes / 1e6, (double)stats.held_bytes / 1e6, (unsigned long long)latency.runtime.max_ns / 1000);
}

int main(int argc, char **argv)
{
	size_t nr_threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 4;
	uint64_t nr_requests = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000000;
	uint64_t limit_mib = argc > 3 ? strtoul(argv[3], NULL, 10) : 0;
	struct client clients[THREADS_MAX], all = { .is_good = true };
	bool is_good;

	if (!nr_threads || nr_threads > THREADS_MAX)
		return EXIT_FAILURE;
	set_up(limit_mib << 20);
	for (size_t i = 0; i < nr_threads; i++) {
		clients[i] = (struct client){ .random = 88172645463325252U + i, .nr_requests = nr_requests / nr_threads, .is_good = true };
		if (pthread_create(&clients[i].thread, NULL, serve, &clients[i]))
			return EXIT_FAILURE;
	}
	for (size_t i = 0; i < nr_threads; i++) {
		pthread_join(clients[i].thread, NULL);
		all.nr_requests += clients[i].nr_requests;
		all.nr_hits += clients[i].nr_hits;
		all.nr_died += clients[i].nr_died;
		all.is_good &= clients[i].is_good;
	}
	print(&all);
	is_good = is_within(limit_mib << 20);
	arena_gc_destroy(gc);
	if (!all.is_good)
		fputs("cache: a value is not the key's\n", stderr);
	if (!is_good)
		fputs("cache: the heap is larger than its limit\n", stderr);
	return all.is_good && is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
