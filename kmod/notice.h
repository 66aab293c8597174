/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Notices: kept chunks are wanted. A group has one (struct notice), each of its spaces hears of it
 * (struct notice_ear): by poll(), by an eventfd, and by asking.
 */
#ifndef ARENA_NOTICE_H
#define ARENA_NOTICE_H

#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "grace.h"

struct eventfd_ctx;
struct file;

/**
 * struct notice - that of a group
 * @lock: guards @grace and @untold
 * @grace: the state of the notice
 * @untold: owners have yet to be told
 */
struct notice {
	spinlock_t lock;
	struct grace grace;
	bool untold;
};

/** struct notice_state - a notice as its owners see it */
struct notice_state {
	u32 level;		/* 0 none, 1 moderate, 2 critical */
	u64 wanted_chunks;
	u64 grace_ns;		/* what is left of it */
};

/**
 * struct notice_ear - that of a space
 * @wait: pollers
 * @lock: guards @event
 * @event: signaled when there is news; or NULL
 */
struct notice_ear {
	wait_queue_head_t wait;
	spinlock_t lock;
	struct eventfd_ctx *event;
};

void notice_init(struct notice *notice);
/** @nr chunks are asked for while @kept are kept. True when a worker must look soon. */
bool notice_ask(struct notice *notice, u64 nr, u64 kept, enum grace_need need);
/** @nr chunks left the spaces of the group, whoever did it; or there is no hope for as many. */
void notice_settle(struct notice *notice, u64 nr);
/** Whether owners have to be told, once: now, for their grace begins. */
bool notice_take_news(struct notice *notice);
/** How many chunks to take now. */
u64 notice_due_chunks(struct notice *notice);
struct notice_state notice_state(struct notice *notice);
/** Whether chunks are wanted; one load while there is no notice. */
bool notice_is_wanting(struct notice *notice);

void notice_ear_init(struct notice_ear *ear);
void notice_ear_fini(struct notice_ear *ear);
/** Signal the eventfd @fd from now on, none when it is -1. 0, -EBADF, -EINVAL. */
int notice_ear_set(struct notice_ear *ear, int fd);
void notice_ear_signal(struct notice_ear *ear);

#endif /* ARENA_NOTICE_H */
