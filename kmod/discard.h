/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Asking for kept chunks: owners are told, and after a grace a worker takes what is wanted
 * still.
 */
#ifndef ARENA_DISCARD_H
#define ARENA_DISCARD_H

#include <linux/poll.h>

#include "grace.h"

struct arena_space;
struct pool_group;

int discard_init(void);
void discard_exit(void);

/** @nr kept chunks of the spaces of @group are wanted. Never waits: for the shrinker. */
void discard_later(struct pool_group *group, unsigned long nr, enum grace_need need);
/**
 * Wait until something of @group was taken since its nr_freed was @before, but not for long; when
 * that was in vain, not at all for a while. Returns how many chunks went.
 */
unsigned long discard_wait(struct pool_group *group, unsigned long before);
/** Somebody is about to be killed: @nr chunks of any group at once. Returns how many went. */
unsigned long discard_soon(unsigned long nr);

/** ->poll of a space: EPOLLPRI while some of what it keeps is wanted. */
__poll_t discard_poll(struct arena_space *space, struct file *file, poll_table *table);

#endif /* ARENA_DISCARD_H */
