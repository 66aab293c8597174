// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/arena: module load and unload, and the ioctls. Each ioctl is: copy in, check what can be
 * checked without knowing its meaning (table below), one call, copy out.
 */
#include "arena.h"

#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "charge.h"
#include "debug.h"
#include "dev.h"
#include "discard.h"
#include "fault.h"
#include "fs.h"
#include "group.h"
#include "placer.h"
#include "pool.h"
#include "populate.h"
#include "pressure.h"
#include "quarantine.h"
#include "range.h"
#include "reclaim.h"
#include "reserve.h"
#include "run.h"
#include "selftest.h"
#include "space.h"
#include "stats.h"
#include "uring.h"
#include "test/suites.h"

#include "uapi/arena.h"

static_assert(ARENA_CHUNK_SHIFT == CHUNK_SHIFT, "the uapi's chunk is not this kernel's PMD");

/* All structs of the uapi begin with these. */
union call {
	struct {
		__u32 size;
		__u32 flags;
	};
	struct arena_info info;
	struct arena_create create;
	struct arena_reserve reserve;
	struct arena_reclaim reclaim;
	struct arena_stat stat;
	struct arena_space_stat space;
	struct arena_trim trim;
	struct arena_populate populate;
	struct arena_notice notice;
};

/* Slots of a range in bytes: EINVAL unless it is aligned, not empty, and inside the space. */
static int range_check(struct arena_space *space, u64 offset_bytes, u64 length_bytes,
		       unsigned long *first, unsigned long *end)
{
	u64 space_bytes = (u64)space->nr_slots << CHUNK_SHIFT;

	if (!IS_ALIGNED(offset_bytes | length_bytes, CHUNK_BYTES) || !length_bytes)
		return -EINVAL;
	if (offset_bytes > space_bytes || length_bytes > space_bytes - offset_bytes)
		return -EINVAL;
	*first = offset_bytes >> CHUNK_SHIFT;
	*end = *first + (length_bytes >> CHUNK_SHIFT);
	return 0;
}

static long call_info(struct file *file, union call *call)
{
	struct charge_caps caps = charge_caps();

	call->info.api_version = ARENA_API_VERSION;
	call->info.chunk_shift = CHUNK_SHIFT;
	call->info.features = ARENA_FEATURE_KEEP | ARENA_FEATURE_QUARANTINE |
			      ARENA_FEATURE_FORK_SHARE | ARENA_FEATURE_FORK_COW |
			      ARENA_FEATURE_POPULATE | ARENA_FEATURE_NUMA | ARENA_FEATURE_CONTIG;
	if (IS_ENABLED(CONFIG_IO_URING))
		call->info.features |= ARENA_FEATURE_URING;
	if (selftest_saw_pmd())
		call->info.features |= ARENA_FEATURE_PMD;
	if (pressure_is_on())
		call->info.features |= ARENA_FEATURE_NOTICE;
	if (group_is_charging())
		call->info.features |= ARENA_FEATURE_MEMCG;
	call->info.max_space_chunks = caps.max_space_chunks;
	call->info.max_user_chunks = caps.max_user_chunks;
	call->info.max_total_chunks = caps.max_total_chunks;
	return 0;
}

static long call_create(struct file *file, union call *call)
{
	struct file *space_file;
	int fd;

	if (fs_is_space_file(file))
		return -ENOTTY;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	space_file =
		fs_create_file(call->create.flags, call->create.nr_slots, call->create.max_chunks,
			       call->create.node_mask);
	if (IS_ERR(space_file)) {
		put_unused_fd(fd);
		return PTR_ERR(space_file);
	}
	fd_install(fd, space_file);
	return fd;
}

static long reserve_ahead(struct arena_space *space, unsigned long first, unsigned long end,
			  u32 flags)
{
	struct placer placer;
	int err = flags == ARENA_RESERVE_AHEAD ? 0 : -EINVAL;

	if (!err)
		err = placer_lock(&placer, space->node_mask, space_policies(space));
	if (err)
		return err;
	err = space_reserve_ahead(space, first, end, &placer);
	placer_unlock(&placer);
	return err;
}

static long call_reserve(struct file *file, union call *call)
{
	struct arena_space *space = file_space(file);
	struct reserved reserved;
	struct placer placer;
	unsigned long first, end;
	int err = range_check(space, call->reserve.offset_bytes, call->reserve.length_bytes, &first,
			      &end);

	if (!err && call->reserve.flags & ARENA_RESERVE_AHEAD)
		return reserve_ahead(space, first, end, call->reserve.flags);
	if (!err && call->reserve.flags & ARENA_RESERVE_CONTIG && end - first > RUN_MAX_CHUNKS)
		err = -EINVAL;
	if (!err)
		err = placer_lock(&placer, space->node_mask, space_policies(space));
	if (err)
		return err;
	placer.is_run = call->reserve.flags & ARENA_RESERVE_CONTIG;
	err = space_reserve(space, first, end, !(call->reserve.flags & ARENA_RESERVE_NO_CLEAR),
			    GFP_KERNEL | __GFP_RETRY_MAYFAIL, &placer, &reserved);
	placer_unlock(&placer);
	if (err)
		return err;
	call->reserve.fresh_chunks = reserved.fresh_chunks;
	call->reserve.kept_chunks = reserved.kept_chunks;
	return 0;
}

