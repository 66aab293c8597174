/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One idle chunk per CPU, in front of all pools: who takes and gives single chunks in turn shares
 * no lock with other CPUs.
 */
#ifndef ARENA_CPU_SLOT_H
#define ARENA_CPU_SLOT_H

#include <linux/list.h>
#include <linux/types.h>

struct folio;
struct pool;
struct pool_group;

int cpu_slots_init(void);
/** Every slot is empty by now. */
void cpu_slots_exit(void);

/** The chunk in this CPU's slot if it belongs to @pool, else NULL. */
struct folio *cpu_slot_take(struct pool *pool);
/** Put @chunk of @pool into this CPU's slot; false when it is taken. */
bool cpu_slot_give(struct pool *pool, struct folio *chunk);

/**
 * Move up to @max chunks of @group (NULL: of all) on @nid (NUMA_NO_NODE: on all) from the slots of
 * all CPUs to @chunks; never waits for a lock with @try. Returns how many.
 */
unsigned long cpu_slot_drain(struct pool_group *group, int nid, unsigned long max,
			     struct list_head *chunks, bool try);
/** The same, back to the pools of @group, to which the caller has a reference. */
void cpu_slot_flush(struct pool_group *group);
/**
 * Flush slots that were not used since the last call, for the worker that ends groups. Returns how
 * many stay filled.
 */
unsigned long cpu_slots_age(void);

/** struct cpu_slot_count - chunks in slots, racy */
struct cpu_slot_count {
	unsigned long clean;
	unsigned long dirty;
};

/** How many slots hold a chunk of @pool; racy, takes no lock. */
unsigned long cpu_slot_nr(struct pool *pool);
struct cpu_slot_count cpu_slot_count(struct pool_group *group, int nid);

#endif /* ARENA_CPU_SLOT_H */
