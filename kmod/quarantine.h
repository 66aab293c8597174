/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Chunks that somebody outside the module still refers to after they were unmapped: a pipe, an
 * I/O in flight, a pin. They stay charged to the user of their space until the module's reference
 * is the last one, and only then go to the pool, uncleared.
 */
#ifndef ARENA_QUARANTINE_H
#define ARENA_QUARANTINE_H

#include <linux/list.h>

struct arena_space;

/** Take over @nr @chunks (linked by folio->lru) that left @space; the list is empty afterwards. */
void quarantine_add(struct arena_space *space, struct list_head *chunks, unsigned long nr);
/** On @nid, or everywhere for NUMA_NO_NODE. */
unsigned long quarantine_chunks(int nid);
/** Let go of everything; chunks that are still referred to are freed by whoever drops them last. */
void quarantine_exit(void);

#endif /* ARENA_QUARANTINE_H */
