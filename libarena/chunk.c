// SPDX-License-Identifier: MIT
/*
 * Chunks: acquired from a source, cached, released, counted.
 *
 * A released chunk must fault, so it cannot be kept under its address. But its memory can move: mremap() takes the
 * page tables of an anonymous chunk to the next fresh address, in a tenth of the time that the kernel needs to clear 2 MiB,
 * and the old address is revoked all the same. A few such chunks per source wait as the cache for the next arena; arena_trim()
 * and the daemon give them back. The device does not need this: its module has a pool of clean chunks.
 */
#include "chunk.h"

#include <errno.h>
#include <string.h>

#include "dev.h"
#include "opt.h"
#include "revoke.h"

/* Longest cache of a source; $ARENA_CACHED_CHUNKS is cut to it. 2 GiB is far beyond any use of a cache. */
#define CACHED_MAX 1024
/* A chunk that moved has a mapping of its own and splits its old and its new neighborhood. */
#define MOVE_MAPPINGS 4

/* Invariant, under window->lock: handed = mapped + nr_cached + returned. */
struct chunk_source {
	struct window *window;	/* atomic; NULL until started. Release in start_locked() pairs with window_of() */
	const struct source_ops *ops; /* fixed before window */
	size_t cached_max;	/* guarded by window->lock, as all below; 0 once moving failed */
	uint64_t handed;
	uint64_t mapped;
	uint64_t returned;
	size_t nr_cached;
	uint32_t cached[CACHED_MAX]; /* units, oldest first */
};

static struct chunk_source sources[ARENA_NR_SOURCES];

static struct window *window_of(const struct chunk_source *source)
{
	return atomic_load_acquire(&source->window);
}

/* ---------------------------------------------------------------- start */

static int start_locked(struct chunk_source *source, enum arena_source which)
{
	struct window *window;
	int error;

	if (window_of(source))
		return 0;
	source->ops = source_ops(which);
	source->cached_max = source->ops->can_move ? size_min(opt_get(OPT_CACHED_CHUNKS), CACHED_MAX) : 0;
	error = source->ops->start(&window);
	if (error)
		return error;
	if (!window_publish(window)) {
		window_destroy(window);
		return -ENOMEM;
	}
	atomic_store_release(&source->window, window);
	return 0;
}

int chunk_source_start(enum arena_source which)
{
	int error;

	if (window_of(&sources[which]))
		return 0;
	lock_acquire(&lock_setup);
	error = start_locked(&sources[which], which);
	lock_release(&lock_setup);
	return error;
}

/* What it does not know is reported once. */
enum arena_source chunk_source_named(void)
{
	static uint32_t told; /* atomic; 1 after the report */
	const char *name = opt_source();
	int which = name ? arena_source_parse(name) : ARENA_SOURCE_AUTO;

	if (which >= 0)
		return (enum arena_source)which;
	if (!atomic_swap_acquire(&told, 1u))
		report("ARENA_SOURCE=%s is none of auto, dev, hugetlb, thp, pages; using auto", name);
	return ARENA_SOURCE_AUTO;
}

int chunk_source_auto(void)
{
	static const enum arena_source order[] = { ARENA_SOURCE_DEV, ARENA_SOURCE_THP, ARENA_SOURCE_PAGES };
	static uint32_t chosen; /* atomic: 0 or an enum arena_source, the same whoever finds it */
	enum arena_source which = (enum arena_source)atomic_load_relaxed(&chosen);
	int error = 0;

	if (which)
		return (error = chunk_source_start(which)) ? error : (int)which;
	which = chunk_source_named();
	if (which)
		return (error = chunk_source_start(which)) ? error : (int)which;
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		error = chunk_source_start(order[i]);
		if (!error) {
			atomic_store_relaxed(&chosen, (uint32_t)order[i]);
			return (int)order[i];
		}
	}
	return error;
}

/* ---------------------------------------------------------------- cache */

static void uncache(struct chunk_source *source, size_t at, size_t nr)
{
	source->nr_cached -= nr;
	memmove(&source->cached[at], &source->cached[at + nr], (source->nr_cached - at) * sizeof(*source->cached));
}

/* Where in the cache @nr neighbors stand, in a row and in order, beginning with @unit unless that is UNIT_NONE. */
static size_t find_cached(const struct chunk_source *source, size_t nr, size_t unit)
{
	for (size_t at = 0; at + nr <= source->nr_cached; at++) {
		size_t found = 1;

		if (unit != UNIT_NONE && source->cached[at] != unit)
			continue;
		while (found < nr && source->cached[at + found] == source->cached[at] + found)
			found++;
		if (found == nr)
			return at;
	}
	return UNIT_NONE;
}

