/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Who holds how many chunks, and how many he may. Untouched chunks are in nobody's RSS, so the
 * OOM killer cannot find who holds them: hence caps, per user and in total, by default.
 */
#ifndef ARENA_CHARGE_H
#define ARENA_CHARGE_H

#include <linux/uidgid.h>

/** struct charge_user - one user; opaque */
struct charge_user;

struct charge_caps {
	unsigned long max_space_chunks;
	unsigned long max_user_chunks;
	unsigned long max_total_chunks;
};

/** Fill in the defaults of caps that were not given. */
void charge_init(void);
struct charge_caps charge_caps(void);

/**
 * The account of @uid, made if need be; NULL when out of memory. Put it back with
 * charge_user_put().
 */
struct charge_user *charge_user_get(kuid_t uid);
void charge_user_put(struct charge_user *user);

/**
 * Charge @nr chunks to @user: 0, or -ENOMEM over a cap. Exact: caps are never exceeded, not even
 * for a moment.
 */
int charge_chunks(struct charge_user *user, unsigned long nr);
void uncharge_chunks(struct charge_user *user, unsigned long nr);

/**
 * Charge @nr pages of the module's own tables to @user: 0, or -ENOMEM when his tables would fill
 * more than 1/64 of memory. They are in nobody's RSS either, and a space that holds no chunk still
 * has some.
 */
int charge_pages(struct charge_user *user, unsigned long nr);
void uncharge_pages(struct charge_user *user, unsigned long nr);

#endif /* ARENA_CHARGE_H */
