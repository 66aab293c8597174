/* SPDX-License-Identifier: MIT */
/* What a run of a program came to, as the driver prints it. */
#ifndef BENCH_GC_OUTCOME_H
#define BENCH_GC_OUTCOME_H

#include <stddef.h>
#include <stdint.h>

enum { OUTCOME_METRICS = 24 };

/* Used by the main thread only. */
struct outcome {
	struct {
		char name[32];
		const char *unit;
		double value;
	} metrics[OUTCOME_METRICS];
	size_t nr;
	uint64_t checksum;	/* the same for all runtimes */
};

void outcome_add(struct outcome *outcome, const char *name, const char *unit, double value);
/** Says @what on standard error and ends the driver. */
void die(const char *what) __attribute__((noreturn, cold));

#endif /* BENCH_GC_OUTCOME_H */
