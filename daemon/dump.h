/* SPDX-License-Identifier: MIT */
/* Reads dumps of collected heaps (arena_gc_dump(); doc/gc.md has the format). */
#ifndef ARENAD_DUMP_H
#define ARENAD_DUMP_H

#include <stdio.h>

#include "daemon/dominators.h"

struct dump_kind {
	uint64_t bytes;		/* of each object; 0: they differ */
	uint32_t type;		/* number of the name */
};

struct dump_object {
	uint64_t address;
	uint64_t bytes;
	uint32_t type;
};

struct dump_root {
	char what[16];
	uint32_t thread_id;
	uint64_t location;
};

/* Nodes of the graph: 0 is what all roots are, object i is node i + 1. Objects are sorted by address. */
struct dump {
	uint64_t base, unit;
	char **types;		/* names */
	size_t nr_types, max_types;
	struct dump_kind *kinds;
	size_t max_kinds;
	struct dump_object *objects;
	size_t nr_objects, max_objects;
	struct dump_root *roots; /* the i-th leads to the i-th edge of node 0 */
	size_t nr_roots, max_roots;
	uint64_t *leads;	/* while it is read: addresses that roots, then objects lead to */
	size_t nr_leads, max_leads;
	size_t *first;		/* the graph's, as edges */
	size_t max_first;
	uint32_t *edges;
	struct graph graph;
};

/** Read one: 0, -ENOMEM, -EIO, or -EINVAL with the number of the line that is wrong in *@line. Free it in any case. */
int dump_read(struct dump *dump, FILE *file, size_t *line);
void dump_free(struct dump *dump);
/** The object that an address is in, or -1. */
ssize_t dump_find(const struct dump *dump, uint64_t address);

#endif /* ARENAD_DUMP_H */
