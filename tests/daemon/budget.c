// SPDX-License-Identifier: MIT
/* daemon/budget.c by simulation: a machine on which a chunk costs a fixed time, one step a second. */
#include "daemon/budget.h"

#include "tests/daemon/tap.h"

#define SECOND_NS 1000000000ull

static double simulate(double chunk_cost_ns, unsigned int goal_percent, int nr_steps, double *worst)
{
	struct budget budget;
	double share = 0;

	budget_init(&budget);
	*worst = 0;
	for (int i = 0; i < nr_steps; i++) {
		uint64_t chunks = budget_chunks(&budget, SECOND_NS);
		double cpu_ns = (double)chunks * chunk_cost_ns;

		share = 100 * cpu_ns / (double)SECOND_NS;
		/* The start is a guess and may be wrong; what the controller does with it may not. */
		if (i >= 10 && share > *worst)
			*worst = share;
		budget_note(&budget, (uint64_t)cpu_ns, SECOND_NS, goal_percent);
	}
	return share;
}

static void settles_at_the_goal(void)
{
	const double costs_ns[] = { 5e3, 20e3, 100e3, 500e3, 2e6 };
	const unsigned int goals[] = { 1, 10 };

	for (int c = 0; c < 5; c++)
		for (int g = 0; g < 2; g++) {
			double worst, share = simulate(costs_ns[c], goals[g], 60, &worst);
			/* Whole chunks: with dear ones a step is coarse. */
			double grain = 100 * costs_ns[c] / (double)SECOND_NS;

			CHECK(share <= goals[g] * 1.1 + grain && share >= goals[g] * 0.9 - grain, "cost %.0f ns, goal %u: %.2f %%",
			      costs_ns[c], goals[g], share);
			CHECK(worst <= goals[g] * 2.0 + grain, "cost %.0f ns, goal %u: overshoot to %.2f %%", costs_ns[c], goals[g],
			      worst);
		}
}

static void never_stops_and_never_runs_away(void)
{
	struct budget budget;

	budget_init(&budget);
	for (int i = 0; i < 1000; i++)
		budget_note(&budget, SECOND_NS, SECOND_NS, 1);
	CHECK(budget.rate_chunks_per_s >= BUDGET_MIN_RATE, "%f", budget.rate_chunks_per_s);
	CHECK(budget_chunks(&budget, 4 * SECOND_NS) >= 1, "a chunk in four seconds");
	for (int i = 0; i < 1000; i++)
		budget_note(&budget, 0, SECOND_NS, 1);
	CHECK(budget.rate_chunks_per_s <= BUDGET_MAX_RATE, "%f", budget.rate_chunks_per_s);
}

static void a_long_pause_saves_nothing_up(void)
{
	struct budget budget;

	budget_init(&budget);
	CHECK(budget_chunks(&budget, 3600 * SECOND_NS) == budget_chunks(&budget, 10 * SECOND_NS), "an hour");
	CHECK(budget_chunks(&budget, 0) == 0, "no time, no chunks");
}

/* Steps that are too short for a chunk at the present rate must not add up to nothing, or nothing could raise it. */
static void short_steps_add_up(void)
{
	struct budget budget;
	uint64_t chunks = 0;

	budget_init(&budget);
	budget.rate_chunks_per_s = 1;
	for (int i = 0; i < 200; i++)
		chunks += budget_chunks(&budget, SECOND_NS / 20);
	CHECK(chunks >= 9 && chunks <= 10, "%llu chunks in ten seconds", (unsigned long long)chunks);
}

int main(void)
{
	RUN(settles_at_the_goal);
	RUN(never_stops_and_never_runs_away);
	RUN(a_long_pause_saves_nothing_up);
	RUN(short_steps_add_up);
	return tap_end();
}
