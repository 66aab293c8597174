// SPDX-License-Identifier: MIT
/*
 * Texts without allocation, and the loud end of a process.
 *
 * printf() may allocate and take locks, and both callers here cannot afford that: a handler of SIGSEGV, and a
 * process whose memory is damaged. The formats are the few that reports need. Long reports are cut, not refused.
 */
#include "panic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Longest report, in bytes: two paths and a sentence. */
#define REPORT_BYTES 1024

void text_init(struct text *text, char *buffer, size_t bytes)
{
	text->at = buffer;
	text->limit = buffer + bytes;
	*buffer = 0;
}

static void put_char(struct text *text, char c)
{
	if (text->at + 1 >= text->limit)
		return;
	*text->at++ = c;
	*text->at = 0;
}

static void put_string(struct text *text, const char *string)
{
	if (!string)
		string = "(null)";
	while (*string)
		put_char(text, *string++);
}

static void put_number(struct text *text, uint64_t number, unsigned int base)
{
	char digits[24];
	size_t nr = 0;

	do {
		digits[nr++] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	while (nr)
		put_char(text, digits[--nr]);
}

static void put_signed(struct text *text, int number)
{
	if (number < 0)
		put_char(text, '-');
	put_number(text, number < 0 ? -(uint64_t)number : (uint64_t)number, 10);
}

void text_put_list(struct text *text, const char *format, va_list list)
{
	for (; *format; format++) {
		if (*format != '%') {
			put_char(text, *format);
			continue;
		}
		switch (*++format) {
		case 's': put_string(text, va_arg(list, const char *)); break;
		case 'c': put_char(text, (char)va_arg(list, int)); break;
		case 'd': put_signed(text, va_arg(list, int)); break;
		case 'u': put_number(text, va_arg(list, unsigned int), 10); break;
		case 'l':
		case 'z':
			format++;
			put_number(text, va_arg(list, unsigned long), 10);
			break;
		case 'p':
			put_string(text, "0x");
			put_number(text, (uintptr_t)va_arg(list, void *), 16);
			break;
		case 0: return;
		default: put_char(text, *format); break;
		}
	}
}

void text_put(struct text *text, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	text_put_list(text, format, list);
	va_end(list);
}

static __attribute__((format(printf, 1, 0))) void report_list(const char *format, va_list list)
{
	char buffer[REPORT_BYTES];
	struct text text;
	int saved = errno;
	long done;

	/* One byte is kept back for the newline, so that a cut report still ends its line. */
	text_init(&text, buffer, sizeof(buffer) - 1);
	text_put(&text, "arena: ");
	text_put_list(&text, format, list);
	*text.at++ = '\n';
	/* write() would be a point of cancellation, and some callers hold locks. */
	done = syscall(SYS_write, STDERR_FILENO, buffer, (size_t)(text.at - buffer));
	(void)done; /* nobody is left to tell */
	errno = saved;
}

void report(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	report_list(format, list);
	va_end(list);
}

void panic(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	report_list(format, list);
	va_end(list);
	abort();
}
