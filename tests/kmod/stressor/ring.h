/* SPDX-License-Identifier: MIT */
/* The stressor's io_uring, by hand: one entry at a time. Also the calls of a space as its commands. */
#ifndef ARENA_TESTS_KMOD_STRESSOR_RING_H
#define ARENA_TESTS_KMOD_STRESSOR_RING_H

#include "model.h"

#include <linux/io_uring.h>

/** struct ring - one submission at a time, for one registered buffer */
struct ring {
	int fd;
	unsigned int *sq_head, *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	char *memory;
	size_t memory_bytes, sqes_bytes;
	struct piped held;	/* the registered page; its stage is NULL when there is none */
	volatile uint64_t *page;
};

static struct ring ring = { .fd = -1 };

static inline void ring_map(struct io_uring_params *p)
{
	char *m;

	ring.memory_bytes = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	if (ring.memory_bytes < p->sq_off.array + p->sq_entries * sizeof(unsigned int))
		ring.memory_bytes = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	ring.sqes_bytes = p->sq_entries * sizeof(struct io_uring_sqe);
	m = mmap(NULL, ring.memory_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
		 IORING_OFF_SQ_RING);
	ring.memory = m;
	ring.sqes = mmap(NULL, ring.sqes_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, ring.fd,
			 IORING_OFF_SQES);
	ring.sq_head = (unsigned int *)(void *)(m + p->sq_off.head);
	ring.sq_tail = (unsigned int *)(void *)(m + p->sq_off.tail);
	ring.sq_mask = (unsigned int *)(void *)(m + p->sq_off.ring_mask);
	ring.sq_array = (unsigned int *)(void *)(m + p->sq_off.array);
	ring.cq_head = (unsigned int *)(void *)(m + p->cq_off.head);
	ring.cq_tail = (unsigned int *)(void *)(m + p->cq_off.tail);
	ring.cq_mask = (unsigned int *)(void *)(m + p->cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(void *)(m + p->cq_off.cqes);
}

/*
 * Linux 6.1 follows a null pointer when a processor comes or goes while a process gets its first
 * ring: io_wq_create() registers its queue for that before the queue is filled in. So neither
 * happens during the other. Record locks of this file, because they end with their process.
 */
static int processors_fd = -1;

static inline int processors_lock(int command, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(processors_fd, command, &lock);
}

static inline int ring_setup(struct io_uring_params *p)
{
	int fd;

	if (processors_lock(F_SETLKW, F_RDLCK))
		return -1;
	fd = (int)syscall(SYS_io_uring_setup, 4, p);
	processors_lock(F_SETLK, F_UNLCK);
	return fd;
}

/* Without a ring (no memory, not allowed) the operations on it do nothing. */
static inline void ring_open(void)
{
	struct io_uring_params p = { .flags = 0 };

	ring.held.stage = NULL;
	ring.fd = ring_setup(&p);
	if (ring.fd < 0)
		return;
	ring_map(&p);
	if (ring.memory != MAP_FAILED && (void *)ring.sqes != MAP_FAILED)
		return;
	close(ring.fd);
	ring.fd = -1;
}

/* In a child: its parent's ring is not its own. */
static inline void ring_drop(void)
{
	if (ring.fd < 0)
		return;
	munmap(ring.memory, ring.memory_bytes);
	munmap(ring.sqes, ring.sqes_bytes);
	close(ring.fd);
	ring.fd = -1;
	ring.held.stage = NULL;
}

/*
 * Submits one entry. False: it was not looked at, which is so when the kernel has no memory for it,
 * and never will be.
 */
static inline bool ring_submit(const struct io_uring_sqe *sqe)
{
	unsigned int tail = *ring.sq_tail, index = tail & *ring.sq_mask;

	ring.sqes[index] = *sqe;
	ring.sq_array[index] = index;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring.fd, 1, 0, 0, NULL, 0);
	if (__atomic_load_n(ring.sq_head, __ATOMIC_ACQUIRE) == tail + 1)
		return true;
	__atomic_store_n(ring.sq_tail, tail, __ATOMIC_RELEASE);
	return false;
}

static inline bool ring_is_done(void)
{
	return *ring.cq_head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE);
}

/* Waits for the entry; its result. */
static inline int ring_result(void)
{
	unsigned int head = *ring.cq_head;
	int result;

	while (!ring_is_done())
		syscall(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	result = ring.cqes[head & *ring.cq_mask].res;
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	return result;
}

static inline int ring_do(const struct io_uring_sqe *sqe)
{
	return ring_submit(sqe) ? ring_result() : -EAGAIN;
}

/* ---- calls of a space ----------------------------------------------------------------------- */

static inline struct io_uring_sqe ring_entry(int fd, uint32_t op, const void *address,
					     uint32_t nr_calls)
{
	struct arena_uring payload = { .address = (uintptr_t)address, .nr_calls = nr_calls };
	struct io_uring_sqe sqe = { .opcode = IORING_OP_URING_CMD, .fd = fd, .cmd_op = op };

	memcpy(sqe.cmd, &payload, sizeof(payload));
	return sqe;
}

static inline int ring_command(int fd, uint32_t op, const void *address, uint32_t nr_calls)
{
	struct io_uring_sqe sqe = ring_entry(fd, op, address, nr_calls);

	return ring_do(&sqe);
}

/*
 * The call and another one that is refused, in either order: neither must matter to the other. The
 * call's result, or what became of the batch.
 */
static inline int ring_batch(struct actor *a, int fd, uint32_t op, void *argument)
{
	struct arena_populate refused = { .size = sizeof(refused), .flags = 1 };
	struct arena_uring_call calls[2];
	unsigned int at = pick(a, 2);
	int result;

	calls[at] = (struct arena_uring_call){ .op = op, .address = (uintptr_t)argument };
	calls[!at] = (struct arena_uring_call){ .op = ARENA_IOC_POPULATE,
						.address = (uintptr_t)&refused };
	result = ring_command(fd, ARENA_URING_BATCH, calls, 2);
	if (result < 0)
		return result;
	if (result != 2 || calls[!at].result != -EINVAL)
		fail(a, "a batch of 2 answers %d, its calls %d and %d", result, calls[0].result,
		     calls[1].result);
	return calls[at].result;
}

/* RESERVE, RECLAIM or POPULATE: by the ioctl, or by the ring, alone or in a batch. 0 or errno. */
static inline int call_space(struct actor *a, int fd, uint32_t op, void *argument)
{
	unsigned int way = ring.fd < 0 ? 0 : pick(a, 4);
	int result = -EAGAIN;

	if (way == 1)
		result = ring_command(fd, op, argument, 0);
	else if (way == 2)
		result = ring_batch(a, fd, op, argument);
	a->shared->nr_commands += way == 1 || way == 2;
	/* For want of memory nobody began with it. */
	if (result == -EAGAIN || result == -ECANCELED)
		return call_errno(fd, op, argument);
	return -result;
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_RING_H */
