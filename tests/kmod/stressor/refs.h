/* SPDX-License-Identifier: MIT */
/*
 * References to chunks that outlive their slot: pages in a pipe, and buffers registered with
 * io_uring. Whoever holds one sees, for as long as he holds it, what his own process wrote there,
 * and what he writes through it is seen by nobody else.
 */
#ifndef ARENA_TESTS_KMOD_STRESSOR_REFS_H
#define ARENA_TESTS_KMOD_STRESSOR_REFS_H

#include "ops.h"

#include <sys/uio.h>

/* ---- a pipe --------------------------------------------------------------------------------- */

static inline void pipe_open(struct actor *a)
{
	a->nr_piped = 0;
	a->first_piped = 0;
	if (pipe2(a->ends, O_NONBLOCK | O_CLOEXEC))
		fail_call(a, "pipe");
}

static inline void pipe_renew(struct actor *a)
{
	close(a->ends[0]);
	close(a->ends[1]);
	pipe_open(a);
}

static inline struct piped piped_of(const struct actor *a, struct stage *s, unsigned int slot)
{
	return (struct piped){ .stage = s, .exact = is_exact(s), .domain = s->domain, .slot = slot,
			       .word = s->word[slot], .gen = a->gen };
}

/* What a page may show that had `was` in it when this process took hold of it. */
static inline bool held_word_is_allowed(const struct actor *a, const struct piped *p, uint64_t word)
{
	if (!p->exact)
		return !word || WORD_ID(word) == p->domain;
	return word == p->word || (WORD_ID(word) == a->id && WORD_SLOT(word) == p->slot &&
				   WORD_GEN(word) > p->gen);
}

static inline void check_held_page(struct actor *a, const struct piped *p, const uint64_t *page)
{
	if (!held_word_is_allowed(a, p, page[0]))
		fail(a, "a page of %s slot %u shows %016" PRIx64 " in a pipe, it was %016" PRIx64,
		     kind_names[p->stage->kind], p->slot, page[0], p->word);
	for (unsigned int i = 1; i < PAGE_BYTES / sizeof(*page); i++)
		if (page[i])
			fail(a, "a page of %s slot %u has %016" PRIx64 " in word %u",
			     kind_names[p->stage->kind], p->slot, page[i], i);
}

static inline int op_pipe_out(struct actor *a, struct target *t)
{
	static uint64_t page[PAGE_BYTES / sizeof(uint64_t)];
	const struct piped *p = &a->piped[a->first_piped % NR_PIPED];

	if (!a->nr_piped)
		return NOT_DONE;
	if (read(a->ends[0], page, PAGE_BYTES) != (ssize_t)PAGE_BYTES)
		fail(a, "the pipe lost a page: %m");
	check_held_page(a, p, page);
	a->first_piped++;
	a->nr_piped--;
	return 0;
}

/* A page in the middle of the chunk, where only its first word is ever written. */
static inline int op_pipe_in(struct actor *a, struct target *t)
{
	struct stage *s = t->stage;
	volatile uint64_t *at = sample(s, t->first, 1 + pick(a, NR_SAMPLES - 2));
	struct iovec page = { .iov_base = (void *)(uintptr_t)at, .iov_len = PAGE_BYTES };

	if (a->nr_piped == NR_PIPED)
		return op_pipe_out(a, t);
	if (is_exact(s) && s->state[t->first] != HELD)
		return NOT_DONE;
	check_slot(a, s, t->first);
	if (s->state[t->first] == LOST)
		return NOT_DONE;
	if (vmsplice(a->ends[1], &page, 1, SPLICE_F_NONBLOCK) != (ssize_t)PAGE_BYTES)
		return errno;
	a->piped[(a->first_piped + a->nr_piped++) % NR_PIPED] = piped_of(a, s, t->first);
	a->shared->nr_piped++;
	return 0;
}

/* The pipe holds the page, the slot is given back: the chunk may go to nobody. */
static inline int op_pipe_and_zap(struct actor *a, struct target *t)
{
	int piped = op_pipe_in(a, t), error;

	t->nr = 1;
	error = op_zap(a, t);
	return piped == NOT_DONE ? NOT_DONE : error;
}

/*
 * The pipe holds the page, and its slot gets other contents: in a shared chunk by a copy, so that
 * the pipe is all that is left of this process in the old one.
 */
