// SPDX-License-Identifier: MIT
/*
 * What objects retain: all that is below them in the tree of dominators. Of a type it is the sum over its objects, but not of one below another
 * of the same type: the nodes of a list are counted once.
 */
#include "daemon/objects.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Objects and types that are printed. */
#define TOP 20

/* ---------------------------------------------------------------- sums */

static void add_up(struct objects *objects)
{
	const struct dump *dump = objects->dump;

	for (uint32_t i = objects->nr_reached - 1; i; i--) {
		uint32_t node = objects->order[i];

		objects->retained[node] += dump->objects[node - 1].bytes;
		objects->retained[objects->parents[node]] += objects->retained[node];
		objects->reached_bytes += dump->objects[node - 1].bytes;
	}
	for (size_t i = 0; i < dump->nr_objects; i++) {
		struct objects_type *type = &objects->types[dump->objects[i].type];

		type->name = dump->types[dump->objects[i].type];
		type->nr++;
		type->bytes += dump->objects[i].bytes;
		objects->lost_bytes += objects->parents[i + 1] == NODE_NONE ? dump->objects[i].bytes : 0;
	}
}

/* The tree of dominators, downwards. */
struct tree {
	uint32_t *child, *sibling; /* by node; NODE_NONE: none */
	uint32_t *above;	/* by type: nodes of it between the root and where one is */
};

static bool make_tree(struct tree *tree, const struct objects *objects)
{
	uint32_t nr = objects->dump->graph.nr;

	tree->child = malloc(nr * sizeof(*tree->child));
	tree->sibling = malloc(nr * sizeof(*tree->sibling));
	tree->above = calloc(objects->dump->nr_types + 1, sizeof(*tree->above));
	if (!tree->child || !tree->sibling || !tree->above)
		return false;
	for (uint32_t i = 0; i < nr; i++)
		tree->child[i] = tree->sibling[i] = NODE_NONE;
	for (uint32_t i = objects->nr_reached - 1; i; i--) {
		uint32_t node = objects->order[i], parent = objects->parents[node];

		tree->sibling[node] = tree->child[parent];
		tree->child[parent] = node;
	}
	return true;
}

static void enter(struct objects *objects, struct tree *tree, uint32_t node)
{
	uint32_t type;

	if (!node)
		return;
	type = objects->dump->objects[node - 1].type;
	if (!tree->above[type]++)
		objects->types[type].retained_bytes += objects->retained[node];
}

static void leave(const struct objects *objects, struct tree *tree, uint32_t node)
{
	if (node)
		tree->above[objects->dump->objects[node - 1].type]--;
}

/* Down, to the side, and up by the way that leads to the root. */
static void add_types(struct objects *objects, struct tree *tree)
{
	uint32_t node = 0;

	enter(objects, tree, node);
	for (;;) {
		if (tree->child[node] != NODE_NONE) {
			uint32_t child = tree->child[node];

			/* Each edge down is taken once. */
			tree->child[node] = tree->sibling[child];
			node = child;
			enter(objects, tree, node);
			continue;
		}
		leave(objects, tree, node);
		if (!node)
			return;
		node = objects->parents[node];
	}
}

bool objects_init(struct objects *objects, const struct dump *dump)
{
	uint32_t nr = dump->graph.nr;
	struct tree tree = { NULL, NULL, NULL };
	bool is_done;

	*objects = (struct objects){ .dump = dump };
	objects->parents = malloc(nr * sizeof(*objects->parents));
	objects->order = malloc(nr * sizeof(*objects->order));
	objects->retained = calloc(nr, sizeof(*objects->retained));
	objects->types = calloc(dump->nr_types + 1, sizeof(*objects->types));
	is_done = objects->parents && objects->order && objects->retained && objects->types &&
		  dominators_find(&dump->graph, objects->parents, objects->order, &objects->nr_reached);
	if (is_done)
		add_up(objects);
	is_done = is_done && make_tree(&tree, objects);
	if (is_done)
		add_types(objects, &tree);
	free(tree.child);
	free(tree.sibling);
	free(tree.above);
	return is_done;
}

void objects_free(struct objects *objects)
{
	free(objects->parents);
	free(objects->order);
	free(objects->retained);
	free(objects->types);
}

/* ---------------------------------------------------------------- printing */

static int by_retained(const void *left, const void *right)
{
	const struct objects_type *a = left, *b = right;

	if (a->retained_bytes != b->retained_bytes)
		return a->retained_bytes < b->retained_bytes ? 1 : -1;
	return a->bytes < b->bytes ? 1 : a->bytes > b->bytes ? -1 : 0;
}

