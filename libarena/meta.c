// SPDX-License-Identifier: MIT
/*
 * What is known of arenas, dead ones included.
 *
 * Two tables in mappings of their own, which become accessible in steps as they are used: entries, whose index is the owner in the
 * tables of windows, and records of runs. Dead entries wait in a queue, with their runs, so that a fault at an address can be
 * traced to its arena; the oldest is used again when the queue is longer than META_KEPT (never with
 * $ARENA_NO_RECYCLE). An entry whose addresses are not all revoked yet is not in the queue.
 *
 * Limit: after META_KEPT other frees a stale struct arena pointer may be somebody else's.
 */
#include "meta.h"

#include <errno.h>
#include <string.h>

#include "opt.h"
#include "revoke.h"
#include "window.h"

/* 16 million arenas at a time, 3.5 GiB of addresses; fewer where addresses are limited. */
#define ENTRIES_MAX ((size_t)1 << 24)
#define ENTRIES_LEAST ((size_t)1 << 10)
/* Runs per entry that there is room for: arenas of many runs are large, and so few. */
#define RUNS_PER_ENTRY 2

/* Tables become accessible in steps of that much. */
#define TABLE_STEP_BYTES (1 * MiB)

static struct lock lock = LOCK_INIT(LOCK_META);

static struct arena *entries;	/* atomic; NULL until started. Release in meta_start() pairs with entries_get() */
static struct run *runs;	/* fixed before entries, as the two below */
static size_t nr_entries_max;
static bool recycles;

static uint32_t nr_entries;	/* entries ever used; written under lock, read without it */
static size_t entries_open_bytes; /* guarded by lock, as all below */
static size_t runs_open_bytes;
static size_t nr_runs;
static struct run *free_runs;
static struct queue dead;
static uint64_t nr_live;
static uint64_t nr_revoked;
static uint64_t nr_deferred;

static struct arena *entries_get(void)
{
	return atomic_load_acquire(&entries);
}

/* ---------------------------------------------------------------- the dead */

/* With the lock held: everything of a dead arena faults now. */
static void rest(struct arena *arena)
{
	nr_revoked++;
	queue_push(&dead, &arena->link);
}

/* The hook of revoke.h. */
static void pending(uint32_t owner, long nr_units)
{
	struct arena *arena = meta_lookup(owner);

	if (!arena)
		return;
	lock_acquire(&lock);
	arena->nr_pending += nr_units;
	if (!arena->nr_pending) {
		nr_deferred--;
		rest(arena);
	}
	lock_release(&lock);
}

bool meta_kill(struct arena *arena, const char *where)
{
	uint32_t expected = META_LIVE;

	/* Relaxed: who calls must own the arena; this only makes a second free loud. */
	if (!atomic_cas_relaxed(&arena->state, &expected, (uint32_t)META_DEAD))
		return false;
	arena->freed_at = where;
	arena->bump = (struct arena_bump){ 0 };
	lock_acquire(&lock);
	arena->nr_pending = 1;
	lock_release(&lock);
	return true;
}

void meta_bury(struct arena *arena)
{
	lock_acquire(&lock);
	nr_live--;
	if (--arena->nr_pending)
		nr_deferred++;
	else
		rest(arena);
	lock_release(&lock);
}

/* ---------------------------------------------------------------- creation */

/* Where addresses are limited, most of them must stay free for memory. */
static bool is_small_share(size_t bytes)
{
	void *probe = os_reserve(8 * bytes, PAGE_BYTES);

	if (probe)
		os_unreserve(probe, 8 * bytes);
	return probe;
}

static bool map_tables(size_t nr)
{
	struct arena *table = is_small_share(nr * sizeof(*table)) ? os_reserve_table(nr * sizeof(*table)) : NULL;

	runs = table ? os_reserve_table(nr * RUNS_PER_ENTRY * sizeof(*runs)) : NULL;
	if (!runs) {
		if (table)
			os_unreserve(table, nr * sizeof(*table));
		return false;
	}
	nr_entries_max = nr;
	atomic_store_release(&entries, table);
	return true;
}

static void start_locked(void)
{
	size_t nr = ENTRIES_MAX;

	if (entries_get())
		return;
	recycles = !opt_get(OPT_NO_RECYCLE);
	revoke_set_hook(pending);
	while (!map_tables(nr) && nr / 2 >= ENTRIES_LEAST)
		nr /= 2;
}

int meta_start(void)
{
	if (entries_get())
		return 0;
	lock_acquire(&lock_setup);
	start_locked();
	lock_release(&lock_setup);
	return entries_get() ? 0 : -ENOMEM;
}

