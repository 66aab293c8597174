// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pseudo file system. It is mounted while spaces exist; its mount holds the module, so that the
 * module stays until the last inode is gone, however late the last close comes.
 */
#include <linux/cred.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>

#include "compat.h"
#include "dev.h"
#include "fault.h"
#include "fs.h"
#include "pool.h"
#include "reclaim.h"
#include "space.h"
#include "stats.h"
#include "uring.h"

#define FS_MAGIC 0x6172656e /* "aren" */

static struct vfsmount *fs_mount;	/* guard: the lock inside simple_pin_fs() */
static int fs_mount_count;		/* the same */

static void fs_evict_inode(struct inode *inode)
{
	struct arena_space *space = inode->i_private;

	clear_inode(inode);
	if (space) {
		view_kill(space->base);
		space_put(space);
	}
}

static const struct super_operations fs_super_ops = {
	.statfs = simple_statfs,
	.drop_inode = generic_delete_inode,
	.evict_inode = fs_evict_inode,
};

static int fs_init_context(struct fs_context *fc)
{
	struct pseudo_fs_context *context = init_pseudo(fc, FS_MAGIC);

	if (!context)
		return -ENOMEM;
	context->ops = &fs_super_ops;
	return 0;
}

static struct file_system_type fs_type = {
	.name = "arena",
	.owner = THIS_MODULE,
	.init_fs_context = fs_init_context,
	.kill_sb = kill_anon_super,
};

static int space_file_open(struct inode *inode, struct file *file)
{
	/* Opened again by way of /proc: the same space, with the rights of the new descriptor. */
	return 0;
}

static long space_file_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct arena_space *space = file_space(file);
	struct reclaimed reclaimed;

	if (mode != (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (!IS_ALIGNED(offset | len, CHUNK_BYTES))
		return -EINVAL;
	/* The core has checked that neither is negative and that the sum does not wrap. */
	if ((offset + len) >> CHUNK_SHIFT > space->nr_slots)
		return -EINVAL;
	return space_zap(space, offset >> CHUNK_SHIFT, (offset + len) >> CHUNK_SHIFT, &reclaimed);
}

static const struct file_operations space_file_ops = {
	.owner = THIS_MODULE,
	.open = space_file_open,
	.mmap = fault_mmap,
	.get_unmapped_area = fault_get_unmapped_area,
	.poll = dev_poll,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = uring_command,
	.fallocate = space_file_fallocate,
	.show_fdinfo = stats_show_fdinfo,
	.fsync = noop_fsync,
	.llseek = noop_llseek,
};

bool fs_is_space_file(struct file *file)
{
	return file->f_op == &space_file_ops;
}

/*
 * The size is fixed, and with it what may be mapped; owner and mode decide who may open it again.
 */
static int space_inode_setattr(struct compat_idmap *idmap, struct dentry *dentry,
			       struct iattr *attr)
{
	return -EPERM;
}

static const struct inode_operations space_inode_ops = {
	.setattr = space_inode_setattr,
};

static struct inode *space_inode_create(u32 flags, u64 nr_slots, u64 max_chunks, u64 node_mask)
{
	struct arena_space *space = space_create(flags, nr_slots, max_chunks, node_mask);
	struct inode *inode;

	if (IS_ERR(space))
		return ERR_CAST(space);
	inode = new_inode(fs_mount->mnt_sb);
	if (!inode) {
		space_put(space);
		return ERR_PTR(-ENOMEM);
	}
	inode->i_ino = get_next_ino();
	inode->i_mode = S_IFREG | 0600;
	inode->i_uid = current_fsuid();
	inode->i_gid = current_fsgid();
	inode->i_flags |= S_NOCMTIME | S_PRIVATE;
	inode->i_size = (loff_t)space->nr_slots << CHUNK_SHIFT;
	inode->i_op = &space_inode_ops;
	inode->i_fop = &space_file_ops;
	inode->i_private = space;
	/* No link: nothing keeps it but open files, and core dumps count it as anonymous memory. */
	clear_nlink(inode);
	space->mapping = inode->i_mapping;
	return inode;
}

/*
 * With the mount pinned by the caller. The file's own f_op reference to the module is taken here,
 * fput drops it.
 */
static struct file *space_file_create(struct inode *inode)
{
	struct file *file;

	__module_get(THIS_MODULE);
	file = alloc_file_pseudo(inode, fs_mount, "arena", O_RDWR | O_LARGEFILE, &space_file_ops);
	if (IS_ERR(file)) {
		module_put(THIS_MODULE);
		iput(inode);
	}
	return file;
}

struct file *fs_create_file(u32 flags, u64 nr_slots, u64 max_chunks, u64 node_mask)
{
	struct inode *inode;
	struct file *file;
	int err = simple_pin_fs(&fs_type, &fs_mount, &fs_mount_count);

	if (err)
		return ERR_PTR(err);
	inode = space_inode_create(flags, nr_slots, max_chunks, node_mask);
	file = IS_ERR(inode) ? ERR_CAST(inode) : space_file_create(inode);
	/* A file has its own reference to the mount. */
	simple_release_fs(&fs_mount, &fs_mount_count);
	return file;
}

int fs_attach_space(struct inode *unused, struct file *file)
{
	struct inode *inode;
	int err = simple_pin_fs(&fs_type, &fs_mount, &fs_mount_count);

	if (err)
		return err;
	inode = space_inode_create(0, 0, 0, 0);
	if (IS_ERR(inode)) {
		simple_release_fs(&fs_mount, &fs_mount_count);
		return PTR_ERR(inode);
	}
	file->private_data = inode;
	file->f_mapping = inode->i_mapping;
	return 0;
}

int fs_detach_space(struct inode *unused, struct file *file)
{
	iput(file->private_data);
	simple_release_fs(&fs_mount, &fs_mount_count);
	return 0;
}
