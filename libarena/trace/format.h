/* SPDX-License-Identifier: MIT */
/*
 * The file that libarena-trace.so writes: what a process asked of malloc(), in which order. doc/trace.md explains it.
 *
 *	file	header, filled up to TRACE_HEADER_BYTES; then blocks of TRACE_BLOCK_BYTES each
 *	block	struct trace_block, and the events of one thread: used_bytes of them, the rest is nothing
 *	event	varint (ticket - previous ticket of the block) << 3 | operation; then the operands, varints as well
 *
 * Tickets are drawn by all threads of a process from one counter: sorted by them, no object is freed before it is allocated. The ticket of
 * an allocation is the number of the object. A varint has seven bits a byte, the lowest first; all bytes but the last have bit 7 set.
 */
#ifndef LIBARENA_TRACE_FORMAT_H
#define LIBARENA_TRACE_FORMAT_H

#include <stddef.h>
#include <stdint.h>

/* Eight bytes, read as a number of the machine that wrote it. */
#define TRACE_MAGIC UINT64_C(0x3165636172742d61)
/* A page, so that blocks can be mapped. */
#define TRACE_HEADER_BYTES ((size_t)4 << 10)
/* Some 20,000 events: rare enough for a system call, small enough for a program of many threads. */
#define TRACE_BLOCK_BYTES ((size_t)64 << 10)
/* The longest event: its head and two operands. */
#define TRACE_EVENT_BYTES 30

enum trace_op {
	TRACE_ALLOC = 1,	/* bytes */
	TRACE_CALLOC = 2,	/* bytes */
	TRACE_ALIGNED = 3,	/* log2 of the alignment, bytes */
	TRACE_REALLOC = 4,	/* ticket - number of the old object, bytes: a new object, and the old one is gone */
	TRACE_FREE = 5,		/* ticket - number of the object */
};

struct trace_header {
	uint64_t magic;
	uint64_t process;
	uint64_t parent;	/* of the process when it was traced first */
	uint64_t first_ticket;	/* objects with smaller numbers are a parent's: inherited by fork() */
};

struct trace_block {
	uint64_t ticket;	/* that the first event counts from */
	uint32_t thread;	/* 1 is the one that called malloc() first */
	uint32_t used_bytes;	/* atomic; of events, which follow. Written after them: the release pairs with no acquire but the kernel's */
};

/** Write @value at @to; where the next one goes. */
static inline uint8_t *trace_put(uint8_t *to, uint64_t value)
{
	for (; value > 127; value >>= 7)
		*to++ = (uint8_t)(value | 128);
	*to++ = (uint8_t)value;
	return to;
}

/** Read a value below @limit into @value; where the next one is, or NULL when it is cut off or longer than 64 bits. */
static inline const uint8_t *trace_get(const uint8_t *from, const uint8_t *limit, uint64_t *value)
{
	unsigned int shift = 0;

	for (*value = 0; from < limit && shift < 64; shift += 7) {
		*value |= (uint64_t)(*from & 127) << shift;
		if (!(*from++ & 128))
			return from;
	}
	return NULL;
}

#endif /* LIBARENA_TRACE_FORMAT_H */
