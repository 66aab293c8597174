// SPDX-License-Identifier: MIT
/*
 * Windows: which addresses are whose, and which are to be used next.
 *
 * Per unit there is an owner, an age and two states, in tables that cost memory only for units that were used. The search is
 * next fit: constant on fresh addresses, and on a window that has gone round it skips what is live or rests too
 * recently. Mappings are counted as borders between neighboring units of different kinds. That is an estimate: some units
 * with a mapping of their own share one, and after a fork the kernel merges fewer open ones.
 *
 * Limits: a window never grows and is never given back. The first units of the address space are not special.
 */
#include "window.h"

#include <errno.h>

#include "opt.h"

/* Four sources, the small arenas, and a device window for each generation of forks. */
#define WINDOWS_MAX 16
/* The age of a unit is a difference modulo 2^32. */
#define REST_UNITS_MAX ((size_t)1 << 30)

static struct window *windows[WINDOWS_MAX]; /* [0, nr_windows) fixed once published */
static size_t nr_windows;	/* atomic; the release in window_publish() pairs with window_at() */
static struct lock publish_lock = LOCK_INIT(LOCK_META);
static long mappings;		/* atomic; relaxed because it only steers a choice */

long window_mappings(void)
{
	return atomic_load_relaxed(&mappings);
}

/* ---------------------------------------------------------------- creation */

static bool create_tables(struct window *window)
{
	size_t nr = window->nr_units;

	window->owner = os_table(nr * sizeof(*window->owner));
	window->freed = os_table(nr * sizeof(*window->freed));
	window->state = os_table(nr);
	window->kind = os_table(nr);
	window->accessible = os_table((nr / PAGES_PER_CHUNK + 1) * sizeof(*window->accessible));
	return window->owner && window->freed && window->state && window->kind && window->accessible;
}

void window_destroy(struct window *window)
{
	size_t nr = window->nr_units;

	if (window->owner)
		os_unreserve(window->owner, nr * sizeof(*window->owner));
	if (window->freed)
		os_unreserve(window->freed, nr * sizeof(*window->freed));
	if (window->state)
		os_unreserve(window->state, nr);
	if (window->kind)
		os_unreserve(window->kind, nr);
	if (window->accessible)
		os_unreserve(window->accessible, (nr / PAGES_PER_CHUNK + 1) * sizeof(*window->accessible));
	if (window->base)
		os_unreserve((void *)window->base, nr << window->unit_shift);
	os_unreserve(window, align_up(sizeof(*window), PAGE_BYTES));
}

/*
 * The largest power-of-two part of what was asked for. When the whole does not fit, addresses are
 * limited (RLIMIT_AS), and only a quarter of what would fit is taken: others need room as well.
 */
static uintptr_t reserve(const struct window_options *options, size_t *nr_units)
{
	size_t nr = options->want_units;
	void *base = os_reserve(nr << options->unit_shift, CHUNK_BYTES);

	while (!base && nr / 2 >= options->least_units) {
		nr /= 2;
		base = os_reserve(nr << options->unit_shift, CHUNK_BYTES);
	}
	if (base && nr < options->want_units && nr / 4 >= options->least_units) {
		os_unreserve(base, nr << options->unit_shift);
		nr /= 4;
		base = os_reserve(nr << options->unit_shift, CHUNK_BYTES);
	}
	*nr_units = nr;
	return (uintptr_t)base;
}

/* Beyond a quarter of the addresses, too few would be left to hand out. */
static uint32_t rest_units(const struct window *window)
{
	size_t most = size_min(window->nr_units / 4, REST_UNITS_MAX);
	size_t chunks = size_min(opt_get(OPT_REST_CHUNKS), window->nr_units);

	if (opt_get(OPT_NO_RECYCLE))
		return UINT32_MAX;
	return (uint32_t)size_min(chunks ? chunks << (CHUNK_SHIFT - window->unit_shift) : window->soft_units / 2, most);
}

struct window *window_create(const struct window_options *options)
{
	struct window *window = os_table(align_up(sizeof(*window), PAGE_BYTES));

	if (!window)
		return NULL;
	window->unit_shift = options->unit_shift;
	window->base = reserve(options, &window->nr_units);
	if (!window->base || !create_tables(window)) {
		window_destroy(window);
		return NULL;
	}
	window->pages = options->pages;
	window->step_units = options->step_units;
	window->guard_first = options->guard_first;
	window->fd = -1;
	window->lock = (struct lock)LOCK_INIT(LOCK_WINDOW);
	window->soft_units = options->soft_units ? size_min(options->soft_units, window->nr_units) : window->nr_units;
	window->rest_units = rest_units(window);
	return window;
}

