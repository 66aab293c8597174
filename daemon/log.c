// SPDX-License-Identifier: MIT
/*
 * Log lines and the ring of decisions. Whoever reads standard error (a journal, a pipe) may itself wait for memory in
 * an emergency, so a line that cannot be written at once is dropped; the next one that can says how many were.
 */
#include "daemon/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Below PIPE_BUF, so that poll()'s word that a pipe is writable covers the whole line. */
#define LINE_BYTES 1024
#define MIB(bytes) ((bytes) / 1048576)

/* All owned by the main loop; the daemon has one thread. */
static struct log_decision ring[LOG_RING];
static size_t nr_decisions;
static unsigned long nr_dropped;
static bool verbose;

void log_set_verbose(bool is_verbose)
{
	verbose = is_verbose;
}

static void put(const char *line, size_t length_bytes)
{
	struct pollfd out = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT) || write(STDERR_FILENO, line, length_bytes) < 0)
		nr_dropped++;
	else
		nr_dropped = 0;
}

static void __attribute__((format(printf, 1, 0))) log_args(const char *format, va_list args)
{
	char line[LINE_BYTES];
	size_t at = 0;

	at = (size_t)snprintf(line, sizeof(line), "arenad: ");
	if (nr_dropped)
		at += (size_t)snprintf(line + at, sizeof(line) - at, "(%lu lines lost) ", nr_dropped);
	at += (size_t)vsnprintf(line + at, sizeof(line) - at - 1, format, args);
	if (at > sizeof(line) - 2)
		at = sizeof(line) - 2;
	line[at++] = '\n';
	put(line, at);
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_args(format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;

	if (!verbose)
		return;
	va_start(args, format);
	log_args(format, args);
	va_end(args);
}

static void say(const struct log_decision *d)
{
	char failed[64] = "";

	if (d->error)
		snprintf(failed, sizeof(failed), ", module failed: %s", strerrorname_np(-d->error));
	log_line("%s: available %llu of %llu MiB, pool %llu, kept %llu, cached %llu MiB; rule %s; "
		 "gave pool %llu, kept %llu MiB in %llu us, asked %u processes for %llu MiB%s",
		 policy_level_name(d->level), MIB((unsigned long long)d->in.available_bytes),
		 MIB((unsigned long long)d->in.total_bytes), MIB((unsigned long long)d->in.pool_bytes),
		 MIB((unsigned long long)d->in.kept_bytes), MIB((unsigned long long)d->in.cached_bytes),
		 policy_rule_name(d->out.rule), MIB((unsigned long long)d->gave_pool_bytes),
		 MIB((unsigned long long)d->gave_kept_bytes), (unsigned long long)d->took_ns / 1000, d->nr_asked,
		 MIB((unsigned long long)d->asked_bytes), failed);
}

void log_decide(const struct log_decision *decision)
{
	ring[nr_decisions++ % LOG_RING] = *decision;
	say(decision);
}

const struct log_decision *log_recall(size_t back)
{
	if (back >= LOG_RING || back >= nr_decisions)
		return NULL;
	return &ring[(nr_decisions - 1 - back) % LOG_RING];
}
