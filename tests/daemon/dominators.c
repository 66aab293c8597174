// SPDX-License-Identifier: MIT
/* daemon/dominators.c against the definition: a node dominates another if that is not reached without it. Random graphs, and long ones. */
#include "daemon/dominators.h"

#include <stdlib.h>
#include <string.h>

#include "tests/daemon/tap.h"

#define NODES_MAX 12u
#define LONG_NODES 300000u

static uint32_t edges[NODES_MAX * NODES_MAX + 4 * LONG_NODES];
static size_t first[LONG_NODES + 1];
static uint64_t state = 88172645463325252u;

static uint32_t below(uint32_t limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state % limit);
}

static struct graph random_graph(uint32_t nr)
{
	size_t at = 0;
	uint32_t density = 1 + below(4);

	for (uint32_t node = 0; node < nr; node++) {
		first[node] = at;
		for (uint32_t to = 0; to < nr; to++)
			if (below(nr) < density)
				edges[at++] = to;
	}
	first[nr] = at;
	return (struct graph){ nr, first, edges };
}

/* Nodes that are reached from the root without @closed, a bit each. */
static uint32_t reach(const struct graph *graph, uint32_t closed)
{
	uint32_t seen = closed == 0 ? 0 : 1, before = 0;

	while (seen != before) {
		before = seen;
		for (uint32_t node = 0; node < graph->nr; node++)
			for (size_t e = graph->first[node]; (seen >> node & 1) && e < graph->first[node + 1]; e++)
				if (graph->edges[e] != closed)
					seen |= 1u << graph->edges[e];
	}
	return seen;
}

static bool is_above(const uint32_t *parents, uint32_t a, uint32_t b)
{
	while (b != NODE_NONE && b != a)
		b = parents[b];
	return b == a;
}

static void as_defined(void)
{
	uint32_t parents[NODES_MAX], order[NODES_MAX], nr_reached, wrong = 0;

	for (int round = 0; round < 20000; round++) {
		struct graph graph = random_graph(1 + below(NODES_MAX));
		uint32_t reached = reach(&graph, NODE_NONE);

		wrong += !dominators_find(&graph, parents, order, &nr_reached) || nr_reached != (uint32_t)__builtin_popcount(reached);
		for (uint32_t a = 0; a < graph.nr; a++)
			for (uint32_t b = 0; b < graph.nr; b++)
				if (reached >> b & 1)
					wrong += is_above(parents, a, b) != (a == b || ((reached >> a & 1) && !(reach(&graph, a) >> b & 1)));
				else
					wrong += parents[b] != NODE_NONE;
	}
	CHECK(!wrong, "%u", wrong);
}

static void in_order(void)
{
	uint32_t parents[NODES_MAX], order[NODES_MAX], nr_reached, wrong = 0;

	for (int round = 0; round < 20000; round++) {
		struct graph graph = random_graph(1 + below(NODES_MAX));
		uint32_t seen = 0;

		dominators_find(&graph, parents, order, &nr_reached);
		wrong += order[0] != 0 || parents[0] != NODE_NONE;
		for (uint32_t i = 0; i < nr_reached; i++) {
			wrong += i && !(seen >> parents[order[i]] & 1);
			seen |= 1u << order[i];
		}
		wrong += seen != reach(&graph, NODE_NONE);
	}
	CHECK(!wrong, "%u", wrong);
}

/* A list whose elements know both neighbors, and which an array knows too. */
static void long_lists(void)
{
	uint32_t *parents = malloc(LONG_NODES * sizeof(*parents)), *order = malloc(LONG_NODES * sizeof(*order)), nr_reached = 0;
	struct graph graph = { LONG_NODES, first, edges };
	size_t at = 0;

	first[0] = 0;
	edges[at++] = 1;
	for (uint32_t node = 1; node < LONG_NODES; node++) {
		first[node] = at;
		if (node > 1)
			edges[at++] = node - 1;
		if (node + 1 < LONG_NODES)
			edges[at++] = node + 1;
	}
	first[LONG_NODES] = at;
	CHECK(parents && order && dominators_find(&graph, parents, order, &nr_reached), "no memory");
	CHECK(nr_reached == LONG_NODES && parents[LONG_NODES - 1] == LONG_NODES - 2, "%u", nr_reached);
	free(parents);
	free(order);
}

static void shortest_paths(void)
{
	uint32_t wrong = 0;

	for (int round = 0; round < 20000; round++) {
		struct graph graph = random_graph(1 + below(NODES_MAX));
		uint32_t *path, to = below(graph.nr), nr = dominators_path(&graph, to, &path), far = 1, seen = 1;

		if (!(reach(&graph, NODE_NONE) >> to & 1)) {
			wrong += nr != 0;
			continue;
		}
		for (; !(seen >> to & 1); far++)
			for (uint32_t node = 0, now = seen; node < graph.nr; node++)
				for (size_t e = first[node]; (now >> node & 1) && e < first[node + 1]; e++)
					seen |= 1u << edges[e];
		wrong += nr != far || path[0] != 0 || path[nr - 1] != to;
		free(path);
	}
	CHECK(!wrong, "%u", wrong);
}

int main(void)
{
	RUN(as_defined);
	RUN(in_order);
	RUN(long_lists);
	RUN(shortest_paths);
	return tap_end();
}