static inline int op_pipe_and_write(struct actor *a, struct target *t)
{
	int error = op_pipe_in(a, t);

	if (!is_exact(t->stage) || t->stage->state[t->first] == HELD)
		write_slot(a, t->stage, t->first);
	return error;
}

/* ---- buffers of io_uring --------------------------------------------------------------------- */

/* Pins one page for as long as it is registered. Refused on 6.1, and in copy-on-write spaces. */
static inline int op_ring_register(struct actor *a, struct target *t)
{
	struct stage *s = t->stage;
	volatile uint64_t *at = sample(s, t->first, 1 + pick(a, NR_SAMPLES - 2));
	struct iovec page = { .iov_base = (void *)(uintptr_t)at, .iov_len = PAGE_BYTES };

	if (ring.fd < 0 || ring.held.stage || (is_exact(s) && s->state[t->first] != HELD))
		return NOT_DONE;
	check_slot(a, s, t->first);
	if (s->state[t->first] == LOST)
		return NOT_DONE;
	if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &page, 1))
		return errno;
	ring.held = piped_of(a, s, t->first);
	ring.page = at;
	a->shared->nr_registered++;
	return 0;
}

/* One page between the registered buffer and a file of its own. The result of the transfer. */
static inline int ring_transfer(struct actor *a, int opcode, int file)
{
	struct io_uring_sqe sqe = { .opcode = (uint8_t)opcode, .fd = file,
				    .addr = (uintptr_t)ring.page, .len = PAGE_BYTES };

	return ring_do(&sqe);
}

static inline int op_ring_use(struct actor *a, struct target *t)
{
	uint64_t page[PAGE_BYTES / sizeof(uint64_t)] = { 0 };
	int file, result;

	if (!ring.held.stage)
		return NOT_DONE;
	file = memfd_create("stressor", MFD_CLOEXEC);
	if (file < 0)
		return errno;
	result = ring_transfer(a, IORING_OP_WRITE_FIXED, file);
	if (result == (int)PAGE_BYTES && pread(file, page, PAGE_BYTES, 0) == (ssize_t)PAGE_BYTES)
		check_held_page(a, &ring.held, page);
	/* Into a page whose slot has gone: nobody may ever see it. */
	if (ring.held.exact && ring.held.stage->state[ring.held.slot] == NOTHING) {
		page[0] = WORD(a->id, ring.held.slot, ++a->gen);
		if (pwrite(file, page, PAGE_BYTES, 0) == (ssize_t)PAGE_BYTES)
			result = ring_transfer(a, IORING_OP_READ_FIXED, file);
	}
	close(file);
	return result;
}

static inline int op_ring_release(struct actor *a, struct target *t)
{
	if (!ring.held.stage)
		return NOT_DONE;
	syscall(SYS_io_uring_register, ring.fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
	ring.held.stage = NULL;
	return 0;
}

/* Through the ring without a pin: from a file into a chunk. */
static inline int op_ring_read(struct actor *a, struct target *t)
{
	struct stage *s = t->stage;
	unsigned int slot = t->first;
	struct io_uring_sqe sqe = { .opcode = IORING_OP_READ, .len = sizeof(uint64_t) };
	uint64_t word = WORD(is_exact(s) ? a->id : s->domain, slot, ++a->gen);
	int file, result = 0;

	if (ring.fd < 0 || !is_exact(s) || s->state[slot] != HELD)
		return NOT_DONE;
	check_slot(a, s, slot);
	if (s->state[slot] != HELD)
		return NOT_DONE;
	file = memfd_create("stressor", MFD_CLOEXEC);
	if (file < 0)
		return errno;
	/* Without the word there is nothing to read, which is fine too. */
	result = (int)pwrite(file, &word, sizeof(word), 0);
	sqe.fd = file;
	sqe.addr = (uintptr_t)sample(s, slot, 3);
	result = ring_do(&sqe);
	/* One word of 33 is newer now: make them all alike again, whatever the answer was. */
	if (result == sizeof(word) && *sample(s, slot, 3) != word)
		fail(a, "what io_uring read is not there");
	write_slot(a, s, slot);
	close(file);
	return result;
}

#endif /* ARENA_TESTS_KMOD_STRESSOR_REFS_H */