static long call_reclaim(struct file *file, union call *call)
{
	struct arena_space *space = file_space(file);
	struct reclaimed reclaimed = {};
	unsigned long first, end;
	int err = range_check(space, call->reclaim.offset_bytes, call->reclaim.length_bytes, &first,
			      &end);

	if (err)
		return err;
	if (call->reclaim.how == ARENA_RECLAIM_KEEP)
		err = space_keep(space, first, end, &reclaimed);
	else if (call->reclaim.how == ARENA_RECLAIM_ZAP)
		err = space_zap(space, first, end, &reclaimed);
	else
		err = -EINVAL;
	call->reclaim.nr_chunks = reclaimed.nr_chunks;
	call->reclaim.nr_quarantined = reclaimed.nr_quarantined;
	return err;
}

static long call_stat(struct file *file, union call *call)
{
	stats_module(&call->stat);
	return 0;
}

static bool space_is_mine(struct arena_space *space)
{
	return uid_eq(space->uid, current_uid());
}

static bool space_is_any(struct arena_space *space)
{
	return true;
}

static long call_space(struct file *file, union call *call)
{
	struct arena_space *space = space_after_id(
		call->space.after_id, capable(CAP_SYS_RESOURCE) ? space_is_any : space_is_mine);

	if (!space)
		return -ENOENT;
	stats_space(space, &call->space);
	space_put(space);
	return 0;
}

static long call_trim(struct file *file, union call *call)
{
	u64 max = call->trim.max_chunks;

	if (!capable(CAP_SYS_RESOURCE))
		return -EPERM;
	call->trim.pool_chunks = pool_trim(NULL, NUMA_NO_NODE, max);
	if (call->trim.flags & ARENA_TRIM_KEPT && call->trim.pool_chunks < max)
		call->trim.discarded_chunks =
			discard_kept(NULL, max - call->trim.pool_chunks, NULL);
	return 0;
}

static long call_populate(struct file *file, union call *call)
{
	u64 address = call->populate.address, length_bytes = call->populate.length_bytes;
	int err;

	if (!IS_ALIGNED(address | length_bytes, CHUNK_BYTES) || !length_bytes)
		return -EINVAL;
	err = populate_range(file->f_mapping, address, length_bytes);
	if (!err)
		call->populate.nr_chunks = length_bytes >> CHUNK_SHIFT;
	return err;
}

/* Whoever may only read can ask, but not take the place of the one who is told. */
static int notice_set(struct file *file, const struct arena_notice *notice)
{
	if (!(notice->flags & ARENA_NOTICE_EVENTFD))
		return notice->eventfd ? -EINVAL : 0;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	return notice_ear_set(&file_space(file)->ear, notice->eventfd);
}

static long call_notice(struct file *file, union call *call)
{
	struct notice_state state;
	int err = notice_set(file, &call->notice);

	if (err)
		return err;
	state = notice_state(&file_space(file)->group->notice);
	call->notice.level = state.level;
	call->notice.wanted_bytes = state.wanted_chunks << CHUNK_SHIFT;
	call->notice.grace_ns = state.grace_ns;
	return 0;
}

__poll_t dev_poll(struct file *file, poll_table *table)
{
	return discard_poll(file_space(file), file, table);
}

/**
 * struct call_desc - what is known of a call without understanding it
 * @run: does it
 * @bytes: size of its struct here
 * @in_bytes: what the caller fills in; the rest is output and must be zero on entry
 * @flags: those that are known; calls without flags check the word themselves
 * @writes: changes a space
 */
struct call_desc {
	long (*run)(struct file *file, union call *call);
	size_t bytes;
	size_t in_bytes;
	u32 flags;
	bool writes;
};

#define CALL(number, name, type, last_in, known, changes)			\
	[_IOC_NR(number)] = {							\
		.run = call_##name,						\
		.bytes = sizeof(struct type),					\
		.in_bytes = offsetofend(struct type, last_in),			\
		.flags = known,							\
		.writes = changes,						\
	}

