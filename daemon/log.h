/* SPDX-License-Identifier: MIT */
/* What arenad says and remembers: lines on standard error, and a ring of the last decisions. Never blocks, never allocates. */
#ifndef ARENAD_LOG_H
#define ARENAD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/policy.h"

/* Enough to see a whole emergency afterwards; a constant of the protocol's size too (64 * 112 bytes). */
#define LOG_RING 64

/* One decision: when, what was known, which rule, what was done. */
struct log_decision {
	uint64_t at_ns;
	enum policy_level level;
	struct policy_input in;
	struct policy_output out;
	uint64_t gave_pool_bytes;
	uint64_t gave_kept_bytes;
	uint64_t asked_bytes;
	unsigned int nr_asked;
	uint64_t took_ns;
	int error;		/* of the module */
};

/** Also say what only matters when looking for a fault. */
void log_set_verbose(bool is_verbose);
/** printf() one line, "arenad: " in front. Dropped and counted when standard error cannot take it now. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** Remember a decision and say it in one line: input, rule, output. */
void log_decide(const struct log_decision *decision);
/** The @back-th last decision (0 = latest), or NULL. Valid until the next log_decide(). */
const struct log_decision *log_recall(size_t back);

#endif /* ARENAD_LOG_H */
