/* SPDX-License-Identifier: MIT */
/* `arenactl objects`: what is in the dump of a collected heap, and what keeps it there. */
#ifndef ARENAD_OBJECTS_H
#define ARENAD_OBJECTS_H

#include "daemon/dump.h"

struct objects_type {
	const char *name;
	uint64_t nr, bytes;
	uint64_t retained_bytes; /* what would be freed if none of its objects were there */
};

/* What is known of a dump. */
struct objects {
	const struct dump *dump;
	uint32_t *parents;	/* by node, as all below: dominators.h */
	uint32_t *order;
	uint32_t nr_reached;
	uint64_t *retained;	/* bytes that it keeps alive by itself, its own included */
	struct objects_type *types; /* by type */
	uint64_t reached_bytes, lost_bytes; /* lost: no root leads to them, but they were not free when the dump was made */
};

/** False when out of memory; objects_free() in any case. */
bool objects_init(struct objects *objects, const struct dump *dump);
void objects_free(struct objects *objects);
/** Print types by what they retain, and the objects that retain most; one JSON object of the types, or tables. */
void objects_show(struct objects *objects, bool is_json, FILE *out);
/** Print the shortest path from a root to the object that an address is in: 0, -ENOENT when there is none, or -ENOMEM. */
int objects_show_path(const struct objects *objects, uint64_t address, FILE *out);

#endif /* ARENAD_OBJECTS_H */
