/* SPDX-License-Identifier: MIT */
/* The stressor's io_uring, by hand: one entry at a time. */
#ifndef ARENA_TESTS_KMOD_STRESSOR_RING_H
#define ARENA_TESTS_KMOD_STRESSOR_RING_H

#include "model.h"

#include <linux/io_uring.h>

/** struct ring - one submission at a time, for one registered buffer */
struct ring {
	int fd;
	unsigned int *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
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
	ring.sq_tail = (unsigned int *)(void *)(m + p->sq_off.tail);
	ring.sq_mask = (unsigned int *)(void *)(m + p->sq_off.ring_mask);
	ring.sq_array = (unsigned int *)(void *)(m + p->sq_off.array);
	ring.cq_head = (unsigned int *)(void *)(m + p->cq_off.head);
	ring.cq_tail = (unsigned int *)(void *)(m + p->cq_off.tail);
	ring.cq_mask = (unsigned int *)(void *)(m + p->cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(void *)(m + p->cq_off.cqes);
}

/* Without a ring (no memory, not allowed) the operations on it do nothing. */
static inline void ring_open(void)
{
	struct io_uring_params p = { .flags = 0 };

	ring.held.stage = NULL;
	ring.fd = (int)syscall(SYS_io_uring_setup, 4, &p);
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

/* Submits one entry and waits for it; its result, or -EAGAIN when that was not possible. */
static inline int ring_do(const struct io_uring_sqe *sqe)
{
	unsigned int tail = *ring.sq_tail, index = tail & *ring.sq_mask, head;
	int result = -EAGAIN;

	ring.sqes[index] = *sqe;
	ring.sq_array[index] = index;
	__atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return result;
	head = *ring.cq_head;
	if (head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE))
		result = ring.cqes[head++ & *ring.cq_mask].res;
	__atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
	return result;
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_RING_H */