/* Cached chunks become live: their first unit, or UNIT_NONE. */
static size_t take_cached(struct chunk_source *source, struct window *window, size_t nr, size_t unit, uint32_t owner)
{
	size_t at = find_cached(source, nr, unit);

	if (at == UNIT_NONE)
		return UNIT_NONE;
	unit = source->cached[at];
	uncache(source, at, nr);
	window_set_state_locked(window, unit, nr, UNIT_LIVE);
	window_set_owner_locked(window, unit, nr, owner);
	return unit;
}

/* The memory of a chunk moves to a fresh address, into the cache. The old address is still to be revoked. */
static bool move_to_cache(struct chunk_source *source, struct window *window, size_t unit)
{
	void *to;
	size_t target;

	/* Locked memory goes back at once: os_move() says why. */
	if (source->nr_cached >= source->cached_max || os_is_locking() || !revoke_has_room(MOVE_MAPPINGS))
		return false;
	target = window_take_locked(window, 1, OWNER_NONE);
	if (target == UNIT_NONE)
		return false;
	to = (void *)window_address(window, target);
	if (os_move((void *)window_address(window, unit), to, CHUNK_BYTES)) {
		/* Each failure may cost an address, so it is the last. If something is there now, it may be another thread's. */
		source->cached_max = 0;
		if (window_recover_locked(window, target, 1))
			window_set_state_locked(window, target, 1, UNIT_LOST);
		window_untake_locked(window, target, 1);
		return false;
	}
	window_set_kind_locked(window, target, 1, KIND_OWN);
	window_set_state_locked(window, target, 1, UNIT_CACHED);
	source->cached[source->nr_cached++] = (uint32_t)target;
	return true;
}

/* ---------------------------------------------------------------- acquire and release */

/* Fresh units with memory, or UNIT_NONE. */
static size_t take_fresh(struct chunk_source *source, struct window *window, size_t nr, size_t unit, uint32_t owner)
{
	if (unit == UNIT_NONE)
		unit = window_take_locked(window, nr, owner);
	else if (!window_take_at_locked(window, unit, nr, owner))
		unit = UNIT_NONE;
	if (unit == UNIT_NONE)
		return UNIT_NONE;
	if (source->ops->back_locked(window, unit, nr)) {
		window_untake_locked(window, unit, nr);
		return UNIT_NONE;
	}
	source->handed += nr;
	return unit;
}

static size_t trim_locked(struct chunk_source *source, struct window *window, size_t max)
{
	size_t nr = size_min(source->nr_cached, max);

	for (size_t i = 0; i < nr; i++)
		source->ops->revoke_locked(window, source->cached[i], 1);
	uncache(source, 0, nr);
	source->returned += nr;
	return nr;
}

/* Memory at hand comes before the place preferred, because clearing costs more than a gap between runs. */
static size_t acquire_locked(struct chunk_source *source, struct window *window, size_t nr, size_t near,
			     enum chunk_place place, uint32_t owner)
{
	size_t unit = UNIT_NONE;

	if (near != UNIT_NONE)
		unit = take_cached(source, window, nr, near, owner);
	if (unit == UNIT_NONE && place == CHUNK_ANYWHERE)
		unit = take_cached(source, window, nr, UNIT_NONE, owner);
	if (unit == UNIT_NONE && near != UNIT_NONE)
		unit = take_fresh(source, window, nr, near, owner);
	if (unit == UNIT_NONE && place == CHUNK_ANYWHERE)
		unit = take_fresh(source, window, nr, UNIT_NONE, owner);
	return unit;
}

uintptr_t chunk_acquire(enum arena_source which, size_t nr, uintptr_t near, enum chunk_place place, uint32_t owner)
{
	struct chunk_source *source = &sources[which];
	size_t near_unit = UNIT_NONE, unit;
	struct window *window;

	/* Only in the child of a fork, which lost the device's window, is there anything to start. */
	if (chunk_source_start(which))
		return 0;
	window = window_of(source);
	lock_acquire(&window->lock);
	/* An arena that a fork cut off from its window goes on in the new one. */
	if (near && window_lookup(near) == window)
		near_unit = window_unit(window, near);
	unit = acquire_locked(source, window, nr, near_unit, place, owner);
	/* Addresses of the cache help who needs any; a taken neighbor stays taken. */
	if (unit == UNIT_NONE && place == CHUNK_ANYWHERE && trim_locked(source, window, SIZE_MAX))
		unit = acquire_locked(source, window, nr, near_unit, place, owner);
	if (unit != UNIT_NONE)
		source->mapped += nr;
	lock_release(&window->lock);
	return unit == UNIT_NONE ? 0 : window_address(window, unit);
}

static struct chunk_source *source_of(const struct window *window)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++)
		if (window_of(&sources[i]) == window)
			return &sources[i];
	return window->device ? &sources[ARENA_SOURCE_DEV] : NULL;
}

