// SPDX-License-Identifier: MIT
/*
 * Making addresses fault.
 *
 * Two ways. *Guard pages* need no mapping of their own, but a page table each. *Closing* replaces the range by an
 * inaccessible mapping, which needs up to two more mappings, but merges with closed neighbors and frees page tables. Chunks
 * are closed while the address map has room and guarded otherwise; pages of small arenas are guarded.
 * Kernels without guard pages close everything, and no kernel guards locked memory, which is closed. When the last of the 512 pages under one
 * page-table page is revoked, either way, all are closed at once, which frees it.
 *
 * A process may have vm.max_map_count mappings, and dies in odd places when it has more. The library makes at most half of
 * that. Beyond, where guard pages are not to be had, a freed range gives its memory back but stays accessible: it is *deferred*, is
 * counted, and is closed as soon as a neighbor's closing makes it cheap or other mappings are gone.
 */
#include "revoke.h"

#include <errno.h>
#include <stdlib.h>

#include "opt.h"

/* Units of deferred ranges that one free looks at: bounds what a free pays for others. */
#define DEFERRED_STEP_UNITS 2048
/* The kernel's default of vm.max_map_count. */
#define MAP_COUNT_DEFAULT 65530

static revoke_hook *hook; /* fixed before the first release */
static uint32_t guard_state; /* atomic: 0 not asked yet, 1 no, 2 yes. Racing askers find the same answer */
static long map_limit;	/* atomic: 0 not read yet */

void revoke_set_hook(revoke_hook *function)
{
	hook = function;
}

static bool ask_for_guard(void)
{
	void *probe = opt_get(OPT_GUARD) ? os_table(PAGE_BYTES) : NULL;
	bool has = probe && os_guard(probe, PAGE_BYTES) == 0;

	if (probe)
		os_unreserve(probe, PAGE_BYTES);
	return has;
}

bool revoke_has_guard(void)
{
	uint32_t state = atomic_load_relaxed(&guard_state);

	if (!state) {
		state = ask_for_guard() ? 2 : 1;
		atomic_store_relaxed(&guard_state, state);
	}
	return state == 2;
}

static long read_map_limit(void)
{
	char text[32];
	long limit = (long)opt_get(OPT_MAP_LIMIT);

	if (limit)
		return limit;
	if (os_read_text("/proc/sys/vm/max_map_count", text, sizeof(text)))
		limit = strtol(text, NULL, 10);
	return (limit > 0 ? limit : MAP_COUNT_DEFAULT) / 2;
}

bool revoke_has_room(long more_mappings)
{
	long limit = atomic_load_relaxed(&map_limit);

	if (!limit) {
		limit = read_map_limit();
		atomic_store_relaxed(&map_limit, limit);
	}
	return more_mappings <= 0 || window_mappings() + more_mappings <= limit;
}

/* Deferred units in a range that is inaccessible now are done; their owners hear of it. */
static void settle(struct window *window, size_t unit, size_t nr)
{
	size_t i = unit, end = unit + nr;

	while (i < end) {
		size_t first = i;
		uint32_t owner = window->owner[i];

		if (window->state[i] != UNIT_DEFERRED) {
			i++;
			continue;
		}
		while (i < end && window->state[i] == UNIT_DEFERRED && window->owner[i] == owner)
			i++;
		window->nr_deferred -= i - first;
		window_rest_locked(window, first, i - first);
		hook(owner, -(long)(i - first));
	}
}

/* One inaccessible mapping over the range, if there is room for it. */
static bool close_range(struct window *window, size_t unit, size_t nr)
{
	if (!revoke_has_room(window_kind_cost_locked(window, unit, nr, KIND_CLOSED)))
		return false;
	if (os_close((void *)window_address(window, unit), nr << window->unit_shift))
		return false;
	window_set_kind_locked(window, unit, nr, KIND_CLOSED);
	return true;
}

/* When no page under a page-table page is accessible any more, closing them all at once frees it. */
static void consolidate(struct window *window, size_t unit, size_t nr)
{
	size_t block = unit / PAGES_PER_CHUNK, limit = (unit + nr - 1) / PAGES_PER_CHUNK + 1;

	/* The last block may not be the window's alone. */
	limit = size_min(limit, window->nr_units / PAGES_PER_CHUNK);
	for (; block < limit && window->unit_shift == PAGE_SHIFT; block++)
		if (!window->accessible[block])
			close_range(window, block * PAGES_PER_CHUNK, PAGES_PER_CHUNK);
}

bool revoke_close_locked(struct window *window, size_t unit, size_t nr)
{
	size_t base = unit, limit = unit + nr;

	while (window->nr_deferred && base > 0 && window->state[base - 1] == UNIT_DEFERRED)
		base--;
	while (window->nr_deferred && limit < window->used_units && window->state[limit] == UNIT_DEFERRED)
		limit++;
	if (!close_range(window, base, limit - base))
		return false;
	settle(window, base, limit - base);
	consolidate(window, base, limit - base);
	return true;
}

void revoke_guarded_locked(struct window *window, size_t unit, size_t nr)
{
	window_set_kind_locked(window, unit, nr, KIND_GUARD);
	window_rest_locked(window, unit, nr);
	consolidate(window, unit, nr);
}

static bool guard(struct window *window, size_t unit, size_t nr)
{
	if (!revoke_has_guard() || os_guard((void *)window_address(window, unit), nr << window->unit_shift))
		return false;
	revoke_guarded_locked(window, unit, nr);
	return true;
}

/* Where the memory does not go either it does when the range is closed. */
static void defer(struct window *window, size_t unit, size_t nr)
{
	os_drop((void *)window_address(window, unit), nr << window->unit_shift);
	window_set_state_locked(window, unit, nr, UNIT_DEFERRED);
	window->nr_deferred += nr;
	hook(window->owner[unit], (long)nr);
}

size_t revoke_units_locked(struct window *window, size_t unit, size_t nr)
{
	bool done = false;

	if (window->guard_first)
		done = guard(window, unit, nr);
	if (!done && revoke_close_locked(window, unit, nr)) {
		window_rest_locked(window, unit, nr);
		done = true;
	}
	if (!done && !window->guard_first)
		done = guard(window, unit, nr);
	if (!done)
		defer(window, unit, nr);
	if (window->nr_deferred)
		revoke_deferred_locked(window, DEFERRED_STEP_UNITS);
	return done ? nr : 0;
}

void revoke_deferred_locked(struct window *window, size_t max_units)
{
	size_t unit = window->deferred_cursor;

	for (size_t seen = 0; seen < max_units && window->nr_deferred; seen++, unit++) {
		if (unit >= window->used_units)
			unit = 0;
		if (window->state[unit] != UNIT_DEFERRED)
			continue;
		if (revoke_close_locked(window, unit, 1))
			continue;
		/* The whole stretch was too dear; go on behind it. */
		while (unit + 1 < window->used_units && window->state[unit + 1] == UNIT_DEFERRED)
			unit++;
	}
	window->deferred_cursor = unit;
}
