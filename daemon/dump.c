// SPDX-License-Identifier: MIT
/*
 * A dump is read line by line into arrays that grow, and its addresses become numbers of nodes at the end. It may be any file: what
 * is no dump, or only the beginning of one, is refused.
 */
#include "daemon/dump.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "arena-gc-dump 1\n"
#define KINDS_MAX 4096u

/* ---------------------------------------------------------------- arrays */

/* Room for one more element. */
static bool grow(void *array, size_t nr, size_t *max, size_t bytes)
{
	size_t wanted = *max ? 2 * *max : 1024;
	void *grown;

	if (nr < *max)
		return true;
	memcpy(&grown, array, sizeof(grown));
	grown = reallocarray(grown, wanted, bytes);
	if (!grown)
		return false;
	memcpy(array, &grown, sizeof(grown));
	*max = wanted;
	return true;
}

static int add_lead(struct dump *dump, uint64_t number)
{
	if (!grow(&dump->leads, dump->nr_leads, &dump->max_leads, sizeof(*dump->leads)))
		return -ENOMEM;
	dump->leads[dump->nr_leads++] = dump->base + number * dump->unit;
	return 0;
}

/* ---------------------------------------------------------------- words */

/* A number, and the blanks behind it. */
static bool take_number(const char **at, int base, uint64_t *number)
{
	char *end;

	if (!strchr("0123456789abcdef", **at) || !**at)
		return false;
	*number = strtoull(*at, &end, base);
	if (*end != ' ' && *end != '\n')
		return false;
	*at = end + (*end == ' ');
	return true;
}

static bool take_word(const char **at, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*at, word, length) || (*at)[length] != ' ')
		return false;
	*at += length + 1;
	return true;
}

/* ---------------------------------------------------------------- lines */

/* The number of a name, which may be that of a type with another size. */
static int find_type(struct dump *dump, const char *name, uint32_t *type)
{
	size_t length = strcspn(name, "\n");

	for (*type = 0; *type < dump->nr_types; ++*type)
		if (strlen(dump->types[*type]) == length && !memcmp(dump->types[*type], name, length))
			return 0;
	if (!grow(&dump->types, dump->nr_types, &dump->max_types, sizeof(*dump->types)))
		return -ENOMEM;
	dump->types[dump->nr_types] = strndup(name, length);
	if (!dump->types[dump->nr_types])
		return -ENOMEM;
	dump->nr_types++;
	return 0;
}

static int read_kind(struct dump *dump, const char *at)
{
	uint64_t kind, bytes;

	if (!take_number(&at, 10, &kind) || !take_number(&at, 10, &bytes) || kind >= KINDS_MAX)
		return -EINVAL;
	if (!dump->kinds) {
		dump->kinds = malloc(KINDS_MAX * sizeof(*dump->kinds));
		if (!dump->kinds)
			return -ENOMEM;
		memset(dump->kinds, 0xff, KINDS_MAX * sizeof(*dump->kinds));
	}
	dump->kinds[kind].bytes = bytes;
	return find_type(dump, at, &dump->kinds[kind].type);
}

static int read_root(struct dump *dump, const char *at)
{
	size_t length = strcspn(at, " \n");
	uint64_t thread_id, location, object;
	struct dump_root *root;

	if (!length || length >= sizeof(root->what) || dump->nr_objects)
		return -EINVAL;
	if (!grow(&dump->roots, dump->nr_roots, &dump->max_roots, sizeof(*dump->roots)))
		return -ENOMEM;
	root = &dump->roots[dump->nr_roots++];
	*root = (struct dump_root){ .thread_id = 0 };
	memcpy(root->what, at, length);
	at += length + 1;
	if (at[-1] != ' ' || !take_number(&at, 10, &thread_id) || !take_number(&at, 16, &location) || !take_number(&at, 16, &object))
		return -EINVAL;
	root->thread_id = (uint32_t)thread_id;
	root->location = location;
	return add_lead(dump, object);
}

/* Node @node's edges begin with the next lead. */
static int start_node(struct dump *dump, size_t node)
{
	if (!grow(&dump->first, node, &dump->max_first, sizeof(*dump->first)))
		return -ENOMEM;
	dump->first[node] = dump->nr_leads;
	return 0;
}