bool window_publish(struct window *window)
{
	size_t nr;

	lock_acquire(&publish_lock);
	nr = nr_windows;
	if (nr < WINDOWS_MAX) {
		windows[nr] = window;
		atomic_store_release(&nr_windows, nr + 1);
	}
	lock_release(&publish_lock);
	return nr < WINDOWS_MAX;
}

struct window *window_at(size_t i)
{
	return i < atomic_load_acquire(&nr_windows) ? windows[i] : NULL;
}

struct window *window_lookup(uintptr_t address)
{
	struct window *window;

	for (size_t i = 0; (window = window_at(i)); i++)
		if (address - window->base < window->nr_units << window->unit_shift)
			return window;
	return NULL;
}

/* ---------------------------------------------------------------- taking and resting */

static bool is_usable(const struct window *window, size_t unit)
{
	if (unit >= window->used_units)
		return true;
	if (window->state[unit] != UNIT_FREE)
		return false;
	if (!window->freed[unit])
		return true;
	return window->rest_units != UINT32_MAX && window->freed_count - window->freed[unit] >= window->rest_units;
}

/* The first of @nr neighboring usable units in [from, to), or UNIT_NONE. */
static size_t find(const struct window *window, size_t from, size_t to, size_t nr)
{
	size_t found = 0;

	for (size_t unit = from; unit < to; unit++) {
		found = is_usable(window, unit) ? found + 1 : 0;
		if (found == nr)
			return unit + 1 - nr;
		if (unit >= window->used_units)
			return unit + 1 - found + nr <= to ? unit + 1 - found : UNIT_NONE;
	}
	return UNIT_NONE;
}

/* Next fit; when all in rotation is taken or rests too recently, more addresses join the rotation. */
static size_t search(struct window *window, size_t nr)
{
	for (;;) {
		size_t unit = find(window, window->cursor, window->soft_units, nr);

		if (unit == UNIT_NONE)
			unit = find(window, 0, size_min(window->cursor + nr, window->soft_units), nr);
		if (unit != UNIT_NONE || window->soft_units == window->nr_units)
			return unit;
		window->cursor = size_min(window->cursor, window->used_units);
		window->soft_units = size_min(2 * window->soft_units, window->nr_units);
	}
}

/* A unit that was used and is taken again rests no more. */
static void take(struct window *window, size_t unit, size_t nr, uint32_t owner)
{
	for (size_t i = unit; i < unit + nr; i++) {
		if (window->freed[i])
			window->nr_resting--;
		window->freed[i] = 0;
		window->state[i] = UNIT_LIVE;
	}
	window_set_owner_locked(window, unit, nr, owner);
	window->used_units = size_max(window->used_units, unit + nr);
	window->cursor = unit + nr;
}

size_t window_take_locked(struct window *window, size_t nr, uint32_t owner)
{
	size_t unit = nr && nr <= window->nr_units ? search(window, nr) : UNIT_NONE;

	if (unit != UNIT_NONE)
		take(window, unit, nr, owner);
	return unit;
}

bool window_take_at_locked(struct window *window, size_t unit, size_t nr, uint32_t owner)
{
	if (unit >= window->soft_units || nr > window->soft_units - unit)
		return false;
	if (find(window, unit, unit + nr, nr) != unit)
		return false;
	take(window, unit, nr, owner);
	return true;
}

void window_untake_locked(struct window *window, size_t unit, size_t nr)
{
	for (size_t i = unit; i < unit + nr; i++)
		if (window->state[i] != UNIT_LOST)
			window->state[i] = UNIT_FREE;
	window_set_owner_locked(window, unit, nr, OWNER_NONE);
}

/* A hole among our addresses is anybody's: what maps next may land in it, so that it must not be opened again by force. */
int window_recover_locked(struct window *window, size_t unit, size_t nr)
{
	int error = os_reclaim((void *)window_address(window, unit), nr << window->unit_shift);

	if (error == -EEXIST)
		return error;
	window_set_kind_locked(window, unit, nr, KIND_CLOSED);
	if (!error)
		return 0;
	window_set_state_locked(window, unit, nr, UNIT_LOST);
	/* Units behind those that were used count as free. */
	window->used_units = size_max(window->used_units, unit + nr);
	return error;
}

void window_rest_locked(struct window *window, size_t unit, size_t nr)
{
	for (size_t i = unit; i < unit + nr; i++) {
		window->freed_count += window->freed_count == UINT32_MAX ? 2 : 1;
		window->freed[i] = window->freed_count;
		window->state[i] = UNIT_FREE;
	}
	window->nr_resting += nr;
}

