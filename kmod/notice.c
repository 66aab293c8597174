// SPDX-License-Identifier: GPL-2.0-only
/*
 * What grace.h decides, with a lock and a clock; and the ways to tell an owner. Asking happens
 * inside somebody's allocation, so it only writes down: telling and taking are a worker's
 * (discard.c).
 */
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>

#include "compat.h"
#include "notice.h"

#include "uapi/arena.h"

/* Long enough to walk a cache and let go of it, short for whoever waits for memory. */
static unsigned int notice_grace_ms = 100;
/* Longer than the pauses between bursts of one shortage. */
static unsigned int notice_calm_ms = 1000;

#define MAX_MS 60000

static int ms_set(const char *text, const struct kernel_param *param)
{
	return param_set_uint_minmax(text, param, 0, MAX_MS);
}

static const struct kernel_param_ops ms_ops = { .set = ms_set, .get = param_get_uint };

module_param_cb(notice_grace_ms, &ms_ops, &notice_grace_ms, 0644);
MODULE_PARM_DESC(notice_grace_ms,
		 "Time between telling owners and taking kept chunks (0 to 60000; default: 100)");
module_param_cb(notice_calm_ms, &ms_ops, &notice_calm_ms, 0644);
MODULE_PARM_DESC(notice_calm_ms,
		 "Time without demand after which the next notice has a grace again (0 to 60000; "
		 "default: 1000)");

static struct grace_rules notice_rules(void)
{
	return (struct grace_rules) {
		.grace_ns = (u64)READ_ONCE(notice_grace_ms) * NSEC_PER_MSEC,
		.calm_ns = (u64)READ_ONCE(notice_calm_ms) * NSEC_PER_MSEC,
	};
}

void notice_init(struct notice *notice)
{
	spin_lock_init(&notice->lock);
	notice->grace = (struct grace) { .phase = GRACE_CALM };
	notice->untold = false;
}

bool notice_ask(struct notice *notice, u64 nr, u64 kept, enum grace_need need)
{
	struct grace_rules rules = notice_rules();
	bool look;

	spin_lock(&notice->lock);
	if (grace_ask(&notice->grace, &rules, ktime_get_ns(), nr, kept, need))
		notice->untold = true;
	look = notice->untold || grace_due_chunks(&notice->grace);
	spin_unlock(&notice->lock);
	return look;
}

void notice_settle(struct notice *notice, u64 nr)
{
	/*
	 * No notice is what every ZAP sees on a good day. Racy: a notice that begins now knows of
	 * these chunks as little as of any that were given before it.
	 */
	if (READ_ONCE(notice->grace.phase) == GRACE_CALM)
		return;
	spin_lock(&notice->lock);
	grace_settle(&notice->grace, nr);
	spin_unlock(&notice->lock);
}

bool notice_take_news(struct notice *notice)
{
	bool news;

	spin_lock(&notice->lock);
	news = notice->untold;
	notice->untold = false;
	if (news)
		grace_tell(&notice->grace, ktime_get_ns());
	spin_unlock(&notice->lock);
	return news;
}

u64 notice_due_chunks(struct notice *notice)
{
	struct grace_rules rules = notice_rules();
	u64 due;

	spin_lock(&notice->lock);
	grace_advance(&notice->grace, &rules, ktime_get_ns());
	due = grace_due_chunks(&notice->grace);
	spin_unlock(&notice->lock);
	return due;
}

struct notice_state notice_state(struct notice *notice)
{
	struct grace_rules rules = notice_rules();
	struct notice_state state = {};
	u64 now_ns = ktime_get_ns();

	spin_lock(&notice->lock);
	grace_advance(&notice->grace, &rules, now_ns);
	if (notice->grace.phase != GRACE_CALM)
		state.level = notice->grace.critical ? ARENA_NOTICE_CRITICAL
						     : ARENA_NOTICE_MODERATE;
	state.wanted_chunks = notice->grace.wanted_chunks;
	state.grace_ns = grace_left_ns(&notice->grace, &rules, now_ns);
	spin_unlock(&notice->lock);
	return state;
}

bool notice_is_wanting(struct notice *notice)
{
	return READ_ONCE(notice->grace.phase) != GRACE_CALM && notice_state(notice).wanted_chunks;
}

void notice_ear_init(struct notice_ear *ear)
{
	init_waitqueue_head(&ear->wait);
	spin_lock_init(&ear->lock);
	ear->event = NULL;
}

void notice_ear_fini(struct notice_ear *ear)
{
	if (ear->event)
		eventfd_ctx_put(ear->event);
}

int notice_ear_set(struct notice_ear *ear, int fd)
{
	struct eventfd_ctx *event = fd == -1 ? NULL : eventfd_ctx_fdget(fd);

	if (IS_ERR(event))
		return PTR_ERR(event);
	spin_lock(&ear->lock);
	swap(ear->event, event);
	spin_unlock(&ear->lock);
	if (event)
		eventfd_ctx_put(event);
	return 0;
}

void notice_ear_signal(struct notice_ear *ear)
{
	spin_lock(&ear->lock);
	if (ear->event)
		compat_eventfd_signal(ear->event);
	spin_unlock(&ear->lock);
	wake_up_poll(&ear->wait, EPOLLPRI);
}
