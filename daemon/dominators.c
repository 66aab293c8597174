// SPDX-License-Identifier: MIT
/*
 * Dominators by iteration: nodes are visited in reverse postorder, and each gets the nearest common dominator of its predecessors, until nothing
 * changes. Numbers in postorder make "nearest common" a walk of two fingers up the tree.
 */
#include "daemon/dominators.h"

#include <stdlib.h>
#include <string.h>

/* What the search works with; numbers are in postorder. */
struct work {
	const struct graph *graph;
	uint32_t *number;	/* of a node, or NODE_NONE */
	uint32_t *order;	/* of numbers: nodes */
	uint32_t nr;
	size_t *first;		/* predecessors of node i: before[first[i]] up to before[first[i + 1]] */
	uint32_t *before;
	size_t *at;		/* for each node on the stack: the edge to follow next */
	uint32_t *stack;
};

/* ---------------------------------------------------------------- order */

static void visit(struct work *work, uint32_t *depth, uint32_t node)
{
	if (work->at[node] != SIZE_MAX)
		return;
	work->at[node] = work->graph->first[node];
	work->stack[(*depth)++] = node;
}

/* Without recursion: lists are long. */
static void number_nodes(struct work *work)
{
	const struct graph *graph = work->graph;
	uint32_t depth = 0;

	memset(work->at, 0xff, graph->nr * sizeof(*work->at));
	memset(work->number, 0xff, graph->nr * sizeof(*work->number));
	visit(work, &depth, 0);
	while (depth) {
		uint32_t node = work->stack[depth - 1];

		if (work->at[node] < graph->first[node + 1]) {
			visit(work, &depth, graph->edges[work->at[node]++]);
			continue;
		}
		work->number[node] = work->nr;
		work->order[work->nr++] = node;
		depth--;
	}
}

/* Only of nodes that are reached. */
static void turn_edges(struct work *work)
{
	const struct graph *graph = work->graph;

	memset(work->first, 0, (graph->nr + 1) * sizeof(*work->first));
	for (uint32_t i = 0; i < work->nr; i++)
		for (size_t e = graph->first[work->order[i]]; e < graph->first[work->order[i] + 1]; e++)
			work->first[graph->edges[e] + 1]++;
	for (uint32_t node = 0; node < graph->nr; node++)
		work->first[node + 1] += work->first[node];
	memcpy(work->at, work->first, graph->nr * sizeof(*work->at));
	for (uint32_t i = 0; i < work->nr; i++)
		for (size_t e = graph->first[work->order[i]]; e < graph->first[work->order[i] + 1]; e++)
			work->before[work->at[graph->edges[e]]++] = work->order[i];
}

/* ---------------------------------------------------------------- dominators */

/* Of two nodes that have parents. */
static uint32_t common(const struct work *work, const uint32_t *parents, uint32_t a, uint32_t b)
{
	while (a != b) {
		while (work->number[a] < work->number[b])
			a = parents[a];
		while (work->number[b] < work->number[a])
			b = parents[b];
	}
	return a;
}

static bool improve(const struct work *work, uint32_t *parents, uint32_t node)
{
	uint32_t best = NODE_NONE;
	bool is_new;

	for (size_t e = work->first[node]; e < work->first[node + 1]; e++) {
		uint32_t from = work->before[e];

		if (parents[from] != NODE_NONE)
			best = best == NODE_NONE ? from : common(work, parents, best, from);
	}
	is_new = parents[node] != best;
	parents[node] = best;
	return is_new;
}

static void find(const struct work *work, uint32_t *parents)
{
	bool is_over = false;

	memset(parents, 0xff, work->graph->nr * sizeof(*parents));
	parents[0] = 0;
	while (!is_over) {
		is_over = true;
		/* The root is the last one in postorder. */
		for (uint32_t i = work->nr - 1; i-- > 0;)
			is_over &= !improve(work, parents, work->order[i]);
	}
	parents[0] = NODE_NONE;
}

static bool take_memory(struct work *work)
{
	size_t nr = work->graph->nr, nr_edges = work->graph->first[nr];

	work->number = malloc(nr * sizeof(*work->number));
	work->first = malloc((nr + 1) * sizeof(*work->first));
	work->before = malloc((nr_edges + 1) * sizeof(*work->before));
	work->at = malloc(nr * sizeof(*work->at));
	work->stack = malloc(nr * sizeof(*work->stack));
	return work->number && work->first && work->before && work->at && work->stack;
}

static void give_memory(struct work *work)
{
	free(work->number);
	free(work->first);
	free(work->before);
	free(work->at);
	free(work->stack);
}

/* The root first. */
static void reverse(uint32_t *order, uint32_t nr)
{
	for (uint32_t i = 0; i < nr / 2; i++) {
		uint32_t other = order[nr - 1 - i];

		order[nr - 1 - i] = order[i];
		order[i] = other;
	}
}

bool dominators_find(const struct graph *graph, uint32_t *parents, uint32_t *order, uint32_t *nr_reached)
{
	struct work work = { .graph = graph, .order = order };
	bool is_done = take_memory(&work);

	if (is_done) {
		number_nodes(&work);
		turn_edges(&work);
		find(&work, parents);
		reverse(order, work.nr);
		*nr_reached = work.nr;
	}
	give_memory(&work);
	return is_done;
}

/* ---------------------------------------------------------------- paths */

/* Breadth first: by whom each node was met. */
static void meet_all(const struct graph *graph, uint32_t *by, uint32_t *queue, uint32_t until)
{
	uint32_t nr = 1;

	memset(by, 0xff, graph->nr * sizeof(*by));
	by[0] = 0;
	queue[0] = 0;
	for (uint32_t at = 0; at < nr && by[until] == NODE_NONE; at++)
		for (size_t e = graph->first[queue[at]]; e < graph->first[queue[at] + 1]; e++)
			if (by[graph->edges[e]] == NODE_NONE) {
				by[graph->edges[e]] = queue[at];
				queue[nr++] = graph->edges[e];
			}
}

uint32_t dominators_path(const struct graph *graph, uint32_t node, uint32_t **path)
{
	uint32_t *by = malloc(graph->nr * sizeof(*by)), *queue = malloc(graph->nr * sizeof(*queue)), nr = 0;

	if (by && queue)
		meet_all(graph, by, queue, node);
	if (by && queue && by[node] != NODE_NONE) {
		for (uint32_t at = node; at; at = by[at])
			queue[nr++] = at;
		queue[nr++] = 0;
		reverse(queue, nr);
	}
	free(by);
	if (!nr)
		free(queue);
	else
		*path = queue;
	return nr;
}
