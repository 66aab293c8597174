/* SPDX-License-Identifier: MIT */
/* The parts of libarena-trace.so: calls.c stands between a program and its malloc(), file.c writes, numbers.c knows the objects. */
#ifndef LIBARENA_TRACE_H
#define LIBARENA_TRACE_H

#include "base.h"
#include "trace/format.h"

/** Whether events are written: false before main's constructors, without ARENA_TRACE, and after a failure. */
bool trace_is_on(void);
/** The next ticket, which is greater than all before. Any thread. */
uint64_t trace_ticket(void);
/** Write one event of this thread; @operands are @nr numbers. Leaves errno alone, never calls malloc(). */
void trace_event(enum trace_op op, uint64_t ticket, const uint64_t *operands, unsigned int nr);

/** Remember an object's number. Its owner calls; without memory for the table it is forgotten. */
void numbers_set(const void *object, uint64_t number);
/** An object's number, which is forgotten; 0 when it has none. */
uint64_t numbers_take(const void *object);

#endif /* LIBARENA_TRACE_H */
