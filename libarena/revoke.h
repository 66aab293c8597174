/* SPDX-License-Identifier: MIT */
/* Making addresses fault, in the cheapest way that the kernel has and the address map has room for. */
#ifndef LIBARENA_REVOKE_H
#define LIBARENA_REVOKE_H

#include "window.h"

/** Whether the kernel has guard pages (MADV_GUARD_INSTALL) and they are not switched off. Asks once. */
bool revoke_has_guard(void);

/** Whether the library may make that many more mappings. */
bool revoke_has_room(long more_mappings);
/**
 * Units that are LIVE or CACHED lose their memory and fault from now on; they rest. When the address map is full
 * they are DEFERRED instead: memory goes back, addresses stay accessible until there is room.
 * Returns how many units could be revoked at once: @nr or 0.
 */
size_t revoke_units_locked(struct window *window, size_t unit, size_t nr);
/** The same for LIVE units that os_guard() made fault already. */
void revoke_guarded_locked(struct window *window, size_t unit, size_t nr);
/** The same for units without memory whose addresses are not used any more. */
bool revoke_close_locked(struct window *window, size_t unit, size_t nr);
/** Revoke deferred units for which there is room now; looks at about @max_units units. */
void revoke_deferred_locked(struct window *window, size_t max_units);

/**
 * Called, with the window locked, with how many units of an owner begin (+) or cease (-) to wait for their
 * revocation. Set once, before anything is released.
 */
typedef void revoke_hook(uint32_t owner, long nr_units);
void revoke_set_hook(revoke_hook *hook);

#endif /* LIBARENA_REVOKE_H */
