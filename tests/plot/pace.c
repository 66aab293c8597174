// SPDX-License-Identifier: MIT
/* Tables of the scavenger's simulation for tests/plot/plot-pace: pace LOAD prints time, chunks in use and chunks held, a line for each step of the plot. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/pace_sim.h"

/* A guess in the middle: unmapping 2 MiB of small pages takes four times as long, of huge ones a quarter. */
#define COST_NS 30000

static const struct load {
	const char *name;
	uint64_t (*at)(uint64_t ns);
	uint64_t ns, every_ns;
} loads[] = {
	{ "steady", sim_steady, 60 * SIM_SECOND, 400 * SIM_MS },
	{ "spike", sim_spike, 60 * SIM_SECOND, 400 * SIM_MS },
	{ "sawtooth", sim_sawtooth, 20 * SIM_SECOND, 100 * SIM_MS },
	{ "day", sim_day, 24 * SIM_HOUR, 400 * SIM_SECOND },
};

static void print(const struct load *load)
{
	struct sim sim = sim_start(load->at(0), COST_NS);

	for (uint64_t at = 0; at < load->ns; at += SIM_TICK) {
		sim_step(&sim, load->at(at));
		if (at % load->every_ns == 0)
			printf("%.2f %lu %lu\n", (double)at / (double)SIM_SECOND, (unsigned long)sim.used, (unsigned long)(sim.used + sim.idle));
	}
}

int main(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(loads); i++)
		if (argc == 2 && !strcmp(argv[1], loads[i].name)) {
			print(&loads[i]);
			return 0;
		}
	fprintf(stderr, "usage: pace steady|spike|sawtooth|day\n");
	return 2;
}