void chunk_release(uintptr_t base, size_t nr)
{
	struct window *window = window_lookup(base);
	struct chunk_source *source = window ? source_of(window) : NULL;
	size_t unit;

	check(source);
	lock_acquire(&window->lock);
	unit = window_unit(window, base);
	for (size_t i = unit; i < unit + nr; i++)
		check(window->state[i] == UNIT_LIVE);
	if (!window->lost) {
		size_t moved = 0;

		while (moved < nr && move_to_cache(source, window, unit + moved))
			moved++;
		source->mapped -= nr;
		source->returned += nr - moved;
	}
	source->ops->revoke_locked(window, unit, nr);
	lock_release(&window->lock);
}

void chunk_set_owner(uintptr_t base, size_t nr, uint32_t owner)
{
	struct window *window = window_lookup(base);

	lock_acquire(&window->lock);
	window_set_owner_locked(window, window_unit(window, base), nr, owner);
	lock_release(&window->lock);
}

int chunk_populate(uintptr_t base, size_t nr)
{
	struct window *window = window_lookup(base);
	struct chunk_source *source = source_of(window);
	int error;

	if (!source->ops->can_populate)
		return 0;
	error = os_populate((void *)base, nr * CHUNK_BYTES);
	return error == -EINVAL ? 0 : error; /* an old kernel: the memory comes when touched */
}

/* ---------------------------------------------------------------- trimming, counters */

size_t chunk_trim(size_t max)
{
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		struct window *window = window_of(&sources[i]);

		if (!window)
			continue;
		lock_acquire(&window->lock);
		nr += trim_locked(&sources[i], window, max - nr);
		revoke_deferred_locked(window, window->used_units);
		lock_release(&window->lock);
	}
	return nr;
}

void chunk_memory(struct arena_memory *memory)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		struct chunk_source *source = &sources[i];
		struct window *window = window_of(source);

		if (!window)
			continue;
		lock_acquire(&window->lock);
		memory->source[i].handed_chunks = source->handed;
		memory->source[i].mapped_chunks = source->mapped;
		memory->source[i].cached_chunks = source->nr_cached;
		memory->source[i].returned_chunks = source->returned;
		memory->source[i].revoked_chunks = window->nr_resting;
		memory->fifo_chunks += window->nr_resting;
		/* What holds for every source. */
		if (!memory->fifo_max_chunks || window->rest_units < memory->fifo_max_chunks)
			memory->fifo_max_chunks = window->rest_units;
		lock_release(&window->lock);
	}
}

void chunk_validate(void)
{
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		struct chunk_source *source = &sources[i];
		struct window *window = window_of(source);
		size_t live = 0, cached = 0;

		if (!window)
			continue;
		window_validate(window);
		lock_acquire(&window->lock);
		for (size_t unit = 0; unit < window->used_units; unit++) {
			live += window->state[unit] == UNIT_LIVE;
			cached += window->state[unit] == UNIT_CACHED;
		}
		for (size_t at = 0; at < source->nr_cached; at++)
			check(window->state[source->cached[at]] == UNIT_CACHED);
		check(live == source->mapped && cached == source->nr_cached);
		check(source->handed == source->mapped + source->nr_cached + source->returned);
		lock_release(&window->lock);
	}
}

/* ---------------------------------------------------------------- fork */

/*
 * Windows are published under the setup lock, which the caller holds, so that their number is fixed from here on. In the child nobody else runs, so
 * that the order of ranks between two windows cannot matter.
 */
void chunk_fork_prepare(void)
{
	struct window *window;

	for (size_t i = 0; (window = window_at(i)); i++)
		lock_acquire_nested(&window->lock);
}

void chunk_fork_parent(void)
{
	struct window *window;

	for (size_t i = 0; (window = window_at(i)); i++)
		lock_release_nested(&window->lock);
}

/*
 * The memory of the device's window is the parent's: it does not count here any more, and is never zapped from here. The child
 * has not even the mapping, and pointers into the hole must not come to point at what the child maps next.
 */
static void leave_to_parent(struct chunk_source *source, struct window *window)
{
	int error = os_close((void *)window->base, window->nr_units * CHUNK_BYTES);

	if (error)
		panic("keeping the addresses of the parent's chunks out of use failed with error %d", -error);
	window->lost = true;
	dev_close(window->fd);
	window->fd = -1;
	source->handed = source->mapped = source->returned = 0;
	atomic_store_release(&source->window, NULL);
}

void chunk_fork_child(void)
{
	struct chunk_source *device = &sources[ARENA_SOURCE_DEV];
	struct window *window = window_of(device);

	if (window)
		leave_to_parent(device, window);
	chunk_fork_parent();
}