static int read_edges(struct dump *dump, const char *at)
{
	uint64_t number;

	while (take_number(&at, 16, &number))
		if (add_lead(dump, number))
			return -ENOMEM;
	return *at == '\n' ? 0 : -EINVAL;
}

static int read_object(struct dump *dump, const char *at)
{
	struct dump_object *object;
	uint64_t number, kind, bytes = 0;

	if (!take_number(&at, 16, &number) || !take_number(&at, 10, &kind) || kind >= KINDS_MAX || !dump->kinds || dump->kinds[kind].type == UINT32_MAX)
		return -EINVAL;
	if (*at == '=' && (at++, !take_number(&at, 10, &bytes)))
		return -EINVAL;
	number = dump->base + number * dump->unit;
	if ((dump->nr_objects && number <= dump->objects[dump->nr_objects - 1].address) || dump->nr_objects >= NODE_NONE - 1)
		return -EINVAL;
	if (!grow(&dump->objects, dump->nr_objects, &dump->max_objects, sizeof(*dump->objects)) || start_node(dump, dump->nr_objects + 1))
		return -ENOMEM;
	object = &dump->objects[dump->nr_objects++];
	*object = (struct dump_object){ number, bytes ? bytes : dump->kinds[kind].bytes, dump->kinds[kind].type };
	return read_edges(dump, at);
}

static int read_line(struct dump *dump, const char *at)
{
	if (take_word(&at, "heap"))
		return take_number(&at, 16, &dump->base) && take_number(&at, 10, &dump->unit) ? 0 : -EINVAL;
	if (take_word(&at, "kind"))
		return read_kind(dump, at);
	if (take_word(&at, "root"))
		return read_root(dump, at);
	return read_object(dump, at);
}

/* ---------------------------------------------------------------- the graph */

ssize_t dump_find(const struct dump *dump, uint64_t address)
{
	size_t low = 0, high = dump->nr_objects;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (dump->objects[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low || address - dump->objects[low - 1].address >= dump->objects[low - 1].bytes)
		return -1;
	return (ssize_t)low - 1;
}

static int make_graph(struct dump *dump)
{
	if (start_node(dump, dump->nr_objects + 1))
		return -ENOMEM;
	dump->edges = malloc((dump->nr_leads + 1) * sizeof(*dump->edges));
	if (!dump->edges)
		return -ENOMEM;
	for (size_t i = 0; i < dump->nr_leads; i++) {
		ssize_t object = dump_find(dump, dump->leads[i]);

		if (object < 0)
			return -EINVAL;
		dump->edges[i] = (uint32_t)object + 1;
	}
	dump->graph = (struct graph){ (uint32_t)dump->nr_objects + 1, dump->first, dump->edges };
	return 0;
}

/* "end NR": all of it is there. */
static bool is_end(const struct dump *dump, const char *at)
{
	uint64_t nr;

	return take_word(&at, "end") && take_number(&at, 10, &nr) && nr == dump->nr_objects;
}

static int read_lines(struct dump *dump, FILE *file, char **text, size_t *bytes, size_t *line)
{
	int error = getline(text, bytes, file) > 0 && !strcmp(*text, MAGIC) ? start_node(dump, 0) : -EINVAL;

	for (*line = 1; !error; ++*line) {
		if (getline(text, bytes, file) <= 0)
			return ferror(file) ? -EIO : -EINVAL;
		if (is_end(dump, *text))
			return 0;
		error = read_line(dump, *text);
	}
	return error;
}

int dump_read(struct dump *dump, FILE *file, size_t *line)
{
	char *text = NULL;
	size_t bytes = 0;
	int error;

	*dump = (struct dump){ .unit = 1 };
	error = read_lines(dump, file, &text, &bytes, line);
	free(text);
	return error ? error : make_graph(dump);
}

void dump_free(struct dump *dump)
{
	for (size_t i = 0; i < dump->nr_types; i++)
		free(dump->types[i]);
	free(dump->types);
	free(dump->kinds);
	free(dump->objects);
	free(dump->roots);
	free(dump->leads);
	free(dump->first);
	free(dump->edges);
}
