/* SPDX-License-Identifier: MIT */
/* How fast to free when nobody waits: a PI controller of the daemon's CPU share. Pure arithmetic. */
#ifndef ARENAD_BUDGET_H
#define ARENAD_BUDGET_H

#include <stdint.h>

/* Invariant: BUDGET_MIN_RATE <= rate_chunks_per_s <= BUDGET_MAX_RATE. Owned by the main loop. */
struct budget {
	double rate_chunks_per_s;
	double last_error;	/* of the step before, in [-1, 1] */
	uint64_t gathered_ns;	/* of steps that were too short for a chunk */
	uint64_t allowed_ns;	/* the time that the last allowance was for */
};

/* A start that few machines feel (128 MiB/s); the controller finds the rest within seconds. */
#define BUDGET_START_RATE 64.0
/* One chunk every four seconds: never quite stopped, however dear a chunk is. */
#define BUDGET_MIN_RATE 0.25
/* 128 GiB/s: more than any memory clears, so it only bounds the arithmetic. */
#define BUDGET_MAX_RATE 65536.0

void budget_init(struct budget *budget);
/** Chunks that may be freed in a step after @elapsed_ns; steps too short for one are added up. */
uint64_t budget_chunks(struct budget *budget, uint64_t elapsed_ns);
/**
 * A step used its whole allowance, and @cpu_ns of CPU in @elapsed_ns: move the rate so that the share comes to
 * @goal_percent. Steps that did less say nothing about the price of a chunk and must not be noted.
 */
void budget_note(struct budget *budget, uint64_t cpu_ns, uint64_t elapsed_ns, unsigned int goal_percent);

#endif /* ARENAD_BUDGET_H */