void window_set_owner_locked(struct window *window, size_t unit, size_t nr, uint32_t owner)
{
	for (size_t i = unit; i < unit + nr; i++)
		atomic_store_relaxed(&window->owner[i], owner);
}

void window_set_state_locked(struct window *window, size_t unit, size_t nr, enum unit_state state)
{
	for (size_t i = unit; i < unit + nr; i++)
		window->state[i] = (uint8_t)state;
}

/* ---------------------------------------------------------------- kinds and mappings */

/* Whether a mapping ends between two neighbors. */
static bool is_border(uint8_t a, uint8_t b)
{
	if (a == KIND_OWN || b == KIND_OWN)
		return true;
	return (a == KIND_CLOSED) != (b == KIND_CLOSED);
}

static bool is_accessible(uint8_t kind)
{
	return kind == KIND_OPEN || kind == KIND_OWN;
}

static long count_borders(const struct window *window, size_t unit, size_t nr)
{
	size_t last = size_min(unit + nr, window->nr_units - 1);
	long borders = 0;

	for (size_t i = size_max(unit, 1); i <= last; i++)
		borders += is_border(window->kind[i - 1], window->kind[i]);
	return borders;
}

long window_kind_cost_locked(const struct window *window, size_t unit, size_t nr, enum unit_kind kind)
{
	long after = kind == KIND_OWN ? (long)nr - 1 : 0;

	if (unit)
		after += is_border(window->kind[unit - 1], (uint8_t)kind);
	if (unit + nr < window->nr_units)
		after += is_border((uint8_t)kind, window->kind[unit + nr]);
	return after - count_borders(window, unit, nr);
}

void window_set_kind_locked(struct window *window, size_t unit, size_t nr, enum unit_kind kind)
{
	atomic_add_relaxed(&mappings, window_kind_cost_locked(window, unit, nr, kind));
	for (size_t i = unit; i < unit + nr; i++) {
		uint16_t *accessible = &window->accessible[i / PAGES_PER_CHUNK];

		*accessible = (uint16_t)(*accessible - is_accessible(window->kind[i]) + is_accessible((uint8_t)kind));
		window->kind[i] = (uint8_t)kind;
	}
}

/* How far from @unit on units may be opened in the same call: never used, because what was freed faults until it is taken again. */
static size_t open_ahead_limit(const struct window *window, size_t unit)
{
	size_t limit = size_min(align_up(unit, window->step_units), window->soft_units);
	size_t i = unit;

	while (i < limit && is_usable(window, i) && !window->freed[i] && !is_accessible(window->kind[i]))
		i++;
	return i;
}

static int open_range(struct window *window, size_t base, size_t limit)
{
	int error = os_open((void *)window_address(window, base), (limit - base) << window->unit_shift, window->pages);

	if (error)
		window_recover_locked(window, base, limit - base);
	else
		window_set_kind_locked(window, base, limit - base, KIND_OPEN);
	return error;
}

int window_open_locked(struct window *window, size_t unit, size_t nr)
{
	size_t base = unit, limit = unit + nr, ahead;
	int error;

	if (window->device)
		return 0;
	while (base < limit && window->kind[base] == KIND_OPEN)
		base++;
	if (base == limit)
		return 0;
	ahead = open_ahead_limit(window, limit);
	error = open_range(window, base, ahead);
	if (error && ahead > limit && window->state[base] != UNIT_LOST)
		error = open_range(window, base, limit);
	return error;
}

/* ---------------------------------------------------------------- validation */

void window_validate(struct window *window)
{
	size_t resting = 0, deferred = 0, accessible = 0, blocks = window->nr_units / PAGES_PER_CHUNK + 1;

	lock_acquire(&window->lock);
	check(window->cursor <= window->soft_units && window->soft_units <= window->nr_units);
	for (size_t i = 0; i < window->used_units; i++) {
		uint8_t state = window->state[i], kind = window->kind[i];

		check(state <= UNIT_LOST && kind <= KIND_OWN);
		check(state == UNIT_FREE || !window->freed[i]);
		check(state == UNIT_FREE || state == UNIT_LOST || is_accessible(kind) || window->lost);
		resting += state == UNIT_FREE && window->freed[i];
		deferred += state == UNIT_DEFERRED;
	}
	check(resting == window->nr_resting && deferred == window->nr_deferred);
	/* The device's window is accessible throughout, and never counted. */
	for (size_t i = 0; i < size_min(window->used_units + window->step_units, window->nr_units); i++)
		accessible += is_accessible(window->kind[i]);
	for (size_t i = 0; i < blocks && !window->device; i++)
		accessible -= window->accessible[i];
	check(accessible == 0 || window->device);
	lock_release(&window->lock);
}
