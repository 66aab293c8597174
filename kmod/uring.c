// SPDX-License-Identifier: GPL-2.0-only
/*
 * RESERVE, RECLAIM and POPULATE as io_uring commands: the ioctls, called by a worker of the ring
 * with the caller's memory and credentials. The entry holds no room for their structs, so it
 * says where in the caller's memory they are.
 */
#include <linux/fs.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "dev.h"
#include "uring.h"

#include "uapi/arena.h"

static bool uring_offers(u32 op)
{
	switch (_IOC_NR(op)) {
	case _IOC_NR(ARENA_IOC_RESERVE):
	case _IOC_NR(ARENA_IOC_RECLAIM):
	case _IOC_NR(ARENA_IOC_POPULATE):
		return _IOC_TYPE(op) == ARENA_IOC_MAGIC;
	}
	return false;
}

/*
 * One call of a batch. What cannot be read or answered ends the batch, since nobody would see the
 * result; the answer is tried before the call, so that nothing is done then.
 */
static int uring_run_one(struct file *file, struct arena_uring_call __user *user)
{
	struct arena_uring_call call;
	long result = -EOPNOTSUPP;

	if (copy_from_user(&call, user, sizeof(call)))
		return -EFAULT;
	if (call.result)
		return -EINVAL;
	if (put_user(call.result, &user->result))
		return -EFAULT;
	if (uring_offers(call.op))
		result = dev_ioctl(file, call.op, call.address);
	return put_user((__s32)result, &user->result);
}

/* How many were run, or the error that kept the first from it. */
static long uring_run_batch(struct file *file, const struct arena_uring *batch)
{
	struct arena_uring_call __user *calls = u64_to_user_ptr(batch->address);
	u32 i;
	int err = 0;

	if (!batch->nr_calls || batch->nr_calls > ARENA_URING_MAX_CALLS)
		return -EINVAL;
	for (i = 0; i < batch->nr_calls; i++) {
		err = fatal_signal_pending(current) ? -EINTR : uring_run_one(file, &calls[i]);
		if (err)
			break;
		cond_resched();
	}
	return i ?: err;
}

/* 6.1 takes a command that returns a positive number for one that completes later: so it does. */
static int uring_finish(struct io_uring_cmd *cmd, long result, unsigned int issue_flags)
{
	if (result <= 0)
		return result;
	io_uring_cmd_done(cmd, result, 0, issue_flags);
	return -EIOCBQUEUED;
}

int uring_command(struct io_uring_cmd *cmd, unsigned int issue_flags)
{
	struct arena_uring payload;

	if (cmd->cmd_op != ARENA_URING_BATCH && !uring_offers(cmd->cmd_op))
		return -EOPNOTSUPP;
	/* Of the ring's own flags none means anything here. */
	if (cmd->flags & IORING_URING_CMD_FIXED)
		return -EINVAL;
	/* All of them may sleep. The ring repeats the command from a worker that may. */
	if (issue_flags & IO_URING_F_NONBLOCK)
		return -EAGAIN;
	/* The entry is memory that the caller shares with us: what was checked is what is used. */
	compat_uring_payload(cmd, &payload, sizeof(payload));
	if (payload.flags)
		return -EINVAL;
	if (cmd->cmd_op == ARENA_URING_BATCH)
		return uring_finish(cmd, uring_run_batch(cmd->file, &payload), issue_flags);
	if (payload.nr_calls)
		return -EINVAL;
	return dev_ioctl(cmd->file, cmd->cmd_op, payload.address);
}