static const struct call_desc calls[] = {
	CALL(ARENA_IOC_INFO, info, arena_info, flags, 0, false),
	CALL(ARENA_IOC_CREATE, create, arena_create, node_mask, ARENA_CREATE_FLAGS, true),
	CALL(ARENA_IOC_RESERVE, reserve, arena_reserve, length_bytes, ARENA_RESERVE_FLAGS, true),
	/* The second word is `how`, not flags: call_reclaim() refuses what it does not know. */
	CALL(ARENA_IOC_RECLAIM, reclaim, arena_reclaim, length_bytes, ~0U, true),
	CALL(ARENA_IOC_STAT, stat, arena_stat, flags, 0, false),
	CALL(ARENA_IOC_SPACE, space, arena_space_stat, after_id, 0, false),
	CALL(ARENA_IOC_TRIM, trim, arena_trim, max_chunks, ARENA_TRIM_FLAGS, false),
	CALL(ARENA_IOC_POPULATE, populate, arena_populate, length_bytes, 0, false),
	CALL(ARENA_IOC_NOTICE, notice, arena_notice, eventfd, ARENA_NOTICE_FLAGS, false),
};

static const struct call_desc *call_find(unsigned int cmd)
{
	if (_IOC_TYPE(cmd) != ARENA_IOC_MAGIC || _IOC_DIR(cmd) != (_IOC_READ | _IOC_WRITE) ||
	    _IOC_NR(cmd) >= ARRAY_SIZE(calls) || !calls[_IOC_NR(cmd)].run)
		return NULL;
	return &calls[_IOC_NR(cmd)];
}

static int call_copy_in(const struct call_desc *desc, union call *call, void __user *user,
			size_t user_bytes)
{
	int err = copy_struct_from_user(call, desc->bytes, user, user_bytes);

	if (err)
		return err;
	if (call->size != user_bytes || user_bytes < ARENA_MIN_STRUCT_BYTES)
		return -EINVAL;
	if (call->flags & ~desc->flags)
		return -EINVAL;
	if (memchr_inv((char *)call + desc->in_bytes, 0, desc->bytes - desc->in_bytes))
		return -EINVAL;
	return 0;
}

long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct call_desc *desc = call_find(cmd);
	void __user *user = (void __user *)arg;
	size_t user_bytes = _IOC_SIZE(cmd), bytes;
	union call call = {};
	long ret;

	if (!desc)
		return -ENOTTY;
	if (desc->writes && !(file->f_mode & FMODE_WRITE))
		return -EBADF;
	ret = call_copy_in(desc, &call, user, user_bytes);
	if (ret)
		return ret;
	if (desc->in_bytes == desc->bytes)
		return desc->run(file, &call);
	/*
	 * The answer must fit in before anything is changed, so that EFAULT leaves the space as it
	 * was.
	 */
	bytes = min(user_bytes, desc->bytes);
	if (copy_to_user(user, &call, bytes))
		return -EFAULT;
	ret = desc->run(file, &call);
	if (!ret && copy_to_user(user, &call, bytes))
		return -EFAULT;
	return ret;
}

static const struct file_operations dev_file_ops = {
	.owner = THIS_MODULE,
	.open = fs_attach_space,
	.release = fs_detach_space,
	.mmap = fault_mmap,
	.get_unmapped_area = fault_get_unmapped_area,
	.poll = dev_poll,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.uring_cmd = uring_command,
	.show_fdinfo = stats_show_fdinfo,
	.fsync = noop_fsync,
	.llseek = noop_llseek,
};

static struct miscdevice dev_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "arena",
	.fops = &dev_file_ops,
	.mode = 0660,
	.groups = stats_groups,
};

static int __init arena_init(void)
{
	int err;

	charge_init();
	err = stats_init();
	if (err)
		return err;
	err = range_cache_init();
	if (err)
		goto exit_stats;
	err = pool_init();
	if (err)
		goto exit_range;
	err = pressure_init();
	if (err)
		goto exit_pool;
	err = group_init();
	if (err)
		goto stop_pressure;
	err = misc_register(&dev_misc);
	if (err)
		goto exit_group;
	debug_init();
	/* Its file is closed later than this returns, so nothing may fail after it. */
	selftest_run();
	suites_run();
	return 0;

exit_group:
	pressure_stop();
	group_exit();
	goto exit_pressure;
stop_pressure:
	pressure_stop();
exit_pressure:
	pressure_exit();
exit_pool:
	pool_exit();
exit_range:
	range_cache_exit();
exit_stats:
	stats_exit();
	return err;
}

/* No space is left: each holds the module by way of its file system. */
static void __exit arena_exit(void)
{
	suites_exit();
	misc_deregister(&dev_misc);
	debug_exit();
	quarantine_exit();
	pressure_stop();
	group_exit();
	pressure_exit();
	pool_exit();
	range_cache_exit();
	stats_exit();
}

module_init(arena_init);
module_exit(arena_exit);

MODULE_AUTHOR("The arena founders");
MODULE_DESCRIPTION("Physically contiguous, ready-zeroed 2 MiB chunks for user space");
MODULE_VERSION(ARENA_MODULE_VERSION);
MODULE_LICENSE("GPL");
