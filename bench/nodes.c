// SPDX-License-Identifier: MIT
/*
 * Many small objects that die together: a tree, a document, a request's state.
 *
 * Each pass makes linked nodes of 24 bytes, writes every field and remembers each address in a table (so that malloc's
 * rows can free them; arenas' rows fill it as well, for equal work). Rows: glibc and mimalloc, freed in the order of
 * allocation and shuffled; warm (arena_reset()); cold (new arena, fill, arena_free() with revocation).
 *
 * Not measured: walking the nodes afterwards, where an arena's density would show as well.
 */
#include "bench/arena_case.h"
#include "bench/peer.h"

#include <stdio.h>
#include <stdlib.h>

enum { NODES_REPS = 21 };

struct node {
	struct node *next;
	uint64_t key;
	uint64_t value;
};
_Static_assert(sizeof(struct node) == 24, "the size that the benchmark is about");

/* Fixed after nodes_init(), but for the table's contents. */
struct nodes {
	struct node **table;
	uint32_t *shuffled;
	size_t nr;
};

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* The same order in each run: only the allocator shall make a difference. */
static int nodes_init(struct nodes *nodes, size_t nr)
{
	uint64_t state = 88172645463325252U;	/* any number but 0 */

	nodes->nr = nr;
	nodes->table = calloc(nr, sizeof(*nodes->table));
	nodes->shuffled = calloc(nr, sizeof(*nodes->shuffled));
	if (!nodes->table || !nodes->shuffled)
		return bench_fail("nodes: out of memory");
	for (size_t i = 0; i < nr; i++) {
		size_t j = random_next(&state) % (i + 1);

		nodes->shuffled[i] = nodes->shuffled[j];
		nodes->shuffled[j] = (uint32_t)i;
	}
	return 0;
}

static void nodes_fini(struct nodes *nodes)
{
	free(nodes->table);
	free(nodes->shuffled);
}

/* The same work for both kinds; @alloc is NULL for arenas, known at compile time. */
static inline __attribute__((always_inline)) bool fill(const struct nodes *nodes, void *(*alloc)(size_t),
						       struct arena *arena)
{
	struct node **table = nodes->table, *head = NULL;
	size_t nr = nodes->nr;

	for (size_t i = 0; i < nr; i++) {
		struct node *node = alloc ? alloc(sizeof(*node)) : arena_make_raw(arena, struct node);

		if (!node)
			return false;
		node->next = head;
		node->key = i;
		node->value = i ^ nr;
		table[i] = head = node;
	}
	bench_keep(table);
	return true;
}

static void free_inorder(const struct nodes *nodes, void (*free_object)(void *))
{
	for (size_t i = 0; i < nodes->nr; i++)
		free_object(nodes->table[i]);
}

static void free_shuffled(const struct nodes *nodes, void (*free_object)(void *))
{
	for (size_t i = 0; i < nodes->nr; i++)
		free_object(nodes->table[nodes->shuffled[i]]);
}

static int peer_pass(const struct peer *peer, const struct nodes *nodes, bool shuffled, struct pass *pass)
{
	pass_resume(pass);
	if (!fill(nodes, peer->alloc, NULL))
		return bench_fail("nodes: %s: out of memory", peer->name);
	pass_pause(pass);
	for (size_t i = 0; pass->check && i < nodes->nr; i++)
		pass->bytes += peer->usable_bytes(nodes->table[i]) + peer->header_bytes;
	pass->allocations = nodes->nr;
	pass_resume(pass);
	if (shuffled)
		free_shuffled(nodes, peer->free);
	else
		free_inorder(nodes, peer->free);
	pass_pause(pass);
	return 0;
}

static void tally_arena(const struct arena *arena, uint64_t chunks_before, struct pass *pass)
{
	struct arena_stats stats;

	arena_stats(arena, &stats);
	pass->bytes = stats.used_bytes;
	pass->allocations += stats.nr_chunks - chunks_before;
}

