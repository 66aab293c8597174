/* SPDX-License-Identifier: MIT */
/* /dev/arena, as the library uses it. Calls return 0 or -errno and leave errno alone. */
#ifndef LIBARENA_DEV_H
#define LIBARENA_DEV_H

#include "base.h"

/**
 * How many slots a space may have. -ENOENT: no module; -EACCES: no right to it; -ENOTSUP: a module of another version (reported
 * once).
 */
int dev_max_slots(size_t *max_slots);
/** A new space of @nr_slots slots: its descriptor, or an error as above. */
int dev_create(size_t nr_slots);
/**
 * A new space of at most @nr_slots slots, *@got of them, of which a child of fork() inherits a copy. -ENOTSUP also for a module that
 * is too old for that (reported once).
 */
int dev_create_cow(size_t nr_slots, size_t *got);
void dev_close(int fd);
/** Make slots hold chunks; all or nothing. -ENOMEM when a cap is reached or there is no memory. */
int dev_reserve(int fd, size_t slot, size_t nr);
/** Make reserved slots discardable, in constant time: the system may take their chunks from now on, and says so before (POLLPRI). */
int dev_keep(int fd, size_t slot, size_t nr);
/** Undo dev_keep(): as dev_reserve(); *@nr_fresh chunks were taken, and are others now, of zeros. */
int dev_unkeep(int fd, size_t slot, size_t nr, size_t *nr_fresh);
/** Give slots back: unmapped, and any access is SIGBUS from then on. */
int dev_zap(int fd, size_t slot, size_t nr);

#endif /* LIBARENA_DEV_H */