static void show_json(const struct objects *objects, FILE *out)
{
	fprintf(out, "{\"objects\":%zu,\"reached_bytes\":%" PRIu64 ",\"lost_bytes\":%" PRIu64 ",\"types\":[", objects->dump->nr_objects,
		objects->reached_bytes, objects->lost_bytes);
	for (size_t i = 0; i < objects->dump->nr_types; i++) {
		const struct objects_type *type = &objects->types[i];

		fprintf(out, "%s{\"type\":\"", i ? "," : "");
		for (const char *at = type->name ? type->name : "?"; *at; at++)
			fputc(*at < ' ' || *at == '"' || *at == '\\' ? '_' : *at, out);
		fprintf(out, "\",\"objects\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"retained_bytes\":%" PRIu64 "}", type->nr, type->bytes, type->retained_bytes);
	}
	fputs("]}\n", out);
}

static void show_types(const struct objects *objects, FILE *out)
{
	fprintf(out, "%14s %14s %12s  %s\n", "RETAINED", "BYTES", "OBJECTS", "TYPE");
	for (size_t i = 0; i < objects->dump->nr_types; i++) {
		const struct objects_type *type = &objects->types[i];

		if (type->nr)
			fprintf(out, "%14" PRIu64 " %14" PRIu64 " %12" PRIu64 "  %s\n", type->retained_bytes, type->bytes, type->nr, type->name);
	}
}

/* Kept alive by another of its type, as what follows in a list: to be told of that one is enough. */
static bool is_part(const struct objects *objects, uint32_t node)
{
	const struct dump_object *all = objects->dump->objects;
	uint32_t parent = objects->parents[node];

	return parent && all[parent - 1].type == all[node - 1].type;
}

/* The nodes that retain most, in @top; how many. */
static size_t find_top(const struct objects *objects, uint32_t top[TOP])
{
	size_t nr = 0;

	for (uint32_t i = 1; i < objects->nr_reached; i++) {
		uint32_t node = objects->order[i];
		size_t at = nr;

		if (is_part(objects, node))
			continue;
		for (; at && objects->retained[top[at - 1]] < objects->retained[node]; at--)
			if (at < TOP)
				top[at] = top[at - 1];
		if (at < TOP)
			top[at] = node;
		nr += nr < TOP;
	}
	return nr;
}

static void show_top(const struct objects *objects, FILE *out)
{
	uint32_t top[TOP];
	size_t nr = find_top(objects, top);

	fprintf(out, "\n%14s %14s %18s  %s\n", "RETAINED", "BYTES", "ADDRESS", "TYPE");
	for (size_t i = 0; i < nr; i++) {
		const struct dump_object *object = &objects->dump->objects[top[i] - 1];

		fprintf(out, "%14" PRIu64 " %14" PRIu64 " %#18" PRIx64 "  %s\n", objects->retained[top[i]], object->bytes, object->address,
			objects->dump->types[object->type]);
	}
}

void objects_show(struct objects *objects, bool is_json, FILE *out)
{
	qsort(objects->types, objects->dump->nr_types, sizeof(*objects->types), by_retained);
	if (is_json) {
		show_json(objects, out);
		return;
	}
	show_types(objects, out);
	show_top(objects, out);
	if (objects->lost_bytes)
		fprintf(out, "\n%" PRIu64 " bytes are garbage that was made, or became so, while the collector marked\n", objects->lost_bytes);
}

/* The root that leads to a node: the first of them. */
static const struct dump_root *root_of(const struct dump *dump, uint32_t node)
{
	size_t i = 0;

	while (dump->edges[i] != node)
		i++;
	return &dump->roots[i];
}

static void show_root(const struct dump_root *root, FILE *out)
{
	fprintf(out, "%s", root->what);
	if (root->thread_id)
		fprintf(out, " of thread %" PRIu32, root->thread_id);
	fprintf(out, " at %#" PRIx64 "\n", root->location);
}

int objects_show_path(const struct objects *objects, uint64_t address, FILE *out)
{
	const struct dump *dump = objects->dump;
	ssize_t object = dump_find(dump, address);
	uint32_t *path, nr = object < 0 ? 0 : dominators_path(&dump->graph, (uint32_t)object + 1, &path);

	if (!nr)
		return -ENOENT;
	show_root(root_of(dump, path[1]), out);
	for (uint32_t i = 1; i < nr; i++) {
		const struct dump_object *it = &dump->objects[path[i] - 1];

		fprintf(out, "-> %s at %#" PRIx64 ", %" PRIu64 " bytes, retains %" PRIu64 "\n", dump->types[it->type], it->address, it->bytes,
			objects->retained[path[i]]);
	}
	free(path);
	return 0;
}
