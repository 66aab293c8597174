// SPDX-License-Identifier: GPL-2.0-only
/* Accounts of users in a list (there are few users), and the caps as module parameters. */
#include <linux/cred.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "charge.h"
#include "pool.h"

struct charge_user {
	struct list_head link;	/* in users; guard charge_lock */
	kuid_t uid;		/* fixed after creation */
	unsigned long refs;	/* guard charge_lock */
	atomic_long_t chunks;
	atomic_long_t pages;	/* of tables */
};

static DEFINE_SPINLOCK(charge_lock);
static LIST_HEAD(users);	/* guard charge_lock */
static atomic_long_t total;	/* chunks of all users */

/* A space of 1 TiB: more than most machines have, and its table of tables is two pages. */
#define DEFAULT_SPACE_CHUNKS (1UL << (40 - CHUNK_SHIFT))
/* 64 TiB: half of a process's addresses. */
#define MAX_SPACE_CHUNKS (1UL << (46 - CHUNK_SHIFT))

static unsigned long max_space_chunks, max_user_chunks, max_total_chunks;

static unsigned long ram_chunks(void)
{
	return totalram_pages() / CHUNK_PAGES;
}

/* A cap is at least 1: a cap of 0 means "the default", which only makes sense at load. */
static int cap_set(const char *text, const struct kernel_param *param)
{
	unsigned long value;
	int err = kstrtoul(text, 0, &value);

	if (err)
		return err;
	if (!value || value > (param->arg == &max_space_chunks ? MAX_SPACE_CHUNKS : ram_chunks()))
		return -EINVAL;
	WRITE_ONCE(*(unsigned long *)param->arg, value);
	return 0;
}

static const struct kernel_param_ops cap_ops = { .set = cap_set, .get = param_get_ulong };

module_param_cb(max_space_chunks, &cap_ops, &max_space_chunks, 0644);
MODULE_PARM_DESC(max_space_chunks, "Most slots a space may have (default: 1 TiB)");
module_param_cb(max_user_chunks, &cap_ops, &max_user_chunks, 0644);
MODULE_PARM_DESC(max_user_chunks, "Most chunks one user may hold (default: 3/8 of memory)");
module_param_cb(max_total_chunks, &cap_ops, &max_total_chunks, 0644);
MODULE_PARM_DESC(max_total_chunks, "Most chunks all users may hold (default: half of memory)");

void charge_init(void)
{
	max_space_chunks = max_space_chunks ?: DEFAULT_SPACE_CHUNKS;
	max_total_chunks = max_total_chunks ?: max(1UL, ram_chunks() / 2);
	/* Three quarters of the total, so that one user cannot take everything. */
	max_user_chunks = max_user_chunks ?: max(1UL, max_total_chunks / 4 * 3);
}

struct charge_caps charge_caps(void)
{
	return (struct charge_caps) {
		.max_space_chunks = READ_ONCE(max_space_chunks),
		.max_user_chunks = READ_ONCE(max_user_chunks),
		.max_total_chunks = READ_ONCE(max_total_chunks),
	};
}

static struct charge_user *user_find_locked(kuid_t uid)
{
	struct charge_user *user;

	list_for_each_entry(user, &users, link)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

struct charge_user *charge_user_get(kuid_t uid)
{
	struct charge_user *fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT), *user;

	if (!fresh)
		return NULL;
	fresh->uid = uid;
	spin_lock(&charge_lock);
	user = user_find_locked(uid);
	if (!user) {
		list_add(&fresh->link, &users);
		swap(user, fresh);
	}
	user->refs++;
	spin_unlock(&charge_lock);
	kfree(fresh);
	return user;
}

void charge_user_put(struct charge_user *user)
{
	bool last;

	spin_lock(&charge_lock);
	last = !--user->refs;
	if (last)
		list_del(&user->link);
	spin_unlock(&charge_lock);
	if (last) {
		WARN_ON_ONCE(atomic_long_read(&user->chunks) || atomic_long_read(&user->pages));
		kfree(user);
	}
}

/*
 * Add @nr to @held unless that exceeds @cap. Relaxed: the count guards nothing but itself, and what
 * was counted is handed over under locks.
 */
static int charge(atomic_long_t *held, unsigned long nr, unsigned long cap)
{
	long was = atomic_long_read(held);

	do {
		if ((unsigned long)was > cap || nr > cap - was)
			return -ENOMEM;
	} while (!atomic_long_try_cmpxchg_relaxed(held, &was, was + nr));
	return 0;
}

int charge_chunks(struct charge_user *user, unsigned long nr)
{
	int err = charge(&user->chunks, nr, READ_ONCE(max_user_chunks));

	if (err)
		return err;
	err = charge(&total, nr, READ_ONCE(max_total_chunks));
	if (err)
		atomic_long_sub(nr, &user->chunks);
	return err;
}

void uncharge_chunks(struct charge_user *user, unsigned long nr)
{
	atomic_long_sub(nr, &total);
	atomic_long_sub(nr, &user->chunks);
}

/*
 * Enough for dozens of spaces that have used every address they have, too little to hurt the
 * machine.
 */
static unsigned long max_user_pages(void)
{
	return totalram_pages() / 64;
}

int charge_pages(struct charge_user *user, unsigned long nr)
{
	return charge(&user->pages, nr, max_user_pages());
}

void uncharge_pages(struct charge_user *user, unsigned long nr)
{
	atomic_long_sub(nr, &user->pages);
}
