/* SPDX-License-Identifier: GPL-2.0-only */
/* The system asks for memory: idle chunks at once, kept chunks by a worker. */
#ifndef ARENA_PRESSURE_H
#define ARENA_PRESSURE_H

#include <linux/types.h>

struct list_lru;
struct pool;
struct pool_group;

/** Whether the module gives memory back by itself. */
bool pressure_is_on(void);
int pressure_init(void);
/** Nobody is asked for memory any more. */
void pressure_stop(void);
/** No pool is left. */
void pressure_exit(void);

/** What group_create() needs to have a list for its cgroup; NULL without a shrinker. */
struct list_lru *pressure_lru(void);
/** From here to pressure_remove_pool() the shrinker of the cgroup it is charged to finds @pool. */
void pressure_add_pool(struct pool *pool);
void pressure_remove_pool(struct pool *pool);

#endif /* ARENA_PRESSURE_H */
