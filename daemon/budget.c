// SPDX-License-Identifier: MIT
/*
 * The CPU budget of arenad. The price of freeing a chunk depends on the machine and on what else runs, so the
 * rate is not computed but controlled: proportional and integral terms on the relative error of the measured CPU
 * share, in velocity form, which has no integral to wind up while nothing is to be done.
 * The emergency's first answer does not ask the budget: somebody waits for it.
 */
#include "daemon/budget.h"

/* Found by simulation (tests/daemon/budget.c): settles within ten steps for prices from 1 us to 10 ms, no overshoot > 2x. */
#define GAIN_P 0.2
#define GAIN_I 0.35
/* Longer pauses do not save up: a step stays short. Enough for a chunk at the lowest rate. */
#define MAX_GATHERED_NS 10000000000ull

static double clamp(double value, double low, double high)
{
	if (value < low)
		return low;
	return value > high ? high : value;
}

void budget_init(struct budget *budget)
{
	*budget = (struct budget){ .rate_chunks_per_s = BUDGET_START_RATE };
}

uint64_t budget_chunks(struct budget *budget, uint64_t elapsed_ns)
{
	uint64_t chunks;

	budget->gathered_ns += elapsed_ns < MAX_GATHERED_NS ? elapsed_ns : MAX_GATHERED_NS;
	if (budget->gathered_ns > MAX_GATHERED_NS)
		budget->gathered_ns = MAX_GATHERED_NS;
	chunks = (uint64_t)(budget->rate_chunks_per_s * ((double)budget->gathered_ns / 1e9));
	if (!chunks)
		return 0;
	budget->allowed_ns = budget->gathered_ns;
	budget->gathered_ns = 0;
	return chunks;
}

void budget_note(struct budget *budget, uint64_t cpu_ns, uint64_t elapsed_ns, unsigned int goal_percent)
{
	double goal = (double)goal_percent / 100;
	double used, error, change;

	if (!elapsed_ns || !goal_percent)
		return;
	used = (double)cpu_ns / (double)elapsed_ns;
	error = clamp((goal - used) / goal, -1, 1);
	change = GAIN_P * (error - budget->last_error) + GAIN_I * error;
	budget->last_error = error;
	budget->rate_chunks_per_s = clamp(budget->rate_chunks_per_s * (1 + clamp(change, -0.75, 1)), BUDGET_MIN_RATE,
					  BUDGET_MAX_RATE);
}