static int warm_pass(const struct arena_case *c, const struct nodes *nodes, struct pass *pass)
{
	struct arena_stats before;

	arena_stats(c->arena, &before);
	pass_resume(pass);
	if (!fill(nodes, NULL, c->arena))
		return bench_fail("nodes: warm: out of memory");
	pass_pause(pass);
	tally_arena(c->arena, before.nr_chunks, pass);
	if (pass->check && arena_case_check(c, nodes->table[nodes->nr - 1]))
		return 1;
	pass_resume(pass);
	arena_reset(c->arena);
	pass_pause(pass);
	return 0;
}

static int cold_pass(enum arena_source source, const struct nodes *nodes, struct pass *pass)
{
	struct arena_case c = { .source = source };

	if (pass->check)
		arena_memory(&c.before);
	pass->allocations = 1;
	pass_resume(pass);
	c.arena = arena_case_new(source);
	if (!c.arena || !fill(nodes, NULL, c.arena))
		return bench_fail("nodes: cold: out of memory");
	pass_pause(pass);
	tally_arena(c.arena, 0, pass);
	if (pass->check && arena_case_check(&c, nodes->table[nodes->nr - 1]))
		return 1;
	pass_resume(pass);
	arena_free(c.arena);
	pass_pause(pass);
	return pass->check ? arena_case_check_revoked(&c) : 0;
}

static int peer_rep(const struct peer *peer, const struct nodes *nodes, bool shuffled, struct report *report)
{
	struct pass tally = { .check = true }, pass = { 0 };
	char name[48];

	peer->settle();
	if (peer_pass(peer, nodes, shuffled, &tally) || peer_pass(peer, nodes, shuffled, &pass))
		return 1;
	snprintf(name, sizeof(name), "nodes/%s-%s", peer->name, shuffled ? "shuffled" : "inorder");
	pass_report(report, name, MALLOC_SOURCE, &pass, &tally, nodes->nr);
	return 0;
}

static int arena_rep(const struct arena_case *warm, const struct nodes *nodes, struct report *report)
{
	const char *source = arena_source_name(warm->source);
	struct pass tally = { .check = true }, pass = { 0 };

	if (warm_pass(warm, nodes, &tally) || warm_pass(warm, nodes, &pass))
		return 1;
	pass_report(report, "nodes/warm", source, &pass, &pass, nodes->nr);
	tally = (struct pass){ .check = true };
	pass = (struct pass){ 0 };
	if (cold_pass(warm->source, nodes, &tally) || cold_pass(warm->source, nodes, &pass))
		return 1;
	pass_report(report, "nodes/cold", source, &pass, &pass, nodes->nr);
	return 0;
}

static int nodes_rep(const struct nodes *nodes, const struct arena_case *warm, int nr_warm, struct report *report)
{
	size_t nr_peers;
	const struct peer *peers = peer_all(&nr_peers);

	for (size_t i = 0; i < nr_peers; i++)
		if (peer_rep(&peers[i], nodes, false, report) || peer_rep(&peers[i], nodes, true, report))
			return 1;
	for (int i = 0; i < nr_warm; i++)
		if (arena_rep(&warm[i], nodes, report))
			return 1;
	return 0;
}

int bench_nodes(const struct options *options, struct report *report)
{
	size_t reps = options->reps ? options->reps : NODES_REPS;
	enum arena_source sources[ARENA_NR_SOURCES];
	struct arena_case warm[ARENA_NR_SOURCES];
	int nr = arena_case_sources(options, ARENA_SOURCE_THP, sources), error = nr < 0;
	struct nodes nodes;

	if (error || nodes_init(&nodes, options->objects))
		return 1;
	for (int i = 0; i < nr && !error; i++)
		error = arena_case_open(&warm[i], sources[i]);
	for (size_t rep = 0; rep < reps && !error; rep++)
		error = nodes_rep(&nodes, warm, nr, report);
	if (error)
		return 1;
	for (int i = 0; i < nr; i++)
		arena_free(warm[i].arena);
	nodes_fini(&nodes);
	return 0;
}
