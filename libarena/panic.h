/* SPDX-License-Identifier: MIT */
/* Texts that are put together without allocation, safe in signal handlers; and the end of the process. */
#ifndef LIBARENA_PANIC_H
#define LIBARENA_PANIC_H

#include <stdarg.h>

#include "base.h"

/* A text in a caller's buffer. Invariant: at < limit; *at == 0. What does not fit is cut off. */
struct text {
	char *at;
	char *limit;
};

/** Start an empty text in @buffer of @bytes > 0. */
void text_init(struct text *text, char *buffer, size_t bytes);
/** Append. The format knows %s %c %d %u %lu %zu %p and %%, nothing else. */
void text_put(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_put_list(struct text *text, const char *format, va_list list) __attribute__((format(printf, 2, 0)));

/** Print "arena: ..." on standard error, in one write. Formats of text_put(). Leaves errno alone. */
void report(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** report(), then abort(). For broken invariants and misuse; never for lack of memory. */
void panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn, cold));

/* Cheap checks that production builds keep. */
#define check(condition) \
	do { \
		if (unlikely(!(condition))) \
			panic("broken invariant: %s (%s:%d)", #condition, __FILE__, __LINE__); \
	} while (0)

#endif /* LIBARENA_PANIC_H */
