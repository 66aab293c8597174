/* SPDX-License-Identifier: GPL-2.0-only */
/* The calls of user space; the same on the device and on the files of spaces. */
#ifndef ARENA_DEV_H
#define ARENA_DEV_H

struct file;

long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

#endif /* ARENA_DEV_H */
