// SPDX-License-Identifier: MIT
/*
 * Runs of ordinary pages for small arenas.
 *
 * An arena of one object costs one page, whatever its source: a hundred thousand of them would be 200 GB of chunks. The pages lie
 * side by side in a window of its own; each run is revoked on its own when its arena is freed, by guard pages
 * where the kernel has them. Making guard pages needs no lock of ours, because until they rest the pages are the caller's.
 */
#include "small.h"

#include <errno.h>

#include "opt.h"
#include "revoke.h"

/* 4 GiB of addresses in rotation: a million one-page arenas, and 9 MiB of tables when all were used. */
#define SOFT_PAGES ((size_t)1 << 20)

static struct window *window;	/* atomic; NULL until started. Release in small_start() pairs with window_get() */
static uint64_t live_pages;	/* guarded by window->lock */

static struct window *window_get(void)
{
	return atomic_load_acquire(&window);
}

static struct window *create(void)
{
	const struct window_options options = {
		.want_units = opt_get(OPT_SMALL_CHUNKS) * PAGES_PER_CHUNK,
		.least_units = PAGES_PER_CHUNK,
		.soft_units = SOFT_PAGES,
		.step_units = PAGES_PER_CHUNK,
		.unit_shift = PAGE_SHIFT,
		.pages = OS_PAGES_SMALL,
		.guard_first = revoke_has_guard(),
	};
	struct window *created = window_create(&options);

	if (created && !window_publish(created)) {
		window_destroy(created);
		return NULL;
	}
	return created;
}

int small_start(void)
{
	if (window_get())
		return 0;
	lock_acquire(&lock_setup);
	if (!window_get())
		atomic_store_release(&window, create());
	lock_release(&lock_setup);
	return window_get() ? 0 : -ENOMEM;
}

uintptr_t small_acquire(size_t nr, uint32_t owner)
{
	struct window *small = window_get();
	size_t unit;

	lock_acquire(&small->lock);
	unit = window_take_locked(small, nr, owner);
	if (unit != UNIT_NONE && window_open_locked(small, unit, nr)) {
		window_untake_locked(small, unit, nr);
		unit = UNIT_NONE;
	}
	live_pages += unit == UNIT_NONE ? 0 : nr;
	lock_release(&small->lock);
	return unit == UNIT_NONE ? 0 : window_address(small, unit);
}

void small_release(uintptr_t base, size_t nr)
{
	struct window *small = window_get();
	size_t unit = window_unit(small, base);
	bool guarded = small->guard_first && !os_guard((void *)base, nr * PAGE_BYTES);

	lock_acquire(&small->lock);
	for (size_t i = unit; i < unit + nr; i++)
		check(small->state[i] == UNIT_LIVE);
	if (guarded)
		revoke_guarded_locked(small, unit, nr);
	else
		revoke_units_locked(small, unit, nr);
	live_pages -= nr;
	lock_release(&small->lock);
}

void small_set_owner(uintptr_t base, size_t nr, uint32_t owner)
{
	struct window *small = window_get();

	lock_acquire(&small->lock);
	window_set_owner_locked(small, window_unit(small, base), nr, owner);
	lock_release(&small->lock);
}

void small_trim(void)
{
	struct window *small = window_get();

	if (!small)
		return;
	lock_acquire(&small->lock);
	revoke_deferred_locked(small, small->used_units);
	lock_release(&small->lock);
}

void small_memory(struct arena_memory *memory)
{
	struct window *small = window_get();

	if (!small)
		return;
	lock_acquire(&small->lock);
	memory->small_bytes = live_pages * PAGE_BYTES;
	memory->fifo_small_bytes = small->nr_resting * PAGE_BYTES;
	memory->fifo_max_small_bytes = (uint64_t)small->rest_units * PAGE_BYTES;
	lock_release(&small->lock);
}

void small_validate(void)
{
	struct window *small = window_get();
	size_t live = 0;

	if (!small)
		return;
	window_validate(small);
	lock_acquire(&small->lock);
	for (size_t unit = 0; unit < small->used_units; unit++)
		live += small->state[unit] == UNIT_LIVE;
	check(live == live_pages);
	lock_release(&small->lock);
}
