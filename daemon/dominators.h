/* SPDX-License-Identifier: MIT */
/*
 * Dominators of a graph: a node that is on every path from the root to another dominates it, and the nearest of these is its parent in
 * a tree. What a node keeps alive by itself is what is below it there. Pure: arrays in, arrays out.
 */
#ifndef ARENAD_DOMINATORS_H
#define ARENAD_DOMINATORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Not reached; or, of the root, no parent. */
#define NODE_NONE UINT32_MAX

/* Nodes [0, nr), 0 is the root; node i leads to edges[first[i]] up to edges[first[i + 1]]. */
struct graph {
	uint32_t nr;
	const size_t *first;	/* nr + 1 of them */
	const uint32_t *edges;
};

/**
 * Fill in, for each node, the nearest one that dominates it, or NODE_NONE. @order gets the nodes that are reached, so that each comes behind the one that
 * dominates it, and *@nr_reached how many they are. Both have graph->nr elements. False when out of memory. By the algorithm of K. Cooper, T. Harvey and
 * K. Kennedy, "A simple, fast dominance algorithm" (2001): linear in nodes and edges for most graphs, quadratic for the worst.
 */
bool dominators_find(const struct graph *graph, uint32_t *parents, uint32_t *order, uint32_t *nr_reached);
/**
 * The shortest path from the root to @node: its length in nodes, and in *@path, to be freed, the nodes. 0 when there is none, or no memory.
 */
uint32_t dominators_path(const struct graph *graph, uint32_t node, uint32_t **path);

#endif /* ARENAD_DOMINATORS_H */
