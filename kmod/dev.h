/* SPDX-License-Identifier: GPL-2.0-only */
/* The calls of user space; the same on the device and on the files of spaces. */
#ifndef ARENA_DEV_H
#define ARENA_DEV_H

#include <linux/poll.h>

struct file;

__poll_t dev_poll(struct file *file, poll_table *table);
long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* ARENA_DEV_H */
