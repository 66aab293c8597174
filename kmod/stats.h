/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module counts, for ioctls, sysfs and fdinfo. */
#ifndef ARENA_STATS_H
#define ARENA_STATS_H

#include <linux/sysfs.h>
#include <linux/types.h>

struct arena_stat;
struct arena_space;
struct arena_space_stat;
struct file;
struct seq_file;

/** Fill in every counter; size and flags are left alone. */
void stats_module(struct arena_stat *stat);
void stats_space(struct arena_space *space, struct arena_space_stat *stat);
int stats_init(void);
/** The device is gone. */
void stats_exit(void);
/** One value per file, under the device in sysfs; fixed after init. */
extern const struct attribute_group *stats_groups[];
void stats_show_fdinfo(struct seq_file *m, struct file *file);

#endif /* ARENA_STATS_H */
