/* SPDX-License-Identifier: MIT */
/*
 * Windows: addresses reserved once, in which units of memory come and go.
 *
 *	[ LIVE | LIVE | free, resting | LIVE | free, resting ... | open ahead | closed, never used ........ )
 *	                                                 cursor ^
 *
 * Addresses are handed out in rotation (next fit), so that a freed address rests as long as there is room elsewhere, and at least
 * until rest_units others were freed.
 *
 * Locking: functions named _locked want window->lock held. window_lookup() and window_owner() take no
 * lock and may be called from a signal handler.
 */
#ifndef LIBARENA_WINDOW_H
#define LIBARENA_WINDOW_H

#include "lock.h"

enum unit_state {
	UNIT_FREE = 0,	/* nobody's; resting when it was used before */
	UNIT_LIVE,	/* an arena's */
	UNIT_CACHED,	/* idle, with memory */
	UNIT_DEFERRED,	/* freed, but still accessible: its revocation waits for room in the address map */
	UNIT_LOST,	/* perhaps not ours any more: a call unmapped it and failed, and it could not be had again */
};

/* What the kernel knows of a unit's addresses. */
enum unit_kind {
	KIND_CLOSED = 0, /* inaccessible; one mapping with closed neighbors */
	KIND_OPEN,	/* usable; one mapping with open and guarded neighbors */
	KIND_GUARD,	/* guard pages: inaccessible inside the mapping of open neighbors */
	KIND_OWN,	/* usable, in a mapping of its own */
};

#define UNIT_NONE SIZE_MAX
#define OWNER_NONE 0u

/* Invariants: cursor <= soft_units <= nr_units; units from used_units on were never handed out. */
struct window {
	uintptr_t base;		/* fixed after creation, as all down to `guard` */
	size_t nr_units;
	unsigned int unit_shift;
	enum os_pages pages;
	uint32_t rest_units;	/* so many others are freed before an address is used again; ~0: never used again */
	size_t step_units;	/* opened at a time; neighbors merge, so it only saves calls */
	bool guard_first;	/* prefer guard pages to closing */
	bool device;		/* a mapping of /dev/arena: KIND_OPEN throughout, revoked by the module */
	int fd;			/* of the device's space, else -1 */
	bool lost;		/* written by the child of a fork before it has threads: memory is the parent's */

	struct lock lock;	/* guards all below */
	size_t soft_units;	/* addresses in rotation; doubles when they are used up */
	size_t cursor;		/* where the search goes on */
	size_t used_units;
	uint32_t freed_count;	/* units freed since start, modulo 2^32 */
	size_t nr_resting;	/* units that are FREE and inaccessible after use */
	size_t nr_deferred;	/* units that are DEFERRED */
	size_t deferred_cursor;	/* where the search for deferred units goes on */
	uint32_t *owner;	/* per unit: who holds or held it; written under the lock, read without it */
	uint32_t *freed;	/* per unit: freed_count when it was freed; 0 = never used */
	uint8_t *state;		/* per unit: enum unit_state */
	uint8_t *kind;		/* per unit: enum unit_kind */
	uint16_t *accessible;	/* per PAGES_PER_CHUNK units: how many are KIND_OPEN or KIND_OWN */
};

struct window_options {
	size_t want_units;	/* fewer when there is no room */
	size_t least_units;	/* give up below that */
	size_t soft_units;	/* start of the rotation; 0 = all */
	size_t step_units;
	unsigned int unit_shift;
	enum os_pages pages;
	bool guard_first;
};

/** Reserve a window and its tables; NULL when there is no room. */
struct window *window_create(const struct window_options *options);
/** Take back window_create(). Windows that were published stay for good. */
void window_destroy(struct window *window);
/** Make a window that is ready visible to window_lookup() and window_for_each(). False when there are too many. */
bool window_publish(struct window *window);
/** The window that an address is in, or NULL. */
struct window *window_lookup(uintptr_t address);
/** The @i-th published window, or NULL after the last. */
struct window *window_at(size_t i);

/** @nr neighboring free units, now LIVE and owned; UNIT_NONE when addresses are used up. They may be closed still. */
size_t window_take_locked(struct window *window, size_t nr, uint32_t owner);
/** The same at a certain place: true when they were free. */
bool window_take_at_locked(struct window *window, size_t unit, size_t nr, uint32_t owner);
/** Take back window_take(): the units were never used. Those that are LOST stay so. */
void window_untake_locked(struct window *window, size_t unit, size_t nr);
/**
 * After a call failed that may have unmapped units: they are closed again (0), were not unmapped (-EEXIST), or
 * are LOST (-ENOMEM).
 */
int window_recover_locked(struct window *window, size_t unit, size_t nr);
/** Make LIVE units usable; 0 or -ENOMEM. */
int window_open_locked(struct window *window, size_t unit, size_t nr);
/** Mark units, that are inaccessible now, FREE and resting. */
void window_rest_locked(struct window *window, size_t unit, size_t nr);
void window_set_owner_locked(struct window *window, size_t unit, size_t nr, uint32_t owner);
void window_set_state_locked(struct window *window, size_t unit, size_t nr, enum unit_state state);
/** Record what the kernel was told, and what that does to the number of mappings. */
void window_set_kind_locked(struct window *window, size_t unit, size_t nr, enum unit_kind kind);
/** By how many mappings the process would grow (or shrink) if units became @kind. */
long window_kind_cost_locked(const struct window *window, size_t unit, size_t nr, enum unit_kind kind);

/** Mappings that windows have made, by count of borders inside windows. */
long window_mappings(void);
/** Panics when the tables contradict each other. O(used units). */
void window_validate(struct window *window);

static inline uintptr_t window_address(const struct window *window, size_t unit)
{
	return window->base + (unit << window->unit_shift);
}

static inline size_t window_unit(const struct window *window, uintptr_t address)
{
	return (address - window->base) >> window->unit_shift;
}

/* Relaxed: a report of a racing free may name the arena before or after, both are true. */
static inline uint32_t window_owner(const struct window *window, size_t unit)
{
	return atomic_load_relaxed(&window->owner[unit]);
}

#endif /* LIBARENA_WINDOW_H */