/* The addresses that a dead arena had are nobody's by name from now on, unless they were used again. */
static void forget_run(const struct run *run, uint32_t id)
{
	struct window *window = window_lookup(run->base);
	size_t limit = window_unit(window, run->limit - 1) + 1;

	lock_acquire(&window->lock);
	for (size_t unit = window_unit(window, run->base); unit < limit; unit++)
		if (window->owner[unit] == id && window->state[unit] == UNIT_FREE)
			window_set_owner_locked(window, unit, 1, OWNER_NONE);
	lock_release(&window->lock);
}

static void forget(struct arena *arena)
{
	struct run *run = arena->runs;

	while (run) {
		struct run *next = run->next;

		forget_run(run, arena->id);
		meta_run_destroy(run);
		run = next;
	}
	arena->runs = NULL;
}

/* With the lock held: one more record of a table, of which *open_bytes are accessible, can be used. */
static bool open_record(void *table, size_t table_bytes, size_t *open_bytes, size_t limit_bytes)
{
	size_t step_bytes = size_min(TABLE_STEP_BYTES, table_bytes - *open_bytes);

	if (limit_bytes <= *open_bytes)
		return true;
	if (os_open_table((char *)table + *open_bytes, step_bytes))
		return false;
	*open_bytes += step_bytes;
	return true;
}

/* With the lock held: an entry that was never used, or NULL. */
static struct arena *take_new_entry(void)
{
	/* Id 0 is OWNER_NONE. */
	uint32_t id = nr_entries + 1;

	if (id >= nr_entries_max || !open_record(entries, nr_entries_max * sizeof(*entries), &entries_open_bytes,
						 (id + (size_t)1) * sizeof(*entries)))
		return NULL;
	entries[id].id = id;
	/* Relaxed: an id that is in a window's table is smaller. */
	atomic_store_relaxed(&nr_entries, id);
	return &entries[id];
}

/* With the lock held: an entry, or NULL; its runs are still to be forgotten. */
static struct arena *take_entry(void)
{
	struct link *link = recycles && dead.nr > META_KEPT ? queue_pop(&dead) : NULL;
	struct arena *arena;

	if (link)
		return link_entry(link, struct arena, link);
	arena = take_new_entry();
	if (arena)
		return arena;
	link = recycles ? queue_pop(&dead) : NULL;
	return link ? link_entry(link, struct arena, link) : NULL;
}

struct arena *meta_create(void)
{
	struct arena *arena;
	uint32_t id;

	lock_acquire(&lock);
	arena = take_entry();
	nr_live += arena != NULL;
	lock_release(&lock);
	if (!arena)
		return NULL;
	forget(arena);
	id = arena->id;
	memset(arena, 0, sizeof(*arena));
	arena->id = id;
	atomic_store_relaxed(&arena->state, (uint32_t)META_LIVE);
	return arena;
}

bool meta_is_entry(const struct arena *arena)
{
	const char *table = (const char *)entries_get();
	size_t offset = (size_t)((const char *)arena - table);

	return table && offset < (atomic_load_relaxed(&nr_entries) + (size_t)1) * sizeof(*arena) &&
	       offset % sizeof(*arena) == 0 && offset;
}

struct arena *meta_lookup(uint32_t id)
{
	return id && id <= atomic_load_relaxed(&nr_entries) ? &entries_get()[id] : NULL;
}

/* ---------------------------------------------------------------- runs */

/* With the lock held: a record that was never used, or NULL. */
static struct run *take_new_run(void)
{
	size_t nr = nr_entries_max * RUNS_PER_ENTRY;

	if (nr_runs == nr || !open_record(runs, nr * sizeof(*runs), &runs_open_bytes, (nr_runs + 1) * sizeof(*runs)))
		return NULL;
	return &runs[nr_runs++];
}

struct run *meta_run_create(void)
{
	struct run *run;

	lock_acquire(&lock);
	run = free_runs;
	if (run)
		free_runs = run->next;
	else
		run = take_new_run();
	lock_release(&lock);
	if (run)
		memset(run, 0, sizeof(*run));
	return run;
}

void meta_run_destroy(struct run *run)
{
	lock_acquire(&lock);
	run->next = free_runs;
	free_runs = run;
	lock_release(&lock);
}

/* ---------------------------------------------------------------- the rest */

void meta_memory(struct arena_memory *memory)
{
	lock_acquire(&lock);
	memory->nr_arenas = nr_live;
	memory->revoked_arenas = nr_revoked;
	memory->deferred_arenas = nr_deferred;
	lock_release(&lock);
}

void meta_fork_prepare(void)
{
	lock_acquire(&lock);
}

void meta_fork_done(void)
{
	lock_release(&lock);
}
