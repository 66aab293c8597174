/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The files of spaces. Each space has an inode of its own, a regular file on a pseudo file system
 * of the module: regular, because fallocate() and MADV_REMOVE want that; of its own, so that one
 * space can be unmapped alone; with a size, because newer kernels map no PMD beyond it.
 */
#ifndef ARENA_FS_H
#define ARENA_FS_H

#include <linux/types.h>

struct arena_space;
struct file;
struct inode;

/** A new file on a new space; ERR_PTR. */
struct file *fs_create_file(u32 flags, u64 nr_slots, u64 max_chunks, u64 node_mask);
/** ->open of the device: a space of its own for @file. */
int fs_attach_space(struct inode *inode, struct file *file);
int fs_detach_space(struct inode *inode, struct file *file);
bool fs_is_space_file(struct file *file);

#endif /* ARENA_FS_H */
